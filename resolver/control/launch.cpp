// Launching the resolver process.
#include "resolver/control/launch.h"

#include <fcntl.h>
#include <spdlog/spdlog.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <ctime>
#include <fstream>
#include <vector>

#include "resolver/courier/courier_wire.h"

namespace postern {
namespace {

// Closes all descriptors but the standard ones and those given.
void close_others(std::vector<int> keep) {
  std::sort(keep.begin(), keep.end());
  unsigned from = 3;
  for (const int fd : keep) {
    if (static_cast<unsigned>(fd) < from) continue;
    if (static_cast<unsigned>(fd) > from) close_range(from, static_cast<unsigned>(fd) - 1, 0);
    from = static_cast<unsigned>(fd) + 1;
  }
  close_range(from, ~0u, 0);
}

void say(const Fd& ready, const std::string& text) {
  if (write(ready.get(), text.data(), text.size()) < 0) spdlog::warn("nobody waits for \"{}\"", text);
}

int resolver_process(Broker::Ends ends, LaunchOptions& options, Fd ready) {
  if (options.own_session) setsid();
  for (const int number : {SIGINT, SIGQUIT, SIGHUP, SIGPIPE, SIGTSTP, SIGUSR1, SIGUSR2})
    std::signal(number, SIG_IGN);
  std::signal(SIGTERM, SIG_DFL);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  if (const int null = open("/dev/null", O_RDONLY); null >= 0) {
    dup2(null, 0);
    if (null > 2) close(null);
  }
  tzset();  // reads the zone file while it can be seen
  std::ifstream("/proc/sys/kernel/random/boot_id") >> options.resolver.journal.boot_id;
  const std::string inside = "\"" + options.resolver.journal.path, outside = "\"" + options.cell.journal_file;
  const auto fail = [&](std::string why) {
    for (std::size_t at = 0; (at = why.find(inside, at)) != std::string::npos; at += outside.size())
      why.replace(at, inside.size(), outside);  // the path as the operator knows it
    say(ready, why);
    return 1;
  };
  if (auto locked = enter_cell(options.cell); !locked) return fail(locked.error().message);
  auto resolver =
      Resolver::start(std::move(options.resolver), std::make_unique<BrokerClient>(std::move(ends.requests)));
  if (!resolver) return fail(resolver.error().message);
  if (options.first)
    if (auto attached = options.first(**resolver); !attached) return fail(attached.error().message);
  say(ready, "ok");
  ready.reset();
  control_loop(**resolver, {std::move(ends.events), std::move(options.control_listener),
                            std::move(options.courier), options.drain});
  return 0;
}

}  // namespace

Result<void> add_courier(const std::vector<Webhook>& webhooks, LaunchOptions& launch, BrokerOptions& broker) {
  if (webhooks.empty()) return {};
  if (auto fine = check_webhooks(webhooks); !fine) return fine;
  auto channel = make_courier_channel();
  if (!channel) return tl::unexpected(channel.error());
  launch.courier = std::move(channel->resolver);
  launch.resolver.webhooks = webhooks;
  broker.courier_channel = std::make_shared<Fd>(std::move(channel->courier));
  broker.courier = [options = CourierOptions{webhooks, launch.cell.uid, launch.cell.gid}](Fd end) {
    return run_courier(options, std::move(end));
  };
  return {};
}

Result<Launched> launch_resolver(Broker& broker, LaunchOptions options) {
  auto ends = broker.make_channels();
  if (!ends) return tl::unexpected(ends.error());
  int pipe_ends[2];
  if (pipe2(pipe_ends, O_CLOEXEC) != 0)
    return failure(std::string("cannot make a pipe: ") + std::strerror(errno));
  Launched launched;
  launched.ready = Fd(pipe_ends[0]);
  Fd ready(pipe_ends[1]);
  launched.pid = fork();
  if (launched.pid < 0)
    return failure(std::string("cannot fork the resolver process: ") + std::strerror(errno));
  if (launched.pid > 0) return launched;

  launched.ready.release();  // closed with the rest
  std::vector<int> keep{ends->requests.get(), ends->events.get(), ready.get()};
  if (options.control_listener) keep.push_back(options.control_listener.get());
  if (options.courier) keep.push_back(options.courier.get());
  for (const int fd : options.keep) keep.push_back(fd);
  close_others(std::move(keep));
  const int status = resolver_process(std::move(*ends), options, std::move(ready));
  // Not exit(): what the parent had registered and buffered is the parent's.
  spdlog::default_logger()->flush();
  _exit(status);
}

std::string read_ready(const Fd& ready) {
  std::string text;
  char part[1024];
  for (;;) {
    const ssize_t got = read(ready.get(), part, sizeof part);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) break;
    text.append(part, static_cast<std::size_t>(got));
  }
  if (text == "ok") return {};
  return text.empty() ? "the resolver process ended before it was ready" : text;
}

Result<bool> make_folder(const std::string& path) {
  bool made = false;
  for (std::size_t at = 1; at != std::string::npos;) {
    at = path.find('/', at);
    const std::string part = path.substr(0, at);
    const bool last = at == std::string::npos;
    made = mkdir(part.c_str(), last ? 0750 : 0755) == 0;
    if (!made && errno != EEXIST)
      return failure("cannot make the folder \"" + part + "\": " + std::strerror(errno));
    if (!last) ++at;
  }
  struct stat about {};
  if (stat(path.c_str(), &about) != 0 || !S_ISDIR(about.st_mode))
    return failure("\"" + path + "\" is not a folder");
  return made;
}

}  // namespace postern

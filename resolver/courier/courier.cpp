// The courier's beginning and end: secrets and certificates first, then the cell, then orders.
#include "resolver/courier/courier.h"

#include <fcntl.h>
#include <spdlog/spdlog.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>
#include <ctime>

#include "resolver/courier/poster.h"
#include "resolver/courier/signature.h"
#include "resolver/sandbox/cell.h"

namespace postern {
namespace {

constexpr std::size_t max_secret_file = 4096;  // octets

// Errors name the file and never what is in it.
Result<std::string> key_in(const std::string& path) {
  const auto bad = [&](const std::string& why) {
    return failure("cannot use the webhook secret in \"" + path + "\": " + why);
  };
  const Fd file(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!file) return bad(std::strerror(errno));
  struct stat about {};
  if (fstat(file.get(), &about) != 0) return bad(std::strerror(errno));
  if (!S_ISREG(about.st_mode)) return bad("it is not a regular file");
  if ((about.st_mode & (S_IROTH | S_IWOTH)) != 0)
    return bad("everybody may read or write it (chmod o-rw makes it a secret)");
  std::string text(max_secret_file + 1, '\0');
  const ssize_t octets = read(file.get(), text.data(), text.size());
  if (octets < 0) return bad(std::strerror(errno));
  text.resize(static_cast<std::size_t>(octets));
  if (text.size() > max_secret_file) return bad("it is larger than 4 KiB");
  auto key = key_of_secret(text);
  if (!key) return bad(key.error().message);
  return key;
}

Result<std::unique_ptr<Poster>> make_poster(const std::vector<Webhook>& webhooks) {
  std::vector<PostTarget> targets;
  for (const Webhook& webhook : webhooks) {
    auto key = key_in(webhook.secret_file);
    if (!key) return tl::unexpected(key.error());
    targets.push_back({webhook, std::move(*key)});
  }
  return Poster::make(std::move(targets));
}

}  // namespace

// In a child: whoever is forked from us later, the resolver first of all, shall find no secret in memory that
// was given back.
Result<void> check_webhooks(const std::vector<Webhook>& webhooks) {
  if (webhooks.empty()) return {};
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0)
    return failure(std::string("cannot check the webhooks: ") + std::strerror(errno));
  const Fd from(ends[0]);
  Fd to(ends[1]);
  const pid_t child = fork();
  if (child < 0) return failure(std::string("cannot check the webhooks: ") + std::strerror(errno));
  if (child == 0) {
    const auto made = make_poster(webhooks);
    const std::string said = made ? "ok" : made.error().message;
    _exit(write(to.get(), said.data(), said.size()) == static_cast<ssize_t>(said.size()) ? 0 : 1);
  }
  to.reset();
  std::string said;
  char part[1024];
  for (ssize_t got = 0; (got = read(from.get(), part, sizeof part)) > 0 || (got < 0 && errno == EINTR);)
    if (got > 0) said.append(part, static_cast<std::size_t>(got));
  waitpid(child, nullptr, 0);
  if (said == "ok") return {};
  return failure(said.empty() ? "cannot check the webhooks: the process that should has ended" : said);
}

int run_courier(const CourierOptions& options, Fd channel) {
  prctl(PR_SET_NAME, "postern-courier", 0, 0, 0);
  tzset();
  auto poster = make_poster(options.webhooks);
  if (!poster) {
    spdlog::error("the courier cannot begin: {}", poster.error().message);
    return 1;
  }
  if (auto entered = enter_courier_cell({options.uid, options.gid}); !entered) {
    spdlog::error("the courier cannot begin: {}", entered.error().message);
    return 1;
  }
  (*poster)->serve(std::move(channel));  // whether it is needed again the broker knows
  return 0;
}

}  // namespace postern

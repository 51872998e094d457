// serve: the daemon. Reads its configuration, opens the control socket, forks the resolver, and becomes the
// broker.
#include <fcntl.h>
#include <spdlog/spdlog.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <iostream>

#include "resolver/control/client.h"
#include "resolver/control/commands.h"
#include "resolver/control/config.h"
#include "resolver/control/launch.h"
#include "resolver/control/list_source.h"
#include "resolver/journal/schema.h"
#include "rules/explain.h"

namespace postern {
namespace {

// The listening control socket: mode 0660, owned by root and the service's group. A socket that nobody
// answers on is replaced.
Result<Fd> open_control(const std::string& path, gid_t group) {
  const auto bad = [&](const std::string& why) {
    return failure("cannot open the control socket \"" + path + "\": " + why);
  };
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path) return bad("the path is longer than 107 octets");
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  const std::string folder = std::filesystem::path(path).parent_path().string();
  if (auto made = make_folder(folder); !made)
    return tl::unexpected(made.error());
  else if (*made && chmod(folder.c_str(), 0755) != 0)
    return bad(std::strerror(errno));
  struct stat about {};
  if (lstat(path.c_str(), &about) == 0) {
    if (!S_ISSOCK(about.st_mode)) return bad("something that is not a socket is there");
    if (daemon_answers(path)) return bad("another Postern serves there");
    if (unlink(path.c_str()) != 0) return bad(std::strerror(errno));
  }
  Fd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  const mode_t before = umask(0117);
  const bool bound = fd && bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
  const int error = errno;
  umask(before);
  if (!bound) return bad(std::strerror(error));
  if (geteuid() == 0 && chown(path.c_str(), 0, group) != 0) return bad(std::strerror(errno));
  constexpr int backlog = 64;
  if (listen(fd.get(), backlog) != 0) return bad(std::strerror(errno));
  return fd;
}

}  // namespace

int serve_verb(const ServeFlags& flags) {
  auto config = read_config(flags.config);
  if (!config) return complain(config.error().message);
  if (!config->policy.empty()) {
    auto text = read_text_file(config->policy);
    if (!text) return complain(text.error().message);
    const auto folder = folder_of(config->policy);
    if (!folder) return complain(folder.error().message);
    std::vector<std::string> folders{*folder}, unread;
    folders.insert(folders.end(), config->list_folders.begin(), config->list_folders.end());
    // To serve, the resolver process reads the lists; every name in them comes from somebody else.
    const ListSource source = flags.check ? lists_below(std::move(folders)) : lists_unread(unread);
    auto policies = PolicySet::parse(*text, config->policy, source);
    if (!policies) return complain(policies.error().message);
    if (auto known = check_upstream_groups(**policies, group_names(config->upstreams)); !known)
      return complain(known.error().message);
  }
  auto suffixes = load_suffix_list(config->public_suffix_list);
  if (!suffixes) return complain(suffixes.error().message);
  const bool follow = config->upstream.empty();
  if (follow) {
    auto text = read_text_file(config->resolv_conf);
    if (text) config->upstream = parse_resolv_conf(*text);
    if (config->upstream.empty())
      return complain("no upstream: " + flags.config + " names none, and " + config->resolv_conf +
                      " has no nameserver");
  }
  if (!config->alert_exec.empty() && access(config->alert_exec.c_str(), X_OK) != 0)
    return complain("cannot use the alert program \"" + config->alert_exec + "\": " + std::strerror(errno));
  if (auto fine = check_webhooks(config->alert_webhooks); !fine) return complain(fine.error().message);
  if (!config->seal_exec.empty() && access(config->seal_exec.c_str(), X_OK) != 0)
    return complain("cannot use the program for signed heads \"" + config->seal_exec +
                    "\": " + std::strerror(errno));
  if (flags.check) {
    std::cout << flags.config << ": ok\n";
    return 0;
  }

  if (auto ours = check_journal_is_ours(config->journal); !ours && access(config->state.c_str(), F_OK) == 0)
    return complain(ours.error().message);
  auto made = make_folder(config->state);
  if (!made) return complain(made.error().message);
  LaunchOptions launch;
  service_ids(launch.cell.uid, launch.cell.gid);
  launch.cell.audit_gid = config->audit_group;
  launch.cell.state_folder = config->state;
  launch.cell.journal_file = config->journal;
  launch.cell.own_folder = *made || config->state == "/var/lib/postern";
  auto journal = journal_in_cell(launch.cell);
  if (!journal) return complain(journal.error().message);
  launch.resolver.journal.path = *journal;
  launch.resolver.journal.keep = config->keep;
  launch.resolver.journal.sync_full = config->sync_full;
  launch.resolver.audit = config->audit_relaxed ? Audit::relaxed : Audit::strict;
  launch.resolver.suffixes = std::move(*suffixes);
  launch.resolver.workers = config->workers;
  launch.resolver.servers = config->upstream;
  launch.resolver.groups = config->upstreams;
  launch.resolver.policy_file = config->policy;
  if (!config->policy.empty()) {
    auto folder = folder_of(config->policy);
    if (!folder) return complain(folder.error().message);
    launch.resolver.list_folders = {*folder};
    for (const std::string& more : config->list_folders) launch.resolver.list_folders.push_back(more);
  }
  if (!make_list_cache(config->state, launch.cell.uid, launch.cell.gid).empty())
    launch.resolver.list_cache = std::filesystem::path(*journal).replace_filename("lists").string();
  launch.resolver.sign_heads = true;
  launch.resolver.alert_exec = config->alert_exec;
  launch.resolver.alert_exec_redact = config->alert_exec_redact;
  auto control = open_control(config->control, launch.cell.gid);
  if (!control) return complain(control.error().message);
  launch.control_listener = std::move(*control);

  BrokerOptions options;
  options.servers = config->upstream;
  options.groups = config->upstreams;
  if (follow) options.resolv_conf = config->resolv_conf;
  if (!config->policy.empty()) options.policy_files = {config->policy};
  options.list_folders = launch.resolver.list_folders;
  if (!config->alert_exec.empty()) options.hooks = {config->alert_exec};
  if (auto added = add_courier(config->alert_webhooks, launch, options); !added)
    return complain(added.error().message);
  options.seal = {config->seal_key, config->seal_heads, config->seal_exec};
  Broker broker(std::move(options));
  auto launched = launch_resolver(broker, std::move(launch));
  if (!launched) return complain(launched.error().message);
  bool served = false;
  broker.serve(launched->pid,
               {.handle_signals = true, .extra = {launched->ready.get()}, .on_extra = [&](std::size_t) {
                  const std::string why = read_ready(launched->ready);
                  served = why.empty();
                  if (served)
                    spdlog::info("serving; journal {} (journal_sync: {}), control socket {}", config->journal,
                                 config->sync_full ? "full" : "normal", config->control);
                  else
                    spdlog::error("{}", why);
                  return false;
                }});
  unlink(config->control.c_str());
  const auto status = broker.resolver_status();
  return served && status && *status == 0 ? 0 : 1;
}

}  // namespace postern

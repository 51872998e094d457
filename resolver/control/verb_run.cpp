// run: one command in a sandbox of its own, with Postern as its only nameserver.
#include <fcntl.h>
#include <pwd.h>
#include <spdlog/spdlog.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <iostream>
#include <nlohmann/json.hpp>

#include "resolver/control/client.h"
#include "resolver/control/commands.h"
#include "resolver/control/config.h"
#include "resolver/control/launch.h"
#include "resolver/control/list_source.h"
#include "resolver/control/secret_source.h"
#include "resolver/journal/file_lock.h"
#include "resolver/journal/schema.h"
#include "resolver/sandbox/run.h"
#include "rules/explain.h"
#include "rules/sandbox_check.h"

namespace postern {
namespace {

using Json = nlohmann::ordered_json;

// A command may have raised its alert with its last question, and nobody serves its journal afterwards.
constexpr std::chrono::seconds run_drain{10};

std::string user_name() {
  if (const char* sudo = getenv("SUDO_USER"); geteuid() == 0 && sudo != nullptr) return sudo;
  const passwd* entry = getpwuid(getuid());
  return entry != nullptr ? entry->pw_name : "uid-" + std::to_string(getuid());
}

std::string fresh_name() {
  std::uint32_t number = 0;
  if (getrandom(&number, sizeof number, 0) != sizeof number) number = static_cast<std::uint32_t>(getpid());
  char text[20];
  std::snprintf(text, sizeof text, "run-%08x", number);
  return text;
}

// Without a place for the key (a home that cannot be written) the journal is sealed all the same, unsigned.
bool seal_folder_is_there() {
  return make_folder(default_seal_folder()).has_value();
}

// What the command must not see, made first so that it can be hidden. A journal of the caller's own choice is
// hidden file by file.
Result<std::vector<std::string>> hidden_paths(const std::string& journal, bool default_folder) {
  std::vector<std::string> paths{"/run/postern", "/var/lib/postern", default_seal_folder()};
  const std::string folder = std::filesystem::path(journal).parent_path().string();
  if (default_folder) {
    paths.push_back(folder);
    return paths;
  }
  for (const char* suffix : {"", "-wal", "-shm", ".lock"}) {
    const std::string path = journal + suffix;
    const Fd made(open(path.c_str(), O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0640));
    if (!made) return failure("cannot use the journal \"" + path + "\": " + std::strerror(errno));
    paths.push_back(path);
  }
  return paths;
}

// Fails in a working folder that is no more.
Result<std::string> absolute_path(const std::string& path) {
  std::error_code error;
  const auto absolute = std::filesystem::absolute(path, error);
  if (error) return failure("cannot find \"" + path + "\" from the working folder: " + error.message());
  return absolute.lexically_normal().string();
}

// The default journal, or the first of journal-2.db, ... that no other Postern is writing.
struct FreeJournal {
  std::string path;
  FileLock lock;
};
Result<FreeJournal> free_journal(const std::string& folder) {
  constexpr int most = 256;  // commands at once, without a daemon
  for (int i = 1; i <= most; ++i) {
    const std::string path = folder + (i == 1 ? "/journal.db" : "/journal-" + std::to_string(i) + ".db");
    auto lock = FileLock::take(path);
    if (lock) return FreeJournal{path, std::move(*lock)};
    if (lock.error().message.find("another Postern has it") == std::string::npos)
      return tl::unexpected(lock.error());
  }
  return failure("cannot find a free journal in \"" + folder + "\": 256 are in use");
}

void print_summary(const RunFlags& flags, const Sandbox& who, const Json& counters,
                   const std::string& journal, const std::string& protection, const std::string& acted) {
  if (flags.json) {
    Json summary = {{"sandbox", who.name},      {"session", who.session},
                    {"user", who.user},         {"code_sha256", who.code_sha256},
                    {"journal", journal},       {"record_protected", who.record_protected},
                    {"protection", protection}, {"counters", counters}};
    if (!acted.empty()) summary["acted"] = acted;
    std::cerr << summary.dump(-1, ' ', false, Json::error_handler_t::replace) << "\n";
    return;
  }
  if (flags.quiet) return;
  const auto count = [&](const char* key) { return counters.value(key, std::uint64_t{0}); };
  std::cerr << "postern: " << count("queries") << " queries: " << count("allowed") << " allowed ("
            << count("cached") << " from the cache), " << count("blocked") << " blocked, " << count("local")
            << " local";
  if (count("failed") > 0) std::cerr << ", " << count("failed") << " failed";
  if (count("unrecorded") > 0)
    std::cerr << ", " << count("unrecorded")
              << (flags.audit == "relaxed" ? " answered without a record" : " refused unrecorded");
  std::cerr << "; " << count("alerts") << (count("alerts") == 1 ? " alert" : " alerts")
            << "\npostern: recorded as " << who.name << " in " << journal << "\n";
  if (!acted.empty()) std::cerr << "postern: the command was " << acted << "\n";
  if (!who.record_protected)
    std::cerr << "postern: this record is not protected from the command: " << protection << "\n";
}

int run_under_daemon(const RunFlags& flags, Sandbox who, SandboxedCommand& command,
                     const std::string& policy_text, std::vector<SecretValue> secrets) {
  { const Listeners closed = command.take_listeners(); }  // the daemon opens its own
  Json body = {{"name", who.name},          {"session", who.session},
               {"user", who.user},          {"code_sha256", who.code_sha256},
               {"labels", who.labels},      {"policy", who.policy},
               {"pid", command.init_pid()}, {"record_protected", who.record_protected}};
  if (!policy_text.empty()) {
    body["policy_yaml"] = policy_text;
    body["policy_name"] = flags.policy;
  }
  if (!secrets.empty()) body["secrets"] = secrets_json(secrets);
  wipe(secrets);
  if (!flags.overlay.is_empty())
    body["overlay"] = {{"allow", flags.overlay.allow},
                       {"block", flags.overlay.block},
                       {"default", flags.overlay.default_action},
                       {"include", flags.overlay.include}};
  const auto refused = [](const Result<HttpReply>& reply) {
    if (!reply) return reply.error().message;
    const Json said = Json::parse(reply->body, nullptr, false);
    const bool has_error = said.is_object() && said.contains("error") && said["error"].is_string();
    return has_error ? said["error"].get<std::string>() : reply->body;
  };
  auto attached = ask_daemon(flags.control, "POST", "/v1/sandboxes",
                             body.dump(-1, ' ', false, Json::error_handler_t::replace));
  if (!attached || attached->status != 201) return complain(refused(attached));
  if (auto released = command.release(); !released) return complain(released.error().message);
  const int status = command.wait();
  auto gone = ask_daemon(flags.control, "DELETE", "/v1/sandboxes/" + who.name);
  // The daemon may have seen the namespace go first, and then has the counters in its log.
  const Json report = gone && gone->status == 200 ? Json::parse(gone->body, nullptr, false) : Json::object();
  print_summary(flags, who, report.is_object() ? report.value("counters", Json::object()) : Json::object(),
                "the daemon's journal", command.protection(),
                report.is_object() ? report.value("acted", std::string()) : std::string());
  return status;
}

}  // namespace

std::string default_state_folder() {
  if (geteuid() == 0) return "/var/lib/postern";
  if (const char* state = getenv("XDG_STATE_HOME"); state != nullptr && state[0] == '/')
    return std::string(state) + "/postern";
  const char* home = getenv("HOME");
  return std::string(home != nullptr && home[0] == '/' ? home : "/tmp") + "/.local/state/postern";
}

std::string default_seal_folder() {
  return default_state_folder() + "-seal";
}

int run_verb(const RunFlags& flags) {
  spdlog::set_level(spdlog::level::warn);  // the terminal is the command's
  auto labels = parse_labels(flags.labels);
  if (!labels) return complain(labels.error().message);
  Sandbox who;
  who.name = flags.name.empty() ? fresh_name() : flags.name;
  who.session = flags.session;
  who.user = flags.user.empty() ? user_name() : flags.user;
  who.labels = std::move(*labels);
  who.policy = flags.overlay.base;
  if (auto fine = check_sandbox(who); !fine) return complain(fine.error().message);

  // Policy and upstreams are checked before anything is started.
  std::string policy_text;
  std::vector<std::string> list_folders;
  std::shared_ptr<const PolicySet> policies = PolicySet::builtin();
  if (!flags.policy.empty()) {
    auto text = read_text_file(flags.policy);
    if (!text) return complain(text.error().message);
    auto folder = folder_of(flags.policy);
    if (!folder) return complain(folder.error().message);
    list_folders = {*folder};
    auto parsed = PolicySet::parse(*text, flags.policy, lists_unread(list_folders));
    if (!parsed) return complain(parsed.error().message);
    policies = std::move(*parsed);
    policy_text = std::move(*text);
  }
  if (auto with = policies->with(flags.overlay); !with) return complain(with.error().message);
  auto suffixes = load_suffix_list(flags.public_suffix_list);
  if (!suffixes) return complain(suffixes.error().message);
  std::vector<Server> servers;
  for (const std::string& text : flags.upstream) {
    auto server = parse_server(text);
    if (!server) return complain(server.error().message);
    servers.push_back(std::move(*server));
  }
  std::vector<UpstreamGroup> groups;
  for (const std::string& text : flags.upstream_for)
    if (auto added = add_upstream_for(text, groups); !added) return complain(added.error().message);
  std::string alert_exec;
  if (!flags.alert_exec.empty()) {
    auto absolute = absolute_path(flags.alert_exec);
    if (!absolute) return complain(absolute.error().message);
    alert_exec = std::move(*absolute);
    if (access(alert_exec.c_str(), X_OK) != 0)
      return complain("cannot use the alert program \"" + flags.alert_exec + "\": " + std::strerror(errno));
  }

  const auto redact = redaction_of(flags.alert_redact);
  if (!redact) return complain("cannot use --alert-redact: " + redact.error().message);
  if (*redact != Redaction::none && alert_exec.empty() && flags.alert_webhook.empty())
    return complain("--alert-redact is of no use without --alert-exec or --alert-webhook");

  auto secrets = read_secrets(flags.secret_env, flags.secret_file);
  if (!secrets) return complain(secrets.error().message);
  std::vector<Webhook> webhooks;
  if (!flags.alert_webhook.empty()) {
    auto webhook = make_webhook(flags.alert_webhook, flags.alert_webhook_secret, flags.alert_webhook_ca, 0);
    if (!webhook) return complain(webhook.error().message);
    webhook->redact = *redact;
    webhooks.push_back(std::move(*webhook));
    if (auto fine = check_webhooks(webhooks); !fine) return complain(fine.error().message);
  }

  // A running daemon takes the sandbox, unless the caller wants a file, upstreams, a hook, a list or an audit
  // of their own.
  const bool own = !flags.db.empty() || !flags.upstream.empty() || !groups.empty() || !alert_exec.empty() ||
                   !webhooks.empty() || !flags.public_suffix_list.empty() || flags.audit != "strict";
  const bool to_daemon =
      !own && access(flags.control.c_str(), R_OK | W_OK) == 0 && daemon_answers(flags.control);

  std::string journal, folder;
  std::optional<FileLock> lock;  // of a journal that was chosen here; the resolver process takes it over
  bool made_folder = false;
  std::vector<std::string> hide{"/run/postern", "/var/lib/postern", "/var/lib/postern-seal"};
  const bool sealed = !to_daemon && seal_folder_is_there();
  if (!to_daemon) {
    if (auto known = check_upstream_groups(*policies, group_names(groups)); !known)
      return complain(known.error().message);
    if (servers.empty()) {
      if (auto text = read_text_file("/etc/resolv.conf")) servers = parse_resolv_conf(*text);
      if (servers.empty())
        return complain("no upstream: give --upstream, since /etc/resolv.conf names no nameserver");
    }
    if (!flags.db.empty()) {
      auto absolute = absolute_path(flags.db);
      if (!absolute) return complain(absolute.error().message);
      journal = std::move(*absolute);
    }
    folder =
        flags.db.empty() ? default_state_folder() : std::filesystem::path(journal).parent_path().string();
    auto made = make_folder(folder);
    if (!made) return complain(made.error().message);
    made_folder = *made;
    if (journal.empty()) {
      auto found = free_journal(folder);
      if (!found) return complain(found.error().message);
      journal = std::move(found->path);
      lock.emplace(std::move(found->lock));
    }
    if (auto ours = check_journal_is_ours(journal); !ours) return complain(ours.error().message);
    auto paths = hidden_paths(journal, flags.db.empty());
    if (!paths) return complain(paths.error().message);
    hide = std::move(*paths);
  }
  if (const std::string control = std::filesystem::path(flags.control).parent_path().string();
      control != "/run/postern" && to_daemon)
    hide.push_back(flags.control);

  CommandSpec spec;
  spec.argv = flags.command;
  spec.hide = std::move(hide);
  spec.quiet = flags.quiet;
  auto prepared = SandboxedCommand::prepare(spec);
  if (!prepared) return complain(prepared.error().message);
  SandboxedCommand& command = **prepared;

  who.record_protected = command.record_protected();
  if (!command.program().empty()) {
    if (auto code = code_hash(flags.command, command.program())) {
      who.code_sha256 = code->sha256;
    } else {
      spdlog::warn("the code hash stays empty: {}", code.error().message);
    }
  }
  if (to_daemon) return run_under_daemon(flags, std::move(who), command, policy_text, std::move(*secrets));

  LaunchOptions launch;
  service_ids(launch.cell.uid, launch.cell.gid);
  launch.cell.state_folder = folder;
  launch.cell.journal_file = journal;
  launch.cell.own_folder = flags.db.empty() || made_folder;
  auto inside = journal_in_cell(launch.cell);
  if (!inside) return complain(inside.error().message);
  launch.resolver.journal.path = *inside;
  launch.resolver.journal.may_begin_anew = flags.db.empty();  // else its files are hidden one by one
  launch.resolver.audit = flags.audit == "relaxed" ? Audit::relaxed : Audit::strict;
  launch.resolver.suffixes = std::move(*suffixes);
  launch.resolver.servers = servers;
  launch.resolver.groups = groups;
  launch.resolver.policy_file = flags.policy;
  launch.resolver.list_folders = list_folders;
  if (launch.cell.own_folder && !list_folders.empty() &&
      !make_list_cache(folder, launch.cell.uid, launch.cell.gid).empty())
    launch.resolver.list_cache = std::filesystem::path(*inside).replace_filename("lists").string();
  launch.resolver.overlay = flags.overlay;
  launch.resolver.alert_exec = alert_exec;
  launch.resolver.alert_exec_redact = *redact;
  launch.resolver.sign_heads = sealed;
  launch.drain = run_drain;
  launch.own_session = true;
  Listeners listeners = command.take_listeners();
  launch.keep = {listeners.udp.get(), listeners.tcp.get()};
  if (lock) {
    launch.keep.push_back(lock->descriptor());
    launch.resolver.journal.lock = lock->descriptor();
  }
  launch.first = [&](Resolver& resolver) {
    return resolver.attach(who, std::move(listeners), std::move(*secrets));
  };

  BrokerOptions options;
  options.servers = servers;
  options.groups = groups;
  if (flags.upstream.empty()) options.resolv_conf = "/etc/resolv.conf";
  if (!flags.policy.empty()) {
    auto absolute = absolute_path(flags.policy);
    if (!absolute) return complain(absolute.error().message);
    options.policy_files = {std::move(*absolute)};
  }
  options.list_folders = list_folders;
  if (!alert_exec.empty()) options.hooks = {alert_exec};
  options.may_attach = false;
  std::string acted;  // what was done to the command, and why: for the summary
  options.own_act = [&](TreeAction action, const std::string& why) -> Result<void> {
    auto done = command.act(action);
    if (!done) return done;
    acted = (action == TreeAction::kill ? "killed (" : "frozen (") + why + ")";
    if (action == TreeAction::freeze && !flags.quiet)
      std::cerr << "postern: the command is frozen (" << why << "): Ctrl-C ends it, kill -CONT " << getpid()
                << " lets it go on\n";
    return done;
  };
  if (auto added = add_courier(webhooks, launch, options); !added) return complain(added.error().message);
  if (sealed) options.seal.key = default_seal_folder() + "/key";
  options.seal.log = false;
  Broker broker(std::move(options));
  auto launched = launch_resolver(broker, std::move(launch));
  if (!launched) return complain(launched.error().message);
  { const Listeners closed = std::move(listeners); }  // the resolver's now
  wipe(*secrets);                                     // its, too
  lock.reset();

  // The broker serves while we wait for, in turn: the resolver to be ready, then signals and the command's
  // end.
  const Fd events(epoll_create1(EPOLL_CLOEXEC));
  const auto watch = [&](int fd) {
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.fd = fd;
    epoll_ctl(events.get(), EPOLL_CTL_ADD, fd, &event);
  };
  watch(launched->ready.get());
  std::string problem;
  std::optional<int> status;
  broker.serve(launched->pid,
               {.handle_signals = false, .extra = {events.get()}, .on_extra = [&](std::size_t) {
                  epoll_event event{};
                  if (epoll_wait(events.get(), &event, 1, 0) <= 0) return true;
                  if (event.data.fd == launched->ready.get()) {
                    epoll_ctl(events.get(), EPOLL_CTL_DEL, launched->ready.get(), nullptr);
                    problem = read_ready(launched->ready);
                    if (problem.empty())
                      if (auto released = command.release(); !released) problem = released.error().message;
                    if (!problem.empty()) {
                      broker.ask_stop();
                      return false;
                    }
                    watch(command.pidfd());
                    watch(command.signal_fd());
                  } else if (event.data.fd == command.signal_fd()) {
                    command.pass_signals();
                  } else {
                    status = command.wait();
                    broker.ask_stop();
                    return false;
                  }
                  return true;
                }});
  if (!problem.empty()) return complain(problem);
  if (!status) {
    std::cerr << "postern: the resolver process has ended; the command gets no more answers\n";
    status = command.wait();
  }
  const Json counters = Json::parse(broker.last_report(), nullptr, false);
  print_summary(flags, who, counters.is_object() ? counters : Json::object(), journal, command.protection(),
                acted);
  return *status;
}

}  // namespace postern

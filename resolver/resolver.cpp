// The resolver process: attaches sandboxes to shards, keeps policy, ends cleanly.
#include "resolver/resolver.h"

#include <spdlog/spdlog.h>
#include <sys/random.h>
#include <time.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <nlohmann/json.hpp>
#include <thread>
#include <tuple>

#include "resolver/control/alert_redaction.h"
#include "resolver/control/list_source.h"
#include "resolver/control/report_json.h"
#include "resolver/courier/courier_wire.h"
#include "rules/explain.h"
#include "rules/list.h"
#include "rules/public_suffix.h"
#include "rules/quote.h"
#include "rules/sandbox_check.h"

namespace postern {
namespace {

std::int64_t unix_us() {
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  return static_cast<std::int64_t>(now.tv_sec) * 1'000'000 + now.tv_nsec / 1000;
}

// What the journal calls it.
std::string exec_hook_name(const std::string& program) {
  return "exec " + program;
}

AlertHook alert_hook(std::string name, Redaction level, const std::string& key) {
  if (level == Redaction::none) return {std::move(name)};
  return {std::move(name),
          [level, key](const std::string& object) { return redacted_alert(object, level, key); }};
}

}  // namespace

struct Resolver::Threads {
  std::vector<std::thread> all;
};

Result<std::unique_ptr<Resolver>> Resolver::start(ResolverOptions options,
                                                  std::unique_ptr<BrokerClient> broker) {
  std::unique_ptr<Resolver> resolver(new Resolver);
  Resolver& r = *resolver;
  r.options_ = std::move(options);
  r.broker_ = std::move(broker);
  r.threads_ = std::make_unique<Threads>();
  r.threads_->all.reserve(r.options_.workers);
  r.to_keep_ = std::make_unique<ListsToKeep>(r.options_.list_cache);
  auto policies = r.load_policies();
  if (!policies) return tl::unexpected(policies.error());
  r.take_policies(std::move(*policies));
  r.fingerprint_key_.resize(32);
  if (getrandom(r.fingerprint_key_.data(), r.fingerprint_key_.size(), 0) != 32)
    return failure(std::string("cannot draw a random key: ") + std::strerror(errno));
  std::vector<AlertHook>& hooks = r.options_.journal.hooks;
  if (!r.options_.alert_exec.empty())
    hooks.push_back(
        alert_hook(exec_hook_name(r.options_.alert_exec), r.options_.alert_exec_redact, r.fingerprint_key_));
  for (const Webhook& webhook : r.options_.webhooks)
    hooks.push_back(alert_hook(webhook.name(), webhook.redact, r.fingerprint_key_));
  if (r.options_.sign_heads) {
    auto channel = r.broker_->another();
    if (!channel) return tl::unexpected(channel.error());
    r.options_.journal.sign = [notary = std::shared_ptr<BrokerClient>(std::move(*channel))](
                                  const HeadToSign& head) { return notary->sign_head(head); };
  }
  auto journal = Journal::open(r.options_.journal);
  if (!journal) return tl::unexpected(journal.error());
  r.journal_ = std::move(*journal);
  r.parts_ = MeterParts::builtin();
  r.parts_.suffixes = r.options_.suffixes;
  for (unsigned i = 0; i < r.options_.workers; ++i) {
    auto channel = r.broker_->another();
    if (!channel) return tl::unexpected(channel.error());
    auto shard = Shard::make(*r.journal_, std::move(*channel), r.options_.servers, r.options_.groups, {},
                             r.parts_, r.options_.audit);
    if (!shard) return tl::unexpected(shard.error());
    r.shards_.push_back(std::move(*shard));
  }
  for (const auto& shard : r.shards_) r.threads_->all.emplace_back([&shard = *shard] { shard.run(); });
  r.to_keep_->write();
  return resolver;
}

void Resolver::stop_shards() {
  if (threads_->all.empty()) return;
  for (const auto& shard : shards_) shard->stop();
  for (std::thread& thread : threads_->all) thread.join();
  threads_->all.clear();
}

void Resolver::end() {
  while (!places_.empty()) (void)detach(std::string(places_.begin()->first));
  if (auto told = broker_->report(summary_json()); !told)
    spdlog::warn("no summary: {}", told.error().message);
  stop_shards();
}

Resolver::~Resolver() {
  stop_shards();
  journal_.reset();  // its last callbacks post to the shards, which are still there
  shards_.clear();
}

Result<void> Resolver::check_groups(const PolicySet& policies) const {
  std::vector<std::string> names;
  for (const UpstreamGroup& group : options_.groups) names.push_back(group.name);
  return check_upstream_groups(policies, names);
}

Result<std::shared_ptr<const PolicySet>> Resolver::load_policies() {
  std::shared_ptr<const PolicySet> set = PolicySet::builtin();
  if (!options_.policy_file.empty()) {
    auto text = broker_->read_policy(0);
    if (!text) return tl::unexpected(text.error());
    auto parsed = PolicySet::parse(*text, options_.policy_file,
                                   lists_from_broker(*broker_, options_.list_folders, *to_keep_));
    if (!parsed) return tl::unexpected(parsed.error());
    if (auto known = check_groups(**parsed); !known) return tl::unexpected(known.error());
    set = std::move(*parsed);
  }
  const PolicySet::Overlay& overlay = options_.overlay;
  if (overlay.is_empty()) return set;
  return set->with(overlay);
}

void Resolver::take_policies(std::shared_ptr<const PolicySet> policies) {
  policies_ = std::move(policies);
  lists_.clear();
  for (const std::string& name : policies_->names()) {
    for (const ListOutline& one : policies_->find(name)->outline().lists) {
      const bool known = std::any_of(lists_.begin(), lists_.end(),
                                     [&](const ListMetrics& list) { return list.file == one.request.file; });
      if (known) continue;
      const ListReport& report = one.list->report();
      lists_.push_back({one.request.file, report.entries, report.skipped_lines()});
      spdlog::info("list {}: {} entries, {} of {} lines skipped", one.request.file, report.entries,
                   report.skipped_lines(), report.lines);
    }
  }
  ++policy_loads_.succeeded;
  policy_loads_.last_success = unix_us() / 1'000'000;
  policy_loads_.error.clear();
}

Result<void> Resolver::reload() {
  auto loaded = load_policies();
  Pipeline::OverlaidPolicies overlaid;
  for (const auto& [name, place] : places_) {
    if (!loaded || place.own_policy) continue;
    if (!(*loaded)->find(place.policy)) {
      loaded = failure("cannot reload " + options_.policy_file + ": it has no policy \"" + place.policy +
                       "\", which sandbox \"" + name + "\" is under");
    } else if (place.overlay) {
      if (const auto with = (*loaded)->with(*place.overlay))
        overlaid.emplace(name, (*with)->find(place.policy));
      else
        loaded = failure("cannot reload " + options_.policy_file + ": sandbox \"" + name +
                         "\" has rules of its own, and: " + with.error().message);
    }
  }
  if (!loaded) {
    to_keep_->drop();
    ++policy_loads_.failed;
    policy_loads_.error = loaded.error().message;
    spdlog::error("policy not reloaded, the old one stays: {}", policy_loads_.error);
    return tl::unexpected(loaded.error());
  }
  take_policies(std::move(*loaded));
  for (const auto& shard : shards_) shard->set_policies(policies_, overlaid);
  to_keep_->write();
  spdlog::info("policy reloaded{}", options_.policy_file.empty() ? "" : " from " + options_.policy_file);
  return {};
}

void Resolver::set_servers(std::vector<Server> servers) {
  options_.servers = servers;
  for (const auto& shard : shards_) shard->set_servers(servers);
}

Result<void> Resolver::attach(AttachRequest request) {
  if (auto fine = check_sandbox(request.who); !fine) return fine;
  if (places_.contains(request.who.name))
    return failure("cannot attach: a sandbox \"" + request.who.name + "\" is attached already");
  if ((request.pid > 0) == !request.netns_path.empty())
    return failure("cannot attach: give either a pid or a netns path");

  std::shared_ptr<const PolicySet> set = policies_;
  Place as;
  as.own_policy = !request.policy_yaml.empty();
  if (!request.policy_yaml.empty()) {
    auto parsed = PolicySet::parse(request.policy_yaml, request.policy_name);
    if (!parsed) return tl::unexpected(parsed.error());
    if (auto known = check_groups(**parsed); !known) return known;
    set = std::move(*parsed);
  }
  if (request.overlay) {
    request.overlay->base = request.who.policy;
    auto with = set->with(*request.overlay);
    if (!with) return tl::unexpected(with.error());
    set = std::move(*with);
    as.overlay = std::move(request.overlay);
  }
  auto policy = set->find(request.who.policy);
  if (!policy) return failure("cannot attach: there is no policy " + quoted(request.who.policy));

  auto secrets = secrets_for(request.who, std::move(request.secrets));
  if (!secrets) return tl::unexpected(secrets.error());
  as.token = next_token_++;
  const std::uint64_t token = as.token;
  auto listeners = request.pid > 0 ? broker_->attach_pid(token, request.pid)
                                   : broker_->attach_path(token, request.netns_path);
  if (!listeners) return tl::unexpected(listeners.error());
  auto placed = place(std::move(request.who), std::move(*listeners), std::move(policy), std::move(as),
                      std::move(*secrets));
  if (!placed) (void)broker_->detach(token);
  return placed;
}

Result<void> Resolver::attach(Sandbox who, Listeners listeners, std::vector<SecretValue> secrets) {
  if (auto fine = check_sandbox(who); !fine) return fine;
  auto policy = policies_->find(who.policy);
  if (!policy) return failure("there is no policy \"" + who.policy + "\"");
  auto all = secrets_for(who, std::move(secrets));
  if (!all) return tl::unexpected(all.error());
  return place(std::move(who), std::move(listeners), std::move(policy), Place(), std::move(*all));
}

// The session's secrets and those, as one index; null if there are no more. Values are in no message.
Result<std::shared_ptr<const SecretSet>> Resolver::secrets_for(const Sandbox& who,
                                                               std::vector<SecretValue> more) {
  if (more.empty()) return nullptr;
  if (const auto had = shards_[shard_of(who)]->secrets_of(who))
    more.insert(more.begin(), had->values().begin(), had->values().end());
  return SecretSet::make(std::move(more), fingerprint_key_, *parts_.code->tables().model);
}

Result<void> Resolver::place(Sandbox who, Listeners listeners, std::shared_ptr<const Policy> policy,
                             Place place, std::shared_ptr<const SecretSet> secrets) {
  if (who.policy.empty()) who.policy = policy->name();
  SessionPast past;
  if (!shards_[shard_of(who)]->remembers(who)) {  // what was spent before is read before anything is asked
    auto read = past_of(who, *policy);
    if (!read) return tl::unexpected(read.error());
    past = std::move(*read);
  }
  auto row = journal_->attach(who, unix_us());
  if (!row) return tl::unexpected(row.error());
  place.shard = shard_of(who);
  place.policy = who.policy;
  spdlog::info("sandbox {} attached: session \"{}\", user \"{}\", policy {}", who.name, who.session, who.user,
               who.policy);
  const std::string name = who.name;
  shards_[place.shard]->attach(std::move(who), *row, std::move(policy), place.own_policy,
                               std::move(listeners), past, std::move(secrets), place.token);
  places_[name] = std::move(place);
  return {};
}

// All sandboxes of a user are on one shard, because their ledgers nest.
std::size_t Resolver::shard_of(const Sandbox& who) const {
  return std::hash<std::string>{}(who.user.empty() ? who.session : who.user) % shards_.size();
}

Result<SessionPast> Resolver::past_of(const Sandbox& who, const Policy& policy) {
  const std::string session = session_text(who);
  auto past = journal_->past(who.user, session);
  if (!past || past->snapshot.octets.empty()) return past;
  SessionMeter trial(policy.budgets(), parts_.code, parts_.known);
  const auto restored = trial.restore(past->snapshot.octets);
  if (restored) return past;
  spdlog::warn("session \"{}\": {}; its budgets are rebuilt from its rows", session,
               restored.error().message);
  return journal_->past(who.user, session, true);
}

std::vector<Pipeline::SessionLeak> Resolver::leaks() {
  std::vector<Pipeline::SessionLeak> all;
  for (const auto& shard : shards_)
    for (Pipeline::SessionLeak& leak : shard->leaks()) all.push_back(std::move(leak));
  std::sort(all.begin(), all.end(), [](const auto& a, const auto& b) {
    return std::tie(a.session, a.user) < std::tie(b.session, b.user);
  });
  return all;
}

Result<LeakGrant> Resolver::grant(LeakGrant wanted) {
  const auto bad = [&](const std::string& why) {
    return failure("cannot grant anything to session " + quoted(wanted.session) + ": " + why);
  };
  if (wanted.octets == 0) return bad("give the octets");
  if (!wanted.zone.empty() && wanted.zone != LeakGrant::for_answers) {
    const auto zone = Name::parse(wanted.zone);
    if (!zone) return bad(zone.error().message);
    wanted.zone = zone->text();
  }
  auto users = journal_->users_of(wanted.session);
  if (!users) return tl::unexpected(users.error());
  if (!wanted.user.empty())
    std::erase_if(*users, [&](const std::string& user) { return user != wanted.user; });
  if (users->empty()) return bad("nobody has had such a session");
  if (users->size() > 1) {
    std::string names;
    for (const std::string& user : *users) names += (names.empty() ? "\"" : ", \"") + user + "\"";
    return bad("it is a session of " + names + "; name the user");
  }
  wanted.user = users->front();
  for (const auto& shard : shards_)
    if (const auto may = shard->may_grant(wanted); !may) return bad(may.error().message);
  wanted.time_us = unix_us();
  const auto id = journal_->grant(wanted);
  if (!id) return tl::unexpected(id.error());
  wanted.id = *id;
  for (const auto& shard : shards_)
    if (auto granted = shard->grant(wanted); !granted) return tl::unexpected(granted.error());
  spdlog::info("granted {} octets to {} of session \"{}\", user \"{}\"", wanted.octets,
               wanted.zone.empty()                     ? "the whole"
               : wanted.zone == LeakGrant::for_answers ? "the answers"
                                                       : "zone " + wanted.zone,
               wanted.session, wanted.user);
  return wanted;
}

Result<SandboxReport> Resolver::detach(const std::string& name) {
  const auto at = places_.find(name);
  if (at == places_.end()) return failure("cannot detach: there is no sandbox \"" + name + "\"");
  const Place place = at->second;
  places_.erase(at);
  auto gone = shards_[place.shard]->detach(name);
  if (place.token != 0) (void)broker_->detach(place.token);
  POSTERN_CHECK(gone.has_value());
  journal_->detach(gone->second, unix_us());
  add(gone_, gone->first.counters);
  spdlog::info("sandbox {} detached after {} queries", name, gone->first.counters.queries);
  return std::move(gone->first);
}

Result<void> Resolver::thaw(const std::string& name) {
  const auto at = places_.find(name);
  if (at == places_.end()) return failure("cannot thaw: there is no sandbox \"" + name + "\"");
  Shard& shard = *shards_[at->second.shard];
  // Where nothing was frozen there may be no process to thaw: the quarantine alone is lifted.
  const auto thawed = broker_->act(at->second.token, TreeAction::thaw, "an operator");
  if (!thawed && shard.is_frozen(name))
    return failure("cannot thaw sandbox \"" + name + "\": " + thawed.error().message);
  shard.lift_quarantine(name);
  spdlog::info("sandbox {} goes on, and its session may ask again", name);
  return {};
}

void Resolver::namespace_gone(std::uint64_t token) {
  for (const auto& [name, place] : places_) {
    if (place.token != token) continue;
    spdlog::info("the namespace of sandbox {} is gone", name);
    (void)detach(std::string(name));
    return;
  }
}

std::vector<Dispatcher::Hook> Resolver::alert_hooks(int courier) {
  // The broker's own limit is 10 s; an event is there at once.
  constexpr std::int64_t exec_limit_us = 30'000'000;
  std::vector<Dispatcher::Hook> hooks;
  if (!options_.alert_exec.empty())
    hooks.push_back({exec_hook_name(options_.alert_exec),
                     [this](const Delivery& one) {
                       return broker_->start_hook(0, one.body, static_cast<std::uint64_t>(one.id));
                     },
                     exec_limit_us});
  // An attempt is over within the webhook's own time limit; then its answer is there at once.
  constexpr std::int64_t courier_slack_us = 5'000'000;
  for (std::size_t i = 0; i < options_.webhooks.size(); ++i) {
    const Webhook& webhook = options_.webhooks[i];
    const std::int64_t limit = std::chrono::microseconds(webhook.timeout).count() + courier_slack_us;
    hooks.push_back(
        {webhook.name(),
         [courier, i](const Delivery& one) { return send_order(courier, one.id, i, one.uid, one.body); },
         limit});
  }
  return hooks;
}

std::vector<SandboxReport> Resolver::sandboxes() {
  std::vector<SandboxReport> all;
  for (const auto& shard : shards_)
    for (SandboxReport& report : shard->report().sandboxes) all.push_back(std::move(report));
  std::sort(all.begin(), all.end(),
            [](const SandboxReport& a, const SandboxReport& b) { return a.who.name < b.who.name; });
  return all;
}

std::string Resolver::status_json() {
  std::vector<ShardReport> reports;
  for (const auto& shard : shards_) reports.push_back(shard->report());
  nlohmann::ordered_json servers = nlohmann::ordered_json::array();
  for (const Server& server : options_.servers) servers.push_back(server.text());
  nlohmann::ordered_json status = {
      {"version", POSTERN_VERSION},
      {"upstream", servers},
      {"policies", policies_->names()},
      {"policy_file", options_.policy_file},
      {"policy_error", policy_loads_.error},
      {"public_suffix_list", options_.suffixes->version()},
      {"public_suffix_list_days", (unix_us() / 1'000'000 - options_.suffixes->date()) / 86400},
      {"audit", options_.audit == Audit::strict ? "strict" : "relaxed"},
      {"journal", to_json(journal_->stats())},
      {"path", to_json(reports)}};
  return status.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n";
}

std::string Resolver::metrics() {
  std::vector<ShardReport> reports;
  for (const auto& shard : shards_) reports.push_back(shard->report());
  return metrics_text(reports, gone_, journal_->stats(), policy_loads_, lists_);
}

std::string Resolver::summary_json() {
  return to_json(gone_).dump();
}

}  // namespace postern

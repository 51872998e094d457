// Counters as JSON: each struct is listed once, as a table of names and members.
#include "resolver/control/report_json.h"

#include <array>
#include <utility>

namespace postern {
namespace {

template <class Struct>
using Field = std::pair<const char*, std::uint64_t Struct::*>;

constexpr std::array<Field<SandboxCounters>, 14> sandbox_fields{{
    {"queries", &SandboxCounters::queries},
    {"allowed", &SandboxCounters::allowed},
    {"blocked", &SandboxCounters::blocked},
    {"local", &SandboxCounters::local},
    {"cached", &SandboxCounters::cached},
    {"forwarded", &SandboxCounters::forwarded},
    {"failed", &SandboxCounters::failed},
    {"malformed", &SandboxCounters::malformed},
    {"over_limit", &SandboxCounters::over_limit},
    {"unrecorded", &SandboxCounters::unrecorded},
    {"alerts", &SandboxCounters::alerts},
    {"over_budget", &SandboxCounters::over_budget},
    {"secrets", &SandboxCounters::secrets},
    {"refreshed", &SandboxCounters::refreshed},
}};
constexpr std::array<Field<Pipeline::Counters>, 8> pipeline_fields{{
    {"received", &Pipeline::Counters::received},
    {"dropped", &Pipeline::Counters::dropped},
    {"formerr", &Pipeline::Counters::formerr},
    {"notimp", &Pipeline::Counters::notimp},
    {"badvers", &Pipeline::Counters::badvers},
    {"over_limit", &Pipeline::Counters::over_limit},
    {"unrecorded", &Pipeline::Counters::unrecorded},
    {"coalesced", &Pipeline::Counters::coalesced},
}};
constexpr std::array<Field<Forwarder::Counters>, 10> forwarder_fields{{
    {"questions", &Forwarder::Counters::questions},
    {"sent_udp", &Forwarder::Counters::sent_udp},
    {"sent_tcp", &Forwarder::Counters::sent_tcp},
    {"timeouts", &Forwarder::Counters::timeouts},
    {"errors", &Forwarder::Counters::errors},
    {"case_differs", &Forwarder::Counters::case_differs},
    {"truncated", &Forwarder::Counters::truncated},
    {"not_ours", &Forwarder::Counters::not_ours},
    {"malformed", &Forwarder::Counters::malformed},
    {"failovers", &Forwarder::Counters::failovers},
}};
constexpr std::array<Field<ListenerCounters>, 7> listener_fields{{
    {"looped", &ListenerCounters::looped},
    {"foreign", &ListenerCounters::foreign},
    {"oversized", &ListenerCounters::oversized},
    {"unsent", &ListenerCounters::unsent},
    {"connections", &ListenerCounters::connections},
    {"connections_closed_full", &ListenerCounters::connections_closed_full},
    {"connections_closed_idle", &ListenerCounters::connections_closed_idle},
}};

template <class Struct, class Table>
void put(nlohmann::ordered_json& to, const Struct& from, const Table& table) {
  for (const auto& [name, member] : table) to[name] = to.value(name, std::uint64_t{0}) + from.*member;
}

}  // namespace

void add(SandboxCounters& to, const SandboxCounters& from) {
  for (const auto& [name, member] : sandbox_fields) to.*member += from.*member;
}

nlohmann::ordered_json to_json(const SandboxCounters& counters) {
  nlohmann::ordered_json json = nlohmann::ordered_json::object();
  put(json, counters, sandbox_fields);
  return json;
}

nlohmann::ordered_json to_json(const SandboxReport& report) {
  nlohmann::ordered_json json = {{"name", report.who.name},
                                 {"session", report.who.session},
                                 {"user", report.who.user},
                                 {"code_sha256", report.who.code_sha256},
                                 {"labels", report.who.labels},
                                 {"policy", report.who.policy},
                                 {"record_protected", report.who.record_protected},
                                 {"quarantined", report.quarantined},
                                 {"quarantine", report.quarantine},
                                 {"acted", report.acted},
                                 {"blocked_zones", report.blocked_zones},
                                 {"leak_bits", report.leak_bits},
                                 {"leak_budget_bits", report.leak_budget_bits},
                                 {"in_flight", report.in_flight},
                                 {"cache_entries", report.cache_entries},
                                 {"cache_octets", report.cache_octets}};
  json["counters"] = to_json(report.counters);
  return json;
}

nlohmann::ordered_json to_json(const Pipeline::SessionLeak& leak) {
  nlohmann::ordered_json ledgers = nlohmann::ordered_json::array();
  const auto put_ledger = [&](LedgerKind kind, const std::string& name, double used_bits,
                              double budget_bits) {
    nlohmann::ordered_json one = {{"ledger", ledger_text(kind)}, {"name", name}, {"used_bits", used_bits}};
    const bool bounded = budget_bits < static_cast<double>(unlimited_bits);
    one["budget_bits"] = bounded ? nlohmann::ordered_json(budget_bits) : nlohmann::ordered_json();
    one["percent"] = !bounded          ? nlohmann::ordered_json()
                     : budget_bits > 0 ? nlohmann::ordered_json(used_bits * 100 / budget_bits)
                                       : nlohmann::ordered_json(100.0);
    ledgers.push_back(std::move(one));
  };
  const auto put_amount = [&](LedgerKind kind, const std::string& name,
                              const Pipeline::SessionLeak::Amount& amount) {
    put_ledger(kind, name, static_cast<double>(amount.used) / 1000, static_cast<double>(amount.limit) / 1000);
  };
  put_amount(LedgerKind::session, leak.session, leak.whole);
  if (leak.has_payer) put_amount(LedgerKind::user, leak.user, leak.payer);
  for (const auto& [name, amount] : leak.boxes) put_amount(LedgerKind::sandbox, name, amount);
  put_amount(LedgerKind::answers, "", leak.answers);
  for (const SessionMeter::ZoneUse& zone : leak.zones)
    put_ledger(zone.is_parent ? LedgerKind::parent : LedgerKind::zone, zone.zone.text(), zone.used_bits,
               zone.budget_bits);
  return {{"session", leak.session},         {"user", leak.user},
          {"policy", leak.policy},           {"sandboxes", leak.sandboxes},
          {"quarantined", leak.quarantined}, {"quarantine", leak.quarantine},
          {"refused", leak.refused},         {"granted_octets", leak.whole.granted},
          {"ledgers", std::move(ledgers)}};
}

nlohmann::ordered_json to_json(const Journal::Stats& stats) {
  return {{"committed_rows", stats.committed_rows},
          {"commits", stats.commits},
          {"failed_commits", stats.failed_commits},
          {"refused_rows", stats.refused_rows},
          {"lost_outcomes", stats.lost_outcomes},
          {"lost_alerts", stats.lost_alerts},
          {"pending_rows", stats.pending_rows},
          {"oldest_pending_us", stats.oldest_pending_us},
          {"checkpoint_stall_us_max", stats.checkpoint_stall_us_max},
          {"checkpoint_failures", stats.checkpoint_failures},
          {"wal_octets", stats.wal_octets},
          {"dropped_deliveries", stats.dropped_deliveries},
          {"wal_held", stats.wal_held},
          {"wal_reader", stats.wal_reader},
          {"sync", stats.sync_full ? "full" : "normal"},
          {"outages", stats.outages},
          {"outage_since_us", stats.outage_since_us},
          {"answered_unrecorded", stats.answered_unrecorded},
          {"new_files", stats.new_files},
          {"set_aside", stats.set_aside},
          {"used_octets", stats.used_octets},
          {"oldest_us", stats.oldest_us},
          {"pruned_rows", stats.pruned_rows},
          {"pruned_alerts", stats.pruned_alerts},
          {"last_prune_us", stats.last_prune_us},
          {"prune_error", stats.prune_error},
          {"pruned_sums", stats.pruned_sums},
          {"prune_step_us_max", stats.prune_step_us_max},
          {"keep_queries_us", stats.keep.queries_us},
          {"keep_alerts_us", stats.keep.alerts_us},
          {"keep_octets", stats.keep.octets},
          {"rest_too_large", stats.rest_too_large},
          {"held_seals", stats.held_seals},
          {"sealed_blocks", stats.sealed_blocks},
          {"signed_heads", stats.signed_heads},
          {"unsigned_heads", stats.unsigned_heads},
          {"writable", stats.writable},
          {"last_error", stats.last_error}};
}

nlohmann::ordered_json to_json(const std::vector<ShardReport>& shards) {
  nlohmann::ordered_json json = nlohmann::ordered_json::object();
  for (const char* part : {"pipeline", "forwarder", "listener"})
    json[part] = nlohmann::ordered_json::object();
  bool stalled = false;
  for (const ShardReport& shard : shards) {
    put(json["pipeline"], shard.pipeline, pipeline_fields);
    put(json["forwarder"], shard.forwarder, forwarder_fields);
    put(json["listener"], shard.listener, listener_fields);
    stalled = stalled || shard.journal_stalled;
  }
  json["journal_stalled"] = stalled;
  return json;
}

}  // namespace postern

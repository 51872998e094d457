// Metrics as text: one block for each name, HELP and TYPE first.
#include "resolver/control/metrics.h"

#include <nlohmann/json.hpp>

#include "resolver/control/report_json.h"

namespace postern {
namespace {

// A label's value: backslash, quote and newline are escaped.
std::string label(const std::string& value) {
  std::string out = "\"";
  for (const char c : value) {
    if (c == '\\' || c == '"') out += '\\';
    if (c == '\n')
      out += "\\n";
    else
      out += c;
  }
  return out + "\"";
}

class Writer {
 public:
  // A metric's head; its samples follow.
  void metric(const std::string& name, const char* kind, const char* help) {
    name_ = "postern_" + name;
    out_ += "# HELP " + name_ + " " + help + "\n# TYPE " + name_ + " " + kind + "\n";
  }
  template <class Number>
  void sample(Number value, const std::string& labels = {}) {
    out_ += name_ + (labels.empty() ? "" : "{" + labels + "}") + " " + std::to_string(value) + "\n";
  }
  template <class Number>
  void one(const std::string& name, const char* kind, const char* help, Number value) {
    metric(name, kind, help);
    sample(value);
  }
  // Every member of a JSON object of numbers, as samples of one metric.
  void each(const nlohmann::ordered_json& counters, const std::string& key) {
    for (const auto& [name, value] : counters.items())
      sample(value.get<std::uint64_t>(), key + "=" + label(name));
  }
  std::string take() { return std::move(out_); }

 private:
  std::string name_, out_;
};

}  // namespace

std::string metrics_text(const std::vector<ShardReport>& shards, const SandboxCounters& gone,
                         const Journal::Stats& journal, const PolicyLoads& loads,
                         const std::vector<ListMetrics>& lists) {
  SandboxCounters all = gone;
  std::size_t sandboxes = 0, quarantined = 0;
  for (const ShardReport& shard : shards) {
    for (const SandboxReport& sandbox : shard.sandboxes) {
      add(all, sandbox.counters);
      ++sandboxes;
      quarantined += sandbox.quarantined;
    }
  }
  Writer out;
  out.metric("build_info", "gauge", "Always 1; the version is a label.");
  out.sample(1, "version=" + label(POSTERN_VERSION));
  out.one("sandboxes", "gauge", "Attached sandboxes.", sandboxes);
  out.one("sandboxes_quarantined", "gauge", "Attached sandboxes whose session may not ask any more.",
          quarantined);
  // Queries that were asked are allowed, blocked or local; the other members tell more of them.
  out.metric("sandbox_events_total", "counter", "Queries of all sandboxes, by what became of them.");
  out.each(to_json(all), "event");

  const nlohmann::ordered_json path = to_json(shards);
  out.metric("pipeline_events_total", "counter", "Messages from sandboxes, by what became of them.");
  out.each(path["pipeline"], "event");
  out.metric("forwarder_events_total", "counter", "Messages to and from upstreams.");
  out.each(path["forwarder"], "event");
  out.metric("listener_events_total", "counter", "What listening sockets saw.");
  out.each(path["listener"], "event");

  out.metric("policy_loads_total", "counter", "Attempts to load the policy file, the first one included.");
  out.sample(loads.succeeded, "result=\"success\"");
  out.sample(loads.failed, "result=\"failure\"");
  out.one("policy_last_load_successful", "gauge",
          "0: the last load failed, and the policy before it is in force.", loads.error.empty() ? 1 : 0);
  out.one("policy_last_load_success_timestamp_seconds", "gauge", "When the policy in force was loaded.",
          loads.last_success);
  if (!lists.empty()) {
    out.metric("list_entries", "gauge", "Entries of a list in force.");
    for (const ListMetrics& list : lists) out.sample(list.entries, "list=" + label(list.file));
    out.metric("list_skipped_lines", "gauge",
               "Lines of a list in force that say nothing that Postern knows.");
    for (const ListMetrics& list : lists) out.sample(list.skipped_lines, "list=" + label(list.file));
  }

  out.one("journal_writable", "gauge",
          "0: the last commit failed, and queries get SERVFAIL (audit: strict) or no record (relaxed).",
          journal.writable ? 1 : 0);
  out.one("journal_outages_total", "counter", "Times that the journal became unwritable.", journal.outages);
  out.one("journal_answered_unrecorded_total", "counter",
          "Queries answered although they are not on record (audit: relaxed).", journal.answered_unrecorded);
  out.one("journal_new_files_total", "counter",
          "Journals begun in the place of one that was lost or damaged.", journal.new_files);
  out.one("journal_rows_total", "counter", "Queries on record since the start.", journal.committed_rows);
  out.one("journal_commits_total", "counter", "Transactions since the start.", journal.commits);
  out.one("journal_failed_commits_total", "counter", "Transactions that failed.", journal.failed_commits);
  out.one("journal_refused_rows_total", "counter", "Queries that found no room to wait.",
          journal.refused_rows);
  out.one("journal_lost_outcomes_total", "counter",
          "Outcomes that were dropped; their queries are on record.", journal.lost_outcomes);
  out.one("journal_lost_alerts_total", "counter", "Alerts that found no room to wait; the hook was told.",
          journal.lost_alerts);
  out.one("journal_checkpoint_failures_total", "counter", "Checkpoints that met an error of the disk.",
          journal.checkpoint_failures);
  out.one("journal_checkpoint_stall_microseconds_max", "gauge",
          "The longest that the writer has waited for a checkpoint.", journal.checkpoint_stall_us_max);
  out.one("journal_oldest_pending_microseconds", "gauge",
          "How long the oldest batch waits by now; a stalled disk shows here.", journal.oldest_pending_us);
  out.one("journal_wal_held", "gauge",
          "1: a reader of an old state keeps the write-ahead log from starting over, beyond its limit.",
          journal.wal_held ? 1 : 0);
  out.one("journal_pending_rows", "gauge", "Queries that wait for the journal.", journal.pending_rows);
  out.one("journal_wal_bytes", "gauge", "Size of the write-ahead log in use.", journal.wal_octets);
  out.one("journal_used_bytes", "gauge", "Of the journal's file, free pages apart.", journal.used_octets);
  out.one("journal_limit_bytes", "gauge", "What journal_keep lets it use; 0: no limit.", journal.keep.octets);
  out.one("journal_rest_too_large", "gauge",
          "1: beyond its limit, and nothing is left that retention may remove.",
          journal.rest_too_large ? 1 : 0);
  out.one("journal_oldest_query_timestamp_seconds", "gauge", "Time of the oldest query on record; 0: none.",
          journal.oldest_us / 1'000'000);
  out.one("journal_pruned_rows_total", "counter", "Queries that retention has removed.", journal.pruned_rows);
  out.one("journal_pruned_alerts_total", "counter", "Alerts that retention has removed.",
          journal.pruned_alerts);
  out.one("journal_pruned_sums_total", "counter", "Sums of a day that retention has removed.",
          journal.pruned_sums);
  out.one("journal_prune_step_microseconds_max", "gauge",
          "The longest that commits have waited for a step of retention.", journal.prune_step_us_max);
  out.one("journal_last_prune_timestamp_seconds", "gauge", "When retention last removed queries; 0: not yet.",
          journal.last_prune_us / 1'000'000);
  out.one("journal_prune_failed", "gauge", "1: the last step of retention failed; it is tried again.",
          journal.prune_error.empty() ? 0 : 1);
  out.one("journal_sealed_blocks_total", "counter", "Blocks of records sealed since the start.",
          journal.sealed_blocks);
  out.one("journal_signed_heads_total", "counter", "Blocks whose head was signed since the start.",
          journal.signed_heads);
  out.one("journal_unsigned_heads_total", "counter", "Heads whose signature was asked for in vain.",
          journal.unsigned_heads);
  out.one("journal_seals_held", "gauge", "1: seals of what is gone stay, since something does not fit them.",
          journal.held_seals.empty() ? 0 : 1);
  return out.take();
}

}  // namespace postern

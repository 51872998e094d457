// What `postern replay` prints: a readable table, or lines of JSON; made from values.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "resolver/control/replay_reader.h"
#include "resolver/control/replay_session.h"

namespace postern {

// All clients of a recording, each a session of its own.
class Replay {
 public:
  // A recording of more is passed over from there on: each takes about 2 KiB before its first query.
  static constexpr std::size_t max_clients = 200'000;
  // Logs are not written in the order of asking: Zeek's wait for answers. Time stands still over a step back
  // of up to this; after a longer one (another file) it goes on from where it was.
  static constexpr std::chrono::microseconds step_back = std::chrono::minutes(10);

  explicit Replay(ReplayRules rules) : rules_(std::make_shared<const ReplayRules>(std::move(rules))) {}

  // Nothing where there are too many clients.
  std::optional<SessionReplay::Step> ask(const RecordedQuery& query);
  void finish();  // the recording is over: what was in use until then is refreshed until then

  const ReplayRules& rules() const noexcept { return *rules_; }
  std::uint64_t queries() const noexcept { return queries_; }
  const std::map<std::string, SessionReplay, std::less<>>& sessions() const noexcept { return sessions_; }
  std::uint64_t steps_back() const noexcept { return steps_back_; }

 private:
  std::shared_ptr<const ReplayRules> rules_;
  std::map<std::string, SessionReplay, std::less<>> sessions_;
  std::uint64_t queries_ = 0, steps_back_ = 0;
  std::chrono::microseconds now_{-1}, shift_{};
};

// One line of the report.
struct ReplayRow {
  const std::string* client;
  Name zone;
  const ZoneReport* report;
};
// By charge, largest first; then by queries, client and zone.
std::vector<ReplayRow> replay_rows(const Replay& replay);

struct ReplayTotals {
  std::uint64_t queries = 0, forwarded = 0, refreshed = 0, cached = 0, refused = 0, cut = 0;
  std::uint64_t clients = 0, zones = 0, zones_forward = 0, zones_cut = 0, zones_alerted = 0,
                sessions_exhausted = 0, sessions_over_cap = 0;
  double charged_bits = 0;  // to the sessions' ledgers
  double largest_session_bits = 0;
  double largest_zone_bits = 0;
};
ReplayTotals replay_totals(const Replay& replay);

// {"client", "zone", ...}, one line, without its end.
std::string replay_json(const ReplayRow& row);
// {"total": {...}}
std::string replay_json(const ReplayTotals& totals, const Skipped& skipped);

// "1,234"
std::string with_commas(std::uint64_t number);
// Header and cells of the table.
std::vector<std::string> replay_columns();
std::vector<std::string> replay_cells(const ReplayRow& row);
// Several lines below the table.
std::string replay_summary(const ReplayTotals& totals, const Skipped& skipped);

}  // namespace postern

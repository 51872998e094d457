// What the tests of retention share: queries of a time ago, a pass, and what must hold after it.
#pragma once

#include <ctime>

#include "tests/unit/journal/seal_support.h"

namespace postern::test {

inline constexpr std::int64_t hour_us = 3'600'000'000, day_us = 24 * hour_us;

inline std::int64_t now_us() {
  return std::int64_t{std::time(nullptr)} * 1'000'000;
}

// A query of a time ago, of its own name below `domain`.
inline Asked aged(Journal& journal, std::int64_t ago_us, SandboxId sandbox,
                  const std::string& domain = "example.com") {
  const RowId id = journal.reserve(1);
  Asked row = asked(id, "n" + std::to_string(id) + "." + domain, sandbox);
  row.time_us = now_us() - ago_us;
  return row;
}

inline void write_aged(Journal& journal, int count, std::int64_t ago_us, SandboxId sandbox,
                       const std::string& domain = "example.com", std::uint32_t charge = 0) {
  std::deque<Asked> rows;
  std::vector<const Asked*> batch;
  for (int i = 0; i < count; ++i) {
    rows.push_back(aged(journal, ago_us - i, sandbox, domain));
    rows.back().charge_millibits = charge;
    batch.push_back(&rows.back());
  }
  REQUIRE(submit_and_wait(journal, batch) == true);
  for (const Asked& row : rows)
    journal.append(Outcome{.asked = row.id,
                           .time_us = row.time_us,
                           .rcode = 0,
                           .data = "192.0.2." + std::to_string(row.id % 200)});
}

inline Journal::Options keeping(const std::string& path, Retention keep) {
  auto options = at(path);
  options.keep = keep;
  return options;
}

// Opens with that retention and waits for a whole pass.
inline void prune(const std::string& path, Retention keep) {
  const auto journal = must_open(keeping(path, keep));
  REQUIRE(eventually(*journal, [](const auto& stats) { return stats.prune_passes >= 1; }));
  CHECK(journal->stats().prune_error == "");
}

inline void check_sound(const std::string& path) {
  Sql sql(path);
  CHECK(sql.rows_now("PRAGMA foreign_key_check").empty());
  CHECK(sql.one_now("PRAGMA integrity_check") == "ok");
  CHECK(verdict(path) == "consistent");
}

inline Retention kept_up_to(std::int64_t octets) {
  return {.octets = octets};
}
inline Retention kept_for(std::int64_t queries_us, std::int64_t alerts_us = 0) {
  return {.queries_us = queries_us, .alerts_us = alerts_us};
}

}  // namespace postern::test

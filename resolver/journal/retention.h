// Retention: for how long the journal keeps what, and how large it may grow.
#pragma once

#include <cstdint>

namespace postern {

// What is older goes; what must stay, stays all the same (pruner.h). 0: for ever, and without limit.
struct Retention {
  std::int64_t queries_us = 0;  // microseconds: queries with all that belongs to them
  std::int64_t alerts_us = 0;   // alerts, the queries that are their evidence, and the sums of a day
  std::int64_t octets = 0;      // of the file's pages in use: beyond it the oldest queries go

  // In force, and so put on record (meta) when the file is opened; not for one turn of `journal prune`.
  bool in_force = true;

  bool keeps_all() const { return queries_us == 0 && alerts_us == 0 && octets == 0; }

  // Nobody waits longer for an answer, nor does a row for its place in the catalogue: younger queries stay.
  static constexpr std::int64_t youngest_us = 60'000'000;
  // A smaller file would hold little but its own indexes and ledgers.
  static constexpr std::int64_t least_octets = 16 << 20;
  static constexpr std::int64_t least_queries_us = 3'600LL * 1'000'000;
  // A hook is told of an alert for three days.
  static constexpr std::int64_t least_alerts_us = 7 * 86'400LL * 1'000'000;
};

}  // namespace postern

// Metrics: the daemon's counters in Prometheus' text format, for GET /metrics on the control socket.
#pragma once

#include <string>
#include <vector>

#include "resolver/journal/journal.h"
#include "resolver/path/shard.h"

namespace postern {

// What became of the policy file since the start.
struct PolicyLoads {
  std::uint64_t succeeded = 0, failed = 0;
  std::int64_t last_success = 0;  // Unix time, seconds
  std::string error;              // of the last load; empty: it is in force
};

// A list that a policy in force uses.
struct ListMetrics {
  std::string file;
  std::uint64_t entries = 0, skipped_lines = 0;
};

// `gone`: the counters of sandboxes that are detached by now. Format: text exposition 0.0.4.
std::string metrics_text(const std::vector<ShardReport>& shards, const SandboxCounters& gone,
                         const Journal::Stats& journal, const PolicyLoads& loads,
                         const std::vector<ListMetrics>& lists);

}  // namespace postern

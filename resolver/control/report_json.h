// Counters and reports as JSON, for the control API and the summary.
#pragma once

#include <nlohmann/json.hpp>
#include <vector>

#include "resolver/journal/journal.h"
#include "resolver/path/shard.h"

namespace postern {

void add(SandboxCounters& to, const SandboxCounters& from);
nlohmann::ordered_json to_json(const SandboxCounters& counters);
nlohmann::ordered_json to_json(const SandboxReport& report);
nlohmann::ordered_json to_json(const Journal::Stats& stats);
nlohmann::ordered_json to_json(const std::vector<ShardReport>& shards);  // summed over shards

}  // namespace postern

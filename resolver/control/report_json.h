// Counters and reports as JSON, for the control API and the summary.
#pragma once

#include <nlohmann/json.hpp>
#include <vector>

#include "resolver/journal/journal.h"
#include "resolver/path/shard.h"

namespace postern {

void add(SandboxCounters& to, const SandboxCounters& from);
nlohmann::ordered_json to_json(const SandboxCounters& counters);
// A session's budgets: {"session", "user", ..., "ledgers": [{"ledger", "name", "used_bits", "budget_bits",
// "percent"}]}; budget and percent are null where there is no bound.
nlohmann::ordered_json to_json(const Pipeline::SessionLeak& leak);
nlohmann::ordered_json to_json(const SandboxReport& report);
nlohmann::ordered_json to_json(const Journal::Stats& stats);
nlohmann::ordered_json to_json(const std::vector<ShardReport>& shards);  // summed over shards

}  // namespace postern

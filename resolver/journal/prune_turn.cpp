// The pruner's turns: due, taken, told.
#include "resolver/journal/prune_turn.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <ctime>

namespace postern {

PruneTurn::Clock::time_point PruneTurn::due(FileInUse& in_use) const {
  return log_is_long(in_use) ? std::max(in_use.pruner_due(), last_ + pause) : in_use.pruner_due();
}

void PruneTurn::take(FileInUse& in_use, CommitGate& gate, bool commits_wait) {
  if (Clock::now() < due(in_use)) return;
  Pruner& pruner = in_use.pruner();
  if (commits_wait && !pruner.behind()) return;
  last_ = Clock::now();
  if (log_is_long(in_use)) return;
  // The earlier of two clocks: one that is set ahead while this runs must not make everything old.
  const std::int64_t now_us =
      std::min(clock_us(CLOCK_REALTIME), clock_us(CLOCK_BOOTTIME) + in_use.file().boot_offset_us());
  const std::uint64_t rows = pruner.removed_queries(), alerts = pruner.removed_alerts(),
                      passes = pruner.passes();
  gate.enter();
  const int code = pruner.step(now_us);
  gate.leave();
  if (pruner.removed_queries() > rows) last_us_ = clock_us(CLOCK_REALTIME);
  rows_ += pruner.removed_queries() - rows;
  alerts_ += pruner.removed_alerts() - alerts;
  oldest_us_ = pruner.oldest_us();
  used_octets_ = pruner.used_octets();
  passes_ += pruner.passes() - passes;
  in_use.checkpointer().committed(in_use.wal_octets());
  // It costs no query its record: it is tried again, and whether the file can be written, commits find out.
  if (code != SQLITE_OK) in_use.failed(code);
  const std::lock_guard lock(mutex_);
  if (code != SQLITE_OK && error_.empty()) spdlog::error("{}", pruner.error());
  // A look that removes nothing does not say that it can.
  if (code != SQLITE_OK)
    error_ = pruner.error();
  else if (pruner.removed_queries() > rows || pruner.passes() > passes)
    error_.clear();
}

void PruneTurn::tell(Journal::Stats& stats) const {
  stats.pruned_rows = rows_;
  stats.pruned_alerts = alerts_;
  stats.prune_passes = passes_;
  stats.last_prune_us = last_us_;
  stats.oldest_us = oldest_us_;
  stats.used_octets = used_octets_;
  const std::lock_guard lock(mutex_);
  stats.prune_error = error_;
}

}  // namespace postern

// The pruner's turns: due, taken, told.
#include "resolver/journal/prune_turn.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <ctime>
#include <utility>

namespace postern {

PruneTurn::Clock::time_point PruneTurn::due(FileInUse& in_use) const {
  return std::max(in_use.pruner_due(), log_is_long(in_use) ? last_ + pause : paused_);
}

void PruneTurn::take(FileInUse& in_use, CommitGate& gate, bool commits_wait, std::uint64_t commits) {
  if (Clock::now() < due(in_use)) return;
  Pruner& pruner = in_use.pruner();
  if (commits_wait && !pruner.behind()) return;
  last_ = Clock::now();
  if (log_is_long(in_use)) return;
  // The earlier of two clocks: one that is set ahead while this runs must not make everything old.
  const std::int64_t now_us =
      std::min(clock_us(CLOCK_REALTIME), clock_us(CLOCK_BOOTTIME) + in_use.file().boot_offset_us());
  const std::uint64_t rows = pruner.removed_queries(), alerts = pruner.removed_alerts(),
                      sums = pruner.removed_sums(), passes = pruner.passes();
  gate.enter();
  const auto begun = Clock::now();
  const int code = pruner.step(now_us);
  const auto took = std::chrono::duration_cast<std::chrono::microseconds>(Clock::now() - begun);
  gate.leave();
  const bool busy = std::exchange(commits_, commits) != commits;
  paused_ = busy && !pruner.behind() ? last_ + pauses_for * took + took : last_;
  longest_us_ = std::max<std::int64_t>(longest_us_, took.count());
  if (pruner.removed_queries() > rows) last_us_ = clock_us(CLOCK_REALTIME);
  rows_ += pruner.removed_queries() - rows;
  alerts_ += pruner.removed_alerts() - alerts;
  sums_ += pruner.removed_sums() - sums;
  oldest_us_ = pruner.oldest_us();
  used_octets_ = pruner.used_octets();
  passes_ += pruner.passes() - passes;
  tell_too_large(pruner.rest_too_large());
  in_use.checkpointer().committed(in_use.wal_octets());
  // It costs no query its record: it is tried again, and whether the file can be written, commits find out.
  if (code != SQLITE_OK) in_use.failed(code);
  const std::lock_guard lock(mutex_);
  held_seals_ = pruner.held_seals();
  if (code != SQLITE_OK && error_.empty()) spdlog::error("{}", pruner.error());
  // A look that removes nothing does not say that it can.
  if (code != SQLITE_OK)
    error_ = pruner.error();
  else if (pruner.removed_queries() > rows || pruner.passes() > passes)
    error_.clear();
}

void PruneTurn::tell_too_large(bool is) {
  if (rest_too_large_.exchange(is) == is || !is || Clock::now() < not_told_) return;
  not_told_ = Clock::now() + retold_after;
  spdlog::warn(
      "the journal takes {} MiB, more than the {} MiB that journal_keep allows, and nothing more of it may "
      "go: "
      "the last minute, alerts with their evidence, leak ledgers and what they are rebuilt from stay",
      used_octets_ >> 20, keep_.octets >> 20);
}

void PruneTurn::tell(Journal::Stats& stats) const {
  stats.pruned_rows = rows_;
  stats.pruned_alerts = alerts_;
  stats.pruned_sums = sums_;
  stats.prune_passes = passes_;
  stats.prune_step_us_max = longest_us_;
  stats.keep = keep_;
  stats.rest_too_large = rest_too_large_;
  stats.last_prune_us = last_us_;
  stats.oldest_us = oldest_us_;
  stats.used_octets = used_octets_;
  const std::lock_guard lock(mutex_);
  stats.prune_error = error_;
  stats.held_seals = held_seals_;
}

}  // namespace postern

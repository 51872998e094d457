// The pruner's turns: when the journal's thread takes a step of retention, and what is told of it.
#pragma once

#include <atomic>
#include <mutex>
#include <string>

#include "resolver/journal/mend.h"

namespace postern {

// A turn is taken between two commits. Thread: the journal's; `tell` from any.
class PruneTurn {
 public:
  using Clock = std::chrono::steady_clock;
  // While the log is too long to prune: until the next look at it.
  static constexpr std::chrono::milliseconds pause{250};

  PruneTurn(std::int64_t wal_limit_octets, const Retention& keep)
      : wal_limit_(wal_limit_octets), keep_(keep) {}

  Clock::time_point due(FileInUse& in_use) const;
  // While there are commits, retention takes a third of the thread's time and no more: after a step of 6 ms
  // they have 12 ms to themselves. A file that is much too large does not wait.
  static constexpr int pauses_for = 2;

  // One step, if it is due. `commits_wait`: only a file that is much too large does not let them go first.
  // `commits`: how many there were.
  void take(FileInUse& in_use, CommitGate& gate, bool commits_wait, std::uint64_t commits);
  void tell(Journal::Stats& stats) const;

 private:
  // A reader that keeps the log from starting over shall find it filled by queries alone.
  bool log_is_long(FileInUse& in_use) const {
    return in_use.checkpointer().wal_octets() >= static_cast<std::uint64_t>(wal_limit_);
  }

  void tell_too_large(bool is);

  // A file that is too large, and nothing may go, is told again at most so often.
  static constexpr std::chrono::hours retold_after{1};

  const std::int64_t wal_limit_;
  const Retention keep_;
  Clock::time_point last_;      // the last turn
  Clock::time_point paused_;    // until then
  std::uint64_t commits_ = 0;   // at the last turn
  Clock::time_point not_told_;  // before this
  std::atomic<std::uint64_t> rows_ = 0, alerts_ = 0, sums_ = 0, passes_ = 0;
  std::atomic<std::int64_t> last_us_ = 0, oldest_us_ = 0, used_octets_ = 0, longest_us_ = 0;
  std::atomic<bool> rest_too_large_ = false;
  mutable std::mutex mutex_;
  std::string error_, held_seals_;  // guarded by mutex_
};

}  // namespace postern

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

  explicit PruneTurn(std::int64_t wal_limit_octets) : wal_limit_(wal_limit_octets) {}

  Clock::time_point due(FileInUse& in_use) const;
  // One step, if it is due. `commits_wait`: only a file that is much too large does not let them go first.
  void take(FileInUse& in_use, CommitGate& gate, bool commits_wait);
  void tell(Journal::Stats& stats) const;

 private:
  // A reader that keeps the log from starting over shall find it filled by queries alone.
  bool log_is_long(FileInUse& in_use) const {
    return in_use.checkpointer().wal_octets() >= static_cast<std::uint64_t>(wal_limit_);
  }

  const std::int64_t wal_limit_;
  Clock::time_point last_;  // the last turn
  std::atomic<std::uint64_t> rows_ = 0, alerts_ = 0, passes_ = 0;
  std::atomic<std::int64_t> last_us_ = 0, oldest_us_ = 0, used_octets_ = 0;
  mutable std::mutex mutex_;
  std::string error_;  // guarded by mutex_
};

}  // namespace postern

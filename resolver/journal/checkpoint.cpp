// Checkpoints: when, how, and for how long the writer waits.
#include "resolver/journal/checkpoint.h"

#include <algorithm>

namespace postern {

void CommitGate::enter() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return !closed_; });
  inside_ = true;
}

void CommitGate::leave() {
  bool waited_for = false;
  {
    const std::lock_guard lock(mutex_);
    inside_ = false;
    waited_for = closed_;
  }
  if (waited_for) changed_.notify_all();
}

void CommitGate::close() {
  std::unique_lock lock(mutex_);
  closed_ = true;
  changed_.wait(lock, [&] { return !inside_; });
}

void CommitGate::open() {
  {
    const std::lock_guard lock(mutex_);
    closed_ = false;
  }
  changed_.notify_all();
}

Checkpointer::Checkpointer(Connection connection, CommitGate& gate, std::int64_t wal_limit_octets)
    : connection_(std::move(connection)),
      gate_(gate),
      wal_limit_(wal_limit_octets),
      passive_every_(std::min(passive_every_octets, wal_limit_octets)),
      thread_([this] { run(); }) {}

Checkpointer::~Checkpointer() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  thread_.join();
}

void Checkpointer::committed(std::int64_t wal_octets) {
  commits_.fetch_add(1, std::memory_order_relaxed);
  if (wal_octets < wal_octets_.exchange(wal_octets, std::memory_order_relaxed) &&
      wake_at_octets_.load(std::memory_order_relaxed) != INT64_MAX)
    wake_at_octets_.store(passive_every_, std::memory_order_release);  // it started over
  if (wal_octets >= wake_at_octets_.load(std::memory_order_acquire)) {
    wake_at_octets_.store(INT64_MAX, std::memory_order_release);  // once
    {
      const std::lock_guard lock(mutex_);
      poked_ = true;
    }
    wake_.notify_all();
  }
  if (wal_octets < 2 * wal_limit_) return;
  std::unique_lock lock(mutex_);
  if (!poked_ && !working_) return;  // a reader keeps the log; waiting would not help
  const auto since = std::chrono::steady_clock::now();
  finished_.wait_for(lock, longest_wait, [&] { return !poked_ && !working_; });
  stalled(since);
}

void Checkpointer::use(Connection connection) {
  std::unique_lock lock(mutex_);
  finished_.wait(lock, [&] { return !working_; });
  connection_ = std::move(connection);
  wal_octets_.store(0, std::memory_order_relaxed);
  wake_at_octets_.store(1, std::memory_order_release);
  held_up_.store(false, std::memory_order_relaxed);
}

// Asleep while the log is empty. Otherwise wakes when the log has grown by `passive_every_octets`, or when
// nothing was committed for `idle_after`.
void Checkpointer::run() {
  bool empty = true;  // the log was cut and nothing was committed since
  std::uint64_t seen_commits = 0;
  std::unique_lock lock(mutex_);
  for (;;) {
    if (empty)
      wake_.wait(lock, [&] { return stopping_ || poked_; });
    else
      wake_.wait_for(lock, idle_after, [&] { return stopping_ || poked_; });
    if (stopping_) return;
    const bool poked = poked_;
    poked_ = false;
    if (connection_.raw() == nullptr) continue;
    working_ = true;
    lock.unlock();
    const std::uint64_t commits = commits_.load(std::memory_order_relaxed);
    const std::int64_t octets = wal_octets_.load(std::memory_order_relaxed);
    std::int64_t next = passive_every_;
    if (poked && octets >= passive_every_) {
      for (int round = 1; round <= passive_rounds; ++round) {
        checkpoint(SQLITE_CHECKPOINT_PASSIVE);
        if (octets < wal_limit_ ||
            wal_octets_.load(std::memory_order_relaxed) - folded_octets_.load(std::memory_order_relaxed) <=
                paused_octets)
          break;
      }
      if (octets >= wal_limit_)
        held_up_.store(!paused_checkpoint(SQLITE_CHECKPOINT_RESTART), std::memory_order_relaxed);
      // The log starts over with the next commit if all of it went; else come back after as much again.
      next = wal_octets_.load(std::memory_order_relaxed) + passive_every_;
      if (octets < wal_limit_ && next > wal_limit_) next = wal_limit_;
      empty = false;
    } else if (!poked && commits == seen_commits && !empty) {
      empty = checkpoint(SQLITE_CHECKPOINT_PASSIVE) && paused_checkpoint(SQLITE_CHECKPOINT_TRUNCATE);
      held_up_.store(!empty && octets >= wal_limit_, std::memory_order_relaxed);
      if (empty) next = 1;
    } else {
      empty = false;
    }
    seen_commits = commits;
    wake_at_octets_.store(next, std::memory_order_release);
    lock.lock();
    working_ = false;
    finished_.notify_all();
    // A commit between the checkpoint and the store above went unheard.
    if (empty && commits_.load(std::memory_order_relaxed) != seen_commits) empty = false;
  }
}

bool Checkpointer::checkpoint(int mode) {
  int in_log = 0, in_file = 0;
  const int code = sqlite3_wal_checkpoint_v2(connection_.raw(), nullptr, mode, &in_log, &in_file);
  if (code != SQLITE_OK && (code & 0xff) != SQLITE_BUSY) failures_.fetch_add(1, std::memory_order_relaxed);
  constexpr std::int64_t frame_octets = 4096 + 24;  // a page and its header, sqlite.org/fileformat2.html
  if (in_file >= 0) folded_octets_.store(in_file * frame_octets, std::memory_order_relaxed);
  if (code == SQLITE_OK && mode != SQLITE_CHECKPOINT_PASSIVE) wal_octets_.store(0, std::memory_order_relaxed);
  return code == SQLITE_OK && in_log == in_file;
}

bool Checkpointer::paused_checkpoint(int mode) {
  gate_.close();
  const auto since = std::chrono::steady_clock::now();
  const bool whole = checkpoint(mode);
  gate_.open();
  stalled(since);
  return whole;
}

// From the writer's thread or this one; a maximum lost between them is not worth a loop.
void Checkpointer::stalled(std::chrono::steady_clock::time_point since) {
  const auto took = std::chrono::steady_clock::now() - since;
  const auto us =
      static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::microseconds>(took).count());
  if (us > stall_us_max_.load(std::memory_order_relaxed)) stall_us_max_.store(us, std::memory_order_relaxed);
}

}  // namespace postern

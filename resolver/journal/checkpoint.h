// Checkpoints: folding the write-ahead log back into the file, off the commit path.
//
// The story: a PASSIVE checkpoint on its own connection and thread copies pages and syncs while the writer
// goes on. The log can only start over when the writer pauses, so RESTART (above the limit) and TRUNCATE (at
// idle) run right after a PASSIVE one, with the commit gate closed: little is left to copy then, and the
// pause is measured. A writer that fills the log faster than the disk takes it waits at twice the limit. A
// reader that holds an old snapshot makes both return at once, undone; the log grows until the reader ends,
// or until the journal's ceiling, where the writer stops (journal.h).
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <string>
#include <thread>

#include "resolver/journal/sqlite.h"

namespace postern {

// Lets the checkpointer pause the writer between two transactions.
class CommitGate {
 public:
  void enter();  // writer: before a transaction; waits while the gate is closed
  void leave();  // writer: after it
  void close();  // checkpointer: waits until no transaction is under way, and keeps the next one out
  void open();

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  bool inside_ = false, closed_ = false;
};

class Checkpointer {
 public:
  // Of log, between two PASSIVE ones: a page that is written again meanwhile is copied once. SQLite's own
  // default is a quarter of it.
  static constexpr std::int64_t passive_every_octets = 16 << 20;
  // Without a commit for so long, the log is folded back and cut.
  static constexpr std::chrono::milliseconds idle_after{500};
  // The writer is paused only when no more than this is left to copy and sync: what can be done beside it is.
  static constexpr std::int64_t paused_octets = 1 << 20;
  // Rounds beside a writer that fills the log as fast as it is emptied, before it is paused all the same.
  static constexpr int passive_rounds = 4;
  // The longest that a commit waits at twice the limit for the checkpoint under way; after it, the log grows.
  static constexpr std::chrono::milliseconds longest_wait{250};

  // `gate` must outlive this. `connection` is its own. Starts the thread.
  Checkpointer(Connection connection, CommitGate& gate, std::int64_t wal_limit_octets);
  ~Checkpointer();  // stops the thread; does not checkpoint

  // The writer tells after each commit how long the log is now. Cheap: wakes the thread only when there is a
  // reason. Above twice the limit it returns when the checkpoint under way is over.
  void committed(std::int64_t wal_octets);

  // Another connection, to a log that is empty; or none for a while. Waits for the checkpoint under way.
  void use(Connection connection);
  void release() { use(Connection()); }

  // The last try to start the log over was in vain, and it is longer than the limit: somebody reads an old
  // state of it.
  bool held_up() const { return held_up_.load(std::memory_order_relaxed); }

  std::uint64_t wal_octets() const {
    return static_cast<std::uint64_t>(wal_octets_.load(std::memory_order_relaxed));
  }
  std::uint64_t stall_us_max() const { return stall_us_max_.load(std::memory_order_relaxed); }
  std::uint64_t failures() const { return failures_.load(std::memory_order_relaxed); }

 private:
  void run();
  bool checkpoint(int mode);  // true: the whole log is in the file
  bool paused_checkpoint(int mode);
  void stalled(std::chrono::steady_clock::time_point since);

  Connection connection_;
  CommitGate& gate_;
  const std::int64_t wal_limit_, passive_every_;
  std::atomic<std::int64_t> wal_octets_ = 0;
  std::atomic<std::int64_t> wake_at_octets_ = 1;  // the log's length that gives the thread something to do
  std::atomic<std::int64_t> folded_octets_ = 0;   // of the log, that are in the file
  std::atomic<bool> held_up_ = false;
  std::atomic<std::uint64_t> commits_ = 0, stall_us_max_ = 0, failures_ = 0;
  std::mutex mutex_;
  std::condition_variable wake_, finished_;
  bool stopping_ = false, poked_ = false, working_ = false;
  std::thread thread_;
};

}  // namespace postern

// An outage of the journal: told when it begins and when it is over, counted, and put on record as a gap.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

#include "resolver/journal/sqlite.h"

namespace postern {

// What the record does not have: a row of the table `gap`, view `gaps`.
struct Gap {
  std::int64_t from_us = 0, until_us = 0;  // Unix time, microseconds
  std::uint64_t refused = 0;               // rows that were submitted and did not reach the file
  std::uint64_t answered = 0;              // queries that were answered all the same (audit: relaxed)
  std::string why;                         // of the first failure
};

// Of a gap that is not on record yet, a note in the journal's lock file: it outlives the process, and its
// octets are allocated while there is room. One line of text. It is not synced: a power cut may take it.
// Thread: the journal's, since a disk that stalls stalls this.
class GapNote {
 public:
  static constexpr std::size_t octets = 1024;

  explicit GapNote(const std::string& journal_path) : path_(journal_path + ".lock") {}
  GapNote(const GapNote&) = delete;
  GapNote& operator=(const GapNote&) = delete;
  ~GapNote() { close(); }

  // Allocates, and returns what an earlier process left, if anything. After the lock was taken.
  std::optional<Gap> open();
  // Best effort: a disk that fails may refuse this too. A gap of no rows and no queries clears it.
  void put(const Gap& gap);

 private:
  bool in_place() const;  // is the file that is open the one at the path?
  void close();

  const std::string path_;
  int fd_ = -1;
};

// Inserts its row: SQLITE_OK, or the code that stopped it and nothing is written.
int write_gap(Connection& connection, const Gap& gap);
// Is just this one on record?
bool has_gap(Connection& connection, const Gap& gap);

// Gathers from the first failure on until the journal's thread has written what gathered. Thread: any; what
// is on the query path only counts.
// Memory: one gap.
class Outage {
 public:
  // Another reason, or another outage, is told at most so often.
  static constexpr std::chrono::seconds retold_after{10};

  explicit Outage(std::string path) : path_(std::move(path)), note_(path_) {}

  // Takes up what an earlier process could not put on record. Before all else.
  void resume(Connection& connection);

  // Journal's thread: a commit failed; one succeeded. Neither logs more often than that.
  void failed(std::string_view why);
  void over();

  // Why rows that are refused next are: of several, the first stands.
  void note(std::string_view why);
  // Any thread: rows that are not in the file, queries that were answered without one.
  void refused(std::size_t rows) { gather(rows, 0); }
  void answered(std::size_t queries) {
    total_answered_.fetch_add(queries, std::memory_order_relaxed);
    gather(0, queries);
  }

  // Journal's thread, after a commit: what is to be put on record, if anything; then `recorded` with the
  // same, or nothing, and it is offered again.
  bool has_gap() const { return has_gap_.load(std::memory_order_acquire); }
  Gap gap() const;
  void recorded(const Gap& gap);
  // Journal's thread, whenever it comes round: notes what gathered since (GapNote).
  void keep_note();

  std::uint64_t outages() const { return outages_.load(std::memory_order_relaxed); }
  std::uint64_t total_answered() const { return total_answered_.load(std::memory_order_relaxed); }
  std::int64_t since_us() const { return since_us_.load(std::memory_order_relaxed); }  // 0: there is none

 private:
  void gather(std::size_t rows, std::size_t queries);

  const std::string path_;
  GapNote note_;  // journal's thread
  std::atomic<bool> note_is_old_ = false;
  mutable std::mutex mutex_;
  Gap gap_;
  std::string told_;
  std::chrono::steady_clock::time_point told_at_;
  bool begin_told_ = false;
  std::uint64_t failures_ = 0;  // in this outage
  std::atomic<bool> has_gap_ = false;
  std::atomic<std::uint64_t> outages_ = 0, total_answered_ = 0;
  std::atomic<std::int64_t> since_us_ = 0;
};

}  // namespace postern

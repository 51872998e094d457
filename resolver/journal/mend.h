// The file in use with everything that reads and writes it, and what is done when it is lost, damaged or
// held.
//
// The story: the journal's thread asks `ready` before each transaction and `still_there` after it. As long as
// the four files are in their places both cost a stat or two. When one is not, transactions fail, and each
// `ready` (at most every `tried_every`) tries to put things right:
//   - the journal is gone: its log is folded into it, wherever it is now, and a new file begun that carries
//     over its sandboxes, rules, ledgers and alerts;
//   - it is damaged, or it or its log was cut: it is set aside first;
//   - another file is in its place: nothing, until that is gone or the old one is back;
//   - its log, the log's index or the writer's lock is gone: the log is folded, another that is in its place
//     set aside, and all is opened anew;
//   - it cannot be looked at: nothing, until it can.
//
// Thread: the journal's, but for what says otherwise.
#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <mutex>
#include <string>

#include "resolver/journal/checkpoint.h"
#include "resolver/journal/file_watch.h"
#include "resolver/journal/journal_file.h"
#include "resolver/journal/lister.h"
#include "resolver/journal/outbox.h"
#include "resolver/journal/past.h"
#include "resolver/journal/pruner.h"
#include "resolver/journal/record.h"
#include "resolver/journal/rule_book.h"
#include "resolver/journal/seal_writer.h"

namespace postern {

class FileInUse {
 public:
  // While it cannot be written: between two tries to put things right.
  static constexpr std::chrono::milliseconds tried_every{250};
  // Between two looks at the log's index and the writer's lock; the journal and its log are looked at after
  // every commit. Also how often an idle journal looks at all four.
  static constexpr std::chrono::milliseconds looked_every{1000};
  // Between two damaged files that are set aside: a disk that damages all it is given must not be filled with
  // them.
  static constexpr std::chrono::seconds set_aside_every{60};

  // Opens everything; `gate` must outlive this.
  static Result<std::unique_ptr<FileInUse>> open(const Journal::Options& options, CommitGate& gate);

  // These two only after `ready` said so, until the next transaction fails.
  RecordWriter& writer() { return *writer_; }
  Lister& lister() { return *lister_; }
  Lister::Clock::time_point lister_due() const {
    return lister_ ? lister_->due() : Lister::Clock::time_point::max();
  }
  Pruner& pruner() { return *pruner_; }
  Lister::Clock::time_point pruner_due() const {
    return pruner_ ? pruner_->due() : Lister::Clock::time_point::max();
  }
  SealWriter* seal() { return seal_.get(); }  // null: not sealed, or not bound
  // When the open block must be closed or a signature written; max(): nothing to do.
  Lister::Clock::time_point seal_due() const {
    return seal_ ? seal_->due().value_or(Lister::Clock::time_point::max()) : Lister::Clock::time_point::max();
  }
  Connection& connection() { return file_->connection(); }
  RuleBook& rules() { return *rules_; }        // any thread
  PastReader& past() { return *past_; }        // any thread
  OutboxReader& outbox() { return *outbox_; }  // any thread
  Checkpointer& checkpointer() { return *checkpointer_; }
  const Checkpointer& checkpointer() const { return *checkpointer_; }
  JournalFile& file() { return *file_; }

  // Why nothing can be written now; empty: go on. `next_id`: above every id drawn.
  const std::string& ready(RowId next_id);
  // Is what was just committed at the journal's path? Else `why` says what became of the file.
  bool still_there(std::string& why);
  // A commit failed with that code of SQLite's: is the file damaged?
  void failed(int code);
  // A clean end; nothing else is called after it. `sealed`: once the last block is on record; what it adds to
  // `seal` is written, too.
  void end(RowId last_id_drawn, const std::function<void()>& sealed) &&;
  // Of the log, after the last commit.
  std::int64_t wal_octets() const;

  // Any thread.
  std::uint64_t new_files() const { return new_files_.load(std::memory_order_relaxed); }
  std::string aside() const;
  bool wal_held() const { return checkpointer_->held_up(); }
  std::optional<pid_t> wal_reader() const;

 private:
  using Clock = std::chrono::steady_clock;
  FileInUse(const Journal::Options& options, JournalFile file);
  // Everything but `file_` to the file that is open. Rows below `next_id` that are not listed will be.
  Result<void> bind(RowId next_id);
  void unbind();
  std::string mend(RowId next_id);
  std::string begin_anew(RowId next_id, bool fold);
  std::string not_folded();
  std::string ceiling_reached() const;

  const Journal::Options options_;
  // Outlives all connections, and so is first: closing it drops their locks.
  mutable std::mutex mutex_;  // of readers_ and aside_
  LogReaders readers_;
  std::unique_ptr<JournalFile> file_;
  std::unique_ptr<RuleBook> rules_;
  std::unique_ptr<PastReader> past_;
  std::unique_ptr<OutboxReader> outbox_;
  NameBook names_;                            // of the file in use, and of no other
  std::unique_ptr<SealWriter> seal_;          // null: not bound, or Options::sealed is false
  const JournalFile* sealed_file_ = nullptr;  // whose boot is sealed
  std::unique_ptr<RecordWriter> writer_;      // null: not bound
  std::unique_ptr<Lister> lister_;            // likewise
  std::unique_ptr<Pruner> pruner_;            // likewise
  std::unique_ptr<Checkpointer> checkpointer_;
  FileWatch watch_;
  std::int64_t wal_frames_ = 0;
  FileWatch::State state_ = FileWatch::State::in_place;
  bool damaged_ = false, was_set_aside_ = false;
  std::string why_;  // of the last try that failed; empty: all is well
  Clock::time_point next_try_, next_look_, last_aside_;
  std::string aside_;
  std::atomic<std::uint64_t> new_files_ = 0;
};

}  // namespace postern

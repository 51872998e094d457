// One transaction of records: the statements that write what the journal's thread has gathered.
//
// Rows reach SQLite through two table-valued functions over the memory they lie in: one INSERT ... SELECT
// runs per transaction and kind, instead of one bind-step-reset per row (a quarter less CPU:
// docs/decisions/0002-journal-v1.md). Thread: the journal's. Memory: nothing is kept; SQLite reads rows where
// they are.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "resolver/journal/journal.h"
#include "resolver/journal/name_book.h"
#include "resolver/journal/outbox.h"
#include "resolver/journal/sqlite.h"

namespace postern {

// What one `submit` brought.
struct AskedBatch {
  std::vector<const Asked*> rows;
  std::function<void(bool)> done;
  std::int64_t submitted_us = 0;  // monotonic
};

struct NewRule {
  std::int64_t id = 0;
  std::string text;
};

struct SandboxEnd {
  SandboxId sandbox = 0;
  std::int64_t time_us = 0;
};

// All of it is committed, or none. Snapshots are large: a few at a time.
struct Work {
  std::span<const NewRule> rules;
  std::span<const AskedBatch> batches;
  std::span<const Outcome> outcomes;
  std::span<const AlertRow> alerts;
  std::span<const SandboxEnd> ends;
  std::span<const LeakSnapshot> snapshots;
  std::span<const DeliveryResult> deliveries = {};

  bool empty() const {
    return rules.empty() && batches.empty() && outcomes.empty() && alerts.empty() && ends.empty() &&
           snapshots.empty() && deliveries.empty();
  }
};

// As the file has them.
std::int64_t thousandths(float value);
constexpr std::int64_t flags_of(const Asked& row) {
  return (row.cached ? 1 : 0) | (row.tcp ? 2 : 0) | (row.refresh ? 4 : 0);
}

class SealWriter;
struct Gap;

class RecordWriter {
 public:
  static constexpr std::size_t probe_octets = 32768;  // less would fit where the next rows do not

  // `connection` and `names` must outlive this. `boot_offset_us`: wall clock less CLOCK_BOOTTIME in this
  // boot's row, against which rows note their monotonic time. With `seal`, which must too, every record is
  // told to it.
  static Result<std::unique_ptr<RecordWriter>> create(Connection& connection, OutboxLimits outbox,
                                                      NameBook& names, std::int64_t boot_offset_us,
                                                      SealWriter* seal = nullptr);
  ~RecordWriter();

  // One transaction. SQLITE_OK when it is committed; else the code that stopped it, nothing of it is in the
  // file, and `error()` says why. An outcome for an id that has one is left out: the first one stands.
  // SQLITE_CONSTRAINT also for a query that is finished (seal_finished.h): a block has said that it does not
  // come.
  int write(const Work& work);
  // The clean end of `boot`, in a block of its own kind. `update`: what else belongs to that transaction.
  int close(std::int64_t boot, std::int64_t ended_us, const char* update, bool all_listed);
  // Writes something that nobody reads, and takes it back: can this file be written, and is there room for
  // some rows?
  int probe();
  // A sandbox's row, in a transaction of its own.
  Result<SandboxId> attach(const Sandbox& sandbox, std::int64_t boot, std::int64_t time_us);
  // A grant's row, likewise.
  Result<std::int64_t> grant(const LeakGrant& grant);
  // What the record does not have, likewise: SQLITE_OK, or the error, and nothing is written.
  int gap(const Gap& gap);
  // What the name book had of each row of the last `write` that brought rows, in order.
  std::span<const NameBook::Known> known() const;
  const std::string& error() const { return error_; }
  std::uint64_t dropped_deliveries() const;  // of the last transaction

 private:
  struct State;
  RecordWriter();
  int inside(const Work& work);  // between BEGIN and COMMIT
  void seal_asked(const Work& work);
  bool are_in_time(const Work& work);
  int finish(int code);  // COMMIT, or ROLLBACK when `code` is an error

  std::unique_ptr<State> state_;
  std::string error_;
};

}  // namespace postern

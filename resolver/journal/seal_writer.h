// The sealer: folds each record that is written into the open block, and writes blocks.
//
// The story: RecordWriter tells it each row right after inserting it, in the same transaction. When the open
// block has enough records or is old enough, its row is inserted before COMMIT: a block and the records it
// covers are committed together or not at all, and what is committed is in a block ten seconds later at the
// most. On opening it seals what a killed writer has left (marked: nobody vouches for what happened in
// between), and each clean end is a block that says so. A block also says which queries are finished
// (seal_finished.h).
//
// Thread: the journal's. Memory: 48 octets for each record of the open block. Time: CLOCK_REALTIME for what
// is written, steady_clock for the block's age.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "resolver/journal/journal.h"
#include "resolver/journal/seal_finished.h"
#include "resolver/journal/seal_rows.h"
#include "resolver/journal/seal_store.h"

namespace postern {

class SealWriter {
 public:
  using Clock = std::chrono::steady_clock;
  // A block is closed when it has so many records: its row then costs a tenth of an octet per record, and the
  // pages that it fills are full; with half as many records 15 % of them was empty.
  static constexpr std::size_t block_records = 2048;
  // ... or when its first record is so old: that is how long a record may go without a seal.
  static constexpr std::chrono::seconds block_age{10};
  // What is finished is said by a block of its own when no other has come for so long: in a file that nobody
  // writes to a planted row is named, too, and a query an hour makes no more than two blocks.
  static constexpr std::chrono::minutes said_alone_after{10};
  // Of a killed writer's records in one block.
  static constexpr std::size_t recovered_records = 4096;
  // How many covered records are looked through for what a killed writer has left. It leaves the last ten
  // seconds, and ids come out of order by no more than what waits for the journal (65,536).
  static constexpr std::int64_t recovery_looks_at = 1 << 20;

  // Seals what was left, and the boot, unless the same one opens its file `again` (mend.h). `connection` must
  // outlive this.
  static Result<std::unique_ptr<SealWriter>> open(Connection& connection, std::int64_t boot,
                                                  bool again = false);

  // Inside a transaction, for each row after it was inserted.
  void asked(const Asked& row, std::string_view name);  // its name in presentation form
  void outcome(const Outcome& row);
  void alert(std::int64_t id, const AlertRow& row);
  void sandbox(const SandboxFields& row);
  void detached(std::int64_t sandbox, std::int64_t time_us);
  void grant(std::int64_t id, const LeakGrant& row);
  void rule(std::int64_t id, std::string_view text);
  void boot_end(std::int64_t boot, std::int64_t ended_us);
  void gap(const GapFields& row);

  // All that was handed in is written, and ids below `next_id` were drawn; between two transactions. Then ids
  // up to `finished` are not to be written any more, neither as a query nor as an outcome.
  void all_written(std::int64_t next_id, Clock::time_point now) { finished_.all_written(next_id, now); }
  std::int64_t finished() const { return finished_.upto(); }

  // Inside a transaction, last: writes the block when it is due, and signatures that have come. SQLITE_OK or
  // the error.
  enum class When { if_due, now };
  int seal(When when, std::int64_t flags = 0);
  // What became of the transaction.
  void committed();
  void rolled_back();

  // Retention: says that the rows in `removed` were removed by Postern itself. Inside the transaction that
  // removes them; seals at once, in a block with nothing else in it: nothing of that block will be removed
  // before the block is, so the tombstone stays held to all 32 octets of its hash. SQLITE_OK or the error.
  int tombstone(std::span<const SealRun> removed, std::int64_t time_us);
  // Removes the blocks up to `upto`, their heads and these tombstones of theirs; `moved`, what is left of
  // their records, is sealed anew, and a tombstone behind it says so (seal_front.h).
  int move_front(const SealFrontier& upto, std::vector<SealEntry> moved,
                 std::span<const std::int64_t> tombstones, std::int64_t time_us);

  // When the open block must be closed, or a signature written; nothing while there is nothing to write.
  std::optional<Clock::time_point> due() const;

  // The last block on record, to be signed.
  const HeadToSign& head() const { return head_; }
  // Numbers up to `block` were signed for another history of this file: they stay missing, and the gap says
  // so.
  void leave_out(std::int64_t block);
  // A signature that has come; the next transaction writes it.
  void add_signature(const StoredHead& signature) { signatures_.push_back(signature); }
  bool has_signatures() const { return !signatures_.empty(); }

 private:
  explicit SealWriter(Connection& connection) : connection_(connection) {}
  struct Past;   // what the covers say, newest first
  struct Said {  // by marks, in the blocks that stay
    std::int64_t finished = 0;
    bool gaps = false;
  };
  Result<void> begin(std::int64_t boot, bool again);
  Result<void> first_block();
  Result<void> recover(SealStore& store, std::int64_t this_boot, bool again);
  Result<void> look_back(SealStore& store, std::int64_t boot, Past& past);
  int write_tombstone(const std::string& removed, std::int64_t time_us, const SealFrontier& upto);
  void add(SealKind kind, std::int64_t id, std::string_view octets);
  int write_block(std::vector<SealEntry>& entries, std::int64_t flags);
  int write_signatures();
  std::optional<Clock::time_point> block_due() const;

  Connection& connection_;
  Statement insert_block_, insert_signer_, insert_head_, insert_tombstone_, remove_blocks_, remove_heads_,
      remove_tombstone_;
  std::optional<SealRows> rows_;
  SealSpelling spelling_;
  Sha256 hash_;
  std::vector<SealEntry> open_;  // of the open block
  std::size_t committed_ = 0;    // of them, how many are committed
  Clock::time_point opened_;
  HeadToSign head_, next_;   // as committed, and as this transaction leaves it
  bool sealed_now_ = false;  // this transaction has written open_ as a block
  FinishedRows finished_;
  std::int64_t gaps_before_ = 0;  // gaps above it are sealed
  Said said_, next_said_;         // as head_, next_
  Clock::time_point last_block_;
  std::vector<SealEntry> sorted_;  // the same, in the block's order
  std::vector<StoredHead> signatures_;
  std::size_t signatures_written_ = 0;  // by this transaction
};

}  // namespace postern

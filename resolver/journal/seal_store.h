// The tables of seals: their rows in and out. Thread: one, the connection's.
#pragma once

#include <array>
#include <functional>
#include <optional>
#include <span>
#include <vector>

#include "resolver/journal/seal_block.h"
#include "resolver/journal/sqlite.h"

namespace postern {

// A head that the broker has signed (rules/signed_head.h), as the file keeps it.
struct StoredHead {
  std::int64_t block = 0, counter = 0, time_us = 0, records = 0;
  std::string public_key, signature;  // octets
};

// Ids that were there before the first block; or that retention has removed (`tombstone`).
struct Tombstone {
  std::int64_t id = 0, time_us = 0;
  std::vector<SealRun> removed;
  std::int64_t upto_block = 0, upto_records = 0;  // blocks up to this one are gone, too; 0: none
  Digest upto_head{};                             // the head of that block
};

class SealStore {
 public:
  // `connection` must outlive this.
  static Result<SealStore> open(Connection& connection);

  Result<std::optional<JournalId>> journal_id();  // nothing: never sealed. Errors: what is there is none
  // Blocks in order of number, or newest first; false from `found`: enough. A row whose octets have a wrong
  // length comes with `broken` saying so.
  using Found = std::function<bool(const SealBlock& block, const std::string& broken)>;
  Result<void> each(bool newest_first, const Found& found);
  // What each block covers, newest first: without its leaves, many pages fewer.
  using FoundCover = std::function<bool(std::int64_t number, std::int64_t flags, std::string_view cover)>;
  Result<void> each_cover(const FoundCover& found);
  Result<std::vector<StoredHead>> heads();      // in order of block
  Result<std::vector<Tombstone>> tombstones();  // in order; one that cannot be read is an error

 private:
  explicit SealStore(Connection& connection) : connection_(&connection) {}
  Connection* connection_;
};

// What may honestly be in the file and in no block: what came after the last one, since records wait up to
// ten seconds for theirs. The numbers of records decide, not their times: clocks are set back, and whoever
// smuggles a row in chooses its time.
struct SealTail {
  // An asked row's id is drawn before it waits for the journal, so ids come a little out of order: no row is
  // committed after one whose id is so much greater (Lister::in_doubt).
  static constexpr std::int64_t asked_behind = 1 << 17;
  // The same of outcomes, for which upstreams are waited for, some seconds.
  static constexpr std::int64_t outcome_behind = 1 << 20;

  // A writer closes a block in the transaction that brings its records to this number (SealWriter), so fewer
  // are without one, and fewer are sealed after a kill.
  static constexpr std::int64_t fewer_than = 2048;

  bool closed = false;        // the last block is a clean end: nothing may follow it
  std::int64_t finished = 0;  // no query up to this one, and no outcome of one, may follow
  std::array<std::int64_t, last_row_kind + 1> strangers{};  // nor, of these kinds, what was there already
  std::int64_t first_asked = 0;    // of the boot that the last blocks belong to: ids below are older
  std::int64_t first_sandbox = 0;  // likewise: only this boot's sandboxes have an end to come
  // Boots after that one that begin before a query which is there, or not after each earlier boot. A writer
  // begins behind all that it finds, and seals its own row before it takes a query; one that was killed in
  // between leaves it without a block.
  std::vector<std::int64_t> misplaced_boots;
  const SealSet* covered = nullptr;

  // Looks up where that boot's ids begin, and what came after it.
  Result<void> of_boot(Connection& connection, std::int64_t boot);
  void note_stranger(std::int64_t mark);  // what such a mark says
  bool allows(SealKind kind, std::int64_t id) const;
};

}  // namespace postern

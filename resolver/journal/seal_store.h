// The tables of seals: their rows in and out. Thread: one, the connection's.
#pragma once

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
  Result<std::vector<StoredHead>> heads();      // in order of block
  Result<std::vector<Tombstone>> tombstones();  // in order; one that cannot be read is an error

 private:
  explicit SealStore(Connection& connection) : connection_(&connection) {}
  Connection* connection_;
};

// What may honestly be in the file and in no block: what came after the last one, since records wait up to
// ten seconds for theirs.
struct SealTail {
  // An asked row's id is drawn before it waits for the journal, so ids come a little out of order; this is
  // how far back the time of such a row may lie before the last block. Pipelines wait two seconds.
  static constexpr std::int64_t late_us = 60'000'000;

  bool closed = false;            // the last block is a clean end: nothing may follow it
  std::int64_t last_time_us = 0;  // of the last block
  std::int64_t first_asked = 0;   // of the boot that the last blocks belong to: ids below are older
  const SealSet* covered = nullptr;

  bool allows(SealKind kind, std::int64_t id, std::int64_t time_us) const;
};

}  // namespace postern

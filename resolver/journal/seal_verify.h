// Verify: is the journal's file what was written? Reads it whole, read-only, and names the first record that
// is not.
//
// Three answers. `altered`: something was changed, removed, inserted or cut off. `consistent`: all hangs
// together; whoever could rewrite the whole file, seals included, could have made it so. `unaltered`: and the
// heads that were kept outside say the same, so nobody has rewritten what was sealed before the last of them,
// nor removed any of it but as tombstones say that a signed head stands for (seal_removed.h).
//
// Cost: some 4 us of the processor a record, about a third each for the seals, the indexes and the catalogue;
// one read transaction (a writer goes on; its log cannot start over meanwhile).
// Memory: a hundred octets per block, and the runs of ids that are covered. Thread: the caller's.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "rules/result.h"
#include "rules/signed_head.h"

namespace postern {

struct VerifyOptions {
  std::string path;
  std::optional<PublicKey> key;   // heads must be signed by it; without: by whom they say
  bool with_heads = false;        // `heads` was given, even if it is empty
  std::vector<SignedHead> heads;  // kept outside, of any journal, in any order
  // It is a copy made at some moment: heads of blocks after its last say nothing of it. Whether it was cut
  // off since cannot be told then.
  bool copy = false;
  // Called now and then: records done, and all that the seals tell of.
  std::function<void(std::int64_t done, std::int64_t all)> progress;
  // Told what is looked at after the records: a table whose indexes are checked, "the catalogue".
  std::function<void(const std::string& what)> checking;
};

struct VerifyReport {
  enum class Verdict { consistent, unaltered, altered };
  static constexpr std::size_t findings_kept = 16;  // all are counted; the first is what people need

  struct Finding {
    std::string record;      // "asked 5120", "block 7", "view queries"
    std::string table;       // "asked", "seal"
    std::int64_t id = 0;     // its row; 0: none
    std::int64_t block = 0;  // which covers it; 0: none
    std::string what;        // "was changed", ...
  };
  Verdict verdict = Verdict::consistent;
  std::vector<Finding> findings;  // in the order of the blocks
  std::int64_t all_findings = 0;

  JournalId journal{};
  std::int64_t blocks = 0, last_block = 0;
  std::int64_t records = 0;          // sealed and looked at
  std::int64_t pruned = 0;           // removed by retention, and said so by a tombstone
  std::int64_t unsealed_before = 0;  // rows from before the first block
  std::int64_t recovered = 0;        // records that were sealed only after their writer was killed
  std::int64_t last_recovered_block = 0;
  // Records that the heads from outside cover, and that a tombstone which no head stands for says retention
  // has removed; and blocks up to this one are gone by such a tombstone. Nobody vouches for that.
  std::int64_t pruned_unvouched = 0, front_unvouched = 0;
  std::string first_unvouched;  // "asked 812"
  std::int64_t unsealed = 0;    // records after the last block
  std::string first_unsealed;   // "asked 812"
  std::int64_t unlisted = 0;    // queries that are not in the catalogue yet: the views do not show them
  std::int64_t first_unlisted = 0;
  // Words that this build does not know, as a newer one may have written them: "reason 16, \"weather\"".
  std::vector<std::string> newer_words;
  bool closed = false;  // the last block is a clean end
  std::int64_t last_block_us = 0;

  std::optional<PublicKey> signer;  // of the file's own last head
  std::int64_t signed_block = 0, signed_records = 0, signed_us = 0;
  std::int64_t head_block = 0, head_records = 0, head_us = 0;  // the last one kept outside that fits
  std::string head_last_record;                                // the last asked row it covers: "asked 5120"
  std::int64_t heads_later = 0, last_later_us = 0;             // of blocks after the copy's last; signed last
  std::int64_t heads_used = 0, heads_of_others = 0, heads_bad = 0;  // of those given
};

// Errors: the file cannot be read, is no journal, of another version, or was never sealed; no given head
// speaks of it.
Result<VerifyReport> verify_journal(const VerifyOptions& options);

}  // namespace postern

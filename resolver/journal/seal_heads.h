// Signed heads, those in the file and those kept outside, held against the blocks that were walked.
#pragma once

#include <functional>
#include <map>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "resolver/journal/seal_store.h"
#include "resolver/journal/seal_verify.h"

namespace postern {

// Of those kept outside, which speak of one journal and are signed.
struct GivenHeads {
  std::vector<SignedHead> heads;  // in order of block
  std::int64_t of_others = 0;     // of other journals
  std::int64_t bad = 0;           // not signed, or by another key
  std::int64_t last_block() const { return heads.empty() ? 0 : heads.back().block; }
};
GivenHeads heads_of(const VerifyOptions& options, const JournalId& journal);
// Blocks that one of them signs, or a stored one of the same key (whose signature check_own_heads looks at).
std::set<std::int64_t> blocks_signed_by(const GivenHeads& given, std::span<const StoredHead> stored);

struct WalkedBlock {
  Digest head{};
  std::int64_t records = 0;
  std::int64_t last_asked = 0;  // in this block or before
  std::string first_record;
};
using WalkedBlocks = std::map<std::int64_t, WalkedBlock>;

// Both tell `found` what does not fit, and the report how far heads reach.
using FoundBlock = std::function<void(std::int64_t block, const std::string& what)>;
// `last`: the last block of the file, also where none is.
void check_own_heads(std::span<const StoredHead> heads, const std::optional<PublicKey>& key,
                     const WalkedBlocks& walked, std::int64_t last, VerifyReport& report,
                     const FoundBlock& found);
void check_given_heads(const GivenHeads& given, const WalkedBlocks& walked, VerifyReport& report,
                       const FoundBlock& found);

}  // namespace postern

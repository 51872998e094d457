// Signed heads: sorted out, and held against the blocks.
#include "resolver/journal/seal_heads.h"

#include <algorithm>

namespace postern {
namespace {

// ": from asked 7 on": what the first block behind that one covers.
std::string records_between(const WalkedBlocks& walked, std::int64_t good, std::int64_t bad) {
  const auto first = walked.upper_bound(good);
  return first == walked.end() || first->first > bad || first->second.first_record.empty()
             ? ""
             : ": from " + first->second.first_record + " on";
}

}  // namespace

GivenHeads heads_of(const VerifyOptions& options, const JournalId& journal) {
  GivenHeads given;
  for (const SignedHead& head : options.heads) {
    if (head.journal != journal)
      ++given.of_others;
    else if ((options.key && head.key != *options.key) || !signature_fits(head))
      ++given.bad;
    else
      given.heads.push_back(head);
  }
  std::sort(given.heads.begin(), given.heads.end(), [](const SignedHead& a, const SignedHead& b) {
    return a.block != b.block ? a.block < b.block : a.counter < b.counter;
  });
  return given;
}

std::set<std::int64_t> blocks_signed_by(const GivenHeads& given, std::span<const StoredHead> stored) {
  std::set<std::int64_t> blocks;
  std::set<std::string> keys;
  for (const SignedHead& head : given.heads) {
    blocks.insert(head.block);
    keys.emplace(head.key.begin(), head.key.end());
  }
  for (const StoredHead& head : stored)
    if (keys.contains(head.public_key)) blocks.insert(head.block);
  return blocks;
}

void check_own_heads(std::span<const StoredHead> heads, const std::optional<PublicKey>& key,
                     const WalkedBlocks& walked, std::int64_t last, VerifyReport& report,
                     const FoundBlock& found) {
  std::int64_t good = 0, counter = 0;
  for (const StoredHead& stored : heads) {
    SignedHead head;
    head.journal = report.journal;
    head.block = stored.block;
    head.records = stored.records;
    head.counter = stored.counter;
    head.time_us = stored.time_us;
    const auto block = walked.find(stored.block);
    if (block == walked.end()) {
      if (stored.block > last || (!walked.empty() && stored.block >= walked.begin()->first))
        found(stored.block, "was signed on " + iso_time(stored.time_us) + ", and is not there");
      continue;
    }
    head.head = block->second.head;
    if (stored.public_key.size() != head.key.size() || stored.signature.size() != head.signature.size()) {
      found(stored.block, "has a signature of a wrong length");
      continue;
    }
    std::copy(stored.public_key.begin(), stored.public_key.end(), head.key.begin());
    std::copy(stored.signature.begin(), stored.signature.end(), head.signature.begin());
    const std::string between = records_between(walked, good, stored.block);
    if (key && head.key != *key) {
      found(stored.block, "is signed by another key, " + fingerprint(head.key) + between);
    } else if (!signature_fits(head) || head.records != block->second.records || head.counter <= counter) {
      found(stored.block, "or one since block " + std::to_string(good) +
                              " was written anew, without the key: its signature does not fit" + between);
    } else {
      good = report.signed_block = stored.block;
      counter = stored.counter;
      report.signed_records = stored.records;
      report.signed_us = stored.time_us;
      report.signer = head.key;
    }
  }
}

void check_given_heads(const GivenHeads& given, const WalkedBlocks& walked, VerifyReport& report,
                       const FoundBlock& found) {
  const std::int64_t oldest = walked.empty() ? 0 : walked.begin()->first;
  const std::int64_t last_asked = walked.empty() ? 0 : walked.rbegin()->second.last_asked;
  bool all_fit = true;
  for (const SignedHead& head : given.heads) {
    if (head.block < oldest) continue;  // retention; who vouches for that, seal_removed.h says
    const auto block = walked.find(head.block);
    const std::string when = "signed on " + iso_time(head.time_us);
    if (block == walked.end()) {
      const std::string after =
          last_asked > 0 ? " after asked " + std::to_string(last_asked) : std::string(" at the beginning");
      found(head.block, "was " + when + " with " + std::to_string(head.records) +
                            " records, and is not there: the file was cut off" + after +
                            ", or replaced by an older copy");
    } else if (block->second.head != head.head || block->second.records != head.records) {
      found(head.block,
            "is not the one that was " + when + records_between(walked, report.head_block, head.block));
    } else {
      if (!all_fit) continue;
      report.head_block = head.block;
      report.head_records = head.records;
      report.head_us = head.time_us;
      report.head_last_record =
          block->second.last_asked > 0 ? "asked " + std::to_string(block->second.last_asked) : "";
      continue;
    }
    all_fit = false;
  }
  if (report.head_block > 0 && report.pruned_unvouched == 0 && report.front_unvouched == 0)
    report.verdict = VerifyReport::Verdict::unaltered;
}

}  // namespace postern

// A block: which records it covers, what they were, and how it hangs on the block before it.
//
// The story: records gather in an open block. When it is closed, its records are put in order of kind and id;
// `cover` lists them as runs of ids, `content` is SHA-256 of their leaves (SHA-256 of each record's octets),
// `leaves` keeps the first octets of each leaf, so that a record that differs can be named, and `head` binds
// all of it to the head before. A head therefore stands for every record before it, and the broker signs
// heads.
//
// What an attacker needs: to change a record unseen, a second SHA-256 preimage. To keep verify from naming
// the one of a block's records that was changed, 2^48 tries; that the block was altered is told all the same.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "resolver/journal/seal_record.h"
#include "rules/digest.h"
#include "rules/result.h"
#include "rules/signed_head.h"

namespace postern {

// Octets of each leaf that are kept: six of 32. Eight would cost two more of every row's 120.
inline constexpr std::size_t leaf_octets = 6;
// More records than this no block has; a transaction brings some thousands at most.
inline constexpr std::uint64_t max_block_records = 1 << 20;

inline constexpr std::int64_t seal_recovered = 1;  // flag: written by an earlier writer that was killed
inline constexpr std::int64_t seal_closing = 2;    // flag: a clean end; all records before it are sealed
// flag, with the last: the catalogue does not have all of these records yet (more than a clean end waits
// for).
inline constexpr std::int64_t seal_unlisted = 8;
// flag: what was left of blocks from the front that went (seal_front.h); those records were counted there.
// Older blocks of this kind have the tombstone in them, too.
inline constexpr std::int64_t seal_moved = 4;

struct SealRun {  // `count` consecutive ids
  SealKind kind = SealKind::asked;
  std::int64_t first = 0;
  std::uint64_t count = 0;
  std::int64_t last() const { return first + static_cast<std::int64_t>(count - 1); }
  bool operator==(const SealRun&) const = default;
};

struct SealEntry {
  SealKind kind = SealKind::asked;
  std::int64_t id = 0;
  Digest leaf{};
};

// Runs in order of kind and id, without overlap, as octets: for each, count and kind in one LEB128 number,
// then the step from the last id of that kind (zigzag). Four octets for a batch of 64 rows.
std::string cover_octets(std::span<const SealRun> runs);
// Errors: not in order, an unknown kind, cut off, ids beyond 63 bits.
Result<std::vector<SealRun>> read_cover(std::string_view octets);
// Never more than max_block_records + 1.
std::uint64_t records_in(std::span<const SealRun> runs);
// Is it one of those that `records` counts? All are but the marks that came later, which may be said again.
constexpr bool is_counted(SealKind kind) {
  return kind != SealKind::finished && kind != SealKind::before_gap && kind != SealKind::stranger;
}
// Of them, how many are counted; and of those, how many were in no block before: all but what has moved.
std::uint64_t counted_in(std::span<const SealRun> runs);
std::uint64_t new_records_in(std::span<const SealRun> runs, std::int64_t flags);

// Then the block holds tombstones to all of its content's hash as long as it is there: nothing else in it can
// be removed. What a block said before the writer put them in blocks of their own is held to short leaves.
bool has_tombstones_alone(std::span<const SealRun> runs);

struct SealBlock {  // a row of `seal`
  std::int64_t number = 0;
  std::int64_t time_us = 0;
  std::int64_t flags = 0;
  std::int64_t records = 0;  // of all blocks up to this one, those that moved counted once
  std::string cover, leaves;
  Digest content{}, head{};
};

// Up to where blocks are gone: the last one's number, records and head. 0: none.
struct SealFrontier {
  std::int64_t block = 0, records = 0;
  Digest head{};
};

// What the first block hangs on.
Digest first_head(const JournalId& journal);
// What the head of a block must be, given the head before; block.head is not read.
Digest head_of(const JournalId& journal, const Digest& before, const SealBlock& block);
// Sorts the entries and makes cover, leaves and content of them; the rest of the block is the caller's. Two
// entries must not be the same record.
void fill_block(SealBlock& block, std::vector<SealEntry>& entries);

// Sets of ids by kind, as runs that grow together.
class SealSet {
 public:
  bool add(const SealRun& run);  // false: some of it was there already (then nothing is added)
  bool has(SealKind kind, std::int64_t id) const;
  std::int64_t highest(SealKind kind) const;  // 0: none
  // The run that holds `id`, or the next one: count 0 when there is none.
  SealRun at_or_after(SealKind kind, std::int64_t id) const;

 private:
  std::map<std::uint8_t, std::map<std::int64_t, std::int64_t>> by_kind_;  // first -> last
};

}  // namespace postern

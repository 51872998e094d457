// The octets of a NameSet: what its block holds, and how a suffix is hashed. Internal to name_set*.cpp.
#pragma once

#include <array>
#include <bit>
#include <cstring>

#include "rules/name_set.h"

namespace postern {

namespace name_set {

// The block begins with this, in the byte order of the machine: directory, anchors, tails, the tails' texts,
// the heap and `slack` follow (Layout). Line numbers have `line_octets` octets, low first.
struct Header {
  std::uint64_t key, second_key;
  std::uint64_t depths[2];  // bit d: some entry has d labels
  std::uint32_t entries;
  std::uint32_t buckets;
  std::uint32_t tails;
  std::uint32_t tail_text_octets;
  std::uint32_t heap_octets;
  std::uint32_t line_octets;
};

// A tail's number is one octet below this, and two from there on.
inline constexpr std::size_t short_tails = 192;
inline constexpr std::size_t most_tails = short_tails + (256 - short_tails) * 256;
// Records a bucket: its word in the directory costs 8 octets, and each record before the right one some
// nanoseconds.
inline constexpr std::size_t records_a_bucket = 3;
// Buckets from one anchor to the next: half a bit of memory a name; 24 records lie where the straight line
// between two anchors has them but for a line of the cache or so.
inline constexpr std::size_t anchor_buckets = 8;
// Octets after the heap, and after a name that is asked for, that may be read and mean nothing: texts are
// compared, and labels hashed, by so many at once.
inline constexpr std::size_t slack = 32;

constexpr std::uint8_t tag_of(Pattern::Scope scope, NameSet::Kind kind) noexcept {
  return static_cast<std::uint8_t>(static_cast<unsigned>(scope) << 6 | (kind & (NameSet::most_kinds - 1)));
}
constexpr unsigned scope_of(std::uint8_t tag) noexcept {
  return tag >> 6;
}

constexpr std::size_t aligned(std::size_t octets) noexcept {
  return (octets + 7) & ~std::size_t{7};
}

// Where the sections of a block begin.
struct Layout {
  std::size_t directory = 0, anchors = 0, tails = 0, texts = 0, heap = 0, end = 0;
};
constexpr std::size_t anchors_of(std::size_t buckets) noexcept {
  return (buckets + anchor_buckets - 1) / anchor_buckets + 1;
}
inline Layout layout_of(const Header& header) noexcept {
  Layout layout;
  layout.directory = aligned(sizeof header);
  layout.anchors = layout.directory + std::size_t{header.buckets} * 8;
  layout.tails = aligned(layout.anchors + anchors_of(header.buckets) * 4);
  layout.texts = layout.tails + std::size_t{header.tails} * sizeof(Tail);
  layout.heap = aligned(layout.texts + header.tail_text_octets);
  layout.end = aligned(layout.heap + header.heap_octets + slack);
  return layout;
}

__extension__ using Wide = unsigned __int128;

inline std::uint64_t fold_product(std::uint64_t a, std::uint64_t b) noexcept {
  const Wide product = static_cast<Wide>(a) * b;
  return static_cast<std::uint64_t>(product) ^ static_cast<std::uint64_t>(product >> 64);
}

inline std::uint64_t eight_octets(const std::uint8_t* at) noexcept {
  std::uint64_t word;
  std::memcpy(&word, at, 8);
  return word;
}

// What keeps the first `size` octets of `slack` and makes the others zero begins at slack - size.
inline constexpr std::array<std::uint8_t, 2 * slack> octet_masks = [] {
  std::array<std::uint8_t, 2 * slack> masks{};
  for (std::size_t i = 0; i < slack; ++i) masks[i] = 0xff;
  return masks;
}();

// The hash of a suffix from that of the suffix one label shorter. `label` points at its length octet; 16
// octets from there on may be read. Nearly all labels have no more, and take one multiplication and no
// branch.
inline std::uint64_t extend(std::uint64_t hash, const std::uint8_t* label, std::uint64_t key) noexcept {
  constexpr std::size_t step = 16;
  const std::size_t size = *label + 1u;
  if (size <= step) [[likely]] {
    const std::uint8_t* const mask = octet_masks.data() + slack - size;
    return fold_product(hash ^ (eight_octets(label) & eight_octets(mask)),
                        key ^ (eight_octets(label + 8) & eight_octets(mask + 8)));
  }
  // The last octets overlap those before; the length octet tells how far.
  const auto add = [&](std::size_t at) {
    hash = fold_product(hash ^ eight_octets(label + at), key ^ eight_octets(label + at + 8));
  };
  for (std::size_t at = 0; at + step < size; at += step) add(at);
  add(size - step);
  return hash;
}

inline std::size_t bucket_of(std::uint64_t hash, std::size_t buckets) noexcept {
  return static_cast<std::size_t>(static_cast<Wide>(hash) * buckets >> 64);
}
// A word of the directory: in the low 16 bits how far behind its anchor the bucket begins, and above them an
// octet for each of its first records, from bits of the hash that did not choose the bucket; 0: no record.
inline constexpr std::size_t lanes = 6;
inline constexpr unsigned lane_bits = 8, first_lane_bit = 16;
// In the last lane: more records than lanes. The records from there on have no octet.
inline constexpr std::uint64_t more_records = 0xff;
// In place of how far: too far. Only where names of 200 octets come in many kinds.
inline constexpr std::uint32_t too_far = 0xffff;

inline std::uint64_t lane_octet_of(std::uint64_t hash) noexcept {  // 1..253, and 254 twice as often
  const std::uint64_t octet = hash & 0xff;
  return octet == 0 || octet == more_records ? 254 : octet;
}
constexpr std::uint64_t last_lane_of(std::uint64_t word) noexcept {
  return word >> (first_lane_bit + (lanes - 1) * lane_bits);
}
constexpr std::uint32_t distance_of(std::uint64_t word) noexcept {
  return static_cast<std::uint32_t>(word & 0xffff);
}
// Bit 7 of each lane that holds the octet. Exact: no lane speaks for another's carry.
constexpr std::uint64_t lanes_with(std::uint64_t word, std::uint64_t octet) noexcept {
  constexpr std::uint64_t ones = 0x0101010101010000, low = ones * 0x7f;
  const std::uint64_t differ = word ^ octet * ones;
  return ~(((differ & low) + low) | differ | low) & (ones * 0x80);
}
constexpr std::size_t lane_at(std::uint64_t bits) noexcept {  // the first of those
  return (static_cast<std::size_t>(std::countr_zero(bits)) - first_lane_bit) / lane_bits;
}

// Octets of the largest record: what stands before its text, text and line.
inline constexpr std::size_t largest_record = 3 + 255 + 4;

// One record, as far as it lies before `end`. `rest` is what stands before the tail.
struct PackedEntry {
  const std::uint8_t* rest = nullptr;
  std::size_t rest_size = 0;
  std::size_t tail = 0;
  const std::uint8_t* line = nullptr;
  const std::uint8_t* next = nullptr;  // null: the record is cut off
};
inline PackedEntry read_entry(const std::uint8_t* at, const std::uint8_t* end,
                              std::size_t line_octets) noexcept {
  constexpr std::size_t shortest = 3;  // no octet of text, and a line
  PackedEntry record;
  if (end - at < static_cast<std::ptrdiff_t>(shortest)) return record;
  record.rest_size = at[0];
  record.tail = at[1];
  record.rest = at + 2;
  if (record.tail >= short_tails) {
    record.tail = short_tails + (record.tail - short_tails) * 256 + at[2];
    ++record.rest;
  }
  if (static_cast<std::size_t>(end - record.rest) < record.rest_size + line_octets) return record;
  record.line = record.rest + record.rest_size;
  record.next = record.line + line_octets;
  return record;
}

}  // namespace name_set
}  // namespace postern

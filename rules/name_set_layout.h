// The octets of a NameSet: what its block holds, and how a suffix is hashed. Internal to name_set*.cpp.
#pragma once

#include <bit>
#include <cstring>

#include "rules/name_set.h"

namespace postern {

namespace name_set {

// The block begins with this, in the byte order of the machine: directory, tails, the tails' texts and the
// heap follow (Layout). Line numbers have `line_octets` octets, low first.
struct Header {
  std::uint64_t key, second_key;
  std::uint64_t depths[2];  // bit d: some entry has d labels
  std::uint32_t entries;
  std::uint32_t buckets;  // the directory has one word more
  std::uint32_t tails;
  std::uint32_t tail_text_octets;
  std::uint32_t heap_octets;
  std::uint32_t line_octets;
};

// A tail's number is one octet below this, and two from there on.
inline constexpr std::size_t short_tails = 192;
inline constexpr std::size_t most_tails = short_tails + (256 - short_tails) * 256;
// Records a bucket: its directory entry costs 4 octets, and each record before the right one some
// nanoseconds.
inline constexpr std::size_t records_a_bucket = 3;

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
  std::size_t directory = 0, tails = 0, texts = 0, heap = 0, end = 0;
};
inline Layout layout_of(const Header& header) noexcept {
  Layout layout;
  layout.directory = aligned(sizeof header);
  layout.tails = layout.directory + (std::size_t{header.buckets} + 1) * 8;
  layout.texts = layout.tails + std::size_t{header.tails} * sizeof(Tail);
  layout.heap = aligned(layout.texts + header.tail_text_octets);
  layout.end = aligned(layout.heap + header.heap_octets);
  return layout;
}

__extension__ using Wide = unsigned __int128;

inline std::uint64_t fold_product(std::uint64_t a, std::uint64_t b) noexcept {
  const Wide product = static_cast<Wide>(a) * b;
  return static_cast<std::uint64_t>(product) ^ static_cast<std::uint64_t>(product >> 64);
}

// The hash of a suffix from that of the suffix one label shorter. `label` points at its length octet.
inline std::uint64_t extend(std::uint64_t hash, const std::uint8_t* label, std::uint64_t key) noexcept {
  const std::size_t size = *label + 1u;
  const auto four = [](const std::uint8_t* at) {
    std::uint32_t word;
    std::memcpy(&word, at, 4);
    return static_cast<std::uint64_t>(word);
  };
  const auto eight = [](const std::uint8_t* at) {
    std::uint64_t word;
    std::memcpy(&word, at, 8);
    return word;
  };
  if (size >= 8) {  // the last word overlaps the one before; the length octet tells how far
    std::size_t at = 0;
    for (; at + 8 < size; at += 8) hash = fold_product(hash ^ eight(label + at), key);
    return fold_product(hash ^ eight(label + size - 8), key);
  }
  if (size >= 4) return fold_product(hash ^ (four(label) << 32 | four(label + size - 4)), key);
  const std::uint64_t word = static_cast<std::uint64_t>(label[0]) << 16 |
                             static_cast<std::uint64_t>(label[size / 2]) << 8 | label[size - 1];
  return fold_product(hash ^ word, key);
}

inline std::size_t bucket_of(std::uint64_t hash, std::size_t buckets) noexcept {
  return static_cast<std::size_t>(static_cast<Wide>(hash) * buckets >> 64);
}
// A word of the directory: where the bucket begins in the heap in the low half, a Bloom filter of its names
// in the high one: 3 of 32 bits a name, from bits of the hash that did not choose the bucket.
inline std::uint64_t filter_bits_of(std::uint64_t hash) noexcept {
  const std::uint64_t one = 1;
  return one << (32 + (hash & 31)) | one << (32 + (hash >> 5 & 31)) | one << (32 + (hash >> 10 & 31));
}
inline std::uint32_t heap_offset_of(std::uint64_t word) noexcept {
  return static_cast<std::uint32_t>(word);
}

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

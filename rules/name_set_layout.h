// The octets of a NameSet: what its block holds, and how a suffix is hashed. Internal to name_set*.cpp.
#pragma once

#include <bit>
#include <cstring>

#include "rules/name_set.h"

namespace postern {

// The block begins with this, in the byte order of the machine. The sections follow in the order of their
// counts, each at a multiple of 8; line numbers have `line_octets` octets, low first.
struct NameSet::Header {
  std::uint64_t key, second_key;
  std::uint64_t depths[2];
  std::uint32_t entries;
  std::uint32_t filter_words;
  std::uint32_t buckets;  // the directory holds one number more
  std::uint32_t tails;
  std::uint32_t tail_text_octets;
  std::uint32_t heap_octets;
  std::uint32_t line_octets;
  std::uint32_t zero;
};

// What many records end in.
struct NameSet::Tail {
  std::uint32_t text_at;  // in the tails' texts: a name in wire form
  std::uint8_t size;
  std::uint8_t tag;  // scope and kind
  std::uint16_t zero;
};

namespace name_set {

// A tail's number is one octet below this, and two from there on.
inline constexpr std::size_t short_tails = 192;
inline constexpr std::size_t most_tails = short_tails + (256 - short_tails) * 256;
// Records a bucket: its directory entry costs 4 octets, and each record before the right one some
// nanoseconds.
inline constexpr std::size_t records_a_bucket = 4;
// 4 bits of a 64-bit word a name: one suffix in 40 that is not there passes.
inline constexpr std::size_t filter_bits_a_name = 12;

constexpr std::uint8_t tag_of(Pattern::Scope scope, NameSet::Kind kind) noexcept {
  return static_cast<std::uint8_t>(static_cast<unsigned>(scope) << 6 | (kind & (NameSet::most_kinds - 1)));
}
constexpr unsigned scope_of(std::uint8_t tag) noexcept {
  return tag >> 6;
}

constexpr std::size_t aligned(std::size_t octets) noexcept {
  return (octets + 7) & ~std::size_t{7};
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
// Other bits of the hash than the bucket's.
inline std::size_t filter_word_of(std::uint64_t hash, std::size_t words) noexcept {
  return static_cast<std::size_t>((hash & 0xffffffff) * words >> 32);
}
inline std::uint64_t filter_bits_of(std::uint64_t hash) noexcept {
  const std::uint64_t bits = hash * 0x9e3779b97f4a7c15 >> 40;
  return std::uint64_t{1} << (bits & 63) | std::uint64_t{1} << (bits >> 6 & 63) |
         std::uint64_t{1} << (bits >> 12 & 63) | std::uint64_t{1} << (bits >> 18 & 63);
}

// One record, as far as it lies before `end`. `rest` is what stands before the tail.
struct Record {
  const std::uint8_t* rest = nullptr;
  std::size_t rest_size = 0;
  std::size_t tail = 0;
  const std::uint8_t* line = nullptr;
  const std::uint8_t* next = nullptr;  // null: the record is cut off
};
inline Record read_record(const std::uint8_t* at, const std::uint8_t* end, std::size_t line_octets) noexcept {
  constexpr std::size_t shortest = 3;  // no octet of text, and a line
  Record record;
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

// NameSetBuilder: names in any order, and the NameSet of them.
//
// Names are kept apart by the first 8 bits of their hash from the start, so that all later steps work within
// a 256th of them, which fits a processor's cache. Off the path: one thread builds, and hands out a set that
// never changes. Memory while it builds: 18 octets an entry and its name, besides the set; then none.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "rules/name_set.h"

namespace postern {

namespace name_set {
class TailChoice;
}

class NameSetBuilder {
 public:
  struct Keys {
    std::uint64_t first = 0, second = 0;
  };
  static Keys draw_keys() noexcept;  // at random

  explicit NameSetBuilder(Keys keys = draw_keys()) noexcept : keys_{keys.first | 1, keys.second} {}

  // `extra` goes with the entry where it is not 0: Built::extras says which index got it. It is below 2^32
  // - 1. Entries that are equal but for their line are one, with the line of the first.
  void add(const Name& name, Pattern::Scope scope, NameSet::Kind kind, std::uint32_t line,
           std::uint32_t extra = 0);
  std::size_t size() const noexcept { return entries_; }

  struct Built {
    NameSet set;
    std::vector<std::pair<std::uint32_t, std::uint32_t>> extras;  // (index, extra), by index
    std::size_t repeated = 0;                                     // entries that were there already
    std::size_t crowded = 0;                                      // entries over NameSet::most_of_a_name
  };
  // Errors: more than NameSet::most_entries. Empties the builder.
  Result<Built> build();

 private:
  static constexpr std::size_t parts = 256;
  static constexpr std::uint32_t dropped = 0xffffffff;  // an extra that is none

  // An entry as it is kept in its part, followed by the name in wire form.
  struct Entry {
    std::uint64_t hash;
    std::uint32_t line, extra;
    std::uint8_t tag, size;
  };
  static constexpr std::size_t entry_octets = 18;
  struct Place {
    std::uint64_t hash;
    std::uint32_t at;  // in the part
  };
  // Chunks, so that nothing is copied as a part grows; no entry lies in two.
  static constexpr std::size_t chunk_octets = 32 << 10;
  static constexpr std::size_t unused_octets = 32;  // at a chunk's end: they may be read, and mean nothing
  static constexpr std::size_t slab_chunks = 256;   // 8 MiB
  struct Part {
    std::uint8_t* out = nullptr;  // where the next entry goes, in the last chunk
    std::size_t room = 0;         // octets left there
    std::vector<std::shared_ptr<std::uint8_t[]>> chunks;
    std::vector<std::uint32_t> used;  // octets of each but the last
    std::size_t used_of(std::size_t chunk) const noexcept {
      return chunk < used.size() ? used[chunk] : chunk_octets - unused_octets - room;
    }
    std::uint8_t* at(std::uint32_t place) const noexcept {
      return chunks[place / chunk_octets].get() + place % chunk_octets;
    }
  };
  struct Writer;

  std::uint64_t hash_of(const Name& name) const noexcept;
  bool add_chunk(Part& part);
  std::shared_ptr<std::uint8_t[]> next_of_slab();
  static Entry entry_at(const std::uint8_t* in) noexcept;
  template <class Visit>
  static void for_each(const Part& part,
                       Visit&& visit);  // visit(place, entry, name), without what was dropped
  // The entries of a part that were not dropped, by bucket; those of one bucket as they were added. starts[i]
  // to starts[i + 1] are those of bucket first + i.
  struct Sorted {
    std::vector<Place> places;
    std::vector<std::uint32_t> starts;
    std::size_t first = 0;
  };
  void sort_part(std::size_t number, std::size_t buckets, Sorted& sorted) const;
  void drop_repeated(std::size_t number, const Sorted& sorted, Built& built);
  NameSet write(std::size_t entries, const name_set::TailChoice& tails, Built& built);

  Keys keys_;
  std::size_t entries_ = 0;
  std::size_t name_octets_ = 0;
  std::uint32_t last_line_ = 0;
  std::array<bool, 256> tags_{};  // in use
  bool too_much_ = false;
  std::array<Part, parts> parts_;
  std::shared_ptr<std::uint8_t[]> slab_;  // the last
  std::size_t slab_used_ = 0;             // chunks of it
};

}  // namespace postern

// NameSetBuilder: names in any order, and the NameSet of them.
//
// Off the path: one thread builds, and hands out a set that never changes. Memory while it builds: about 17
// octets a name and the name itself, besides the set.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "rules/name_set.h"

namespace postern {

class NameSetBuilder {
 public:
  struct Keys {
    std::uint64_t first = 0, second = 0;
  };
  static Keys draw_keys() noexcept;  // at random

  explicit NameSetBuilder(Keys keys = draw_keys()) noexcept : keys_{keys.first | 1, keys.second} {}

  // `extra` goes with the entry where it is not 0: Built::extras says which index got it. Entries that are
  // equal but for their line are one, with the first line.
  void add(const Name& name, Pattern::Scope scope, NameSet::Kind kind, std::uint32_t line,
           std::uint32_t extra = 0);
  std::size_t size() const noexcept { return raw_.size(); }

  struct Built {
    NameSet set;
    std::vector<std::pair<std::uint32_t, std::uint32_t>> extras;  // (index, extra), by index
    std::size_t repeated = 0;                                     // entries that were there already
    std::size_t crowded = 0;                                      // entries over NameSet::most_of_a_name
  };
  // Errors: more than NameSet::most_entries, or more text than the set can hold. Ends the builder.
  Result<Built> build();

 private:
  struct Raw {
    std::uint64_t hash;
    std::uint32_t text_at;  // in texts_: tag, size, name in wire form
    std::uint32_t line;
  };
  struct TailTable;

  const std::uint8_t* name_of(const Raw& raw) const noexcept { return texts_.data() + raw.text_at + 2; }
  std::uint8_t tag_of(const Raw& raw) const noexcept { return texts_[raw.text_at]; }
  std::size_t size_of(const Raw& raw) const noexcept { return texts_[raw.text_at + 1]; }
  std::uint32_t extra_of(std::uint32_t sequence) const noexcept;
  void sort_into_buckets(std::size_t buckets);
  void drop_repeated(Built& built);
  void choose_tails(TailTable& tails) const;

  Keys keys_;
  bool too_much_ = false;
  std::vector<std::uint8_t> texts_;
  std::vector<Raw> raw_;
  std::vector<std::pair<std::uint32_t, std::uint32_t>> extras_;  // (place in raw_, extra)
  std::vector<std::uint32_t> starts_, order_;                    // buckets, and what is in them
};

}  // namespace postern

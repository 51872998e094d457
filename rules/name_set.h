// NameSet: a million patterns in about 25 octets each, asked in one pass over a name.
//
// What lists are made of (list.h): immutable once built, exact (octets are compared, a hash alone never
// decides), and one block of memory without a pointer in it, so that it is written to a cache file and read
// back as it stands (list_image.h). docs/decisions/0004-name-set.md says what was measured.
//
//   directory  a word a bucket: where it begins, and an octet of the hash of each name in it, so that most
//              suffixes that are not in the set end here, and those that are find their record at once
//   anchors    where every eighth bucket begins in the heap: small enough to stay in a near cache, so that a
//              record's place is guessed while its bucket's word is on its way
//   heap       records in the order of their buckets: [octets][tail][labels...][line]
//   tails      what many records end in, kept once: a suffix ("com"), a scope and a kind
//
// A walk hashes the suffixes of a name from the right, each from the one before, and looks only at the depths
// that the set has. The hash is keyed by 128 random bits, for whoever writes a list must not be able to
// choose names that meet in one bucket; a name that never was in the set costs a directory word per label.
//
// Thread: any. Memory: per name 2.8 octets of directory and anchors, and its record: the labels before the
// tail and 4 to 6 octets.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "rules/name.h"
#include "rules/pattern.h"

namespace postern {

// Octets that never change, shared by what points into them.
struct SharedOctets {
  std::shared_ptr<const std::uint8_t[]> data;
  std::size_t size = 0;

  std::span<const std::uint8_t> all() const noexcept { return {data.get(), size}; }
};

namespace name_set {
// What many records end in.
struct Tail {
  std::uint32_t text_at;  // in the tails' texts: a name in wire form
  std::uint8_t size;
  std::uint8_t tag;  // scope and kind
  std::uint16_t zero;
};
}  // namespace name_set

class NameSet {
 public:
  // What the caller wants to know of an entry: 6 bits that mean nothing here.
  using Kind = std::uint8_t;
  static constexpr Kind most_kinds = 64;
  // Entries of a set: the heap's offsets have 32 bits, and a list of this size is no list any more.
  static constexpr std::size_t most_entries = 32'000'000;
  // Entries of one name, besides the first of each scope and kind: each is visited on every walk over that
  // name, and a list could hold nothing else.
  static constexpr std::size_t most_of_a_name = 32;

  struct Entry {
    std::uint32_t index = 0;  // stands for the entry in line()
    Kind kind = 0;
    Pattern::Scope scope = Pattern::Scope::exact;
    std::uint8_t depth = 0;  // labels of the entry's name
  };

  NameSet() = default;  // empty

  // Calls visit(const Entry&) for every entry that matches `name`, the shortest suffix first. Allocates
  // nothing. Whoever calls it includes name_set_walk.h.
  template <class Visit>
  void walk(const Name& name, Visit&& visit) const noexcept;

  // Line of the file that this entry came from; 0 for an index that no walk gave.
  std::uint32_t line(std::uint32_t index) const noexcept;

  // Calls visit(const Name&, const Entry&) for every entry, in no order: it differs from set to set. Reads
  // all of it, so not for the path: about 60 ns an entry. Allocates nothing.
  template <class Visit>
  void each(Visit&& visit) const {
    each([](void* context, const Name& name,
            const Entry& entry) { (*static_cast<Visit*>(context))(name, entry); },
         static_cast<void*>(&visit));
  }

  std::size_t size() const noexcept { return entries_; }
  bool empty() const noexcept { return entries_ == 0; }
  std::size_t octets() const noexcept { return block_.size(); }  // of memory

  // The set as octets, and back. `from_octets` takes what `octets_of` gave, which must begin at an address
  // that is a multiple of 8; errors: cut off, sizes and offsets that do not fit. Octets that were changed on
  // purpose give other answers, but never a read outside of them.
  std::span<const std::uint8_t> block() const noexcept { return block_; }
  static Result<NameSet> from_block(std::shared_ptr<const std::uint8_t[]> owner,
                                    std::span<const std::uint8_t> block);

 private:
  using NameVisitor = void (*)(void* context, const Name& name, const Entry& entry);

  void each(NameVisitor visit, void* context) const;

  struct Asked {                 // one suffix of a name
    const std::uint8_t* octets;  // and some more that may be read
    std::size_t size;
    std::uint8_t depth;
    bool whole;  // the name itself
  };
  void ask_for(std::size_t bucket) const noexcept;  // memory, ahead of time
  std::size_t end_of(std::size_t bucket) const noexcept;
  template <class Visit>
  void scan(std::size_t bucket, std::uint64_t octet, const Asked& asked, Visit& visit) const noexcept;
  template <class Visit>
  void scan_all(std::size_t from, std::size_t to, const Asked& asked, Visit& visit) const noexcept;
  template <class Visit>
  void look_at(const std::uint8_t* at, const Asked& asked, Visit& visit) const noexcept;

  std::shared_ptr<const std::uint8_t[]> owner_;
  std::span<const std::uint8_t> block_;  // everything below points into it
  std::size_t entries_ = 0;
  std::uint64_t key_ = 0, second_key_ = 0;
  std::uint64_t depths_[2] = {};  // bit d: some entry has d labels
  std::size_t deepest_ = 0;
  std::uint8_t line_octets_ = 1;
  std::span<const std::uint64_t> directory_;  // a word a bucket
  std::span<const std::uint32_t> anchors_;    // the last is where the heap ends
  std::span<const name_set::Tail> tails_;
  std::span<const std::uint8_t> tail_texts_;
  std::span<const std::uint8_t> heap_;
};

}  // namespace postern

// The name book: which names the file knows by which number, as far as memory reaches.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "rules/name.h"

namespace postern {

// Thread: the journal's. Memory: at most twice `max_young` names, 16 MiB and what is longer than
// `short_text`; little while few are known. Names that are in use stay: the older half goes when the younger
// one is full, and whoever is found there moves over. What is not here is looked up in the file, off the
// commit path (lister.h).
//
// A name and its numbers are one line of the processor's cache, in an open table. A map of strings cost 0.7
// us a look, all of it waiting for memory; who looks for many names asks for all their lines first (`fetch`).
class NameBook {
 public:
  static constexpr std::size_t max_young = 65536;
  static constexpr std::size_t short_text = 44;  // octets that fit beside the numbers

  struct Known {
    std::int64_t id = 0;      // of `name`; 0: not known here
    std::int64_t domain = 0;  // of `domain`
  };
  static std::size_t hash(std::string_view text) {  // keyed, since sandboxes choose the names
    return hash_octets(reinterpret_cast<const std::uint8_t*>(text.data()), text.size());
  }
  // A name of that hash is looked for soon.
  void fetch(std::size_t hash) const {
    young_.fetch(hash);
    old_.fetch(hash);
  }
  Known find(std::string_view text) { return find(text, hash(text)); }
  Known find(std::string_view text, std::size_t hash);
  void add(std::string_view text, Known known);  // known.id > 0
  void forget(std::string_view text);            // its row is removed
  void clear();

 private:
  struct alignas(64) Slot {
    std::int64_t id = 0;  // 0: free; -1: forgotten, and others may stand behind it
    std::int64_t domain = 0;
    std::uint16_t size = 0, tag = 0;      // tag: of the hash, so that few other names are compared
    std::array<char, short_text> text{};  // of a longer name: its place in long_texts
  };
  static_assert(sizeof(Slot) == 64);

  // An open table, linear probing; at most half full, so that a search is short.
  class Table {
   public:
    void fetch(std::size_t hash) const {
      if (!slots_.empty()) __builtin_prefetch(&slots_[hash & (slots_.size() - 1)]);
    }
    Slot* find(std::string_view text, std::size_t hash);
    void add(std::string_view text, std::size_t hash, Known known);
    std::size_t used() const { return used_; }
    void clear();

   private:
    static constexpr std::size_t first_slots = 1024;
    std::string_view text_of(const Slot& slot) const;
    void grow();
    std::vector<Slot> slots_;  // none, or a power of two
    std::vector<std::string> long_texts_;
    std::size_t used_ = 0;  // slots that are not free
  };

  void make_room();
  Table young_, old_;
};

}  // namespace postern

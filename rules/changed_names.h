// ChangedNames: the questions that two policies answer differently, by the million.
//
// Lists of a million names may change all of them, so what is kept of one is small: its name as a sort key
// and the numbers of four texts, since few texts say it all. Filled with add(), then sort(), then read.
//
// Thread: one. Memory: 24 octets and the name for each, while it grows up to twice that, and each text once;
// at most `most` are kept.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "rules/vocabulary.h"

namespace postern {

// A question that two policies of the same name answer differently.
struct ChangedName {
  Query query;
  std::string before, after;            // verdict_text
  std::string rule_before, rule_after;  // what spoke
};

class ChangedNames {
 public:
  // About 500 MB of them: a comparison takes no more, and whoever has so many reads none.
  static constexpr std::size_t most = 8'000'000;

  using Text = std::uint32_t;
  Text text(std::string_view text);  // its number; the same for the same text
  struct Change {
    Text before, after, rule_before, rule_after;
  };
  void add(const Query& query, const Change& change);
  // By name, labels from the right, then by type; a question that was added twice is there once.
  void sort();

  std::size_t size() const noexcept { return changes_.size(); }
  bool empty() const noexcept { return changes_.empty(); }
  std::size_t not_kept() const noexcept { return not_kept_; }  // beyond `most`, perhaps added twice
  ChangedName operator[](std::size_t index) const;

  // How often which verdict became which, most first.
  struct Count {
    std::string before, after;
    std::size_t names = 0;
  };
  std::vector<Count> counts() const;

  class Iterator {
   public:
    Iterator(const ChangedNames& of, std::size_t at) : of_(&of), at_(at) {}
    ChangedName operator*() const { return (*of_)[at_]; }
    Iterator& operator++() {
      ++at_;
      return *this;
    }
    friend bool operator==(const Iterator& a, const Iterator& b) { return a.at_ == b.at_; }

   private:
    const ChangedNames* of_;
    std::size_t at_;
  };
  Iterator begin() const { return {*this, 0}; }
  Iterator end() const { return {*this, size()}; }

 private:
  struct Kept {
    std::uint32_t key_at;
    std::uint16_t key_size;
    Type type;
    Change change;
  };
  std::string_view key_of(const Kept& kept) const noexcept {
    return std::string_view(keys_).substr(kept.key_at, kept.key_size);
  }

  std::string keys_;
  std::vector<Kept> changes_;
  std::vector<std::string> texts_;
  std::unordered_map<std::string, Text> numbers_;
  std::size_t not_kept_ = 0;
};

}  // namespace postern

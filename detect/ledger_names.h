// A set of names, each with a small number: exact, compact, never shrinking.
//
// Exact on purpose: a hash instead of the name would let a client look for two names that collide, and have
// the second at the price of a repetition.
//
// Memory: the names' wire octets, plus 8 octets each and 4 to 8 for the index. Nothing is allocated while
// empty.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "rules/name.h"

namespace postern {

class NameTable {
 public:
  using Id = std::uint32_t;

  static std::string_view octets(const Name& name) noexcept {
    return {reinterpret_cast<const char*>(name.wire().data()), name.size()};
  }
  std::optional<Id> find(std::string_view wire) const noexcept {
    if (slots_.empty()) return std::nullopt;
    for (std::size_t at = hash(wire) & mask(); slots_[at] != 0; at = (at + 1) & mask())
      if (this->at(slots_[at] - 1) == wire) return slots_[at] - 1;
    return std::nullopt;
  }
  // The name must not be there yet.
  Id insert(std::string_view wire) {
    if ((ends_.size() + 1) * 4 > slots_.size() * 3) grow();
    arena_.insert(arena_.end(), wire.begin(), wire.end());
    ends_.push_back(static_cast<std::uint32_t>(arena_.size()));
    const Id id = static_cast<Id>(ends_.size() - 1);
    place(id);
    return id;
  }
  std::string_view at(Id id) const noexcept {
    const std::size_t from = id == 0 ? 0 : ends_[id - 1];
    return {arena_.data() + from, ends_[id] - from};
  }
  std::size_t size() const noexcept { return ends_.size(); }
  std::size_t memory() const noexcept {
    return arena_.capacity() + (ends_.capacity() + slots_.capacity()) * sizeof(std::uint32_t);
  }

 private:
  static std::size_t hash(std::string_view wire) noexcept { return std::hash<std::string_view>{}(wire); }
  std::size_t mask() const noexcept { return slots_.size() - 1; }
  void place(Id id) {
    std::size_t slot = hash(at(id)) & mask();
    while (slots_[slot] != 0) slot = (slot + 1) & mask();
    slots_[slot] = id + 1;
  }
  void grow() {
    slots_.assign(slots_.empty() ? 16 : slots_.size() * 2, 0);
    for (Id id = 0; id < ends_.size(); ++id) place(id);
  }

  std::vector<char> arena_;
  std::vector<std::uint32_t> ends_;
  std::vector<std::uint32_t> slots_;  // id + 1, or 0: free
};

}  // namespace postern

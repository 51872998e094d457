// The tails of a NameSet while it is built: which suffixes are worth keeping once, and which one a name ends
// in. Internal to name_set_builder.cpp.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "rules/name_set_layout.h"

namespace postern::name_set {

// Labels that a tail may have: "com", "co.uk", "hosting.com".
inline constexpr std::size_t tail_labels = 2;

// Where the last labels of a name begin, the shortest suffix first, and the suffixes' hashes.
struct Suffixes {
  Suffixes(const std::uint8_t* wire, std::uint64_t key, std::uint64_t second_key) noexcept;

  std::size_t labels = 0;  // of the whole name
  std::size_t count;
  std::size_t start[tail_labels];
  std::uint64_t hashes[tail_labels];
};

class TailChoice {
 public:
  struct Sample {
    const std::uint8_t* wire;
    std::uint8_t size, tag;
  };
  // `weight`: names that each of the sample stands for. Every tag of `tags` gets a tail without a label, so
  // that every name has one.
  TailChoice(std::span<const Sample> sample, std::size_t weight, std::span<const bool, 256> tags,
             std::uint64_t key, std::uint64_t second_key);

  // The tail of a name, the longest; `rest`: the octets of the name before it.
  std::size_t find(const std::uint8_t* wire, std::size_t size, std::uint8_t tag, const Suffixes& suffixes,
                   std::size_t& rest) const noexcept;

  const std::vector<Tail>& tails() const noexcept { return tails_; }
  const std::vector<std::uint8_t>& texts() const noexcept { return texts_; }

 private:
  static constexpr std::uint32_t none = 0xffffffff;
  struct Slot {
    std::uint64_t hash = 0;
    std::uint32_t number = none;
  };

  void add(std::uint64_t hash, std::uint8_t tag, const std::uint8_t* wire, std::size_t size);
  std::uint32_t look_up(std::uint64_t hash, std::uint8_t tag, const std::uint8_t* wire,
                        std::size_t size) const noexcept;

  std::uint64_t second_key_;
  std::vector<Tail> tails_;
  std::vector<std::uint8_t> texts_;
  std::vector<Slot> slots_;  // a power of two, at most half full
};

}  // namespace postern::name_set

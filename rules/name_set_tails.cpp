// Choosing the tails of a NameSet by counting the suffixes of a sample.
#include "rules/name_set_tails.h"

#include <algorithm>
#include <array>

namespace postern::name_set {
namespace {

constexpr std::uint64_t with_tag(std::uint64_t hash, std::uint8_t tag) noexcept {
  return hash + tag * 0x9e3779b97f4a7c15;
}

struct Seen {
  std::uint64_t hash;
  const std::uint8_t* wire;
  std::uint8_t size, tag;
  std::uint32_t count;
};

}  // namespace

Suffixes::Suffixes(const std::uint8_t* wire, std::uint64_t key, std::uint64_t second_key) noexcept {
  std::array<std::uint8_t, tail_labels> last{};
  for (std::size_t at = 0; wire[at] != 0; at += wire[at] + 1u)
    last[labels++ % tail_labels] = static_cast<std::uint8_t>(at);
  count = std::min(labels, tail_labels);
  std::uint64_t hash = second_key;
  for (std::size_t i = 0; i < count; ++i) {
    start[i] = last[(labels - 1 - i) % tail_labels];
    hashes[i] = hash = extend(hash, wire + start[i], key);
  }
}

TailChoice::TailChoice(std::span<const Sample> sample, std::size_t weight, std::span<const bool, 256> tags,
                       std::uint64_t key, std::uint64_t second_key)
    : second_key_(second_key) {
  std::vector<Seen> seen;
  seen.reserve(sample.size() * tail_labels);
  for (const Sample& one : sample) {
    const Suffixes suffixes(one.wire, key, second_key);
    for (std::size_t k = 0; k < suffixes.count; ++k)
      seen.push_back({with_tag(suffixes.hashes[k], one.tag), one.wire + suffixes.start[k],
                      static_cast<std::uint8_t>(one.size - suffixes.start[k]), one.tag, 1});
  }
  std::sort(seen.begin(), seen.end(), [](const Seen& a, const Seen& b) { return a.hash < b.hash; });
  std::size_t distinct = 0;
  for (std::size_t i = 0; i < seen.size(); ++i) {
    if (distinct != 0 && seen[distinct - 1].hash == seen[i].hash)
      ++seen[distinct - 1].count;
    else
      seen[distinct++] = seen[i];
  }
  seen.resize(distinct);
  // Worth it where the octets saved, in all, are more than those of the tail itself.
  std::erase_if(seen, [&](const Seen& one) {
    return one.count < 2 || one.count * weight * (one.size - 2) <= sizeof(Tail) + one.size;
  });
  std::sort(seen.begin(), seen.end(), [](const Seen& a, const Seen& b) {
    return a.count != b.count ? a.count > b.count : a.hash < b.hash;
  });

  const auto roots = static_cast<std::size_t>(std::count(tags.begin(), tags.end(), true));
  seen.resize(std::min(seen.size(), most_tails - roots));
  slots_.resize(std::bit_ceil((seen.size() + roots) * 2 + 1));
  constexpr std::uint8_t root = 0;
  const auto add_roots = [&] {
    for (unsigned tag = 0; tag < tags.size(); ++tag) {
      const auto octet = static_cast<std::uint8_t>(tag);
      if (tags[tag]) add(with_tag(second_key, octet), octet, &root, 1);
    }
  };
  constexpr std::size_t few = 4;  // may take short numbers away from suffixes
  if (roots <= few) add_roots();
  for (const Seen& one : seen) add(one.hash, one.tag, one.wire, one.size);
  if (roots > few) add_roots();
}

void TailChoice::add(std::uint64_t hash, std::uint8_t tag, const std::uint8_t* wire, std::size_t size) {
  const auto number = static_cast<std::uint32_t>(tails_.size());
  tails_.push_back({static_cast<std::uint32_t>(texts_.size()), static_cast<std::uint8_t>(size), tag, 0});
  texts_.insert(texts_.end(), wire, wire + size);
  std::size_t slot = hash & (slots_.size() - 1);
  while (slots_[slot].number != none) slot = (slot + 1) & (slots_.size() - 1);
  slots_[slot] = {hash, number};
}

std::uint32_t TailChoice::look_up(std::uint64_t hash, std::uint8_t tag, const std::uint8_t* wire,
                                  std::size_t size) const noexcept {
  for (std::size_t slot = hash & (slots_.size() - 1);; slot = (slot + 1) & (slots_.size() - 1)) {
    if (slots_[slot].number == none) return none;
    if (slots_[slot].hash != hash) continue;
    const Tail& tail = tails_[slots_[slot].number];
    if (tail.tag == tag && tail.size == size && std::memcmp(texts_.data() + tail.text_at, wire, size) == 0)
      return slots_[slot].number;
  }
}

std::size_t TailChoice::find(const std::uint8_t* wire, std::size_t size, std::uint8_t tag,
                             const Suffixes& suffixes, std::size_t& rest) const noexcept {
  for (std::size_t k = suffixes.count; k-- > 0;) {
    rest = suffixes.start[k];
    const std::uint32_t tail = look_up(with_tag(suffixes.hashes[k], tag), tag, wire + rest, size - rest);
    if (tail != none) return tail;
  }
  rest = size - 1;
  const std::uint32_t tail = look_up(with_tag(second_key_, tag), tag, wire + rest, 1);
  POSTERN_CHECK(tail != none);
  return tail;
}

}  // namespace postern::name_set

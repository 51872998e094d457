// NameSetBuilder: sorts names into buckets, drops the repeated ones, finds the tails and writes the block.
#include "rules/name_set_builder.h"

#include <sys/random.h>

#include <algorithm>
#include <array>

#include "rules/name_set_layout.h"

namespace postern {

using namespace name_set;

namespace {

// Names that are looked at for tails: enough to find whatever ends one name in some thousands.
constexpr std::size_t sampled_names = 32768;
// Labels that a tail may have: "com", "co.uk", "hosting.co.uk".
constexpr std::size_t tail_labels = 3;
// Records ahead whose memory is asked for while one is written.
constexpr std::size_t lookahead = 24;

// Where the last `tail_labels` labels of a name begin, the shortest suffix first, and the suffixes' hashes.
struct Suffixes {
  Suffixes(const std::uint8_t* wire, NameSetBuilder::Keys keys) noexcept {
    std::array<std::uint8_t, tail_labels> ring{};
    std::size_t labels = 0, at = 0;
    for (; wire[at] != 0; at += wire[at] + 1u) ring[labels++ % tail_labels] = static_cast<std::uint8_t>(at);
    count = std::min(labels, tail_labels);
    std::uint64_t hash = keys.second;
    for (std::size_t i = 0; i < count; ++i) {
      start[i] = ring[(labels - 1 - i) % tail_labels];
      hashes[i] = hash = extend(hash, wire + start[i], keys.first);
    }
  }

  std::size_t count;
  std::array<std::size_t, tail_labels> start;
  std::array<std::uint64_t, tail_labels> hashes;
};

std::uint64_t with_tag(std::uint64_t hash, std::uint8_t tag) noexcept {
  return hash + tag * 0x9e3779b97f4a7c15;
}

}  // namespace

// The tails, and which one a suffix with a tag is.
struct NameSetBuilder::TailTable {
  static constexpr std::uint32_t none = 0xffffffff;

  void add(std::uint64_t hash, std::uint8_t tag, const std::uint8_t* wire, std::size_t size) {
    const auto number = static_cast<std::uint32_t>(tails.size());
    tails.push_back({static_cast<std::uint32_t>(texts.size()), static_cast<std::uint8_t>(size), tag, 0});
    texts.insert(texts.end(), wire, wire + size);
    for (std::size_t slot = hash & (slots.size() - 1);; slot = (slot + 1) & (slots.size() - 1)) {
      if (slots[slot].number != none) continue;
      slots[slot] = {hash, number};
      return;
    }
  }
  std::uint32_t find(std::uint64_t hash, std::uint8_t tag, const std::uint8_t* wire,
                     std::size_t size) const noexcept {
    for (std::size_t slot = hash & (slots.size() - 1);; slot = (slot + 1) & (slots.size() - 1)) {
      if (slots[slot].number == none) return none;
      const Tail& tail = tails[slots[slot].number];
      if (slots[slot].hash == hash && tail.tag == tag && tail.size == size &&
          std::memcmp(texts.data() + tail.text_at, wire, size) == 0)
        return slots[slot].number;
    }
  }

  using Tail = NameSet::Tail;
  struct Slot {
    std::uint64_t hash = 0;
    std::uint32_t number = none;
  };
  std::vector<Tail> tails;
  std::vector<std::uint8_t> texts;
  std::vector<Slot> slots = std::vector<Slot>(std::bit_ceil(most_tails * 2));
};

NameSetBuilder::Keys NameSetBuilder::draw_keys() noexcept {
  Keys keys;
  if (getrandom(&keys, sizeof keys, 0) != sizeof keys)
    keys = {0x9e3779b97f4a7c15, 0x243f6a8885a308d3};  // only before the pool is ready
  return keys;
}

void NameSetBuilder::add(const Name& name, Pattern::Scope scope, NameSet::Kind kind, std::uint32_t line,
                         std::uint32_t extra) {
  constexpr std::size_t most_octets = 0xffffffff - 2 * Name::max_octets;  // text_at has 32 bits
  if (raw_.size() >= NameSet::most_entries || texts_.size() > most_octets) {
    too_much_ = true;
    return;
  }
  const std::span<const std::uint8_t> wire = name.wire();
  std::array<std::uint8_t, 128> starts;
  std::size_t labels = 0;
  for (std::size_t at = 0; wire[at] != 0; at += wire[at] + 1u)
    starts[labels++] = static_cast<std::uint8_t>(at);
  std::uint64_t hash = keys_.second;
  for (std::size_t i = labels; i-- > 0;) hash = extend(hash, wire.data() + starts[i], keys_.first);
  if (extra != 0) extras_.emplace_back(static_cast<std::uint32_t>(raw_.size()), extra);
  raw_.push_back({hash, static_cast<std::uint32_t>(texts_.size()), line});
  texts_.push_back(name_set::tag_of(scope, kind));
  texts_.push_back(static_cast<std::uint8_t>(wire.size()));
  texts_.insert(texts_.end(), wire.begin(), wire.end());
}

std::uint32_t NameSetBuilder::extra_of(std::uint32_t sequence) const noexcept {
  const auto found = std::lower_bound(extras_.begin(), extras_.end(), std::pair{sequence, 0u});
  return found != extras_.end() && found->first == sequence ? found->second : 0;
}

// A counting sort; entries of one bucket keep their order.
void NameSetBuilder::sort_into_buckets(std::size_t buckets) {
  starts_.assign(buckets + 1, 0);
  order_.resize(raw_.size());
  for (const Raw& raw : raw_) ++starts_[bucket_of(raw.hash, buckets) + 1];
  for (std::size_t i = 1; i <= buckets; ++i) starts_[i] += starts_[i - 1];
  std::vector<std::uint32_t> next(starts_.begin(), starts_.end() - 1);
  for (std::uint32_t i = 0; i < raw_.size(); ++i) order_[next[bucket_of(raw_[i].hash, buckets)]++] = i;
}

// Leaves of equal entries the first, and of one name's entries the first of each scope and kind and a few
// more.
void NameSetBuilder::drop_repeated(Built& built) {
  std::vector<bool> dropped;
  for (std::size_t bucket = 0; bucket + 1 < starts_.size(); ++bucket) {
    const std::uint32_t begin = starts_[bucket];
    std::uint32_t kept = begin;  // order_[begin, kept) stay
    for (std::uint32_t i = begin; i < starts_[bucket + 1]; ++i) {
      const Raw& raw = raw_[order_[i]];
      std::size_t of_this_name = 0;
      bool repeated = false, tag_is_there = false;
      for (std::uint32_t k = begin; k < kept && !repeated; ++k) {
        const Raw& before = raw_[order_[k]];
        if (before.hash != raw.hash || size_of(before) != size_of(raw) ||
            std::memcmp(name_of(before), name_of(raw), size_of(raw)) != 0)
          continue;
        ++of_this_name;
        if (tag_of(before) != tag_of(raw)) continue;
        tag_is_there = true;
        repeated = extra_of(order_[k]) == extra_of(order_[i]);
      }
      if (!tag_is_there || (!repeated && of_this_name < NameSet::most_of_a_name)) {
        order_[kept++] = order_[i];
        continue;
      }
      ++(repeated ? built.repeated : built.crowded);
      if (dropped.empty()) dropped.resize(raw_.size());
      dropped[order_[i]] = true;
    }
  }
  if (dropped.empty()) return;
  std::uint32_t kept = 0;
  std::size_t kept_extras = 0, extra = 0;
  for (std::uint32_t i = 0; i < raw_.size(); ++i) {
    const bool has_extra = extra < extras_.size() && extras_[extra].first == i;
    if (!dropped[i]) {
      if (has_extra) extras_[kept_extras++] = {kept, extras_[extra].second};
      raw_[kept++] = raw_[i];
    }
    if (has_extra) ++extra;
  }
  raw_.resize(kept);
  extras_.resize(kept_extras);
}

void NameSetBuilder::choose_tails(TailTable& tails) const {
  struct Seen {
    std::uint64_t hash;
    std::uint32_t name;  // place in raw_
    std::uint8_t start;
    std::uint8_t size;
    std::uint32_t count;
  };
  std::vector<Seen> seen;
  const std::size_t step = raw_.size() / sampled_names + 1;
  seen.reserve(raw_.size() / step * tail_labels + tail_labels);
  for (std::size_t i = 0; i < raw_.size(); i += step) {
    const Suffixes suffixes(name_of(raw_[i]), keys_);
    for (std::size_t k = 0; k < suffixes.count; ++k)
      seen.push_back({with_tag(suffixes.hashes[k], tag_of(raw_[i])), static_cast<std::uint32_t>(i),
                      static_cast<std::uint8_t>(suffixes.start[k]),
                      static_cast<std::uint8_t>(size_of(raw_[i]) - suffixes.start[k]), 1});
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
    return one.count < 2 || one.count * step * (one.size - 2) <= sizeof(NameSet::Tail) + one.size;
  });
  std::sort(seen.begin(), seen.end(), [](const Seen& a, const Seen& b) {
    return a.count != b.count ? a.count > b.count : a.hash < b.hash;
  });

  // Every tag in use has a tail of no label, so that every name has a tail.
  std::array<bool, 256> used{};
  for (const Raw& raw : raw_) used[tag_of(raw)] = true;
  const auto count = static_cast<std::size_t>(std::count(used.begin(), used.end(), true));
  seen.resize(std::min(seen.size(), most_tails - count));
  const std::uint8_t root = 0;
  const auto add_roots = [&] {
    for (unsigned tag = 0; tag < used.size(); ++tag) {
      const auto octet = static_cast<std::uint8_t>(tag);
      if (used[tag]) tails.add(with_tag(keys_.second, octet), octet, &root, 1);
    }
  };
  if (count <= 4) add_roots();  // in the short ones
  for (const Seen& one : seen) {
    const Raw& raw = raw_[one.name];
    tails.add(one.hash, tag_of(raw), name_of(raw) + one.start, one.size);
  }
  if (count > 4) add_roots();
}

Result<NameSetBuilder::Built> NameSetBuilder::build() {
  if (too_much_)
    return failure("cannot build a list: it has more than " + std::to_string(NameSet::most_entries) +
                   " entries");
  Built built;
  sort_into_buckets(raw_.size() / records_a_bucket + 1);
  const std::size_t all = raw_.size();
  drop_repeated(built);
  if (raw_.size() != all) sort_into_buckets(raw_.size() / records_a_bucket + 1);
  TailTable tails;
  choose_tails(tails);

  std::uint32_t last_line = 0;
  std::size_t longest_heap = 0;
  NameSet::Header header{};
  for (const Raw& raw : raw_) {
    last_line = std::max(last_line, raw.line);
    longest_heap += size_of(raw);
  }
  header.key = keys_.first;
  header.second_key = keys_.second;
  header.line_octets = std::max(1u, (static_cast<unsigned>(std::bit_width(last_line)) + 7) / 8);
  longest_heap += raw_.size() * (3 + header.line_octets);
  if (longest_heap > 0xffffffff) return failure("cannot build a list: its names take more than 4 GiB");
  header.entries = static_cast<std::uint32_t>(raw_.size());
  header.filter_words = static_cast<std::uint32_t>(raw_.size() * filter_bits_a_name / 64 + 1);
  header.buckets = static_cast<std::uint32_t>(starts_.size() - 1);
  header.tails = static_cast<std::uint32_t>(tails.tails.size());
  header.tail_text_octets = static_cast<std::uint32_t>(tails.texts.size());
  const std::size_t filter_at = aligned(sizeof header);
  const std::size_t directory_at = filter_at + std::size_t{header.filter_words} * 8;
  const std::size_t tails_at = aligned(directory_at + (std::size_t{header.buckets} + 1) * 4);
  const std::size_t texts_at = tails_at + std::size_t{header.tails} * sizeof(NameSet::Tail);
  const std::size_t heap_at = aligned(texts_at + header.tail_text_octets);
  // What is not written in the end is never touched, and so takes no memory.
  const auto octets = std::make_shared_for_overwrite<std::uint8_t[]>(aligned(heap_at + longest_heap));
  std::memset(octets.get(), 0, heap_at);
  auto* const filter = reinterpret_cast<std::uint64_t*>(octets.get() + filter_at);
  auto* const directory = reinterpret_cast<std::uint32_t*>(octets.get() + directory_at);
  if (!tails.tails.empty()) {
    std::memcpy(octets.get() + tails_at, tails.tails.data(), tails.tails.size() * sizeof(NameSet::Tail));
    std::memcpy(octets.get() + texts_at, tails.texts.data(), tails.texts.size());
  }

  std::uint8_t* const heap = octets.get() + heap_at;
  std::uint8_t* out = heap;
  std::size_t bucket = 0;
  for (std::size_t i = 0; i < order_.size(); ++i) {
    if (i + 2 * lookahead < order_.size()) __builtin_prefetch(&raw_[order_[i + 2 * lookahead]]);
    if (i + lookahead < order_.size())
      __builtin_prefetch(texts_.data() + raw_[order_[i + lookahead]].text_at);
    while (starts_[bucket + 1] <= i) directory[++bucket] = static_cast<std::uint32_t>(out - heap);
    const Raw& raw = raw_[order_[i]];
    const std::uint8_t* const wire = name_of(raw);
    const std::uint8_t tag = tag_of(raw);
    const Suffixes suffixes(wire, keys_);
    std::uint32_t tail = TailTable::none;
    std::size_t rest = size_of(raw) - 1;
    for (std::size_t k = suffixes.count; k-- > 0 && tail == TailTable::none;) {
      tail = tails.find(with_tag(suffixes.hashes[k], tag), tag, wire + suffixes.start[k],
                        size_of(raw) - suffixes.start[k]);
      if (tail != TailTable::none) rest = suffixes.start[k];
    }
    if (tail == TailTable::none) tail = tails.find(with_tag(keys_.second, tag), tag, wire + rest, 1);
    POSTERN_CHECK(tail != TailTable::none);
    if (const std::uint32_t extra = extras_.empty() ? 0 : extra_of(order_[i]); extra != 0)
      built.extras.emplace_back(static_cast<std::uint32_t>(out - heap), extra);
    *out++ = static_cast<std::uint8_t>(rest);
    if (tail < short_tails) {
      *out++ = static_cast<std::uint8_t>(tail);
    } else {
      *out++ = static_cast<std::uint8_t>(short_tails + (tail - short_tails) / 256);
      *out++ = static_cast<std::uint8_t>((tail - short_tails) % 256);
    }
    std::memcpy(out, wire, rest);
    out += rest;
    for (std::uint32_t k = 0; k < header.line_octets; ++k)
      *out++ = static_cast<std::uint8_t>(raw.line >> 8 * k);
    filter[filter_word_of(raw.hash, header.filter_words)] |= filter_bits_of(raw.hash);
    std::size_t labels = suffixes.count;
    if (labels == tail_labels) {
      labels = 0;
      for (std::size_t at = 0; wire[at] != 0; at += wire[at] + 1u) ++labels;
    }
    header.depths[labels / 64] |= std::uint64_t{1} << labels % 64;
  }
  while (bucket < header.buckets) directory[++bucket] = static_cast<std::uint32_t>(out - heap);
  header.heap_octets = static_cast<std::uint32_t>(out - heap);
  const std::size_t end = heap_at + header.heap_octets;
  std::memset(octets.get() + end, 0, aligned(end) - end);
  std::memcpy(octets.get(), &header, sizeof header);
  Result<NameSet> set = NameSet::from_block(octets, {octets.get(), aligned(end)});
  POSTERN_CHECK(set.has_value());
  built.set = std::move(*set);
  texts_ = {};
  raw_ = {};
  order_ = starts_ = {};
  extras_ = {};
  return built;
}

}  // namespace postern

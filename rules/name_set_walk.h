// NameSet::walk: looking a name up. A template, so that what is done with an entry becomes part of the loop:
// a lookup is one round to memory and what is done before and after it.
#pragma once

#include <algorithm>
#include <array>
#include <cstring>

#include "rules/name_set_layout.h"

namespace postern {

namespace name_set {

inline constexpr std::size_t most_labels = 127;  // 255 octets of one-octet labels
// Octets asked for around the guess. 19 of 20 records lie in these lines.
inline constexpr std::size_t guess_before = 64, guess_after = 128;
inline constexpr std::size_t cache_line = 64;

// Whether the first `size` octets are the same; `limit` octets may be read on both sides. No branch for texts
// of up to so many, for nobody can foretell how long they are.
template <std::size_t limit>
[[gnu::always_inline]] inline bool same_octets(const std::uint8_t* a, const std::uint8_t* b,
                                               std::size_t size) noexcept {
  static_assert(limit <= slack);
  if (size > limit) [[unlikely]]
    return std::memcmp(a, b, size) == 0;
  const std::uint8_t* const mask = octet_masks.data() + slack - size;
  std::uint64_t differ = 0;
  for (std::size_t at = 0; at < limit; at += 8)
    differ |= (eight_octets(a + at) ^ eight_octets(b + at)) & eight_octets(mask + at);
  return differ == 0;
}

// The octets of a name with `slack` more behind them: those of `name` itself, or a copy in `room`.
inline const std::uint8_t* with_slack(const Name& name,
                                      std::array<std::uint8_t, Name::max_octets + slack>& room) noexcept {
  const std::span<const std::uint8_t> wire = name.wire();
  if (wire.size() + slack <= Name::max_octets) [[likely]]
    return wire.data();
  std::memset(std::copy(wire.begin(), wire.end(), room.data()), 0, slack);
  return room.data();
}

}  // namespace name_set

// Inlined by force: a function that does nothing but ask memory is one without effect to g++ 12, which then
// leaves out its calls.
[[gnu::always_inline]] inline void NameSet::ask_for(std::size_t bucket) const noexcept {
  using namespace name_set;
  __builtin_prefetch(directory_.data() + bucket);
  const std::uint32_t* const anchor = anchors_.data() + bucket / anchor_buckets;
  const std::size_t octets = anchor[1] - anchor[0];
  // Where there is no heap any more nothing is to be had, but nothing breaks, either.
  const std::uint8_t* const guess =
      heap_.data() + anchor[0] + octets * (bucket % anchor_buckets) / anchor_buckets - guess_before;
  for (std::size_t line = 0; line <= guess_before + guess_after; line += cache_line)
    __builtin_prefetch(guess + line);
}

template <class Visit>
void NameSet::walk(const Name& name, Visit&& visit) const noexcept {
  using namespace name_set;
  if (entries_ == 0) return;
  std::array<std::uint8_t, Name::max_octets + slack> room;
  const std::uint8_t* const wire = with_slack(name, room);
  std::array<std::uint8_t, most_labels + 1> starts;
  std::size_t labels = 0, at = 0;
  for (; wire[at] != 0; at += wire[at] + 1u) starts[labels++] = static_cast<std::uint8_t>(at);
  starts[labels] = static_cast<std::uint8_t>(at);
  const std::size_t deepest = labels < deepest_ ? labels : deepest_;

  // Memory is slow and each step needs the one before: so all words are asked for before the first is looked
  // at, and with each the lines where its records should be.
  struct Place {
    std::uint32_t bucket;
    std::uint8_t octet, depth;
  };
  std::array<Place, most_labels + 1> places;
  std::size_t asked = 0;
  const std::uint64_t key = key_;
  std::uint64_t hash = second_key_, in_use = depths_[0];
  for (std::size_t depth = 0;; ++depth, in_use >>= 1) {
    if (depth == 64) in_use = depths_[1];
    if (depth != 0) hash = extend(hash, wire + starts[labels - depth], key);
    if ((in_use & 1) != 0) {
      const std::size_t bucket = bucket_of(hash, directory_.size());
      ask_for(bucket);
      places[asked++] = {static_cast<std::uint32_t>(bucket), static_cast<std::uint8_t>(lane_octet_of(hash)),
                         static_cast<std::uint8_t>(depth)};
    }
    if (depth == deepest) break;
  }

  // Which of them have something to be looked at is gathered first: it is one in nearly all names that are
  // listed, but nobody can foretell which.
  constexpr std::size_t at_once = 64;
  for (std::size_t first = 0; first < asked; first += at_once) {
    const std::size_t end = std::min(asked, first + at_once);
    std::uint64_t found = 0;
    for (std::size_t i = first; i < end; ++i) {
      const std::uint64_t word = directory_[places[i].bucket];
      const bool speaks = (lanes_with(word, places[i].octet) != 0) | (last_lane_of(word) == more_records);
      found |= std::uint64_t{speaks} << (i - first);
    }
    for (; found != 0; found &= found - 1) {
      const Place& place = places[first + static_cast<std::size_t>(std::countr_zero(found))];
      const std::size_t start = starts[labels - place.depth];
      const Asked suffix{wire + start, at + 1 - start, place.depth, place.depth == labels};
      scan(place.bucket, place.octet, suffix, visit);
    }
  }
}

template <class Visit>
inline void NameSet::scan(std::size_t bucket, std::uint64_t octet, const Asked& asked,
                          Visit& visit) const noexcept {
  using namespace name_set;
  const std::uint64_t word = directory_[bucket];
  const std::size_t anchor = anchors_[bucket / anchor_buckets];
  const std::size_t from = anchor + distance_of(word);
  // Nothing may be read ahead of its being known to be there.
  if (distance_of(word) == too_far || from + lanes * largest_record > heap_.size()) [[unlikely]]
    return scan_all(distance_of(word) == too_far ? anchor : from, end_of(bucket), asked, visit);
  const auto after = [this](const std::uint8_t* record) {
    return record + record[0] + (record[1] >= short_tails ? 3u : 2u) + line_octets_;
  };
  const std::uint8_t* const first = heap_.data() + from;
  for (std::uint64_t left = lanes_with(word, octet); left != 0; left &= left - 1) {
    const std::size_t lane = lane_at(left);
    // The first steps are made in any case and not used: a wrongly foretold branch costs more.
    constexpr std::size_t steps = 2;
    const std::uint8_t* record = first;
    for (std::size_t k = 0; k < steps; ++k) record = k < lane ? after(record) : record;
    for (std::size_t k = steps; k < lane; ++k) record = after(record);
    look_at(record, asked, visit);
  }
  if (last_lane_of(word) != more_records) [[likely]]
    return;
  const std::uint8_t* record = first;
  for (std::size_t k = 0; k + 1 < lanes; ++k) record = after(record);
  scan_all(static_cast<std::size_t>(record - heap_.data()), end_of(bucket), asked, visit);
}

// One record after the other between two places of the heap, whatever bucket they are of.
template <class Visit>
[[gnu::noinline]] void NameSet::scan_all(std::size_t from, std::size_t to, const Asked& asked,
                                         Visit& visit) const noexcept {
  if (from >= to) return;
  const std::uint8_t* at = heap_.data() + from;
  const std::uint8_t* const end = heap_.data() + to;
  while (at < end) {
    const name_set::PackedEntry record = name_set::read_entry(at, end, line_octets_);
    if (record.next == nullptr) return;
    look_at(at, asked, visit);
    at = record.next;
  }
}

// `at`: a record that lies in the heap.
template <class Visit>
inline void NameSet::look_at(const std::uint8_t* at, const Asked& asked, Visit& visit) const noexcept {
  using namespace name_set;
  constexpr std::size_t usual_tail = 16;  // octets: few have more
  const std::size_t rest_size = at[0];
  const bool short_tail = at[1] < short_tails;
  const std::size_t number = short_tail ? at[1] : short_tails + (at[1] - short_tails) * 256u + at[2];
  const std::uint8_t* const rest = at + (short_tail ? 2 : 3);
  if (number >= tails_.size()) return;
  const Tail& tail = tails_[number];
  if (rest_size + tail.size != asked.size) return;
  if (!same_octets<slack>(rest, asked.octets, rest_size)) return;
  if (!same_octets<usual_tail>(tail_texts_.data() + tail.text_at, asked.octets + rest_size, tail.size))
    return;
  const auto scope = static_cast<Pattern::Scope>(scope_of(tail.tag));
  if (scope == (asked.whole ? Pattern::Scope::below : Pattern::Scope::exact)) return;
  visit(Entry{static_cast<std::uint32_t>(at - heap_.data()), static_cast<Kind>(tail.tag & (most_kinds - 1)),
              scope, asked.depth});
}

}  // namespace postern

// NameSetBuilder: sorts names into buckets, drops the repeated ones and writes the block.
#include "rules/name_set_builder.h"

#include <sys/random.h>

#include <algorithm>

#include "rules/name_set_layout.h"
#include "rules/name_set_tails.h"

namespace postern {
namespace {

// Names that are looked at for tails: enough to find whatever ends one name in some thousands.
constexpr std::size_t sampled_names = 32768;

}  // namespace

// The block while it is written, record by record in the order of the buckets.
struct NameSetBuilder::Writer {
  Writer(Keys keys_used, std::size_t entries, std::size_t buckets, std::size_t heap_at_most,
         std::uint32_t last_line, const name_set::TailChoice& choice)
      : tails(choice) {
    header.key = keys_used.first;
    header.second_key = keys_used.second;
    header.entries = static_cast<std::uint32_t>(entries);
    header.buckets = static_cast<std::uint32_t>(buckets);
    header.tails = static_cast<std::uint32_t>(tails.tails().size());
    header.tail_text_octets = static_cast<std::uint32_t>(tails.texts().size());
    header.line_octets = std::max(1u, (static_cast<unsigned>(std::bit_width(last_line)) + 7) / 8);
    layout = name_set::layout_of(header);
    // What is not written in the end is never touched, and so takes no memory.
    octets.reset(new std::uint8_t[name_set::aligned(layout.heap + heap_at_most)]);
    std::memset(octets.get(), 0, layout.heap);
    directory = reinterpret_cast<std::uint64_t*>(octets.get() + layout.directory);
    std::memcpy(octets.get() + layout.tails, tails.tails().data(), header.tails * sizeof(name_set::Tail));
    std::memcpy(octets.get() + layout.texts, tails.texts().data(), header.tail_text_octets);
    out = heap = octets.get() + layout.heap;
  }

  std::uint32_t here() const noexcept { return static_cast<std::uint32_t>(out - heap); }

  void begin_bucket(std::size_t bucket) noexcept {
    while (next_bucket <= bucket) directory[next_bucket++] = here();
  }

  void write(const Entry& entry, const std::uint8_t* wire) noexcept {
    const name_set::Suffixes suffixes(wire, header.key, header.second_key);
    std::size_t rest = 0;
    const std::size_t tail = tails.find(wire, entry.size, entry.tag, suffixes, rest);
    *out++ = static_cast<std::uint8_t>(rest);
    if (tail < name_set::short_tails) {
      *out++ = static_cast<std::uint8_t>(tail);
    } else {
      *out++ = static_cast<std::uint8_t>(name_set::short_tails + (tail - name_set::short_tails) / 256);
      *out++ = static_cast<std::uint8_t>((tail - name_set::short_tails) % 256);
    }
    std::memcpy(out, wire, rest);
    out += rest;
    for (std::uint32_t k = 0; k < header.line_octets; ++k)
      *out++ = static_cast<std::uint8_t>(entry.line >> 8 * k);
    directory[next_bucket - 1] |= name_set::filter_bits_of(entry.hash);
    header.depths[suffixes.labels / 64] |= std::uint64_t{1} << suffixes.labels % 64;
  }

  NameSet finish() {
    begin_bucket(header.buckets);
    header.heap_octets = here();
    const std::size_t end = layout.heap + header.heap_octets, size = name_set::aligned(end);
    std::memset(octets.get() + end, 0, size - end);
    std::memcpy(octets.get(), &header, sizeof header);
    Result<NameSet> set = NameSet::from_block(octets, {octets.get(), size});
    POSTERN_CHECK(set.has_value());
    return std::move(*set);
  }

  name_set::Header header{};
  name_set::Layout layout;
  const name_set::TailChoice& tails;
  std::shared_ptr<std::uint8_t[]> octets;
  std::uint64_t* directory = nullptr;
  std::uint8_t* heap = nullptr;
  std::uint8_t* out = nullptr;
  std::size_t next_bucket = 0;
};

NameSetBuilder::Keys NameSetBuilder::draw_keys() noexcept {
  Keys keys;
  if (getrandom(&keys, sizeof keys, 0) != sizeof keys)
    keys = {0x9e3779b97f4a7c15, 0x243f6a8885a308d3};  // only before the pool is ready
  return keys;
}

void NameSetBuilder::add(const Name& name, Pattern::Scope scope, NameSet::Kind kind, std::uint32_t line,
                         std::uint32_t extra) {
  POSTERN_CHECK(extra != dropped);
  const std::span<const std::uint8_t> wire = name.wire();
  std::array<std::uint8_t, 128> starts;
  std::size_t labels = 0;
  for (std::size_t at = 0; wire[at] != 0; at += wire[at] + 1u)
    starts[labels++] = static_cast<std::uint8_t>(at);
  std::uint64_t hash = keys_.second;
  while (labels-- > 0) hash = name_set::extend(hash, wire.data() + starts[labels], keys_.first);
  Part& part = parts_[name_set::bucket_of(hash, parts)];
  const std::size_t octets = entry_octets + wire.size();
  if (entries_ >= NameSet::most_entries) {
    too_much_ = true;
    return;
  }
  if (part.chunks.empty() || part.used.back() + octets > chunk_octets) {
    constexpr std::size_t most_chunks = (std::size_t{1} << 32) / chunk_octets;  // Place::at
    if (part.chunks.size() == most_chunks) {
      too_much_ = true;
      return;
    }
    part.chunks.emplace_back(new std::uint8_t[chunk_octets]);
    part.used.push_back(0);
  }
  ++entries_;
  std::uint8_t* const out = part.chunks.back().get() + part.used.back();
  part.used.back() += static_cast<std::uint32_t>(octets);
  std::memcpy(out, &hash, 8);
  std::memcpy(out + 8, &line, 4);
  std::memcpy(out + 12, &extra, 4);
  out[16] = name_set::tag_of(scope, kind);
  out[17] = static_cast<std::uint8_t>(wire.size());
  std::memcpy(out + entry_octets, wire.data(), wire.size());
}

NameSetBuilder::Entry NameSetBuilder::entry_at(const std::uint8_t* in) noexcept {
  Entry entry;
  std::memcpy(&entry.hash, in, 8);
  std::memcpy(&entry.line, in + 8, 4);
  std::memcpy(&entry.extra, in + 12, 4);
  entry.tag = in[16];
  entry.size = in[17];
  return entry;
}

template <class Visit>
void NameSetBuilder::for_each(const Part& part, Visit&& visit) {
  for (std::size_t chunk = 0; chunk < part.chunks.size(); ++chunk) {
    for (std::uint32_t at = 0; at < part.used[chunk];) {
      const std::uint8_t* const in = part.chunks[chunk].get() + at;
      const Entry entry = entry_at(in);
      if (entry.extra != dropped)
        visit(static_cast<std::uint32_t>(chunk * chunk_octets + at), entry, in + entry_octets);
      at += static_cast<std::uint32_t>(entry_octets + entry.size);
    }
  }
}

std::size_t NameSetBuilder::buckets_for(std::size_t entries) const noexcept {
  return entries / name_set::records_a_bucket + 1;
}

// A counting sort.
void NameSetBuilder::sort_part(std::size_t number, std::size_t buckets, Sorted& sorted) const {
  const Part& part = parts_[number];
  const std::uint64_t lowest = static_cast<std::uint64_t>(number) << 56;
  sorted.first = name_set::bucket_of(lowest, buckets);
  const std::size_t last = name_set::bucket_of(lowest | (~std::uint64_t{0} >> 8), buckets);
  sorted.starts.assign(last - sorted.first + 2, 0);
  std::vector<Place> as_added;
  for_each(part, [&](std::uint32_t at, const Entry& entry, const std::uint8_t*) {
    as_added.push_back({entry.hash, at});
    ++sorted.starts[name_set::bucket_of(entry.hash, buckets) - sorted.first + 1];
  });
  for (std::size_t i = 1; i < sorted.starts.size(); ++i) sorted.starts[i] += sorted.starts[i - 1];
  std::vector<std::uint32_t> next(sorted.starts.begin(), sorted.starts.end() - 1);
  sorted.places.resize(as_added.size());
  for (const Place& place : as_added)
    sorted.places[next[name_set::bucket_of(place.hash, buckets) - sorted.first]++] = place;
}

// Leaves of equal entries the first, and of one name's entries the first of each scope and kind and a few
// more.
void NameSetBuilder::drop_repeated(std::size_t number, const Sorted& sorted, Built& built) {
  Part& part = parts_[number];
  std::vector<Place> kept;  // of this bucket
  for (std::size_t i = 0; i + 1 < sorted.starts.size(); ++i) {
    kept.clear();
    for (std::size_t k = sorted.starts[i]; k < sorted.starts[i + 1]; ++k) {
      const Place& place = sorted.places[k];
      std::size_t of_this_name = 0;
      bool tag_is_there = false, repeated = false;
      for (const Place& before : kept) {
        if (before.hash != place.hash) continue;
        const std::uint8_t *const in = part.at(before.at), *const other_in = part.at(place.at);
        const Entry one = entry_at(in), other = entry_at(other_in);
        if (one.size != other.size || std::memcmp(in + entry_octets, other_in + entry_octets, one.size) != 0)
          continue;
        ++of_this_name;
        if (one.tag != other.tag) continue;
        tag_is_there = true;
        repeated = one.extra == other.extra;
        if (repeated) break;
      }
      if (!tag_is_there || (!repeated && of_this_name < NameSet::most_of_a_name)) {
        kept.push_back(place);
        continue;
      }
      ++(repeated ? built.repeated : built.crowded);
      std::memcpy(part.chunks[place.at / chunk_octets].get() + place.at % chunk_octets + 12, &dropped, 4);
    }
  }
}

Result<NameSetBuilder::Built> NameSetBuilder::build() {
  if (too_much_)
    return failure("cannot build a list: it has more than " + std::to_string(NameSet::most_entries) +
                   " entries");
  Built built;
  Sorted sorted;
  for (std::size_t number = 0; number < parts; ++number) {
    sort_part(number, buckets_for(entries_), sorted);
    drop_repeated(number, sorted, built);
  }

  // Parts are random samples, for a hash decides what is in one.
  std::vector<name_set::TailChoice::Sample> sample;
  std::array<bool, 256> tags{};
  std::uint32_t last_line = 0;
  std::size_t left = 0, octets = 0;
  for (const Part& part : parts_) {
    for_each(part, [&](std::uint32_t, const Entry& entry, const std::uint8_t* name) {
      if (sample.size() < sampled_names) sample.push_back({name, entry.size, entry.tag});
      tags[entry.tag] = true;
      last_line = std::max(last_line, entry.line);
      ++left;
      octets += entry.size;
    });
  }
  constexpr std::size_t record_octets = 1 + 2 + 4;  // at most, besides the name
  octets += left * record_octets;
  if (octets > 0xffffffff) return failure("cannot build a list: its names take more than 4 GiB");

  const std::size_t buckets = buckets_for(left);
  const name_set::TailChoice tails(sample, sample.empty() ? 1 : left / sample.size(), tags, keys_.first,
                                   keys_.second);
  Writer writer(keys_, left, buckets, octets, last_line, tails);
  for (std::size_t number = 0; number < parts; ++number) {
    sort_part(number, buckets, sorted);
    for (std::size_t i = 0; i + 1 < sorted.starts.size(); ++i) {
      if (sorted.starts[i] != sorted.starts[i + 1]) writer.begin_bucket(sorted.first + i);
      for (std::size_t k = sorted.starts[i]; k < sorted.starts[i + 1]; ++k) {
        const std::uint8_t* const in = parts_[number].at(sorted.places[k].at);
        const Entry entry = entry_at(in);
        if (entry.extra != 0) built.extras.emplace_back(writer.here(), entry.extra);
        writer.write(entry, in + entry_octets);
      }
    }
  }
  built.set = writer.finish();
  *this = NameSetBuilder(keys_);  // its memory is given back
  return built;
}

}  // namespace postern

// NameSetBuilder: sorts names into buckets, drops the repeated ones and writes the block.
#include "rules/name_set_builder.h"

#include <sys/random.h>

#include <algorithm>

#include "rules/large_octets.h"
#include "rules/name_set_layout.h"
#include "rules/name_set_tails.h"
#include "rules/name_set_walk.h"

namespace postern {
namespace {

// Names that are looked at for tails: enough to find whatever ends one name in some thousands.
constexpr std::size_t sampled_names = 32768;

}  // namespace

// The block while it is written, record by record in the order of the buckets.
struct NameSetBuilder::Writer {
  static constexpr std::size_t record_octets = 1 + 2 + 4;  // at most, besides the name

  Writer(Keys keys_used, std::size_t buckets, std::size_t heap_at_most, std::uint32_t last_line,
         const name_set::TailChoice& choice)
      : tails(choice) {
    header.key = keys_used.first;
    header.second_key = keys_used.second;
    header.buckets = static_cast<std::uint32_t>(buckets);
    header.tails = static_cast<std::uint32_t>(tails.tails().size());
    header.tail_text_octets = static_cast<std::uint32_t>(tails.texts().size());
    header.line_octets = std::max(1u, (static_cast<unsigned>(std::bit_width(last_line)) + 7) / 8);
    layout = name_set::layout_of(header);
    // What is not written in the end is never touched, and so takes no memory.
    reserved = name_set::aligned(layout.heap + heap_at_most + name_set::slack);
    octets = large_octets(reserved);
    std::memset(octets.get(), 0, layout.heap);
    directory = reinterpret_cast<std::uint64_t*>(octets.get() + layout.directory);
    anchors = reinterpret_cast<std::uint32_t*>(octets.get() + layout.anchors);
    const auto copy = [&](std::size_t to, const void* from, std::size_t size) {
      if (size > 0) std::memcpy(octets.get() + to, from, size);  // nothing may stand at a null pointer
    };
    copy(layout.tails, tails.tails().data(), header.tails * sizeof(name_set::Tail));
    copy(layout.texts, tails.texts().data(), header.tail_text_octets);
    out = heap = octets.get() + layout.heap;
  }

  std::uint32_t here() const noexcept { return static_cast<std::uint32_t>(out - heap); }

  void begin_bucket(std::size_t bucket) noexcept {
    if (next_bucket > bucket) return;  // two parts may share one
    for (; next_bucket <= bucket; ++next_bucket) {
      if (next_bucket % name_set::anchor_buckets == 0)
        anchors[next_bucket / name_set::anchor_buckets] = anchor = here();
      directory[next_bucket] = std::min(here() - anchor, name_set::too_far);
    }
    in_bucket = 0;
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
    ++header.entries;
    const std::size_t lane = std::min(in_bucket++, name_set::lanes - 1);
    directory[next_bucket - 1] |=
        (in_bucket > name_set::lanes ? name_set::more_records : name_set::lane_octet_of(entry.hash))
        << (name_set::first_lane_bit + lane * name_set::lane_bits);
    header.depths[suffixes.labels / 64] |= std::uint64_t{1} << suffixes.labels % 64;
  }

  NameSet finish() {
    begin_bucket(header.buckets - 1);
    header.heap_octets = here();
    anchors[name_set::anchors_of(header.buckets) - 1] = here();
    const std::size_t end = layout.heap + header.heap_octets;
    const std::size_t size = name_set::aligned(end + name_set::slack);
    std::memset(octets.get() + end, 0, size - end);
    std::memcpy(octets.get(), &header, sizeof header);
    give_back_after(octets, size, reserved);
    Result<NameSet> set = NameSet::from_block(octets, {octets.get(), size});
    POSTERN_CHECK(set.has_value());
    return std::move(*set);
  }

  name_set::Header header{};
  name_set::Layout layout;
  const name_set::TailChoice& tails;
  std::shared_ptr<std::uint8_t[]> octets;
  std::size_t reserved = 0;
  std::uint64_t* directory = nullptr;
  std::uint32_t* anchors = nullptr;
  std::uint32_t anchor = 0;  // the last
  std::uint8_t* heap = nullptr;
  std::uint8_t* out = nullptr;
  std::size_t next_bucket = 0;
  std::size_t in_bucket = 0;  // records of the last that was begun
};

NameSetBuilder::Keys NameSetBuilder::draw_keys() noexcept {
  Keys keys;
  if (getrandom(&keys, sizeof keys, 0) != sizeof keys)
    keys = {0x9e3779b97f4a7c15, 0x243f6a8885a308d3};  // only before the pool is ready
  return keys;
}

std::uint64_t NameSetBuilder::hash_of(const Name& name) const noexcept {
  std::array<std::uint8_t, Name::max_octets + name_set::slack> room;
  const std::uint8_t* const wire = name_set::with_slack(name, room);
  std::array<std::uint8_t, 128> starts;
  std::size_t labels = 0;
  for (std::size_t at = 0; wire[at] != 0; at += wire[at] + 1u)
    starts[labels++] = static_cast<std::uint8_t>(at);
  std::uint64_t hash = keys_.second;
  while (labels-- > 0) hash = name_set::extend(hash, wire + starts[labels], keys_.first);
  return hash;
}

void NameSetBuilder::add(const Name& name, Pattern::Scope scope, NameSet::Kind kind, std::uint32_t line,
                         std::uint32_t extra) {
  POSTERN_CHECK(extra != dropped);
  const std::span<const std::uint8_t> wire = name.wire();
  const std::uint64_t hash = hash_of(name);
  Part& part = parts_[name_set::bucket_of(hash, parts)];
  const std::size_t octets = entry_octets + wire.size();
  if (part.room < octets && !add_chunk(part)) return;
  ++entries_;
  name_octets_ += wire.size();
  last_line_ = std::max(last_line_, line);
  const std::uint8_t tag = name_set::tag_of(scope, kind);
  tags_[tag] = true;
  std::uint8_t* const out = part.out;
  part.out += octets;
  part.room -= octets;
  std::memcpy(out, &hash, 8);
  std::memcpy(out + 8, &line, 4);
  std::memcpy(out + 12, &extra, 4);
  out[16] = tag;
  out[17] = static_cast<std::uint8_t>(wire.size());
  std::memcpy(out + entry_octets, wire.data(), wire.size());
}

// False where there are enough entries already.
bool NameSetBuilder::add_chunk(Part& part) {
  static_assert(unused_octets >= name_set::slack);
  constexpr std::size_t most_chunks = (std::size_t{1} << 32) / chunk_octets;  // Place::at
  if (entries_ >= NameSet::most_entries || part.chunks.size() == most_chunks) {
    too_much_ = true;
    return false;
  }
  if (!part.chunks.empty())
    part.used.push_back(static_cast<std::uint32_t>(chunk_octets - unused_octets - part.room));
  part.chunks.push_back(part.chunks.empty() ? std::shared_ptr<std::uint8_t[]>(new std::uint8_t[chunk_octets])
                                            : next_of_slab());
  part.out = part.chunks.back().get();
  part.room = chunk_octets - unused_octets;
  return true;
}

// The first chunk of each part is the heap's, for a small list needs few octets of it. Many more are cut off
// slabs.
std::shared_ptr<std::uint8_t[]> NameSetBuilder::next_of_slab() {
  if (slab_ == nullptr || slab_used_ == slab_chunks) {
    slab_ = large_octets(slab_chunks * chunk_octets);
    slab_used_ = 0;
  }
  return {slab_, slab_.get() + slab_used_++ * chunk_octets};
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
    for (std::uint32_t at = 0; at < part.used_of(chunk);) {
      const std::uint8_t* const in = part.chunks[chunk].get() + at;
      const Entry entry = entry_at(in);
      if (entry.extra != dropped)
        visit(static_cast<std::uint32_t>(chunk * chunk_octets + at), entry, in + entry_octets);
      at += static_cast<std::uint32_t>(entry_octets + entry.size);
    }
  }
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
      std::memcpy(part.at(place.at) + 12, &dropped, 4);
    }
  }
}

// `entries`: how many there are, or a few more.
NameSet NameSetBuilder::write(std::size_t entries, const name_set::TailChoice& tails, Built& built) {
  const std::size_t buckets = entries / name_set::records_a_bucket + 1;
  Writer writer(keys_, buckets, name_octets_ + entries * Writer::record_octets, last_line_, tails);
  Sorted sorted;
  for (std::size_t number = 0; number < parts; ++number) {
    sort_part(number, buckets, sorted);
    drop_repeated(number, sorted, built);
    for (std::size_t i = 0; i + 1 < sorted.starts.size(); ++i) {
      if (sorted.starts[i] != sorted.starts[i + 1]) writer.begin_bucket(sorted.first + i);
      for (std::size_t k = sorted.starts[i]; k < sorted.starts[i + 1]; ++k) {
        const std::uint8_t* const in = parts_[number].at(sorted.places[k].at);
        const Entry entry = entry_at(in);
        if (entry.extra == dropped) continue;
        if (entry.extra != 0) built.extras.emplace_back(writer.here(), entry.extra);
        writer.write(entry, in + entry_octets);
      }
    }
  }
  return writer.finish();
}

Result<NameSetBuilder::Built> NameSetBuilder::build() {
  if (too_much_)
    return failure("cannot build a list: it has more than " + std::to_string(NameSet::most_entries) +
                   " entries");
  if (name_octets_ + entries_ * Writer::record_octets > 0xffffffff)
    return failure("cannot build a list: its names take more than 4 GiB");
  // Parts are random samples, for a hash decides what is in one.
  std::vector<name_set::TailChoice::Sample> sample;
  for (std::size_t number = 0; number < parts && sample.size() < sampled_names; ++number) {
    for_each(parts_[number], [&](std::uint32_t, const Entry& entry, const std::uint8_t* name) {
      sample.push_back({name, entry.size, entry.tag});
    });
  }
  const name_set::TailChoice tails(sample, sample.empty() ? 1 : entries_ / sample.size(), tags_, keys_.first,
                                   keys_.second);
  Built built;
  built.set = write(entries_, tails, built);
  // With many repeated ones (a hosts file has each name twice) there are more buckets than are of use.
  constexpr std::size_t few = 8;
  if (built.set.size() < entries_ - entries_ / few) {
    built.extras.clear();
    built.set = {};
    const std::size_t left = entries_ - built.repeated - built.crowded;
    built.set = write(left, tails, built);
  }
  *this = NameSetBuilder(keys_);  // its memory is given back
  return built;
}

}  // namespace postern

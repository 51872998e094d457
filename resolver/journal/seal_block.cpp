// A block: coverage as octets and back, and the hashes.
#include "resolver/journal/seal_block.h"

#include <algorithm>
#include <limits>

namespace postern {
namespace {

constexpr unsigned kind_bits = 5;

void add_number(Sha256& hash, std::int64_t value) {
  std::array<std::uint8_t, 8> octets;
  for (unsigned i = 0; i < 8; ++i)
    octets[i] = static_cast<std::uint8_t>(static_cast<std::uint64_t>(value) >> (8 * i));
  hash.add(octets);
}

bool entry_before(const SealEntry& a, const SealEntry& b) {
  return a.kind != b.kind ? a.kind < b.kind : a.id < b.id;
}

}  // namespace

std::string cover_octets(std::span<const SealRun> runs) {
  std::string out;
  std::int64_t last = 0;
  SealKind kind{};
  for (const SealRun& run : runs) {
    if (run.kind != kind) last = 0;
    kind = run.kind;
    append_varint(out, (run.count - 1) << kind_bits | static_cast<std::uint8_t>(kind));
    append_varint(out, zigzag(run.first - last));
    last = run.last();
  }
  return out;
}

Result<std::vector<SealRun>> read_cover(std::string_view octets) {
  const auto bad = [&](const std::string& why, std::size_t at) {
    return failure("cannot read which records a block covers: " + why + " at octet " + std::to_string(at));
  };
  constexpr std::int64_t most = std::numeric_limits<std::int64_t>::max() - 1;  // one more is still a number
  std::vector<SealRun> runs;
  std::int64_t last = 0;
  SealKind kind{};
  for (std::size_t at = 0; at < octets.size();) {
    const std::size_t begin = at;
    std::uint64_t head = 0, step = 0;
    if (!read_varint(octets, at, head) || !read_varint(octets, at, step)) return bad("it is cut off", begin);
    const auto number = static_cast<std::uint8_t>(head & ((1u << kind_bits) - 1));
    if (!is_seal_kind(number)) return bad("unknown kind " + std::to_string(number), begin);
    SealRun run{SealKind(number), unzigzag(step), (head >> kind_bits) + 1};
    const bool same = !runs.empty() && run.kind == kind;
    if (!runs.empty() && run.kind < kind) return bad("kinds out of order", begin);
    if (same) {
      if (run.first <= 0 || last > most - run.first) return bad("ids out of order", begin);
      run.first += last;
    }
    if (run.first > 0 && run.count - 1 > static_cast<std::uint64_t>(most - run.first))
      return bad("an id beyond 63 bits", begin);
    kind = run.kind;
    last = run.last();
    runs.push_back(run);
  }
  return runs;
}

std::uint64_t records_in(std::span<const SealRun> runs) {
  std::uint64_t sum = 0;
  for (const SealRun& run : runs) {
    sum += run.count;
    if (sum > max_block_records) return max_block_records + 1;  // before it wraps
  }
  return sum;
}

std::uint64_t counted_in(std::span<const SealRun> runs) {
  std::vector<SealRun> counted;
  std::copy_if(runs.begin(), runs.end(), std::back_inserter(counted),
               [](const SealRun& run) { return is_counted(run.kind); });
  return records_in(counted);
}

std::uint64_t new_records_in(std::span<const SealRun> runs, std::int64_t flags) {
  if ((flags & seal_moved) == 0) return counted_in(runs);
  std::uint64_t sum = 0;
  for (const SealRun& run : runs)
    if (run.kind == SealKind::tombstone) sum += run.count;
  return sum;
}

bool has_tombstones_alone(std::span<const SealRun> runs) {
  bool any = false;
  for (const SealRun& run : runs) {
    if (run.kind != SealKind::tombstone && is_counted(run.kind)) return false;
    any = any || run.kind == SealKind::tombstone;
  }
  return any;
}

Digest first_head(const JournalId& journal) {
  Sha256 hash;
  hash.add("postern journal 1\n");
  hash.add(journal);
  return hash.finish();
}

Digest head_of(const JournalId& journal, const Digest& before, const SealBlock& block) {
  Sha256 hash;
  hash.add(block.cover);
  const Digest cover = hash.finish();
  hash.add(block.leaves);
  const Digest leaves = hash.finish();
  hash.add("postern block 1\n");
  hash.add(journal);
  hash.add(before);
  for (const std::int64_t value : {block.number, block.time_us, block.flags, block.records})
    add_number(hash, value);
  hash.add(block.content);
  hash.add(cover);
  hash.add(leaves);
  return hash.finish();
}

void fill_block(SealBlock& block, std::vector<SealEntry>& entries) {
  // Rows come nearly in order; only outcomes do not.
  if (!std::is_sorted(entries.begin(), entries.end(), entry_before))
    std::sort(entries.begin(), entries.end(), entry_before);
  std::vector<SealRun> runs;
  block.leaves.clear();
  block.leaves.reserve(entries.size() * leaf_octets);
  Sha256 content;
  for (const SealEntry& entry : entries) {
    if (!runs.empty() && runs.back().kind == entry.kind && runs.back().last() + 1 == entry.id)
      ++runs.back().count;
    else
      runs.push_back({entry.kind, entry.id, 1});
    block.leaves.append(reinterpret_cast<const char*>(entry.leaf.data()), leaf_octets);
    content.add(entry.leaf);
  }
  block.cover = cover_octets(runs);
  block.content = content.finish();
}

bool SealSet::add(const SealRun& run) {
  if (run.count == 0) return true;
  auto& runs = by_kind_[static_cast<std::uint8_t>(run.kind)];
  const std::int64_t last = run.last();
  auto next = runs.upper_bound(run.first);  // begins after it
  if (next != runs.end() && next->first <= last) return false;
  if (next != runs.begin()) {
    const auto before = std::prev(next);
    if (before->second >= run.first) return false;
    if (before->second + 1 == run.first) {
      before->second = last;
      if (next != runs.end() && next->first - 1 == last) {
        before->second = next->second;
        runs.erase(next);
      }
      return true;
    }
  }
  if (next != runs.end() && next->first - 1 == last) {
    const std::int64_t end = next->second;
    next = runs.erase(next);
    runs.emplace_hint(next, run.first, end);
    return true;
  }
  runs.emplace_hint(next, run.first, last);
  return true;
}

bool SealSet::has(SealKind kind, std::int64_t id) const {
  const SealRun run = at_or_after(kind, id);
  return run.count != 0 && run.first <= id;
}

std::int64_t SealSet::highest(SealKind kind) const {
  const auto runs = by_kind_.find(static_cast<std::uint8_t>(kind));
  return runs == by_kind_.end() || runs->second.empty() ? 0 : runs->second.rbegin()->second;
}

SealRun SealSet::at_or_after(SealKind kind, std::int64_t id) const {
  const auto runs = by_kind_.find(static_cast<std::uint8_t>(kind));
  if (runs == by_kind_.end()) return {kind, 0, 0};
  const auto as_run = [&](auto at) {
    return SealRun{kind, at->first, static_cast<std::uint64_t>(at->second - at->first) + 1};
  };
  auto next = runs->second.upper_bound(id);
  if (next != runs->second.begin())
    if (const auto before = std::prev(next); before->second >= id) return as_run(before);
  return next == runs->second.end() ? SealRun{kind, 0, 0} : as_run(next);
}

}  // namespace postern

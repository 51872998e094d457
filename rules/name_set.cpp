// NameSet: taking a set from octets, and going through it. Looking a name up is in name_set_walk.h.
#include "rules/name_set.h"

#include <array>

#include "rules/name_set_layout.h"

namespace postern {
// Where the records of a bucket end, or later.
std::size_t NameSet::end_of(std::size_t bucket) const noexcept {
  using namespace name_set;
  const std::size_t group = bucket / anchor_buckets, next = bucket + 1;
  if (next % anchor_buckets == 0 || next == directory_.size()) return anchors_[group + 1];
  const std::uint32_t distance = distance_of(directory_[next]);
  return distance == too_far ? anchors_[group + 1] : std::size_t{anchors_[group]} + distance;
}

std::uint32_t NameSet::line(std::uint32_t index) const noexcept {
  static_assert(name_set::slack >= 4);
  if (index >= heap_.size()) return 0;
  const std::uint8_t* const record = heap_.data() + index;
  const std::size_t before = record[0] + (record[1] >= name_set::short_tails ? 3u : 2u);
  if (index + before + line_octets_ > heap_.size()) return 0;
  std::uint32_t line;
  std::memcpy(&line, record + before, 4);  // the machine's order, low octet first as the builder writes it
  return line & (~std::uint32_t{0} >> (32 - 8 * line_octets_));
}

void NameSet::each(NameVisitor visit, void* context) const {
  const std::uint8_t* const begin = heap_.data();
  const std::uint8_t* const end = begin + heap_.size();
  std::array<std::uint8_t, 2 * 256> wire;  // what stands before a tail, and the tail: an octet counts each
  Name name;
  for (const std::uint8_t* at = begin; at < end;) {
    const name_set::PackedEntry record = name_set::read_entry(at, end, line_octets_);
    if (record.next == nullptr || record.tail >= tails_.size()) return;
    const auto index = static_cast<std::uint32_t>(at - begin);
    at = record.next;
    const name_set::Tail& tail = tails_[record.tail];
    std::memcpy(wire.data(), record.rest, record.rest_size);
    std::memcpy(wire.data() + record.rest_size, tail_texts_.data() + tail.text_at, tail.size);
    const std::size_t size = record.rest_size + tail.size;
    // An image that was changed on purpose may hold what is no name.
    if (!name.assign_wire({wire.data(), size}) || name.size() != size) continue;
    const Entry entry{index, static_cast<Kind>(tail.tag & (most_kinds - 1)),
                      static_cast<Pattern::Scope>(name_set::scope_of(tail.tag)),
                      static_cast<std::uint8_t>(name.labels())};
    visit(context, name, entry);
  }
}

Result<NameSet> NameSet::from_block(std::shared_ptr<const std::uint8_t[]> owner,
                                    std::span<const std::uint8_t> block) {
  const auto bad = [](const std::string& what) { return failure("cannot use a compiled name set: " + what); };
  if (reinterpret_cast<std::uintptr_t>(block.data()) % alignof(std::uint64_t) != 0)
    return bad("it does not begin at a multiple of 8");
  name_set::Header header;
  if (block.size() < sizeof header) return bad("it has " + std::to_string(block.size()) + " octets");
  std::memcpy(&header, block.data(), sizeof header);
  const name_set::Layout layout = name_set::layout_of(header);
  if (layout.end != block.size())
    return bad("it has " + std::to_string(block.size()) + " octets; its head says " +
               std::to_string(layout.end));
  if (header.line_octets < 1 || header.line_octets > 4)
    return bad("line numbers of " + std::to_string(header.line_octets) + " octets");
  if (header.buckets == 0) return bad("it has no bucket");

  NameSet set;
  set.owner_ = std::move(owner);
  set.block_ = block;
  set.entries_ = header.entries;
  set.key_ = header.key;
  set.second_key_ = header.second_key;
  for (std::size_t half = 0; half < 2; ++half) set.depths_[half] = header.depths[half];
  set.deepest_ = header.depths[1] != 0   ? 127 - static_cast<std::size_t>(std::countl_zero(header.depths[1]))
                 : header.depths[0] != 0 ? 63 - static_cast<std::size_t>(std::countl_zero(header.depths[0]))
                                         : 0;
  set.line_octets_ = static_cast<std::uint8_t>(header.line_octets);
  const std::uint8_t* const octets = block.data();
  set.directory_ = {reinterpret_cast<const std::uint64_t*>(octets + layout.directory), header.buckets};
  set.anchors_ = {reinterpret_cast<const std::uint32_t*>(octets + layout.anchors),
                  name_set::anchors_of(header.buckets)};
  set.tails_ = {reinterpret_cast<const name_set::Tail*>(octets + layout.tails), header.tails};
  set.tail_texts_ = {octets + layout.texts, header.tail_text_octets};
  set.heap_ = {octets + layout.heap, header.heap_octets};
  std::uint32_t before = 0;
  for (std::size_t i = 0; i < set.anchors_.size(); ++i) {
    if (set.anchors_[i] > header.heap_octets || set.anchors_[i] < before)
      return bad("its anchors are out of order at " + std::to_string(i));
    before = set.anchors_[i];
  }
  for (std::size_t i = 0; i < set.directory_.size(); ++i) {
    const std::uint32_t* const anchor = set.anchors_.data() + i / name_set::anchor_buckets;
    const std::uint32_t distance = name_set::distance_of(set.directory_[i]);
    if (distance > anchor[1] - anchor[0] && distance != name_set::too_far)
      return bad("bucket " + std::to_string(i) + " begins behind the next anchor");
  }
  for (const name_set::Tail& tail : set.tails_) {
    if (tail.size == 0 || std::size_t{tail.text_at} + tail.size > set.tail_texts_.size())
      return bad("a tail is outside of the tails' texts");
    if (name_set::scope_of(tail.tag) > static_cast<unsigned>(Pattern::Scope::at_or_below))
      return bad("a tail has no scope");
  }
  return set;
}

}  // namespace postern

// NameSet: looking a name up, and taking a set from octets.
#include "rules/name_set.h"

#include <algorithm>
#include <array>

#include "rules/name_set_layout.h"

namespace postern {
namespace {

constexpr std::size_t most_labels = 127;  // 255 octets of one-octet labels

// Buckets from one anchor to the next: half a bit of memory a name; 24 records lie where the straight line
// between two anchors has them but for a line of the cache or so.
constexpr std::size_t anchor_buckets = 8;
// Octets asked for around the guess. 19 of 20 records lie in these lines.
constexpr std::size_t guess_before = 64, guess_after = 128;
constexpr std::size_t cache_line = 64;

}  // namespace

// Inlined by force: a function that does nothing but ask memory is one without effect to g++ 12, which then
// leaves out its calls.
[[gnu::always_inline]] inline void NameSet::ask_for(std::size_t bucket) const noexcept {
  __builtin_prefetch(directory_.data() + bucket);
  const std::uint32_t* const anchor = anchors_.data() + bucket / anchor_buckets;
  const std::size_t octets = anchor[1] - anchor[0];
  const std::size_t guess = anchor[0] + octets * (bucket % anchor_buckets) / anchor_buckets;
  const std::size_t from = guess - std::min(guess, guess_before);
  const std::size_t to = std::min(guess + guess_after, heap_.size());
  for (std::size_t at = from; at <= to; at += cache_line) __builtin_prefetch(heap_.data() + at);
}

void NameSet::walk(const Name& name, Visitor visit, void* context) const noexcept {
  using namespace name_set;
  if (entries_ == 0) return;
  const std::span<const std::uint8_t> wire = name.wire();
  std::array<std::uint8_t, most_labels + 1> starts;
  std::size_t labels = 0, at = 0;
  for (; wire[at] != 0; at += wire[at] + 1u) starts[labels++] = static_cast<std::uint8_t>(at);
  starts[labels] = static_cast<std::uint8_t>(at);
  const std::size_t deepest = labels < deepest_ ? labels : deepest_;

  // Memory is slow and each step needs the one before: so all words are asked for before the first is looked
  // at, and with each the lines where its records should be.
  std::array<std::uint64_t, most_labels + 1> hashes;
  std::array<const std::uint64_t*, most_labels + 1> words;
  std::uint64_t hash = second_key_;
  for (std::size_t depth = 0;; ++depth) {
    if (depth != 0) hash = extend(hash, wire.data() + starts[labels - depth], key_);
    const std::size_t bucket = bucket_of(hash, directory_.size() - 1);
    hashes[depth] = hash;
    words[depth] = directory_.data() + bucket;
    if ((depths_[depth / 64] >> depth % 64 & 1) != 0) ask_for(bucket);
    if (depth == deepest) break;
  }
  for (std::size_t depth = 0; depth <= deepest; ++depth) {
    if ((depths_[depth / 64] >> depth % 64 & 1) == 0) continue;
    const std::uint64_t bits = filter_bits_of(hashes[depth]);
    if ((*words[depth] & bits) == bits)
      scan(words[depth], wire.subspan(starts[labels - depth]), static_cast<std::uint8_t>(depth),
           depth == labels, visit, context);
  }
}

void NameSet::scan(const std::uint64_t* word, std::span<const std::uint8_t> suffix, std::uint8_t depth,
                   bool whole, Visitor visit, void* context) const noexcept {
  using namespace name_set;
  const std::uint8_t* at = heap_.data() + heap_offset_of(word[0]);
  const std::uint8_t* const end = heap_.data() + heap_offset_of(word[1]);
  while (at < end) {
    const PackedEntry record = read_entry(at, end, line_octets_);
    if (record.next == nullptr || record.tail >= tails_.size()) return;
    const std::uint8_t* const here = at;
    at = record.next;
    if (record.rest_size >= suffix.size()) continue;
    // The first two octets tell most neighbours apart without a call.
    if (record.rest_size >= 2 && (record.rest[0] != suffix[0] || record.rest[1] != suffix[1])) continue;
    const Tail& tail = tails_[record.tail];
    if (record.rest_size + tail.size != suffix.size()) continue;
    if (std::memcmp(record.rest, suffix.data(), record.rest_size) != 0) continue;
    if (std::memcmp(tail_texts_.data() + tail.text_at, suffix.data() + record.rest_size, tail.size) != 0)
      continue;
    const auto scope = static_cast<Pattern::Scope>(scope_of(tail.tag));
    if (scope == (whole ? Pattern::Scope::below : Pattern::Scope::exact)) continue;
    visit(context, {static_cast<std::uint32_t>(here - heap_.data()),
                    static_cast<Kind>(tail.tag & (most_kinds - 1)), scope, depth});
  }
}

std::uint32_t NameSet::line(std::uint32_t index) const noexcept {
  if (index >= heap_.size()) return 0;
  const name_set::PackedEntry record =
      name_set::read_entry(heap_.data() + index, heap_.data() + heap_.size(), line_octets_);
  if (record.next == nullptr) return 0;
  std::uint32_t line = 0;
  for (std::size_t i = line_octets_; i-- > 0;) line = line << 8 | record.line[i];
  return line;
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
  set.directory_ = {reinterpret_cast<const std::uint64_t*>(octets + layout.directory),
                    std::size_t{header.buckets} + 1};
  set.tails_ = {reinterpret_cast<const name_set::Tail*>(octets + layout.tails), header.tails};
  set.tail_texts_ = {octets + layout.texts, header.tail_text_octets};
  set.heap_ = {octets + layout.heap, header.heap_octets};
  std::uint32_t before = 0;
  for (std::size_t i = 0; i < set.directory_.size(); ++i) {
    const std::uint32_t begin = name_set::heap_offset_of(set.directory_[i]);
    if (begin > set.heap_.size() || begin < before)
      return bad("its directory is out of order at bucket " + std::to_string(i));
    before = begin;
  }
  set.anchors_.reserve(set.directory_.size() / anchor_buckets + 2);
  for (std::size_t i = 0; i < set.directory_.size(); i += anchor_buckets)
    set.anchors_.push_back(name_set::heap_offset_of(set.directory_[i]));
  set.anchors_.push_back(header.heap_octets);  // so that there is one after each bucket
  for (const name_set::Tail& tail : set.tails_) {
    if (tail.size == 0 || std::size_t{tail.text_at} + tail.size > set.tail_texts_.size())
      return bad("a tail is outside of the tails' texts");
    if (name_set::scope_of(tail.tag) > static_cast<unsigned>(Pattern::Scope::at_or_below))
      return bad("a tail has no scope");
  }
  return set;
}

}  // namespace postern

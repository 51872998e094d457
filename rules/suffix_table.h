// SuffixTable: from a name to what is known about each of its suffixes, in one pass over its octets.
//
// A hash table of suffixes in which every ancestor of an entry is an entry too, so a walk from the root
// outward ends at the first suffix that is not there: a name with nothing special about it costs one or two
// probes, however long it is.
//
// Thread: any once built; `insert` before that. Memory: about 64 octets a node with its buckets, plus its
// name; the table grows with the policy only, never with queries. Hashes are not keyed: who may write the
// policy may also slow its lookups down.
#pragma once

#include <array>
#include <cstdint>
#include <cstring>
#include <vector>

#include "rules/name.h"

namespace postern {

template <class Value>
class SuffixTable {
 public:
  SuffixTable() {
    buckets_.assign(16, none);
    insert(Name{});  // the root is always there
  }

  // The value of exactly `name`, made if need be, with all its ancestors. The
  // reference is good until the next insert.
  Value& insert(const Name& name) {
    return insert(name, [](Value&) {});
  }
  // The same, and calls on_ancestor(value) for each of its ancestors, the root first.
  template <class OnAncestor>
  Value& insert(const Name& name, OnAncestor&& on_ancestor) {
    for (Cursor cursor(name);; cursor.extend()) {
      std::uint32_t at = find(cursor);
      if (at == none) at = add(cursor);
      if (cursor.complete()) return nodes_[at].value;
      on_ancestor(nodes_[at].value);
    }
  }

  // Calls visit(value, depth) for the root (depth 0), then for each longer suffix of `name` that
  // is in the table, in order. Returns the number of labels of `name`; the whole name is in the
  // table if the last depth was that.
  template <class Visit>
  std::size_t walk(const Name& name, Visit&& visit) const noexcept {
    Cursor cursor(name);
    for (;; cursor.extend()) {
      const std::uint32_t at = find(cursor);
      if (at == none) break;
      visit(nodes_[at].value, cursor.depth);
      if (cursor.complete()) break;
    }
    return cursor.labels;
  }

  std::size_t size() const noexcept { return nodes_.size(); }

 private:
  static constexpr std::uint32_t none = 0xffffffff;
  static constexpr std::size_t most_labels = 127;  // 255 octets of one-octet labels

  struct Node {
    std::uint64_t hash;
    std::uint32_t text_at;  // in texts_
    std::uint8_t size;      // octets in wire form
    Value value;
  };

  // A suffix of a name that grows by a label at a time, and its hash: taken from the right, so that each
  // extends the one before and a walk that ends early has hashed no more than it looked up.
  struct Cursor {
    explicit Cursor(const Name& name) noexcept : wire(name.wire()), start(name.size() - 1) {
      for (std::size_t at = 0; wire[at] != 0; at += wire[at] + 1u)
        starts[labels++] = static_cast<std::uint8_t>(at);
    }
    bool complete() const noexcept { return depth == labels; }
    void extend() noexcept {
      ++depth;
      const std::size_t end = start;
      start = starts[labels - depth];
      for (std::size_t i = end; i-- > start;) running = (running ^ wire[i]) * 0x9e3779b97f4a7c15;
    }
    std::uint64_t hash() const noexcept { return running ^ (running >> 32); }
    std::span<const std::uint8_t> text() const noexcept { return wire.subspan(start); }

    std::span<const std::uint8_t> wire;
    std::size_t start;  // where the suffix begins in wire
    std::size_t labels = 0, depth = 0;
    std::uint64_t running = 0x243f6a8885a308d3;
    std::array<std::uint8_t, most_labels> starts;
  };

  std::uint32_t find(const Cursor& cursor) const noexcept {
    const std::size_t mask = buckets_.size() - 1;
    const std::span<const std::uint8_t> text = cursor.text();
    const std::uint64_t hash = cursor.hash();
    for (std::size_t slot = hash & mask;; slot = (slot + 1) & mask) {  // at most half full: it ends
      const std::uint32_t at = buckets_[slot];
      if (at == none) return none;
      const Node& node = nodes_[at];
      if (node.hash == hash && node.size == text.size() &&
          std::memcmp(texts_.data() + node.text_at, text.data(), text.size()) == 0)
        return at;
    }
  }

  std::uint32_t add(const Cursor& cursor) {
    if ((nodes_.size() + 1) * 2 > buckets_.size()) grow();
    const std::span<const std::uint8_t> text = cursor.text();
    const auto at = static_cast<std::uint32_t>(nodes_.size());
    nodes_.push_back({cursor.hash(), static_cast<std::uint32_t>(texts_.size()),
                      static_cast<std::uint8_t>(text.size()), Value{}});
    texts_.insert(texts_.end(), text.begin(), text.end());
    place(at);
    return at;
  }

  void place(std::uint32_t at) {
    const std::size_t mask = buckets_.size() - 1;
    std::size_t slot = nodes_[at].hash & mask;
    while (buckets_[slot] != none) slot = (slot + 1) & mask;
    buckets_[slot] = at;
  }

  void grow() {
    buckets_.assign(buckets_.size() * 2, none);
    for (std::uint32_t at = 0; at < nodes_.size(); ++at) place(at);
  }

  std::vector<Node> nodes_;
  std::vector<std::uint8_t> texts_;
  std::vector<std::uint32_t> buckets_;  // a power of two
};

}  // namespace postern

// The name book: two generations of names, each an open table.
#include "resolver/journal/name_book.h"

#include <algorithm>
#include <cstring>
#include <utility>

namespace postern {
namespace {

constexpr std::int64_t forgotten = -1;

// Bits that do not choose the slot.
std::uint16_t tag_of(std::size_t hash) {
  return static_cast<std::uint16_t>(hash >> 48);
}

}  // namespace

std::string_view NameBook::Table::text_of(const Slot& slot) const {
  if (slot.size <= short_text) return {slot.text.data(), slot.size};
  std::uint32_t at = 0;
  std::memcpy(&at, slot.text.data(), sizeof at);
  return long_texts_[at];
}

NameBook::Slot* NameBook::Table::find(std::string_view text, std::size_t hash) {
  if (slots_.empty()) return nullptr;
  const std::size_t mask = slots_.size() - 1;
  const std::uint16_t tag = tag_of(hash);
  for (std::size_t at = hash & mask; slots_[at].id != 0; at = (at + 1) & mask) {
    Slot& slot = slots_[at];
    if (slot.tag == tag && slot.size == text.size() && slot.id != forgotten && text_of(slot) == text)
      return &slot;
  }
  return nullptr;
}

void NameBook::Table::add(std::string_view text, std::size_t hash, Known known) {
  if (Slot* slot = find(text, hash)) {
    slot->id = known.id;
    slot->domain = known.domain;
    return;
  }
  if (2 * (used_ + 1) > slots_.size()) grow();
  const std::size_t mask = slots_.size() - 1;
  std::size_t at = hash & mask;
  while (slots_[at].id != 0) at = (at + 1) & mask;
  Slot& slot = slots_[at];
  slot.id = known.id;
  slot.domain = known.domain;
  slot.size = static_cast<std::uint16_t>(text.size());
  slot.tag = tag_of(hash);
  if (text.size() <= short_text) {
    std::memcpy(slot.text.data(), text.data(), text.size());
  } else {
    const auto place = static_cast<std::uint32_t>(long_texts_.size());
    std::memcpy(slot.text.data(), &place, sizeof place);
    long_texts_.emplace_back(text);
  }
  ++used_;
}

void NameBook::Table::grow() {
  Table larger;
  larger.slots_.resize(std::max(first_slots, 2 * slots_.size()));
  for (const Slot& slot : slots_)
    if (slot.id > 0) {
      const std::string_view text = text_of(slot);
      larger.add(text, NameBook::hash(text), {slot.id, slot.domain});
    }
  *this = std::move(larger);
}

// The memory stays: it was needed once.
void NameBook::Table::clear() {
  for (Slot& slot : slots_) slot.id = 0;
  long_texts_.clear();
  used_ = 0;
}

NameBook::Known NameBook::find(std::string_view text, std::size_t hash) {
  if (const Slot* slot = young_.find(text, hash)) return {slot->id, slot->domain};
  const Slot* slot = old_.find(text, hash);
  if (slot == nullptr) return {};
  const Known known{slot->id, slot->domain};
  make_room();
  young_.add(text, hash, known);
  return known;
}

void NameBook::add(std::string_view text, Known known) {
  make_room();
  young_.add(text, hash(text), known);
}

void NameBook::forget(std::string_view text) {
  for (Table* table : {&young_, &old_})
    if (Slot* slot = table->find(text, hash(text))) slot->id = forgotten;
}

void NameBook::clear() {
  young_ = {};
  old_ = {};
}

void NameBook::make_room() {
  if (young_.used() < max_young) return;
  std::swap(young_, old_);
  young_.clear();
}

}  // namespace postern

// The name book: two generations of names.
#include "resolver/journal/name_book.h"

#include <utility>

namespace postern {

NameBook::Known NameBook::find(std::string_view text) {
  if (const auto found = young_.find(text); found != young_.end()) return found->second;
  const auto found = old_.find(text);
  if (found == old_.end()) return {};
  const Known known = found->second;
  auto node = old_.extract(found);
  make_room();
  young_.insert(std::move(node));
  return known;
}

void NameBook::add(std::string text, Known known) {
  make_room();
  young_.insert_or_assign(std::move(text), known);
}

void NameBook::make_room() {
  if (young_.size() < max_young) return;
  old_ = std::exchange(young_, {});
}

}  // namespace postern

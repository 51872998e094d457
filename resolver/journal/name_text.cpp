// Names as text: one pass over the labels.
#include "resolver/journal/name_text.h"

namespace postern {

void NameText::set(const Name& name, std::size_t registered_labels) noexcept {
  const auto wire = name.wire();
  if (name.is_root()) {
    buffer_[0] = '.';
    size_ = 1;
    registered_at_ = 1;
    return;
  }
  const std::size_t labels = name.labels();
  const std::size_t before = labels > registered_labels ? labels - registered_labels : 0;
  char* out = buffer_.data();
  std::size_t label = 0;
  std::size_t registered = 0;  // offset where the registered domain begins
  for (std::size_t at = 0; wire[at] != 0; at += wire[at] + 1u, ++label) {
    if (at != 0) *out++ = '.';
    if (label == before) registered = static_cast<std::size_t>(out - buffer_.data());
    for (std::size_t i = at + 1; i <= at + wire[at]; ++i) {
      out = write_octet(out, wire[i]);
    }
  }
  size_ = static_cast<std::size_t>(out - buffer_.data());
  registered_at_ = static_cast<std::int64_t>(registered_labels == 0 ? size_ : registered) + 1;
}

bool is_border(std::string_view text, std::size_t at) noexcept {
  std::size_t escapes = 0;
  while (escapes < at && text[at - 1 - escapes] == '\\') ++escapes;
  return escapes % 2 == 0;
}

bool at_or_below(std::string_view name, std::string_view domain) noexcept {
  if (!name.ends_with(domain)) return false;
  if (name.size() == domain.size()) return true;
  const std::size_t dot = name.size() - domain.size() - 1;
  return name[dot] == '.' && is_border(name, dot);
}

std::string reversed_labels(std::string_view text) {
  std::string out;
  out.reserve(text.size() + 1);
  if (text == ".") return out;
  std::size_t end = text.size();
  for (std::size_t at = text.size(); at-- > 0;) {
    if (text[at] != '.' || !is_border(text, at)) continue;
    out.append(text.substr(at + 1, end - at - 1)).append(".");
    end = at;
  }
  return out.append(text.substr(0, end)).append(".");
}

}  // namespace postern

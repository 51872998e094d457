// Numbered names: finding the run of digits that two labels differ in.
#include "detect/numbered.h"

#include <algorithm>

namespace postern {

// What differs lies in one run of `like`: the one that the first difference stands in, or at the end of.
std::optional<Numbered> numbered_like(std::string_view label, std::string_view like, std::string_view digits,
                                      std::size_t longest) {
  const auto is_digit = [&](char c) { return digits.find(c) != std::string_view::npos; };
  const std::size_t differs = static_cast<std::size_t>(
      std::mismatch(label.begin(), label.end(), like.begin(), like.end()).second - like.begin());
  std::size_t from = differs, to = differs;
  while (from > 0 && is_digit(like[from - 1])) --from;
  while (to < like.size() && is_digit(like[to])) ++to;
  const std::string_view after = like.substr(to);
  if (from == to || label.size() <= from + after.size() || !label.ends_with(after)) return std::nullopt;

  Numbered found;
  found.number = label.substr(from, label.size() - from - after.size());
  found.same_length = found.number.size() == to - from;
  if (!found.same_length && found.number.size() > longest) return std::nullopt;
  if (!std::all_of(found.number.begin(), found.number.end(), is_digit)) return std::nullopt;
  for (std::size_t at = 0; at < like.size(); ++at) {
    const bool begins = is_digit(like[at]) && (at == 0 || !is_digit(like[at - 1]));
    found.run += begins && at < from ? 1 : 0;
    found.runs += begins ? 1 : 0;
  }
  return found;
}

}  // namespace postern

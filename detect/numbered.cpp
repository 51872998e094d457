// Numbered names: finding the run of digits that two labels differ in.
#include "detect/numbered.h"

#include <algorithm>

namespace postern {

std::optional<Numbered> numbered_like(std::string_view label, std::string_view like, std::string_view digits,
                                      std::size_t longest) {
  std::optional<Numbered> found;
  std::uint32_t runs = 0;
  for (std::size_t at = like.find_first_of(digits); at != std::string_view::npos; ++runs) {
    const std::size_t end = std::min(like.find_first_not_of(digits, at), like.size());
    const std::string_view before = like.substr(0, at), after = like.substr(end);
    if (!found && label.size() > before.size() + after.size() && label.starts_with(before) &&
        label.ends_with(after)) {
      const std::string_view number =
          label.substr(before.size(), label.size() - before.size() - after.size());
      const bool same_length = number.size() == end - at;
      if ((same_length || number.size() <= longest) &&
          number.find_first_not_of(digits) == std::string_view::npos)
        found = Numbered{runs, 0, number, same_length};
    }
    at = like.find_first_of(digits, end);
  }
  if (found) found->runs = runs;
  return found;
}

}  // namespace postern

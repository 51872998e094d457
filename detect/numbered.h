// Numbered names: "cache7" after "cache12". Pools of hosts share all but a number in their first label.
//
// The codeword, as a decoder reads it after the recent name was said: which of its first label's runs of
// digits is another one now, how many digits that one has, the digits. All else is the recent name's.
//
// Pure; nothing allocates. Thread: any.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace postern {

struct Numbered {
  std::uint32_t run = 0, runs = 0;  // which run of digits, counted from the left; out of how many
  std::string_view number;          // the new digits; never empty, points into `label`
  bool same_length = false;         // as many as there were
};

// `label` is another one than `like`: it is `like` with one of its runs of digits replaced, by 1 to `longest`
// digits or by as many as there were. `digits`: what counts as one. Nothing if it is not so.
std::optional<Numbered> numbered_like(std::string_view label, std::string_view like, std::string_view digits,
                                      std::size_t longest);

}  // namespace postern

// What a terminal may print: UTF-8 read strictly (RFC 3629), a character at a time.
#include "rules/terminal_text.h"

#include <cstdint>

namespace postern {
namespace {

struct Character {
  std::size_t octets = 1;
  bool fit = false;
};

bool goes_on(char octet) {  // within a character
  return (static_cast<unsigned char>(octet) & 0xc0) == 0x80;
}

bool is_bidi_control(std::uint32_t code) {
  return code == 0x061c || code == 0x200e || code == 0x200f || (code >= 0x202a && code <= 0x202e) ||
         (code >= 0x2066 && code <= 0x2069);
}

// The first of `text`, which is not empty.
Character first_of(std::string_view text) {
  const auto lead = static_cast<unsigned char>(text[0]);
  if (lead < 0x80) return {1, lead >= 0x20 && lead != 0x7f};
  const std::size_t octets = lead < 0xc2 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : lead < 0xf5 ? 4 : 1;
  if (octets == 1 || octets > text.size()) return {};
  std::uint32_t code = lead & (0x7fU >> octets);
  for (const char octet : text.substr(1, octets - 1)) {
    if (!goes_on(octet)) return {};
    code = code << 6 | (static_cast<unsigned char>(octet) & 0x3f);
  }
  const bool longer_than_needed = (octets == 3 && code < 0x800) || (octets == 4 && code < 0x10000);
  const bool surrogate = code >= 0xd800 && code <= 0xdfff;
  if (longer_than_needed || surrogate || code > 0x10ffff) return {};
  return {octets, code >= 0xa0 && !is_bidi_control(code)};
}

template <class Replace>
std::string with_unfit(std::string_view text, Replace&& replacement) {
  std::string out;
  while (!text.empty()) {
    const Character first = first_of(text);
    const std::string_view octets = text.substr(0, first.octets);
    if (first.fit)
      out += octets;
    else
      out += replacement(octets);
    text.remove_prefix(first.octets);
  }
  return out;
}

}  // namespace

std::string fit_for_terminal(std::string_view text) {
  return with_unfit(text, [](std::string_view) { return '?'; });
}

std::string escaped(std::string_view message) {
  return with_unfit(message, [](std::string_view octets) {
    constexpr char hex[] = "0123456789abcdef";
    std::string out;
    for (const char c : octets) {
      const auto octet = static_cast<unsigned char>(c);
      out.append("\\x").append({hex[octet >> 4], hex[octet & 15]});
    }
    return out;
  });
}

std::size_t columns_of(std::string_view text) {
  std::size_t count = 0;
  for (const char octet : text) count += goes_on(octet) ? 0 : 1;
  return count;
}

std::string in_columns(std::string text, std::size_t columns) {
  if (const std::size_t has = columns_of(text); has < columns) text.append(columns - has, ' ');
  return text;
}

std::string cut_to_columns(std::string text, std::size_t columns) {
  if (columns_of(text) <= columns) return text;
  std::size_t keep = 0, count = 0;
  for (; keep < text.size(); ++keep)
    if (!goes_on(text[keep]) && ++count >= columns) break;
  return text.substr(0, keep) + "…";
}

}  // namespace postern

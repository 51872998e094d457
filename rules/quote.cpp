// Quoting: control characters must not reach a log or a terminal, and messages stay short.
#include "rules/quote.h"

namespace postern {

std::string quoted(std::string_view value) {
  constexpr std::size_t shown = 100;  // enough to recognise a value; an error message is read by people
  constexpr char hex[] = "0123456789abcdef";
  std::string out = "\"";
  for (const char c : value.substr(0, shown)) {
    const auto octet = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (octet >= 0x20 && octet < 0x7f) {
      out += c;
    } else {
      out += "\\x";
      out += hex[octet >> 4];
      out += hex[octet & 15];
    }
  }
  out += value.size() > shown ? "...\"" : "\"";
  return out;
}

}  // namespace postern

// Quoting: control characters must not reach a log or a terminal, and messages stay short.
#include "rules/quote.h"

namespace postern {

namespace {

void append_octet(std::string& out, char c) {
  constexpr char hex[] = "0123456789abcdef";
  const auto octet = static_cast<unsigned char>(c);
  if (octet >= 0x20 && octet < 0x7f) {
    out += c;
  } else {
    out += "\\x";
    out += hex[octet >> 4];
    out += hex[octet & 15];
  }
}

}  // namespace

std::string printable(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (const char c : text) append_octet(out, c);
  return out;
}

std::string quoted(std::string_view value) {
  constexpr std::size_t shown = 100;  // enough to recognise a value; an error message is read by people
  std::string out = "\"";
  for (const char c : value.substr(0, shown)) {
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else {
      append_octet(out, c);
    }
  }
  out += value.size() > shown ? "...\"" : "\"";
  return out;
}

}  // namespace postern

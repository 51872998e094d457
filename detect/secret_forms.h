// The forms of a secret: what its value looks like in names, in each common encoding. Pure; internal to
// detect/.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace postern {

enum class SecretEncoding : std::uint8_t { plain, percent, hex, decimal, number, base32, base32hex, base64 };
// "plain", "percent-encoded", "hex", "decimal", "one number", "base32", "base32hex", "base64".
std::string_view encoding_text(SecretEncoding encoding);

// Text as names are compared with it: ASCII letters folded to lower case, dots gone, and with
// `Marks::dropped` every other ASCII mark and space as well, since senders put hyphens, underscores and
// percent signs where they like, and base64's + and / cannot stand in host names.
enum class Marks : std::uint8_t { kept, dropped };
std::string normal_text(std::string_view octets, Marks marks);
// The octet as it stands there; 0: it is dropped.
char normal_octet(std::uint8_t octet, Marks marks) noexcept;

// One spelling of one value.
struct SecretForm {
  SecretEncoding encoding = SecretEncoding::plain;
  bool backwards = false;  // the value or its spelling is reversed
  // The characters, of `text`, that the value alone decides, whatever stands around it: counts as found when
  // all of them are there, however ordinary they read. Empty: a part must be found that is unlikely enough.
  std::size_t core_begin = 0, core_end = 0;
  double most_bits = 8;  // that a character can say: log2 of the alphabet
  std::string text;      // normal
};

// All forms, without duplicates:
//   plain (with marks, and without), percent-encoded (RFC 3986), hex, decimal octets (three digits each, or
//   as many as they need), one decimal number, base32 and base32hex (RFC 4648) at all five octet offsets,
//   base64 and base64url at all three (one form: case and marks are lost anyway); each of the value and of
//   the value reversed, and each of these spellings reversed.
// At an offset, only the characters that the value alone decides are in the form; at none also the last one,
// filled up with zeros. About 120 characters an octet.
std::vector<SecretForm> forms_of(std::string_view value);

}  // namespace postern

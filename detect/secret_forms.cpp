// The forms of a secret: encoders, and what is left of their output in a name.
#include "detect/secret_forms.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <set>
#include <utility>

#include "rules/name.h"

namespace postern {
namespace {

constexpr std::string_view base32_digits = "abcdefghijklmnopqrstuvwxyz234567";     // RFC 4648 section 6
constexpr std::string_view base32hex_digits = "0123456789abcdefghijklmnopqrstuv";  // section 7
constexpr std::string_view base64_digits =                                         // section 4
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

constexpr bool is_letter_or_digit(std::uint8_t octet) {
  return (octet >= '0' && octet <= '9') || (octet >= 'a' && octet <= 'z') || (octet >= 'A' && octet <= 'Z');
}

// Digits of `bits` bits each. With `offset` octets before the value, only the digits that lie within it; at
// offset 0 also the last one, filled up with zeros, if `end`.
std::string power_of_two(std::string_view value, std::string_view digits, unsigned bits, unsigned offset,
                         bool end) {
  const std::size_t first = offset * 8, last = first + value.size() * 8;  // in bits
  std::string out;
  for (std::size_t at = (first + bits - 1) / bits * bits; at < last; at += bits) {
    if (at + bits > last && !end) break;
    unsigned digit = 0;
    for (std::size_t bit = at; bit < at + bits; ++bit) {
      const std::size_t octet = (bit - first) / 8;
      const unsigned one =
          bit < last ? (static_cast<std::uint8_t>(value[octet]) >> (7 - (bit - first) % 8)) & 1u : 0u;
      digit = digit << 1 | one;
    }
    out += digits[digit];
  }
  return out;
}

std::string percent_encoded(std::string_view value) {
  constexpr std::string_view hex = "0123456789abcdef";
  std::string out;
  for (const char c : value) {
    const auto octet = static_cast<std::uint8_t>(c);
    const bool unreserved = is_letter_or_digit(octet) || c == '-' || c == '.' || c == '_' || c == '~';
    if (unreserved)
      out += c;
    else
      out += {'%', hex[octet >> 4], hex[octet & 15]};
  }
  return out;
}

std::string decimal_octets(std::string_view value, bool padded) {
  std::string out;
  for (const char c : value) {
    const std::string digits = std::to_string(static_cast<std::uint8_t>(c));
    if (padded) out.append(3 - digits.size(), '0');
    out += digits;
  }
  return out;
}

// The value as one number, most significant octet first. Nine digits at a time.
std::string one_number(std::string_view value) {
  constexpr std::uint64_t limb = 1'000'000'000;
  std::vector<std::uint32_t> limbs{0};
  for (const char c : value) {
    std::uint64_t carry = static_cast<std::uint8_t>(c);
    for (std::uint32_t& one : limbs) {
      carry += std::uint64_t{one} * 256;
      one = static_cast<std::uint32_t>(carry % limb);
      carry /= limb;
    }
    if (carry != 0) limbs.push_back(static_cast<std::uint32_t>(carry));
  }
  std::string out = std::to_string(limbs.back());
  for (std::size_t i = limbs.size() - 1; i-- > 0;) {
    const std::string digits = std::to_string(limbs[i]);
    out.append(9 - digits.size(), '0');
    out += digits;
  }
  return out;
}

std::string reversed(std::string_view text) {
  return {text.rbegin(), text.rend()};
}

}  // namespace

std::string_view encoding_text(SecretEncoding encoding) {
  switch (encoding) {
    case SecretEncoding::plain:
      return "plain";
    case SecretEncoding::percent:
      return "percent-encoded";
    case SecretEncoding::hex:
      return "hex";
    case SecretEncoding::decimal:
      return "decimal";
    case SecretEncoding::number:
      return "one number";
    case SecretEncoding::base32:
      return "base32";
    case SecretEncoding::base32hex:
      return "base32hex";
    case SecretEncoding::base64:
      return "base64";
  }
  return "plain";
}

char normal_octet(std::uint8_t octet, Marks marks) noexcept {
  if (octet == '.' || octet == 0) return 0;
  const bool mark = octet >= ' ' && octet <= '~' && !is_letter_or_digit(octet);
  return mark && marks == Marks::dropped ? '\0' : static_cast<char>(fold(octet));
}

std::string normal_text(std::string_view octets, Marks marks) {
  std::string out;
  for (const char c : octets)
    if (const char kept = normal_octet(static_cast<std::uint8_t>(c), marks); kept != 0) out += kept;
  return out;
}

std::vector<SecretForm> forms_of(std::string_view value) {
  constexpr double any_octet = 8, letter_or_digit = 5.17;  // log2 of 256 and 36
  std::vector<SecretForm> forms;
  std::set<std::string> seen;
  const std::string backwards_value = reversed(value);
  for (const bool backwards : {false, true}) {
    const std::string_view octets = backwards ? std::string_view(backwards_value) : value;
    // `loose`: so many characters at the end that what follows the value would change.
    const auto add = [&](SecretEncoding encoding, const std::string& spelled,
                         std::optional<std::size_t> loose, double most_bits, Marks marks = Marks::dropped) {
      const std::string text = normal_text(spelled, marks);
      const std::size_t core = loose ? text.size() - *loose : 0;
      for (const bool turned : {false, true}) {
        SecretForm form{encoding, backwards != turned, 0, core, most_bits, turned ? reversed(text) : text};
        if (turned && loose) form.core_begin = *loose, form.core_end = text.size();
        if (seen.insert(form.text).second) forms.push_back(std::move(form));
      }
    };
    // Eight octets within a longer value have ten digits of base64 that are theirs alone: 52 bits at most and
    // mostly under 48, since a model of words has a price for each. So all of them count whatever they say.
    const auto add_digits = [&](SecretEncoding encoding, std::string_view digits, unsigned bits,
                                unsigned offset, double most_bits) {
      const std::string inner = power_of_two(octets, digits, bits, offset, false);
      const std::string all = offset == 0 ? power_of_two(octets, digits, bits, 0, true) : inner;
      add(encoding, all, normal_text(all, Marks::dropped).size() - normal_text(inner, Marks::dropped).size(),
          most_bits);
    };
    constexpr std::size_t none = 0;
    add(SecretEncoding::plain, std::string(octets), none, any_octet, Marks::kept);
    add(SecretEncoding::plain, std::string(octets), std::nullopt, any_octet);
    add(SecretEncoding::hex, power_of_two(octets, "0123456789abcdef", 4, 0, true), none, 4);
    add(SecretEncoding::percent, percent_encoded(octets), none, letter_or_digit);
    add(SecretEncoding::decimal, decimal_octets(octets, true), none, 8.0 / 3);
    add(SecretEncoding::decimal, decimal_octets(octets, false), none, 3);
    add(SecretEncoding::number, one_number(octets), none, std::log2(10));
    for (unsigned offset = 0; offset < 5; ++offset) {
      add_digits(SecretEncoding::base32, base32_digits, 5, offset, 5);
      add_digits(SecretEncoding::base32hex, base32hex_digits, 5, offset, 5);
      if (offset < 3) add_digits(SecretEncoding::base64, base64_digits, 6, offset, letter_or_digit);
    }
  }
  return forms;
}

}  // namespace postern

// Secrets as short as may be named: all of one is found in each encoding, also within a longer value.
#include <doctest/doctest.h>

#include <random>

#include "detect/secret_watch.h"

using namespace postern;

namespace {

constexpr std::string_view hex_digits = "0123456789abcdef";
constexpr std::string_view base32_digits = "abcdefghijklmnopqrstuvwxyz234567";     // RFC 4648 section 6
constexpr std::string_view base32hex_digits = "0123456789abcdefghijklmnopqrstuv";  // section 7
constexpr std::string_view base64url_digits =                                      // section 5
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
constexpr std::string_view base62_digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

struct Base {
  const char* name;
  std::string_view digits;
  std::size_t bits, offsets;  // of a digit; in octets, where a digit may begin
};
const Base bases[] = {{"hex", hex_digits, 4, 1},
                      {"base32", base32_digits, 5, 5},
                      {"base32hex", base32hex_digits, 5, 5},
                      {"base64url", base64url_digits, 6, 3}};

// Bit by bit; what is left over at the end is filled up with zeros.
std::string encoded(const std::string& octets, const Base& base) {
  std::string out;
  for (std::size_t at = 0; at < octets.size() * 8; at += base.bits) {
    std::size_t digit = 0;
    for (std::size_t bit = at; bit < at + base.bits; ++bit) {
      const bool one =
          bit / 8 < octets.size() && (static_cast<unsigned char>(octets[bit / 8]) >> (7 - bit % 8) & 1) != 0;
      digit = digit * 2 + (one ? 1 : 0);
    }
    out += base.digits[digit];
  }
  return out;
}

std::string drawn(std::mt19937_64& dice, std::size_t count) {
  std::string out;
  while (out.size() < count) out += base62_digits[dice() % base62_digits.size()];
  return out;
}
std::string octets(std::mt19937_64& dice, std::size_t count) {
  std::string out;
  while (out.size() < count) out += static_cast<char>(dice());
  return out;
}

bool finds(const SecretWatch& watch, const std::string& label) {
  return watch.look(Name::parse(label + ".evil.example").value(), 2).has_value();
}

}  // namespace

TEST_CASE("a token of 8 octets is found within a longer value, in each base and at each offset") {
  const auto model = Model::builtin();
  std::mt19937_64 dice(8);
  for (const std::size_t length : {8u, 9u, 10u, 12u})
    for (int i = 0; i < 40; ++i) {
      const std::string token = drawn(dice, length);
      const SecretWatch watch(SecretSet::make({{"KEY", token}}, "key", *model).value());
      for (const Base& base : bases)
        for (std::size_t offset = 0; offset < base.offsets; ++offset) {
          const std::string around =
              encoded(octets(dice, base.offsets + offset) + token + octets(dice, 4), base);
          CAPTURE(token);
          CAPTURE(base.name);
          CAPTURE(offset);
          CHECK(finds(watch, around));
          CHECK(finds(watch, std::string(around.rbegin(), around.rend())));
        }
    }
}

TEST_CASE("without one of the digits that the token alone decides, what is left of it says too little") {
  const auto model = Model::builtin();
  std::mt19937_64 dice(9);
  const Base& base = bases[3];
  const std::string between = "\\001";  // no digit, no mark
  for (int i = 0; i < 40; ++i) {
    const std::string token = drawn(dice, 8);
    const SecretWatch watch(SecretSet::make({{"KEY", token}}, "key", *model).value());
    for (std::size_t offset = 0; offset < 3; ++offset) {
      const std::size_t first = (offset * 8 + 5) / 6, last = (offset * 8 + 64) / 6;  // ten digits
      const std::string inner = encoded(std::string(offset, '\0') + token, base).substr(first, last - first);
      CAPTURE(token);
      CAPTURE(offset);
      CHECK(finds(watch, between + inner + between));
      if (inner.find_first_of("-_") != std::string::npos) continue;  // marks at an end are no loss
      CHECK_FALSE(finds(watch, between + inner.substr(1) + between));
      CHECK_FALSE(finds(watch, between + inner.substr(0, inner.size() - 1) + between));
    }
  }
}

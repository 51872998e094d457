// A single name's shape: one pass over its octets.
#include "detect/score_shape.h"

#include <algorithm>
#include <array>
#include <cmath>

namespace postern {
namespace {

enum class Kind : std::uint8_t { other, joiner, digit, vowel, consonant };

constexpr std::array<Kind, 256> kinds = [] {
  std::array<Kind, 256> of{};
  for (int c = 'a'; c <= 'z'; ++c) of[static_cast<std::size_t>(c)] = Kind::consonant;
  for (char c : {'a', 'e', 'i', 'o', 'u', 'y'}) of[static_cast<std::size_t>(c)] = Kind::vowel;
  for (int c = '0'; c <= '9'; ++c) of[static_cast<std::size_t>(c)] = Kind::digit;
  of['-'] = of['_'] = Kind::joiner;
  return of;
}();

// Three consonants in a row are ordinary (strength), names of services have four now and then; seven digits
// are a year and a day.
constexpr unsigned ordinary_consonants = 3, ordinary_digits = 6;

constexpr std::size_t most_octets = Name::max_octets;

// n * log2(n), so that the entropy of a name needs no logarithm per character.
const std::array<float, most_octets + 1>& weighted_logs() {
  static const std::array<float, most_octets + 1> table = [] {
    std::array<float, most_octets + 1> values{};
    for (std::size_t n = 2; n < values.size(); ++n)
      values[n] = static_cast<float>(static_cast<double>(n) * std::log2(static_cast<double>(n)));
    return values;
  }();
  return table;
}

}  // namespace

NameShape shape_of(std::span<const std::uint8_t> labels) noexcept {
  const auto& logs = weighted_logs();
  std::array<std::uint8_t, 256> count{};
  NameShape shape;
  float sum = 0;  // of n log n over the characters
  for (std::size_t at = 0; at < labels.size();) {
    const std::size_t length = std::min<std::size_t>(labels[at], labels.size() - at - 1);
    Kind before = Kind::joiner;
    unsigned consonants = 0, digits = 0;
    for (const std::uint8_t octet : labels.subspan(at + 1, length)) {
      const Kind kind = kinds[octet];
      const std::uint8_t times = count[octet]++;
      sum += logs[times + 1u] - logs[times];
      consonants = kind == Kind::consonant ? consonants + 1 : 0;
      digits = kind == Kind::digit ? digits + 1 : 0;
      const bool turns =
          (kind == Kind::digit && before > Kind::digit) || (kind > Kind::digit && before == Kind::digit);
      shape.breaks +=
          kind == Kind::other || turns || consonants > ordinary_consonants || digits > ordinary_digits;
      before = kind;
    }
    shape.octets += length;
    shape.longest = std::max(shape.longest, length);
    at += length + 1;
  }
  if (shape.octets > 0) {
    const auto n = static_cast<double>(shape.octets);
    shape.entropy = std::max(0.0, static_cast<double>(logs[std::min(shape.octets, most_octets)] - sum) / n);
  }
  return shape;
}

double type_oddness(Type type) noexcept {
  switch (type) {
    case type::A:
    case type::AAAA:
    case type::HTTPS:
      return 0;
    // Service discovery and reverse lookups: ordinary programs ask them, but not all day.
    case type::SVCB:
    case type::SRV:
    case type::PTR:
    case type::NS:
    case type::SOA:
    case type::CAA:
      return 0.2;
    // Mail, ACME and package tools ask these; tunnels live on them.
    case type::TXT:
    case type::CNAME:
    case type::MX:
    case type::NAPTR:
    case type::DS:
    case type::DNSKEY:
      return 0.7;
    // NULL, KEY, private use, ANY and what nobody has heard of.
    default:
      return 1;
  }
}

bool is_odd(const NameShape& shape, Type type) noexcept {
  constexpr std::size_t least_octets =
      16;  // shorter hashes carry little, and shards of content networks are shorter
  constexpr double least_structure = 0.2;
  return (shape.octets >= least_octets && shape.structure() >= least_structure) || type_oddness(type) >= 1;
}

}  // namespace postern

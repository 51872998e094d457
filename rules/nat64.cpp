// NAT64 prefixes: reading them, and the six places of RFC 6052 section 2.2.
#include "rules/nat64.h"

#include <algorithm>

#include "rules/quote.h"

namespace postern {
namespace {

constexpr std::array<std::uint8_t, 6> nat64_lengths{32, 40, 48, 56, 64, 96};  // RFC 6052 section 2.2

constexpr AddressRange v6_range(std::uint64_t high, std::uint8_t length) {
  return {{true, high, 0}, length};
}

// Where a translator's prefix may lie: global unicast, unique-local, and the ranges set aside for
// translators.
constexpr std::array<AddressRange, 3> translators{
    v6_range(0x2000'0000'0000'0000, 3),   // RFC 4291
    v6_range(0xfc00'0000'0000'0000, 7),   // RFC 4193
    v6_range(0x0064'ff9b'0000'0000, 32),  // RFC 6052, RFC 8215
};
// In them, addresses that hold their IPv4 address in a place of their own.
constexpr std::array<AddressRange, 2> elsewhere{
    v6_range(0x2002'0000'0000'0000, 16),  // 6to4, RFC 3056
    v6_range(0x2001'0000'0000'0000, 32),  // Teredo, RFC 4380
};

}  // namespace

Result<AddressRange> parse_nat64_prefix(std::string_view text) {
  const auto bad = [&](const char* why) {
    return failure("cannot read NAT64 prefix " + quoted(text) + ": " + why);
  };
  const Result<AddressRange> range = AddressRange::parse(text);
  if (!range) return range;
  if (!range->base.v6) return bad("it is not an IPv6 prefix");
  if (std::find(nat64_lengths.begin(), nat64_lengths.end(), range->length) == nat64_lengths.end())
    return bad("its length is not 32, 40, 48, 56, 64 or 96 (RFC 6052)");
  if ((range->base.low >> 56) != 0) return bad("its bits 64 to 71 are not zero (RFC 6052)");
  const auto inside = [&](const AddressRange& outer) { return outer.holds(range->base); };
  if (std::none_of(translators.begin(), translators.end(), inside))
    return bad(
        "no translator can stand there: it is neither in 2000::/3 nor in fc00::/7 nor in 64:ff9b::/32");
  if (std::any_of(elsewhere.begin(), elsewhere.end(), inside))
    return bad("6to4 and Teredo addresses hold their IPv4 address in another place");
  return range;
}

Address translated_by(const AddressRange& prefix, const Address& address) noexcept {
  const std::uint64_t after_u = address.low << 8;  // octets 9 to 15: octet 8 is skipped
  std::uint64_t bits = address.low;                // of length 96
  switch (prefix.length) {
    case 32:
      bits = address.high;
      break;
    case 40:
      bits = (address.high << 8) | (after_u >> 56);
      break;
    case 48:
      bits = (address.high << 16) | (after_u >> 48);
      break;
    case 56:
      bits = (address.high << 24) | (after_u >> 40);
      break;
    case 64:
      bits = after_u >> 32;
      break;
    default:
      break;
  }
  return {false, 0, bits & 0xffffffffu};
}

}  // namespace postern

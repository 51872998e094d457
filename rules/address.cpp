// Address classes: the table, with the source of each row, and the unwrapping of IPv4 inside IPv6.
#include "rules/address.h"

#include <arpa/inet.h>

#include <algorithm>
#include <charconv>
#include <cstring>

#include "rules/quote.h"

namespace postern {
namespace {

constexpr AddressRange v4(unsigned a, unsigned b, unsigned c, unsigned d, std::uint8_t length) {
  return {{false, 0, (std::uint64_t{a} << 24) | (b << 16) | (c << 8) | d}, length};
}

using Groups = std::array<std::uint16_t, 8>;
constexpr AddressRange v6(Groups groups, std::uint8_t length) {
  Address address{true, 0, 0};
  for (std::size_t i = 0; i < 4; ++i) address.high = (address.high << 16) | groups[i];
  for (std::size_t i = 4; i < 8; ++i) address.low = (address.low << 16) | groups[i];
  return {address, length};
}

// First the single addresses at which clouds serve credentials, so that they are called by their name; then
// ranges. IANA's special-purpose registries (RFC 6890) and the RFC named in each row.
constexpr auto classes = std::to_array<AddressClass>({
    {v4(169, 254, 169, 254, 32),
     "answer address is cloud metadata: 169.254.169.254 (AWS, Azure, Google and others)", true},
    {v4(169, 254, 169, 253, 32), "answer address is a cloud's own resolver: 169.254.169.253 (AWS)", true},
    {v4(169, 254, 170, 2, 32), "answer address is cloud metadata: 169.254.170.2 (AWS container credentials)",
     true},
    {v4(169, 254, 170, 23, 32), "answer address is cloud metadata: 169.254.170.23 (AWS pod credentials)",
     true},
    {v4(100, 100, 100, 200, 32), "answer address is cloud metadata: 100.100.100.200 (Alibaba Cloud)", true},
    {v4(168, 63, 129, 16, 32), "answer address is cloud metadata: 168.63.129.16 (Azure host agent)", true},
    {v4(192, 0, 0, 192, 32), "answer address is cloud metadata: 192.0.0.192 (Oracle Cloud)", true},
    {v6({0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254}, 128), "answer address is cloud metadata: fd00:ec2::254 (AWS)",
     true},
    {v6({0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x23}, 128),
     "answer address is cloud metadata: fd00:ec2::23 (AWS pod credentials)", true},
    {v6({0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x253}, 128),
     "answer address is a cloud's own resolver: fd00:ec2::253 (AWS)", true},
    {v6({0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254}, 128), "answer address is cloud metadata: fd20:ce::254 (Google)",
     true},
    {v6({0xfe80, 0, 0, 0, 0, 0, 0xa9fe, 0xa9fe}, 128),
     "answer address is cloud metadata: fe80::a9fe:a9fe (OpenStack)", true},

    {v4(0, 0, 0, 0, 8), "answer address is this network: 0.0.0.0/8, it reaches loopback (RFC 1122)"},
    {v4(10, 0, 0, 0, 8), "answer address is private: 10.0.0.0/8 (RFC 1918)"},
    {v4(100, 64, 0, 0, 10), "answer address is carrier-grade NAT: 100.64.0.0/10 (RFC 6598)"},
    {v4(127, 0, 0, 0, 8), "answer address is loopback: 127.0.0.0/8 (RFC 1122)"},
    {v4(169, 254, 0, 0, 16), "answer address is link-local: 169.254.0.0/16 (RFC 3927)"},
    {v4(172, 16, 0, 0, 12), "answer address is private: 172.16.0.0/12 (RFC 1918)"},
    {v4(192, 0, 0, 0, 24), "answer address is a protocol assignment: 192.0.0.0/24 (RFC 6890)"},
    {v4(192, 0, 2, 0, 24), "answer address is documentation: 192.0.2.0/24 (RFC 5737)"},
    {v4(192, 168, 0, 0, 16), "answer address is private: 192.168.0.0/16 (RFC 1918)"},
    {v4(198, 18, 0, 0, 15), "answer address is benchmarking: 198.18.0.0/15 (RFC 2544)"},
    {v4(198, 51, 100, 0, 24), "answer address is documentation: 198.51.100.0/24 (RFC 5737)"},
    {v4(203, 0, 113, 0, 24), "answer address is documentation: 203.0.113.0/24 (RFC 5737)"},
    {v4(224, 0, 0, 0, 4), "answer address is multicast: 224.0.0.0/4 (RFC 5771)"},
    {v4(240, 0, 0, 0, 4), "answer address is reserved: 240.0.0.0/4 (RFC 1112)"},

    {v6({}, 128), "answer address is unspecified: ::, it reaches loopback (RFC 4291)"},
    {v6({0, 0, 0, 0, 0, 0, 0, 1}, 128), "answer address is loopback: ::1 (RFC 4291)"},
    {v6({}, 96), "answer address is IPv4-compatible: ::/96 (RFC 4291)"},
    {v6({0x100}, 64), "answer address is discard-only: 100::/64 (RFC 6666)"},
    {v6({0x2001, 2}, 48), "answer address is benchmarking: 2001:2::/48 (RFC 5180)"},
    {v6({0x2001, 0x10}, 28), "answer address is ORCHID: 2001:10::/28 (RFC 4843)"},
    {v6({0x2001, 0x20}, 28), "answer address is ORCHIDv2: 2001:20::/28 (RFC 7343)"},
    {v6({0x2001, 0xdb8}, 32), "answer address is documentation: 2001:db8::/32 (RFC 3849)"},
    {v6({0x3fff}, 20), "answer address is documentation: 3fff::/20 (RFC 9637)"},
    {v6({0x5f00}, 16), "answer address is a segment identifier: 5f00::/16 (RFC 9602)"},
    {v6({0xfc00}, 7), "answer address is unique-local: fc00::/7 (RFC 4193)"},
    {v6({0xfe80}, 10), "answer address is link-local: fe80::/10 (RFC 4291)"},
    {v6({0xfec0}, 10), "answer address is site-local: fec0::/10 (RFC 3879)"},
    {v6({0xff00}, 8), "answer address is multicast: ff00::/8 (RFC 4291)"},
});

// Which first octets occur in the table at all, by family: most addresses of the
// internet are done after one look.
constexpr auto first_octets = [] {
  std::array<std::array<bool, 256>, 2> seen{};
  for (const AddressClass& one : classes) {
    const AddressRange& range = one.range;
    const std::uint64_t first = range.base.v6 ? range.base.high >> 56 : range.base.low >> 24;
    const std::uint64_t count = range.length >= 8 ? 1 : std::uint64_t{1} << (8 - range.length);
    for (std::uint64_t i = first; i < first + count; ++i) seen[range.base.v6 ? 1 : 0][i] = true;
  }
  return seen;
}();

constexpr AddressRange mapped = v6({0, 0, 0, 0, 0, 0xffff}, 96);      // RFC 4291
constexpr AddressRange translated = v6({0, 0, 0, 0, 0xffff, 0}, 96);  // RFC 2765
constexpr AddressRange six_to_four = v6({0x2002}, 16);                // RFC 3056
constexpr AddressRange teredo = v6({0x2001, 0}, 32);                  // RFC 4380
constexpr AddressRange nat64 = v6({0x64, 0xff9b}, 96);                // RFC 6052
constexpr AddressRange nat64_local = v6({0x64, 0xff9b, 1}, 48);       // RFC 8215
constexpr AddressRange this_network = v4(0, 0, 0, 0, 8);

constexpr Address inside(std::uint64_t bits) {
  return {false, 0, bits & 0xffffffffu};
}

}  // namespace

Address Address::from_v4(std::span<const std::uint8_t, 4> octets) noexcept {
  Address address;
  for (const std::uint8_t octet : octets) address.low = (address.low << 8) | octet;
  return address;
}

Address Address::from_v6(std::span<const std::uint8_t, 16> octets) noexcept {
  Address address{true, 0, 0};
  for (std::size_t i = 0; i < 8; ++i) address.high = (address.high << 8) | octets[i];
  for (std::size_t i = 8; i < 16; ++i) address.low = (address.low << 8) | octets[i];
  return address;
}

std::optional<Address> Address::parse(std::string_view text) noexcept {
  char terminated[INET6_ADDRSTRLEN] = {};  // inet_pton wants a C string; a NUL inside must not cut it short
  if (text.size() >= sizeof terminated || text.find('\0') != std::string_view::npos) return std::nullopt;
  std::memcpy(terminated, text.data(), text.size());
  std::array<std::uint8_t, 16> octets{};
  if (inet_pton(AF_INET, terminated, octets.data()) == 1)
    return from_v4(std::span<const std::uint8_t, 4>(octets.data(), 4));
  if (inet_pton(AF_INET6, terminated, octets.data()) == 1) return from_v6(octets);
  return std::nullopt;
}

std::array<std::uint8_t, 16> Address::octets() const noexcept {
  std::array<std::uint8_t, 16> out{};
  if (!v6) {
    for (unsigned i = 0; i < 4; ++i) out[i] = static_cast<std::uint8_t>(low >> (24 - 8 * i));
    return out;
  }
  for (unsigned i = 0; i < 8; ++i) out[i] = static_cast<std::uint8_t>(high >> (56 - 8 * i));
  for (unsigned i = 0; i < 8; ++i) out[8 + i] = static_cast<std::uint8_t>(low >> (56 - 8 * i));
  return out;
}

std::string Address::text() const {
  const std::array<std::uint8_t, 16> network = octets();
  char out[INET6_ADDRSTRLEN] = "";
  POSTERN_CHECK(inet_ntop(v6 ? AF_INET6 : AF_INET, network.data(), out, sizeof out) != nullptr);
  return out;
}

std::string AddressRange::text() const {
  return is_one_address() ? base.text() : base.text() + "/" + std::to_string(length);
}

Result<AddressRange> AddressRange::parse(std::string_view text) {
  const auto bad = [&](const char* why) {
    return failure("cannot read address range " + quoted(text) + ": " + why);
  };
  const std::size_t slash = text.find('/');
  const std::optional<Address> address = Address::parse(text.substr(0, slash));
  if (!address) return bad("it is not an IPv4 or IPv6 address");
  const unsigned width = address->v6 ? 128 : 32;
  AddressRange range{*address, static_cast<std::uint8_t>(width)};
  if (slash != std::string_view::npos) {
    const std::string_view digits = text.substr(slash + 1);
    unsigned length = 0;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), length);
    if (digits.empty() || error != std::errc{} || end != digits.data() + digits.size() || length > width)
      return bad(address->v6 ? "the prefix length is not a number from 0 to 128"
                             : "the prefix length is not a number from 0 to 32");
    range.length = static_cast<std::uint8_t>(length);
  }
  const unsigned spare = width - range.length;
  const std::uint64_t low_spare = spare >= 64 ? ~std::uint64_t{0} : (std::uint64_t{1} << spare) - 1;
  const std::uint64_t high_spare = spare <= 64    ? 0
                                   : spare >= 128 ? ~std::uint64_t{0}
                                                  : (std::uint64_t{1} << (spare - 64)) - 1;
  if ((range.base.low & low_spare) != 0 || (range.base.high & high_spare) != 0)
    return bad("it has bits outside its prefix");
  return range;
}

std::span<const AddressClass> address_classes() noexcept {
  return classes;
}

std::optional<std::size_t> address_class(const Address& address) noexcept {
  const std::uint64_t first = address.v6 ? address.high >> 56 : (address.low >> 24) & 0xff;
  if (!first_octets[address.v6 ? 1 : 0][first]) return std::nullopt;
  for (std::size_t i = 0; i < classes.size(); ++i)
    if (classes[i].range.holds(address)) return i;
  return std::nullopt;
}

Meanings meanings(const Address& address) noexcept {
  Meanings out;
  const auto add = [&](const Address& one) { out.list[out.count++] = one; };
  add(address);
  if (!address.v6) return out;
  const std::uint64_t high = address.high, low = address.low;
  if (mapped.holds(address) || translated.holds(address) || nat64.holds(address)) {
    add(inside(low));
  } else if (six_to_four.holds(address)) {
    add(inside(high >> 16));
  } else if (teredo.holds(address)) {
    add(inside(high));  // the relay's server
    add(inside(~low));  // the client, stored inverted
  } else if (nat64_local.holds(address)) {
    // Which prefix length the operator's translator uses is not known here, and translators ignore the suffix
    // bits, so every placement of RFC 6052 section 2.2 is judged (octet 8 is skipped by all but /96). The
    // placements that are not meant mostly read as 0.0.0.0/8, to which no translator sends: that is judged
    // only if nothing else is inside.
    const std::uint64_t after_u = low << 8;  // octets 9..15, the reserved octet 8 shifted out
    const Address placements[] = {
        inside(low),                                        // /96
        inside(((high & 0xffff) << 16) | (after_u >> 48)),  // /48
        inside(((high & 0xff) << 24) | (after_u >> 40)),    // /56
        inside(after_u >> 32),                              // /64
    };
    for (const Address& one : placements)
      if (!this_network.holds(one)) add(one);
    if (out.count == 1) add(inside(low));
  }
  return out;
}

}  // namespace postern

// Address classes: which addresses an answer may not hold, and what an address really stands for.
//
// A name that resolves to an internal address turns any HTTP client into a way inside (DNS rebinding, cloud
// metadata). IPv6 has many spellings of an IPv4 address; each is judged by the IPv4 address inside it. Pure;
// allocates nothing but where a Result carries an error.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "rules/result.h"

namespace postern {

// An IPv4 or IPv6 address as two numbers in host order; IPv4 lives in the low 32 bits of `low`.
struct Address {
  bool v6 = false;
  std::uint64_t high = 0, low = 0;

  static Address from_v4(std::span<const std::uint8_t, 4> octets) noexcept;
  static Address from_v6(std::span<const std::uint8_t, 16> octets) noexcept;
  // Strict dotted quad or RFC 4291 text, without zone index or port; nothing for anything else.
  static std::optional<Address> parse(std::string_view text) noexcept;
  std::array<std::uint8_t, 16> octets() const noexcept;  // network order; IPv4 in the first four
  std::string text() const;                              // as RFC 5952 writes it; parse reads it back
  friend bool operator==(const Address&, const Address&) = default;
};

struct AddressRange {
  Address base;
  std::uint8_t length = 0;  // of the prefix: 0..32 or 0..128

  constexpr bool holds(const Address& address) const noexcept {
    if (address.v6 != base.v6) return false;
    const unsigned width = base.v6 ? 128 : 32;
    const unsigned spare = width - length;  // low bits that do not matter
    const std::uint64_t low = address.low ^ base.low, high = address.high ^ base.high;
    if (spare >= 128) return true;
    if (spare >= 64) return (high >> (spare - 64)) == 0;
    return high == 0 && (low >> spare) == 0;
  }
  bool is_one_address() const noexcept { return length == (base.v6 ? 128 : 32); }
  // "10.0.0.0/8", "fc00::/7", or one address. Errors quote the text: not an address, bad
  // length, bits outside the prefix.
  static Result<AddressRange> parse(std::string_view text);
  std::string text() const;  // "10.0.0.0/8"; without the length if it is one address
};

// One refused class. A cloud metadata address passes only where an exception names exactly this address.
struct AddressClass {
  AddressRange range;
  std::string_view what;  // "answer address is private: 10.0.0.0/8 (RFC 1918)"
  bool metadata = false;
};

// The table; an address belongs to the first class that holds it.
std::span<const AddressClass> address_classes() noexcept;
// Index into address_classes(), of the address as it stands (nothing is unwrapped).
std::optional<std::size_t> address_class(const Address& address) noexcept;

// What an address stands for: itself and, for IPv4-mapped, IPv4-translated, 6to4, Teredo and NAT64
// (64:ff9b::/96 and 64:ff9b:1::/48) addresses, the IPv4 addresses inside.
struct Meanings {
  std::array<Address, 5> list;
  std::size_t count = 0;
  std::span<const Address> all() const& noexcept { return {list.data(), count}; }
  std::span<const Address> all() && = delete;  // it would not outlive the expression
};
Meanings meanings(const Address& address) noexcept;

}  // namespace postern

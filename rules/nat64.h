// NAT64 prefixes: the IPv4 address inside an IPv6 one, where an operator's own translator puts it (RFC 6052).
#pragma once

#include <string_view>

#include "rules/address.h"

namespace postern {

// A prefix at which a translator stands. Errors quote the text: no IPv6 range, a length other than 32, 40,
// 48, 56, 64 and 96, bits 64 to 71 that are not zero (section 2.2), a range in which no translator can stand
// (loopback, link-local, multicast, and those whose IPv4 addresses lie elsewhere: mapped, 6to4, Teredo).
Result<AddressRange> parse_nat64_prefix(std::string_view text);

// The IPv4 address that `address`, which `prefix` holds, is translated to. Bits that RFC 6052 wants to be
// zero (64 to 71, and the suffix) are not looked at: translators do not look at them either.
Address translated_by(const AddressRange& prefix, const Address& address) noexcept;

}  // namespace postern

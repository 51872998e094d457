// SVCB and HTTPS RDATA (RFC 9460), read strictly: the target and the address hints.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "rules/name.h"

namespace postern {

// Views into the RDATA.
struct ServiceBinding {
  std::uint16_t priority = 0;  // 0: AliasMode
  Name target;
  std::span<const std::uint8_t> ipv4_hints;  // 4 octets each
  std::span<const std::uint8_t> ipv6_hints;  // 16 octets each
};

// Nothing if the RDATA breaks RFC 9460 anywhere: keys out of order or repeated, a length that does not fit, a
// known key with a malformed value, a mandatory key that is missing, octets left over. What cannot be read
// cannot be inspected.
std::optional<ServiceBinding> parse_service_binding(std::span<const std::uint8_t> rdata) noexcept;

}  // namespace postern

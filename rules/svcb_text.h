// SvcParams of SVCB and HTTPS records as zone files write them (RFC 9460 section 2.1 and appendix A).
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "rules/result.h"

namespace postern {

// Words like `alpn=h2,h3`, `port=8443`, `no-default-alpn`, `ipv4hint=192.0.2.1,192.0.2.2`, `mandatory=alpn`,
// `key65000=octets`; escapes as they stand. The wire form, in the order of keys (section 2.2). Errors quote
// the key or the value; whether parameters go together is parse_service_binding's matter (svcb.h).
Result<std::vector<std::uint8_t>> read_service_parameters(std::span<const std::string_view> words);

}  // namespace postern

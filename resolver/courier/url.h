// A web address that alerts are posted to: scheme, host, port, target.
#pragma once

#include <string>
#include <string_view>

#include "rules/result.h"

namespace postern {

struct Url {
  static constexpr std::size_t max_octets = 2048;

  bool tls = true;
  std::string host;         // a name or an address; an IPv6 address without its brackets
  std::string port;         // "443"
  std::string target;       // "/alerts?tenant=3"
  bool is_address = false;  // `host` is numeric

  std::string authority() const;  // as in the Host field: "[2001:db8::1]:8443", "hooks.example.org"
  std::string text() const;       // without the query: "https://hooks.example.org/alerts"
};

// "http://HOST[:PORT][/TARGET]" or "https://...". No user, no fragment; RFC 3986's characters only. Errors
// quote the text up to its query.
Result<Url> parse_url(std::string_view text);

}  // namespace postern

// Reading a web address, strictly: what is not plain is refused rather than guessed at.
#include "resolver/courier/url.h"

#include <arpa/inet.h>

#include <algorithm>
#include <charconv>

namespace postern {
namespace {

constexpr std::size_t max_host = 253;  // octets of a DNS name in text form (RFC 1035)

bool is_word_octet(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
}

// What may stand in a path or a query (RFC 3986), percent signs included.
bool is_target_octet(char c) {
  return is_word_octet(c) || std::string_view("/?.~!$&'()*+,;=:@%").find(c) != std::string_view::npos;
}

bool is_default_port(const Url& url) {
  return url.port == (url.tls ? "443" : "80");
}

}  // namespace

std::string Url::authority() const {
  const std::string name = host.find(':') != std::string::npos ? "[" + host + "]" : host;
  return is_default_port(*this) ? name : name + ":" + port;
}

std::string Url::text() const {
  return (tls ? "https://" : "http://") + authority() + target.substr(0, target.find('?'));
}

Result<Url> parse_url(std::string_view text) {
  const auto bad = [&](const std::string& why) {
    return failure("cannot use the address \"" +
                   std::string(text.substr(0, std::min<std::size_t>(text.find('?'), 200))) + "\": " + why);
  };
  Url url;
  std::string_view rest = text;
  if (rest.size() > Url::max_octets) return bad("it is longer than 2048 octets");
  if (rest.starts_with("https://")) {
    rest.remove_prefix(8);
  } else if (rest.starts_with("http://")) {
    url.tls = false;
    rest.remove_prefix(7);
  } else {
    return bad("it must begin with https:// or http://");
  }
  const std::size_t slash = std::min(rest.find_first_of("/?#"), rest.size());
  std::string_view authority = rest.substr(0, slash);
  url.target = rest.substr(slash);
  if (url.target.empty() || url.target.front() == '?') url.target.insert(0, "/");
  if (!std::all_of(url.target.begin(), url.target.end(), is_target_octet))
    return bad(
        "what follows the host may hold only letters, digits and the marks of RFC 3986, and no fragment");
  if (authority.find('@') != std::string_view::npos) return bad("it must not name a user or a password");

  std::string_view port;
  bool has_port = false;
  if (authority.starts_with('[')) {
    const std::size_t end = authority.find(']');
    if (end == std::string_view::npos) return bad("its address has no closing bracket");
    url.host = authority.substr(1, end - 1);
    in6_addr ignored;
    if (inet_pton(AF_INET6, url.host.c_str(), &ignored) != 1) return bad("its address is none");
    url.is_address = true;
    authority.remove_prefix(end + 1);
    has_port = !authority.empty();
    if (has_port && authority.front() != ':') return bad("something stands behind its address");
    if (has_port) port = authority.substr(1);
  } else {
    const std::size_t colon = authority.find(':');
    has_port = colon != std::string_view::npos;
    if (has_port) port = authority.substr(colon + 1);
    url.host = authority.substr(0, colon);
    const auto fits = [](char c) { return is_word_octet(c) || c == '.'; };
    if (url.host.empty() || url.host.size() > max_host || url.host.front() == '.' ||
        !std::all_of(url.host.begin(), url.host.end(), fits))
      return bad("its host is no name");
    in_addr ignored;
    url.is_address = inet_pton(AF_INET, url.host.c_str(), &ignored) == 1;
  }
  unsigned number = url.tls ? 443 : 80;
  if (has_port) {
    const auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), number);
    if (error != std::errc{} || end != port.data() + port.size() || number < 1 || number > 65535)
      return bad("its port is not a number from 1 to 65535");
  }
  url.port = std::to_string(number);
  return url;
}

}  // namespace postern

// Servers: reading upstream addresses, from the command line and from resolv.conf.
#include <arpa/inet.h>
#include <net/if.h>

#include <array>
#include <charconv>

#include "resolver/sandbox/broker.h"

namespace postern {
namespace {

constexpr std::size_t max_servers = 8;  // glibc itself looks at 3; more only lengthen the time until SERVFAIL
constexpr std::size_t shown = 100;      // of a wrong text in an error: it is read by people

// The canonical spelling of a numeric address with an optional zone ("fe80::1%eth0"); empty if it is none.
std::string canonical(std::string_view text) {
  const std::size_t percent = text.find('%');
  const std::string address(text.substr(0, percent));
  if (address.find('\0') != std::string::npos) return {};
  std::array<unsigned char, sizeof(in6_addr)> octets{};
  std::array<char, INET6_ADDRSTRLEN> printed{};
  if (percent == std::string_view::npos && inet_pton(AF_INET, address.c_str(), octets.data()) == 1) {
    return inet_ntop(AF_INET, octets.data(), printed.data(), printed.size());
  }
  if (inet_pton(AF_INET6, address.c_str(), octets.data()) != 1) return {};
  std::string result = inet_ntop(AF_INET6, octets.data(), printed.data(), printed.size());
  if (percent == std::string_view::npos) return result;
  const std::string_view zone = text.substr(percent + 1);
  if (zone.empty() || zone.size() >= IF_NAMESIZE) return {};
  for (const char c : zone) {
    if (c <= ' ' || c > '~' || c == '/' || c == '%' || c == ':' || c == '[' || c == ']') return {};
  }
  return result.append("%").append(zone);
}

}  // namespace

std::string Server::text() const {
  const bool v6 = address.find(':') != std::string::npos;
  return (v6 ? "[" + address + "]" : address) + ":" + std::to_string(port);
}

Result<Server> parse_server(std::string_view text) {
  const auto bad = [&](const char* why) {
    return failure("cannot read server \"" + std::string(text.substr(0, shown)) + "\": " + why);
  };
  if (text.empty()) return bad("it is empty");
  std::string_view address = text, port;
  bool has_port = false;
  if (text.front() == '[') {
    const std::size_t close = text.find(']');
    if (close == std::string_view::npos) return bad("the closing bracket is missing");
    address = text.substr(1, close - 1);
    const std::string_view rest = text.substr(close + 1);
    if (address.find(':') == std::string_view::npos) return bad("only an IPv6 address is put in brackets");
    if (!rest.empty()) {
      if (rest.front() != ':') return bad("only a colon and a port may follow the bracket");
      port = rest.substr(1);
      has_port = true;
    }
  } else if (const std::size_t colon = text.find(':');
             colon != std::string_view::npos && text.find(':', colon + 1) == std::string_view::npos) {
    address = text.substr(0, colon);
    port = text.substr(colon + 1);
    has_port = true;
  }
  Server server;
  server.address = canonical(address);
  if (server.address.empty()) return bad("that is not a numeric IPv4 or IPv6 address");
  if (has_port) {
    const auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), server.port);
    if (error != std::errc{} || end != port.data() + port.size() || server.port == 0) {
      return bad("the port must be a number from 1 to 65535");
    }
  }
  return server;
}

std::vector<Server> parse_resolv_conf(std::string_view text) {
  // As glibc reads it: the keyword begins the line, a blank follows, what comes after the address is ignored.
  // A port (as in OpenBSD's resolv.conf) is understood; a line that glibc could not use either is passed
  // over.
  constexpr std::string_view keyword = "nameserver";
  constexpr std::string_view blank = " \t\r";
  std::vector<Server> servers;
  while (!text.empty() && servers.size() < max_servers) {
    const std::size_t end = text.find('\n');
    std::string_view line = text.substr(0, end);
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    if (line.substr(0, keyword.size()) != keyword) continue;
    line.remove_prefix(keyword.size());
    const std::size_t begin = line.find_first_not_of(blank);
    if (begin == 0 || begin == std::string_view::npos) continue;
    line.remove_prefix(begin);
    Result<Server> server = parse_server(line.substr(0, line.find_first_of(blank)));
    if (!server) continue;
    bool known = false;
    for (const Server& other : servers)
      known = known || (other.address == server->address && other.port == server->port);
    if (!known) servers.push_back(std::move(*server));
  }
  return servers;
}

}  // namespace postern

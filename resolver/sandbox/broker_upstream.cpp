// Sockets to upstream servers: fresh source port, connected, nothing in them that came from elsewhere.
#include "resolver/sandbox/broker_upstream.h"

#include <arpa/inet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <cerrno>
#include <charconv>
#include <cstring>

namespace postern {
namespace {

struct Address {
  sockaddr_storage storage{};
  socklen_t size = 0;
  const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage); }
};

// "eth0" or "3"; 0 when there is no such interface.
unsigned zone_index(const std::string& zone) {
  unsigned index = 0;
  const auto [end, error] = std::from_chars(zone.data(), zone.data() + zone.size(), index);
  if (error == std::errc{} && end == zone.data() + zone.size()) return index;
  return if_nametoindex(zone.c_str());
}

bool resolve(const Server& server, Address& out) {
  sockaddr_in v4{};
  if (inet_pton(AF_INET, server.address.c_str(), &v4.sin_addr) == 1) {
    v4.sin_family = AF_INET;
    v4.sin_port = htons(server.port);
    std::memcpy(&out.storage, &v4, sizeof v4);
    out.size = sizeof v4;
    return true;
  }
  sockaddr_in6 v6{};
  const std::size_t percent = server.address.find('%');
  if (inet_pton(AF_INET6, server.address.substr(0, percent).c_str(), &v6.sin6_addr) != 1) return false;
  v6.sin6_family = AF_INET6;
  v6.sin6_port = htons(server.port);
  if (percent != std::string::npos) {
    v6.sin6_scope_id = zone_index(server.address.substr(percent + 1));
    if (v6.sin6_scope_id == 0) return false;
  }
  std::memcpy(&out.storage, &v6, sizeof v6);
  out.size = sizeof v6;
  return true;
}

}  // namespace

Result<Fd> connect_upstream(const Server& server, bool tcp) {
  const auto bad = [&](const char* step, const char* why) {
    return failure("cannot reach upstream server " + server.text() + ": " + step + ": " + why);
  };
  Address address;
  if (!resolve(server, address)) return bad("address", "not numeric, or its interface does not exist");
  const int family = address.storage.ss_family;
  Fd fd(socket(family, (tcp ? SOCK_STREAM : SOCK_DGRAM) | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd) return bad("socket", std::strerror(errno));
  if (!tcp) {
    // Port 0: the kernel draws one at random from net.ipv4.ip_local_port_range. (TCP's connect draws by RFC
    // 6056 per destination; a bind before it would take the port from all destinations.)
    Address any;
    any.storage.ss_family = static_cast<sa_family_t>(family);
    if (bind(fd.get(), any.get(), address.size) != 0) return bad("bind", std::strerror(errno));
  }
  if (connect(fd.get(), address.get(), address.size) != 0 && !(tcp && errno == EINPROGRESS)) {
    return bad("connect", std::strerror(errno));
  }
  if (!tcp) {
    // Between bind and connect anybody could send to the port: whatever lies in the socket now is not from
    // the server.
    char octet = 0;
    while (recv(fd.get(), &octet, 1, MSG_DONTWAIT | MSG_TRUNC) >= 0) {
    }
  }
  return fd;
}

}  // namespace postern

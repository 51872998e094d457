// Listeners: the two sockets that are Postern's presence inside a sandbox.
#include <linux/sockios.h>
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstring>

#include "resolver/sandbox/broker.h"

namespace postern {
namespace {

// Connections that wait to be accepted, per sandbox. Stub resolvers use TCP after a truncated answer only; a
// sandbox that floods its own listener fills its own queue.
constexpr int tcp_backlog = 128;

// Octets of queries that wait in a sandbox's UDP socket (the kernel books about 768 for a small one, doubles
// this number and caps it at net.core.rmem_max): some hundred queries, an `npm install` in one go. Paid only
// while queries wait.
constexpr int udp_receive_octets = 256 * 1024;

enum class Family { dual_stack, ipv4_only };

struct Attempt {
  int number = 0;  // errno
  const char* step = nullptr;
};

bool set(const Fd& fd, int level, int option, int value) {
  return setsockopt(fd.get(), level, option, &value, sizeof value) == 0;
}

// Binds to the wildcard address, so that the sandbox may use 127.0.0.1, ::1 or any address that its runtime
// gives it.
bool bind_wildcard(const Fd& fd, Family family, std::uint16_t port) {
  if (family == Family::dual_stack) {
    sockaddr_in6 any{};
    any.sin6_family = AF_INET6;
    any.sin6_port = htons(port);
    return bind(fd.get(), reinterpret_cast<const sockaddr*>(&any), sizeof any) == 0;
  }
  sockaddr_in any{};
  any.sin_family = AF_INET;
  any.sin_port = htons(port);
  return bind(fd.get(), reinterpret_cast<const sockaddr*>(&any), sizeof any) == 0;
}

std::uint16_t bound_port(const Fd& fd) {
  sockaddr_in6 address{};
  socklen_t size = sizeof address;
  if (getsockname(fd.get(), reinterpret_cast<sockaddr*>(&address), &size) != 0) return 0;
  return ntohs(address.sin6_port);  // sin_port stands at the same place
}

// Neither SO_REUSEADDR nor SO_REUSEPORT: with either on *both* sockets Linux would let a sandboxed program
// bind 127.0.0.1:53 beside our wildcard, and the more specific socket gets the datagrams. Without them every
// later bind of the port fails with EADDRINUSE. Nothing is lost: UDP has no TIME_WAIT.
Attempt open_udp(Family family, std::uint16_t port, Fd& out) {
  const bool dual = family == Family::dual_stack;
  Fd fd(socket(dual ? AF_INET6 : AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd) return {errno, "create the UDP socket"};
  if (dual && !set(fd, IPPROTO_IPV6, IPV6_V6ONLY, 0)) return {errno, "make the UDP socket dual-stack"};
  // Which address was asked: the reply must come from it. On a dual-stack socket IPv4 shows as ::ffff:a.b.c.d
  // here.
  const bool told = dual ? set(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, 1) : set(fd, IPPROTO_IP, IP_PKTINFO, 1);
  if (!told) return {errno, "ask for destination addresses on the UDP socket"};
  set(fd, SOL_SOCKET, SO_RCVBUF, udp_receive_octets);  // a wish: a smaller buffer works too
  if (!bind_wildcard(fd, family, port)) return {errno, "bind the UDP socket"};
  out = std::move(fd);
  return {};
}

// SO_REUSEADDR on TCP: only so that a Postern that comes back is not kept out for a minute by connections in
// TIME_WAIT. It cannot be used to steal: Linux lets two sockets share an address under SO_REUSEADDR only
// while *neither* listens (inet_csk_bind_conflict), and listen() checks again. Between our bind and our
// listen a sandboxed program could bind 127.0.0.1:53, and even listen there first; then our listen fails,
// attach is refused, and nobody is told that this sandbox is guarded. SO_REUSEPORT stays off: it needs the
// flag on both sockets.
Attempt open_tcp(Family family, std::uint16_t port, Fd& out) {
  const bool dual = family == Family::dual_stack;
  Fd fd(socket(dual ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd) return {errno, "create the TCP socket"};
  if (dual && !set(fd, IPPROTO_IPV6, IPV6_V6ONLY, 0)) return {errno, "make the TCP socket dual-stack"};
  if (!set(fd, SOL_SOCKET, SO_REUSEADDR, 1)) return {errno, "set SO_REUSEADDR on the TCP socket"};
  if (!bind_wildcard(fd, family, port)) return {errno, "bind the TCP socket"};
  if (listen(fd.get(), tcp_backlog) != 0) return {errno, "listen on the TCP socket"};
  out = std::move(fd);
  return {};
}

Attempt open_both(Family family, std::uint16_t port, Listeners& out) {
  if (const Attempt udp = open_udp(family, port, out.udp); udp.step != nullptr) return udp;
  // Port 0 (tests): TCP gets the port that UDP was given.
  if (const Attempt tcp = open_tcp(family, port != 0 ? port : bound_port(out.udp), out.tcp);
      tcp.step != nullptr)
    return tcp;
  out.ipv6 = family == Family::dual_stack;
  return {};
}

// The kernel has no IPv6, or it is switched off in this namespace. EADDRINUSE is *not* among them: somebody
// holds
// [::1]:53 then, and a sandbox must not choose which half of its loopback is guarded.
bool means_no_ipv6(int number) {
  return number == EAFNOSUPPORT || number == EADDRNOTAVAIL || number == EPROTONOSUPPORT ||
         number == EPFNOSUPPORT;
}

// The namespace that a socket belongs to. /proc tells it without privilege; where there is none (or
// another's), the socket itself does, to whoever has CAP_NET_ADMIN in the namespace.
bool namespace_of(const Fd& socket, struct stat& out) {
  if (stat("/proc/thread-self/ns/net", &out) == 0) return true;
  const Fd ns(ioctl(socket.get(), SIOCGSKNS));
  return ns && fstat(ns.get(), &out) == 0;
}

}  // namespace

Result<Listeners> open_listeners(std::uint16_t port) {
  Listeners listeners;
  Attempt attempt = open_both(Family::dual_stack, port, listeners);
  if (attempt.step != nullptr && means_no_ipv6(attempt.number)) {
    listeners = Listeners{};
    attempt = open_both(Family::ipv4_only, port, listeners);
  }
  if (attempt.step != nullptr) {
    std::string why = std::strerror(attempt.number);
    if (attempt.number == EADDRINUSE) why = "the port is taken: another nameserver runs in this namespace";
    return failure("cannot listen on port " + std::to_string(port) + ": cannot " + attempt.step + ": " + why);
  }
  struct stat ns {};
  if (!namespace_of(listeners.udp, ns)) {
    return failure("cannot listen on port " + std::to_string(port) +
                   ": cannot tell which network namespace this is: " + std::strerror(errno));
  }
  listeners.netns_dev = ns.st_dev;
  listeners.netns_ino = ns.st_ino;
  return listeners;
}

}  // namespace postern

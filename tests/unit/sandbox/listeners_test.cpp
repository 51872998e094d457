// The listeners inside a sandbox: which address was asked, and that nobody can listen beside them.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <seccomp.h>

#include "broker_support.h"

using namespace sandbox_test;
using postern::Fd;
using postern::open_listeners;

namespace {

constexpr std::uint16_t dns = 53;

struct Socket {
  sockaddr_storage storage{};
  socklen_t size = sizeof(sockaddr_storage);
  sockaddr* get() { return reinterpret_cast<sockaddr*>(&storage); }
};

Socket address(const char* text, std::uint16_t port) {
  Socket result;
  sockaddr_in v4{};
  sockaddr_in6 v6{};
  if (inet_pton(AF_INET, text, &v4.sin_addr) == 1) {
    v4.sin_family = AF_INET;
    v4.sin_port = htons(port);
    std::memcpy(&result.storage, &v4, sizeof v4);
    result.size = sizeof v4;
  } else {
    inet_pton(AF_INET6, text, &v6.sin6_addr);
    v6.sin6_family = AF_INET6;
    v6.sin6_port = htons(port);
    std::memcpy(&result.storage, &v6, sizeof v6);
    result.size = sizeof v6;
  }
  return result;
}

struct Thief {
  const char* address;
  bool reuse_address, reuse_port, v6_only;
};
constexpr Thief thieves[] = {
    {"127.0.0.1", false, false, false},
    {"127.0.0.1", true, false, false},
    {"127.0.0.1", false, true, false},
    {"127.0.0.1", true, true, false},
    {"127.0.0.2", true, true, false},
    {"0.0.0.0", true, true, false},
    {"::1", false, false, true},
    {"::1", true, true, true},
    {"::", true, true, true},
    {"::", true, true, false},
    {"::ffff:127.0.0.1", true, true, false},
};

// A sandboxed program's attempt; its socket if it succeeds.
Fd steal(const Thief& thief, int type, std::uint16_t port) {
  Socket where = address(thief.address, port);
  Fd fd(socket(where.storage.ss_family, type | SOCK_CLOEXEC, 0));
  const int on = 1, v6_only = thief.v6_only ? 1 : 0;
  if (thief.reuse_address) setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (thief.reuse_port) setsockopt(fd.get(), SOL_SOCKET, SO_REUSEPORT, &on, sizeof on);
  if (where.storage.ss_family == AF_INET6)
    setsockopt(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, &v6_only, sizeof v6_only);
  if (bind(fd.get(), where.get(), where.size) != 0) return Fd();
  if (type == SOCK_STREAM && listen(fd.get(), 1) != 0) return Fd();
  return fd;
}

std::string thefts(std::uint16_t port, int type) {
  std::string done;
  for (const Thief& thief : thieves) {
    if (steal(thief, type, port)) {
      done += std::string(thief.address) + (thief.reuse_address ? "+addr" : "") +
              (thief.reuse_port ? "+port" : "") + " ";
    }
  }
  return done;
}

// Asks from a connected socket and answers as the path does: from the address that was asked. "" if all is
// well.
std::string ask(const postern::Listeners& listeners, const char* asked) {
  Socket to = address(asked, dns);
  const Fd client(socket(to.storage.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (connect(client.get(), to.get(), to.size) != 0 || send(client.get(), "ask", 3, 0) != 3)
    return "cannot send";
  if (!readable(listeners.udp.get())) return "nothing came";
  std::array<char, 64> data{};
  alignas(cmsghdr) std::array<char, 256> control{};
  iovec part{data.data(), data.size()};
  Socket from;
  msghdr message{from.get(), from.size, &part, 1, control.data(), control.size(), 0};
  if (recvmsg(listeners.udp.get(), &message, 0) != 3) return "cannot receive";
  std::string told;
  for (cmsghdr* at = CMSG_FIRSTHDR(&message); at != nullptr; at = CMSG_NXTHDR(&message, at)) {
    std::array<char, INET6_ADDRSTRLEN> text{};
    if (at->cmsg_level == IPPROTO_IPV6 && at->cmsg_type == IPV6_PKTINFO) {
      in6_pktinfo info{};
      std::memcpy(&info, CMSG_DATA(at), sizeof info);
      told = inet_ntop(AF_INET6, &info.ipi6_addr, text.data(), text.size());
    }
    if (at->cmsg_level == IPPROTO_IP && at->cmsg_type == IP_PKTINFO) {
      in_pktinfo info{};
      std::memcpy(&info, CMSG_DATA(at), sizeof info);
      told = inet_ntop(AF_INET, &info.ipi_addr, text.data(), text.size());
    }
  }
  const bool v4 = to.storage.ss_family == AF_INET;
  if (told != (v4 && listeners.ipv6 ? "::ffff:" : "") + std::string(asked)) return "told " + told;
  // The control part goes back as it came: the destination becomes the source.
  part = {data.data(), 3};
  if (sendmsg(listeners.udp.get(), &message, 0) != 3)
    return std::string("cannot reply: ") + std::strerror(errno);
  if (!readable(client.get())) return "no reply";
  return recv(client.get(), data.data(), data.size(), 0) == 3 ? "" : "a wrong reply";
}

}  // namespace

TEST_CASE("listeners are told which address was asked and can reply from it, IPv4 and IPv6") {
  if (!possible(own_network_possible(), "no network namespace of our own can be made")) return;
  CHECK(in_child([] {
          if (!own_network()) return std::string("no namespace");
          const auto listeners = open_listeners();
          if (!listeners) return listeners.error().message;
          std::string wrong = listeners->ipv6 ? "" : "not dual-stack ";
          for (const char* asked : {"127.0.0.1", "127.0.0.53", "127.1.2.3", "::1"}) {
            if (const std::string what = ask(*listeners, asked); !what.empty())
              wrong += std::string(asked) + ": " + what + "; ";
          }
          struct stat ns {};
          stat("/proc/self/ns/net", &ns);
          if (ns.st_dev != listeners->netns_dev || ns.st_ino != listeners->netns_ino)
            wrong += "wrong namespace; ";
          for (const Fd* fd : {&listeners->udp, &listeners->tcp}) {
            if ((fcntl(fd->get(), F_GETFL) & O_NONBLOCK) == 0) wrong += "blocking; ";
            if ((fcntl(fd->get(), F_GETFD) & FD_CLOEXEC) == 0) wrong += "survives exec; ";
          }
          for (const char* asked : {"127.0.0.1", "::1"}) {
            Socket to = address(asked, dns);
            const Fd client(socket(to.storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
            if (connect(client.get(), to.get(), to.size) != 0)
              wrong += std::string("no TCP on ") + asked + "; ";
            if (!Fd(accept4(listeners->tcp.get(), nullptr, nullptr, SOCK_CLOEXEC)))
              wrong += "no connection; ";
          }
          return wrong;
        }) == "");
}

TEST_CASE("nobody in the sandbox can bind the port beside the listeners, whatever options they set") {
  if (!possible(own_network_possible(), "no network namespace of our own can be made")) return;
  CHECK(in_child([] {
          if (!own_network()) return std::string("no namespace");
          const auto listeners = open_listeners();
          if (!listeners) return listeners.error().message;
          return thefts(dns, SOCK_DGRAM) + thefts(dns, SOCK_STREAM) + ask(*listeners, "127.0.0.1") +
                 ask(*listeners, "::1");
        }) == "");
  SUBCASE("the same attempts succeed on the port beside it") {
    CHECK(in_child([] {
            if (!own_network() || !open_listeners()) return std::string("no namespace");
            return thefts(dns + 1, SOCK_DGRAM);
          }).find("127.0.0.1+addr+port ") != std::string::npos);
  }
  SUBCASE(
      "the same attempts succeed on a socket that was bound with SO_REUSEADDR, which is why ours is not") {
    CHECK(in_child([] {
            if (!own_network()) return std::string("no namespace");
            const Fd naive = steal({"::", true, false, false}, SOCK_DGRAM, dns);
            return thefts(dns, SOCK_DGRAM);
          }).find("127.0.0.1+addr ") != std::string::npos);
  }
}

TEST_CASE("a TCP socket that was bound before us can no longer listen, and one that listens keeps us out") {
  if (!possible(own_network_possible(), "no network namespace of our own can be made")) return;
  const auto scene = [](bool thief_listens) {
    return in_child([thief_listens] {
      if (!own_network()) return std::string("no namespace");
      const Fd thief(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
      const int on = 1;
      setsockopt(thief.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
      Socket where = address("127.0.0.1", dns);
      if (bind(thief.get(), where.get(), where.size) != 0) return std::string("cannot bind first");
      if (thief_listens && listen(thief.get(), 1) != 0) return std::string("cannot listen first");
      const auto listeners = open_listeners();
      if (!listeners) return "refused: " + listeners.error().message;
      return std::string(listen(thief.get(), 1) == 0 ? "both listen" : "only we listen");
    });
  };
  CHECK(scene(false) == "only we listen");
  CHECK(scene(true).find("refused: cannot listen on port 53") == 0);
}

TEST_CASE("a port that is taken is an error that says so") {
  if (!possible(own_network_possible(), "no network namespace of our own can be made")) return;
  for (const char* holder : {"127.0.0.1", "::1"}) {
    CAPTURE(holder);
    CHECK(in_child([holder] {
            if (!own_network()) return std::string("no namespace");
            const Fd other = steal({holder, false, false, true}, SOCK_DGRAM, dns);
            if (!other) return std::string("cannot bind first");
            const auto listeners = open_listeners();
            return listeners ? "opened" : listeners.error().message;
          }) ==
          "cannot listen on port 53: cannot bind the UDP socket: the port is taken: another nameserver runs "
          "in this namespace");
  }
}

TEST_CASE("where IPv6 is off the listeners are IPv4, and as hard to steal") {
  if (!possible(own_network_possible(), "no network namespace of our own can be made")) return;
  CHECK(in_child([] {
          if (!own_network()) return std::string("no namespace");
          scmp_filter_ctx filter =
              seccomp_init(SCMP_ACT_ALLOW);  // a kernel that was started with ipv6.disable=1
          seccomp_rule_add(filter, SCMP_ACT_ERRNO(EAFNOSUPPORT), SCMP_SYS(socket), 1,
                           SCMP_A0(SCMP_CMP_EQ, AF_INET6));
          if (seccomp_load(filter) != 0) return std::string("no filter");
          seccomp_release(filter);
          const auto listeners = open_listeners();
          if (!listeners) return listeners.error().message;
          return (listeners->ipv6 ? "dual-stack " : "") + ask(*listeners, "127.0.0.1") +
                 ask(*listeners, "127.0.0.9") + thefts(dns, SOCK_DGRAM) + thefts(dns, SOCK_STREAM);
        }) == "");
}

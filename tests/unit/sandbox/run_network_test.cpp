// A sandbox's network: loopback alone, and Postern's listeners on it before the command starts.
#include <doctest/doctest.h>
#include <poll.h>
#include <sched.h>
#include <sys/socket.h>
#include <unistd.h>

#include <set>
#include <sstream>

#include "run_fixture.h"

using namespace postern;
using namespace postern::test;

namespace {

bool arrives(int fd) {
  constexpr int limit_ms = 60'000;  // an event: the command has sent already, or will
  pollfd one{fd, POLLIN, 0};
  return poll(&one, 1, limit_ms) == 1;
}

}  // namespace

TEST_CASE("there is nothing in the namespace but loopback, and it is up") {
  if (!can_sandbox()) return;
  const Ran ran = shell(
      "tail -n +3 /proc/net/dev | cut -d: -f1; cat /proc/net/route | tail -n +2; ls /sys/class/net; ping -c1 "
      "-W1 127.0.0.1 >/dev/null 2>&1; "
      "cat /proc/net/fib_trie | grep -c 127.0.0.1");
  INFO(ran.out << ran.err);
  std::istringstream words(ran.out);
  std::string dev, sys;
  words >> dev >> sys;
  CHECK(dev == "lo");
  CHECK(sys == "lo");
}

TEST_CASE("what the command sends to port 53 arrives at the listeners, by both families, UDP and TCP") {
  if (!can_sandbox()) return;
  Listeners listeners;
  std::set<std::string> got;
  bool connected = false;
  const Ran ran = run(
      {"/bin/bash", "-c",
       "echo -n four >/dev/udp/127.0.0.1/53; [ ! -e /proc/net/if_inet6 ] || echo -n six >/dev/udp/::1/53; "
       "exec 3<>/dev/tcp/127.0.0.1/53 && echo -n tcp >&3"},
      {.input = {},
       .hide = {},
       .before_release = [&](SandboxedCommand& sandbox) { listeners = sandbox.take_listeners(); },
       .after_release =
           [&](SandboxedCommand&) {
             char text[64];
             while (got.size() < (listeners.ipv6 ? 2U : 1U) && arrives(listeners.udp.get())) {
               const ssize_t size = recv(listeners.udp.get(), text, sizeof text, 0);
               if (size > 0) got.insert(std::string(text, static_cast<std::size_t>(size)));
             }
             if (!arrives(listeners.tcp.get())) return;
             const Fd one(accept(listeners.tcp.get(), nullptr, nullptr));
             connected = one && arrives(one.get()) && recv(one.get(), text, sizeof text, 0) == 3;
           }});
  INFO(ran.err);
  CHECK(ran.status == 0);
  CHECK(got.contains("four"));
  CHECK(got.contains("six") == listeners.ipv6);
  CHECK(connected);
  CHECK(listeners.netns_ino != 0);
}

TEST_CASE("the host's loopback is another one") {
  if (!can_sandbox()) return;
  const Result<Listeners> outside = open_listeners(0);
  REQUIRE(outside);
  Listeners inside;
  shell("true", {.input = {},
                 .hide = {},
                 .before_release = [&](SandboxedCommand& sandbox) { inside = sandbox.take_listeners(); },
                 .after_release = {}});
  CHECK(inside.netns_ino != outside->netns_ino);
}

TEST_CASE("the host name has no domain inside, for glibc would search it") {
  if (!can_sandbox()) return;
  const std::string seen = in_private_mounts([] {
    if (unshare(CLONE_NEWUTS) != 0 || sethostname("box.corp.example", 16) != 0)
      return std::string("cannot rename");
    char after[65] = {};
    const Ran ran = shell("hostname");
    gethostname(after, sizeof after);
    return ran.out + after;
  });
  CHECK(seen == "box\nbox.corp.example");
}

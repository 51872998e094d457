// Hooks' limits, with the time as an argument.
#include "broker_support.h"
#include "resolver/sandbox/hook.h"

using namespace sandbox_test;
using postern::Fd;
using postern::HookRunner;
using Clock = HookRunner::Clock;

TEST_CASE("a hook that is over its time is killed with all that it started, and not a moment earlier") {
  Folder folder;
  const std::string fifo = folder.path("fifo");
  REQUIRE(mkfifo(fifo.c_str(), 0600) == 0);
  const std::string program =
      folder.write("hook", "#!/bin/sh\nexec 3> " + fifo + "\nsleep 1000 &\necho up >&3\nwait\n", 0755);
  HookRunner hooks({program});
  const auto start = Clock::now();
  const auto started = hooks.start(0, "{}", start);
  REQUIRE(started);
  REQUIRE(*started);
  const int pidfd = (*started)->pidfd;
  const Fd alive(open(fifo.c_str(), O_RDONLY | O_CLOEXEC));  // its grandchild has the other end too
  std::array<char, 8> text{};
  REQUIRE(read(alive.get(), text.data(), text.size()) == 3);
  CHECK(hooks.next_deadline() == start + HookRunner::time_limit);
  hooks.enforce(start + HookRunner::time_limit - std::chrono::nanoseconds(1));
  CHECK_FALSE(readable(pidfd, 0));
  CHECK_FALSE(hooks.ended(pidfd, start));
  hooks.enforce(start + HookRunner::time_limit);
  REQUIRE(readable(pidfd));
  const auto ended = hooks.ended(pidfd, start);
  REQUIRE(ended);
  CHECK(WIFSIGNALED(ended->status));
  CHECK(WTERMSIG(ended->status) == SIGKILL);
  REQUIRE(readable(alive.get()));
  CHECK(read(alive.get(), text.data(), text.size()) == 0);  // the grandchild is gone as well
  CHECK(hooks.idle());
  CHECK_FALSE(hooks.next_deadline());
}

TEST_CASE("a hook that ends in time makes place for one that waits") {
  HookRunner hooks({"/bin/cat"});
  const auto now = Clock::now();
  std::vector<int> pidfds;
  for (std::size_t i = 0; i < HookRunner::most_running; ++i) {
    const auto started = hooks.start(0, "", now);
    REQUIRE(started);
    REQUIRE(*started);
    pidfds.push_back((*started)->pidfd);
  }
  const auto waits = hooks.start(0, "", now);
  REQUIRE(waits);
  CHECK_FALSE(*waits);
  REQUIRE(readable(pidfds[3]));
  const auto ended = hooks.ended(pidfds[3], now);
  REQUIRE(ended);
  CHECK(ended->status == 0);
  REQUIRE(ended->next);
  CHECK_FALSE(hooks.ended(123456, now));  // nobody's
}

// Refreshes: a name in steady use is asked again by Postern's own timer, for a logarithm; nothing else is.
#include <random>

#include "leak_world.h"

using namespace postern;
using postern::test::LeakWorld;

namespace {

std::size_t refreshes(const LeakWorld& world) {
  std::size_t count = 0;
  for (const LeakWorld::Seen& one : world.seen) count += one.refresh;
  return count;
}

// The shard's ticks, one a second: what is due is asked, and answered.
void pass(LeakWorld& world, int seconds) {
  for (int i = 0; i < seconds; ++i) world.advance(1000);
}

}  // namespace

TEST_CASE("an unknown host that is polled each minute for 24 hours is not cut, whatever its TTL") {
  for (const std::uint32_t ttl : {5u, 60u, 300u}) {
    CAPTURE(ttl);
    LeakWorld world;
    world.ttl = ttl;
    SandboxState& box = world.attach("s");
    std::size_t refused = 0;
    const int hours = ttl == 5 ? 4 : 24;  // the shortest is asked most, and tells the same sooner
    for (int minute = 0; minute < hours * 60; ++minute) {
      refused += world.ask(box, "build-7.internal-tool.com") != 0;
      refused += world.ask(box, "build-7.internal-tool.com", type::AAAA) != 0;
      pass(world, 60);
    }
    CHECK(refused == 0);
    CHECK(box.counters.refreshed > 240);
    CHECK(world.pipeline().leaks().front().whole.used < 100 * 8000);
    CHECK(world.alerts("leak") == 0);
  }
}

TEST_CASE("without use there is no refresh: one question is forgotten, and a poll that ends is soon over") {
  LeakWorld world;
  world.ttl = 60;
  SandboxState& box = world.attach("s");
  world.ask(box, "once.example.com");
  pass(world, 1000);
  CHECK(world.seen.size() == 1);
  world.ask(box, "twice.example.com");
  world.ask(box, "twice.example.com");
  pass(world, 2000);
  // Asked at one moment: in use for 300 s, which is four times 60 s and a little; then never again.
  CHECK(refreshes(world) >= 4);
  CHECK(refreshes(world) <= 5);
  for (const auto& [id, row] : world.journal.rows) {
    if (!row.refresh) continue;
    CHECK(row.action == Action::allow);
    CHECK(row.name.text() == "twice.example.com");
  }
}

TEST_CASE(
    "a refresh is on record before it goes, as a row of its own, and its answer reaches nobody but the "
    "cache") {
  LeakWorld world;
  world.ttl = 10;
  SandboxState& box = world.attach("s");
  world.ask(box, "www.example.com");
  world.ask(box, "www.example.com");
  world.advance(9400);
  CHECK(refreshes(world) == 0);  // the neighbour: 500 ms before the end, not earlier
  world.advance(200);
  REQUIRE(refreshes(world) == 1);  // LeakWorld looked for its committed row
  CHECK(world.journal.outcomes.rbegin()->second.rcode == 0);
  CHECK(world.ask(box, "www.example.com") == 0);
  CHECK(world.journal.rows.rbegin()->second.cached);
  CHECK(box.counters.allowed == 3);
  CHECK(box.counters.refreshed == 1);
}

TEST_CASE("a refresh stops where policy, quarantine or a budget would stop the client") {
  const std::string open = "on_tunnel: alert\n";
  for (const std::string later : {"block: [\"**.example.com\"]\n", "budgets: {session: 1 B}\n"}) {
    CAPTURE(later);
    LeakWorld world(open);
    world.ttl = 10;
    SandboxState& box = world.attach("s");
    world.ask(box, "www.example.com");
    world.ask(box, "www.example.com");
    world.reload(open + later);
    pass(world, 100);
    CHECK(world.seen.size() == 1);
  }
}

TEST_CASE(
    "a client cannot make Postern ask more than so many names by itself, and what was asked last is kept") {
  LeakWorld world("on_tunnel: alert\nbudgets: unlimited\n");
  world.ttl = 5;
  SandboxState& box = world.attach("s");
  for (std::size_t i = 0; i < 3 * Uses::max_tracked; ++i)
    for (int twice = 0; twice < 2; ++twice) world.ask(box, "n" + std::to_string(i) + ".example.com");
  const std::size_t asked = world.seen.size();
  pass(world, 5);
  CHECK(refreshes(world) == Uses::max_tracked);
  CHECK(world.seen.size() == asked + Uses::max_tracked);
  CHECK(world.seen.back().query.name.text().size() > 0);
  CHECK(box.uses.size() == Uses::max_tracked);
}

// What ends a session's questions can be undone by an operator, and what nobody asked for does not end them.
#include <random>

#include "file_world.h"
#include "leak_world.h"

using namespace postern;
using namespace postern::test;

namespace {

Pipeline::SessionLeak lifted_leak(LeakWorld& world) {
  return world.pipeline().leaks().front();
}

struct Refreshed {
  std::uint64_t one_answer = 0, spent = 0, after_restart = 0;  // octets of the budget of answers
  SandboxCounters counters;
};

// Asks for www.example.com, whose answer is refreshed, until `rounds` times seven seconds have passed.
Refreshed ask_for_long(Type type, int rounds) {
  const JournalFolder folder;
  Refreshed seen;
  {
    const auto journal = folder.open();
    LeakWorld world(meter_alone, LeakWorld::shared_parts(), journal.get());
    world.ttl = 5;
    SandboxState& box = world.attach("one");
    world.ask(box, "www.example.com", type);
    seen.one_answer = lifted_leak(world).answers.used;
    for (int i = 0; i < rounds; ++i) {
      world.ask(box, "www.example.com", type);
      for (int tick = 0; tick < 7; ++tick) world.advance(1000);
    }
    seen.spent = lifted_leak(world).answers.used;
    seen.counters = box.counters;
  }
  const auto journal = folder.open();
  LeakWorld world(meter_alone, LeakWorld::shared_parts(), journal.get());
  world.attach("one");
  seen.after_restart = lifted_leak(world).answers.used;
  return seen;
}

}  // namespace

TEST_CASE("refreshes of addresses spend nothing of what may come down, before and after a restart") {
  const Refreshed seen = ask_for_long(type::A, 40);
  CHECK(seen.one_answer > 0);
  CHECK(seen.counters.refreshed > 20);
  CHECK(seen.counters.forwarded == 1);
  CHECK(seen.spent == seen.one_answer);
  CHECK(seen.after_restart == seen.spent);
}

TEST_CASE("refreshes of other types do: a server could send something new with each") {
  const Refreshed seen = ask_for_long(type::TXT, 10);
  CHECK(seen.counters.refreshed > 5);
  CHECK(seen.spent == seen.one_answer * (1 + seen.counters.refreshed));
  CHECK(seen.after_restart == seen.spent);
}

TEST_CASE(
    "spent answers: a grant for them and lifting the quarantine let the session go on, also after a kill") {
  const JournalFolder folder;
  const std::string yaml = meter_alone + "budgets: {answers: 4 KiB}\n";
  const auto fetch = [](LeakWorld& world, SandboxState& box, int from) {
    int fetched = 0;
    for (int i = from; i < from + 10; ++i)
      fetched += world.ask(box, "t" + std::to_string(i) + ".example.com", type::TXT) == 0;
    return fetched;
  };
  {
    const auto journal = folder.open();
    LeakWorld world(yaml, LeakWorld::shared_parts(), journal.get());
    world.answer_octets = 1000;
    SandboxState& box = world.attach("one");
    CHECK(fetch(world, box, 0) == 4);
    CHECK(lifted_leak(world).quarantine == "answers");
    SandboxState& again = world.attach("one");  // by itself a new attachment changes nothing
    CHECK(fetch(world, again, 10) == 0);
    world.pipeline().lift_quarantine(box);  // grants nothing
    CHECK(lifted_leak(world).quarantine.empty());
    CHECK(fetch(world, box, 20) == 0);
    LeakGrant grant{0, 1, "u", "one", std::string(LeakGrant::for_answers), 4096};
    REQUIRE(world.pipeline().may_grant(grant).has_value());
    grant.id = *journal->grant(grant);
    REQUIRE(world.pipeline().grant(grant).has_value());
    CHECK(fetch(world, box, 30) == 0);  // still in quarantine
    world.pipeline().lift_quarantine(again);
    CHECK(fetch(world, box, 40) == 4);
    SandboxState& third = world.attach("one");
    world.pipeline().lift_quarantine(third);
    CHECK_FALSE(lifted_leak(world).quarantined);
    CHECK(lifted_leak(world).answers.granted == 4096);
  }
  const auto journal = folder.open();
  LeakWorld world(yaml, LeakWorld::shared_parts(), journal.get());
  world.attach("one");
  CHECK(lifted_leak(world).answers.granted == 4096);
  CHECK(lifted_leak(world).whole.granted == 0);
}

TEST_CASE("over the cap of queries: lifting the quarantine begins the count anew, and the next one is told") {
  LeakWorld world("budgets: {queries: 20}\n");
  SandboxState& box = world.attach("s");
  for (int i = 0; i < 30; ++i) world.ask(box, "www.example.com");
  CHECK(lifted_leak(world).quarantine == "query cap");
  world.pipeline().lift_quarantine(box);
  for (int i = 0; i < 20; ++i) CHECK(world.ask(box, "www.example.com") == 0);
  CHECK(world.alerts("query_cap") == 1);
  CHECK(world.ask(box, "www.example.com") == 3);
  CHECK(world.alerts("query_cap") == 2);
}

TEST_CASE("what a quarantine is for is told: the zone of a budget, the ledger, the secret's reason") {
  LeakWorld world(meter_alone + "on_budget: quarantine\nbudgets: {zone: 32 B}\n");
  SandboxState& box = world.attach("s");
  std::mt19937_64 dice(1);
  for (int i = 0; i < 20; ++i) world.ask(box, hex_label(dice, 12) + ".evil.com");
  CHECK(lifted_leak(world).quarantine == "zone evil.com");
}

TEST_CASE(
    "two policies in turn, one with a refill: what a zone's end is told is told once, and once more after a "
    "refill") {
  LeakWorld world(
      "policies:\n  a: {on_tunnel: alert, budgets: {zone: 16 B, refill: 1 B per day}}\n"
      "  b: {on_tunnel: alert, budgets: {zone: 16 B}}\n");
  SandboxState& a = world.attach("s", "u", "a");
  SandboxState& b = world.attach("s", "u", "b");
  constexpr std::int64_t day_ms = 86'400'000;
  world.advance(3 * day_ms);
  std::mt19937_64 dice(1);
  const auto in_turn = [&] {
    for (int i = 0; i < 60; ++i) world.ask(i % 2 == 0 ? b : a, hex_label(dice, 16) + ".evil.com");
  };
  in_turn();
  const std::size_t told = world.alerts("leak");
  CHECK(told >= 1);
  CHECK(told <= 2);
  in_turn();
  CHECK(world.alerts("leak") == told);
  world.advance(day_ms);
  in_turn();
  CHECK(world.alerts("leak") == told + 1);
}

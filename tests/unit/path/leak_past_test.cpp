// Ledgers survive: a restart, detaching, and being forgotten refill nothing; a grant does, and stays.
#include <random>

#include "file_world.h"
#include "leak_world.h"

using namespace postern;
using namespace postern::test;

namespace {

std::uint64_t used(LeakWorld& world, const std::string& session) {
  for (const auto& leak : world.pipeline().leaks())
    if (leak.session == session) return leak.whole.used;
  return 0;
}

}  // namespace

TEST_CASE("50 runs of one session leak one file between them: at most 256 octets to a zone in all") {
  for (const bool detaches : {true, false}) {  // without: its process just ends
    CAPTURE(detaches);
    const JournalFolder folder;
    std::mt19937_64 dice(1);
    std::size_t octets = 0;
    std::uint64_t before = 0;
    for (int run = 0; run < 50; ++run) {
      const auto journal = folder.open();
      LeakWorld world(meter_alone, LeakWorld::shared_parts(), journal.get());
      SandboxState& box = world.attach("one");
      CHECK(used(world, "one") >= before);
      for (int i = 0; i < 3; ++i)
        if (world.ask(box, hex_label(dice, 8) + ".evil.com") == 0) octets += 4;
      before = used(world, "one");
      if (detaches) world.detach(box);
    }
    CHECK(octets <= 256);
    CHECK(octets > 64);
  }
}

TEST_CASE("what is rebuilt is what was, to the millibit: from rows alone, from a snapshot, and from both") {
  for (const int questions : {5, 200, 300, 600}) {
    CAPTURE(questions);
    const JournalFolder folder;
    std::uint64_t whole = 0, user = 0;
    std::size_t charges = 0;
    std::vector<SessionMeter::ZoneUse> zones;
    {
      const auto journal = folder.open();
      LeakWorld world(meter_alone + "profile: browse\n", LeakWorld::shared_parts(), journal.get());
      SandboxState& box = world.attach("one");
      std::mt19937_64 dice(2);
      for (int i = 0; i < questions; ++i)
        REQUIRE(world.ask(box, hex_label(dice, 2) + ".z" + std::to_string(dice() % 90) + ".com",
                          dice() % 2 != 0 ? type::A : type::AAAA) == 0);
      const auto leak = world.pipeline().leaks().front();
      charges = world.seen.size();
      whole = leak.whole.used;
      user = leak.payer.used;
      zones = leak.zones;
    }
    const auto journal = folder.open();
    CHECK(journal->past("u", "one")->snapshot.octets.empty() == (charges < Pipeline::charges_per_snapshot));
    CHECK((charges < Pipeline::charges_per_snapshot || journal->past("u", "one")->forwards.size() < charges));
    LeakWorld world(meter_alone + "profile: browse\n", LeakWorld::shared_parts(), journal.get());
    world.attach("one");
    const auto leak = world.pipeline().leaks().front();
    CHECK(leak.whole.used == whole);
    CHECK(leak.payer.used == user);
    REQUIRE(leak.zones.size() == zones.size());
    for (std::size_t i = 0; i < zones.size(); ++i) {
      CHECK(leak.zones[i].zone == zones[i].zone);
      CHECK(leak.zones[i].used_bits == zones[i].used_bits);
    }
  }
}

TEST_CASE("refreshes and the octets of answers are rebuilt, too") {
  const JournalFolder folder;
  std::uint64_t whole = 0, answers = 0;
  {
    const auto journal = folder.open();
    LeakWorld world(meter_alone, LeakWorld::shared_parts(), journal.get());
    world.ttl = 5;
    SandboxState& box = world.attach("one");
    for (int i = 0; i < 40; ++i) {
      world.ask(box, "www.example.com");
      for (int tick = 0; tick < 7; ++tick) world.advance(1000);
    }
    CHECK(box.counters.refreshed > 20);
    whole = used(world, "one");
    answers = world.pipeline().leaks().front().answers.used;
  }
  const auto journal = folder.open();
  LeakWorld world(meter_alone, LeakWorld::shared_parts(), journal.get());
  world.attach("one");
  CHECK(used(world, "one") == whole);
  CHECK(world.pipeline().leaks().front().answers.used == answers);
}

TEST_CASE(
    "a session without a name is its user and code; another code is another session, one user pays for "
    "both") {
  const JournalFolder folder;
  const std::string yaml = meter_alone + "budgets: {user: 100 B}\n";
  std::mt19937_64 dice(3);
  std::size_t octets = 0;
  for (int run = 0; run < 12; ++run) {
    const auto journal = folder.open();
    LeakWorld world(yaml, LeakWorld::shared_parts(), journal.get());
    SandboxState& box = world.attach("session " + std::to_string(run));
    for (int i = 0; i < 4; ++i)
      if (world.ask(box, hex_label(dice, 8) + ".evil.com") == 0) octets += 4;
  }
  CHECK(octets <= 100);
  CHECK(octets > 20);
}

TEST_CASE("a grant lets a spent session go on, once, and survives a restart") {
  const JournalFolder folder;
  std::mt19937_64 dice(4);
  const auto spend = [&](LeakWorld& world, SandboxState& box) {
    std::size_t octets = 0;
    for (int i = 0; i < 200; ++i)
      if (world.ask(box, hex_label(dice, 16) + ".evil.com") == 0) octets += 8;
    return octets;
  };
  {
    const auto journal = folder.open();
    LeakWorld world(meter_alone, LeakWorld::shared_parts(), journal.get());
    SandboxState& box = world.attach("one");
    CHECK(spend(world, box) > 100);
    CHECK(spend(world, box) == 0);
    LeakGrant grant{0, 1, "u", "one", "evil.com", 64};
    const auto id = journal->grant(grant);
    REQUIRE(id.has_value());
    grant.id = *id;
    REQUIRE(world.pipeline().grant(grant).has_value());
    const std::size_t more = spend(world, box);
    CHECK(more > 0);
    CHECK(more <= 64);
    world.detach(box);
  }
  const auto journal = folder.open();
  LeakWorld world(meter_alone, LeakWorld::shared_parts(), journal.get());
  SandboxState& box = world.attach("one");
  CHECK(spend(world, box) == 0);  // it was spent, and is not granted a second time
  world.detach(box);
  REQUIRE(journal->grant({0, 2, "u", "two", "", 64}).has_value());  // to one that nobody remembers
  world.attach("two");
  for (const auto& leak : world.pipeline().leaks())
    if (leak.session == "two") CHECK(leak.whole.granted == 64);
}

TEST_CASE("a session that was forgotten for lack of room is rebuilt when it returns") {
  const JournalFolder folder;
  const auto journal = folder.open();
  LeakWorld world(meter_alone, LeakWorld::shared_parts(), journal.get());
  std::mt19937_64 dice(5);
  SandboxState& box = world.attach("one");
  std::size_t octets = 0;
  for (int i = 0; i < 20; ++i)
    if (world.ask(box, hex_label(dice, 16) + ".evil.com") == 0) octets += 8;
  const std::uint64_t before = used(world, "one");
  world.detach(box);
  const auto policy = PolicySet::builtin()->find("");
  for (std::size_t i = 0; i <= Pipeline::max_sessions; ++i) {
    Sandbox who;
    who.name = who.session = "other" + std::to_string(i);
    SandboxState& other = world.pipeline().attach(who, 1, policy, false);
    world.detach(other);
  }
  CHECK(used(world, "one") == 0);
  SandboxState& again = world.attach("one");
  CHECK(used(world, "one") == before);
  for (int i = 0; i < 100; ++i)
    if (world.ask(again, hex_label(dice, 16) + ".evil.com") == 0) octets += 8;
  CHECK(octets <= 256);
}

TEST_CASE(
    "a refill gives so much more for each whole day since the first attachment, and a restart nothing") {
  const JournalFolder folder;
  std::mt19937_64 dice(9);
  const std::string policy = meter_alone + "budgets: {zone: 64 B, refill: 32 B per day}\n";
  constexpr std::int64_t day_ms = 86'400'000;
  std::size_t octets = 0;
  const auto exfiltrate = [&](LeakWorld& world, SandboxState& box) {
    for (int i = 0; i < 30; ++i)
      if (world.ask(box, hex_label(dice, 16) + ".evil.com") == 0) octets += 8;
    return octets;
  };
  {
    const auto journal = folder.open();
    LeakWorld world(policy, LeakWorld::shared_parts(), journal.get());
    SandboxState& box = world.attach("one");
    const std::size_t first = exfiltrate(world, box);
    CHECK(first > 32);
    CHECK(first <= 64);
    CHECK(exfiltrate(world, box) == first);
    world.advance(day_ms - 3'600'000);  // an hour before
    CHECK(exfiltrate(world, box) == first);
    world.advance(3'600'000);
    const std::size_t second = exfiltrate(world, box);
    CHECK(second > first);
    CHECK(second <= 64 + 32);
    CHECK(exfiltrate(world, box) == second);
  }
  const std::size_t before = octets;
  for (int run = 0; run < 3; ++run) {  // on the first day, by the clock of these
    const auto journal = folder.open();
    LeakWorld world(policy, LeakWorld::shared_parts(), journal.get());
    SandboxState& box = world.attach("one");
    CHECK(exfiltrate(world, box) == before);
  }
  const auto journal = folder.open();
  LeakWorld world(policy, LeakWorld::shared_parts(), journal.get());
  world.advance(3 * day_ms);
  SandboxState& box = world.attach("one");
  exfiltrate(world, box);
  CHECK(octets > before);
  CHECK(octets <= 64 + 3 * 32);
}

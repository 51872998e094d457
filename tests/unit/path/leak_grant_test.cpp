// Grants reach the ledgers that they name, before and after these open and across a kill; others are refused.
#include <random>

#include "file_world.h"
#include "leak_world.h"
#include "resolver/path/grant_ledgers.h"

using namespace postern;
using namespace postern::test;

namespace {

const std::string small_budgets = meter_alone + "budgets: {zone: 64 B, parent: 96 B}\n";

// On record first, as the control plane does it.
Result<void> grant(LeakWorld& world, Journal& journal, const std::string& zone, std::uint64_t octets) {
  LeakGrant one{0, 1, "u", "one", zone, octets};
  if (auto may = world.pipeline().may_grant(one); !may) return may;
  const auto id = journal.grant(one);
  REQUIRE(id.has_value());
  one.id = *id;
  return world.pipeline().grant(one);
}

double budget_of(LeakWorld& world, const std::string& zone, bool parent) {
  for (const auto& leak : world.pipeline().leaks())
    for (const auto& use : leak.zones)
      if (use.zone.text() == zone && use.is_parent == parent) return use.budget_bits / 8;
  return 0;
}

}  // namespace

TEST_CASE("a grant to a parent holds when it comes first, when it comes late, and after a kill") {
  for (const bool first : {true, false}) {
    CAPTURE(first);
    const JournalFolder folder;
    std::mt19937_64 dice(11);
    const auto ask_below = [&](LeakWorld& world, SandboxState& box, int count) {
      std::size_t octets = 0;
      for (int i = 0; i < count; ++i)
        if (world.ask(box, hex_label(dice, 12) + ".github.io") == 0) octets += 6;
      return octets;
    };
    std::size_t told = 0;
    {
      const auto journal = folder.open();
      LeakWorld world(small_budgets, LeakWorld::shared_parts(), journal.get());
      SandboxState& box = world.attach("one");
      if (!first) told += ask_below(world, box, 40);
      REQUIRE(grant(world, *journal, "github.io", 256).has_value());
      told += ask_below(world, box, 40);
      CHECK(budget_of(world, "github.io", true) == 96 + 256);
      CHECK(told > 96);
    }  // nothing is saved: as after kill -9
    for (int run = 0; run < 2; ++run) {
      const auto journal = folder.open();
      LeakWorld world(small_budgets, LeakWorld::shared_parts(), journal.get());
      SandboxState& box = world.attach("one");
      CHECK(budget_of(world, "github.io", true) == 96 + 256);
      told += ask_below(world, box, 60);
      CHECK(told > 200);
      CHECK(told <= 96 + 256);
      CHECK(ask_below(world, box, 5) == 0);
      world.detach(box);  // with a snapshot
    }
  }
}

TEST_CASE("a grant to a zone below a private suffix is its own and its parent's, and no other zone's") {
  const JournalFolder folder;
  const auto journal = folder.open();
  LeakWorld world(small_budgets, LeakWorld::shared_parts(), journal.get());
  SandboxState& box = world.attach("one");
  REQUIRE(world.ask(box, "a.mysite.github.io") == 0);
  REQUIRE(world.ask(box, "a.other.github.io") == 0);
  REQUIRE(grant(world, *journal, "mysite.github.io", 100).has_value());
  CHECK(budget_of(world, "mysite.github.io", false) == 164);
  CHECK(budget_of(world, "github.io", true) == 196);
  CHECK(budget_of(world, "other.github.io", false) == 64);
}

TEST_CASE("what was granted and then rebuilt is what was, to the millibit") {
  const JournalFolder folder;
  std::vector<SessionMeter::ZoneUse> before;
  {
    const auto journal = folder.open();
    LeakWorld world(small_budgets, LeakWorld::shared_parts(), journal.get());
    SandboxState& box = world.attach("one");
    world.ask(box, "www.example.com");
    for (const std::string zone : {"evil.com", "example.com", "mysite.github.io", "arpa", "."})
      REQUIRE(grant(world, *journal, zone, 64).has_value());
    for (const std::string name :
         {"a.evil.com", "b.mysite.github.io", "x.other.github.io", "a.b.no-such-tld"})
      REQUIRE(world.ask(box, name) == 0);
    before = world.pipeline().leaks().front().zones;
  }
  const auto journal = folder.open();
  LeakWorld world(small_budgets, LeakWorld::shared_parts(), journal.get());
  world.attach("one");
  const auto after = world.pipeline().leaks().front().zones;
  REQUIRE(after.size() == before.size());
  for (std::size_t i = 0; i < after.size(); ++i) {
    CHECK(after[i].zone == before[i].zone);
    CHECK(after[i].used_bits == before[i].used_bits);
    CHECK(after[i].budget_bits == before[i].budget_bits);
  }
}

TEST_CASE(
    "a zone that has no ledger is refused, with the ledger that its names are charged to; nothing goes on "
    "record") {
  const JournalFolder folder;
  const auto journal = folder.open();
  LeakWorld world(small_budgets, LeakWorld::shared_parts(), journal.get());
  world.attach("one");
  const struct {
    const char* zone;
    const char* why;
  } rows[] = {
      {"www.evil.com", "charged to \"evil.com\""},
      {"a.mysite.github.io", "charged to \"mysite.github.io\""},
      {"com", "it is a public suffix"},
      {"co.uk", "it is a public suffix"},
      {"compute.amazonaws.com", "all of them to the parent \"amazonaws.com\""},
      {"x.unknowntld", "charged to \".\""},
      {"unknowntld", "charged to \".\""},
      {"in-addr.arpa", "charged to \"arpa\""},
      {"(answers).", "charged to \".\""},
  };
  for (const auto& row : rows) {
    CAPTURE(std::string(row.zone));
    const auto refused = grant(world, *journal, row.zone, 64);
    REQUIRE_FALSE(refused.has_value());
    CHECK(refused.error().message.find(row.why) != std::string::npos);
  }
  CHECK(journal->past("u", "one")->grants.empty());
  for (const char* zone : {"evil.com", "EVIL.com.", "github.io", "mysite.github.io", "bbc.co.uk", "www.ck",
                           "amazonaws.com", "arpa", "."})
    CHECK_MESSAGE(grant(world, *journal, zone, 64).has_value(), zone);
}

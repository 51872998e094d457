// Restart, detach, pruning: a snapshot and the committed charges bring the ledgers back; nothing is refilled.
#include <doctest/doctest.h>

#include <map>

#include "meter_names.h"

using namespace postern;
using sample::ask_of;
using sample::meter_with;

namespace {

struct Row {
  Query query;
  Millibits charge;
  bool refresh;
};

// A life of `events` forwards and refreshes; what the journal would hold.
std::vector<Row> live(SessionMeter& meter, int events, std::uint64_t seed) {
  std::vector<Row> rows;
  sample::Dice dice(seed);
  for (int i = 0; i < events; ++i) {
    const auto& names = sample::ordinary();
    const std::string text = dice() % 3 == 0 ? sample::digits(dice, sample::hex, 6) + ".z" +
                                                   std::to_string(dice() % 9) + ".example.com"
                                             : names[dice() % names.size()];
    const Query query{*Name::parse(text), dice() % 2 == 0 ? type::A : type::AAAA};
    const bool refresh = dice() % 4 == 0;
    const Admission admission = refresh ? meter.admit_refresh(ask_of(query)) : meter.admit(ask_of(query));
    if (admission.admitted) rows.push_back({query, admission.charge.session, refresh});
  }
  return rows;
}

void replay(SessionMeter& meter, const std::vector<Row>& rows) {
  for (const Row& row : rows)
    if (row.refresh)
      meter.replay_refresh(ask_of(row.query));
    else
      meter.replay(ask_of(row.query), row.charge);
}

void same(const SessionMeter& a, const SessionMeter& b) {
  CHECK(a.session().used() == b.session().used());
  CHECK(a.names() == b.names());
  const auto left = a.zones(), right = b.zones();
  REQUIRE(left.size() == right.size());
  for (std::size_t i = 0; i < left.size(); ++i) {
    CHECK(left[i].zone == right[i].zone);
    CHECK(left[i].used_bits == right[i].used_bits);
    CHECK(left[i].names == right[i].names);
  }
}

}  // namespace

TEST_CASE("the committed charges alone rebuild the meter exactly") {
  SessionMeter before = meter_with(*profile("browse"));
  const auto rows = live(before, 500, 21);
  CHECK(rows.size() > 150);
  SessionMeter after = meter_with(*profile("browse"));
  replay(after, rows);
  same(before, after);
}

TEST_CASE("a snapshot and the charges after it rebuild the meter exactly, and it goes on alike") {
  SessionMeter before = meter_with(*profile("browse"));
  live(before, 300, 22);
  const std::string snapshot = before.snapshot();
  const auto rows = live(before, 200, 23);
  SessionMeter after = meter_with(*profile("browse"));
  REQUIRE(after.restore(snapshot));
  replay(after, rows);
  same(before, after);
  live(before, 100, 24);
  live(after, 100, 24);
  same(before, after);
}

TEST_CASE("where history was lost the committed charge counts in full") {
  SessionMeter meter = meter_with(*profile("code"));
  const Query query{*Name::parse("www.example.com"), type::A};
  meter.replay(ask_of(query), 500000);
  CHECK(meter.session().used() == 508000);
  CHECK(meter.zones()[0].used_bits >= 450);
  SessionMeter refreshed = meter_with(*profile("code"));
  refreshed.replay_refresh(ask_of(query));
  CHECK(refreshed.session().used() > 8000);
}

TEST_CASE("fifty runs of one session leak one budget between them") {
  std::string state;
  std::size_t octets = 0;
  sample::Dice dice(8);
  for (int run = 0; run < 50; ++run) {
    SessionMeter meter = meter_with(*profile("code"));
    if (!state.empty()) REQUIRE(meter.restore(state));
    for (int i = 0; i < 20; ++i) {
      const Query query{*Name::parse(sample::digits(dice, sample::hex, 16) + ".example.com"), type::A};
      if (meter.admit(ask_of(query)).admitted) octets += 8;
    }
    state = meter.snapshot();
  }
  CHECK(octets > 100);
  CHECK(octets <= 256);
}

TEST_CASE("a grant survives a restart, a lowered budget refills nothing") {
  SessionMeter meter = meter_with(*profile("code"));
  meter.grant(100);
  meter.grant_zone(*Name::parse("example.com"), *Name::parse("example.com"), 50);
  SessionMeter after = meter_with(*profile("code"));
  REQUIRE(after.restore(meter.snapshot()));
  CHECK(after.session().limit() == (2048 + 100) * 8000);
  CHECK(after.zones()[0].budget_bits == (256 + 50) * 8);
  after.set_policy(*profile("strict"), KnownNames::builtin());
  CHECK(after.session().limit() == (512 + 100) * 8000);
  CHECK(after.zones()[0].budget_bits == (48 + 50) * 8);
}

TEST_CASE("a grant holds for ledgers that open later, the zone's and its parent's, and survives a restart") {
  const Name zone = *Name::parse("mysite.github.io"), parent = *Name::parse("github.io");
  SessionMeter meter = meter_with(*profile("code"));
  REQUIRE(meter.grant_zone(zone, parent, 50));
  REQUIRE(meter.grant_zone(zone, parent, 7));
  const auto open_both = [](SessionMeter& one) {
    const Query mine{*Name::parse("a.mysite.github.io"), type::A},
        other{*Name::parse("a.x.github.io"), type::A}, bare{*Name::parse("github.io"), type::A};
    REQUIRE(one.admit({&mine, 3, 2}).admitted);
    REQUIRE(one.admit({&other, 3, 2}).admitted);
    REQUIRE(one.admit({&bare, 2, 2}).admitted);
    std::map<std::string, double> budgets;
    for (const auto& use : one.zones())
      budgets[(use.is_parent ? "parent " : "") + use.zone.text()] = use.budget_bits / 8;
    CHECK(budgets == std::map<std::string, double>{{"mysite.github.io", 256 + 57},
                                                   {"x.github.io", 256},
                                                   {"github.io", 256},
                                                   {"parent github.io", 1024 + 57}});
  };
  SessionMeter after = meter_with(*profile("code"));
  REQUIRE(after.restore(meter.snapshot()));
  open_both(after);
  open_both(meter);
  SessionMeter again = meter_with(*profile("code"));
  REQUIRE(again.restore(after.snapshot()));
  CHECK(again.snapshot() == after.snapshot());
}

TEST_CASE("the grants of a snapshot that does not list them are those of its open ledgers") {
  SessionMeter meter = meter_with(*profile("code"));
  const Query query{*Name::parse("a.mysite.github.io"), type::A};
  REQUIRE(meter.admit({&query, 3, 2}).admitted);
  REQUIRE(meter.grant_zone(*Name::parse("mysite.github.io"), *Name::parse("github.io"), 50));
  std::string old = meter.snapshot();
  const std::size_t list = 4 + (1 + 11 + 16) + (1 + 18 + 16);  // a count, then names with two amounts each
  old.resize(old.size() - list);
  old[4] = 1;
  SessionMeter after = meter_with(*profile("code"));
  REQUIRE(after.restore(old));
  CHECK(after.snapshot() == meter.snapshot());
}

TEST_CASE("a session's grants are for a bounded number of zones") {
  SessionMeter meter = meter_with(*profile("code"));
  for (std::size_t i = 0; i < SessionMeter::max_granted; ++i) {
    const Name zone = *Name::parse("z" + std::to_string(i) + ".com");
    REQUIRE(meter.grant_zone(zone, zone, 1));
  }
  const Name one_more = *Name::parse("more.com"), old = *Name::parse("z0.com");
  CHECK_FALSE(meter.grant_zone(one_more, one_more, 1));
  CHECK_FALSE(meter.grant_zone(old, one_more, 1));
  CHECK(meter.grant_zone(old, old, 1));
  SessionMeter after = meter_with(*profile("code"));
  CHECK(after.restore(meter.snapshot()));
}

TEST_CASE("a broken snapshot is refused at every octet, and the meter stays empty") {
  SessionMeter before = meter_with(*profile("browse"));
  live(before, 60, 25);
  before.grant_zone(*Name::parse("a.example.com"), *Name::parse("example.com"), 5);
  const std::string snapshot = before.snapshot();
  for (std::size_t cut = 0; cut < snapshot.size(); ++cut) {
    SessionMeter meter = meter_with(*profile("browse"));
    if (meter.restore(std::string_view(snapshot).substr(0, cut)))
      FAIL("a snapshot cut at " << cut << " was accepted");
    if (meter.names() != 0) FAIL("a refused snapshot left names");
  }
  SessionMeter meter = meter_with(*profile("browse"));
  CHECK_FALSE(meter.restore(snapshot + "x"));
  CHECK_FALSE(meter.restore("PMTR\3" + snapshot.substr(5)));
  REQUIRE(meter.restore(snapshot));
  CHECK_FALSE(meter.restore(snapshot));  // in use
  sample::Dice dice(1);
  for (int i = 0; i < 2000;
       ++i) {  // any octet changed: refused, or read as something else, never out of bounds
    std::string changed = snapshot;
    changed[dice() % changed.size()] = static_cast<char>(dice());
    SessionMeter other = meter_with(*profile("browse"));
    if (other.restore(changed)) live(other, 3, 26);
  }
}

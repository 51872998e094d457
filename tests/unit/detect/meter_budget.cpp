// The meter: what is charged, what is refused, and that nothing ever exceeds a budget.
#include <doctest/doctest.h>

#include <map>

#include "meter_names.h"

using namespace postern;
using sample::ask_of;
using sample::meter_with;

namespace {

Query query(const std::string& name, Type type = type::A) {
  return {*Name::parse(name), type};
}

Admission admit(SessionMeter& meter, const std::string& name, Type type = type::A) {
  const Query q = query(name, type);
  return meter.admit(ask_of(q));
}

void within_limits(const SessionMeter& meter) {
  CHECK(meter.session().used() <= meter.session().limit());
  for (const auto& use : meter.zones())
    if (use.used_bits > use.budget_bits)
      FAIL(use.zone.text() << " used " << use.used_bits << " of " << use.budget_bits);
}

}  // namespace

TEST_CASE("random histories never exceed a budget, and a refused query changes nothing") {
  for (const char* name : {"code", "browse", "strict"}) {
    SessionMeter meter = meter_with(*profile(name));
    Ledger user(1024), sandbox(4096);
    sample::Dice dice(11);
    std::map<std::string, std::uint64_t> sum;  // kept apart from the meter's own books
    std::uint64_t session = 8000, admitted = 0, refused = 0;
    for (int i = 0; i < 4000; ++i) {
      std::string text;
      const auto& ordinary = sample::ordinary();
      switch (dice() % 4) {
        case 0:
          text = ordinary[dice() % ordinary.size()];
          break;
        case 1:
          text = sample::digits(dice, sample::base32, 1 + dice() % 60) + ".z" + std::to_string(dice() % 20) +
                 ".example.com";
          break;
        case 2:
          text = sample::digits(dice, sample::hex, 8) + ".zone" + std::to_string(dice() % 200) + ".com";
          break;
        default:
          text = "u" + std::to_string(dice() % 50) + ".github.io";
      }
      const Query q = query(text, dice() % 5 == 0 ? type::AAAA : type::A);
      const std::string before = meter.snapshot();
      const Charge expected = meter.price(ask_of(q));
      const bool refresh = dice() % 8 == 0;
      const Admission admission = refresh ? meter.admit_refresh(ask_of(q), {&sandbox, &user})
                                          : meter.admit(ask_of(q), {&sandbox, &user});
      if (!admission.admitted) {
        ++refused;
        CHECK(admission.refused_by != LedgerKind::none);
        if (meter.snapshot() != before) FAIL("a refused query changed the meter");
        continue;
      }
      ++admitted;
      if (!refresh) CHECK(admission.charge.session == expected.session);
      session += admission.charge.session;
      const bool known = KnownNames({}, true).contains(q.name);
      if (!known) {
        auto& zone = sum[registered_domain(q.name).text()];
        if (zone == 0) zone = 8000;
        zone += admission.charge.zone;
        const bool arpa = q.name.suffix(1) == *Name::parse("arpa");
        if (!arpa && zone > profile(name)->zone * 8000)
          FAIL("zone " << registered_domain(q.name).text() << " got " << zone);
      }
      if (session > profile(name)->session * 8000) FAIL("session got " << session);
    }
    CHECK(session == meter.session().used());
    CHECK(admitted > 20);
    CHECK(refused > 100);
    CHECK(user.used() <= user.limit());
    CHECK(sandbox.used() <= sandbox.limit());
    CHECK(user.used() == meter.session().used() - 8000);
    within_limits(meter);
  }
}

TEST_CASE("a forward costs at least 8 bits, so a zone of 256 octets gets at most 255 of them") {
  SessionMeter meter = meter_with(*profile("browse"));
  std::size_t forwards = 0;
  Admission admission;
  while ((admission = admit(meter, "www.example.com")).admitted) {
    CHECK(admission.charge.zone >= 8000);
    ++forwards;
    REQUIRE(forwards < 1000);
  }
  CHECK(admission.refused_by == LedgerKind::zone);
  CHECK(forwards <= 255);
  CHECK(forwards >= 250);
  CHECK(admit(meter, "www.example.org").admitted);  // another zone goes on
}

TEST_CASE("A and AAAA of one name together cost little more than one") {
  SessionMeter meter = meter_with(*profile("code"));
  const Admission a = admit(meter, "some-new-host.example.com");
  const Admission aaaa = admit(meter, "some-new-host.example.com", type::AAAA);
  CHECK(a.charge.part == Component::fresh);
  CHECK(aaaa.charge.session == 8000);
  const Admission strange = admit(meter, "some-new-host.example.com", 65399);
  CHECK(strange.charge.session > 20000);  // a type nobody asks says 16 bits
}

TEST_CASE("a name is known, recent, repeated, in an old zone or fresh, and is charged as the cheapest") {
  SessionMeter meter = meter_with(sample::unlimited());
  CHECK(admit(meter, "github.com").charge.part == Component::known);
  CHECK(admit(meter, "first.unheard-of.example").charge.part == Component::fresh);
  CHECK(admit(meter, "second.unheard-of.example").charge.part == Component::old_zone);
  for (int i = 0; i < 40; ++i) admit(meter, "n" + std::to_string(i) + ".example.org");
  CHECK(admit(meter, "first.unheard-of.example").charge.part == Component::repeat);
  CHECK(admit(meter, "n39.example.org").charge.part == Component::recent);
  const Charge charge = meter.price(ask_of(query("third.unheard-of.example")));
  CHECK(charge.zone < charge.session);
}

TEST_CASE("a single unknown name over 600 bits is refused outright, one just under it is not") {
  SessionMeter meter = meter_with(*profile("browse"));
  sample::Dice dice(3);
  std::string text = "t.example.com";
  double last = 0;
  for (;;) {
    const std::string longer = sample::digits(dice, sample::hex, 4) + "." + text;
    const double bits = meter.price(ask_of(query(longer))).bits();
    if (bits > 600) break;
    last = bits;
    text = longer;
  }
  CHECK(last > 560);
  SessionMeter other = meter_with(*profile("browse"));
  const Admission refused = admit(meter, "0123.4567." + text);
  CHECK_FALSE(refused.admitted);
  CHECK(refused.refused_by == LedgerKind::name);
  CHECK(admit(other, text).admitted);
  // A policy's exact name may be as long as it likes: it says which of a few it is, no more.
  const Name name = *Name::parse("0123.4567." + text);
  const std::vector<Name> exact{name};
  SessionMeter told(*profile("code"), NameCode::builtin(), std::make_shared<const KnownNames>(exact));
  CHECK(admit(told, name.text()).charge.bits() < 20);
}

TEST_CASE("names that look like tunnels but are benign stay under 600 bits") {
  const SessionMeter meter = meter_with(*profile("code"));
  for (const char* name : {"e5a6ae085b6c43020dea230eb0c0ecc33a188227507da97b8ecc05eb8beace6.us-east-1.prod."
                           "service.minerva.devices.a2z.com",
                           "4.9.f.c.7.e.9.f.8.5.8.a.9.5.0.1.0.0.0.0.0.0.0.0.0.0.0.0.0.8.e.f.ip6.arpa",
                           "bafybeihpjhkeuiq3k6nqa3fkgeigeri7iebtrsuyuey5y6vy36n345xmbi.ipfs.dweb.link"})
    CHECK(meter.price(ask_of(query(name))).bits() < 450);
}

TEST_CASE("private suffixes open no fresh budgets: their parent's ledger holds") {
  SessionMeter meter = meter_with(*profile("browse"));
  sample::Dice dice(5);
  std::uint64_t parent = 0;
  std::size_t zones = 0;
  for (int i = 0; i < 3000; ++i) {
    const Admission admission = admit(meter, sample::digits(dice, sample::base36, 12) + ".cloudfront.net");
    if (!admission.admitted) {
      CHECK(admission.refused_by == LedgerKind::parent);
      continue;
    }
    parent += admission.charge.parent;
    ++zones;
  }
  CHECK(zones > 100);
  CHECK(parent <= profile("browse")->parent * 8000);
  within_limits(meter);
}

TEST_CASE("a parent that appears later has counted what its own name's zone had told") {
  SessionMeter meter = meter_with(*profile("code"));
  for (int i = 0; i < 10; ++i) CHECK(admit(meter, "github.io").admitted);
  double before = 0;
  for (const auto& use : meter.zones()) before += use.used_bits;
  CHECK(admit(meter, "someone.github.io").admitted);
  double parent = 0;
  for (const auto& use : meter.zones())
    if (use.is_parent) parent = use.used_bits;
  CHECK(parent > before);
}

TEST_CASE("reverse lookups share one ledger, whatever network they are in") {
  SessionMeter meter = meter_with(*profile("browse"));
  sample::Dice dice(6);
  std::size_t admitted = 0;
  Admission last;
  for (int i = 0; i < 500; ++i) {
    std::string text;
    for (int k = 0; k < 4; ++k) text += std::to_string(dice() % 256) + ".";
    last = admit(meter, text + "in-addr.arpa", type::PTR);
    admitted += last.admitted ? 1 : 0;
  }
  CHECK(last.refused_by == LedgerKind::arpa);
  CHECK(admitted >= 60);
  CHECK(admitted <= 128);  // 32 bits each would make 128
}

TEST_CASE("a host polled day and night by Postern's own timer costs a logarithm") {
  SessionMeter meter = meter_with(*profile("code"));
  const Query q = query("status.unheard-of.example");
  CHECK(meter.admit(ask_of(q)).admitted);
  const auto before = meter.session().used();
  for (int minute = 0; minute < 1440; ++minute) CHECK(meter.admit_refresh(ask_of(q)).admitted);
  const auto day = meter.session().used() - before;
  CHECK(day > 20000);
  CHECK(day < 32000);                                    // 32 bits
  CHECK(meter.admit(ask_of(q)).charge.session == 8000);  // use ended and began anew
  const auto again = meter.session().used();
  CHECK(meter.admit_refresh(ask_of(q)).charge.session > 5000);  // a new row says the name again
  CHECK(meter.session().used() > again);
  const Query never = query("never.asked.example");
  CHECK_FALSE(meter.admit_refresh(ask_of(never)).admitted);
}

TEST_CASE("what another zone was told makes nothing cheaper to say in this one") {
  // The first name is a public suffix of its own inside the second one's zone, as some providers have.
  const Query suffix = query("s3.x.example.com");
  const Ask told{&suffix, 4, 2};
  for (const char* text : {"s4.x.example.com", "q.x.example.com"}) {
    const Query near = query(text);
    const Ask ask{&near, 2, 2};
    SessionMeter knows = meter_with(*profile("code")), does_not = meter_with(*profile("code"));
    CHECK(knows.admit(told).admitted);
    CHECK(knows.price(ask).zone >= does_not.price(ask).zone);
  }
}

TEST_CASE("a refresh that no ledger bears is refused too") {
  SessionMeter meter = meter_with(*profile("code"));
  const Query q = query("www.example.com");
  while (meter.admit(ask_of(q)).admitted) {
  }
  int refreshes = 0;  // less than the 8 bits of a forward may be left, and the first refresh costs 7.3
  while (refreshes < 100 && meter.admit_refresh(ask_of(q)).admitted) ++refreshes;
  CHECK(refreshes <= 1);
  within_limits(meter);
}

TEST_CASE("known names have an account of their own beside a zone's unlisted ones") {
  SessionMeter meter = meter_with(*profile("code"));
  std::size_t listed = 0;
  Admission last;
  while ((last = admit(meter, "api.github.com")).admitted) ++listed;
  CHECK(last.refused_by == LedgerKind::zone);
  CHECK(listed > 256);
  CHECK(listed <= 1024);
  within_limits(meter);
  SessionMeter other = meter_with(*profile("code"));
  std::size_t unlisted = 0;
  while (admit(other, "x" + std::to_string(unlisted) + ".github.com").admitted) ++unlisted;
  CHECK(unlisted < 256);
  CHECK(admit(other, "api.github.com").admitted);  // the listed ones go on
}

TEST_CASE("warnings come once at 50 and once at 80 percent, and a refusal names the ledger and its state") {
  SessionMeter meter = meter_with(*profile("strict"));
  std::vector<int> warned;
  Admission admission;
  while ((admission = admit(meter, "www.example.com")).admitted)
    for (std::size_t i = 0; i < admission.warning_count; ++i) {
      CHECK(admission.warnings[i].ledger == LedgerKind::zone);
      CHECK(admission.warnings[i].used_bits * 100 >= admission.warnings[i].percent * 48 * 8);
      warned.push_back(admission.warnings[i].percent);
    }
  CHECK(warned == std::vector<int>{50, 80});
  CHECK(admission.refused_by == LedgerKind::zone);
  CHECK(admission.budget_bits == 48 * 8);
  CHECK(admission.used_bits > 48 * 8 - 8);
  meter.grant_zone(*Name::parse("example.com"), *Name::parse("example.com"), 1);
  CHECK(admit(meter, "www.example.com").admitted);
  CHECK_FALSE(admit(meter, "www.example.com").admitted);
}

TEST_CASE("answers have a budget: when it is spent nothing more is asked") {
  Budgets budgets;
  budgets.answers = 1000;
  SessionMeter meter = meter_with(budgets);
  meter.received(999);
  CHECK(admit(meter, "www.example.com").admitted);
  meter.received(1);
  CHECK(admit(meter, "www.example.com").refused_by == LedgerKind::answers);
}

TEST_CASE("a user's ledger stops the fifty-first run as it stopped the first: 50 sessions share one budget") {
  Ledger user(256);
  std::uint64_t forwarded = 0;
  sample::Dice dice(9);
  for (int run = 0; run < 50; ++run) {
    SessionMeter meter = meter_with(*profile("code"));
    for (int i = 0; i < 10; ++i) {
      const Query q = query(sample::digits(dice, sample::hex, 32) + ".example.com");
      if (const Admission admission = meter.admit(ask_of(q), {nullptr, &user}); admission.admitted)
        forwarded += 16;
      else
        CHECK(admission.refused_by == LedgerKind::user);
    }
  }
  CHECK(forwarded <= 256);
  CHECK(forwarded > 128);
}

TEST_CASE("the root, a public suffix itself and a name of 127 labels are charged like any other") {
  SessionMeter meter = meter_with(*profile("code"));
  CHECK(admit(meter, ".").admitted);
  CHECK(admit(meter, "com", type::NS).admitted);
  CHECK(admit(meter, "co.uk").admitted);
  std::string deep;
  for (int i = 0; i < 127; ++i) deep += i == 0 ? "a" : ".a";
  const Admission admission = admit(meter, deep);
  CHECK(admission.charge.bits() > 20);
  within_limits(meter);
}

TEST_CASE("an idle meter holds no memory to speak of, and a spent one less than a quarter of a megabyte") {
  SessionMeter meter = meter_with(*profile("code"));
  CHECK(meter.memory() < 1024);
  sample::Dice dice(4);
  for (int i = 0; i < 5000; ++i)
    admit(meter, sample::digits(dice, sample::base36, 1 + dice() % 3) + ".z" + std::to_string(dice() % 400) +
                     ".com");
  CHECK_FALSE(admit(meter, "qqqq.example.net").admitted);
  CHECK(meter.memory() < 256 * 1024);
}

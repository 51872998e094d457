// The meter in the live path: whatever a client tries, the upstream never sees more than the budgets allow.
#include <random>

#include "leak_world.h"

using namespace postern;
using namespace postern::test;

namespace {

bool below(const Query& query, const std::string& zone) {
  return query.name.at_or_below(*Name::parse(zone));
}
const auto everything = [](const Query&) { return true; };

}  // namespace

TEST_CASE(
    "an exfiltrator into one zone gets at most the zone's budget forwarded, and the rest is refused as "
    "budget") {
  LeakWorld world(meter_alone);
  SandboxState& box = world.attach("s");
  std::mt19937_64 dice(1);
  std::size_t payload = 0;
  for (int i = 0; i < 500; ++i)
    if (world.ask(box, hex_label(dice, 32) + ".evil.com") == 0) payload += 16;
  CHECK(payload > 128);
  CHECK(payload <= 256);
  CHECK(world.charge_of([](const Query& q) { return below(q, "evil.com"); }) <= 2048 * 1000 + 30 * 24000);
  CHECK(world.seen.size() == payload / 16);
  const Asked& last = world.journal.rows.rbegin()->second;
  CHECK(last.action == Action::block_name);
  CHECK(last.reason == Reason::budget);
  CHECK(last.charge_millibits == 0);
  CHECK(world.journal.rules.at(static_cast<std::size_t>(last.rule)) == "leak budget: zone");
  CHECK(world.last_text().find("leak budget spent: zone evil.com, 256 B") != std::string::npos);
  CHECK(box.counters.over_budget == 500 - world.seen.size());
  // Once at each level and once at the end, though hundreds were refused.
  CHECK(world.alerts("leak_budget") == 2);
  CHECK(world.alerts("leak") == 1);
  CHECK(world.hooks == world.journal.alerts.size());
  // What is benign beside it goes on.
  CHECK(world.ask(box, "www.example.com") == 0);
}

TEST_CASE(
    "spread over 64 zones, hopping over private suffixes, or by 64 known names: the session's budget holds") {
  const struct {
    const char* how;
    std::function<std::string(int, std::mt19937_64&)> name;
  } ways[] = {
      {"64 zones",
       [](int i, std::mt19937_64& dice) {
         return hex_label(dice, 32) + ".evil" + std::to_string(i % 64) + ".com";
       }},
      {"private suffixes", [](int, std::mt19937_64& dice) { return hex_label(dice, 16) + ".github.io"; }},
      {"private suffixes, deep",
       [](int i, std::mt19937_64& dice) {
         return hex_label(dice, 16) + ".a" + std::to_string(i) + ".github.io";
       }},
      {"top-level domains that nobody knows",
       [](int, std::mt19937_64& dice) { return hex_label(dice, 8) + "." + "q" + hex_label(dice, 16); }},
      {"reverse names",
       [](int, std::mt19937_64& dice) {
         std::string text;
         for (int part = 0; part < 3; ++part) text += std::to_string(dice() % 256) + ".";
         return text + "8.in-addr.arpa";
       }},
      {"short labels",
       [](int i, std::mt19937_64& dice) {
         return hex_label(dice, 2) + ".x" + std::to_string(i % 200) + ".org";
       }},
  };
  for (const auto& way : ways) {
    CAPTURE(std::string(way.how));
    LeakWorld world(meter_alone);
    SandboxState& box = world.attach("s");
    std::mt19937_64 dice(2);
    for (int i = 0; i < 6000; ++i) world.ask(box, way.name(i, dice), type::A);
    CHECK(world.seen.size() > 5);
    CHECK(world.charge_of(everything) <= 2048 * 8000);
    CHECK(world.seen.size() == static_cast<std::size_t>(std::count_if(
                                   world.journal.rows.begin(), world.journal.rows.end(),
                                   [](const auto& row) { return row.second.charge_millibits > 0; })));
    CHECK(world.alerts("leak") <= LeakTold::max_refused_zones + 4);
    CHECK(world.alerts("leak_budget") <= LeakTold::max_warnings);
  }
}

TEST_CASE("64 known names asked over and over in an order that means something end at their zones' budgets") {
  // A TTL of 5 s, and a question each time it is over: nothing comes from the cache.
  LeakWorld world(meter_alone);
  world.ttl = 5;
  SandboxState& box = world.attach("s");
  std::vector<std::string> names;
  for (int i = 0; i < 64; ++i) names.push_back("n" + std::to_string(i) + ".evil.com");
  std::mt19937_64 dice(3);
  for (int i = 0; i < 3000; ++i) {
    world.ask(box, names[dice() % 64]);
    world.advance(6000);
  }
  CHECK(world.charge_of(everything) <= 2048 * 8000);
  std::size_t chosen =
      0;  // by the client; Postern's own timer asks some of them, too, and charges a logarithm
  for (const LeakWorld::Seen& one : world.seen) chosen += !one.refresh;
  CHECK(chosen < 256);  // 8 bits a forward at least
}

TEST_CASE("private suffixes share their parent's budget, also under a list that calls every name a suffix") {
  const auto hostile = SuffixList::parse(
      "// ===BEGIN ICANN DOMAINS===\ncom\nio\n*.com\n*.evil.com\n*.io\nno-such-tld\n*.no-such-tld\n"
      "// ===END ICANN DOMAINS===\n",
      "hostile.dat", 0);
  REQUIRE(hostile.has_value());
  MeterParts parts = LeakWorld::shared_parts();
  parts.suffixes = *hostile;
  for (const std::string zone : {"evil.com", "github.io", "no-such-tld"}) {
    CAPTURE(zone);
    LeakWorld world(meter_alone + "budgets: {session: unlimited}\n", parts);
    SandboxState& box = world.attach("s");
    std::mt19937_64 dice(4);
    for (int i = 0; i < 1500; ++i)
      world.ask(box, hex_label(dice, 4) + "." + hex_label(dice, 16) + "." + zone);
    // Ten octets a name; the parent's budget where the built-in list divides it too, else a zone's.
    CHECK(world.seen.size() * 10 <= (zone == "github.io" ? 1024 : 256));
    CHECK(world.seen.size() > (zone == "github.io" ? 20 : 5));
  }
}

TEST_CASE("a zone that only the operator's list divides has one budget for all that its owner reads") {
  for (const std::string lines : {"com\n//\nevil.com\n", "b.evil.com\n//\n", "com\n//\n*.evil.com\n"}) {
    CAPTURE(lines);
    const std::size_t split = lines.find("//\n");
    const auto list = SuffixList::parse("// ===BEGIN ICANN DOMAINS===\n" + lines.substr(0, split) +
                                            "// ===END ICANN DOMAINS===\n// ===BEGIN PRIVATE DOMAINS===\n" +
                                            lines.substr(split + 3) + "// ===END PRIVATE DOMAINS===\n",
                                        "list.dat", 0);
    REQUIRE(list.has_value());
    MeterParts parts = LeakWorld::shared_parts();
    parts.suffixes = *list;
    LeakWorld world(meter_alone, parts);
    SandboxState& box = world.attach("s");
    std::mt19937_64 dice(6);
    for (int i = 0; i < 300; ++i)
      world.ask(box, hex_label(dice, 30) + (i % 2 == 0 ? ".b" : "") + ".evil.com");
    CHECK(world.seen.size() * 15 <= 256);
    CHECK(world.seen.size() > 5);
  }
}

TEST_CASE("a single name that says more than 600 bits is refused outright, however much is left") {
  LeakWorld world(meter_alone);
  SandboxState& box = world.attach("s");
  std::mt19937_64 dice(5);
  const std::string name =
      hex_label(dice, 60) + "." + hex_label(dice, 60) + "." + hex_label(dice, 60) + ".evil.com";
  CHECK(world.ask(box, name) == 3);
  CHECK(world.seen.empty());
  CHECK(world.last_text().find("this name alone says") != std::string::npos);
  CHECK(world.alerts("leak") == 1);
  // Such names cost nothing, so they must not be a way to flood people: 32 zones are told, and one more
  // alert.
  for (int i = 0; i < 200; ++i)
    world.ask(box, hex_label(dice, 60) + "." + hex_label(dice, 60) + "." + hex_label(dice, 60) + ".e" +
                       std::to_string(i) + ".com");
  CHECK(world.alerts("leak") == LeakTold::max_refused_zones + 1);
  CHECK(world.seen.empty());
}

TEST_CASE("names refused for nothing, each in a zone of its own, do not hide that a budget came to its end") {
  LeakWorld world(meter_alone);
  SandboxState& box = world.attach("s");
  std::mt19937_64 dice(6);
  for (int i = 0; i < 40; ++i)
    world.ask(box, hex_label(dice, 60) + "." + hex_label(dice, 60) + "." + hex_label(dice, 60) + ".e" +
                       std::to_string(i) + ".com");
  const std::size_t before = world.alerts("leak");
  for (int i = 0; i < 40; ++i) world.ask(box, hex_label(dice, 32) + ".evil.com");
  CHECK(world.alerts("leak") == before + 1);
  CHECK(world.journal.alerts.back().zone == "evil.com");
}

TEST_CASE("odd names that cost nothing do not flood anybody with alerts: some a day, and one more") {
  LeakWorld world("on_tunnel: alert\ndefault: block\n");
  SandboxState& box = world.attach("s");
  std::mt19937_64 dice(7);
  const auto flood = [&](int from) {
    for (int zone = from; zone < from + 200; ++zone)
      for (int i = 0; i < 12; ++i)
        world.ask(box, hex_label(dice, 48) + ".z" + std::to_string(zone) + ".com", type::TXT);
  };
  flood(0);
  CHECK(world.seen.empty());
  const std::size_t told = world.alerts("suspect") + world.alerts("tunnel");
  CHECK(told > ScoreTold::max_told);
  CHECK(told <= 2 * (ScoreTold::max_told + 1));
  CHECK(world.journal.alerts.back().zone.empty());
  flood(200);
  CHECK(world.alerts("suspect") + world.alerts("tunnel") == told);
  world.advance(25 * 3600 * 1000);
  flood(400);
  CHECK(world.alerts("suspect") + world.alerts("tunnel") > told);
}

TEST_CASE("a question that joined one under way is never forwarded by itself, whatever becomes of that one") {
  LeakWorld world(meter_alone);
  SandboxState& box = world.attach("s");
  world.send(box, "www.example.com");  // under way
  world.journal.mode = scenario::FakeJournal::Mode::stalls;
  world.send(box, "www.example.com");  // joins, but its row waits for the disk
  world.fails = true;
  world.answer_all();  // the first has come back with nothing
  const std::size_t before = world.seen.size();
  world.fails = false;
  world.journal.resume();
  world.advance(0);
  CHECK(world.seen.size() == before);
  CHECK(world.journal.rows.size() == 2);
  CHECK(world.journal.rows.rbegin()->second.charge_millibits == 0);
}

TEST_CASE("answers have a budget: what came down is counted, and when it is spent nothing more is asked") {
  LeakWorld world(meter_alone + "on_cap: alert\nbudgets: {answers: 4 KiB}\n");
  SandboxState& box = world.attach("s");
  world.answer_octets = 1000;
  for (int i = 0; i < 10; ++i) world.ask(box, "t" + std::to_string(i) + ".example.com", type::TXT);
  CHECK(world.seen.size() == 4);
  CHECK(world.last_text().find("leak budget spent: answers, 4 KiB") != std::string::npos);
  CHECK(world.alerts("leak_budget") >= 2);
  CHECK(world.alerts("bytes_cap") == 1);
  CHECK(world.alerts("leak") == 0);
}

TEST_CASE("octets that come down have a cap: by default the query behind it is the session's last") {
  LeakWorld world(meter_alone + "budgets: {answers: 4 KiB}\n");
  SandboxState& box = world.attach("s");
  world.answer_octets = 1000;
  for (int i = 0; i < 4; ++i) CHECK(world.ask(box, "t" + std::to_string(i) + ".example.com", type::TXT) == 0);
  CHECK(world.ask(box, "t0.example.com", type::TXT) == 0);  // in the cache
  CHECK(world.ask(box, "t5.example.com", type::TXT) == 3);
  CHECK(world.ask(box, "t0.example.com", type::TXT) == 3);
  CHECK(world.journal.alerts.back().kind == "bytes_cap");
  CHECK(world.journal.alerts.back().action == "quarantine");
}

TEST_CASE("under `on_budget: quarantine` the first refusal ends the session's questions altogether") {
  LeakWorld world(meter_alone + "on_budget: quarantine\nbudgets: {zone: 32 B}\n");
  SandboxState& box = world.attach("s");
  int i = 0;
  while (world.ask(box, "n" + std::to_string(i) + ".evil.com") == 0) ++i;
  CHECK(i > 0);
  CHECK(world.ask(box, "www.example.com") == 3);
  CHECK(world.journal.rows.rbegin()->second.reason == Reason::quarantine);
  CHECK(world.journal.alerts.back().action == "quarantine");
}

TEST_CASE("an exempt zone is charged to the session alone") {
  LeakWorld world(meter_alone + "budgets: {exempt: [\"**.reputation.com\"]}\n");
  SandboxState& box = world.attach("s");
  std::mt19937_64 dice(6);
  for (int i = 0; i < 400; ++i) world.ask(box, hex_label(dice, 32) + ".reputation.com");
  CHECK(world.seen.size() * 16 > 512);  // more than zone and parent would bear together
  CHECK(world.charge_of(everything) <= 2048 * 8000);
  CHECK(world.last_text().find("leak budget spent: session, 2 KiB") != std::string::npos);
}

TEST_CASE("sandbox and user ledgers stand within and around the session's") {
  LeakWorld world(meter_alone + "budgets: {sandbox: 64 B, user: 200 B}\n");
  std::mt19937_64 dice(7);
  std::size_t octets = 0;
  std::string last;
  for (int session = 0; session < 6; ++session) {
    SandboxState& box = world.attach("s" + std::to_string(session));
    std::size_t mine = 0;
    for (int i = 0; i < 20; ++i)
      if (world.ask(box, hex_label(dice, 16) + ".evil.com") == 0) mine += 8;
    CHECK(mine <= 64);
    octets += mine;
    last = world.last_text();
    world.detach(box);
  }
  CHECK(octets <= 200);
  CHECK(octets > 100);
  CHECK(last.find("leak budget spent: user, 200 B") != std::string::npos);
  SandboxState& other = world.attach("s9", "somebody else");
  CHECK(world.ask(other, "www.example.com") == 0);
}

TEST_CASE("a reloaded policy changes the budgets, and what was used stays used") {
  LeakWorld world(meter_alone);
  SandboxState& box = world.attach("s");
  std::mt19937_64 dice(8);
  for (int i = 0; i < 100; ++i) world.ask(box, hex_label(dice, 32) + ".evil.com");
  const std::size_t first = world.seen.size();
  world.reload(meter_alone + "budgets: {zone: 512 B}\n");
  for (int i = 0; i < 100; ++i) world.ask(box, hex_label(dice, 32) + ".evil.com");
  CHECK(world.seen.size() > first);
  CHECK(world.seen.size() * 16 <= 512);
  world.reload(meter_alone + "profile: strict\n");
  CHECK(world.ask(box, "a.evil.com") == 3);
  // A name that the new policy allows exactly is a known one, and charged to the larger account.
  world.reload(meter_alone + "allow: [listed.evil.com]\n");
  CHECK(world.ask(box, "listed.evil.com") == 0);
  CHECK(world.ask(box, "unlisted.evil.com") == 3);
}

TEST_CASE(
    "sandboxes of one session under different policies: each is judged by its own, on the same ledgers") {
  LeakWorld world("policies:\n  default: {on_tunnel: alert}\n  tight: {on_tunnel: alert, profile: strict}\n");
  SandboxState& wide = world.attach("s", "u", "default");
  SandboxState& tight = world.attach("s", "u", "tight");
  std::mt19937_64 dice(9);
  for (int i = 0; i < 5; ++i) world.ask(wide, hex_label(dice, 32) + ".evil.com");
  CHECK(world.seen.size() == 5);
  CHECK(world.ask(tight, hex_label(dice, 8) + ".evil.com") == 3);
  CHECK(world.ask(wide, hex_label(dice, 8) + ".evil.com") == 0);
}

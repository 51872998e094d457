// A recorded session: the order of decisions, what is cached, refreshed and cut, and the report about it.
#include <doctest/doctest.h>

#include <nlohmann/json.hpp>

#include "resolver/control/replay_report.h"

using namespace postern;
using namespace std::chrono_literals;

namespace {

ReplayRules rules_of(const char* yaml = nullptr, const char* budgets = "code") {
  static const auto code = NameCode::builtin();
  static const auto known = KnownNames::builtin();
  ReplayRules rules;
  rules.code = code;
  rules.known = known;
  rules.budgets = *profile(budgets);
  rules.policy = yaml == nullptr ? meter_alone_policy() : PolicySet::parse(yaml, "p.yaml").value()->find("");
  return rules;
}

struct Session {
  SessionReplay replay;
  explicit Session(ReplayRules rules) : replay(std::make_shared<const ReplayRules>(std::move(rules))) {}
  Fate ask(Instant now, const std::string& name, Type type = type::A) {
    return replay.ask(now, {*Name::parse(name), type}).fate;
  }
  const ZoneReport& zone(const std::string& name) const {
    for (std::size_t i = 0; i < replay.zones(); ++i)
      if (replay.zone(i) == *Name::parse(name)) return replay.report(i);
    FAIL("no zone " << name);
    return replay.report(0);
  }
};

std::string hex_name(int i) {
  char text[80];
  std::snprintf(text, sizeof text, "%08x%08x%08x.tunnel.example.net", i * 2654435761u, i * 40503u + 12345u,
                i * 2246822519u);
  return text;
}

constexpr const char* open_policy = "policies:\n  default:\n    default: allow\n";

}  // namespace

TEST_CASE(
    "a name and type counts as cached for the assumed TTL, to the microsecond, and each client has its own") {
  ReplayRules rules = rules_of();
  rules.refreshes = false;
  Session session(rules);
  CHECK(session.ask(0s, "a.example.org") == Fate::forwarded);
  CHECK(session.ask(1s, "a.example.org") == Fate::cached);
  CHECK(session.ask(1s, "a.example.org", type::AAAA) == Fate::forwarded);
  CHECK(session.ask(300s - 1us, "a.example.org") == Fate::cached);
  CHECK(session.ask(300s, "a.example.org") == Fate::forwarded);
  CHECK(session.zone("example.org").forwarded == 3);
  Replay replay(rules);
  CHECK(replay.ask({0s, "one", {*Name::parse("a.example.org"), type::A}, -1})->fate == Fate::forwarded);
  CHECK(replay.ask({0s, "two", {*Name::parse("a.example.org"), type::A}, -1})->fate == Fate::forwarded);
}

TEST_CASE("a name asked twice within 300 s is refreshed when its TTL ends, one asked once is not") {
  Session session(rules_of());
  CHECK(session.ask(0s, "used.example.org") == Fate::forwarded);
  CHECK(session.ask(0s, "once.example.net") == Fate::forwarded);
  for (int minute = 1; minute <= 60; ++minute)
    CHECK(session.ask(minute * 60s, "used.example.org") == Fate::cached);
  const ZoneReport& used = session.zone("example.org");
  CHECK(used.refreshed == 12);
  CHECK(used.forwarded == 13);
  CHECK(session.zone("example.net").forwarded == 1);
  CHECK(used.charged < 100'000);  // the name, a row of refreshes, and nothing for its length but a logarithm
  CHECK(session.ask(2h, "used.example.org") == Fate::forwarded);  // use had ended
  CHECK(session.zone("example.org").refreshed == 12);             // and the timer had noticed
}

TEST_CASE(
    "policy refuses first, and what it refuses is not charged; the meter alone knows special names only") {
  const std::string yaml = std::string(open_policy) + "    block: ['**.example.edu']\n";
  Session session(rules_of(yaml.c_str()));
  CHECK(session.ask(0s, "a.blocked.example.edu") == Fate::refused);
  CHECK(session.ask(0s, "a.example.org", type::NULL_) == Fate::refused);
  CHECK(session.ask(0s, "localhost") == Fate::local);
  CHECK(session.zone("example.edu").why() == "policy: rule");
  CHECK(session.zone("example.edu").charged == 0);
  Session alone(rules_of());
  CHECK(alone.ask(0s, "a.blocked.example.edu") == Fate::forwarded);
  CHECK(alone.ask(0s, "a.example.org", type::NULL_) == Fate::forwarded);
  CHECK(alone.ask(0s, "not\\001a.host_name.example.org") == Fate::forwarded);
  CHECK(alone.ask(0s, "printer.localdomain") == Fate::local);
  CHECK(alone.ask(0s, "printer.localdomains") == Fate::forwarded);
}

TEST_CASE(
    "the score cuts a tunnel under a policy and only watches in the meter alone, where the budget cuts") {
  Session under(rules_of(open_policy)), alone(rules_of());
  for (int i = 0; i < 200; ++i) {
    under.ask(i * 1s, hex_name(i));
    alone.ask(i * 1s, hex_name(i));
  }
  const ZoneReport& scored = under.zone("example.net");
  CHECK(scored.level == Level::tunnel);
  CHECK(scored.cut_at_query > 0);
  CHECK(scored.cut_at_time == Instant((scored.cut_at_query - 1) * 1s));
  const ZoneReport& metered = alone.zone("example.net");
  CHECK(metered.level == Level::tunnel);
  CHECK(metered.first_alert_query > 0);
  CHECK(metered.charged <= 256u * 8000);
  CHECK(metered.charged > 230u * 8000);
  CHECK(metered.forwarded <= 30);
  CHECK(metered.why().find("zone budget: ") == 0);
  CHECK(alone.ask(300s, "www.example.org") == Fate::forwarded);  // another zone goes on
}

TEST_CASE("the cap of queries ends a session under a policy and says so, but not in the meter alone") {
  Session under(rules_of(open_policy)), told(rules_of("on_cap: alert\n")), alone(rules_of());
  for (int i = 0; i < 10'000; ++i) {
    under.ask(i * 100ms, "www.example.org");
    told.ask(i * 100ms, "www.example.org");
    alone.ask(i * 100ms, "www.example.org");
  }
  CHECK(under.zone("example.org").cut_at_query == 0);
  CHECK_FALSE(under.replay.over_cap());
  CHECK(under.ask(1000s, "www.example.org") == Fate::cut);
  CHECK(under.ask(1000s, "www.example.net") == Fate::cut);
  CHECK(under.zone("example.org").cut_at_query == 10'001);
  CHECK(under.zone("example.net").why() == "session quarantined: over 10000 queries within an hour");
  CHECK(told.ask(1000s, "www.example.org") == Fate::cached);
  CHECK(told.replay.over_cap());
  CHECK(alone.ask(1000s, "www.example.org") == Fate::cached);
  CHECK_FALSE(alone.replay.quarantined());
}

TEST_CASE("what follows a spent budget is what policy says: nothing more, the zone's end or the session's") {
  const auto spent = [](const std::string& policy) {
    Session session(rules_of(policy.c_str()));
    CHECK(session.ask(0s, "www.tunnel.example.net") == Fate::forwarded);
    CHECK(session.ask(0s, "www.example.org") == Fate::forwarded);
    int i = 0;
    while (session.ask(1s, hex_name(i)) == Fate::forwarded) ++i;
    CHECK(session.zone("example.net").why().find("zone budget: ") == 0);
    return session;
  };
  Session refuse = spent("on_tunnel: alert\n"), block = spent("on_tunnel: alert\non_budget: block-zone\n"),
          end = spent("on_tunnel: alert\non_budget: quarantine\n");
  CHECK(refuse.ask(2s, "www.tunnel.example.net") == Fate::cached);
  CHECK(block.ask(2s, "www.tunnel.example.net") == Fate::cut);
  CHECK(block.ask(2s, "www.example.org") == Fate::cached);
  CHECK(end.ask(2s, "www.tunnel.example.net") == Fate::cut);
  CHECK(end.ask(2s, "www.example.org") == Fate::cut);
  CHECK(end.zone("example.org").why().find("session quarantined: zone budget: ") == 0);
}

TEST_CASE("a session's own spent budget blames no zone, so `block-zone` does nothing more") {
  Session session(rules_of("on_tunnel: alert\non_budget: block-zone\n", "strict"));
  CHECK(session.ask(0s, "www.zone0.com") == Fate::forwarded);
  for (int i = 1; i < 500; ++i) session.ask(1s, "www.zone" + std::to_string(i) + ".com");
  CHECK(session.replay.exhausted());
  CHECK(session.ask(2s, "www.zone0.com") == Fate::cached);
}

TEST_CASE("a name too dear by itself is a cut only until a budget is spent") {
  Session session(rules_of());
  std::string name;
  for (int i = 0; i < 6; ++i) name += hex_name(i).substr(0, 24) + ".";
  CHECK(session.ask(0s, name + "long.example.edu") == Fate::cut);
  CHECK(session.zone("example.edu").cut_at_query == 1);
  CHECK(session.zone("example.edu").why().find("single name of ") == 0);
  for (int i = 0; i < 100; ++i) session.ask(1s, hex_name(i).substr(0, 24) + ".long.example.edu");
  CHECK(session.zone("example.edu").cut_at_query > 5);
  CHECK(session.zone("example.edu").why().find("zone budget: ") == 0);
}

TEST_CASE(
    "names below top-level domains that no list knows are told apart in the report and share one ledger") {
  Session session(rules_of());
  std::uint64_t charged = 0;
  for (int i = 0; i < 100; ++i)
    session.ask(i * 1s, "www." + hex_name(i).substr(0, 12) + ".nolist" + std::to_string(i));
  CHECK(session.replay.zones() == 100);
  for (std::size_t i = 0; i < session.replay.zones(); ++i) charged += session.replay.report(i).charged;
  CHECK(charged <= 256u * 8000);
  CHECK(session.replay.report(99).cut_at_query == 1);
  CHECK(session.ask(200s, "www.example.com") == Fate::forwarded);
}

TEST_CASE("a poll of the TTL's own period is in use: what was asked before counts after the TTL has ended") {
  for (const auto ttl : {5s, 60s, 300s}) {
    ReplayRules rules = rules_of();
    rules.ttl = ttl;
    Session session(rules);
    for (int minute = 0; minute < 1440; ++minute) session.ask(minute * 60s, "status.example.org");
    CAPTURE(ttl.count());
    CHECK(session.zone("example.org").cut_at_query == 0);
    CHECK(session.zone("example.org").charged < 130'000);
    CHECK(session.zone("example.org").refreshed >= 280);
  }
}

TEST_CASE("a refill opens a spent zone a whole day after the first query, and not a microsecond before") {
  ReplayRules rules = rules_of();
  rules.budgets.zone = 64;
  rules.budgets.refill = 64;
  Session session(rules);
  int i = 0;
  const auto forwarded_until_cut = [&](Instant now) {
    int forwarded = 0;
    while (session.ask(now, hex_name(i++)) == Fate::forwarded) ++forwarded;
    return forwarded;
  };
  CHECK(forwarded_until_cut(10s) > 0);
  CHECK(forwarded_until_cut(24h + 10s - 1us) == 0);
  CHECK(forwarded_until_cut(24h + 10s) > 0);
  CHECK(forwarded_until_cut(47h) == 0);
  CHECK(session.zone("example.net").charged <= 128 * 8 * one_bit);
}

TEST_CASE("reverse lookups are one zone, and a session's budget ends all of them") {
  Session session(rules_of(nullptr, "strict"));
  int forwarded = 0;
  for (int i = 0; i < 100; ++i)
    forwarded +=
        session.ask(i * 1s, std::to_string(i) + ".2.0.192.in-addr.arpa", type::PTR) == Fate::forwarded;
  CHECK(session.replay.zones() == 1);
  CHECK(session.zone("arpa").forwarded == static_cast<std::uint64_t>(forwarded));
  CHECK(session.zone("arpa").charged <= 48u * 8000);
  for (int i = 0; i < 500; ++i) session.ask(200s, "www.zone" + std::to_string(i) + ".com");
  CHECK(session.replay.exhausted());
  CHECK(session.replay.meter().session().used() <= 512u * 8000);
}

TEST_CASE("time does not run backwards: a little is waited out, much is taken as another file that goes on") {
  ReplayRules rules = rules_of();
  rules.refreshes = false;
  Replay replay(rules);
  const auto ask = [&](Instant time, const char* name) {
    return replay.ask({time, "c", {*Name::parse(name), type::A}, -1})->fate;
  };
  CHECK(ask(10'000s, "a.example.org") == Fate::forwarded);
  CHECK(ask(9'500s, "a.example.org") == Fate::cached);
  CHECK(ask(10'299s, "a.example.org") == Fate::cached);
  CHECK(replay.steps_back() == 0);
  CHECK(ask(5s, "b.example.org") == Fate::forwarded);  // taken as 10,299 s
  CHECK(replay.steps_back() == 1);
  CHECK(ask(6s, "a.example.org") == Fate::forwarded);  // 10,300 s: its TTL has ended
  CHECK(ask(304s, "b.example.org") == Fate::cached);
  CHECK(ask(305s, "b.example.org") == Fate::forwarded);
}

TEST_CASE("the report is one line of JSON for each client and zone, most charged first, then the total") {
  Replay replay(rules_of());
  for (int i = 0; i < 100; ++i)
    replay.ask({1000s + i * 500ms, "10.0.0.1", {*Name::parse(hex_name(i)), type::A}, -1});
  replay.ask({1060s, "10.0.0.2", {*Name::parse("www.example.org"), type::A}, -1});
  replay.finish();
  const auto rows = replay_rows(replay);
  REQUIRE(rows.size() == 2);
  const auto first = nlohmann::json::parse(replay_json(rows[0]));
  CHECK(first["client"] == "10.0.0.1");
  CHECK(first["zone"] == "example.net");
  CHECK(first["queries"] == 100);
  CHECK(first["charged_bits"] <= 2048);
  CHECK(first["cut_at_query"] > 5);
  CHECK(first["cut_at_time"] == 1000 + (first["cut_at_query"].get<double>() - 1) * 0.5);
  CHECK(first["level"] == "tunnel");
  const auto second = nlohmann::json::parse(replay_json(rows[1]));
  CHECK(second["cut_at_query"].is_null());
  CHECK(second["cut_at_time"].is_null());
  CHECK(second["first_alert_query"].is_null());
  CHECK(second["forwarded"] == 1);
  Skipped skipped;
  skipped.fault("name: a label is empty", "f", 3, "a..b");
  const auto total = nlohmann::json::parse(replay_json(replay_totals(replay), skipped))["total"];
  CHECK(total["queries"] == 101);
  CHECK(total["zones_cut"] == 1);
  CHECK(total["skipped"]["name: a label is empty"] == 1);
  CHECK(total["unreadable"] == 1);
}

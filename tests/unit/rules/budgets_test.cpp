// Budgets: amounts as people write them, profiles, and what a policy says of its budgets.
#include "rules/budgets.h"

#include "rules/explain.h"
#include "rules/policy_spec.h"
#include "support.h"

using namespace postern;
using postern::test::error_of;
using postern::test::name;
using postern::test::policies;
using postern::test::policy;

TEST_CASE("an amount is a number with a unit; without one it counts octets") {
  const struct {
    const char* text;
    std::uint64_t bits;
    const char* again;
  } rows[] = {
      {"0", 0, "0 B"},
      {"256", 2048, "256 B"},
      {"256B", 2048, "256 B"},
      {"1024 B", 8192, "1 KiB"},
      {"1KiB", 8192, "1 KiB"},
      {"1025 B", 8200, "1025 B"},
      {"2 KiB", 16384, "2 KiB"},
      {"16 MiB", 16ull << 23, "16 MiB"},
      {"1024 GiB", 8ull << 40, "1024 GiB"},
      {"600 bits", 600, "75 B"},
      {"601 bits", 601, "601 bits"},
      {"1bit", 1, "1 bits"},
      {"unlimited", unlimited_bits, "unlimited"},
  };
  for (const auto& row : rows) {
    CAPTURE(std::string(row.text));
    const auto bits = parse_amount(row.text);
    REQUIRE(bits.has_value());
    CHECK(*bits == row.bits);
    CHECK(amount_text(*bits) == row.again);
    CHECK(parse_amount(amount_text(*bits)) == row.bits);
  }
}

TEST_CASE("what is no amount is quoted, and the largest has a neighbour that is refused") {
  for (const char* text :
       {"", " 1", "1  B", "1 ", "-1", "+1", "1.5KiB", "1 kb", "1 Kib", "KiB", "0x10", "1025 GiB",
        "8796093022209 bits", "99999999999999999999", "Unlimited", "1 B\n", "\xff"}) {
    CAPTURE(std::string(text));
    const auto bits = parse_amount(text);
    REQUIRE_FALSE(bits.has_value());
    CHECK(bits.error().message.starts_with("not an amount: \""));
  }
  CHECK(parse_amount("8796093022208 bits").has_value());
}

TEST_CASE("a policy's budgets are its profile's, those that it sets itself apart") {
  const auto set = policies(
      "policies:\n"
      "  default: {}\n"
      "  a: {profile: strict, budgets: {zone: 1KiB, single_name: 601 bits, user: 16 KiB}}\n"
      "  b: {extends: a, profile: browse, budgets: {parent: unlimited, exempt: [\"**.example.com\"]}}\n"
      "  c: {extends: b, on_budget: quarantine, budgets: {exempt: [www.example.org]}}\n");
  CHECK(set->find("")->budgets() == Budgets{});
  CHECK(set->find("deny-all")->budgets() == Budgets{});
  CHECK_FALSE(Budgets{}.is_open());
  Budgets a = *profile("strict");
  a.zone = 1024;
  a.single_name_bits = 601;
  a.user = 16384;
  CHECK(set->find("a")->budgets() == a);
  Budgets b = *profile("browse");
  b.zone = 1024;
  b.single_name_bits = 601;
  b.user = 16384;
  b.parent = Budgets::unlimited;
  CHECK(set->find("b")->budgets() == b);
  CHECK(set->find("b")->on_budget() == Response::alert);
  CHECK(set->find("c")->on_budget() == Response::quarantine);
  CHECK(set->find("b")->outline().unlimited == std::vector<std::string>{"parent"});
  const auto c = set->find("c");
  CHECK(c->is_exempt(name("example.com")));
  CHECK(c->is_exempt(name("a.b.example.com")));
  CHECK(c->is_exempt(name("www.example.org")));
  CHECK_FALSE(c->is_exempt(name("a.www.example.org")));
  CHECK_FALSE(c->is_exempt(name("myexample.com")));
  CHECK_FALSE(set->find("a")->is_exempt(name("example.com")));
}

TEST_CASE("budgets: unlimited opens every one of them, and each is told as such") {
  const auto open = policy("budgets: unlimited");
  CHECK(open->budgets().is_open());
  CHECK(open->budgets().single_name_bits == unlimited_bits);
  CHECK(open->budgets().answers == Budgets::unlimited);
  CHECK(open->budgets().queries == unlimited_bits);
  CHECK(open->outline().unlimited.size() == budget_keys().size() + 1);
  CHECK_FALSE(policy("budgets: {zone: unlimited, session: unlimited}")->budgets().is_open());
}

TEST_CASE("caps on queries come with the profile, a number takes their place, and actions are policy's") {
  CHECK(policy("profile: code")->budgets().queries == 10'000);
  CHECK(policy("profile: browse")->budgets().queries == 50'000);
  CHECK(policy("profile: strict")->budgets().queries == 2'000);
  const auto own = policy("budgets: {queries: 7}\non_cap: alert\non_secret: block-zone");
  CHECK(own->budgets().queries == 7);
  CHECK(own->on_cap() == Response::alert);
  CHECK(own->on_secret() == Response::block_zone);
  CHECK(policy("default: allow")->on_cap() == Response::quarantine);
  CHECK(policy("default: allow")->on_secret() == Response::alert);
  CHECK(policy("on_secret: quarantine")->on_secret() == Response::quarantine);
}

TEST_CASE("a mistake in budgets is told with file, line, column and value") {
  const struct {
    const char* yaml;
    const char* error;
  } rows[] = {
      {"budgets: 5", "p.yaml:1:10: budgets is a map, here is a single value \"5\""},
      {"budgets: {zones: 5}",
       "p.yaml:1:11: unknown key \"zones\" in budgets; known are zone, known_zone, parent, arpa, "
       "session, answers, sandbox, user, single_name, queries, refill or exempt"},
      {"budgets: {zone: 5 kB}",
       "p.yaml:1:17: budgets: zone is not an amount: \"5 kB\" (the units are B, KiB, MiB, GiB and bits)"},
      {"budgets: {zone: 12 bits}",
       "p.yaml:1:17: budgets: zone is counted in whole octets, here is \"12 bits\""},
      {"budgets: {zone: [1]}", "p.yaml:1:17: budgets: zone is a single value, here is a list"},
      {"budgets: {zone: 1, zone: 2}", "p.yaml:1:20: duplicate key \"zone\""},
      {"budgets:\n  exempt: example.com",
       "p.yaml:2:11: budgets: exempt is a list, here is a single value \"example.com\""},
      {"budgets:\n  exempt: [\"*.com\"]", "p.yaml:2:12: "},
      {"budgets: {queries: 10 KiB}",
       "p.yaml:1:20: budgets: queries is not a count: \"10 KiB\" (such as 10000, at most 1000000000, or "
       "unlimited)"},
      {"budgets: {queries: 0}", "p.yaml:1:20: budgets: queries is not a count: \"0\""},
      {"on_secret: alert",
       "p.yaml:1:12: on_secret is refuse, block-zone, quarantine, freeze or kill, here is \"alert\""},
      {"on_cap: refuse", "p.yaml:1:9: on_cap is alert, quarantine, freeze or kill, here is \"refuse\""},
      {"budgets: {refill: 64 B}",
       "p.yaml:1:19: budgets: refill is an amount such as \"64 B per day\", here is \"64 B\""},
      {"budgets: {refill: unlimited per day}", "p.yaml:1:19: budgets: refill is an amount such as"},
      {"budgets: {refill: per day}", "p.yaml:1:19: budgets: refill is "},
      {"budgets: {refill: 12 bits per day}",
       "p.yaml:1:19: budgets: refill is counted in whole octets, here is \"12 bits per day\""},
      {"on_budget: alert",
       "p.yaml:1:12: on_budget is refuse, block-zone, quarantine, freeze or kill, here is \"alert\""},
  };
  for (const auto& row : rows) {
    CAPTURE(std::string(row.yaml));
    const std::string error = error_of(row.yaml);
    CHECK_MESSAGE(error.starts_with(row.error), error);
  }
  CHECK(error_of("budgets: {zone: 16 bits}") == "no error");
}

TEST_CASE(
    "the names that a policy allows exactly are known names; wildcards, expressions and blocks are not") {
  const auto file = policy(
      "allow: [www.example.com, \"*.example.org\", \"/x[0-9]/\", a.example]\nblock: [b.example]\nobserve: "
      "[c.example]\n");
  CHECK(file->exact_names() == std::vector<Name>{name("www.example.com"), name("a.example")});
}

TEST_CASE("a refill adds to the session's ledgers for each whole day, and to no others") {
  const auto set = PolicySet::parse("budgets: {refill: 64 B per day, zone: 100 B}", "p.yaml");
  REQUIRE(set.has_value());
  const Budgets day_0 = (*set)->find("")->budgets();
  CHECK(day_0.refill == 64);
  CHECK(day_0.after_days(0) == day_0);
  const Budgets day_3 = day_0.after_days(3);
  CHECK(day_3.zone == 292);
  CHECK(day_3.known_zone == day_0.known_zone + 192);
  CHECK(day_3.parent == day_0.parent + 192);
  CHECK(day_3.arpa == day_0.arpa + 192);
  CHECK(day_3.session == day_0.session + 192);
  CHECK(day_3.answers == 4 * day_0.answers);
  CHECK(day_3.sandbox == day_0.sandbox);
  CHECK(day_3.user == day_0.user);
  CHECK(day_3.single_name_bits == day_0.single_name_bits);
  CHECK(day_0.after_days(~0ull).zone == Budgets::unlimited);
  CHECK(Budgets{}.after_days(~0ull) == Budgets{});
  Budgets open;
  open.refill = 1;
  open.session = Budgets::unlimited;
  CHECK(open.after_days(1).session == Budgets::unlimited);
  open.answers = Budgets::unlimited;
  CHECK(open.after_days(1).answers == Budgets::unlimited);
  open.answers = 0;
  CHECK(open.after_days(1).answers == 0);
}

TEST_CASE("a refill is inherited, replaced, and told") {
  const auto set = PolicySet::parse(
      "policies:\n  a: {budgets: {refill: 1 KiB per day}}\n  b: {extends: a}\n  c: {extends: a, budgets: "
      "{refill: 0 B "
      "per day}}\n",
      "p.yaml");
  REQUIRE_MESSAGE(set.has_value(), (set ? "" : set.error().message));
  CHECK((*set)->find("b")->budgets().refill == 1024);
  CHECK((*set)->find("c")->budgets().refill == 0);
}

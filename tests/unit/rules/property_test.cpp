// Properties over random input: decide is total, agrees with a slow reading of the rules, and the table holds
// what was put in.
#include <random>
#include <set>

#include "rules/pattern.h"
#include "rules/suffix_table.h"
#include "support.h"

using namespace postern;
using postern::test::name;

namespace {

// Names over a small alphabet, so that they meet, and now and then any octets at all.
Name random_name(std::mt19937& random) {
  std::vector<std::uint8_t> wire;
  const bool wild = random() % 8 == 0;
  const std::size_t labels = wild ? random() % 128 : random() % 6;
  for (std::size_t i = 0; i < labels; ++i) {
    const std::size_t length = wild ? 1 + random() % 63 : 1 + random() % 2;
    if (wire.size() + length + 2 > Name::max_octets) break;
    wire.push_back(static_cast<std::uint8_t>(length));
    for (std::size_t k = 0; k < length; ++k)
      wire.push_back(static_cast<std::uint8_t>(wild ? random() % 256 : 'a' + random() % 2));
  }
  static constexpr const char* tails[] = {
      "", "com", "internal", "localhost", "10.in-addr.arpa", "metadata.google.internal"};
  const Name tail = name(random() % 3 == 0 ? tails[1 + random() % 5] : ".");
  if (wire.size() + tail.size() <= Name::max_octets)
    wire.insert(wire.end(), tail.wire().begin(), tail.wire().end());
  else
    wire.push_back(0);
  const auto made = Name::from_wire(wire);
  REQUIRE(made.has_value());
  return *made;
}

struct Written {
  Pattern pattern;
  bool block;
};

// The precedence as docs/RULES.md words it, without tables: 1 allow, 0 block, -1 no rule speaks.
int slow_voice(const std::vector<Written>& rules, const Name& asked) {
  int best = -1;
  bool block = false;
  for (const Written& rule : rules) {
    if (!rule.pattern.matches(asked)) continue;
    // Deeper first; at the same depth exact, then wildcards, which tie among themselves.
    const int rank = static_cast<int>(rule.pattern.base.labels()) * 2 +
                     (rule.pattern.scope == Pattern::Scope::exact ? 1 : 0);
    if (rank > best) {
      best = rank;
      block = rule.block;
    } else if (rank == best) {
      block = block || rule.block;
    }
  }
  return best < 0 ? -1 : block ? 0 : 1;
}

}  // namespace

TEST_CASE("decide is total: 100,000 random names and types get a verdict that makes sense") {
  std::mt19937 random(20240607);
  const auto set = postern::test::policies(R"(
policies:
  default: {}
  mixed:
    {default: block, allow: ["**.a.com", "*.b.internal", "b.com"], block: ["*.a.a.com", "**.localhost"],
     hosts: {a.com: 10.0.0.1}, names: any, types: any}
  open: {single_labels: forward, names: any, allow_public_suffix: true, allow: ["*"], block: ["**.internal"]}
)");
  for (const char* which : {"default", "mixed", "open", "deny-all"}) {
    const auto policy = set->find(which);
    for (int i = 0; i < 25'000; ++i) {
      const Query query{random_name(random), static_cast<Type>(random() % 4 == 0 ? random() % 65536 : 1)};
      const Verdict verdict = policy->decide(query);
      CHECK((verdict.local != nullptr) == (verdict.action == Action::local));
      CHECK(verdict.action != Action::refuse);
      CHECK(policy->rule_text(verdict.rule).size() <= 255);
      if (verdict.rule != 0) CHECK_FALSE(policy->rule_text(verdict.rule).empty());
      if (verdict.action != Action::allow) CHECK(verdict.rule != 0);
      if (verdict.action == Action::local && verdict.local->answer.empty()) {
        REQUIRE(verdict.local->authority.size() == 1);
        CHECK(query.name.at_or_below(verdict.local->authority[0].owner));
      }
    }
  }
}

TEST_CASE("decide agrees with a slow reading of the rules on random policies") {
  std::mt19937 random(7);
  static constexpr const char* prefixes[] = {"", "*.", "**."};
  for (int round = 0; round < 300; ++round) {
    std::vector<Written> rules;
    PolicySet::Overlay overlay;
    const auto base =
        postern::test::policies("{allow_public_suffix: true, names: any, single_labels: forward}");
    for (std::size_t i = 0, count = random() % 8; i < count; ++i) {
      Name where = random_name(random);
      while (where.labels() > 4 || where.is_root()) where = random_name(random);
      const std::string text = prefixes[random() % 3] + where.text();
      const auto pattern = Pattern::parse(text, PublicSuffixWildcards::allowed);
      if (!pattern) continue;  // raw octets that a pattern wants escaped
      const bool block = random() % 2 == 0;
      rules.push_back({*pattern, block});
      (block ? overlay.block : overlay.allow).push_back(text);
    }
    const auto set = base->with(overlay);
    REQUIRE(set.has_value());
    const auto policy = (*set)->find("");
    for (int i = 0; i < 200; ++i) {
      const Query query{random_name(random), type::A};
      const Verdict verdict = policy->decide(query);
      if (verdict.reason == Reason::special_use) continue;  // special_test.cpp
      const int voice = slow_voice(rules, query.name);
      CAPTURE(query.name.text());
      CHECK((verdict.action == Action::allow) == (voice != 0));
      CHECK((verdict.reason == Reason::rule) == (voice != -1));
    }
  }
}

TEST_CASE("a suffix table visits exactly the suffixes that are in it") {
  std::mt19937 random(11);
  SuffixTable<int> table;
  std::set<std::string> inside{"."};
  for (int i = 0; i < 500; ++i) {
    const Name one = random_name(random);
    table.insert(one) = 1;
    for (std::size_t depth = 0; depth <= one.labels(); ++depth) inside.insert(one.suffix(depth).text());
  }
  CHECK(table.size() == inside.size());
  for (int i = 0; i < 2'000; ++i) {
    const Name one = random_name(random);
    std::size_t visited = 0, expected = 0;
    const std::size_t labels = table.walk(one, [&](int, std::size_t depth) { CHECK(depth == visited++); });
    CHECK(labels == one.labels());
    while (expected <= labels && inside.count(one.suffix(expected).text()) != 0) ++expected;
    CHECK(visited == expected);
  }
}

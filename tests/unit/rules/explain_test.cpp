// Explanations: what spoke, what lost and why; outlines; expectations; differences.
#include "rules/explain.h"

#include <random>

#include "rules/special.h"
#include "support.h"

using namespace postern;
using postern::test::name;

namespace {

// "RULE", then " | RULE: WHY" for each that lost.
std::string story(const Policy& policy, std::string_view asked, Type type = type::A) {
  const Explanation explanation = policy.explain({name(asked), type});
  std::string out = explanation.rule;
  for (const Overruled& one : explanation.overruled) out += " | " + one.rule + ": " + one.why;
  return out;
}

constexpr const char* ladder = R"(
default: block
allow:
  - "**.example.com"
  - www.example.com
  - "**.internal"
  - "**.tie.example.net"
  - api.example.com
block:
  - "*.example.com"
  - "**.www.example.com"
  - "**.tie.example.net"
  - api.example.com
hosts:
  www.example.com: 10.0.0.1
  api.example.com: 10.0.0.2
)";

}  // namespace

TEST_CASE("an explanation tells what spoke, and of everything else why it did not") {
  const auto policy = postern::test::policy(ladder);
  const std::string fallback = " | p.yaml:2:10 default block: holds only where nothing else speaks";
  const struct {
    const char* asked;
    std::string story;
  } rows[] = {
      {"other.example", "p.yaml:2:10 default block"},
      {"example.com", "p.yaml:4:5 allow **.example.com" + fallback},
      {"cdn.example.com",
       "p.yaml:10:5 block *.example.com | p.yaml:4:5 allow **.example.com: just as specific: a tie blocks" +
           fallback},
      {"x.www.example.com",
       "p.yaml:11:5 block **.www.example.com | p.yaml:10:5 block *.example.com: less specific: 2 labels, the "
       "rule that "
       "spoke has 3 | p.yaml:4:5 allow **.example.com: less specific: 2 labels, the rule that spoke has 3" +
           fallback},
      {"www.example.com",
       "p.yaml:15:3 hosts www.example.com | p.yaml:5:5 allow www.example.com: a hosts entry for exactly this "
       "name comes "
       "first | p.yaml:11:5 block **.www.example.com: a hosts entry for exactly this name comes first | "
       "p.yaml:10:5 "
       "block *.example.com: a hosts entry for exactly this name comes first | p.yaml:4:5 allow "
       "**.example.com: a hosts "
       "entry for exactly this name comes first" +
           fallback},
      {"api.example.com",
       "p.yaml:13:5 block api.example.com | p.yaml:8:5 allow api.example.com: just as specific: a tie blocks "
       "| "
       "p.yaml:16:3 hosts api.example.com: a rule blocks exactly this name: a tie blocks | p.yaml:10:5 block "
       "*.example.com: less specific: 2 labels, the rule that spoke has 3 | p.yaml:4:5 allow **.example.com: "
       "less "
       "specific: 2 labels, the rule that spoke has 3" +
           fallback},
      {"x.internal",
       "p.yaml:6:5 allow **.internal | special name **.internal (RFC 6762 appendix G, ICANN): a rule at its "
       "zone or below "
       "takes over" +
           fallback},
      {"metadata.google.internal",
       "cloud metadata metadata.google.internal | p.yaml:6:5 allow **.internal: further up than the special "
       "name; allow "
       "it at its zone or below | special name **.internal (RFC 6762 appendix G, ICANN): a longer special "
       "name speaks" +
           fallback},
      {"db", "single-label names are not forwarded (single_labels: local)" + fallback},
  };
  for (const auto& row : rows) {
    CAPTURE(row.asked);
    std::string expected = row.story;
    const std::string internal = "special name **.internal (RFC 6762 appendix G, ICANN)";
    const std::string metadata = "cloud metadata metadata.google.internal";
    for (const SpecialName& special : special_names()) {  // their wording is special.cpp's
      const std::string& stand_in = special.zone == "internal" ? internal : metadata;
      if (special.zone != "internal" && special.zone != "metadata.google.internal") continue;
      for (std::size_t at = expected.find(stand_in); at != std::string::npos;
           at = expected.find(stand_in, at + special.what.size()))
        expected.replace(at, stand_in.size(), special.what);
    }
    CHECK(story(*policy, row.asked) == expected);
  }
}

TEST_CASE("a refused type or form overrules the rule that permits the name") {
  const auto policy = postern::test::policy("allow: [a.example.com, 'a\\032b.example.com']\n");
  CHECK(story(*policy, "a.example.com", type::NULL_) ==
        "this type is not among the policy's types | p.yaml:1:9 allow a.example.com: it permits the name, "
        "not this type | "
        "policy default: default allow: holds only where nothing else speaks");
  CHECK(story(*policy, "a\\032b.example.com")
            .starts_with("names hold letters, digits, hyphen and underscore only (names: host) | p.yaml:1:24 "
                         "allow a\\032b.example.com: it "
                         "permits the name, but not its form"));
  CHECK(story(*policy, "b.example.com", type::NULL_) ==
        "this type is not among the policy's types | policy default: default allow: it permits the name, not "
        "this type");
}

TEST_CASE("a rule that is said again and again is told 100 times and then counted") {
  std::string yaml = "block:\n";
  for (int i = 0; i < 150; ++i) yaml += "  - a.example.com\n";
  const Explanation explanation = postern::test::policy(yaml)->explain({name("a.example.com"), type::A});
  CHECK(explanation.rule == "p.yaml:2:5 block a.example.com");
  REQUIRE(explanation.overruled.size() == 100);
  CHECK(explanation.overruled.front().rule == "p.yaml:3:5 block a.example.com");
  CHECK(explanation.overruled.front().why == "says the same");
  CHECK(explanation.more_overruled == 50);  // 149 more rules and the default
}

TEST_CASE("the ranges that an answer may hold are those for this very name") {
  const auto policy = postern::test::policy(
      "answers: {allow: [10.0.0.0/8, {name: '**.a.example', range: 'fd00::/8'}, {name: b.example, range: "
      "10.1.2.3}]}\n");
  CHECK(policy->explain({name("x.a.example"), type::A}).excepted ==
        std::vector<std::string>{"10.0.0.0/8", "fd00::/8"});
  CHECK(policy->explain({name("b.example"), type::A}).excepted ==
        std::vector<std::string>{"10.0.0.0/8", "10.1.2.3"});
}

TEST_CASE("explain agrees with decide on random policies and names") {
  std::mt19937 random(5);
  const char* const labels[] = {"a", "b", "c", "com", "internal", "localhost", "db"};
  const auto random_text = [&] {
    std::string text = labels[random() % 7];
    for (unsigned i = random() % 3; i > 0; --i) text = std::string(labels[random() % 7]) + "." + text;
    return text;
  };
  for (int round = 0; round < 200; ++round) {
    std::string yaml = std::string("allow_public_suffix: true\nsingle_labels: ") +
                       (random() % 2 ? "local" : "forward") +
                       "\ndefault: " + (random() % 2 ? "allow" : "block") +
                       "\nmode: " + (random() % 4 ? "enforce" : "observe") + "\n";
    for (const char* key : {"allow", "block", "observe"}) {
      yaml += std::string(key) + ":\n";
      for (unsigned i = 1 + random() % 4; i > 0; --i) {
        const char* const prefixes[] = {"", "*.", "**."};
        yaml += "  - \"" + (random() % 12 == 0 ? std::string("*") : prefixes[random() % 3] + random_text()) +
                "\"\n";
      }
    }
    yaml += "hosts:\n  " + random_text() + ": 10.0.0.1\n";
    CAPTURE(yaml);
    const auto policy = postern::test::policy(yaml);
    for (int i = 0; i < 40; ++i) {
      const Query query{name(random_text()), random() % 5 == 0 ? type::NULL_ : type::A};
      const Verdict verdict = policy->decide(query);
      const Explanation explanation =
          policy->explain(query);  // checks its ladder against decide, and stops if they differ
      CHECK(explanation.verdict.rule == verdict.rule);
      if (verdict.rule != 0) CHECK(explanation.rule == policy->rule_text(verdict.rule));
      CHECK_FALSE(explanation.rule.empty());
    }
  }
}

TEST_CASE("the exact root stands above expressions, as any exact pattern above any wildcard") {
  for (const char* yaml : {"{allow: ['.'], block: ['/.*/']}", "{allow: ['.'], block: ['/^$/']}"}) {
    const auto policy = postern::test::policy(yaml);
    CHECK(postern::test::decide(*policy, ".") == "allow rule");
    CHECK(story(*policy, ".").find("allow .") != std::string::npos);
  }
  const auto both = postern::test::policy("{allow: ['.'], block: ['/.*/']}");
  CHECK(postern::test::decide(*both, "example.com") == "NXDOMAIN rule");
  const auto blocked = postern::test::policy("{block: ['.'], allow: ['/.*/']}");
  CHECK(postern::test::decide(*blocked, ".") == "NODATA rule");
  // Wildcards over everything and expressions stand together: a tie blocks.
  const auto tie = postern::test::policy("{allow_public_suffix: true, allow: ['**'], block: ['/.*/']}");
  CHECK(postern::test::decide(*tie, ".") == "NODATA rule");
  (void)story(*tie, ".");
}

TEST_CASE("an outline counts, lists the settings, and finds the rules that never decide") {
  const auto policy = postern::test::policy(R"(
allow: [a.example, "**.b.example", "*.c.example", d.example]
block: [a.example, "*.c.example", "*.b.example"]
observe: [e.example, d.example, e.example]
hosts: {a.example: 10.0.0.1, f.example: [10.0.0.2, "fd12::7"]}
answers: {allow: [10.0.0.0/8, {name: "**.b.example", range: "fd12::7"}]}
types: [A, TXT]
expect: {allow: [b.example], block: [a.example MX]}
)");
  const PolicyOutline outline = policy->outline();
  CHECK_FALSE(outline.built_in);
  CHECK(outline.allow_rules == 4);
  CHECK(outline.block_rules == 3);
  CHECK(outline.observe_rules == 3);
  CHECK(outline.hosts == 2);
  CHECK(outline.exceptions == 2);
  CHECK(outline.mentions.size() == 12);
  REQUIRE(outline.expectations.size() == 2);
  CHECK(outline.expectations[1].place == "p.yaml:8:38");
  CHECK(outline.expectations[1].query.type == type::MX);
  std::string settings;
  for (const auto& [key, value] : outline.settings) settings += key + "=" + value + ";";
  CHECK(settings ==
        "default=allow;mode=enforce;types=[A, TXT];names=host;single_labels=local;allow_public_suffix=false;"
        "answers=[10.0.0.0/8, fd12::7 for "
        "**.b.example];nat64=[];expressions=[];forward=[];lists=[];explain=true;on_tunnel=block-zone;"
        "alert_on_first_query=false;profile=code;"
        "budgets={zone: 256 B, known_zone: 1 KiB, parent: 1 KiB, arpa: 256 B, session: 2 KiB, "
        "answers: 16 MiB, sandbox: unlimited, user: unlimited, single_name: 600 bits, queries: 10000};"
        "on_budget=refuse;on_secret=refuse;on_cap=quarantine;");
  std::string silent;
  for (const SilentRule& one : outline.silent)
    silent += one.rule + (one.contradicted ? " < " : " = ") + one.because + "\n";
  // `**.b.example` still speaks for b.example itself, and an observing rule silences nobody.
  CHECK(silent ==
        "p.yaml:2:9 allow a.example < p.yaml:3:9 block a.example\n"
        "p.yaml:2:36 allow *.c.example < p.yaml:3:20 block *.c.example\n"
        "p.yaml:4:33 observe e.example = would block: p.yaml:4:11 observe e.example\n"
        "p.yaml:5:9 hosts a.example < p.yaml:3:9 block a.example\n");
  CHECK(postern::test::policies("default: block")->find("deny-all")->outline().built_in);
  CHECK_FALSE(postern::test::policies("default: block")->find("")->outline().built_in);
  CHECK(postern::test::policies("policies: {a: {}}")->find("")->outline().built_in);
  CHECK_FALSE(postern::test::policies("policies: {a: {extends: deny-all}}")->find("a")->outline().built_in);
}

TEST_CASE("an expectation holds if the client gets something, or nothing, as it says") {
  const auto set = postern::test::policies(R"(
policies:
  default:
    default: block
    allow: [www.example.com]
    observe: [api.example.com, www.example.com]
    hosts: {db.example.com: 10.0.0.1}
    expect:
      allow: [db.example.com, localhost, www.example.com TXT]
      block: [www.example.com, www.example.com NULL, db.example.com AAAA, x.internal, other.example, www.example.com MX]
  child:
    extends: default
    default: allow
)");
  const TestReport report = test_expectations(*set);
  CHECK(report.expectations == 9);
  std::string unmet;
  for (const Unmet& one : report.unmet)
    unmet += one.policy + " " + one.expectation.place + " " + verdict_text(one.explanation.verdict) + "\n";
  // Observed counts as blocked: expectations are about the policy as it would be enforced.
  CHECK(unmet == "default p.yaml:9:42 allowed (would block)\n");
}

TEST_CASE("a difference is found through a wildcard, a parent, the default, and names that are given") {
  const auto changes = [](const char* before, const char* after, const std::vector<Name>& more = {},
                          const std::vector<Type>& types = {type::A}) {
    const PolicyDiff diff =
        diff_policies(*postern::test::policy(before), *postern::test::policy(after), more, types);
    std::string out;
    for (const ChangedName& one : diff.names)
      out += one.query.name.text() + " " + type_text(one.query.type) + " " + one.before + " > " + one.after +
             "\n";
    for (const ChangedSetting& one : diff.settings)
      out += one.key + " " + one.before + " > " + one.after + "\n";
    return out;
  };
  CHECK(changes("block: [a.example.com]", "block: ['a.example.com.']") == "");
  CHECK(changes("block: ['*.example.com']", "block: ['**.example.com']") ==
        "example.com A allowed > NXDOMAIN\n");
  CHECK(changes("block: [example.com]", "block: ['**.example.com']") ==
        "example.com A empty > NXDOMAIN\nanything.example.com A allowed > NXDOMAIN\n");
  CHECK(changes("{}", "{default: block}") ==
        "anything.example A allowed > NXDOMAIN\ndefault allow > block\n");
  // NXDOMAIN at the parent would deny what is newly allowed below it.
  CHECK(changes("{default: block}", "{default: block, allow: [www.example.com]}") ==
        "example.com A NXDOMAIN > empty\nwww.example.com A NXDOMAIN > allowed\n");
  CHECK(changes("{default: block, allow: ['**.x.example'], block: [b.x.example]}",
                "{default: block, allow: ['**.x.example'], block: [b.x.example, a.x.example]}") ==
        "a.x.example A allowed > empty\n");
  // The label of the names below is one that neither policy mentions.
  CHECK(changes("{block: ['**.example.com'], allow: [anything.example.com]}",
                "{allow: [anything.example.com]}") ==
        "example.com A empty > allowed\nanything-else.anything.example.com A NXDOMAIN > allowed\n"
        "anything-else.example.com A NXDOMAIN > allowed\n");
  CHECK(changes("{hosts: {a.example: 10.0.0.1}}", "{hosts: {a.example: 10.0.0.2}}") ==
        "a.example A local 10.0.0.1 > local 10.0.0.2\n");
  CHECK(changes("{single_labels: forward}", "{}", {name("db")}) ==
        "db A allowed > local NXDOMAIN\nsingle_labels forward > local\n");
  CHECK(changes("{block: [a.example]}", "{observe: [a.example]}") ==
        "a.example A empty > allowed (would block)\n");
  CHECK(changes("{types: [A, TXT]}", "{types: [A]}", {}, {type::A, type::TXT}) ==
        "anything.example TXT allowed > empty\ntypes [A, TXT] > [A]\n");
  CHECK(changes("{answers: {allow: [10.0.0.0/8]}}", "{}") == "answers [10.0.0.0/8] > []\n");
}

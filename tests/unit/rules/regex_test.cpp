// Regular expressions as rules: what they match, where they stand, and that none of them takes long.
#include "rules/regex.h"

#include "rules/explain.h"
#include "support.h"

using namespace postern;
using postern::test::decide;
using postern::test::error_of;
using postern::test::name;
using postern::test::policy;

TEST_CASE("an expression is looked for in the name's text, in either letter case") {
  const struct {
    const char* expression;
    const char* name;
    bool matches;
  } rows[] = {
      {"ads", "ads.example.com", true},
      {"ads", "www.loads.example", true},
      {"^ads", "loads.example", false},
      {"^ads\\.", "ads.example", true},
      {"ADS", "ads.example", true},
      {"ads", "ADS.example", true},
      {"example$", "www.example", true},
      {"example\\.$", "www.example", false},  // no final dot in the text
      {"^[0-9a-f]{32}\\.", "0123456789abcdef0123456789abcdef.example", true},
      {"^[0-9a-f]{32}\\.", "0123456789abcdef0123456789abcde.example", false},
      {"a b", "a\\032b.example", false},  // odd octets are spelled
      {"a\\\\032b", "a\\032b.example", true},
      {"^$", ".", true},
  };
  for (const auto& row : rows) {
    CAPTURE(row.expression);
    CAPTURE(row.name);
    const auto regex = Regex::parse(row.expression);
    REQUIRE(regex.has_value());
    CHECK(regex->matches(name(row.name)) == row.matches);
    RegexSet set;
    set.add(*regex);
    set.add(*Regex::parse("never-in-a-name"));
    set.compile();
    std::size_t seen = 0;
    set.each_match(name(row.name), [&](std::size_t index) { seen += index + 1; });
    CHECK(seen == (row.matches ? 1 : 0));
  }
}

TEST_CASE(
    "an expression stands with `*`: below every pattern that names something, above lists and the default") {
  const struct {
    const char* yaml;
    const char* name;
    const char* told;
  } rows[] = {
      {"block: ['/^ads[0-9]+\\./']", "ads17.example.com", "NODATA rule"},
      {"block: ['/^ads[0-9]+\\./']", "ads.example.com", "allow default"},
      {"block: ['/\\.example\\.com$/']", "www.example.com", "NXDOMAIN rule"},  // all below match, too
      {"{block: ['/^ads/'], allow: ['**.example.com']}", "ads.example.com", "allow rule"},
      {"{block: ['/^ads/'], allow: ['**.example.com']}", "ads.example.net", "NODATA rule"},
      {"{default: block, allow: ['/\\.example\\.com$/']}", "www.example.com", "allow rule"},
      // What is below might match, which cannot be told: an empty answer, not NXDOMAIN.
      {"{default: block, allow: ['/\\.example\\.com$/']}", "example.com", "NODATA default"},
      {"{allow: ['/^a/'], block: ['/^ab/']}", "ab.example", "NODATA rule"},
      {"{allow: ['/^a/'], block: ['/^ab/']}", "ac.example", "allow rule"},
      {"{allow_public_suffix: true, allow: ['*'], block: ['/^ab/']}", "ab.example", "NODATA rule"},
      {"{allow_public_suffix: true, block: ['*'], allow: ['/^ab/']}", "ab.example", "NODATA rule"},
      {"allow: ['/internal$/']", "db.internal", "local NODATA special_use"},
      {"allow: ['/db/']", "db", "local NODATA single_label"},
      {"{mode: observe, block: ['/^ads/']}", "ads.example", "allow rule"},
  };
  for (const auto& row : rows) {
    CAPTURE(row.yaml);
    CAPTURE(row.name);
    const auto one = policy(row.yaml);
    CHECK(decide(*one, row.name) == row.told);
    (void)one->explain({name(row.name), type::A});  // checks itself against the verdict
  }
}

TEST_CASE("an explanation quotes the expression with its place") {
  const auto one = policy("{block: ['/^ads/', '/example/'], allow: ['/./']}");
  const Explanation told = one->explain({name("ads.example"), type::A});
  CHECK(told.rule == "p.yaml:1:10 block /^ads/");
  REQUIRE(told.overruled.size() == 3);
  CHECK(told.overruled[0].rule == "p.yaml:1:20 block /example/");
  CHECK(told.overruled[0].why == "says the same");
  CHECK(told.overruled[1].why == "just as specific: a tie blocks");
}

TEST_CASE("a bad expression is an error with its place, quoted") {
  CHECK(error_of("block: ['/(/']") == "p.yaml:1:9: cannot read the regular expression \"(\": missing ): (");
  CHECK(error_of("block: ['//']") ==
        "p.yaml:1:9: cannot read the regular expression \"\": it is empty, which matches every name");
  CHECK(error_of("block: ['/']") == "p.yaml:1:9: a regular expression stands between slashes, here is \"/\"");
  CHECK(error_of("block: ['/ads']") ==
        "p.yaml:1:9: a regular expression stands between slashes, here is \"/ads\"");
  CHECK(error_of("block: ['/" + std::string(1025, 'a') + "/']").ends_with("it is longer than 1024 octets"));
  CHECK(error_of("block: ['/" + std::string(1024, 'a') + "/']") == "no error");
  CHECK(error_of("block: ['/(a{900}){900}/']").find("cannot read the regular expression") !=
        std::string::npos);
  std::string many = "block: ['/a/'";
  for (int i = 1; i < 200; ++i) many += ", '/a/'";
  CHECK(error_of(many + "]") == "no error");
  CHECK(error_of(many + ", '/b/']").ends_with("a policy holds at most 200 regular expressions"));
}

TEST_CASE("the command line takes expressions, too") {
  PolicySet::Overlay overlay;
  overlay.block = {"/^ads/"};
  const auto with = PolicySet::builtin()->with(overlay);
  REQUIRE(with.has_value());
  CHECK(decide(*(*with)->find(""), "ads.example") == "NODATA rule");
  CHECK(postern::test::rule_for(*(*with)->find(""), "ads.example") == "command line: block /^ads/");
}

TEST_CASE("an expression that would take a backtracking matcher for ever is answered") {
  const auto one = policy("block: ['/^(([a-z])+.)+[A-Z]([a-z])+$/', '/(x+x+)+y/']");
  std::string label(63, 'x');
  CHECK(decide(*one, label + "." + label + "." + label + ".0") != "");
}

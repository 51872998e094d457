// Presets: each is a sound policy with expectations that hold; what including and extending take.
#include "rules/presets.h"

#include <filesystem>
#include <fstream>

#include "rules/explain.h"
#include "support.h"

using namespace postern;
using postern::test::decide;
using postern::test::error_of;
using postern::test::name;
using postern::test::policies;
using postern::test::rule_for;

TEST_CASE("every file of rules/presets/ is in the program, and passes check and test as it stands") {
  std::size_t files = 0;
  for (const auto& file :
       std::filesystem::directory_iterator(std::string(POSTERN_SOURCE_DIR) + "/rules/presets")) {
    const std::string path = file.path().string();
    CAPTURE(path);
    ++files;
    const auto known = std::find_if(presets().begin(), presets().end(), [&](const Preset& one) {
      return one.name == file.path().stem().string();
    });
    REQUIRE(known != presets().end());
    std::ifstream in(path);
    const std::string text{std::istreambuf_iterator<char>(in), {}};
    CHECK(text == known->text);
    CHECK(text.starts_with("# "));
    const auto set = PolicySet::parse(text, path);
    REQUIRE_MESSAGE(set.has_value(), (set ? "" : set.error().message));
    const TestReport report = test_expectations(**set);
    CHECK(report.expectations > 0);
    for (const Unmet& unmet : report.unmet) FAIL_CHECK(unmet.expectation.place);
    const PolicyOutline outline = (*set)->find("")->outline();
    CHECK(outline.silent.empty());
    CHECK(outline.included.empty());
    CHECK((is_policy_preset(known->name) == (outline.allow_rules == 0)));
  }
  CHECK(files == presets().size());
  CHECK(includable_presets() == "containers, debian, git, go, models, node, python, rust");
}

TEST_CASE("an include takes the rules and no settings, and its rules name the preset") {
  const auto open = postern::test::policy("include: python");
  CHECK(decide(*open, "www.example.com") == "allow default");
  CHECK(rule_for(*open, "www.python.org") == "preset python: allow **.python.org");
  const auto shut =
      postern::test::policy("{default: block, include: [python, git], block: [gist.github.com]}");
  CHECK(decide(*shut, "www.python.org") == "allow rule");
  CHECK(decide(*shut, "api.github.com") == "allow rule");
  CHECK(decide(*shut, "gist.github.com") == "NODATA rule");  // below it, the preset still allows
  CHECK(decide(*shut, "nodejs.org") == "NXDOMAIN default");
  CHECK(shut->outline().included == std::vector<std::string>{"python", "git"});
  CHECK(shut->outline().expectations.empty());
  CHECK(shut->profile() == "code");
}

TEST_CASE("policies of the file can be included, too, for what they say of names") {
  const auto set = policies(R"(
policies:
  base: {default: block, types: [A], on_tunnel: alert, allow: [a.example], hosts: {h.example: 10.0.0.1},
         zones: {z.example: ['x A 10.0.0.2']}, forward: {f.example: one}, answers: {allow: [10.0.0.0/8]},
         expect: {allow: [a.example]}, include: rust}
  user: {include: [base, go], hosts: {h.example: 10.0.0.9}, forward: {f.example: two}}
  own: {extends: base, include: [rust, go]}
)");
  const auto user = set->find("user");
  CHECK(decide(*user, "elsewhere.example") == "allow default");
  CHECK(decide(*user, "a.example", type::AAAA) == "allow rule");
  CHECK(user->decide({name("h.example"), type::A}).local->answer[0].rdata.back() == 9);
  CHECK(decide(*user, "x.z.example") == "local data local_data");
  CHECK(user->upstream_group(user->decide({name("f.example"), type::A}).route) == "two");
  CHECK(user->explain({name("a.example"), type::A}).excepted == std::vector<std::string>{"10.0.0.0/8"});
  CHECK(user->on_tunnel() == Response::block_zone);
  CHECK(user->outline().expectations.empty());
  CHECK(user->outline().included == std::vector<std::string>{"base", "rust", "go"});
  // What is inherited is not taken in a second time.
  CHECK(set->find("own")->outline().included == std::vector<std::string>{"rust", "go"});
  CHECK(set->find("own")->outline().silent.empty());
}

TEST_CASE("strict, browse and deny-all always exist and can be extended") {
  const auto set = PolicySet::builtin();
  CHECK(set->names() == std::vector<std::string>{"browse", "default", "deny-all", "strict"});
  CHECK(set->find("strict")->profile() == "strict");
  CHECK(decide(*set->find("strict"), "www.example.com") == "NXDOMAIN default");
  CHECK(rule_for(*set->find("strict"), "www.example.com") == "policy strict: default block");
  CHECK_FALSE(set->find("strict")->alert_on_first_query());
  CHECK(set->find("browse")->profile() == "browse");
  CHECK(decide(*set->find("browse"), "www.example.com") == "allow default");
  CHECK(set->find("deny-all")->alert_on_first_query());
  CHECK(set->find("browse")->outline().built_in);
  const auto mine = postern::test::policy("{extends: strict, include: git}");
  CHECK(mine->profile() == "strict");
  CHECK(decide(*mine, "github.com") == "allow rule");
  CHECK(decide(*mine, "www.example.com") == "NXDOMAIN default");
  CHECK(postern::test::policy("{extends: strict, profile: code}")->profile() == "code");
  CHECK(postern::test::rule_for(*mine, "other.example") == "preset strict: default block");
  CHECK(postern::test::rule_for(*postern::test::policy("{extends: strict, default: block}"),
                                "other.example") == "p.yaml:1:28 default block");
}

TEST_CASE("what cannot be included says why, with its place") {
  const struct {
    const char *yaml, *error;
  } rows[] = {
      {"include: pyton",
       "p.yaml:1:10: include \"pyton\": the file has no such policy, and there is no such preset; presets "
       "are "
       "containers, debian, git, go, models, node, python, rust"},
      {"include: [git, [go]]", "p.yaml:1:16: an include is a single value, here is a list"},
      {"include: {git: go}", "p.yaml:1:10: an include is a single value, here is a map"},
      {"include: strict",
       "p.yaml:1:10: preset \"strict\" holds settings; it is not included but extended (extends:)"},
      {"extends: python", "p.yaml:1:10: preset \"python\" is not extended but included (include:)"},
      {"include: default", "p.yaml:1:10: include \"default\" goes round in a circle"},
      {"policies: {a: {include: [b]}, b: {include: [a]}}",
       "p.yaml:1:45: include \"a\" goes round in a circle"},
      {"policies: {a: {include: [b]}, b: {extends: a}}", "p.yaml:1:44: extends \"a\" goes round in a circle"},
  };
  for (const auto& row : rows) {
    CAPTURE(std::string(row.yaml));
    CHECK(error_of(row.yaml) == std::string(row.error));
  }
  // A policy of the file stands before a preset of its name.
  CHECK(
      decide(*policies("policies: {git: {allow: [a.example]}, b: {default: block, include: git}}")->find("b"),
             "github.com") == "NXDOMAIN default");
}

TEST_CASE("presets come from the command line, too") {
  PolicySet::Overlay overlay;
  overlay.default_action = "block";
  overlay.include = {"rust", "rust"};
  const auto set = PolicySet::builtin()->with(overlay);
  REQUIRE(set.has_value());
  CHECK(decide(*(*set)->find(""), "static.rust-lang.org") == "allow rule");
  CHECK(decide(*(*set)->find(""), "www.example.com") == "NXDOMAIN default");
  overlay.include = {"strict"};
  CHECK(PolicySet::builtin()->with(overlay).error().message.find("cannot include preset \"strict\"") !=
        std::string::npos);
}

// Observing: what `mode: observe` and `observe:` let pass, what they say of it, and what they leave in force.
#include "support.h"

using namespace postern;
using postern::test::name;

namespace {

// "allow rule" as told() has it, and for an observation its rule.
std::string seen(const Policy& policy, std::string_view asked, Type type = type::A) {
  const Verdict verdict = policy.decide({name(asked), type});
  return postern::test::told(verdict) +
         (verdict.observed ? " " + std::string(policy.rule_text(verdict.rule)) : "");
}

Answer alias_to(std::string_view target) {
  const Name to = name(target);
  Answer answer;
  answer.answer.push_back({name("www.example.org"), type::CNAME, 60, {to.wire().begin(), to.wire().end()}});
  return answer;
}

}  // namespace

TEST_CASE("a policy that observes refuses nothing of its own and says what it would have refused") {
  const auto policy = postern::test::policy(R"(
mode: observe
default: block
types: [A]
allow: ["**.example.com", 'a\032b.example.org']
block: [bad.example.com, "**.internal", localhost, db.example.com, db]
hosts: {db.example.com: 10.0.0.1}
)");
  CHECK(seen(*policy, "www.example.com") == "allow rule");
  CHECK(seen(*policy, "bad.example.com") == "allow rule would block: p.yaml:6:9 block bad.example.com");
  CHECK(seen(*policy, "other.example.org") == "allow default would block: p.yaml:3:10 default block");
  CHECK(seen(*policy, "www.example.com", type::TXT) ==
        "allow type would block: this type is not among the policy's types");
  CHECK(seen(*policy, "a\\032b.example.org") ==
        "allow name_form would block: names hold letters, digits, hyphen and underscore only (names: host)");
  // Local data is what would be answered without the block; the reason is the block's.
  CHECK(seen(*policy, "db.example.com") == "local data rule would block: p.yaml:6:52 block db.example.com");
}

TEST_CASE("what is built in stays in force under observation, and is not an observation") {
  const auto policy = postern::test::policy(
      "{mode: observe, default: block, block: ['**.internal', localhost, db, "
      "'**.metadata.google.internal']}");
  CHECK(seen(*policy, "x.internal") == "local NXDOMAIN special_use");
  CHECK(seen(*policy, "metadata.google.internal") == "NXDOMAIN special_use");
  CHECK(seen(*policy, "localhost") == "local data special_use");
  CHECK(seen(*policy, "db") == "local NXDOMAIN single_label");
  for (const Type never : {Type{0}, type::OPT, Type{249}, Type{250}})
    CHECK(seen(*policy, "a.example", never) == "NODATA type");
  CHECK(seen(*policy, "a.example", type::NULL_).starts_with("allow default would block: "));
}

TEST_CASE("an observing rule changes no verdict: the rest of the policy decides") {
  const auto policy = postern::test::policy(R"(
default: block
allow: ["**.example.com", tie.example.com]
block: ["*.bad.example.com"]
observe: ["*.example.com", tie.example.com, x.bad.example.com, elsewhere.example]
)");
  CHECK(seen(*policy, "example.com") == "allow rule");
  CHECK(seen(*policy, "www.example.com") == "allow rule would block: p.yaml:5:11 observe *.example.com");
  CHECK(seen(*policy, "tie.example.com") == "allow rule would block: p.yaml:5:28 observe tie.example.com");
  // What is refused anyway is refused for its own reason.
  CHECK(seen(*policy, "x.bad.example.com") == "NXDOMAIN rule");
  CHECK(postern::test::rule_for(*policy, "x.bad.example.com") == "p.yaml:4:9 block *.bad.example.com");
  CHECK(seen(*policy, "elsewhere.example") == "NXDOMAIN default");
  CHECK(seen(*policy, "www.example.com", type::NULL_) == "NODATA type");
}

TEST_CASE("a more specific allow silences an observing rule") {
  const auto policy = postern::test::policy("{allow: [www.a.example], observe: ['**.a.example']}");
  CHECK(seen(*policy, "www.a.example") == "allow rule");
  CHECK(seen(*policy, "a.example") == "allow rule would block: p.yaml:1:36 observe **.a.example");
}

TEST_CASE("an observed target passes with its rule; an internal address does not") {
  const Query query{name("www.example.org"), type::A};
  const auto judged = [&](const char* yaml, const Answer& answer) {
    const auto policy = postern::test::policy(yaml);
    const AnswerVerdict verdict = policy->inspect(query, answer);
    return std::string(verdict.pass ? "pass" : "refused") + (verdict.observed ? " observed " : " ") +
           std::string(policy->rule_text(verdict.rule));
  };
  CHECK(judged("{observe: [t.example]}", alias_to("t.example")) ==
        "pass observed would block: p.yaml:1:12 observe t.example");
  CHECK(judged("{observe: [t.example]}", alias_to("u.example")) == "pass ");
  CHECK(judged("{observe: [x.t.example], block: ['**.t.example']}", alias_to("x.t.example")) ==
        "refused p.yaml:1:34 block **.t.example");
  CHECK(judged("{mode: observe, block: [t.example]}", alias_to("t.example")) ==
        "pass observed would block: p.yaml:1:25 block t.example");
  CHECK(judged("{mode: observe, block: [t.example]}", alias_to("metadata.google.internal"))
            .starts_with("refused "));
  Answer internal;
  internal.answer.push_back({query.name, type::A, 60, {10, 0, 0, 1}});
  CHECK(judged("{mode: observe}", internal).starts_with("refused answer address is private"));
}

TEST_CASE("observing is inherited with the policy, and can be ended by its child") {
  const auto set = postern::test::policies(
      "policies: {a: {mode: observe, block: [x.example]}, b: {extends: a}, c: {extends: a, mode: enforce}}");
  CHECK(seen(*set->find("b"), "x.example").starts_with("allow rule would block: "));
  CHECK(seen(*set->find("c"), "x.example") == "NODATA rule");
  CHECK(postern::test::rule_for(*set->find("c"), "x.example") == "p.yaml:1:39 block x.example");
}

TEST_CASE("a rule from the command line is observed too under a policy that observes") {
  const auto set = postern::test::policies("mode: observe")->with({{}, {"x.example"}, "block"});
  REQUIRE(set.has_value());
  CHECK(seen(*(*set)->find(""), "x.example") == "allow rule would block: command line: block x.example");
  CHECK(seen(*(*set)->find(""), "y.example") == "allow default would block: command line: default block");
}

// What `postern explain` and `postern policy` print, and that the told reply is the one that the wire writes.
#include <doctest/doctest.h>

#include <algorithm>
#include <fstream>
#include <iterator>

#include "resolver/control/policy_report.h"
#include "resolver/path/wire.h"
#include "rules/list.h"
#include "rules/list_text.h"

using namespace postern;

namespace {

std::shared_ptr<const PolicySet> policies_of(std::string_view yaml, const std::string& file = "p.yaml") {
  const auto set = PolicySet::parse(yaml, file);
  REQUIRE_MESSAGE(set.has_value(), (set ? "" : set.error().message));
  return *set;
}

Name name(std::string_view text) {
  const auto parsed = Name::parse(text);
  REQUIRE(parsed.has_value());
  return *parsed;
}

constexpr const char* example = R"(
default: block
allow: ["**.example.com"]
block: ["*.ads.example.com"]
hosts: {db.example.com: [10.20.0.7, "fd12::7"]}
answers: {allow: [{name: "**.example.com", range: 10.20.0.0/16}]}
)";

std::string explained(const char* yaml, std::string_view asked, Type type = type::A) {
  const auto policy = policies_of(yaml)->find("");
  return explain_text(*policy, policy->explain({name(asked), type}), "p.yaml");
}

}  // namespace

TEST_CASE("a blocked name is explained with what spoke, what lost, and the whole reply") {
  CHECK(explained(example, "x.ads.example.com") ==
        "x.ads.example.com A: blocked (NXDOMAIN)\n"
        "  rule    p.yaml:4:9 block *.ads.example.com\n"
        "  reason  a rule of the policy spoke\n"
        "  policy  default of p.yaml\n"
        "overruled\n"
        "  p.yaml:3:9 allow **.example.com  less specific: 2 labels, the rule that spoke has 3\n"
        "  p.yaml:2:10 default block        holds only where nothing else speaks\n"
        "the client receives\n"
        "  NXDOMAIN, no records\n"
        "  SOA of ads.example.com, forgotten after 5 s\n"
        "  with EDNS: extended error 15 (Blocked) \"p.yaml:4:9 block *.ads.example.com\"\n");
}

TEST_CASE("an allowed name is explained with what may still come in between") {
  CHECK(explained(example, "www.example.com") ==
        "www.example.com A: allowed\n"
        "  rule    p.yaml:3:9 allow **.example.com\n"
        "  reason  a rule of the policy spoke\n"
        "  policy  default of p.yaml\n"
        "overruled\n"
        "  p.yaml:2:10 default block  holds only where nothing else speaks\n"
        "the client receives\n"
        "  what the upstream answers, while the session's budget lasts\n"
        "  an empty answer instead, if that holds an internal address or an explicitly blocked target\n"
        "  internal addresses that it may hold: 10.20.0.0/16\n");
}

TEST_CASE("the explanation in docs/RULES.md is what explain prints for the complete example there") {
  std::ifstream file(std::string(POSTERN_SOURCE_DIR) + "/docs/RULES.md");
  const std::string document(std::istreambuf_iterator<char>(file), {});
  const std::size_t begin = document.find("```yaml\n") + 8;
  const auto policy =
      policies_of(document.substr(begin, document.find("```", begin) - begin), "policy.yaml")->find("");
  const std::string text =
      explain_text(*policy, policy->explain({name("eu.telemetry.example.com"), type::A}), "policy.yaml");
  const std::string shown = "$ postern explain eu.telemetry.example.com --policy policy.yaml\n" + text;
  CHECK_MESSAGE(document.find("```\n" + shown + "```\n") != std::string::npos, shown);
}

TEST_CASE("a refused name above an allowed one is told to be empty, and why") {
  const std::string text = explained("{default: block, allow: [www.example.org]}", "example.org");
  CHECK(text.starts_with(
      "example.org A: blocked (empty)\n"
      "  rule    p.yaml:1:11 default block\n"
      "  reason  no rule speaks of it; empty, since NXDOMAIN would deny what is allowed below it\n"));
  CHECK(text.find("  NOERROR, no records\n  SOA of org, ") != std::string::npos);
  CHECK(explained("{}", "example.org", type::NULL_).find("since NXDOMAIN") == std::string::npos);
}

TEST_CASE("local records are shown as they are sent") {
  const auto reply = [](std::string_view asked, Type type = type::A) {
    const std::string text = explained(example, asked, type);
    return text.substr(text.find("the client receives\n"));
  };
  CHECK(reply("db.example.com") == "the client receives\n  NOERROR\n  db.example.com 5 A 10.20.0.7\n");
  CHECK(reply("db.example.com", type::AAAA) ==
        "the client receives\n  NOERROR\n  db.example.com 5 AAAA fd12::7\n");
  CHECK(reply("db.example.com", type::MX) ==
        "the client receives\n  NOERROR, no records\n  SOA of db.example.com, forgotten after 5 s\n");
  CHECK(reply("a.localhost") == "the client receives\n  NOERROR\n  a.localhost 5 A 127.0.0.1\n");
  CHECK(reply("x.onion") ==
        "the client receives\n  NXDOMAIN, no records\n  SOA of onion, forgotten after 5 s\n");
  CHECK(reply("1.0.0.127.in-addr.arpa", type::PTR) ==
        "the client receives\n  NOERROR\n  1.0.0.127.in-addr.arpa 5 PTR localhost\n");
}

TEST_CASE(
    "an observed name is allowed and says so, and a policy that does not explain sends no extended error") {
  CHECK(explained("{mode: observe, default: block}", "a.example")
            .starts_with("a.example A: allowed, and recorded as would-block\n"
                         "  rule    would block: p.yaml:1:26 default block\n"
                         "  reason  no rule speaks of it\n"));
  CHECK(explained("{explain: false, default: block}", "a.example").find("extended error") ==
        std::string::npos);
}

TEST_CASE("the JSON form holds the same") {
  const auto policy = policies_of(example)->find("");
  CHECK(explain_json(*policy, policy->explain({name("x.ads.example.com"), type::A}), "p.yaml") == R"({
  "name": "x.ads.example.com",
  "type": "A",
  "policy": "default",
  "file": "p.yaml",
  "verdict": "blocked",
  "observed": false,
  "reason": "rule",
  "rule": "p.yaml:4:9 block *.ads.example.com",
  "overruled": [
    {
      "rule": "p.yaml:3:9 allow **.example.com",
      "why": "less specific: 2 labels, the rule that spoke has 3"
    },
    {
      "rule": "p.yaml:2:10 default block",
      "why": "holds only where nothing else speaks"
    }
  ],
  "more_overruled": 0,
  "client": {
    "from": "postern",
    "rcode": "NXDOMAIN",
    "answer": [],
    "soa_owner": "ads.example.com",
    "ede": {
      "code": 15,
      "text": "p.yaml:4:9 block *.ads.example.com"
    }
  }
}
)");
}

TEST_CASE("the reply that is told is the one that the wire writes") {
  const auto policy = policies_of(example, std::string(200, 'f') + ".yaml")
                          ->find("");  // its texts are longer than EDE allows
  for (const char* asked :
       {"x.ads.example.com", "example.org", "com", "ads.example.com", "a.b.example.org"}) {
    for (const Type type : {type::A, type::NULL_}) {
      CAPTURE(asked);
      wire::Question question;
      question.query = {name(asked), type};
      question.edns = true;
      question.has_question = true;
      const auto octets = question.query.name.wire();
      std::copy(octets.begin(), octets.end(), question.spelling);
      const Explanation explanation = policy->explain(question.query);
      const ExpectedReply told = expected_reply(*policy, explanation);
      if (told.from_upstream || explanation.verdict.action == Action::local) continue;
      std::vector<std::uint8_t> reply;
      const std::string_view text = policy->rule_text(explanation.verdict.rule);
      wire::write_negative(question, static_cast<Rcode>(told.rcode), {Ede::blocked, text}, reply);
      const auto sent = wire::build_upstream_query(question.query, 0, {});
      const wire::UpstreamMessage read = wire::parse_answer(reply, sent, false);
      REQUIRE(read.match == wire::Match::answer);
      CHECK(read.answer.rcode == told.rcode);
      REQUIRE(read.answer.authority.size() == 1);
      REQUIRE(told.soa.has_value());
      CHECK(read.answer.authority[0].owner == told.soa->owner);
      CHECK(read.answer.authority[0].ttl == told.soa->ttl);
      const std::string_view all(reinterpret_cast<const char*>(reply.data()), reply.size());
      CHECK(all.ends_with(told.ede_text));
      CHECK(told.ede_text.size() == std::min(text.size(), wire::ede_text_octets));
    }
  }
}

TEST_CASE("a checked file is told in a line for each policy, with notes on rules that never decide") {
  const auto set = policies_of(R"(
policies:
  default:
    default: block
    allow: [a.example, b.example]
    block: [a.example]
    hosts: {db.example: 10.0.0.1}
    answers: {allow: [10.0.0.0/8]}
    expect: {allow: [b.example], block: [a.example]}
  watched: {mode: observe, observe: ["**.c.example"]}
)");
  CHECK(check_text(*set, "p.yaml") ==
        "p.yaml: ok, 2 policies\n"
        "  default   default block, 3 rules (2 allow, 1 block), 1 hosts entry, 1 answer exception, 2 "
        "expectations\n"
        "  watched   default allow, 1 rule (0 allow, 0 block, 1 observe); observes only: nothing of it is "
        "refused\n"
        "note: policy default: p.yaml:5:13 allow a.example never decides: p.yaml:6:13 block a.example is "
        "just as "
        "specific, and a tie blocks\n");
  CHECK(check_text(*policies_of("{}", "e.yaml"), "e.yaml") ==
        "e.yaml: ok, 1 policy\n  default   default allow, 0 rules\n");
  std::string many = "block: [";
  for (int i = 0; i < 25; ++i) many += "x.example, ";
  const std::string notes = check_text(*policies_of(many + "x.example]"), "p.yaml");
  CHECK(std::count(notes.begin(), notes.end(), '\n') == 2 + 20 + 1);
  CHECK(notes.ends_with("note: and 5 more rules that never decide\n"));
}

TEST_CASE("a failing expectation is told with its place and what spoke") {
  const auto run = [](const char* yaml) {
    return test_text(test_expectations(*policies_of(yaml)), "p.yaml");
  };
  CHECK(run("{block: [a.example], expect: {allow: [a.example, b.example], block: [b.example TXT]}}") ==
        "p.yaml:1:39: policy default: a.example A should be allowed, is empty\n"
        "    by p.yaml:1:10 block a.example\n"
        "p.yaml:1:70: policy default: b.example TXT should be blocked, is allowed\n"
        "    by policy default: default allow\n"
        "p.yaml: 2 of 3 expectations failed\n");
  CHECK(run("{expect: {allow: [a.example]}}") == "p.yaml: ok, 1 expectation holds\n");
  CHECK(run("{}") == "p.yaml: nothing was tested: no policy of it has an `expect:`\n");
}

TEST_CASE("what is typed in place of a name is told apart") {
  const struct {
    const char* text;
    const char* error;
  } rows[] = {
      {"*.example.com",
       "cannot read name \"*.example.com\": it is a pattern; ask for one of the names that it matches"},
      {"https://example.com/", "cannot read name \"https://example.com/\": it is a URL; give the name alone"},
      {"example.com:53",
       "cannot read name \"example.com:53\": give the name alone, without port, path or white space"},
      {"exa mple.com",
       "cannot read name \"exa mple.com\": give the name alone, without port, path or white space"},
      {"m\xc3\xbcnchen.de",
       "cannot read name \"m\\xc3\\xbcnchen.de\": write names in Unicode as A-labels (xn--...)"},
  };
  for (const auto& row : rows) {
    const auto parsed = parse_asked_name(row.text);
    REQUIRE_FALSE(parsed.has_value());
    CHECK(parsed.error().message == row.error);
  }
  CHECK(parse_asked_name("2001:db8::1").error().message ==
        "cannot read name \"2001:db8::1\": it is an address; ask for the name of a host");
  CHECK(parse_asked_name("192.0.2.1").error().message ==
        "cannot read name \"192.0.2.1\": it is an address; ask for the name of a host (\"192.0.2.1.\" is the "
        "name "
        "that looks like it)");
  CHECK(parse_asked_name("192.0.2.1.").has_value());
  CHECK(parse_asked_name("192.0.2").has_value());
  CHECK(parse_asked_name("a..b").error().message.find("\"a..b\"") != std::string::npos);
  CHECK(parse_asked_name("WWW.Example.COM.")->text() == "www.example.com");
  CHECK(parse_asked_name("a\\032b.example").has_value());
}

TEST_CASE("a list of names has comments, and its errors name the line") {
  const auto names =
      parse_name_list("# names\r\n\n  a.example \nB.example # the second\r\nc.example", "n.txt");
  REQUIRE(names.has_value());
  REQUIRE(names->size() == 3);
  CHECK((*names)[1].text() == "b.example");
  const auto bad = parse_name_list("a.example\n\nb..example\n", "n.txt");
  REQUIRE_FALSE(bad.has_value());
  CHECK(bad.error().message.starts_with("n.txt:3: "));
  CHECK(bad.error().message.find("\"b..example\"") != std::string::npos);
}

TEST_CASE("an error shows its line with a mark under the column") {
  const std::string text = "default: block\nallow:\n  - \"*.com\"\n";
  const auto set = PolicySet::parse(text, "p.yaml");
  REQUIRE_FALSE(set.has_value());
  CHECK(excerpt(text, "p.yaml", set.error().message) == "  3 |   - \"*.com\"\n    |     ^\n");
  CHECK(excerpt("a\x1b[1mb\tc", "f", "f:1:2: x") == "  1 | a?[1mb?c\n    |  ^\n");
  CHECK(excerpt("ab", "f", "f:1:3: x") == "  1 | ab\n    |   ^\n");
  for (const char* message :
       {"f:1:4: x", "f:2:1: x", "f:0:1: x", "f:1:0: x", "f: x", "g:1:1: x", "f:1:1", "f:x:1: y"})
    CHECK(excerpt("ab", "f", message) == "");
  const std::string wide = excerpt(std::string(5000, 'a') + "!" + std::string(5000, 'b'), "f", "f:1:5001: x");
  const std::size_t end = wide.find('\n');
  CHECK(end < 120);
  CHECK(wide.find('!') == wide.find('^') - end - 1);
}

TEST_CASE("a list that a policy has from another is told of once") {
  const ListSource lists = [](const ListRequest& request) {
    ListOptions options;
    options.file = request.file;
    return List::build("a.example\nb..example\n", options);
  };
  const auto set = PolicySet::parse(
      "policies: {default: {lists: [l]}, open: {extends: default, default: allow}}", "p.yaml", lists);
  REQUIRE(set.has_value());
  CHECK(check_text(**set, "p.yaml") ==
        "p.yaml: ok, 2 policies\n"
        "  default   default allow, 0 rules\n"
        "    list l: domains, 1 entry in 2 lines; 1 skipped\n"
        "      1 an empty label: l:2: \"b..example\"\n"
        "  open      default allow, 0 rules\n"
        "    list l: as in policy default\n");
}

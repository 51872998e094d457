// What a redacted record tells of rules and of names that nobody has registered.
#include <doctest/doctest.h>

#include "resolver/control/log_format.h"
#include "rules/policy.h"

using namespace postern;

namespace {

LoggedAlert with_zone(const std::string& zone) {
  LoggedAlert alert;
  alert.zone = zone;
  alert.query_name = "aGVsbG8." + zone;
  alert.query_registered_domain = zone;
  alert.evidence = "{}";
  return alert;
}

}  // namespace

TEST_CASE("a redacted rule keeps its place and verb, and of its pattern what is public of the name anyway") {
  struct Row {
    std::string rule, name, domain, names, all;
  };
  const Row rows[] = {
      {"/etc/p.yaml:6:5 block nmsecret.corp.org", "nmsecret.corp.org", "corp.org", "/etc/p.yaml:6:5 block",
       "line 6:5 block"},
      {"/etc/p.yaml:6:5 block corp.org", "nmsecret.corp.org", "corp.org", "/etc/p.yaml:6:5 block corp.org",
       "line 6:5 block corp.org"},
      {"/etc/p.yaml:6:5 allow **.org", "a.corp.org", "corp.org", "/etc/p.yaml:6:5 allow **.org",
       "line 6:5 allow **.org"},
      {"a b:1:2 c.yaml:6:5 observe *", "a.corp.org", "corp.org", "a b:1:2 c.yaml:6:5 observe *",
       "line 6:5 observe *"},
      {"p.yaml:6:5 block p.org", "a.corp.org", "corp.org", "p.yaml:6:5 block", "line 6:5 block"},
      {"p.yaml:7:5 block nmsecret.tracker.net", "a.corp.org", "corp.org", "p.yaml:7:5 block",
       "line 7:5 block"},
      {"p.yaml:8:5 block /nmsecret.*[.]corp[.]org/", "nmsecret1.corp.org", "corp.org", "p.yaml:8:5 block",
       "line 8:5 block"},
      {"p.yaml:8:5 block /a:1:1 block nmsecret/", "nmsecret1.corp.org", "corp.org", "p.yaml:8:5 block",
       "line 8:5 block"},
      {"would block: p.yaml:8:5 block **.nmsecret.corp.org", "a.nmsecret.corp.org", "corp.org",
       "would block: p.yaml:8:5 block", "would block: line 8:5 block"},
      {"p.yaml:9:3 hosts nmsecret.corp.org", "nmsecret.corp.org", "corp.org", "p.yaml:9:3 hosts",
       "line 9:3 hosts"},
      {"p.yaml:9:3 zone nmsecret.lan", "a.nmsecret.lan", "nmsecret.lan", "p.yaml:9:3 zone", "line 9:3 zone"},
      {"p.yaml:9:3 forward corp.org to office", "a.corp.org", "corp.org",
       "p.yaml:9:3 forward corp.org to office", "line 9:3 forward corp.org to office"},
      {"p.yaml:9:3 forward nmsecret.corp.org to office", "nmsecret.corp.org", "corp.org",
       "p.yaml:9:3 forward to office", "line 9:3 forward to office"},
      {"p.yaml:9:3 list /home/ada/l.txt: no data", "a.corp.org", "corp.org",
       "p.yaml:9:3 list /home/ada/l.txt: no data", "line 9:3 list: no data"},
      {"p.yaml:9:3 list /home/ada/l.txt: nmsecret", "a.corp.org", "corp.org", "p.yaml:9:3 list",
       "line 9:3 list"},
      {"p.yaml:2:3 default block", "a.corp.org", "corp.org", "p.yaml:2:3 default block",
       "line 2:3 default block"},
      {"preset web:2:3 block corp.org", "a.corp.org", "corp.org", "preset web:2:3 block corp.org",
       "preset web:2:3 block corp.org"},
      {"preset strict: default block", "a.corp.org", "corp.org", "preset strict: default block",
       "preset strict: default block"},
      {"policy agents: default block", "a.corp.org", "corp.org", "policy agents: default block",
       "policy agents: default block"},
      {"command line: block nmsecret.corp.org", "nmsecret.corp.org", "corp.org", "command line: block",
       "command line: block"},
      {"special name **.local (RFC 6762)", "nmsecret.local", "nmsecret.local",
       "special name **.local (RFC 6762)", "special name **.local (RFC 6762)"},
      {"special name **.168.192.in-addr.arpa (RFC 6303)", "1.0.168.192.in-addr.arpa", "192.in-addr.arpa",
       "special name (RFC 6303)", "special name (RFC 6303)"},
      {"special name: 100.64.0.0/10, reversed (RFC 7793)", "1.64.100.in-addr.arpa", "100.in-addr.arpa",
       "special name (RFC 7793)", "special name (RFC 7793)"},
      {"cloud metadata name **.metadata.google.internal (Google Cloud)", "metadata.google.internal",
       "google.internal", "cloud metadata name", "cloud metadata name"},
      {"special name **.mask.icloud.com (iCloud Private Relay)", "mask.icloud.com", "icloud.com",
       "special name", "special name"},
      {"answer address is cloud metadata: 169.254.169.254 (AWS, Azure, Google and others)", "a.corp.org",
       "corp.org", "answer address is cloud metadata", "answer address is cloud metadata"},
      {"answer address is unspecified: ::, it reaches loopback (RFC 4291)", "a.corp.org", "corp.org",
       "answer address is unspecified", "answer address is unspecified"},
      {"secret: tok", "a.corp.org", "corp.org", "secret: tok", "secret: tok"},
      {"leak budget: session", "a.corp.org", "corp.org", "leak budget: session", "leak budget: session"},
      {"answer holds a malformed record", "a.corp.org", "corp.org", "answer holds a malformed record",
       "answer holds a malformed record"},
      {"/very/long/path/that/was/cut/at/nmsecret...", "a.corp.org", "corp.org", "(left out)", "(left out)"},
      {"", "a.corp.org", "corp.org", "", ""}};
  for (const Row& row : rows) {
    INFO(row.rule);
    for (const auto& [level, expected] :
         {std::pair{Redaction::names, row.names}, {Redaction::all, row.all}}) {
      LoggedQuery one;
      one.name = row.name;
      one.registered_domain = row.domain;
      one.rule = row.rule;
      Redactor(level).redact(one);
      CHECK(one.rule == expected);
      for (const char* format : {"text", "json", "ocsf", "ecs", "zeek"})
        CHECK((*log_format(format, false))->line(one).find("nmsecret") == std::string::npos);
    }
    LoggedQuery whole;
    whole.rule = row.rule;
    Redactor(Redaction::none).redact(whole);
    CHECK(whole.rule == row.rule);
  }
}

TEST_CASE("each text that a policy has for its rules is in a form that redaction knows") {
  const auto set = PolicySet::parse(R"(
policies:
  default:
    allow: [nmsecret1.example.com]
    block: ['**.nmsecret2.example.com', '/nmsecret3.*/']
    observe: [nmsecret4.example.com]
    hosts: {nmsecret5.example.com: 192.0.2.1}
  other:
    extends: strict
    mode: observe
  third:
    default: block
)",
                                    "/etc/p.yaml");
  REQUIRE_MESSAGE(set.has_value(), set.error().message);
  std::size_t texts = 0;
  for (const char* policy : {"default", "other", "third", "strict", "browse", "deny-all"})
    for (RuleId rule = 1; !(*set)->find(policy)->rule_text(rule).empty(); ++rule, ++texts) {
      LoggedQuery one;
      const std::string text(one.rule = (*set)->find(policy)->rule_text(rule));
      INFO(text);
      Redactor(Redaction::all).redact(one);
      CHECK(one.rule.find("(left out)") == std::string::npos);
      for (const char* secret : {"/etc", "nmsecret", "169.254", "100.64", "tencent"})
        CHECK_MESSAGE(one.rule.find(secret) == std::string::npos, one.rule);
    }
  CHECK(texts > 500);
}

TEST_CASE(
    "a name in no public suffix is the sandbox's own word: nothing of it is told, of queries and alerts") {
  struct Row {
    std::string name, domain, told, told_domain;
  };
  for (const Row& row : {Row{"nmsecret", "nmsecret", "*.", ""},
                         {"nmsecret.unknowntldxyz", "nmsecret.unknowntldxyz", "*.", ""},
                         {"a.nmsecret.unknowntldxyz", "nmsecret.unknowntldxyz", "*.", ""},
                         {"nmsecret.local", "nmsecret.local", "*.local", "local"},
                         {"localhost", "localhost", "localhost", "localhost"},
                         {"com", "com", "com", "com"},
                         {"co.uk", "co.uk", "co.uk", "co.uk"},
                         {"nmsecret.com", "com", "*.com", "com"},
                         {"nmsecret.co.uk", "", "*.", ""},
                         {"nmsecret\\.com", "nmsecret\\.com", "*.", ""},
                         {"a..b", "a..b", "*.", ""},
                         {".", "", ".", ""}}) {
    INFO(row.name);
    LoggedQuery one;
    one.name = row.name;
    one.registered_domain = row.domain;
    Redactor(Redaction::names).redact(one);
    CHECK(one.name == row.told);
    CHECK(one.registered_domain == row.told_domain);
    for (const char* format : {"text", "json", "ocsf", "ecs", "zeek"})
      CHECK((*log_format(format, false))->line(one).find("nmsecret") == std::string::npos);
  }
  LoggedAlert told = with_zone("nmsecret.unknowntldxyz");
  Redactor(Redaction::names).redact(told);
  CHECK(told.zone == ".");
  CHECK(told.query_name == "*.");
  CHECK(told.query_registered_domain.empty());
  told = with_zone(".");
  Redactor(Redaction::names).redact(told);
  CHECK(told.query_name == "*.");
  told = with_zone("");  // about the session
  Redactor(Redaction::names).redact(told);
  CHECK(told.zone.empty());
  CHECK(told.query_name.empty());
}

// Local zones: what an authoritative server says of them, and which zones are refused at load.
#include "rules/local_zone.h"

#include "rules/explain.h"
#include "rules/zone_record.h"
#include "support.h"

using namespace postern;
using postern::test::error_of;
using postern::test::name;

namespace {

constexpr const char* two_zones = R"(
default: block
hosts: {db.corp.example: 10.0.0.9}
zones:
  corp.example:
    - "@       MX    10 mail"
    - "@       NS    ns1"
    - "mail    A     10.0.0.1"
    - "mail    AAAA  fd00::1"
    - "www     CNAME web"
    - "web     CNAME mail"
    - "lost    CNAME nowhere"
    - "store   CNAME db"
    - "wild    CNAME any.thing.dev"
    - "far     CNAME host.lab.example."
    - "*.dev   A     10.0.0.7"
    - "*.dev   TXT   \"for all\""
    - "x.dev   A     10.0.0.8"
    - "a.b.x.dev TXT deep"
    - "*.alias CNAME mail"
    - "ttl 300 A     10.0.0.3"
    - "ttl 60  A     10.0.0.4"
  lab.example:
    - "host    A     10.1.0.1"
  8.0.10.in-addr.arpa:
    - "7 PTR db.corp.example."
forward: {deep.corp.example: lab}
)";

// "NOERROR a.example A 10.0.0.1, ...; SOA corp.example"
std::string zone_told(const Policy& policy, std::string_view asked, Type type = type::A) {
  const Query query{name(asked), type};
  const Verdict verdict = policy.decide(query);
  if (verdict.action != Action::local) return postern::test::told(verdict);
  REQUIRE(verdict.reason == Reason::local_data);
  std::string out = rcode_text(verdict.local->rcode), between = " ";
  for (const Record& record : verdict.local->answer) {
    out += between + (record.owner.is_root() ? name(asked) : record.owner).text() + " " +
           type_text(record.type) + " " + (record.type == type::SOA ? "" : data_text(record));
    between = ", ";
  }
  for (const Record& record : verdict.local->authority) {
    CHECK(record.type == type::SOA);
    CHECK(record.ttl == 5);
    out += "; SOA " + record.owner.text();
  }
  return out;
}

}  // namespace

TEST_CASE("a zone answers as an authoritative server does") {
  const auto policy = postern::test::policy(two_zones);
  const struct {
    const char* name;
    Type type;
    const char* told;
  } rows[] = {
      {"mail.corp.example", type::A, "NOERROR mail.corp.example A 10.0.0.1"},
      {"MAIL.corp.example", type::AAAA, "NOERROR mail.corp.example AAAA fd00::1"},
      {"mail.corp.example", type::TXT, "NOERROR; SOA corp.example"},
      {"corp.example", type::MX, "NOERROR corp.example MX 10 mail.corp.example"},
      {"corp.example", type::NS, "NOERROR corp.example NS ns1.corp.example"},
      {"corp.example", type::SOA, "NOERROR corp.example SOA "},
      {"corp.example", type::A, "NOERROR; SOA corp.example"},
      {"none.corp.example", type::A, "NXDOMAIN; SOA corp.example"},
      {"x.mail.corp.example", type::A, "NXDOMAIN; SOA corp.example"},
      {"7.8.0.10.in-addr.arpa", type::PTR, "NOERROR 7.8.0.10.in-addr.arpa PTR db.corp.example"},
      {"8.8.0.10.in-addr.arpa", type::PTR, "NXDOMAIN; SOA 8.0.10.in-addr.arpa"},

      {"www.corp.example", type::A,
       "NOERROR www.corp.example CNAME web.corp.example, web.corp.example CNAME mail.corp.example, "
       "mail.corp.example A 10.0.0.1"},
      {"www.corp.example", type::CNAME, "NOERROR www.corp.example CNAME web.corp.example"},
      {"web.corp.example", type::MX, "NOERROR web.corp.example CNAME mail.corp.example; SOA corp.example"},
      {"web.corp.example", type::KEY, "NOERROR web.corp.example CNAME mail.corp.example; SOA corp.example"},
      {"lost.corp.example", type::A,
       "NXDOMAIN lost.corp.example CNAME nowhere.corp.example; SOA corp.example"},
      {"far.corp.example", type::A,
       "NOERROR far.corp.example CNAME host.lab.example, host.lab.example A 10.1.0.1"},
      {"far.corp.example", type::AAAA, "NOERROR far.corp.example CNAME host.lab.example; SOA lab.example"},
      {"store.corp.example", type::A,
       "NOERROR store.corp.example CNAME db.corp.example, db.corp.example A 10.0.0.9"},
      {"wild.corp.example", type::A,
       "NOERROR wild.corp.example CNAME any.thing.dev.corp.example, any.thing.dev.corp.example A 10.0.0.7"},

      // RFC 4592: the wildcard of the closest name that exists, and of no other.
      {"new.dev.corp.example", type::A, "NOERROR new.dev.corp.example A 10.0.0.7"},
      {"a.new.dev.corp.example", type::A, "NOERROR a.new.dev.corp.example A 10.0.0.7"},
      {"new.dev.corp.example", type::TXT, "NOERROR new.dev.corp.example TXT \"for all\""},
      {"new.dev.corp.example", type::AAAA, "NOERROR; SOA corp.example"},
      {"x.dev.corp.example", type::A, "NOERROR x.dev.corp.example A 10.0.0.8"},
      {"x.dev.corp.example", type::TXT, "NOERROR; SOA corp.example"},
      {"y.x.dev.corp.example", type::A, "NXDOMAIN; SOA corp.example"},
      {"dev.corp.example", type::A, "NOERROR; SOA corp.example"},  // exists: names are below it
      {"b.x.dev.corp.example", type::A,
       "NOERROR; SOA corp.example"},  // an empty non-terminal, RFC 4592 2.2.2
      {"*.dev.corp.example", type::A, "NOERROR *.dev.corp.example A 10.0.0.7"},
      {"q.alias.corp.example", type::A,
       "NOERROR q.alias.corp.example CNAME mail.corp.example, mail.corp.example A 10.0.0.1"},
      {"q.alias.corp.example", type::MX,
       "NOERROR q.alias.corp.example CNAME mail.corp.example; SOA corp.example"},

      // Names that others have something for exist, too.
      {"db.corp.example", type::A, "NOERROR db.corp.example A 10.0.0.9"},
      {"mail.corp.example", type::ANY,
       "NOERROR mail.corp.example A 10.0.0.1, mail.corp.example AAAA fd00::1"},
      {"dev.corp.example", type::ANY, "NOERROR; SOA corp.example"},
      {"other.example", type::A, "NXDOMAIN default"},
  };
  for (const auto& row : rows) {
    CAPTURE(std::string(row.name));
    CHECK(zone_told(*policy, row.name, row.type) == std::string(row.told));
    (void)policy->explain({name(row.name), row.type});  // it checks itself against decide
  }
}

TEST_CASE("what lies above a deeper zone exists in the zone above") {
  const auto policy = postern::test::policy(
      "zones: {example.com: ['*.w TXT x', '* TXT y'], a.b.example.com: [www A 10.1.1.1]}");
  CHECK(postern::test::decide(*policy, "b.example.com") == "local NODATA local_data");
  CHECK(postern::test::decide(*policy, "b.example.com", type::TXT) ==
        "local NODATA local_data");  // RFC 4592: no wildcard
  CHECK(postern::test::decide(*policy, "a.b.example.com") == "local NODATA local_data");
  CHECK(postern::test::decide(*policy, "www.a.b.example.com") == "local data local_data");
  CHECK(postern::test::decide(*policy, "c.a.b.example.com") == "local NXDOMAIN local_data");
  CHECK(postern::test::decide(*policy, "c.b.example.com") == "local NXDOMAIN local_data");
  const auto plain = postern::test::policy("zones: {example.com: [], a.b.example.com: [www A 10.1.1.1]}");
  CHECK(postern::test::decide(*plain, "b.example.com") == "local NODATA local_data");
  CHECK(postern::test::decide(*plain, "c.example.com") == "local NXDOMAIN local_data");
}

TEST_CASE("the records of a type have one TTL, the least; without one it is 5 s") {
  const auto policy = postern::test::policy(two_zones);
  const Answer& two = *policy->decide({name("ttl.corp.example"), type::A}).local;
  REQUIRE(two.answer.size() == 2);
  CHECK(two.answer[0].ttl == 60);
  CHECK(two.answer[1].ttl == 60);
  CHECK(policy->decide({name("mail.corp.example"), type::A}).local->answer[0].ttl == 5);
}

TEST_CASE("zones that cannot be answered from are errors with their place") {
  const struct {
    const char *yaml, *error;
  } rows[] = {
      {"zones: [a]", "p.yaml:1:8: zones is a map, here is a list"},
      {"zones: {corp.example: 10.0.0.1}",
       "p.yaml:1:23: zone corp.example is a list, here is a single value \"10.0.0.1\""},
      {"zones: {'*.corp.example': []}",
       "p.yaml:1:9: a zone is a name and all below it, here is the pattern \"*.corp.example\""},
      {"zones: {.: []}", "p.yaml:1:9: the root cannot be a zone"},
      {"zones: {a.example: [], A.example.: []}", "p.yaml:1:24: duplicate zone \"A.example.\""},
      {"zones: {a.example: [[x]]}", "p.yaml:1:21: a record is a single value, here is a list"},
      {"zones: {a.example: ['x A 1']}",
       "p.yaml:1:21: cannot read record \"x A 1\": not an IPv4 address: \"1\""},
      {"zones: {a.example: ['@ CNAME x']}",
       "p.yaml:1:8: zone \"a.example\": CNAME record of \"a.example\": a zone's own name holds its SOA, so "
       "it is "
       "no alias"},
      {"zones: {a.example: ['x CNAME y', 'x A 10.0.0.1']}",
       "p.yaml:1:8: CNAME record of \"x.a.example\" stands beside other records (RFC 1034 section 3.6.2)"},
      {"{zones: {a.example: ['x CNAME y']}, hosts: {x.a.example: 10.0.0.1}}",
       "p.yaml:1:9: CNAME record of \"x.a.example\" stands beside other records (RFC 1034 section 3.6.2)"},
      {"zones: {a.example: ['x CNAME www.b.example.']}",
       "p.yaml:1:8: zone \"a.example\": CNAME record of \"x.a.example\" leads to \"www.b.example\", which is "
       "in "
       "none of the policy's zones, and nobody would follow it there"},
      {"{zones: {a.example: ['x CNAME y.b']}, forward: {b.a.example: g}}",
       "p.yaml:1:9: zone \"a.example\": CNAME record of \"x.a.example\" leads to \"y.b.a.example\", which is "
       "forwarded as b.a.example"},
      {"zones: {a.example: ['x CNAME x']}",
       "p.yaml:1:8: CNAME record of \"x.a.example\" goes round in a circle, or over more than 8 aliases"},
      {"zones: {a.example: ['x CNAME q.y', '*.y CNAME x']}",
       "p.yaml:1:8: CNAME record of \"*.y.a.example\" goes round in a circle, or over more than 8 aliases"},
      {"zones: {a.example: ['sub NS ns']}",
       "p.yaml:1:8: zone \"a.example\": NS record of \"sub.a.example\": a part of the zone is not delegated "
       "but "
       "forwarded (forward:)"},
      {"zones: {a.example: ['x.b A 10.0.0.1'], b.a.example: []}",
       "p.yaml:1:8: zone \"a.example\": A record of \"x.b.a.example\" lies in a deeper zone of the policy"},
      {"{zones: {a.example: ['x.b A 10.0.0.1']}, forward: {b.a.example: g}}",
       "p.yaml:1:9: zone \"a.example\": A record of \"x.b.a.example\" has an owner which is forwarded as "
       "b.a.example"},
      {"{zones: {a.example: []}, forward: {a.example: g}}",
       "p.yaml:1:47: \"a.example\" is a zone of the policy (zones:), so it cannot be forwarded"},
      {"forward: [a]", "p.yaml:1:10: forward is a map, here is a list"},
      {"forward: {a.example: [g]}", "p.yaml:1:22: a group of upstreams is a single value, here is a list"},
      {"forward: {a.example: 'g g'}",
       "p.yaml:1:22: a group of upstreams has 1 to 64 letters, digits, hyphens, underscores and dots, here "
       "is "
       "\"g g\""},
      {"forward: {.: g}", "p.yaml:1:11: the root cannot be a forwarded zone"},
      {"forward: {a.example: g, A.example: h}", "p.yaml:1:25: duplicate forwarded zone \"A.example\""},
  };
  for (const auto& row : rows) {
    CAPTURE(std::string(row.yaml));
    CHECK(error_of(row.yaml) == std::string(row.error));
  }
  const auto chain = [](int aliases) {
    std::string yaml = "zones:\n  a.example:\n    - 'n" + std::to_string(aliases) + " A 10.0.0.1'\n";
    for (int i = 0; i < aliases; ++i)
      yaml += "    - 'n" + std::to_string(i) + " CNAME n" + std::to_string(i + 1) + "'\n";
    return yaml;
  };
  CHECK(postern::test::policy(chain(8))->decide({name("n0.a.example"), type::A}).local->answer.size() == 9);
  CHECK(error_of(chain(9)).find("over more than 8 aliases") != std::string::npos);
  std::string many = "zones:\n  a.example:\n";
  for (int i = 0; i < 10'001; ++i) many += "  - 'n A 10.0.0.1'\n";
  CHECK(error_of(many).find("the zones of a policy hold at most 10000 records") != std::string::npos);
}

TEST_CASE("a zone of the same name gives way to the extending policy's") {
  const auto set = postern::test::policies(
      "policies: {a: {zones: {z.example: ['x A 10.0.0.1'], y.example: ['x A 10.0.0.2']}, forward: "
      "{f.example: one}}, "
      "b: {extends: a, zones: {z.example: ['w A 10.0.0.3']}, forward: {f.example: two}}}");
  CHECK(zone_told(*set->find("a"), "x.z.example") == "NOERROR x.z.example A 10.0.0.1");
  CHECK(zone_told(*set->find("b"), "x.z.example") == "NXDOMAIN; SOA z.example");
  CHECK(zone_told(*set->find("b"), "w.z.example") == "NOERROR w.z.example A 10.0.0.3");
  CHECK(zone_told(*set->find("b"), "x.y.example") == "NOERROR x.y.example A 10.0.0.2");
  CHECK(set->find("b")->upstream_group(set->find("b")->decide({name("f.example"), type::A}).route) == "two");
  CHECK(postern::test::rule_for(*set->find("b"), "f.example").find("forward f.example to two") !=
        std::string::npos);
}

// Precedence: which rule speaks, what the client is told, and the reason that is recorded.
#include "support.h"

using namespace postern;
using postern::test::decide;
using postern::test::name;
using postern::test::policy;
using postern::test::rule_for;

TEST_CASE("the most specific inline rule wins, and a tie blocks") {
  const struct {
    const char* why;
    const char* yaml;
    const char* name;
    const char* told;
  } rows[] = {
      {"nothing speaks", "default: allow", "www.example.com", "allow default"},
      {"nothing speaks", "default: block", "www.example.com", "NXDOMAIN default"},
      {"exact", "block: [www.example.com]", "www.example.com", "NODATA rule"},
      {"exact is not below", "block: [example.com]", "www.example.com", "allow default"},
      {"exact is not above", "block: [www.example.com]", "example.com", "allow default"},
      {"below, one level", "block: ['*.example.com']", "www.example.com", "NXDOMAIN rule"},
      {"below, many levels", "block: ['*.example.com']", "a.b.c.d.example.com", "NXDOMAIN rule"},
      {"below is not the apex", "block: ['*.example.com']", "example.com", "allow default"},
      {"both: apex", "block: ['**.example.com']", "example.com", "NXDOMAIN rule"},
      {"both: below", "block: ['**.example.com']", "a.b.example.com", "NXDOMAIN rule"},
      {"same end, other label", "block: ['**.example.com']", "myexample.com", "allow default"},

      {"exact beats the wildcard above it", "{allow: [www.example.com], block: ['*.example.com']}",
       "www.example.com", "allow rule"},
      {"order in the file does not matter", "{block: ['*.example.com'], allow: [www.example.com]}",
       "www.example.com", "allow rule"},
      {"its sibling stays blocked", "{allow: [www.example.com], block: ['*.example.com']}", "ftp.example.com",
       "NXDOMAIN rule"},
      {"exact beats ** at its apex", "{allow: [example.com], block: ['**.example.com']}", "example.com",
       "allow rule"},
      {"exact block beats ** allow", "{block: [ads.example.com], allow: ['**.example.com']}",
       "www.example.com", "allow rule"},
      {"the deeper wildcard wins", "{allow: ['*.a.example.com'], block: ['*.example.com']}",
       "x.a.example.com", "allow rule"},
      {"but not for its apex", "{allow: ['*.a.example.com'], block: ['*.example.com']}", "a.example.com",
       "NODATA rule"},
      {"unless it has one", "{allow: ['**.a.example.com'], block: ['*.example.com']}", "a.example.com",
       "allow rule"},
      {"deep block in an allowed zone",
       "{default: block, allow: ['**.example.com'], block: ['**.a.example.com']}", "x.a.example.com",
       "NXDOMAIN rule"},
      {"three deep", "{allow: ['*.a.b.example.com'], block: ['*.b.example.com'], default: allow}",
       "x.a.b.example.com", "allow rule"},

      {"tie of exacts", "{allow: [www.example.com], block: [www.example.com]}", "www.example.com",
       "NODATA rule"},
      {"tie of wildcards", "{allow: ['*.example.com'], block: ['*.example.com']}", "www.example.com",
       "NXDOMAIN rule"},
      {"* and ** are equally deep", "{allow: ['*.example.com'], block: ['**.example.com']}",
       "www.example.com", "NXDOMAIN rule"},
      {"also the other way round", "{block: ['*.example.com'], allow: ['**.example.com']}", "www.example.com",
       "NXDOMAIN rule"},
      {"and ** alone has the apex", "{block: ['*.example.com'], allow: ['**.example.com']}", "example.com",
       "allow rule"},

      {"everything", "{allow_public_suffix: true, block: ['*']}", "www.example.com", "NXDOMAIN rule"},
      {"everything but one", "{allow_public_suffix: true, block: ['*'], allow: ['**.example.com']}",
       "www.example.com", "allow rule"},
      {"a rule beats the default", "{default: block, allow: ['**.example.com']}", "www.example.com",
       "allow rule"},
      {"case and final dot", "{default: block, allow: ['**.Example.COM.']}", "wWw.eXample.com.",
       "allow rule"},
  };
  for (const auto& row : rows) {
    CAPTURE(std::string(row.why));
    CAPTURE(std::string(row.yaml));
    CAPTURE(std::string(row.name));
    CHECK(decide(*policy(row.yaml), row.name) == std::string(row.told));
  }
}

TEST_CASE("a refused name is NXDOMAIN, but NODATA where something below it is allowed") {
  const struct {
    const char* yaml;
    const char* name;
    const char* told;
  } rows[] = {
      {"{default: block, allow: [a.b.example.com]}", "b.example.com", "NODATA default"},
      {"{default: block, allow: [a.b.example.com]}", "example.com", "NODATA default"},
      {"{default: block, allow: [a.b.example.com]}", "c.example.com", "NXDOMAIN default"},
      {"{default: block, allow: [a.b.example.com]}", "x.a.b.example.com", "NXDOMAIN default"},
      {"{default: block, allow: ['*.example.com']}", "example.com", "NODATA default"},
      {"{block: [example.com], allow: ['*.example.com']}", "example.com", "NODATA rule"},
      // Allowed by the default.
      {"{block: [example.com]}", "example.com", "NODATA rule"},
      {"{block: [example.com], default: block}", "example.com", "NXDOMAIN rule"},
      {"{block: [example.com, '*.example.com']}", "example.com", "NXDOMAIN rule"},
      {"{block: [a.example.com, '*.example.com']}", "a.example.com", "NXDOMAIN rule"},
      {"{block: ['*.example.com']}", "a.example.com", "NXDOMAIN rule"},
      {"{block: [x.internal]}", "x.internal", "NXDOMAIN rule"},
      {"{block: ['**.example.com'], allow: [a.example.com]}", "example.com", "NODATA rule"},
      {"{block: ['**.example.com'], allow: [a.example.com]}", "b.example.com", "NXDOMAIN rule"},
      // Allowed by a wildcard further up: what is below the exactly blocked name still is.
      {"{block: [a.example.com], allow: ['*.example.com']}", "a.example.com", "NODATA rule"},
      {"{block: ['**.a.example.com'], allow: ['*.example.com']}", "a.example.com", "NXDOMAIN rule"},
      {"{default: block, hosts: {db.b.example.com: 10.0.0.1}}", "b.example.com", "NODATA default"},
      // The root is never said not to exist.
      {"{default: block}", ".", "NODATA default"},
      {"{default: allow}", ".", "allow default"},
  };
  for (const auto& row : rows) {
    CAPTURE(std::string(row.yaml));
    CAPTURE(std::string(row.name));
    CHECK(decide(*policy(row.yaml), row.name) == std::string(row.told));
  }
}

TEST_CASE("a refused type is NODATA, and a refused name comes first") {
  const auto plain = policy("block: [bad.example.com]");
  for (const Type permitted : {type::A, type::AAAA, type::CNAME, type::HTTPS, type::SVCB, type::MX, type::SRV,
                               type::TXT, type::PTR, type::CAA, type::NS, type::SOA})
    CHECK_MESSAGE(decide(*plain, "www.example.com", permitted) == "allow default", permitted);
  for (const Type refused :
       {Type{0}, type::NULL_, type::KEY, type::PRIVATE, type::ANY, type::AXFR, type::IXFR, type::OPT,
        type::DS, type::RRSIG, type::DNSKEY, type::NAPTR, Type{3}, Type{11}, Type{66}, Type{65535}})
    CHECK_MESSAGE(decide(*plain, "www.example.com", refused) == "NODATA type", refused);
  CHECK(decide(*plain, "bad.example.com", type::NULL_) == "NODATA rule");
  CHECK(rule_for(*plain, "www.example.com", type::NULL_) == "this type is not among the policy's types");

  const auto listed = policy("types: [A, 'null', TYPE65399]");
  CHECK(decide(*listed, "www.example.com", type::A) == "allow default");
  CHECK(decide(*listed, "www.example.com", type::NULL_) == "allow default");
  CHECK(decide(*listed, "www.example.com", type::PRIVATE) == "allow default");
  CHECK(decide(*listed, "www.example.com", type::AAAA) == "NODATA type");

  const auto any = policy("types: any");
  for (const Type opened : {type::NULL_, type::ANY, type::AXFR, Type{65535}})
    CHECK(decide(*any, "www.example.com", opened) == "allow default");
  for (const Type never : {Type{0}, type::OPT, Type{249}, Type{250}})
    CHECK(decide(*any, "www.example.com", never) == "NODATA type");
}

TEST_CASE("names that are no host names are refused unless asked for") {
  const auto plain = policy("allow: ['**.example.com']");
  for (const char* good : {"a-b.example.com", "-a.example.com", "_dmarc.example.com",
                           "0123456789.example.com", "xn--bcher-kva.example.com"})
    CHECK_MESSAGE(decide(*plain, good) == "allow rule", good);
  for (const char* bad :
       {"a\\032b.example.com", "a\\.b.example.com", "\\000.example.com", "\\255.example.com",
        "a+b.example.com", "a/b.example.com", "a@b.example.com", "a=b.example.com"})
    CHECK_MESSAGE(decide(*plain, bad) == "NXDOMAIN name_form", bad);
  CHECK(decide(*policy("names: any"), "a\\032b.example.com") == "allow default");
  CHECK(decide(*policy("{names: host, default: block}"), "a\\032b.example.com") == "NXDOMAIN default");
}

TEST_CASE("single labels stay here unless forwarded or named by a rule") {
  CHECK(decide(*policy("default: allow"), "db") == "local NXDOMAIN single_label");
  CHECK(decide(*policy("default: block"), "db") == "local NXDOMAIN single_label");
  CHECK(decide(*policy("default: allow"), "db.example") == "allow default");
  CHECK(decide(*policy("single_labels: forward"), "db") == "allow default");
  CHECK(decide(*policy("{single_labels: forward, default: block}"), "db") == "NXDOMAIN default");
  CHECK(decide(*policy("allow: [db]"), "db") == "allow rule");
  CHECK(decide(*policy("block: [db]"), "db") == "NODATA rule");
  CHECK(decide(*policy("{allow_public_suffix: true, allow: ['*']}"), "db") == "local NXDOMAIN single_label");
  CHECK(decide(*policy("{default: block, allow: ['**.example.com']}"), "com") == "local NODATA single_label");
  const auto set = PolicySet::builtin();
  const Verdict verdict = set->find("")->decide({name("db"), type::A});
  REQUIRE(verdict.local->authority.size() == 1);
  CHECK(verdict.local->authority[0].owner.is_root());  // an ancestor of every single label
  CHECK(verdict.local->authority[0].ttl == 5);
}

TEST_CASE("hosts entries answer by themselves") {
  const auto set = policy(
      "{default: block, hosts: {db.example.com: [10.0.0.7, 10.0.0.8, 'fd00::7'], v4.example.com: "
      "192.168.0.1, none.example.com: []}}");
  const Verdict v4 = set->decide({name("DB.example.com"), type::A});
  CHECK(postern::test::told(v4) == "local data local_data");
  REQUIRE(v4.local->answer.size() == 2);
  CHECK(v4.local->answer[1].rdata == std::vector<std::uint8_t>{10, 0, 0, 8});
  CHECK(v4.local->answer[0].owner == name("db.example.com"));
  const Verdict v6 = set->decide({name("db.example.com"), type::AAAA});
  REQUIRE(v6.local->answer.size() == 1);
  CHECK(v6.local->answer[0].rdata.size() == 16);
  CHECK(decide(*set, "db.example.com", type::MX) == "local NODATA local_data");
  CHECK(decide(*set, "v4.example.com", type::AAAA) == "local NODATA local_data");
  CHECK(decide(*set, "none.example.com") == "local NODATA local_data");
  CHECK(decide(*set, "x.db.example.com") == "NXDOMAIN default");
  CHECK(rule_for(*set, "v4.example.com") == "p.yaml:1:75 hosts v4.example.com");
  SUBCASE("they beat wildcards, special names and single labels, but an exact block ties and blocks") {
    CHECK(decide(*policy("{block: ['**.example.com'], hosts: {db.example.com: 10.0.0.1}}"),
                 "db.example.com") == "local data local_data");
    CHECK(decide(*policy("{block: [db.example.com], hosts: {db.example.com: 10.0.0.1}}"), "db.example.com") ==
          "NODATA rule");
    CHECK(decide(*policy("hosts: {host.docker.internal: 10.0.0.1}"), "host.docker.internal") ==
          "local data local_data");
    CHECK(decide(*policy("hosts: {db: 10.0.0.1}"), "db") == "local data local_data");
  }
}

TEST_CASE("rule_text names the place, the action and the pattern") {
  const auto set = policy("default: block\nallow:\n  - '**.Example.com'\nblock:\n  - bad.example.com\n");
  CHECK(rule_for(*set, "www.example.com") == "p.yaml:3:5 allow **.example.com");
  CHECK(rule_for(*set, "bad.example.com") == "p.yaml:5:5 block bad.example.com");
  CHECK(rule_for(*set, "other.example.net") == "p.yaml:1:10 default block");
  CHECK(set->rule_text(0) == "");
  CHECK(set->rule_text(0xffffffff) == "");
  CHECK(rule_for(*policy("default: allow"), "www.example.com") == "");
}

TEST_CASE("rule_text has at most 255 octets and one line, whatever the file is called") {
  const std::string long_label(60, 'x');
  const std::string pattern = long_label + "." + long_label + "." + long_label + "." + long_label + ".com";
  const auto set = PolicySet::parse("block: ['*." + pattern + "']", std::string(40, 'f') + "\n\xc3\xa4");
  REQUIRE(set.has_value());
  const auto verdict = (*set)->find("")->decide({name("y." + pattern.substr(2)), type::A});
  CHECK(verdict.action == Action::allow);
  const std::string text = rule_for(*(*set)->find(""), "y." + pattern);
  CHECK(text.size() <= 255);
  CHECK(text.ends_with("..."));
  CHECK(text.find('\n') == std::string::npos);
}

TEST_CASE("policies have names, and some are always there") {
  const auto set = PolicySet::builtin();
  CHECK(set->names() == std::vector<std::string>{"browse", "default", "deny-all", "strict"});
  CHECK(set->find("") == set->find("default"));
  CHECK(set->find("nobody") == nullptr);
  CHECK(set->find("default")->name() == "default");
  CHECK(decide(*set->find(""), "www.example.com") == "allow default");
  CHECK_FALSE(set->find("")->alert_on_first_query());
  CHECK(set->find("")->on_tunnel() == Response::block_zone);
  CHECK(set->find("")->explains());
  const auto deny = set->find("deny-all");
  REQUIRE(deny != nullptr);
  CHECK(decide(*deny, "www.example.com") == "NXDOMAIN default");
  CHECK(rule_for(*deny, "www.example.com") == "policy deny-all: default block");
  CHECK(deny->alert_on_first_query());
  const auto file = postern::test::policies(
      "policies: {strict: {default: block, on_tunnel: quarantine, explain: false, profile: strict}}");
  CHECK(file->names() == std::vector<std::string>{"browse", "default", "deny-all", "strict"});
  CHECK(file->find("strict")->on_tunnel() == Response::quarantine);
  CHECK_FALSE(file->find("strict")->explains());
  CHECK(file->find("strict")->profile() == "strict");
  CHECK(decide(*file->find(""), "www.example.com") == "allow default");
}

TEST_CASE("a policy that extends another adds rules and replaces settings") {
  const auto set = postern::test::policies(R"(
policies:
  tight: {extends: base, allow: ["**.example.org"], hosts: {db.example.com: 10.0.0.2}, on_tunnel: alert}
  base: {default: block, allow: ["**.example.com"], types: [A], hosts: {db.example.com: 10.0.0.1}, names: any}
  watched: {extends: deny-all, allow: [www.example.com]}
  open: {extends: base, default: allow}
  shut: {extends: base, block: ["**.example.com"]}
)");
  const auto tight = set->find("tight");
  CHECK(decide(*tight, "www.example.com") == "allow rule");
  CHECK(decide(*tight, "www.example.org") == "allow rule");
  CHECK(decide(*tight, "www.example.net") == "NXDOMAIN default");
  CHECK(decide(*tight, "www.example.org", type::AAAA) == "NODATA type");
  CHECK(decide(*tight, "a+b.example.org") == "allow rule");
  CHECK(tight->decide({name("db.example.com"), type::A}).local->answer[0].rdata.back() == 2);
  CHECK(set->find("base")->decide({name("db.example.com"), type::A}).local->answer[0].rdata.back() == 1);
  CHECK(decide(*set->find("base"), "www.example.org") == "NXDOMAIN default");
  CHECK(set->find("watched")->alert_on_first_query());
  CHECK(decide(*set->find("watched"), "www.example.com") == "allow rule");
  CHECK(decide(*set->find("open"), "www.example.net") == "allow default");
  CHECK(decide(*set->find("shut"), "www.example.com") == "NXDOMAIN rule");  // a tie with what it inherits
}

TEST_CASE("rules from the command line join the others in the same precedence") {
  const auto set =
      postern::test::policies("{default: allow, allow: [www.example.com], block: ['*.example.org']}");
  PolicySet::Overlay overlay;
  overlay.allow = {"a.example.org"};
  overlay.block = {"**.example.com", "*.example.net"};
  overlay.default_action = "block";
  const auto joined = set->with(overlay);
  REQUIRE(joined.has_value());
  const auto mine = (*joined)->find("");
  CHECK(decide(*mine, "www.example.com") == "allow rule");  // exact, from the file
  CHECK(decide(*mine, "ftp.example.com") == "NXDOMAIN rule");
  CHECK(rule_for(*mine, "ftp.example.com") == "command line: block **.example.com");
  CHECK(decide(*mine, "a.example.org") == "allow rule");
  CHECK(decide(*mine, "x.example.net") == "NXDOMAIN rule");
  CHECK(decide(*mine, "else.example") == "NXDOMAIN default");
  CHECK(rule_for(*mine, "else.example") == "command line: default block");
  CHECK(decide(*set->find(""), "ftp.example.com") ==
        "allow default");  // the set it was made from is as before

  SUBCASE("a tie with the file blocks") {
    PolicySet::Overlay tie;
    tie.allow = {"*.example.org"};
    tie.block = {"www.example.com"};
    const auto tied = (*set->with(tie))->find("");
    CHECK(decide(*tied, "x.example.org") == "NXDOMAIN rule");
    CHECK(decide(*tied, "www.example.com") == "NODATA rule");
  }
  SUBCASE("it lands on the policy that is named") {
    PolicySet::Overlay other;
    other.base = "deny-all";
    other.allow = {"www.example.com"};
    const auto both = *set->with(other);
    CHECK(decide(*both->find("deny-all"), "www.example.com") == "allow rule");
    CHECK(both->find("deny-all")->alert_on_first_query());
  }
  SUBCASE("mistakes quote the value") {
    const auto message = [&](PolicySet::Overlay wrong) { return set->with(wrong).error().message; };
    PolicySet::Overlay wrong;
    wrong.allow = {"*.com"};
    CHECK(message(wrong) ==
          "command line: cannot read pattern \"*.com\": it covers the public suffix \"com\"; set "
          "allow_public_suffix: true if that is meant");
    wrong = {};
    wrong.default_action = "deny";
    CHECK(message(wrong) == "command line: cannot read default \"deny\": it is allow or block");
    wrong = {};
    wrong.base = "nobody";
    CHECK(message(wrong) == "cannot add rules to policy \"nobody\": there is no such policy");
  }
}

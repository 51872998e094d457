// Special names: answered here, overridden only by a rule for exactly such a zone.
#include "rules/special.h"

#include "support.h"

using namespace postern;
using postern::test::decide;
using postern::test::name;
using postern::test::policy;
using postern::test::rule_for;

TEST_CASE("special names are answered here") {
  const auto plain = PolicySet::builtin()->find("");
  const struct {
    const char* name;
    Type type;
    const char* told;
  } rows[] = {
      {"localhost", type::A, "local data special_use"},
      {"a.b.localhost", type::AAAA, "local data special_use"},
      {"localhost", type::MX, "local NODATA special_use"},
      {"localhost.example.com", type::A, "allow default"},
      {"mylocalhost", type::A, "local NXDOMAIN single_label"},
      {"invalid", type::A, "local NXDOMAIN special_use"},
      {"a.test", type::A, "local NXDOMAIN special_use"},
      {"a.onion", type::A, "local NXDOMAIN special_use"},
      {"a.alt", type::A, "local NXDOMAIN special_use"},
      {"printer.local", type::A, "local NXDOMAIN special_use"},
      {"kubernetes.default.svc.cluster.local", type::A, "local NXDOMAIN special_use"},
      {"vault.internal", type::A, "local NXDOMAIN special_use"},
      {"intranet", type::A, "local NXDOMAIN special_use"},
      {"dc.corp", type::A, "local NXDOMAIN special_use"},
      {"www.example.com.localdomain", type::A, "local NXDOMAIN special_use"},
      {"www.localdomain.example.com", type::A, "allow default"},
      {"nas.lan", type::A, "local NXDOMAIN special_use"},
      {"a.local.example.com", type::A, "allow default"},
      {"home.arpa", type::A, "local NODATA special_use"},
      {"nas.home.arpa", type::A, "local NXDOMAIN special_use"},
      // RFC 6761 section 6.5: not for a resolver to treat specially.
      {"a.example", type::A, "allow default"},
      {"example.com", type::A, "allow default"},

      {"1.0.0.127.in-addr.arpa", type::PTR, "local data special_use"},
      {"1.0.0.127.in-addr.arpa", type::A, "local NODATA special_use"},
      {"2.0.0.127.in-addr.arpa", type::PTR, "local NXDOMAIN special_use"},
      {"x.1.0.0.127.in-addr.arpa", type::PTR, "local NXDOMAIN special_use"},
      {"1.0.0.128.in-addr.arpa", type::PTR, "allow default"},
      {"4.3.2.10.in-addr.arpa", type::PTR, "local NXDOMAIN special_use"},
      {"10.in-addr.arpa", type::SOA, "local NODATA special_use"},
      {"4.3.2.11.in-addr.arpa", type::PTR, "allow default"},
      {"1.1.15.172.in-addr.arpa", type::PTR, "allow default"},
      {"1.1.16.172.in-addr.arpa", type::PTR, "local NXDOMAIN special_use"},
      {"1.1.31.172.in-addr.arpa", type::PTR, "local NXDOMAIN special_use"},
      {"1.1.32.172.in-addr.arpa", type::PTR, "allow default"},
      {"1.1.168.192.in-addr.arpa", type::PTR, "local NXDOMAIN special_use"},
      {"1.1.167.192.in-addr.arpa", type::PTR, "allow default"},
      {"1.1.63.100.in-addr.arpa", type::PTR, "allow default"},
      {"1.1.64.100.in-addr.arpa", type::PTR, "local NXDOMAIN special_use"},
      {"1.1.99.100.in-addr.arpa", type::PTR, "local NXDOMAIN special_use"},
      {"1.1.100.100.in-addr.arpa", type::PTR, "local NXDOMAIN special_use"},
      {"1.1.127.100.in-addr.arpa", type::PTR, "local NXDOMAIN special_use"},
      {"1.1.128.100.in-addr.arpa", type::PTR, "allow default"},
      {"254.169.254.169.in-addr.arpa", type::PTR, "local NXDOMAIN special_use"},
      {"1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.ip6.arpa", type::PTR,
       "local data special_use"},
      {"0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.ip6.arpa", type::PTR,
       "local NODATA special_use"},
      {"2.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.ip6.arpa", type::PTR,
       "allow default"},
      {"1.d.f.ip6.arpa", type::PTR, "local NXDOMAIN special_use"},
      {"1.c.f.ip6.arpa", type::PTR, "allow default"},
      {"1.b.e.f.ip6.arpa", type::PTR, "local NXDOMAIN special_use"},
      {"1.c.e.f.ip6.arpa", type::PTR, "allow default"},
      {"1.8.b.d.0.1.0.0.2.ip6.arpa", type::PTR, "local NXDOMAIN special_use"},

      {"use-application-dns.net", type::A, "local NXDOMAIN special_use"},
      {"_dns.resolver.arpa", type::SVCB, "local NODATA special_use"},
      {"resolver.arpa", type::NS, "local NODATA special_use"},
      {"mask.icloud.com", type::A, "local NXDOMAIN special_use"},
      {"mask-h2.icloud.com", type::A, "local NXDOMAIN special_use"},
      {"www.icloud.com", type::A, "allow default"},

      {"metadata.google.internal", type::A, "NXDOMAIN special_use"},
      {"metadata", type::A, "NXDOMAIN special_use"},
      {"instance-data.ec2.internal", type::A, "NXDOMAIN special_use"},
      {"metadata.goog", type::A, "NXDOMAIN special_use"},
      {"metadata.example.com", type::A, "allow default"},
  };
  for (const auto& row : rows) {
    CAPTURE(std::string(row.name));
    CHECK(decide(*plain, row.name, row.type) == std::string(row.told));
  }
}

TEST_CASE("local answers hold the right data, for the name that was asked") {
  const auto plain = PolicySet::builtin()->find("");
  const Answer& v4 = *plain->decide({name("x.localhost"), type::A}).local;
  REQUIRE(v4.answer.size() == 1);
  CHECK(v4.answer[0].owner.is_root());  // the path puts the query's name there
  CHECK(v4.answer[0].rdata == std::vector<std::uint8_t>{127, 0, 0, 1});
  const Answer& v6 = *plain->decide({name("localhost"), type::AAAA}).local;
  CHECK(v6.answer[0].rdata == std::vector<std::uint8_t>{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1});
  const Answer& pointer = *plain->decide({name("1.0.0.127.in-addr.arpa"), type::PTR}).local;
  CHECK(pointer.answer[0].type == type::PTR);
  CHECK(*Name::from_wire(pointer.answer[0].rdata) == name("localhost"));
}

TEST_CASE("negative local answers carry an SOA whose owner is an ancestor, TTL and minimum 5 s") {
  const auto plain = PolicySet::builtin()->find("");
  for (const char* text :
       {"a.b.test", "test", "4.3.2.10.in-addr.arpa", "x.mask.icloud.com", "_dns.resolver.arpa", "db"}) {
    CAPTURE(std::string(text));
    const Verdict verdict = plain->decide({name(text), type::TXT});
    REQUIRE(verdict.local != nullptr);
    REQUIRE(verdict.local->authority.size() == 1);
    const Record& soa = verdict.local->authority[0];
    CHECK(soa.type == type::SOA);
    CHECK(soa.ttl == 5);
    CHECK(name(text).at_or_below(soa.owner));
    const auto first = Name::from_wire(soa.rdata);
    REQUIRE(first.has_value());
    const auto second = Name::from_wire(std::span(soa.rdata).subspan(first->size()));
    REQUIRE(second.has_value());
    REQUIRE(soa.rdata.size() == first->size() + second->size() + 20);
    CHECK(std::vector<std::uint8_t>(soa.rdata.end() - 4, soa.rdata.end()) ==
          std::vector<std::uint8_t>{0, 0, 0, 5});
  }
}

TEST_CASE("an inline rule at a special zone or below it takes over; one further up does not") {
  const auto opened =
      policy("{allow: ['**.internal', printer.local, '**.168.192.in-addr.arpa', mask.icloud.com]}");
  CHECK(decide(*opened, "vault.internal") == "allow rule");
  CHECK(decide(*opened, "a.b.internal") == "allow rule");
  CHECK(decide(*opened, "printer.local") == "allow rule");
  CHECK(decide(*opened, "scanner.local") == "local NXDOMAIN special_use");
  CHECK(decide(*opened, "local") == "local NODATA special_use");  // printer.local is below it
  CHECK(decide(*opened, "1.1.168.192.in-addr.arpa", type::PTR) == "allow rule");
  CHECK(decide(*opened, "mask.icloud.com") == "allow rule");
  CHECK(decide(*opened, "mask-h2.icloud.com") == "local NXDOMAIN special_use");
  // Deeper special names stay: the metadata service of a cloud is one.
  CHECK(decide(*opened, "metadata.google.internal") == "NXDOMAIN special_use");
  CHECK(decide(*policy("allow: [metadata.google.internal]"), "metadata.google.internal") == "allow rule");

  const auto wide = policy("{allow_public_suffix: true, allow: ['*', '**.arpa', '**.net', '**.icloud.com']}");
  CHECK(decide(*wide, "vault.internal") == "local NXDOMAIN special_use");
  CHECK(decide(*wide, "1.1.168.192.in-addr.arpa", type::PTR) == "local NXDOMAIN special_use");
  CHECK(decide(*wide, "use-application-dns.net") == "local NXDOMAIN special_use");
  CHECK(decide(*wide, "mask.icloud.com") == "local NXDOMAIN special_use");

  const auto blocked = policy("{block: ['**.localhost', '**.test']}");
  CHECK(decide(*blocked, "localhost") == "NXDOMAIN rule");
  CHECK(decide(*blocked, "a.test") == "NXDOMAIN rule");
}

TEST_CASE("a special name's rule text names its source") {
  const auto plain = PolicySet::builtin()->find("");
  CHECK(rule_for(*plain, "a.onion") == "special name **.onion (RFC 7686)");
  CHECK(rule_for(*plain, "metadata.google.internal") ==
        "cloud metadata name **.metadata.google.internal (Google Cloud)");
  CHECK(rule_for(*plain, "1.1.64.100.in-addr.arpa", type::PTR) ==
        "special name: 100.64.0.0/10, reversed (RFC 7793)");
}

TEST_CASE("is_special_use knows zones and what is below, label by label") {
  for (const char* text :
       {"internal", "a.internal", "10.in-addr.arpa", "64.100.in-addr.arpa", "mask.icloud.com"})
    CHECK_MESSAGE(is_special_use(name(text)), text);
  for (const char* text : {".", "com", "icloud.com", "myinternal", "a\\.internal", "63.100.in-addr.arpa",
                           "in-addr.arpa", "example"})
    CHECK_MESSAGE(!is_special_use(name(text)), text);
}

TEST_CASE("every row of the table is a name and says where it comes from") {
  CHECK(special_names().size() > 100);
  for (const SpecialName& row : special_names()) {
    CHECK_MESSAGE(Name::parse(row.zone).has_value(), row.zone);
    CHECK(row.what.find('(') != std::string_view::npos);
    CHECK(row.what.size() <= 255);
  }
}

// Public suffixes: registered domains by the private and by the ICANN rules.
#include "rules/public_suffix.h"

#include "support.h"

using namespace postern;
using postern::test::name;

TEST_CASE("registered domains by the private and the ICANN rules") {
  const struct {
    const char* name;
    const char* registered;
    const char* icann;
  } rows[] = {
      {"www.example.com", "example.com", "example.com"},
      {"example.com", "example.com", "example.com"},
      {"com", "com", "com"},
      {"a.b.bbc.co.uk", "bbc.co.uk", "bbc.co.uk"},
      {"co.uk", "co.uk", "co.uk"},
      {"a.user.github.io", "user.github.io", "github.io"},
      {"github.io", "github.io", "github.io"},
      {"a.x.cloudfront.net", "x.cloudfront.net", "cloudfront.net"},
      {"x.cloudfront.net", "x.cloudfront.net", "cloudfront.net"},
      // The wildcard rule *.ck and its exception !www.ck.
      {"a.b.shop.ck", "b.shop.ck", "b.shop.ck"},
      {"b.shop.ck", "b.shop.ck", "b.shop.ck"},
      {"a.www.ck", "www.ck", "www.ck"},
      {"www.ck", "www.ck", "www.ck"},
      // A suffix nobody knows: the last label is taken for one.
      {"a.b.c.no-such-tld", "c.no-such-tld", "c.no-such-tld"},
      {"no-such-tld", "no-such-tld", "no-such-tld"},
  };
  for (const auto& row : rows) {
    CAPTURE(std::string(row.name));
    const Name full = name(row.name);
    CHECK(full.suffix(PublicSuffixes::registered_labels(full)).text() == std::string(row.registered));
    CHECK(full.suffix(PublicSuffixes::icann_registered_labels(full)).text() == std::string(row.icann));
  }
  CHECK(PublicSuffixes::registered_labels(Name{}) == 0);
}

TEST_CASE("the ICANN rules never need more labels than the private ones") {
  for (const char* text :
       {"a.b.c.s3.amazonaws.com", "x.y.blogspot.com", "a.b.compute.amazonaws.com", "a.b.c.d.kawasaki.jp",
        "a.city.kawasaki.jp", "x.y.z.in-addr.arpa", "a\\.b.github.io", "\\000.co.uk"}) {
    CAPTURE(std::string(text));
    const Name full = name(text);
    const std::size_t mine = PublicSuffixes::registered_labels(full),
                      parent = PublicSuffixes::icann_registered_labels(full);
    CHECK(parent <= mine);
    CHECK(mine <= full.labels());
    CHECK(parent >= 1);
  }
}

TEST_CASE("an escaped dot is not a border") {
  // Were it one, "evil\.co.uk" would be read as "evil" below the suffix "co.uk" with one label too many.
  const Name full = name("x.evil\\.co.uk");
  CHECK(full.suffix(PublicSuffixes::registered_labels(full)).text() == "evil\\.co.uk");
}

TEST_CASE("what is a public suffix") {
  for (const char* text : {".", "com", "co.uk", "github.io", "no-such-tld", "anything.ck"})
    CHECK_MESSAGE(PublicSuffixes::is_public_suffix(name(text)), text);
  for (const char* text : {"example.com", "user.github.io", "www.ck", "a.no-such-tld"})
    CHECK_MESSAGE(!PublicSuffixes::is_public_suffix(name(text)), text);
}

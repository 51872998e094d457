// Public suffixes: registered domains by the private and by the ICANN rules.
#include "rules/public_suffix.h"

#include <libpsl.h>

#include <array>

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

TEST_CASE("the filter in front of libpsl never changes its answer") {
  // Every chain of up to four of these labels: rules of all kinds, what is one label above and below them,
  // and much that is no rule.
  constexpr auto labels = std::to_array<std::string_view>(
      {"com",        "uk",      "co",        "io",         "github",   "ck",        "www", "jp",
       "kawasaki",   "city",    "amazonaws", "compute",    "s3",       "us-east-1", "cn",  "net",
       "cloudfront", "example", "no",        "xn--55qx5d", "blogspot", "x"});
  std::size_t suffixes = 0, names = 0;
  const auto check_name = [&](const std::string& text) {
    const bool expected = psl_is_public_suffix2(psl_builtin(), text.c_str(), PSL_TYPE_ANY) != 0;
    if (PublicSuffixes::is_public_suffix(name(text)) != expected) FAIL_CHECK(text);
    suffixes += expected;
    ++names;
  };
  for (const std::string_view a : labels) {
    check_name(std::string(a));
    for (const std::string_view b : labels) {
      const std::string two = std::string(b) + "." + std::string(a);
      check_name(two);
      for (const std::string_view c : labels) {
        const std::string three = std::string(c) + "." + two;
        check_name(three);
        for (const std::string_view d : labels) check_name(std::string(d) + "." + three);
      }
    }
  }
  CHECK(suffixes > 100);
  CHECK(suffixes < names / 10);
}

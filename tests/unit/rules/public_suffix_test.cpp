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

namespace {

std::shared_ptr<const SuffixList> list_of(const std::string& icann, const std::string& others = {}) {
  const auto list =
      SuffixList::parse("// ===BEGIN ICANN DOMAINS===\n" + icann + "// ===END ICANN DOMAINS===\n" +
                            "// ===BEGIN PRIVATE DOMAINS===\n" + others + "// ===END PRIVATE DOMAINS===\n",
                        "list.dat", 1'700'000'000);
  REQUIRE_MESSAGE(list.has_value(), (list ? "" : list.error().message));
  return *list;
}

const std::vector<std::string> some_names{"www.example.com",
                                          "example.com",
                                          "com",
                                          "a.b.bbc.co.uk",
                                          "x.y.user.github.io",
                                          "d1.cloudfront.net",
                                          "a.b.shop.ck",
                                          "www.ck",
                                          "a.b.c.no-such-tld",
                                          "no-such-tld",
                                          "x.kawasaki.jp",
                                          "a.b.city.kawasaki.jp",
                                          "1.0.0.127.in-addr.arpa",
                                          "evil.example.com",
                                          "q.w.e.r.t.y.com"};

}  // namespace

TEST_CASE("the meter cuts at the registered domain, and names that are in no list share the root's ledgers") {
  const auto list = SuffixList::builtin();
  const struct {
    const char* name;
    std::size_t zone, parent;
  } rows[] = {{"www.example.com", 2, 2}, {"com", 1, 1},         {"x.user.github.io", 3, 2},
              {"a.b.bbc.co.uk", 3, 3},   {"a.b.shop.ck", 3, 3}, {"a.b.c.no-such-tld", 0, 0},
              {"no-such-tld", 0, 0},     {".", 0, 0},           {"a.github.io.no-such-tld", 0, 0}};
  for (const auto& row : rows) {
    CAPTURE(std::string(row.name));
    const LedgerCut cut = list->ledger_cut(name(row.name));
    CHECK(cut.zone == row.zone);
    CHECK(cut.parent == row.parent);
  }
  CHECK(list->ledger_cut(name("a.b.c.no-such-tld")).registered == 2);
}

TEST_CASE("no list that the operator points at opens a budget: stale, empty-handed or hostile") {
  const auto builtin = SuffixList::builtin();
  const std::vector<std::shared_ptr<const SuffixList>> lists{
      list_of("com\n"),     // nearly everything is missing
      list_of("*\ncom\n"),  // every name is a suffix
      list_of("*.com\n*.*.com\n*.example.com\n*.no-such-tld\n*.net\n*.ck\n*.jp\n"),
      list_of("com\nexample.com\nwww.example.com\ngithub.io\nno-such-tld\nc.no-such-tld\n"),
      list_of("", "*.com\n*.example.com\n*.github.io\nno-such-tld\n"),
      list_of("com\n!example.com\n", "!user.github.io\n"),
      list_of("e.w.q.com\nio\n", "example.com\nevil.example.com\nx.y.user.github.io\n"),  // some, with gaps
  };
  for (std::size_t i = 0; i < lists.size(); ++i)
    for (const std::string& text : some_names) {
      CAPTURE(i);
      CAPTURE(text);
      const LedgerCut mine = lists[i]->ledger_cut(name(text)), trusted = builtin->ledger_cut(name(text));
      CHECK(mine.parent <= trusted.parent);
      CHECK(mine.zone <= trusted.zone);
      CHECK(mine.parent <= mine.zone);
      CHECK(mine.zone <= mine.registered);
    }
  // No ledger of the built-in list is divided: what shares one of its zones, or parents, still does.
  for (const auto& list : lists)
    for (const std::string& one : some_names)
      for (const std::string below : {"a.", "b.c.", "d.e.w.q.", "f.evil."}) {
        const Name first = name(one), second = name(below + one);
        const LedgerCut a = builtin->ledger_cut(first), b = builtin->ledger_cut(second);
        const LedgerCut mine = list->ledger_cut(first), other = list->ledger_cut(second);
        CAPTURE(second.text());
        if (a.zone == b.zone) CHECK(mine.zone == other.zone);
        if (a.parent == b.parent) CHECK(mine.parent == other.parent);
      }
  // The neighbour: a newer list names the registered domain of records, and only that.
  const auto newer = list_of("com\nnew-tld\n", "platform.com\n");
  CHECK(newer->ledger_cut(name("x.site.platform.com")).zone == 2);
  CHECK(newer->ledger_cut(name("x.site.platform.com")).parent == 2);
  CHECK(newer->ledger_cut(name("x.site.new-tld")).zone == 0);
  CHECK(newer->ledger_cut(name("x.site.new-tld")).parent == 0);
  CHECK(newer->ledger_cut(name("x.site.platform.com")).registered == 3);
}

TEST_CASE("what is no public suffix list is refused with its name; a list tells its date") {
  for (const char* text : {"", "com\nnet\n", ".DAFSA@PSL_0   \n\1\2\3", "// ===BEGIN ICANN DOMAINS===\n"}) {
    const auto list = SuffixList::parse(text, "/tmp/list", 0);
    REQUIRE_FALSE(list.has_value());
    CHECK(list.error().message.starts_with("cannot use the public suffix list \"/tmp/list\": "));
  }
  CHECK(list_of("com\n")->version() == "2023-11-14, list.dat");
  const auto dated = SuffixList::parse(
      "// VERSION: 2026-05-01_13-01-11_UTC\n// ===BEGIN ICANN DOMAINS===\ncom\n", "list.dat", 1'700'000'000);
  REQUIRE(dated.has_value());
  CHECK((*dated)->version() == "2026-05-01, list.dat");
  CHECK((*dated)->date() == 1'777'593'600);
  CHECK(PublicSuffixes::version().ends_with(", built in"));
}

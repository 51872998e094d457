// The DNS part of adblock syntax: which rules are used, as what, and which are skipped as a whole.
#include "list_support.h"

using namespace postern;
using postern::test::told;
using postern::test::told_as;

namespace {

struct AdblockRow {
  const char *text, *entries, *skipped;
};

}  // namespace

TEST_CASE("adblock: rules that name a name") {
  const AdblockRow rows[] = {
      {"||example.com^", "1 block **.example.com", ""},
      {"||EXAMPLE.com^", "1 block **.example.com", ""},
      {"||example.com^|", "1 block **.example.com", ""},
      {"||example.com|", "1 block **.example.com", ""},
      {"||example.com^*", "1 block **.example.com", ""},
      {"||example.com/*", "1 block **.example.com", ""},
      {"||example.com", "1 block **.example.com", ""},
      {"||*.example.com^", "1 block *.example.com", ""},
      {"*.example.com^", "1 block *.example.com", ""},
      {".example.com^", "1 block *.example.com", ""},
      {"|example.com^", "1 block example.com", ""},
      {"|example.com|", "1 block example.com", ""},
      {"@@||example.com^", "1 allow **.example.com", ""},
      {"@@|example.com^", "1 allow example.com", ""},
      {"||example.com^$important", "1 block **.example.com important", ""},
      {"@@||example.com^$important", "1 allow **.example.com important", ""},
      {"||example.com^$all", "1 block **.example.com", ""},
      {"||b\xc3\xbc"
       "cher.example^",
       "1 block **.xn--bcher-kva.example", ""},
      {"||example.com^ # why", "1 block **.example.com", ""},
      {"||1.example.com^", "1 block **.1.example.com", ""},
      // Important is the rule's own, not the next one's.
      {"||a.example.com^$important\n||b.example.com^\n|c.example.com^",
       "1 block **.a.example.com important | 2 block **.b.example.com | 3 block c.example.com", ""},
      // Hosts lines and plain domains inside.
      {"||a.example.com^\n0.0.0.0 b.example.com c.example.com\nd.example.com\n192.0.2.1 e.example.com",
       "1 block **.a.example.com | 2 block b.example.com | 2 block c.example.com | 3 block d.example.com | 4 "
       "local "
       "e.example.com [A:5:c0000201]",
       ""},
  };
  for (const AdblockRow& row : rows) {
    CAPTURE(std::string(row.text));
    const auto list = told_as(ListFormat::adblock, row.text);
    CHECK(list.error == "");
    CHECK(list.entries == row.entries);
    CHECK(list.skipped == row.skipped);
  }
}

TEST_CASE("adblock: types and exceptions") {
  const AdblockRow rows[] = {
      {"||example.com^$dnstype=AAAA", "1 block **.example.com types AAAA", ""},
      {"||example.com^$dnstype=a|TXT|type65", "1 block **.example.com types A,TXT,HTTPS", ""},
      {"||example.com^$dnstype=~A|~CNAME", "1 block **.example.com types ~A,CNAME", ""},
      {"||example.com^$dnstype=~A|MX", "1 block **.example.com types MX", ""},
      {"||example.com^$denyallow=a.example.com|b.example.com",
       "1 block **.example.com except a.example.com except b.example.com", ""},
      {"||example.com^$important,dnstype=TXT,denyallow=a.example.com",
       "1 block **.example.com important types TXT except a.example.com", ""},
      {"||example.com^$dnstype=", "", "1 a modifier with a bad value"},
      {"||example.com^$dnstype=A|", "1 block **.example.com types A", ""},
      {"||example.com^$dnstype=|A", "", "1 a modifier with a bad value"},
      {"||example.com^$dnstype=BOGUS", "", "1 a modifier with a bad value"},
      {"||example.com^$denyallow=", "", "1 a modifier with a bad value"},
      {"||example.com^$denyallow=*.a.example", "", "1 a modifier with a bad value"},
      {"||example.com^$denyallow=~a.example", "", "1 a modifier with a bad value"},
      {"||example.com^$dnstype", "", "1 an unknown modifier"},
      {"*$denyallow=com|net", "", "1 a wildcard over a public suffix"},
      {"||*^$dnstype=HTTPS", "", "1 a wildcard over a public suffix"},
      {"$dnstype=HTTPS", "", "1 a wildcard over a public suffix"},
  };
  for (const AdblockRow& row : rows) {
    CAPTURE(std::string(row.text));
    const auto list = told_as(ListFormat::adblock, row.text);
    CHECK(list.error == "");
    CHECK(list.entries == row.entries);
    CHECK(list.skipped == row.skipped);
  }
  ListOptions options;
  options.format = ListFormat::adblock;
  options.allow_public_suffix = true;
  CHECK(told("*$denyallow=com|net\n||*^$dnstype=HTTPS\n||com^\n", options).entries ==
        "1 block ** except com except net | 2 block ** types HTTPS | 3 block **.com");
}

TEST_CASE("adblock: what is not for DNS is skipped as a whole, by cause") {
  const AdblockRow rows[] = {
      {"||example.com^$third-party", "", "1 an unknown modifier"},
      {"||example.com^$popup", "", "1 an unknown modifier"},
      {"||example.com^$important,popup", "", "1 an unknown modifier"},
      {"||example.com^$document", "", "1 an unknown modifier"},
      {"||example.com^$IMPORTANT", "", "1 an unknown modifier"},
      {"||example.com^$~important", "", "1 an unknown modifier"},
      {"||example.com^$client=192.0.2.1", "", "1 an unknown modifier"},
      {"||example.com^$dnsrewrite=192.0.2.1", "", "1 an unknown modifier"},
      {"||example.com^$", "1 block **.example.com", ""},
      {"@@||example.com^$all", "", "1 an unknown modifier"},
      {"||example.com^$domain=example.org", "", "1 an unknown modifier"},
      {"##.banner", "", "1 a cosmetic rule"},
      {"#@#.banner", "", "1 a cosmetic rule"},
      {"example.com##.banner", "", "1 a cosmetic rule"},
      {"example.com#@#.banner", "", "1 a cosmetic rule"},
      {"example.com#?#div:has(a)", "", "1 a cosmetic rule"},
      {"example.com#$#body { color: red }", "", "1 a cosmetic rule"},
      {"example.com#%#//scriptlet('x')", "", "1 a cosmetic rule"},
      {"example.com$$script[tag=\"x\"]", "", "1 a cosmetic rule"},
      {"[$path=/x]example.com##.ad", "", "1 a cosmetic rule"},
      {"/ads[0-9]+\\./", "", "1 a regular expression"},
      {"/ads/$important", "", "1 a regular expression"},
      {"@@/ads/", "", "1 a regular expression"},
      {"/banner", "", "1 a rule about URLs"},
      {"||example.com/banner", "", "1 a rule about URLs"},
      {"||example.com/banner^", "", "1 a rule about URLs"},
      {"||example.com:8080^", "", "1 a rule about URLs"},
      {"|https://example.com^", "", "1 a rule about URLs"},
      {"example.com/banner.gif", "", "1 a rule about URLs"},
      {"&ad=", "", "1 a rule about URLs"},
      {"||ads.", "", "1 a pattern that matches parts of names"},
      {"||ads-", "", "1 a pattern that matches parts of names"},
      {"|ads.example.com", "", "1 a pattern that matches parts of names"},
      {"example.com^", "", "1 a pattern that matches parts of names"},
      {"@@example.com", "", "1 a pattern that matches parts of names"},
      {"||ads*.example.com^", "", "1 a pattern that matches parts of names"},
      {"||example.*^", "", "1 a pattern that matches parts of names"},
      {"ads*.example.com", "", "1 a pattern that matches parts of names"},
      {"||com^", "", "1 a wildcard over a public suffix"},
      {"||github.io^", "", "1 a wildcard over a public suffix"},
      {"@@||co.uk^", "", "1 a wildcard over a public suffix"},
      {"|com^", "1 block com", ""},
      {"!#include other.txt", "", "1 an include: only the file itself is read"},
      {"! a comment\n# a comment\n!\n#\n[Adblock Plus 2.0]\n## a comment\n#### a comment", "", ""},
  };
  for (const AdblockRow& row : rows) {
    CAPTURE(std::string(row.text));
    const auto list = told_as(ListFormat::adblock, row.text);
    CHECK(list.error == "");
    CHECK(list.entries == row.entries);
    CHECK(list.skipped == row.skipped);
  }
}

TEST_CASE("adblock: what is not a name in any reading") {
  const AdblockRow rows[] = {
      {"||192.0.2.1^", "", "1 an address, not a name"},
      {"||a..b.example^", "", "1 an empty label"},
      {"||exa mple.com^", "", "1 more than one word"},
      {"||example.com^ $important", "", "1 more than one word"},
      {"||exam\"ple.com^", "", "1 characters that names do not have"},
  };
  for (const AdblockRow& row : rows) {
    CAPTURE(std::string(row.text));
    const auto list = told_as(ListFormat::adblock, "||always.example^\n" + std::string(row.text));
    CHECK(list.entries == "1 block **.always.example");
    CHECK(list.skipped == row.skipped);
  }
}

TEST_CASE("$badfilter disables the rule of the same text, above it and below it") {
  const AdblockRow rows[] = {
      {"||a.example^\n||a.example^$badfilter", "", "1 disabled by $badfilter"},
      {"||a.example^$badfilter\n||a.example^\n||a.example^\n||b.example^", "4 block **.b.example",
       "2 disabled by $badfilter"},
      {"@@||a.example^\n||a.example^\n@@||a.example^$badfilter", "2 block **.a.example",
       "1 disabled by $badfilter"},
      // With its modifiers, in any order; not the rule with others.
      {"||a.example^$important,dnstype=A\n||a.example^\n||a.example^$dnstype=A,badfilter,important",
       "2 block **.a.example", "1 disabled by $badfilter"},
      {"||a.example^\n||a.example^$important,badfilter", "1 block **.a.example",
       "1 a $badfilter that disables nothing"},
      {"||www.a.example^\n||a.example^$badfilter", "1 block **.www.a.example",
       "1 a $badfilter that disables nothing"},
      {"! badfilter\n||a.example^", "2 block **.a.example", ""},
      {"||badfilter.example^", "1 block **.badfilter.example", ""},
  };
  for (const AdblockRow& row : rows) {
    CAPTURE(std::string(row.text));
    const auto list = told_as(ListFormat::adblock, row.text);
    CHECK(list.error == "");
    CHECK(list.entries == row.entries);
    CHECK(list.skipped == row.skipped);
  }
  const auto list = told_as(ListFormat::adblock, "||b.example^\n||a.example^$badfilter\n");
  REQUIRE(list.report.skipped.size() == 1);
  CHECK(list.report.skipped[0].first[0] == "list.txt:2: \"||a.example^$badfilter\"");
}

TEST_CASE("$badfilter disables a plain name, and a comment after it does not matter") {
  const auto plain = told_as(ListFormat::adblock, "ads.example$badfilter\nads.example\nads2.example\n");
  CHECK(plain.entries == "3 block ads2.example");
  CHECK(plain.skipped == "1 disabled by $badfilter");
  CHECK(told_as(ListFormat::adblock, "*.ads.example\nads.example # why\nads.example$badfilter\n").entries ==
        "1 block *.ads.example");
  const auto commented = told_as(ListFormat::adblock,
                                 "||ads.example^$badfilter # breaks a page\n||ads.example^\n||b.example^\n");
  CHECK(commented.entries == "3 block **.b.example");
  CHECK(commented.skipped == "1 disabled by $badfilter");
  // More words that are no comment are no rule.
  CHECK(told_as(ListFormat::adblock, "||ads.example^$badfilter breaks\n||ads.example^\n").entries ==
        "2 block **.ads.example");
}

TEST_CASE("$badfilter lines count against the limit of entries") {
  ListOptions options;
  options.format = ListFormat::adblock;
  options.most_entries = 3;
  const std::string two = "||a.example^$badfilter\n||b.example^$badfilter\n";
  CHECK(postern::test::told(two + "||c.example^$badfilter\n||d.example^\n", options).error == "");
  CHECK(postern::test::told(two + "||a.example^$badfilter\n||d.example^$badfilter\n", options).error ==
        "cannot read list list.txt:4: it has over 3 $badfilter lines");
  std::string many;
  for (int i = 0; i < 200'001; ++i) many += "||a^$badfilter\n";
  CHECK(told_as(ListFormat::adblock, many).error ==
        "cannot read list list.txt:200001: it has over 200000 $badfilter lines");
}

TEST_CASE("adblock: all $denyallow together have at most 200,000 names") {
  std::string rule = "||a.example^$denyallow=b.example";
  for (int i = 1; i < 5000; ++i) rule += "|b.example";
  std::string text;
  for (int i = 0; i < 40; ++i) text += rule + "\n";
  text += "||c.example^$denyallow=d.example\n||e.example^\n";
  const auto list = told(text);
  CHECK(list.report.entries == 41);
  CHECK(list.skipped == "1 more exceptions than a list may hold");
  CHECK(list.report.skipped[0].first[0] == "list.txt:41: \"||c.example^$denyallow=d.example\"");
}

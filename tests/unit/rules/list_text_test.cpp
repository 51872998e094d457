// Lists as a whole: which format a text is taken for, what no list can be, and what the report says.
#include "rules/list_text.h"

#include "list_support.h"

using namespace postern;
using postern::test::told;
using postern::test::told_as;

TEST_CASE("the first lines that decide say which format it is") {
  const struct {
    const char *text, *format;
  } rows[] = {
      {"", "domains"},
      {"# nothing but a comment\n", "domains"},
      {"example.com\n", "domains"},
      {"! comment\n*.example.com\n", "domains"},
      {"## Section ##\nexample.com\n", "domains"},
      {"example.com ## why\nexample.org\n", "domains"},
      {"0.0.0.0 example.com\n", "hosts"},
      {"\xef\xbb\xbf# comment\r\n127.0.0.1\texample.com\r\n", "hosts"},
      {"# comment\n\n::1 localhost\n0 example.com\n", "hosts"},
      {"0.0.0.0 a.example\nb.example\n", "hosts"},
      {"0.0.0.0 a.example\nb.example\nc.example\n", "domains"},
      {"192.0.2.1\n", "domains"},
      {"[Adblock Plus 2.0]\nexample.com\n", "adblock"},
      {"||example.com^\n", "adblock"},
      {"@@||example.com^\n", "adblock"},
      {"example.com##.banner\n", "adblock"},
      {"example.com#@#.banner\n", "adblock"},
      {"/ads[0-9]/\n", "adblock"},
      {"0.0.0.0 a.example\n||b.example^\n", "adblock"},
      {"a.example\nb.example\n||c.example^\n", "adblock"},
      {"$TTL 1h\n@ SOA a. b. 1 2 3 4 5\n", "rpz"},
      {"$ORIGIN rpz.example.\n", "rpz"},
      {"; comment\nexample.com CNAME .\n", "rpz"},
      {"example.com 300 IN A 192.0.2.1\n", "rpz"},
      {"*.example.com\tin\tcname\t.\n", "rpz"},
      {"@ IN SOA localhost. root.localhost. (\n 1 2 3 4 5 )\n", "rpz"},
      {"a.example b.example\n", "domains"},
      {"example.com CNAME\n", "domains"},
      {"$dollar\n", "domains"},
      {"ads.two.example   # a tracker\nads.example\n", "domains"},
      {"ads.example\t# see MX records\n", "domains"},
      {"ads.example ! not a TXT record\n", "domains"},
      {"ads.example # was ||ads.example^ once\n", "domains"},
      {"0.0.0.0 ads.example # a tracker\n", "hosts"},
      {"ads.example A 192.0.2.1 # a tracker\n", "rpz"},
      {"ads.example TXT \"# a tracker\"\n", "rpz"},
      {"ads.example#a MX record\n", "rpz"},  // no white space, no comment
      {"||ads.example^ # a tracker\n", "adblock"},
      {"/ads #[0-9]/\n", "adblock"},
  };
  for (const auto& row : rows) {
    CAPTURE(std::string(row.text));
    CHECK(list_format_text(detect_list_format(row.text)) == row.format);
  }
}

TEST_CASE("formats have names that read back") {
  for (const ListFormat format :
       {ListFormat::domains, ListFormat::hosts, ListFormat::adblock, ListFormat::rpz})
    CHECK(list_format_from_text(list_format_text(format)) == format);
  CHECK_FALSE(list_format_from_text("Domains"));
  CHECK_FALSE(list_format_from_text(""));
}

TEST_CASE("a format that is forced is not guessed") {
  CHECK(told("||a.example^\nb.example\n").entries == "1 block **.a.example | 2 block b.example");
  CHECK(told_as(ListFormat::domains, "||a.example^\nb.example\n").entries == "2 block b.example");
  CHECK(told_as(ListFormat::hosts, "0.0.0.0 a.example\nb.example\nc.example\n").entries ==
        "1 block a.example");
}

TEST_CASE("a byte order mark, Windows line ends and a missing last line end do not matter") {
  const auto list = told(
      "\xef\xbb\xbf"
      "a.example\r\n\r\nb.example\r\nc.example");
  CHECK(list.entries == "1 block a.example | 3 block b.example | 4 block c.example");
  CHECK(list.report.lines == 4);
  CHECK(list.report.blank == 1);
  CHECK(list.report.entries == 3);
}

TEST_CASE("the first three lines of a cause are quoted with file and line, most lines first") {
  const auto list = told("a b\nx.example\nc..d\ne f\nh i\nj k\n");
  REQUIRE(list.report.skipped.size() == 2);
  CHECK(list.report.skipped[0].cause == "more than one word");
  CHECK(list.report.skipped[0].lines == 4);
  CHECK(list.report.skipped[0].first ==
        std::vector<std::string>{"list.txt:1: \"a b\"", "list.txt:4: \"e f\"", "list.txt:5: \"h i\""});
  CHECK(list.report.skipped[1].lines == 1);
  CHECK(list.report.skipped[1].first == std::vector<std::string>{"list.txt:3: \"c..d\""});
  CHECK(list.report.skipped_lines() == 5);
}

TEST_CASE("what is quoted cannot hurt a terminal") {
  const auto list = told("a.example\n\x1b[31mred\n");
  REQUIRE(list.report.skipped.size() == 1);
  CHECK(list.report.skipped[0].first[0] == "list.txt:2: \"\\x1b[31mred\"");
}

TEST_CASE("what cannot be a list as a whole is an error that names file and line") {
  using namespace std::string_literals;
  const std::string long_line(65537, 'a');
  const struct {
    std::string text, error;
  } rows[] = {
      {"", "cannot read list list.txt:1: the file is empty"},
      {"\x7f"
       "ELF\x02\x01\x01\0\0\0"s,
       "cannot read list list.txt:1: \"\\x7fELF\\x02\\x01\\x01\\x00\" holds a NUL: it is not text"},
      {"a.example\nb.example\nc.\0example\n"s,
       "cannot read list list.txt:3: \"c.\\x00\" holds a NUL: it is not text"},
      {"\xff\xfe"
       "a\0"s,
       "cannot read list list.txt:1: it is UTF-16, not UTF-8"},
      {"\x1f\x8b\x08\0"s, "cannot read list list.txt:1: it is compressed twice"},
      {"<!DOCTYPE html>\n<html><body>Not found</body></html>\n",
       "cannot read list list.txt:1: \"<!DOCTYPE html>\": more than one word; and none of its 2 lines can be "
       "read as "
       "domains"},
      {long_line, "cannot read list list.txt:1: \"" + std::string(100, 'a') +
                      "...\": a line longer than any rule; and none of its 1 lines can be read as domains"},
  };
  for (const auto& row : rows) {
    CAPTURE(row.text.substr(0, 100));
    CHECK(told(row.text).error == row.error);
  }
}

TEST_CASE("a list without entries is a list, as long as it can be read") {
  CHECK(told("# nothing yet\n").error == "");
  CHECK(told("\n").report.blank == 1);
  CHECK(told("example.com##.banner\n").error == "");
  CHECK(told("127.0.0.1 localhost\n").error == "");
}

TEST_CASE("a line over the limit is skipped, its neighbour is read") {
  ListOptions options;
  options.format = ListFormat::domains;
  options.most_line_octets = 9;
  const auto list = told("a.example\nab.example\nb.example\n", options);
  CHECK(list.entries == "1 block a.example | 3 block b.example");
  CHECK(list.skipped == "1 a line longer than any rule");
}

TEST_CASE("a list over a limit is an error: octets, entries") {
  ListOptions options;
  options.most_octets = 19;
  CHECK(told("a.example\nb.example", options).error == "");
  CHECK(told("a.example\nb.example\n", options).error ==
        "cannot read list list.txt:1: it has 20 octets, and a list at most 19");
  options = {};
  options.most_entries = 2;
  CHECK(told("a.example\nb.example\n", options).error == "");
  CHECK(told("a.example\nb.example\nc.example\nd.example\n", options).error ==
        "cannot read list list.txt:3: it has over 2 entries");
}

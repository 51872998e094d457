// Plain domains and hosts files: what each line means, and which are not used and why.
#include "list_support.h"
#include "rules/list.h"

using namespace postern;
using postern::test::told;
using postern::test::told_as;

namespace {

struct DomainRow {
  std::string text, entries, skipped;
};

void check_lines(ListFormat format, const std::vector<DomainRow>& rows) {
  for (const DomainRow& row : rows) {
    CAPTURE(row.text);
    // A line that is always used, so that a single bad line is not an error of the whole.
    const std::string always = format == ListFormat::hosts ? "0.0.0.0 always.example\n" : "always.example\n";
    const auto list = told_as(format, always + row.text + "\n");
    CHECK(list.error == "");
    CHECK(list.entries ==
          (row.entries.empty() ? "1 block always.example" : "1 block always.example | " + row.entries));
    CHECK(list.skipped == row.skipped);
  }
}

const std::string label63(63, 'a'), label64(64, 'a');
// 3 * 64 + 62 = 254 octets with lengths, and the root: 255.
const std::string name255 = label63 + "." + label63 + "." + label63 + "." + std::string(61, 'b');
const std::string name256 = label63 + "." + label63 + "." + label63 + "." + std::string(62, 'b');

}  // namespace

TEST_CASE("plain domains: one name a line, exactly that name unless a wildcard says more") {
  check_lines(ListFormat::domains, {
                                       {"example.com", "2 block example.com", ""},
                                       {"EXAMPLE.Com.", "2 block example.com", ""},
                                       {"  example.com\t\r", "2 block example.com", ""},
                                       {"*.example.com", "2 block *.example.com", ""},
                                       {"**.example.com", "2 block **.example.com", ""},
                                       {".example.com", "2 block **.example.com", ""},
                                       {"_dmarc.example.com", "2 block _dmarc.example.com", ""},
                                       {"com", "2 block com", ""},
                                       {"example.com # why", "2 block example.com", ""},
                                       {"example.com ; why", "2 block example.com", ""},
                                       {"example.com ! why", "2 block example.com", ""},
                                       {"example.com\t#why", "2 block example.com", ""},
                                       {"# comment\n! comment\n; comment\n\n   # comment", "", ""},
                                       {"1.example.com", "2 block 1.example.com", ""},
                                       {"1.2.3.com", "2 block 1.2.3.com", ""},
                                       {"1.2.3.4.5", "2 block 1.2.3.4.5", ""},
                                       {label63 + ".example", "2 block " + label63 + ".example", ""},
                                       {name255, "2 block " + name255, ""},
                                       {name255 + ".", "2 block " + name255, ""},
                                   });
}

TEST_CASE("plain domains: lines that are not used are counted by cause") {
  check_lines(ListFormat::domains, {
                                       {"example.com example.org", "", "1 more than one word"},
                                       {"0.0.0.0 example.com", "", "1 more than one word"},
                                       {"192.0.2.1", "", "1 an address, not a name"},
                                       {"192.0.2.1.", "", "1 an address, not a name"},
                                       {"192.0.2.0/24", "", "1 an address, not a name"},
                                       {"2001:db8::1", "", "1 an address, not a name"},
                                       {"http://example.com/x", "", "1 a URL, not a name"},
                                       {"example.com/x", "", "1 a URL, not a name"},
                                       {"example.com:443", "", "1 characters that names do not have"},
                                       {"example.com##.banner", "", "1 characters that names do not have"},
                                       {"example.com#comment", "", "1 characters that names do not have"},
                                       {"exam\\046ple.com", "", "1 characters that names do not have"},
                                       {"a@example.com", "", "1 characters that names do not have"},
                                       {"example..com", "", "1 an empty label"},
                                       {"..example.com", "", "1 an empty label"},
                                       {".", "", "1 an empty label"},
                                       {"*.", "", "1 a wildcard inside a name"},
                                       {"*example.com", "", "1 a wildcard inside a name"},
                                       {"***.example.com", "", "1 a wildcard inside a name"},
                                       {"www.*.example.com", "", "1 a wildcard inside a name"},
                                       {label64 + ".example", "", "1 a label of over 63 octets"},
                                       {name256, "", "1 a name of over 255 octets"},
                                       {std::string(5000, 'a'), "", "1 a name of over 255 octets"},
                                       {"localhost", "", "1 a name of the machine itself"},
                                       {"localhost.localdomain", "", "1 a name of the machine itself"},
                                       {"localhost.localdomain4", "2 block localhost.localdomain4", ""},
                                       {"localhosts", "2 block localhosts", ""},
                                   });
}

TEST_CASE("names in Unicode become A-labels") {
  check_lines(ListFormat::domains, {
                                       {"b\xc3\xbc"
                                        "cher.example",
                                        "2 block xn--bcher-kva.example", ""},
                                       {"B\xc3\x9c"
                                        "CHER.example",
                                        "2 block xn--bcher-kva.example", ""},
                                       {"*.b\xc3\xbc"
                                        "cher.example",
                                        "2 block *.xn--bcher-kva.example", ""},
                                       // UTS 46 non-transitional: sharp s stays itself.
                                       {"fa\xc3\x9f"
                                        ".example",
                                        "2 block xn--fa-hia.example", ""},
                                       // The ideographic full stop is a dot.
                                       {"\xe4\xbe\x8b\xe3\x80\x82"
                                        "example",
                                        "2 block xn--fsq.example", ""},
                                       {"xn--bcher-kva.example", "2 block xn--bcher-kva.example", ""},
                                       {"\xff"
                                        ".example",
                                        "", "1 a name in Unicode that has no A-labels"},
                                       // A full-width asterisk would become a wildcard.
                                       {"\xef\xbc\x8a"
                                        ".example",
                                        "", "1 characters that names do not have"},
                                       {"\xe2\x80\x8b"
                                        "a.example.\xf0\x9f",
                                        "", "1 a name in Unicode that has no A-labels"},
                                   });
}

TEST_CASE("a wildcard over a public suffix is not used unless asked for") {
  const char* text = "**.com\n*.co.uk\n*.github.io\n**.example.com\n*.internal\n*\n**\ncom\n";
  const auto refused = told_as(ListFormat::domains, text);
  CHECK(refused.entries == "4 block **.example.com | 5 block *.internal | 8 block com");
  CHECK(refused.skipped == "5 a wildcard over a public suffix");
  ListOptions options;
  options.format = ListFormat::domains;
  options.allow_public_suffix = true;
  const auto allowed = told(text, options);
  CHECK(allowed.skipped == "");
  CHECK(allowed.entries ==
        "1 block **.com | 2 block *.co.uk | 3 block *.github.io | 4 block **.example.com | 5 block "
        "*.internal | 6 "
        "block * | 7 block ** | 8 block com");
}

TEST_CASE("with `subdomains` a plain name stands for what is below it too, a public suffix for itself") {
  ListOptions options;
  options.subdomains = true;
  options.format = ListFormat::domains;
  CHECK(told("example.com\n*.example.org\ngithub.io\n", options).entries ==
        "1 block **.example.com | 2 block *.example.org | 3 block github.io");
  options.format = ListFormat::hosts;
  CHECK(told("0.0.0.0 example.com\n192.0.2.1 example.org\n", options).entries ==
        "1 block **.example.com | 2 local example.org [A:5:c0000201]");
  options.format = ListFormat::adblock;
  CHECK(told("example.com\n|example.org^\n", options).entries ==
        "1 block **.example.com | 2 block example.org");
}

TEST_CASE("hosts: addresses that lead nowhere block, others are the name's own") {
  check_lines(
      ListFormat::hosts,
      {
          {"0.0.0.0 a.example b.example c.example",
           "2 block a.example | 2 block b.example | 2 block c.example", ""},
          {"127.0.0.1\ta.example", "2 block a.example", ""},
          {":: a.example", "2 block a.example", ""},
          {"::1 a.example", "2 block a.example", ""},
          {"0 a.example", "2 block a.example", ""},
          {"0.0.0.0 a.example#comment b.example", "2 block a.example", ""},
          {"0.0.0.0 a.example # b.example", "2 block a.example", ""},
          {"::2 a.example", "2 local a.example [AAAA:5:00000000000000000000000000000002]", ""},
          {"127.0.0.2 a.example", "2 local a.example [A:5:7f000002]", ""},
          {"192.0.2.1 a.example", "2 local a.example [A:5:c0000201]", ""},
          {"192.0.2.1 a.example\n2001:db8::1 a.example\n192.0.2.1 a.example\n192.0.2.2 a.example",
           "2 local a.example [A:5:c0000201] [AAAA:5:20010db8000000000000000000000001] [A:5:c0000202]", ""},
          {"192.0.2.1 b.example a.example",
           "2 local b.example [A:5:c0000201] | 2 local a.example [A:5:c0000201]", ""},
          {"127.0.0.1 localhost\n::1 ip6-localhost ip6-loopback\n255.255.255.255 broadcasthost\n"
           "fe80::1%lo0 localhost\nff02::1 ip6-allnodes\n127.0.0.1 localhost.localdomain",
           "", "6 a name of the machine itself"},
          {"127.0.0.1 ip6-local", "2 block ip6-local", ""},
          {"0.0.0.0 0.0.0.0", "", "1 an address, not a name"},
          {"0.0.0.0", "", "1 an address without a name"},
          {"0.0.0.0 # a.example", "", "1 an address without a name"},
          {"a.example", "", "1 no address in front of the name"},
          {"0.0.0 a.example", "", "1 no address in front of the name"},
          {"192.0.2.1%eth0 a.example", "", "1 no address in front of the name"},
          // A line is counted once, and its good names are used.
          {"0.0.0.0 a..b c.example d..e " + label64, "2 block c.example", "1 an empty label"},
      });
}

TEST_CASE("local data has a limit; names beyond it are answered empty, and not let through") {
  ListOptions options;
  options.most_local_records = 2;
  const std::string text =
      "192.0.2.1 a.example\n192.0.2.2 b.example\n192.0.2.3 c.example\n192.0.2.4 a.example\n"
      "192.0.2.1 a.example\n192.0.2.5 c.example\n0.0.0.0 d.example\n";
  const auto list = told(text, options);
  CHECK(list.entries ==
        "3 local c.example | 6 local c.example | 7 block d.example | 1 local a.example [A:5:c0000201] | "
        "2 local b.example [A:5:c0000202]");
  CHECK(list.skipped == "3 more local data than a list may hold (answered empty, if the name has none)");

  const auto built = List::build(text, options), allowing = List::build(text, options, ListMeaning::allows);
  REQUIRE(built.has_value());
  REQUIRE(allowing.has_value());
  const ListFinding found = (*built)->judge({postern::test::name("c.example"), type::A});
  CHECK(found.spoke);
  CHECK(found.action == ListAction::no_data);
  CHECK(found.line == 3);
  CHECK((*built)->judge({postern::test::name("b.example"), type::A}).action == ListAction::local);
  CHECK_FALSE((*built)->judge({postern::test::name("e.example"), type::A}).spoke);
  // What a list answers itself opens nothing where it allows, within the limit or beyond it.
  CHECK_FALSE((*allowing)->judge({postern::test::name("b.example"), type::A}).spoke);
  CHECK_FALSE((*allowing)->judge({postern::test::name("c.example"), type::A}).spoke);
  CHECK((*allowing)->judge({postern::test::name("d.example"), type::A}).action == ListAction::allow);

  options.file = "list.txt";
  options.format = ListFormat::rpz;
  const auto ranges = List::build(
      "32.1.2.0.192.rpz-ip A 198.51.100.1\n32.2.2.0.192.rpz-ip A 198.51.100.1\n"
      "32.3.2.0.192.rpz-ip A 198.51.100.1\n",
      options);
  REQUIRE(ranges.has_value());
  const auto act = [&](const char* address) {
    return (*ranges)->judge_address(*Address::parse(address), type::A).action;
  };
  CHECK(act("192.0.2.2") == ListAction::local);
  CHECK(act("192.0.2.3") == ListAction::no_data);
}

TEST_CASE("a name has at most 1,000 records") {
  std::string text;
  for (int i = 0; i < 1001; ++i)
    text += "10.0." + std::to_string(i / 250) + "." + std::to_string(i % 250) + " a.example\n";
  text += "10.0.0.1 b.example\n";
  const auto list = told(text);
  CHECK(list.report.entries == 2);
  CHECK(list.skipped == "1 more local data than a list may hold (answered empty, if the name has none)");
  CHECK(list.report.skipped[0].first[0] == "list.txt:1001: \"10.0.4.0 a.example\"");
}

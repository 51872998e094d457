// RPZ zone files: triggers, actions, local data, and the zone file around them.
#include "list_support.h"
#include "rules/list.h"

using namespace postern;
using postern::test::told;
using postern::test::told_as;

namespace {

struct RpzRow {
  std::string text, entries, skipped;
};

// Records below a usual beginning of four lines, the last of which makes it a list whatever they are.
void check_records(const std::vector<RpzRow>& rows) {
  for (const RpzRow& row : rows) {
    CAPTURE(row.text);
    const auto list = told_as(ListFormat::rpz,
                              "$TTL 300\n$ORIGIN rpz.example.\n@ IN SOA ns hostmaster (1 2 3 4 5)\n"
                              "always.example CNAME .\n" +
                                  row.text);
    CHECK(list.error == "");
    CHECK(list.entries == "4 block always.example" + (row.entries.empty() ? "" : " | " + row.entries));
    CHECK(list.skipped == row.skipped);
  }
}

}  // namespace

TEST_CASE("rpz: names, wildcards and what is done with them") {
  check_records({
      {"a.example CNAME .", "5 block a.example", ""},
      {"*.a.example CNAME .", "5 block *.a.example", ""},
      {"A.Example.rpz.example. CNAME .", "5 block a.example", ""},
      {"a.example CNAME *.", "5 nodata a.example", ""},
      {"a.example CNAME rpz-passthru.", "5 allow a.example", ""},
      {"a.example CNAME RPZ-DROP.", "5 drop a.example", ""},
      {"a.example CNAME a.example.", "5 allow a.example", ""},
      {"*.a.example CNAME *.a.example.", "5 local *.a.example",
       "1 a target made of the name that was asked (answered empty)"},
      {"a.example 60 IN CNAME .", "5 block a.example", ""},
      {"a.example IN 1h cname .", "5 block a.example", ""},
      {"a.example CNAME . ; why", "5 block a.example", ""},
      {"a.example (\n  CNAME ; why\n  . )\nb.example CNAME .", "5 block a.example | 8 block b.example", ""},
      {"a.example CNAME .\n\n ; comment\nb.example CNAME *.", "5 block a.example | 8 nodata b.example", ""},
      {"a\\.b.example CNAME .", "5 block a\\046b.example", ""},
      {"\\097.example CNAME .", "5 block a.example", ""},
      {"b\xc3\xbc"
       "cher.example CNAME .",
       "5 block xn--bcher-kva.example", ""},
      {"*.com CNAME .", "", "1 a wildcard over a public suffix"},
      {"com CNAME .", "5 block com", ""},
      {"* CNAME .", "", "1 a wildcard over a public suffix"},
      {"$ORIGIN b.rpz.example.\na CNAME .\n$ORIGIN c\nd CNAME .", "6 block a.b | 8 block d.c.b", ""},
      {"a.example CNAME rpz-tcp-only.", "", "1 rpz-tcp-only: a sandbox has no source address to prove"},
      {"a.example CNAME rpz-other.", "", "1 an unsupported action"},
      {"a.example CNAME *.walled.example.", "5 local a.example",
       "1 a target made of the name that was asked (answered empty)"},
  });
}

TEST_CASE("rpz: local data, one entry for all records of an owner") {
  check_records({
      {"a.example A 192.0.2.1", "5 local a.example [A:300:c0000201]", ""},
      {"a.example A 192.0.2.1\n 60 AAAA 2001:db8::1\nb.example CNAME .\na.example A 192.0.2.2",
       "7 block b.example | 5 local a.example [A:300:c0000201] [AAAA:60:20010db8000000000000000000000001] "
       "[A:300:c0000202]",
       ""},
      {"a.example CNAME b",
       "5 local a.example [CNAME:300:0162"
       "0372707a"
       "076578616d706c65"
       "00]",
       ""},
      {"a.example CNAME b.", "5 local a.example [CNAME:300:016200]", ""},
      {"*.a.example A 192.0.2.1", "5 local *.a.example [A:300:c0000201]", ""},
      {"a.example MX 10 b.", "5 local a.example [MX:300:000a016200]", ""},
      {"a.example SRV 1 2 443 b.", "5 local a.example [SRV:300:0001000201bb016200]", ""},
      {"a.example PTR b.", "5 local a.example [PTR:300:016200]", ""},
      {"a.example TXT \"x;y (z)\" w\\\"v \\065",
       "5 local a.example [TXT:300:0778"
       "3b79"
       "20287a29"
       "03772276"
       "0141]",
       ""},
      {"a.example TXT \"\"", "5 local a.example [TXT:300:00]", ""},
      {"a.example CAA 0 issue \"ca.example\"",
       "5 local a.example [CAA:300:0005697373756563612e6578616d706c65]", ""},
      {"a.example A \\# 4 C000 0201", "5 local a.example [A:300:c0000201]", ""},
      {"a.example HTTPS \\# 3 000100", "5 local a.example [HTTPS:300:000100]", ""},
      {"a.example HTTPS 1 .", "5 local a.example [HTTPS:300:000100]", ""},
      {"a.example HTTPS 1 . port=443 alpn=h2,h3",
       "5 local a.example [HTTPS:300:000100"
       "00010006026832026833"
       "0003000201bb]",
       ""},
      {"a.example HTTPS 1 . alpn=\"h2,h3\" port=443",
       "5 local a.example [HTTPS:300:000100"
       "00010006026832026833"
       "0003000201bb]",
       ""},
      {"a.example SVCB 1 b. mandatory=port,alpn alpn=h2 port=1 ipv4hint=192.0.2.1 ipv6hint=2001:db8::1",
       "5 local a.example [SVCB:300:0001016200"
       "0000000400010003"
       "00010003026832"
       "000300020001"
       "00040004c0000201"
       "0006001020010db8000000000000000000000001]",
       ""},
      {"a.example SVCB 1 . key65534=a\\001\\\" key7=",
       "5 local a.example [SVCB:300:000100"
       "00070000"
       "fffe0003610122]",
       ""},
      {"a.example TXT \"" + std::string(255, 'x') + "\"",
       "5 local a.example [TXT:300:ff" +
           [] {
             std::string s;
             for (int i = 0; i < 255; ++i) s += "78";
             return s;
           }() +
           "]",
       ""},
      {"a.example A 192.0.2.1\na.example CNAME b.", "5 local a.example [A:300:c0000201]",
       "1 a CNAME beside other records"},
      {"a.example CNAME b.\na.example A 192.0.2.1", "5 local a.example [CNAME:300:016200]",
       "1 a CNAME beside other records"},
  });
}

TEST_CASE("rpz: local data that cannot be used") {
  check_records({
      {"a.example A 192.0.2", "5 local a.example", "1 bad record data (answered empty)"},
      {"a.example A 2001:db8::1", "5 local a.example", "1 bad record data (answered empty)"},
      {"a.example AAAA 192.0.2.1", "5 local a.example", "1 bad record data (answered empty)"},
      {"a.example A 192.0.2.1 192.0.2.2", "5 local a.example", "1 bad record data (answered empty)"},
      {"a.example A", "5 local a.example", "1 bad record data (answered empty)"},
      {"a.example MX 65536 b.", "5 local a.example", "1 bad record data (answered empty)"},
      {"a.example MX 65535 b.", "5 local a.example [MX:300:ffff016200]", ""},
      {"a.example TXT \"" + std::string(256, 'x') + "\"", "5 local a.example",
       "1 bad record data (answered empty)"},
      {"a.example TXT \\256", "5 local a.example", "1 bad record data (answered empty)"},
      {"a.example A \\# 5 C000020100", "5 local a.example", "1 bad record data (answered empty)"},
      {"a.example A \\# 4 C0000G01", "5 local a.example", "1 bad record data (answered empty)"},
      {"a.example HTTPS \\# 2 0001", "5 local a.example", "1 bad record data (answered empty)"},
      {"a.example CNAME a..b.", "5 local a.example", "1 bad record data (answered empty)"},
      {"a.example CNAME", "5 local a.example", "1 bad record data (answered empty)"},
      {"a.example HTTPS 1 . alpn=", "5 local a.example", "1 bad record data (answered empty)"},
      {"a.example HTTPS 1 . port=65536", "5 local a.example", "1 bad record data (answered empty)"},
      {"a.example HTTPS 65536 .", "5 local a.example", "1 bad record data (answered empty)"},
      {"a.example HTTPS 1 . port=1 port=2", "5 local a.example", "1 bad record data (answered empty)"},
      {"a.example HTTPS 1 . mandatory=port alpn=h2", "5 local a.example",
       "1 bad record data (answered empty)"},
      {"a.example HTTPS 1 . ipv4hint=2001:db8::1", "5 local a.example", "1 bad record data (answered empty)"},
      {"a.example HTTPS 1 . other=1", "5 local a.example", "1 bad record data (answered empty)"},
      {"a.example HTTPS 1 . key65535=x", "5 local a.example", "1 bad record data (answered empty)"},
      {"a.example HTTPS 1", "5 local a.example", "1 bad record data (answered empty)"},
      {"a.example MX \\# 4 000A0000", "5 local a.example",
       "1 a record type that cannot be local data (answered empty)"},
      {"a.example NS b.", "", "1 a record of the zone itself"},
      {"a.example DNAME b.", "5 local a.example",
       "1 a record type that cannot be local data (answered empty)"},
      {"a.example RRSIG A 8 2 300 1 2 3 x. y", "", "1 a record of the zone itself"},
      // A signed zone has such records at every name, and they say nothing of it.
      {"a.example CNAME rpz-passthru.\na.example RRSIG CNAME 8 2 300 1 2 3 x. y\na.example NSEC b. CNAME",
       "5 allow a.example", "2 a record of the zone itself"},
      // Other records of the name are used.
      {"a.example A 192.0.2\na.example NAPTR x\na.example A 192.0.2.1", "5 local a.example [A:300:c0000201]",
       "1 a record type that cannot be local data (answered empty) | 1 bad record data (answered empty)"},
      {"a.example A 192.0.2.1\na.example A 192.0.2", "5 local a.example [A:300:c0000201]",
       "1 bad record data (answered empty)"},
  });
}

TEST_CASE("rpz: a name whose records cannot be used is answered empty, and not let through") {
  const auto list = List::build(
      "$TTL 300\n@ SOA a. b. 1 2 3 4 5\nnumber.example A 192.0.2\n"
      "made.example CNAME *.walled.example.\nother.example NAPTR x\nsome.example A 192.0.2.1\n"
      "some.example A 192\n*.wild.example A 1\nlet.example CNAME rpz-tcp-only.\n",
      ListOptions{});
  REQUIRE(list.has_value());
  const auto judged = [&](const char* name, Type type) {
    const ListFinding found = (*list)->judge({postern::test::name(name), type});
    return !found.spoke                          ? "silent"
           : found.action == ListAction::no_data ? "empty"
           : found.action == ListAction::local   ? "local"
                                                 : "other";
  };
  for (const char* name : {"number.example", "made.example", "other.example", "x.wild.example"}) {
    CAPTURE(name);
    CHECK(judged(name, type::A) == doctest::String("empty"));
    CHECK(judged(name, type::TXT) == doctest::String("empty"));
  }
  CHECK(judged("some.example", type::A) == doctest::String("local"));
  CHECK(judged("some.example", type::TXT) == doctest::String("empty"));
  CHECK(judged("let.example", type::A) == doctest::String("silent"));
}

TEST_CASE("rpz: a file of nothing but bad records is no list") {
  CHECK(told_as(ListFormat::rpz, "a.example A 192.0.2\nb.example A 192\n").error ==
        "cannot read list list.txt:1: \"a.example A 192.0.2\": bad record data (answered empty); and none of "
        "its 2 "
        "lines can be read as rpz");
}

TEST_CASE("rpz: headers do not make a list of lines that cannot be read") {
  const std::string soa = "@ SOA a. b. 1 2 3 4 5\n";
  CHECK(told_as(ListFormat::rpz, "$TTL 60\n" + soa).error == "");  // an empty zone is one
  CHECK(told_as(ListFormat::rpz, "$TTL 60\n" + soa + "a.example CNAEM .\nb.example CNAEM .\n").error ==
        "cannot read list list.txt:3: \"a.example CNAEM .\": not a record of a zone file; and none of its 4 "
        "lines can be read as rpz");
  CHECK(told_as(ListFormat::rpz, "$TTL 60\na.example A 192.0.2\n").error != "");
  CHECK(told_as(ListFormat::rpz, "$TTL 60\na.example CNAEM .\nb.example CNAME .\n").entries ==
        "3 block b.example");
  // What is understood but not for us makes no list either, where other lines are bad.
  CHECK(told_as(ListFormat::rpz, soa + "a.example.rpz-nsdname CNAME .\n").error == "");
  CHECK(
      told_as(ListFormat::rpz, soa + "a.example.rpz-nsdname CNAME .\na.example CNAEM .\n").error ==
      "cannot read list list.txt:3: \"a.example CNAEM .\": not a record of a zone file; and nothing else in "
      "it is an entry");
}

TEST_CASE("rpz: addresses in answers") {
  check_records({
      {"32.1.2.0.192.rpz-ip CNAME .", "5 block 192.0.2.1", ""},
      {"24.0.2.0.192.rpz-ip CNAME .", "5 block 192.0.2.0/24", ""},
      {"24.0.2.0.192.rpz-ip.rpz.example. CNAME *.", "5 nodata 192.0.2.0/24", ""},
      {"128.1.zz.db8.2001.rpz-ip CNAME rpz-drop.", "5 drop 2001:db8::1", ""},
      {"32.zz.db8.2001.rpz-ip CNAME rpz-passthru.", "5 allow 2001:db8::/32", ""},
      {"128.1.zz.rpz-ip CNAME .", "5 block ::1", ""},
      {"128.zz.rpz-ip CNAME .", "5 block ::", ""},
      {"128.8.7.6.5.4.3.2.1.rpz-ip CNAME .", "5 block 1:2:3:4:5:6:7:8", ""},
      {"24.1.2.0.192.rpz-ip CNAME .", "", "1 a bad address range"},
      {"33.1.2.0.192.rpz-ip CNAME .", "", "1 a bad address range"},
      {"0.0.0.0.0.rpz-ip CNAME .", "", "1 a bad address range"},
      {"032.1.2.0.192.rpz-ip CNAME .", "", "1 a bad address range"},
      {"32.256.2.0.192.rpz-ip CNAME .", "", "1 a bad address range"},
      {"32.2.0.192.rpz-ip CNAME .", "", "1 a bad address range"},
      {"129.1.zz.rpz-ip CNAME .", "", "1 a bad address range"},
      {"128.1.zz.2.zz.rpz-ip CNAME .", "", "1 a bad address range"},
      {"128.9.8.7.6.5.4.3.2.1.rpz-ip CNAME .", "", "1 a bad address range"},
      {"*.rpz-ip CNAME .", "", "1 a bad address range"},
      {"rpz-ip CNAME .", "", "1 a bad address range"},
      {"32.1.2.0.192.rpz-ip A 192.0.2.9\n24.0.2.0.192.rpz-ip CNAME b.\n32.1.2.0.192.rpz-ip A 192.0.2.8",
       "5 local 192.0.2.1 [A:300:c0000209] [A:300:c0000208] | 6 local 192.0.2.0/24 [CNAME:300:016200]", ""},
      {"32.1.2.0.192.rpz-ip A 192.0.2.9\n 60 AAAA 2001:db8::1\n32.1.2.0.192.rpz-ip CNAME .",
       "7 block 192.0.2.1 | "
       "5 local 192.0.2.1 [A:300:c0000209] [AAAA:60:20010db8000000000000000000000001]",
       ""},
      {"32.1.2.0.192.rpz-ip A 192.0.2.9\n32.1.2.0.192.rpz-ip CNAME b.", "5 local 192.0.2.1 [A:300:c0000209]",
       "1 a CNAME beside other records"},
      {"32.1.2.0.192.rpz-ip A 192.0.2", "5 local 192.0.2.1", "1 bad record data (answered empty)"},
      {"32.1.2.0.192.rpz-ip NS b.", "", "1 a record of the zone itself"},
      {"32.1.2.0.192.rpz-ip CNAME rpz-tcp-only.", "",
       "1 rpz-tcp-only: a sandbox has no source address to prove"},
      {"32.1.2.0.192.rpz-client-ip CNAME .\n32.1.2.0.192.rpz-nsip CNAME .\nns.example.rpz-nsdname CNAME .\n"
       "x.rpz-new CNAME .",
       "", "4 an unsupported trigger (client address, name server)"},
      {"rpz-ip.example CNAME .", "5 block rpz-ip.example", ""},
  });
}

TEST_CASE("rpz: what is not a record") {
  check_records({
      {"$INCLUDE other.zone", "", "1 an include: only the file itself is read"},
      {"$GENERATE 1-9 a$ CNAME .", "", "1 an unknown directive"},
      {"$TTL forever", "", "1 an unknown directive"},
      {"a.example CH CNAME .", "", "1 a class other than IN"},
      {"a.example", "", "1 not a record of a zone file"},
      {"a.example BOGUS .", "", "1 not a record of a zone file"},
      {"a.example TXT \"open", "", "1 not a record of a zone file"},
      {"a.example ) CNAME .", "", "1 not a record of a zone file"},
      {"\"a.example\" CNAME .", "", "1 not a record of a zone file"},
      {"a.example. CNAME .", "", "1 an owner outside of the zone"},
      {"a..example CNAME .", "", "1 an empty label"},
      {std::string(64, 'a') + ".example CNAME .", "", "1 a label of over 63 octets"},
      // Every line that a parenthesis swallows is counted.
      {"a.example CNAME ( .\nb.example CNAME .\nc.example CNAME .", "",
       "3 a parenthesis that does not close"},
  });
}

TEST_CASE("rpz: nobody need say what the zone is called while owners are relative") {
  CHECK(told("@ SOA localhost. root.localhost. 1 2 3 4 5\n@ NS localhost.\na.example CNAME .\n").entries ==
        "3 block a.example");
  const auto absolute =
      told("@ SOA localhost. root.localhost. 1 2 3 4 5\na.example CNAME .\nb.example. CNAME .\n");
  CHECK(absolute.entries == "2 block a.example");
  CHECK(absolute.skipped == "1 an owner outside of the zone");
  // As named-compilezone writes it: everything absolute, the SOA first.
  const auto compiled = told(
      "rpz.example. 300 IN SOA ns.rpz.example. h.rpz.example. 1 2 3 4 5\n"
      "rpz.example. 300 IN NS ns.rpz.example.\n"
      "a.example.rpz.example. 300 IN CNAME .\n"
      "24.0.2.0.192.rpz-ip.rpz.example. 300 IN CNAME .\n"
      "a.example.notrpz.example. 300 IN CNAME .\n");
  CHECK(compiled.entries == "3 block a.example | 4 block 192.0.2.0/24");
  CHECK(compiled.skipped == "1 an owner outside of the zone");
  // The SOA's owner is the zone, whatever the origin.
  CHECK(told("$ORIGIN example.\nrpz SOA a b 1 2 3 4 5\na.rpz CNAME .\n").entries == "3 block a");
}

TEST_CASE("rpz: a relative name in data needs an origin") {
  const auto list = told("a.example CNAME .\nb.example CNAME walled\nc.example CNAME walled.\n");
  CHECK(list.entries ==
        "1 block a.example | 2 local b.example | 3 local c.example [CNAME:5:0677616c6c656400]");
  CHECK(list.skipped == "1 bad record data (answered empty)");
}

TEST_CASE("rpz: times") {
  const struct {
    const char* ttl;
    const char* seconds;
  } rows[] = {{"0", "0"},        {"1h", "3600"},    {"1H30M", "5400"},
              {"2w", "1209600"}, {"1d1s", "86401"}, {"2147483647", "2147483647"}};
  for (const auto& row : rows) {
    CAPTURE(std::string(row.ttl));
    CHECK(told_as(ListFormat::rpz, std::string("a ") + row.ttl + " A 192.0.2.1\n").entries ==
          std::string("1 local a [A:") + row.seconds + ":c0000201]");
  }
  CHECK(told_as(ListFormat::rpz, "b CNAME .\na 2147483648 A 192.0.2.1\n").skipped ==
        "1 not a record of a zone file");
}

TEST_CASE("rpz: names that only fit without the zone's") {
  const std::string label(63, 'a');
  const std::string below = label + "." + label + "." + label + ".";  // 192 octets
  const std::string zone = "$ORIGIN rpz.example.\n";                  // 13 octets and the root's in it
  // Before the zone's name is known for sure, and after.
  for (const std::string first : {"", "x CNAME .\n"}) {
    const std::string text = zone + first + below;
    const auto fits = told(text + std::string(49, 'b') + " CNAME .\ny CNAME .\n");
    CHECK(fits.report.entries == (first.empty() ? 2 : 3));
    CHECK(fits.skipped == "");
    const auto over = told(text + std::string(50, 'b') + " CNAME .\ny CNAME .\n");
    CHECK(over.report.entries == (first.empty() ? 1 : 2));
    CHECK(over.skipped == "1 a name of over 255 octets");
  }
}

TEST_CASE("rpz: the report counts headers as blank") {
  const auto list = told("$TTL 1h\n@ SOA a. b. (\n 1 2 3 4 5\n)\n NS a.\na.example CNAME .\n");
  CHECK(list.report.format == ListFormat::rpz);
  CHECK(list.report.lines == 6);
  CHECK(list.report.blank == 5);
  CHECK(list.report.entries == 1);
}

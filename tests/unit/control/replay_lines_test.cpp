// Recordings as text: tab-separated lines, Zeek's TSV and JSON, gzip, and what is none of them.
#include <doctest/doctest.h>

#include "replay_support.h"

using namespace postern;
using recorded::read;
using Texts = std::vector<std::string>;

TEST_CASE("lines of ts, client, qname, qtype are read, with escapes, CR LF and no final newline") {
  const auto got = read(
      "#ts\tclient\tqname\tqtype\n"
      "1.5\t10.0.0.1\tWWW.Example.COM.\tA\r\n"
      "\n"
      "2\t::1\ta\\046b\\000.example\tTYPE65399\n"
      "1693788607.488624\tx\texample.org\t28");
  CHECK(got.error.empty());
  CHECK(got.format == "lines");
  CHECK(got.queries == Texts{"1500000 10.0.0.1 www.example.com A", "2000000 ::1 a\\.b\\000.example TYPE65399",
                             "1693788607488624 x example.org AAAA"});
  CHECK(got.skipped.faults() == 0);
}

TEST_CASE(
    "without a header the columns are ts, client, qname, qtype, rcode; with one they may stand in any "
    "order") {
  CHECK(read("1\tc\ta.example\tA\tNXDOMAIN\n").queries == Texts{"1000000 c a.example A NXDOMAIN"});
  CHECK(read("#qtype\tqname\trcode\tclient\tts\nAAAA\ta.example\t0\tc\t1\n").queries ==
        Texts{"1000000 c a.example AAAA NOERROR"});
  CHECK(read("# made by hand\n#seq(no time)\tclient\tqname\tqtype\n7\t-\ta.example\t-\n").queries ==
        Texts{"7000000 - a.example A"});
}

TEST_CASE("lines that cannot be read are counted by cause, the first three quoted with file and line") {
  const auto got = read(
      "1\tc\ta..b\tA\n1\tc\n1\tc\ta.example\tBOGUS\nnan\tc\ta.example\tA\n-1\tc\ta.example\tA\n1e99\tc\ta."
      "example\tA\n"
      "1x\tc\ta.example\tA\n1\tc\ta..c\tA\n1\tc\ta..d\tA\n1\tc\ta..e\tA\n3\tc\tgood.example\tA\n");
  CHECK(got.queries == Texts{"3000000 c good.example A"});
  CHECK(got.count("name: a label is empty") == 4);
  CHECK(got.count("line: too few columns") == 1);
  CHECK(got.count("type: not known") == 1);
  CHECK(got.count("time: no number of seconds") == 4);
  CHECK(got.skipped.faults() == 10);
  for (const auto& cause : got.skipped.causes())
    if (cause.text == "name: a label is empty")
      CHECK(cause.first == Texts{"rec:1: \"a..b\"", "rec:8: \"a..c\"", "rec:9: \"a..d\""});
}

TEST_CASE("a line of 65,536 octets is read, a longer one is passed over, and the next is read again") {
  for (const std::size_t size : {65536u, 65537u, 300000u, 1000000u}) {
    std::string line = "1\tc\ta.example\tA\t";
    line += std::string(size - line.size(), 'x') + "\n";
    const auto got = read("1\tc\tfirst.example\tA\n" + line + "2\tc\tb.example\tA\n");
    CAPTURE(size);
    CHECK(got.queries.size() == (size > 65536 ? 2 : 3));
    CHECK(got.queries.back() == "2000000 c b.example A");
    CHECK(got.count("line: longer than 65,536 octets") == (size > 65536 ? 1 : 0));
  }
}

TEST_CASE("Zeek's log is read by its #fields, in whatever order and with whatever separator") {
  const std::string header =
      "#separator \\x09\n#set_separator\t,\n#empty_field\t(empty)\n#unset_field\t-\n#path\tdns\n"
      "#open\t2018-03-24-17-15-20\n";
  const auto got =
      read(header +
           "#fields\tts\tuid\tid.orig_h\tid.orig_p\tid.resp_h\tid.resp_p\tproto\tquery\tqclass\tqclass_"
           "name\tqtype\tqtype_name\trcode\trcode_name\n"
           "#types\ttime\tstring\taddr\tport\taddr\tport\tenum\tstring\tcount\tstring\tcount\tstring\t"
           "count\tstring\n"
           "1521911720.865716\tCx\t10.47.1.100\t4\t10.0.0.2\t53\tudp\tise.wrccdc.example\t1\tC_INTERNET\t1"
           "\tA\t3\tNXDOMAIN\n"
           "1521911721.0\tCx\tfe80::1\t4\tff02::fb\t5353\tudp\tprinter.local\t1\tC_INTERNET\t12\tPTR\t-\t-\n"
           "1521911722.0\tCx\t10.47.1.100\t4\t10.0.0.2\t53\tudp\t-\t-\t-\t-\t-\t0\tNOERROR\n"
           "1521911723.0\tCx\t10.47.1.100\t4\t10.0.0.2\t53\tudp\tversion.bind\t3\tC_CHAOS\t16\tTXT\t-\t-\n"
           "1521911724.0\tCx\t10.47.1.100\t4\t10.0.0.2\t53\ttcp\ta\\xff\\x00b.example\t1\tC_INTERNET\t-\t"
           "AAAA\t-\t-\n"
           "1521911725.0\tCx\n"
           "#close\t2018-03-24-17-36-20\n");
  CHECK(got.error.empty());
  CHECK(got.format == "Zeek");
  CHECK(got.queries == Texts{"1521911720865716 10.47.1.100 ise.wrccdc.example A NXDOMAIN",
                             "1521911724000000 10.47.1.100 a\\255\\000b.example AAAA"});
  CHECK(got.count("multicast DNS, LLMNR or NetBIOS") == 1);
  CHECK(got.count("no question recorded") == 1);
  CHECK(got.count("class other than IN") == 1);
  CHECK(got.count("line: too few columns") == 1);
  CHECK(read("#separator ,\n#fields,qtype_name,query,ts,id.orig_h\nMX,a.example,5,c\n").queries ==
        Texts{"5000000 c a.example MX"});
}

TEST_CASE("a Zeek log of something else, or without the columns that matter, is refused") {
  CHECK(read("#separator \\x09\n#path\tconn\n#fields\tts\tuid\n").error ==
        "cannot replay \"rec\": it is Zeek's log of \"conn\", not of \"dns\"");
  CHECK(read("#separator \\x09\n#fields\tts\tid.orig_h\tqtype\n").error ==
        "cannot replay \"rec\": its #fields line has no column \"query\"");
  CHECK(read("#separator \\x09\n#fields\tts\tid.orig_h\tquery\n").error ==
        "cannot replay \"rec\": its #fields line has neither \"qtype\" nor \"qtype_name\"");
  CHECK(read("#separator \\x09\n1\tc\ta.example\tA\n").error ==
        "cannot replay \"rec\": it is a Zeek log without a #fields line");
}

TEST_CASE("Zeek's JSON is read, with its times as seconds, milliseconds or ISO 8601, and a nested id") {
  const auto got = read(
      "{\"ts\":1521911720.865716,\"id.orig_h\":\"10.0.0.1\",\"id.resp_p\":53,\"query\":\"A.example\","
      "\"qclass\":1,"
      "\"qtype\":28,\"qtype_name\":\"AAAA\",\"rcode\":0,\"answers\":[\"1\",{\"query\":\"not.this\"}]}\n"
      "{\"_path\":\"dns\",\"ts\":\"2018-03-24T17:15:21.865716Z\",\"id\":{\"orig_h\":\"::1\",\"resp_p\":53},"
      "\"query\":"
      "\"b\\\\xff.example\",\"qtype_name\":\"TXT\",\"rcode_name\":\"SERVFAIL\"}\r\n"
      "{\"ts\":1521911722865.7,\"id.orig_h\":\"c\",\"query\":\"c.example\",\"qtype\":1}\n"
      "{\"ts\":1,\"id.orig_h\":\"c\",\"query\":\"d.local\",\"qtype\":1,\"id.resp_p\":5353}\n"
      "{\"ts\":1,\"id.orig_h\":\"c\",\"id.resp_p\":53}\n"
      "{\"ts\":1,\"id.orig_h\":\"c\",\"query\":\"e.example\",\"qtype\":1\n"
      "{\"nothing\":1}\n"
      "[1]\n"
      "{\"ts\":-1,\"id.orig_h\":\"c\",\"query\":\"e.example\",\"qtype\":1}\n"
      "{\"ts\":\"yesterday\",\"id.orig_h\":\"c\",\"query\":\"e.example\",\"qtype\":1}\n"
      "{\"ts\":3,\"id.orig_h\":\"c\",\"query\":\"f.example\",\"qtype\":65536,\"qtype_name\":\"MX\"}\n");
  CHECK(got.error.empty());
  CHECK(got.format == "Zeek JSON");
  CHECK(got.queries == Texts{"1521911720865716 10.0.0.1 a.example AAAA NOERROR",
                             "1521911721865716 ::1 b\\255.example TXT SERVFAIL",
                             "1521911722865700 c c.example A", "3000000 c f.example MX"});
  CHECK(got.count("multicast DNS, LLMNR or NetBIOS") == 1);
  CHECK(got.count("no question recorded") == 1);
  CHECK(got.count("line: no JSON object") == 1);
  CHECK(got.count("line: neither \"id.orig_h\" nor \"query\"") == 2);
  CHECK(got.count("time: neither seconds nor ISO 8601") == 2);
}

TEST_CASE("Zeek's escapes are read to the name's last octet, and what only looks like one is left alone") {
  CHECK(recording::unescape_zeek("a\\xff") == "a\\255");
  CHECK(recording::unescape_zeek("\\x00b\\x2e") == "\\000b\\046");
  CHECK(recording::unescape_zeek("a\\xf") == "a\\xf");
  CHECK(recording::unescape_zeek("a\\xfg") == "a\\xfg");
}

TEST_CASE("gzip is taken off, also of two members; damaged or cut off gzip is an error") {
  const std::string member(
      "\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\xff\x33\xe4\x4c\xe6\x4c\xd4\x4b\xad"
      "\x48\xcc\x2d\xc8\x49\xe5\x74\xe4\x02\x00\x74\xb3\x66\x02\x10\x00\x00\x00",
      36);
  CHECK(read(member).queries == Texts{"1000000 c a.example A"});
  CHECK(read(member + member).queries.size() == 2);
  CHECK(read(member.substr(0, 30)).error.find("cannot read \"rec\": ") == 0);
  std::string damaged = member;
  damaged[20] ^= 0x55;
  CHECK(read(damaged).error.find("cannot read \"rec\": ") == 0);
}

TEST_CASE("what is none of the formats is an error that quotes its beginning") {
  CHECK(read("").error == "cannot replay \"rec\": it is empty");
  for (const std::string text :
       {"hello\n", "a\tb\tc\td\n", "1\tc\ta.example\n", "#name\tfirst_seen\nexample.org\t1\n", "\x89PNG\r\n",
        "\x1f\x8b", "\n\n\n", "# only a comment\n"}) {
    const auto got = read(text);
    CAPTURE(text);
    CHECK(got.error.find("cannot re") == 0);
    CHECK(got.queries.empty());
  }
  CHECK(read("hello\nworld").error ==
        "cannot replay \"rec\": it is neither pcap, pcapng, Zeek's dns.log nor lines of \"ts client qname "
        "qtype\"; it "
        "begins with \"hello\"");
}

TEST_CASE("more causes than a report can show are counted together, and none is lost") {
  Skipped skipped;
  for (int i = 0; i < 200; ++i) skipped.fault("cause " + std::to_string(i), "f", 1, "x");
  std::uint64_t sum = 0;
  for (const auto& cause : skipped.causes()) sum += cause.count;
  CHECK(skipped.causes().size() == Skipped::max_causes);
  CHECK(sum == 200);
  CHECK(skipped.faults() == 200);
}

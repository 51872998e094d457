// Upstream servers as people and resolv.conf write them.
#include <doctest/doctest.h>

#include "resolver/sandbox/broker.h"

using postern::parse_resolv_conf;
using postern::parse_server;
using postern::Server;

TEST_CASE("a server is a numeric address with or without a port") {
  struct Row {
    const char *text, *address;
    int port;
    const char* printed;
  };
  for (const Row& row : {
           Row{"192.0.2.1", "192.0.2.1", 53, "192.0.2.1:53"},
           Row{"192.0.2.1:5353", "192.0.2.1", 5353, "192.0.2.1:5353"},
           Row{"192.0.2.1:1", "192.0.2.1", 1, "192.0.2.1:1"},
           Row{"192.0.2.1:65535", "192.0.2.1", 65535, "192.0.2.1:65535"},
           Row{"2001:db8::1", "2001:db8::1", 53, "[2001:db8::1]:53"},
           Row{"2001:DB8:0:0:0:0:0:1", "2001:db8::1", 53, "[2001:db8::1]:53"},
           Row{"[2001:db8::1]", "2001:db8::1", 53, "[2001:db8::1]:53"},
           Row{"[2001:db8::1]:853", "2001:db8::1", 853, "[2001:db8::1]:853"},
           Row{"fe80::1%eth0", "fe80::1%eth0", 53, "[fe80::1%eth0]:53"},
           Row{"[fe80::1%2]:54", "fe80::1%2", 54, "[fe80::1%2]:54"},
           Row{"::ffff:192.0.2.1", "::ffff:192.0.2.1", 53, "[::ffff:192.0.2.1]:53"},
       }) {
    CAPTURE(row.text);
    const auto server = parse_server(row.text);
    REQUIRE(server);
    CHECK(server->address == row.address);
    CHECK(server->port == row.port);
    CHECK(server->text() == row.printed);
    CHECK(parse_server(server->text())->text() == row.printed);
  }
}

TEST_CASE("whatever is not a numeric address and port is refused, with the text in the error") {
  using namespace std::string_literals;
  for (const std::string& text : {
           ""s,
           " "s,
           "dns.example"s,
           "192.0.2"s,
           "192.0.2.256"s,
           "192.0.2.1:"s,
           "192.0.2.1:0"s,
           "192.0.2.1:65536"s,
           "192.0.2.1:53x"s,
           "192.0.2.1:+53"s,
           "192.0.2.1:-1"s,
           " 192.0.2.1"s,
           "192.0.2.1 "s,
           "[192.0.2.1]:53"s,
           "[2001:db8::1"s,
           "[2001:db8::1]53"s,
           "[2001:db8::1]:"s,
           "[]"s,
           "2001:db8::g"s,
           "fe80::1%"s,
           "fe80::1%0123456789abcdef"s,
           "fe80::1%a/b"s,
           "192.0.2.1%eth0"s,
           ":53"s,
           "192.0.2.1\0"s,
           "192.0.2.1\0:53"s,
       }) {
    CAPTURE(text);
    const auto server = parse_server(text);
    REQUIRE_FALSE(server);
    CHECK(server.error().message.find("\"" + text + "\"") != std::string::npos);
  }
  CHECK(parse_server(std::string(10'000, '1')).error().message.size() < 300);
}

TEST_CASE("an interface's name may have 15 octets, as the kernel's have, and not 16") {
  CHECK(parse_server("fe80::1%abcdefghijklmno"));
  CHECK_FALSE(parse_server("fe80::1%abcdefghijklmnop"));
}

TEST_CASE("resolv.conf is read as glibc reads it") {
  const auto servers = parse_resolv_conf(
      "# nameserver 192.0.2.9\n"
      "; nameserver 192.0.2.9\n"
      "domain example\n"
      "nameserver 192.0.2.1\n"
      "nameserver\t192.0.2.2 trailing words\n"
      "nameserver   2001:db8::1\r\n"
      " nameserver 192.0.2.9\n"  // the keyword must begin the line
      "nameserver192.0.2.9\n"
      "nameservers 192.0.2.9\n"
      "nameserver\n"
      "nameserver \n"
      "nameserver dns.example\n"
      "nameserver 192.0.2.1\n"  // twice is once
      "options ndots:1\n"
      "nameserver fe80::1%eth0\n"
      "nameserver [2001:db8::2]:5353");  // no end of line
  REQUIRE(servers.size() == 5);
  CHECK(servers[0].text() == "192.0.2.1:53");
  CHECK(servers[1].text() == "192.0.2.2:53");
  CHECK(servers[2].text() == "[2001:db8::1]:53");
  CHECK(servers[3].text() == "[fe80::1%eth0]:53");
  CHECK(servers[4].text() == "[2001:db8::2]:5353");
}

TEST_CASE("resolv.conf gives at most 8 servers, and none from nonsense") {
  std::string text;
  for (int i = 1; i <= 9; ++i) text += "nameserver 192.0.2." + std::to_string(i) + "\n";
  const auto servers = parse_resolv_conf(text);
  REQUIRE(servers.size() == 8);
  CHECK(servers.back().address == "192.0.2.8");
  CHECK(parse_resolv_conf("").empty());
  CHECK(parse_resolv_conf(std::string(70'000, '\0')).empty());
  CHECK(parse_resolv_conf(std::string("nameserver 192.0.2.1\0x\n", 23)).empty());
}

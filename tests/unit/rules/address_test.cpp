// Address classes: each range with its neighbours just outside, and IPv4 addresses inside IPv6 ones.
#include "rules/address.h"

#include "support.h"

using namespace postern;

namespace {

Address address(std::string_view text) {
  const auto parsed = Address::parse(text);
  REQUIRE_MESSAGE(parsed.has_value(), text);
  return *parsed;
}

// The text of the class that refuses an address, unwrapped; "" if none does.
std::string refused(std::string_view text) {
  const Meanings all = meanings(address(text));
  for (const Address& meaning : all.all())
    if (const auto found = address_class(meaning)) return std::string(address_classes()[*found].what);
  return "";
}
bool is_refused_as(std::string_view text, std::string_view what) {
  return refused(text).find(what) != std::string::npos;
}

}  // namespace

TEST_CASE("each IPv4 class begins and ends where its RFC says") {
  const struct {
    const char *before, *first, *last, *after, *what;
  } rows[] = {
      {nullptr, "0.0.0.0", "0.255.255.255", "1.0.0.0", "this network"},
      {"9.255.255.255", "10.0.0.0", "10.255.255.255", "11.0.0.0", "private"},
      {"100.63.255.255", "100.64.0.0", "100.127.255.255", "100.128.0.0", "carrier-grade NAT"},
      {"126.255.255.255", "127.0.0.0", "127.255.255.255", "128.0.0.0", "loopback"},
      {"169.253.255.255", "169.254.0.0", "169.254.255.255", "169.255.0.0", "link-local"},
      {"172.15.255.255", "172.16.0.0", "172.31.255.255", "172.32.0.0", "private"},
      {"191.255.255.255", "192.0.0.0", "192.0.0.255", "192.0.1.0", "protocol assignment"},
      {"192.0.1.255", "192.0.2.0", "192.0.2.255", "192.0.3.0", "documentation"},
      {"192.167.255.255", "192.168.0.0", "192.168.255.255", "192.169.0.0", "private"},
      {"198.17.255.255", "198.18.0.0", "198.19.255.255", "198.20.0.0", "benchmarking"},
      {"198.51.99.255", "198.51.100.0", "198.51.100.255", "198.51.101.0", "documentation"},
      {"203.0.112.255", "203.0.113.0", "203.0.113.255", "203.0.114.0", "documentation"},
      {"223.255.255.255", "224.0.0.0", "239.255.255.255", nullptr, "multicast"},
      {nullptr, "240.0.0.0", "255.255.255.255", nullptr, "reserved"},
      {"168.63.129.15", "168.63.129.16", "168.63.129.16", "168.63.129.17", "cloud metadata"},
  };
  for (const auto& row : rows) {
    CAPTURE(row.first);
    CHECK(is_refused_as(row.first, row.what));
    CHECK(is_refused_as(row.last, row.what));
    if (row.before != nullptr) CHECK(refused(row.before) == "");
    if (row.after != nullptr) CHECK(refused(row.after) == "");
  }
}

TEST_CASE("each IPv6 class begins and ends where its RFC says") {
  const char* const ones = "ffff:ffff:ffff:ffff";
  const auto last = [&](const char* head) { return std::string(head) + ":" + ones; };
  const struct {
    std::string before, first, last, after;
    const char* what;
  } rows[] = {
      {"", "::", "::", "", "unspecified"},
      {"", "::1", "::1", "", "loopback"},
      {"", "::2", "::ffff:ffff", "::1:0:0", "IPv4-compatible"},
      {last("ff:ffff:ffff:ffff"), "100::", last("100:0:0:0"), "100:0:0:1::", "discard-only"},
      {last("2001:1:ffff:ffff"), "2001:2::", last("2001:2:0:ffff"), "2001:2:1::", "benchmarking"},
      {last("2001:f:ffff:ffff"), "2001:10::", last("2001:1f:ffff:ffff"), "", "ORCHID:"},
      {"", "2001:20::", last("2001:2f:ffff:ffff"), "2001:30::", "ORCHIDv2"},
      {last("2001:db7:ffff:ffff"), "2001:db8::", last("2001:db8:ffff:ffff"), "2001:db9::", "documentation"},
      {last("3ffe:ffff:ffff:ffff"), "3fff::", last("3fff:fff:ffff:ffff"), "3fff:1000::", "documentation"},
      {last("5eff:ffff:ffff:ffff"), "5f00::", last("5f00:ffff:ffff:ffff"), "5f01::", "segment identifier"},
      {last("fbff:ffff:ffff:ffff"), "fc00::", last("fdff:ffff:ffff:ffff"), "fe00::", "unique-local"},
      {last("fe7f:ffff:ffff:ffff"), "fe80::", last("febf:ffff:ffff:ffff"), "", "link-local"},
      {"", "fec0::", last("feff:ffff:ffff:ffff"), "", "site-local"},
      {"", "ff00::", last("ffff:ffff:ffff:ffff"), "", "multicast"},
  };
  for (const auto& row : rows) {
    CAPTURE(row.first);
    CHECK(is_refused_as(row.first, row.what));
    CHECK(is_refused_as(row.last, row.what));
    if (!row.before.empty()) CHECK(refused(row.before) == "");
    if (!row.after.empty()) CHECK(refused(row.after) == "");
  }
  for (const char* fine : {"2606:4700::1111", "2a00:1450:4001:80b::200e", "2000::", "2003::1"})
    CHECK(refused(fine) == "");
}

TEST_CASE("cloud metadata addresses are called by their name, and only they") {
  for (const char* text : {"169.254.169.254", "169.254.170.2", "100.100.100.200", "168.63.129.16",
                           "192.0.0.192", "fd00:ec2::254", "fd20:ce::254", "fe80::a9fe:a9fe"}) {
    CAPTURE(std::string(text));
    CHECK(is_refused_as(text, "cloud metadata"));
  }
  CHECK(is_refused_as("169.254.169.255", "link-local"));
  CHECK(is_refused_as("100.100.100.201", "carrier-grade NAT"));
  CHECK(is_refused_as("192.0.0.193", "protocol assignment"));
  CHECK(is_refused_as("fd00:ec2::255", "unique-local"));
}

TEST_CASE("an IPv4 address inside an IPv6 one is judged as itself") {
  const struct {
    const char *text, *what;
  } rows[] = {
      {"::ffff:10.0.0.1", "private"},
      {"::ffff:169.254.169.254", "cloud metadata"},
      {"::ffff:8.8.8.8", ""},
      {"::ffff:0:10.0.0.1", "private"},
      {"::ffff:0:8.8.8.8", ""},
      {"64:ff9b::10.0.0.1", "private"},
      {"64:ff9b::127.0.0.1", "loopback"},
      {"64:ff9b::0.0.0.0", "this network"},
      {"64:ff9b::8.8.8.8", ""},
      {"64:ff9b::11.0.0.0", ""},
      {"64:ff9c::10.0.0.1", ""},    // just outside the prefix
      {"64:ff9b::1:a00:1:0", ""},   // between the two prefixes: 64:ff9b::/96 ends at 96 bits
      {"2002:a00:1::", "private"},  // 6to4 of 10.0.0.1
      {"2002:a9fe:a9fe::1", "cloud metadata"},
      {"2002:808:808::1", ""},
      {"2001:0:a00:1::f7f7:f7f7", "private"},    // Teredo by server 10.0.0.1
      {"2001:0:808:808::f5ff:fffe", "private"},  // Teredo of client 10.0.0.1, inverted
      {"2001:0:808:808::f7f7:f7f7", ""},         // both 8.8.8.8
      // RFC 8215, in every placement of RFC 6052: /96, /48, /56, /64.
      {"64:ff9b:1::10.0.0.1", "private"},
      {"64:ff9b:1::8.8.8.8", ""},
      {"64:ff9b:1:a00:0:100::", "private"},
      {"64:ff9b:1:808:8:800::", ""},
      {"64:ff9b:1:a:0:1::", "private"},
      {"64:ff9b:1:a:0:1:808:808", "private"},  // the suffix is ignored
      {"64:ff9b:1:0:a:0:100:0", "private"},
      {"64:ff9b:1::", "this network"},
      {"64:ff9b:2::10.0.0.1", ""},
  };
  for (const auto& row : rows) {
    CAPTURE(std::string(row.text));
    const std::string what = refused(row.text);
    CAPTURE(what);
    CHECK((*row.what == '\0' ? what.empty() : what.find(row.what) != std::string::npos));
  }
}

TEST_CASE("ranges are read strictly") {
  CHECK(AddressRange::parse("10.0.0.0/8")->holds(address("10.255.0.1")));
  CHECK_FALSE(AddressRange::parse("10.0.0.0/8")->holds(address("11.0.0.0")));
  CHECK(AddressRange::parse("10.0.0.1")->is_one_address());
  CHECK(AddressRange::parse("0.0.0.0/0")->holds(address("255.1.2.3")));
  CHECK_FALSE(AddressRange::parse("0.0.0.0/0")->holds(address("::1")));
  CHECK(AddressRange::parse("::/0")->holds(address("ffff::1")));
  CHECK(AddressRange::parse("fc00::/7")->holds(address("fdff::")));
  CHECK(AddressRange::parse("2001:db8::/64")->holds(address("2001:db8::ffff:1")));
  CHECK_FALSE(AddressRange::parse("2001:db8::/65")->holds(address("2001:db8::8000:0:0:1")));
  const struct {
    const char *text, *why;
  } rows[] = {
      {"", "it is not an IPv4 or IPv6 address"},
      {"10.0.0/8", "it is not an IPv4 or IPv6 address"},
      {"010.0.0.0/8", "it is not an IPv4 or IPv6 address"},
      {"10.0.0.0/", "the prefix length is not a number from 0 to 32"},
      {"10.0.0.0/33", "the prefix length is not a number from 0 to 32"},
      {"10.0.0.0/-1", "the prefix length is not a number from 0 to 32"},
      {"10.0.0.0/8x", "the prefix length is not a number from 0 to 32"},
      {"::/129", "the prefix length is not a number from 0 to 128"},
      {"10.0.0.1/8", "it has bits outside its prefix"},
      {"fd00::1/64", "it has bits outside its prefix"},
      {"fd00:0:0:1::/63", "it has bits outside its prefix"},
      {"fe80::1%eth0", "it is not an IPv4 or IPv6 address"},
  };
  for (const auto& row : rows) {
    CAPTURE(std::string(row.text));
    const auto range = AddressRange::parse(row.text);
    REQUIRE_FALSE(range.has_value());
    CHECK(range.error().message == "cannot read address range \"" + std::string(row.text) + "\": " + row.why);
  }
}

TEST_CASE("addresses go to octets and back") {
  CHECK(address("192.168.1.2").octets()[3] == 2);
  const auto octets = address("2001:db8::1:2").octets();
  CHECK(Address::from_v6(octets) == address("2001:db8::1:2"));
  CHECK_FALSE(Address::parse(std::string_view("10.0.0.1\0x", 10)).has_value());
  CHECK_FALSE(Address::parse(std::string(100, '1')).has_value());
}

TEST_CASE("a cloud's addresses are called by their name, and their neighbours are not") {
  // Outside the range around them, if there is one, the neighbours are refused as that range.
  const struct {
    const char *before, *address, *after, *what, *neighbours;
  } rows[] = {
      {"169.254.169.252", "169.254.169.253", "169.254.169.255", "own resolver", "link-local"},
      {"169.254.169.252", "169.254.169.254", "169.254.169.255", "cloud metadata", "link-local"},
      {"169.254.170.1", "169.254.170.2", "169.254.170.3", "cloud metadata", "link-local"},
      {"169.254.170.22", "169.254.170.23", "169.254.170.24", "cloud metadata", "link-local"},
      {"100.100.100.199", "100.100.100.200", "100.100.100.201", "cloud metadata", "carrier-grade NAT"},
      {"168.63.129.15", "168.63.129.16", "168.63.129.17", "cloud metadata", nullptr},
      {"192.0.0.191", "192.0.0.192", "192.0.0.193", "cloud metadata", "protocol assignment"},
      {"fd00:ec2::252", "fd00:ec2::254", "fd00:ec2::255", "cloud metadata", "unique-local"},
      {"fd00:ec2::252", "fd00:ec2::253", "fd00:ec2::255", "own resolver", "unique-local"},
      {"fd00:ec2::22", "fd00:ec2::23", "fd00:ec2::24", "cloud metadata", "unique-local"},
      {"fd20:ce::253", "fd20:ce::254", "fd20:ce::255", "cloud metadata", "unique-local"},
      {"fe80::a9fe:a9fd", "fe80::a9fe:a9fe", "fe80::a9fe:a9ff", "cloud metadata", "link-local"},
  };
  std::size_t metadata = 0;
  for (const AddressClass& one : address_classes()) metadata += one.metadata ? 1 : 0;
  CHECK(metadata == std::size(rows));
  for (const auto& row : rows) {
    CAPTURE(std::string(row.address));
    CHECK(is_refused_as(row.address, row.what));
    for (const char* neighbour : {row.before, row.after}) {
      if (row.neighbours == nullptr) {
        CHECK(refused(neighbour) == "");
      } else {
        CHECK(is_refused_as(neighbour, row.neighbours));
      }
    }
  }
}

// Captures: packets written here octet by octet, and which queries are found in them.
#include <doctest/doctest.h>

#include "replay_support.h"
#include "resolver/control/replay_packet.h"

using namespace postern;
using recorded::read;
using Texts = std::vector<std::string>;

namespace {

std::string be16(unsigned value) {
  return {static_cast<char>(value >> 8), static_cast<char>(value & 0xff)};
}
std::string le32(std::uint32_t value) {
  std::string out;
  for (int i = 0; i < 4; ++i) out += static_cast<char>(value >> (8 * i) & 0xff);
  return out;
}

// A query message: class IN unless said otherwise, RD set.
std::string query(const std::string& name, Type type, unsigned flags = 0x0100, unsigned query_class = 1) {
  const Name parsed = *Name::parse(name);
  return be16(0x1234) + be16(flags) + be16(1) + be16(0) + be16(0) + be16(0) +
         std::string(reinterpret_cast<const char*>(parsed.wire().data()), parsed.size()) + be16(type) +
         be16(query_class);
}

std::string udp(const std::string& data, unsigned port = 53) {
  return be16(40000) + be16(port) + be16(static_cast<unsigned>(8 + data.size())) + be16(0) + data;
}
std::string tcp(const std::string& data, unsigned port = 53) {
  return be16(40000) + be16(port) + std::string(8, '\1') + std::string("\x50\x18", 2) + std::string(6, '\0') +
         data;
}
std::string framed(const std::string& message) {
  return be16(static_cast<unsigned>(message.size())) + message;
}

std::string ipv4(const std::string& payload, char protocol = 17, unsigned fragment = 0, int last = 7) {
  return std::string("\x45\0", 2) + be16(static_cast<unsigned>(20 + payload.size())) + be16(1) +
         be16(fragment) + std::string("\x40", 1) + protocol + be16(0) + std::string("\x0a\0\0", 3) +
         static_cast<char>(last) + std::string("\x0a\0\0\x02", 4) + payload;
}
std::string ipv6(const std::string& payload, char next = 17) {
  return std::string("\x60\0\0\0", 4) + be16(static_cast<unsigned>(payload.size())) + next + '\x40' +
         std::string("\x20\x01\x0d\xb8", 4) + std::string(11, '\0') + '\x05' + std::string(16, '\2') +
         payload;
}
std::string ethernet(const std::string& packet, unsigned ether_type = 0x0800, const std::string& tags = {}) {
  return std::string(12, '\3') + tags + be16(ether_type) + packet;
}

std::string record(const std::string& frame, std::uint32_t seconds = 100, std::size_t kept = 65535) {
  const std::string part = frame.substr(0, kept);
  return le32(seconds) + le32(250000) + le32(static_cast<std::uint32_t>(part.size())) +
         le32(static_cast<std::uint32_t>(frame.size())) + part;
}
std::string pcap(const std::string& records, std::uint32_t link = 1) {
  return le32(0xa1b2c3d4) + std::string("\2\0\4\0", 4) + le32(0) + le32(0) + le32(65535) + le32(link) +
         records;
}

}  // namespace

TEST_CASE("a query over UDP in Ethernet is found, with its client and its time") {
  const auto got = read(pcap(record(ethernet(ipv4(udp(query("WWW.Example.com", type::AAAA)))))));
  CHECK(got.error.empty());
  CHECK(got.format == "pcap");
  CHECK(got.queries == Texts{"100250000 10.0.0.7 www.example.com AAAA"});
}

TEST_CASE("IPv6, with and without extension headers, and up to four VLAN tags are understood, five are not") {
  const std::string dns = udp(query("a.example", type::A));
  CHECK(read(pcap(record(ethernet(ipv6(dns), 0x86dd)))).queries ==
        Texts{"100250000 2001:db8::5 a.example A"});
  const std::string destination = std::string("\x11\1", 2) + std::string(14, '\0');  // 16 octets, then UDP
  CHECK(read(pcap(record(ethernet(ipv6(destination + dns, 60), 0x86dd)))).queries.size() == 1);
  const std::string first_fragment = std::string("\x11\0\0\1\0\0\0\1", 8),
                    whole = std::string("\x11\0\0\0\0\0\0\1", 8);
  CHECK(read(pcap(record(ethernet(ipv6(first_fragment + dns, 44), 0x86dd)))).count("fragments") == 1);
  CHECK(read(pcap(record(ethernet(ipv6(whole + dns, 44), 0x86dd)))).queries.size() == 1);
  std::string tags;
  for (int i = 0; i < 5; ++i) {
    CAPTURE(i);
    CHECK(read(pcap(record(ethernet(ipv4(dns), 0x0800, tags)))).queries.size() == 1);
    tags = be16(i == 0 ? 0x8100 : 0x88a8) + be16(7) + tags;
  }
  CHECK(
      read(pcap(record(ethernet(ipv4(dns), 0x0800, tags)))).count("packet: headers contradict themselves") ==
      1);
}

TEST_CASE(
    "Linux cooked, raw IP and BSD loopback captures are read, another link layer is an error that names it") {
  const std::string packet = ipv4(udp(query("a.example", type::A)));
  const Texts expected{"100250000 10.0.0.7 a.example A"};
  CHECK(read(pcap(record(std::string(14, '\0') + be16(0x0800) + packet), 113)).queries == expected);
  CHECK(read(pcap(record(be16(0x0800) + std::string(18, '\0') + packet), 276)).queries == expected);
  CHECK(read(pcap(record(packet), 101)).queries == expected);
  CHECK(read(pcap(record(packet), 228)).queries == expected);
  CHECK(read(pcap(record(le32(2) + packet), 0)).queries == expected);
  CHECK(read(pcap(record(packet), 127)).error.find("cannot replay \"rec\": its link layer is ") == 0);
}

TEST_CASE(
    "TCP segments count where whole messages are in one; a message over two segments is counted as such") {
  const std::string one = framed(query("a.example", type::A)), two = framed(query("b.example", type::MX));
  const auto got = read(pcap(record(ethernet(ipv4(tcp(one + two), 6))) + record(ethernet(ipv4(tcp(""), 6))) +
                             record(ethernet(ipv4(tcp(one.substr(0, one.size() - 1)), 6))) +
                             record(ethernet(ipv4(tcp(one + two.substr(0, 5)), 6)))));
  CHECK(got.queries == Texts{"100250000 10.0.0.7 a.example A", "100250000 10.0.0.7 b.example MX",
                             "100250000 10.0.0.7 a.example A"});
  CHECK(got.count("packet: a message over several TCP segments") == 1);
  CHECK(got.count("packets that are no query to port 53") == 1);
}

TEST_CASE("answers, other ports, fragments, other classes and bad messages are no queries, and are counted") {
  const std::string dns = query("a.example", type::A);
  const auto got = read(pcap(
      record(ethernet(ipv4(udp(dns, 5353)))) + record(ethernet(ipv4(udp(query("a.example", 1, 0x8180))))) +
      record(ethernet(ipv4(udp(dns), 17, 0x2000))) + record(ethernet(ipv4(udp(dns), 17, 0x0001))) +
      record(ethernet(ipv4(udp(query("version.bind", type::TXT, 0x0100, 3))))) +
      record(ethernet(ipv4(udp(dns.substr(0, 20))))) + record(ethernet(ipv4(dns, 1))) +
      record(ethernet(ipv4(udp(dns))), 100, 40) + record("short") + record(ethernet("", 0x0806))));
  CHECK(got.queries.empty());
  CHECK(got.count("answers") == 1);
  CHECK(got.count("fragments") == 2);
  CHECK(got.count("class other than IN") == 1);
  CHECK(got.count("message: Postern would refuse its form") == 1);
  CHECK(got.count("packets that are no query to port 53") == 3);
  CHECK(got.count("packet: headers contradict themselves") == 1);
}

TEST_CASE(
    "a packet that the capture did not keep whole is told apart from a bad one; a capture cut off keeps its "
    "start") {
  const std::string frame = ethernet(ipv4(udp(query("a.example", type::A))));
  for (const std::size_t kept : {13u, 20u, 35u, 50u}) {
    CAPTURE(kept);
    CHECK(read(pcap(record(frame, 1, kept))).count("packet: not kept whole") == 1);
  }
  const auto got = read(pcap(record(frame, 1) + record(frame, 2).substr(0, 30)));
  CHECK(got.error.empty());
  CHECK(got.queries.size() == 1);
  CHECK(got.count("capture: cut off") == 1);
}

TEST_CASE("padding behind a packet is not part of it, and lengths that lie are refused") {
  const std::string packet = ipv4(udp(query("a.example", type::A)));
  CHECK(read(pcap(record(ethernet(packet + std::string(20, 'p'))))).queries.size() == 1);
  std::string longer = packet;
  longer[25] = '\x7f';  // UDP's length says more than IP's
  CHECK(read(pcap(record(ethernet(longer)))).count("packet: headers contradict themselves") == 1);
  std::string header = packet;
  header[0] = '\x44';  // an IP header of 16 octets
  CHECK(read(pcap(record(ethernet(header)))).count("packet: headers contradict themselves") == 1);
}

TEST_CASE("pcapng is read, and pcap in the other octet order") {
  const std::string frame = ethernet(ipv4(udp(query("a.example", type::A))));
  const auto block = [](std::uint32_t type, std::string body) {
    while (body.size() % 4 != 0) body += '\0';
    const auto size = static_cast<std::uint32_t>(body.size() + 12);
    return le32(type) + le32(size) + body + le32(size);
  };
  const std::uint64_t micros = 100'250'000;
  const std::string section = block(0x0a0d0d0a,
                                    le32(0x1a2b3c4d) + std::string("\1\0\0\0", 4) + le32(~0u) + le32(~0u)),
                    interface = block(1, std::string("\1\0\0\0", 4) + le32(65535)),
                    packet = block(6, le32(0) + le32(static_cast<std::uint32_t>(micros >> 32)) +
                                          le32(static_cast<std::uint32_t>(micros)) +
                                          le32(static_cast<std::uint32_t>(frame.size())) +
                                          le32(static_cast<std::uint32_t>(frame.size())) + frame);
  CHECK(read(section + interface + packet).queries == Texts{"100250000 10.0.0.7 a.example A"});
  const auto swapped = [](const std::string& text) {
    std::string out;
    for (std::size_t i = 0; i + 4 <= text.size(); i += 4)
      for (int k = 3; k >= 0; --k) out += text[i + static_cast<std::size_t>(k)];
    return out;
  };
  const std::string header = swapped(le32(0xa1b2c3d4)) + be16(2) + be16(4) + std::string(8, '\0') +
                             swapped(le32(65535)) + swapped(le32(1));
  CHECK(read(header + swapped(record(frame).substr(0, 16)) + frame).queries.size() == 1);
}

TEST_CASE("a capture with a header and nothing else has no queries and is no error; half a header is one") {
  CHECK(read(pcap("")).error.empty());
  CHECK(read(pcap("")).queries.empty());
  CHECK_FALSE(read(pcap("").substr(0, 10)).error.empty());
}

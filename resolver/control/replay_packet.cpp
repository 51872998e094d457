// Packets: link layer, IP, UDP and TCP headers, as far as it takes to find messages to port 53.
#include "resolver/control/replay_packet.h"

#include <arpa/inet.h>

namespace postern {
namespace {

// Link types by libpcap's numbers (pcap/dlt.h); written out, so that this file needs no libpcap.
constexpr int link_null = 0, link_ethernet = 1, link_raw = 12, link_raw_openbsd = 14, link_raw_wire = 101,
              link_loop = 108, link_sll = 113, link_ipv4 = 228, link_ipv6 = 229, link_sll2 = 276;
constexpr std::uint16_t ether_ipv4 = 0x0800, ether_ipv6 = 0x86dd, ether_vlan = 0x8100, ether_qinq = 0x88a8,
                        ether_qinq_old = 0x9100;
constexpr int max_vlan_tags = 4;          // two are usual
constexpr int max_extension_headers = 8;  // of IPv6; a stub's query has none
constexpr std::uint8_t protocol_tcp = 6, protocol_udp = 17;
constexpr std::uint16_t dns_port = 53;

std::uint16_t word(wire::Octets octets, std::size_t at) {
  return static_cast<std::uint16_t>(octets[at] << 8 | octets[at + 1]);
}

struct Reading {
  Frame& frame;
  bool whole;  // the capture kept the frame's end

  void stop(FrameKind kind) const { frame.kind = kind; }
  // Fewer octets than a header says: the capture's fault if it kept only a part.
  void short_of() const { stop(whole ? FrameKind::malformed : FrameKind::cut_short); }

  void network(std::uint16_t ether_type, wire::Octets packet) const {
    if (ether_type == ether_ipv4) return ipv4(packet);
    if (ether_type == ether_ipv6) return ipv6(packet);
    stop(FrameKind::other);
  }

  void by_version(wire::Octets packet) const {
    if (packet.empty()) return short_of();
    if (packet[0] >> 4 == 4) return ipv4(packet);
    if (packet[0] >> 4 == 6) return ipv6(packet);
    stop(FrameKind::other);
  }

  void ipv4(wire::Octets packet) const {
    if (packet.size() < 20) return short_of();
    const std::size_t header = (packet[0] & 15u) * 4u, total = word(packet, 2);
    if (packet[0] >> 4 != 4 || header < 20 || (total != 0 && total < header))
      return stop(FrameKind::malformed);
    if (packet.size() < header) return short_of();
    char text[INET6_ADDRSTRLEN];
    frame.source = inet_ntop(AF_INET, packet.data() + 12, text, sizeof text);
    const std::uint16_t fragment = word(packet, 6);
    if ((fragment & 0x3fff) != 0) return stop(FrameKind::fragment);  // more fragments, or an offset
    // Ethernet pads short frames; offloaded segments have a total of 0.
    transport(packet[9], packet.subspan(header), total == 0 ? packet.size() - header : total - header);
  }

  void ipv6(wire::Octets packet) const {
    constexpr std::size_t fixed = 40;
    if (packet.size() < fixed) return short_of();
    if (packet[0] >> 4 != 6) return stop(FrameKind::malformed);
    char text[INET6_ADDRSTRLEN];
    frame.source = inet_ntop(AF_INET6, packet.data() + 8, text, sizeof text);
    std::size_t left = word(packet, 4);
    wire::Octets rest = packet.subspan(fixed);
    if (left == 0) left = rest.size();  // a jumbogram or an offloaded segment
    std::uint8_t next = packet[6];
    for (int i = 0; i <= max_extension_headers; ++i) {
      constexpr std::uint8_t hop_by_hop = 0, routing = 43, fragment = 44, destination = 60;
      if (next == fragment) {
        if (rest.size() < 8) return short_of();
        if ((word(rest, 2) & 0xfff9) != 0) return stop(FrameKind::fragment);
      } else if (next != hop_by_hop && next != routing && next != destination) {
        return transport(next, rest, left);
      }
      if (rest.size() < 8) return short_of();
      const std::size_t size = next == fragment ? 8 : 8u + 8u * rest[1];
      if (size > left) return stop(FrameKind::malformed);
      if (size > rest.size()) return short_of();
      next = rest[0];
      rest = rest.subspan(size);
      left -= size;
    }
    stop(FrameKind::malformed);
  }

  // `size`: of the segment as the IP header says it; `segment` may be shorter (cut short) or longer
  // (padding).
  void transport(std::uint8_t protocol, wire::Octets segment, std::size_t size) const {
    if (protocol != protocol_udp && protocol != protocol_tcp) return stop(FrameKind::other);
    if (segment.size() < 4) return short_of();
    if (word(segment, 2) != dns_port) return stop(FrameKind::other);
    const bool complete = segment.size() >= size;
    if (complete) segment = segment.first(size);
    if (protocol == protocol_udp) return udp(segment, complete);
    tcp(segment, complete);
  }

  void udp(wire::Octets segment, bool complete) const {
    constexpr std::size_t header = 8;
    if (segment.size() < header) return short_of();
    const std::size_t size = word(segment, 4);
    if (size < header) return stop(FrameKind::malformed);
    if (segment.size() < size) return stop(complete ? FrameKind::malformed : FrameKind::cut_short);
    frame.messages.push_back(segment.subspan(header, size - header));
    stop(FrameKind::dns);
  }

  void tcp(wire::Octets segment, bool complete) const {
    if (segment.size() < 20) return short_of();
    const std::size_t header = (segment[12] >> 4) * 4u;
    if (header < 20) return stop(FrameKind::malformed);
    if (segment.size() < header) return short_of();
    wire::Octets data = segment.subspan(header);
    if (data.empty()) return stop(FrameKind::other);
    stop(FrameKind::split_tcp);
    while (data.size() >= 2) {  // RFC 1035 section 4.2.2: two octets of length before each message
      const std::size_t size = word(data, 0);
      if (data.size() < 2 + size) break;
      frame.messages.push_back(data.subspan(2, size));
      data = data.subspan(2 + size);
    }
    if (!frame.messages.empty()) return stop(FrameKind::dns);
    if (!complete) stop(FrameKind::cut_short);
  }
};

}  // namespace

bool is_known_link(int link_type) noexcept {
  for (const int known : {link_null, link_ethernet, link_raw, link_raw_openbsd, link_raw_wire, link_loop,
                          link_sll, link_ipv4, link_ipv6, link_sll2})
    if (known == link_type) return true;
  return false;
}

void read_frame(int link_type, wire::Octets captured, std::size_t length, Frame& frame) {
  frame.messages.clear();
  frame.source.clear();
  const Reading reading{frame, captured.size() >= length};
  switch (link_type) {
    case link_ethernet: {
      std::size_t at = 12;
      for (int tags = 0; tags <= max_vlan_tags; ++tags, at += 4) {
        if (captured.size() < at + 2) return reading.short_of();
        const std::uint16_t ether_type = word(captured, at);
        if (ether_type != ether_vlan && ether_type != ether_qinq && ether_type != ether_qinq_old)
          return reading.network(ether_type, captured.subspan(at + 2));
      }
      return reading.stop(FrameKind::malformed);
    }
    case link_sll:
      if (captured.size() < 16) return reading.short_of();
      return reading.network(word(captured, 14), captured.subspan(16));
    case link_sll2:
      if (captured.size() < 20) return reading.short_of();
      return reading.network(word(captured, 0), captured.subspan(20));
    case link_raw:
    case link_raw_openbsd:
    case link_raw_wire:
    case link_ipv4:
    case link_ipv6:
      return reading.by_version(captured);
    case link_null:  // four octets of address family, in the byte order of the machine that captured
    case link_loop:
      if (captured.size() < 4) return reading.short_of();
      return reading.by_version(captured.subspan(4));
    default:
      return reading.stop(FrameKind::unknown_link);
  }
}

}  // namespace postern

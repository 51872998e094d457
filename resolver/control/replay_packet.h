// Packets: from a captured frame to the DNS messages in it. Computes only.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "resolver/path/wire.h"

namespace postern {

// What a frame turned out to be.
enum class FrameKind : std::uint8_t {
  dns,           // one or more whole messages to port 53
  other,         // no DNS to port 53: other traffic, answers, TCP without data
  fragment,      // a piece of an IP packet
  cut_short,     // the capture did not keep all of it
  split_tcp,     // a message that goes on in another TCP segment
  malformed,     // headers that contradict themselves
  unknown_link,  // a link layer that is not understood
};

struct Frame {
  FrameKind kind = FrameKind::other;
  std::string source;                  // the client's address as text
  std::vector<wire::Octets> messages;  // into the frame; to port 53
};

// `link_type`: as libpcap's DLT_ numbers it. `captured` is what was kept of a frame of `length` octets.
// Ethernet with up to 4 VLAN tags (802.1Q, 802.1ad), Linux cooked (SLL, SLL2), raw IP, BSD loopback; IPv4 and
// IPv6 with its extension headers; UDP, and TCP where a message lies within one segment.
void read_frame(int link_type, wire::Octets captured, std::size_t length, Frame& frame);
bool is_known_link(int link_type) noexcept;

}  // namespace postern

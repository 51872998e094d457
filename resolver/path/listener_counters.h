// What listeners count; apart from listener.h, which needs Asio.
#pragma once

#include <cstdint>

namespace postern {

struct ListenerCounters {
  std::uint64_t looped = 0;     // from port 0, or from our own address and port: dropped
  std::uint64_t foreign = 0;    // datagrams and connections from outside the namespace: dropped
  std::uint64_t oversized = 0;  // datagrams and TCP messages over the limit
  std::uint64_t unsent = 0;     // replies that the socket would not take
  std::uint64_t connections = 0, connections_closed_full = 0, connections_closed_idle = 0;
};

}  // namespace postern

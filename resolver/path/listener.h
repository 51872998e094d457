// The listener of one sandbox: its UDP and TCP sockets, in batches in and out.
//
// Thread: one shard. Memory per sandbox when idle: two watched descriptors and this object; a TCP connection
// costs its buffers. Limits: `max_connections`, `connection_idle`, `max_unsent_octets` below; a datagram over
// wire::max_query_octets is FORMERR.
#pragma once

#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <deque>
#include <list>
#include <memory>
#include <span>
#include <vector>

#include "resolver/path/listener_counters.h"
#include "resolver/path/pipeline.h"
#include "resolver/sandbox/broker.h"

namespace postern {

// Buffers for one recvmmsg or sendmmsg; one per shard, shared by its listeners.
struct DatagramBatch;
struct DatagramBatchFree {
  void operator()(DatagramBatch* batch) const;
};
std::unique_ptr<DatagramBatch, DatagramBatchFree> make_datagram_batch();

class Listener : public std::enable_shared_from_this<Listener> {
 public:
  static constexpr std::size_t max_connections = 64;  // TCP, of one sandbox; then the longest idle is closed
  static constexpr std::chrono::seconds connection_idle{
      10};                                            // RFC 7766 section 6.2.3: of the order of seconds
  static constexpr std::size_t max_outstanding = 16;  // questions of a connection under way; the rest waits
  static constexpr std::size_t max_unsent_octets =
      128 << 10;  // of one connection; until it is read, nothing more is read from it

  Listener(boost::asio::io_context& io, Pipeline& pipeline, SandboxState& sandbox, Listeners sockets,
           DatagramBatch& batch, ListenerCounters& counters, std::function<Instant()> on_turn);
  ~Listener();
  void start();
  void close();
  void tick(Instant now);  // closes idle connections; every second or so

  // Sends UDP replies of exchanges whose sandbox this is; all at once.
  void send_datagrams(std::span<Exchange* const> exchanges);

 private:
  class Connection;
  void wait_datagrams();
  void read_datagrams();
  void wait_connections();
  void accept_connections();
  void drop_idlest();
  void drop(const std::shared_ptr<Connection>& connection);

  boost::asio::io_context& io_;
  Pipeline& pipeline_;
  SandboxState& sandbox_;
  boost::asio::posix::stream_descriptor udp_;
  boost::asio::posix::stream_descriptor tcp_;
  bool ipv6_;
  std::uint16_t port_ = 0;  // ours, network order
  DatagramBatch& batch_;
  ListenerCounters& counters_;
  std::function<Instant()> on_turn_;  // before each turn: reads the clock, tells the pipeline
  std::list<std::shared_ptr<Connection>> connections_;
  Instant now_{};
  bool closed_ = false;
  bool accept_later_ = false;  // out of descriptors: tried again at the next tick
};

}  // namespace postern

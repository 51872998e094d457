// c-ares moves messages to upstreams and back. The only file that knows c-ares.
//
// Several channels per server and transport are kept and renewed, because all questions of a channel leave
// from one source port and guessing the port is half of forging an answer. A channel knows exactly one
// server: failover is the forwarder's. Sockets come from the broker, already connected; c-ares never creates
// one.
//
// Thread: one shard. Memory: `udp_channels` + 1 channels per server; a retired one lives until its last
// question is answered.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <vector>

#include "detect/detector.h"
#include "resolver/path/forwarder.h"
#include "resolver/sandbox/broker.h"

namespace postern {

class CaresTransport : public Transport {
 public:
  // How a socket connected to server number `index` is had; blocking, short.
  using Connect = std::function<Result<Fd>(std::size_t index, bool tcp)>;
  static Result<std::unique_ptr<CaresTransport>> make(std::vector<Server> servers,
                                                      std::vector<UpstreamGroup> groups, Connect connect);
  ~CaresTransport() override;

  std::size_t servers(std::size_t group) const override;
  void send(std::size_t server, bool tcp, std::vector<std::uint8_t> message, Done done) override;

  // An epoll descriptor that is readable when `process` has something to do.
  int poll_descriptor() const;
  void process();  // reads and writes what is ready
  // Expires what has waited too long; to be called every 100 ms or so while `busy()`.
  void expire(Instant now);
  bool busy() const;
  // The servers of the usual group have changed: old channels drain, new questions go to the new list.
  void set_servers(std::vector<Server> servers);

 private:
  static constexpr std::size_t udp_channels = 4;             // per server
  static constexpr std::size_t questions_per_channel = 128;  // then it is renewed, with another source port
  static constexpr std::chrono::seconds channel_age{20};     // or then
  struct State;
  explicit CaresTransport(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace postern

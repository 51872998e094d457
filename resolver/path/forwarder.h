// The forwarder: one question to the configured upstreams, with retry, failover and 0x20.
//
// The story of a question: the best server is asked over UDP with a fresh id and random letter case. An
// answer that is truncated, or whose case differs, is asked for again over TCP at the same server. Silence,
// an error or a refusal moves on to the next server; the first server waits 1.2 s, so that the next is asked
// within 1.5 s. A server that failed goes to the back for a while.
//
// Thread: one shard. Knows neither sockets nor time-outs: `Transport` does (c-ares in production, a script in
// tests). Memory: one small object per question in flight; the pipeline bounds those.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "resolver/path/wire.h"
#include "rules/vocabulary.h"

namespace postern {

// Moves one message to a server and one back.
class Transport {
 public:
  enum class Status : std::uint8_t { reply, timeout, error };
  using Done = std::function<void(Status, wire::Octets reply)>;
  virtual ~Transport() = default;
  // Servers come in groups: 0 is the usual one, others are asked for zones that a policy forwards. A server's
  // number is `group * group_width` and its place in the group.
  static constexpr std::size_t group_width = 8;
  virtual std::size_t servers(std::size_t group) const = 0;  // 0 for a group that there is not
  // `done` is called exactly once, not before `send` returns... unless the message could not be sent at all.
  virtual void send(std::size_t server, bool tcp, std::vector<std::uint8_t> message, Done done) = 0;
  static constexpr std::chrono::milliseconds timeout{
      1200};  // of one attempt; design: next server within 1.5 s
};

// Randomness for ids and letter case; from getrandom in production, a fixed sequence in tests.
class Random {
 public:
  virtual ~Random() = default;
  virtual void fill(std::span<std::uint8_t> octets) = 0;
};
std::unique_ptr<Random> system_random();  // getrandom(2), buffered; stops the process if the kernel has none

// What became of a question.
struct Resolution {
  enum class Status : std::uint8_t { answered, no_server, unreachable, timed_out };
  Status status = Status::no_server;
  Answer answer;  // with `answered`
  std::chrono::microseconds took{};
  std::uint8_t attempts = 0;
};

class Forwarder {
 public:
  using Done = std::function<void(Resolution)>;
  struct Counters {
    std::uint64_t questions = 0, sent_udp = 0, sent_tcp = 0, timeouts = 0, errors = 0, case_differs = 0,
                  truncated = 0, not_ours = 0, malformed = 0, failovers = 0;
  };

  Forwarder(Transport& transport, Random& random) : transport_(transport), random_(random) {}
  // Asks a server of `group`, and others of the same group if need be. `now` and the later times come from
  // `clock`, the shard's.
  void ask(const Query& query, std::size_t group, Done done);
  void set_time(std::chrono::microseconds now) { now_ = now; }
  void servers_changed() { health_.clear(); }
  const Counters& counters() const { return counters_; }

 private:
  static constexpr std::size_t max_attempts = 6;        // over all servers and both transports
  static constexpr std::size_t max_servers_asked = 3;   // 3 x 1.2 s stays below a stub's usual 5 s
  static constexpr std::chrono::seconds sick_time{10};  // how long a server that failed waits at the back

  struct Attempt;
  struct Health {
    std::chrono::microseconds sick_until{};
  };
  Health& health(std::size_t server);
  void next(std::shared_ptr<Attempt> attempt);
  void send(std::shared_ptr<Attempt> attempt, bool tcp);
  void received(std::shared_ptr<Attempt> attempt, bool tcp, Transport::Status status, wire::Octets reply);
  void fail_over(std::shared_ptr<Attempt> attempt, Resolution::Status why);
  std::size_t choose(const Attempt& attempt);

  Transport& transport_;
  Random& random_;
  std::chrono::microseconds now_{};
  std::vector<Health> health_;  // by the server's number; shorter than that: nothing is known
  Counters counters_;
};

}  // namespace postern

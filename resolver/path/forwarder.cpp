// The forwarder: attempts, failover, 0x20.
#include "resolver/path/forwarder.h"

#include <sys/random.h>

#include <algorithm>
#include <array>
#include <cstring>

namespace postern {
namespace {

constexpr std::size_t none = ~std::size_t{0};  // no server is left

class SystemRandom : public Random {
 public:
  void fill(std::span<std::uint8_t> octets) override {
    for (std::uint8_t& octet : octets) {
      if (used_ == buffer_.size()) refill();
      octet = buffer_[used_++];
    }
  }

 private:
  void refill() {
    // Up to 256 octets come whole and uninterrupted (getrandom(2)).
    const ssize_t got = getrandom(buffer_.data(), buffer_.size(), 0);
    POSTERN_CHECK(got == static_cast<ssize_t>(buffer_.size()));
    used_ = 0;
  }
  std::array<std::uint8_t, 256> buffer_{};
  std::size_t used_ = buffer_.size();
};

}  // namespace

std::unique_ptr<Random> system_random() {
  return std::make_unique<SystemRandom>();
}

struct Forwarder::Attempt {
  Query query;
  std::size_t group = 0;
  Done done;
  std::chrono::microseconds started{};
  std::vector<std::uint8_t> message;  // as last sent
  std::vector<std::size_t> asked;     // numbers of the servers tried so far; the last is the current one
  std::size_t attempts = 0;
  Resolution::Status worst = Resolution::Status::no_server;
  std::optional<Answer> refusal;  // a server's SERVFAIL and the like, told if nobody does better
};

void Forwarder::ask(const Query& query, std::size_t group, Done done) {
  ++counters_.questions;
  auto attempt = std::make_shared<Attempt>();
  attempt->query = query;
  attempt->group = group;
  attempt->done = std::move(done);
  attempt->started = now_;
  next(std::move(attempt));
}

Forwarder::Health& Forwarder::health(std::size_t server) {
  if (health_.size() <= server) health_.resize(server + 1);
  return health_[server];
}

// The healthy server of the group that stands first in the configuration and was not asked yet; else the one
// that has been sick longest.
std::size_t Forwarder::choose(const Attempt& attempt) {
  const std::size_t first = attempt.group * Transport::group_width;
  const std::size_t count = transport_.servers(attempt.group);
  std::size_t best = none;
  for (std::size_t server = first; server < first + count; ++server) {
    if (std::find(attempt.asked.begin(), attempt.asked.end(), server) != attempt.asked.end()) continue;
    if (health(server).sick_until <= now_) return server;
    if (best == none || health(server).sick_until < health(best).sick_until) best = server;
  }
  return best;
}

void Forwarder::next(std::shared_ptr<Attempt> attempt) {
  std::size_t server = choose(*attempt);
  const bool exhausted = attempt->asked.size() >= max_servers_asked || attempt->attempts >= max_attempts;
  // With a single server one more try is made there: a lost packet should not cost the client its own retry.
  if (server == none && transport_.servers(attempt->group) == 1 && attempt->asked.size() < 2)
    server = attempt->asked.front();
  if (server == none || exhausted) {
    Resolution resolution;
    resolution.status = attempt->worst;
    resolution.took = now_ - attempt->started;
    resolution.attempts = static_cast<std::uint8_t>(attempt->attempts);
    if (attempt->refusal) {
      resolution.status = Resolution::Status::answered;
      resolution.answer = std::move(*attempt->refusal);
    }
    Done done = std::move(attempt->done);
    done(std::move(resolution));
    return;
  }
  if (!attempt->asked.empty()) ++counters_.failovers;
  attempt->asked.push_back(server);
  send(std::move(attempt), false);
}

void Forwarder::send(std::shared_ptr<Attempt> attempt, bool tcp) {
  std::array<std::uint8_t, 2 + Name::max_octets / 8 + 1> random;
  random_.fill(random);
  const std::uint16_t id = static_cast<std::uint16_t>(random[0] << 8 | random[1]);
  attempt->message = wire::build_upstream_query(attempt->query, id, std::span(random).subspan(2));
  ++attempt->attempts;
  ++(tcp ? counters_.sent_tcp : counters_.sent_udp);
  const std::size_t server = attempt->asked.back();
  std::vector<std::uint8_t> message = attempt->message;
  transport_.send(server, tcp, std::move(message),
                  [this, attempt, tcp](Transport::Status status, wire::Octets reply) {
                    received(attempt, tcp, status, reply);
                  });
}

void Forwarder::received(std::shared_ptr<Attempt> attempt, bool tcp, Transport::Status status,
                         wire::Octets reply) {
  if (status != Transport::Status::reply) {
    const bool timeout = status == Transport::Status::timeout;
    ++(timeout ? counters_.timeouts : counters_.errors);
    return fail_over(std::move(attempt),
                     timeout ? Resolution::Status::timed_out : Resolution::Status::unreachable);
  }
  wire::UpstreamMessage message = wire::parse_answer(reply, attempt->message, !tcp);
  switch (message.match) {
    case wire::Match::answer:
      break;
    case wire::Match::truncated:
      ++counters_.truncated;
      if (!tcp && attempt->attempts < max_attempts) return send(std::move(attempt), true);
      return fail_over(std::move(attempt), Resolution::Status::unreachable);
    case wire::Match::case_differs:
      ++counters_.case_differs;
      if (attempt->attempts < max_attempts) return send(std::move(attempt), true);
      return fail_over(std::move(attempt), Resolution::Status::unreachable);
    case wire::Match::not_ours:
      ++counters_.not_ours;
      if (!tcp && attempt->attempts < max_attempts)
        return send(std::move(attempt), true);  // somebody is guessing: TCP
      return fail_over(std::move(attempt), Resolution::Status::unreachable);
    case wire::Match::malformed:
      ++counters_.malformed;
      return fail_over(std::move(attempt), Resolution::Status::unreachable);
  }
  if (message.answer.rcode != 0 &&
      message.answer.rcode != 3) {  // SERVFAIL, REFUSED, NOTIMP, FORMERR: perhaps the next one can
    attempt->refusal = std::move(message.answer);
    return next(std::move(attempt));
  }
  health(attempt->asked.back()).sick_until = {};
  Resolution resolution;
  resolution.status = Resolution::Status::answered;
  resolution.answer = std::move(message.answer);
  resolution.took = now_ - attempt->started;
  resolution.attempts = static_cast<std::uint8_t>(attempt->attempts);
  Done done = std::move(attempt->done);
  done(std::move(resolution));
}

void Forwarder::fail_over(std::shared_ptr<Attempt> attempt, Resolution::Status why) {
  attempt->worst = why;
  health(attempt->asked.back()).sick_until = now_ + sick_time;
  next(std::move(attempt));
}

}  // namespace postern

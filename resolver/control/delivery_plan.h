// When a delivery is tried again, and when no more: the rules of the outbox, computed from their arguments.
//
// Each delivery has a back-off of its own, kept in the journal; beside it each hook has a gate, so that one
// that is down is knocked at by one delivery at a time and not by all that wait. Pure: time (Unix, in
// microseconds) and chance are arguments.
#pragma once

#include <cstdint>
#include <string>

#include "resolver/journal/journal.h"

namespace postern {

// How one attempt ended.
struct Attempt {
  enum class End : std::uint8_t {
    delivered,
    refused,  // the hook had it and said no: trying again would only repeat that
    again     // it could not be told, or asked to be told later
  };
  End end = End::again;
  int status = -1;           // exit status or HTTP status; -1: none
  std::string error;         // why not, for people; cut at `DeliveryPlan::max_error`
  std::int64_t wait_us = 0;  // what the hook asked for (Retry-After); 0: nothing
};

struct DeliveryPlan {
  // The n-th pause is drawn evenly from half to the whole of first_pause * 2^(n-1), at most longest_pause: a
  // hook that was restarted is soon told, one that is away for a night is not knocked at all night long.
  static constexpr std::int64_t first_pause_us = 1'000'000, longest_pause_us = 600'000'000;
  // A hook that was away for a long weekend is still told; then the row says `given up`.
  static constexpr std::int64_t give_up_after_us = 3LL * 86400 * 1'000'000;
  static constexpr std::size_t max_error = 512;  // octets

  // After `attempts` attempts; `chance` in [0, 1).
  static std::int64_t pause_us(std::uint32_t attempts, double chance);
  // What the journal is told of an attempt at `delivery` that ended at `now_us`.
  static DeliveryResult after(const Delivery& delivery, const Attempt& attempt, std::int64_t now_us,
                              double chance);
};

// How many deliveries may go to a hook at once: `most`, but after a failure one at a time, and none during a
// pause that grows with each further failure. Any success opens it again.
class HookGate {
 public:
  explicit HookGate(std::size_t most) : most_(most) {}

  bool lets_start(std::int64_t now_us, std::size_t under_way) const {
    return now_us >= opens_us_ && under_way < (failures_ == 0 ? most_ : 1);
  }
  // `started_us`: when the attempt was started; one that was under way when the gate closed says nothing new.
  void ended(Attempt::End end, std::int64_t started_us, std::int64_t now_us, double chance);
  std::int64_t opens_us() const { return opens_us_; }
  std::uint32_t failures() const { return failures_; }

 private:
  std::size_t most_;
  std::uint32_t failures_ = 0;  // in a row
  std::int64_t closed_us_ = 0, opens_us_ = 0;
};

// What a program's wait status means: 0 delivered; 75 (EX_TEMPFAIL of sysexits.h) again; any other status
// refused, but 126 and 127 (it could not be executed, as a shell says it), a signal, and -1 (there was no
// process) again.
Attempt exec_attempt(int wait_status);
// And an HTTP status: 2xx delivered, 410 (gone) refused, anything else again. `wait_us`: Retry-After.
Attempt http_attempt(int status, std::int64_t wait_us);

}  // namespace postern

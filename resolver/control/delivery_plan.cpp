// The outbox's rules: pauses, giving up, the gate before a hook, and what a hook's answer means.
#include "resolver/control/delivery_plan.h"

#include <sys/wait.h>
#include <csignal>

#include <algorithm>

namespace postern {

std::int64_t DeliveryPlan::pause_us(std::uint32_t attempts, double chance) {
  constexpr std::uint32_t doublings = 20;  // beyond the longest pause by far, and no overflow
  const std::int64_t whole =
      std::min(longest_pause_us, first_pause_us << std::min(attempts > 0 ? attempts - 1 : 0, doublings));
  return whole / 2 + static_cast<std::int64_t>(static_cast<double>(whole - whole / 2) * chance);
}

DeliveryResult DeliveryPlan::after(const Delivery& delivery, const Attempt& attempt, std::int64_t now_us,
                                   double chance) {
  DeliveryResult result;
  result.id = delivery.id;
  result.attempts = delivery.attempts + 1;
  result.time_us = now_us;
  result.status = attempt.status;
  result.error = attempt.error.substr(0, max_error);
  switch (attempt.end) {
    case Attempt::End::delivered:
      result.state = DeliveryState::delivered;
      return result;
    case Attempt::End::refused:
      result.state = DeliveryState::failed;
      return result;
    case Attempt::End::again:
      break;
  }
  if (now_us - delivery.created_us >= give_up_after_us) {
    result.state = DeliveryState::given_up;
    return result;
  }
  const std::int64_t asked = std::clamp<std::int64_t>(attempt.wait_us, 0, longest_pause_us);
  result.next_us = now_us + std::max(pause_us(result.attempts, chance), asked);
  return result;
}

void HookGate::ended(Attempt::End end, std::int64_t started_us, std::int64_t now_us, double chance) {
  if (end != Attempt::End::again) {
    failures_ = 0;
    opens_us_ = 0;
    return;
  }
  if (failures_ > 0 && started_us <= closed_us_) return;
  ++failures_;
  closed_us_ = now_us;
  opens_us_ = now_us + DeliveryPlan::pause_us(failures_, chance);
}

Attempt exec_attempt(int wait_status) {
  constexpr int temporary_failure = 75, not_executable = 126, not_found = 127;
  Attempt attempt;
  if (wait_status < 0) {
    attempt.error = "the program could not be started";
  } else if (WIFSIGNALED(wait_status)) {
    attempt.error = "the program was ended by signal " + std::to_string(WTERMSIG(wait_status));
    if (WTERMSIG(wait_status) == SIGKILL) attempt.error += ": not done in time, or killed by somebody else";
  } else {
    attempt.status = WEXITSTATUS(wait_status);
    if (attempt.status == 0) {
      attempt.end = Attempt::End::delivered;
      return attempt;
    }
    attempt.error = "exit status " + std::to_string(attempt.status);
    if (attempt.status == not_executable || attempt.status == not_found)
      attempt.error += ": it cannot be executed";
    else if (attempt.status != temporary_failure)
      attempt.end = Attempt::End::refused;
  }
  return attempt;
}

Attempt http_attempt(int status, std::int64_t wait_us) {
  constexpr int gone = 410;
  Attempt attempt{Attempt::End::again, status, "", wait_us};
  if (status >= 200 && status < 300) {
    attempt.end = Attempt::End::delivered;
    return attempt;
  }
  if (status == gone) attempt.end = Attempt::End::refused;
  attempt.error = "HTTP status " + std::to_string(status);
  if (status >= 300 && status < 400) attempt.error += ": redirects are not followed";
  return attempt;
}

}  // namespace postern

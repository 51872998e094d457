// The outbox's rules with the time and chance as arguments: pauses, the gate, giving up, what an answer
// means.
#include "resolver/control/delivery_plan.h"

#include <doctest/doctest.h>

using namespace postern;

namespace {

constexpr std::int64_t second = 1'000'000;
constexpr std::int64_t start = 1'700'000'000 * second;

Delivery pending(std::uint32_t attempts = 0) {
  return {7, "al_1", "{}", attempts, start, start};
}

}  // namespace

TEST_CASE("pauses double from half a second or a whole one, and end at ten minutes") {
  CHECK(DeliveryPlan::pause_us(1, 0.0) == second / 2);
  CHECK(DeliveryPlan::pause_us(1, 0.999999) < second);
  CHECK(DeliveryPlan::pause_us(2, 0.0) == second);
  CHECK(DeliveryPlan::pause_us(3, 0.5) == 3 * second);
  CHECK(DeliveryPlan::pause_us(10, 0.0) == 256 * second);
  CHECK(DeliveryPlan::pause_us(11, 0.0) == 300 * second);
  CHECK(DeliveryPlan::pause_us(4'000'000'000, 0.999999) <= 600 * second);
  CHECK(DeliveryPlan::pause_us(0, 0.0) == second / 2);
}

TEST_CASE("an attempt's end decides what becomes of the delivery") {
  const auto delivered = DeliveryPlan::after(pending(), {Attempt::End::delivered, 204, "", 0}, start + 5, 0);
  CHECK(delivered.state == DeliveryState::delivered);
  CHECK(delivered.attempts == 1);
  CHECK(delivered.status == 204);
  CHECK(delivered.time_us == start + 5);
  const auto refused = DeliveryPlan::after(pending(3), {Attempt::End::refused, 1, "no", 0}, start + 5, 0);
  CHECK(refused.state == DeliveryState::failed);
  CHECK(refused.attempts == 4);
  const auto again = DeliveryPlan::after(pending(1), {Attempt::End::again, 500, "oh", 0}, start + 5, 0);
  CHECK(again.state == DeliveryState::pending);
  CHECK(again.next_us == start + 5 + second);
  CHECK(again.error == "oh");
}

TEST_CASE("what a hook asks for is waited, within the longest pause") {
  const auto at = [](std::int64_t wait) {
    return DeliveryPlan::after(pending(), {Attempt::End::again, 429, "", wait}, start, 0).next_us - start;
  };
  CHECK(at(0) == second / 2);
  CHECK(at(second / 4) == second / 2);
  CHECK(at(90 * second) == 90 * second);
  CHECK(at(86400 * second) == DeliveryPlan::longest_pause_us);
  CHECK(at(-5 * second) == second / 2);
}

TEST_CASE("a delivery is given up three days after its alert, and not a moment earlier") {
  const Attempt down{Attempt::End::again, -1, "down", 0};
  const auto last = start + DeliveryPlan::give_up_after_us;
  CHECK(DeliveryPlan::after(pending(40), down, last - 1, 0).state == DeliveryState::pending);
  CHECK(DeliveryPlan::after(pending(40), down, last, 0).state == DeliveryState::given_up);
  CHECK(DeliveryPlan::after(pending(40), {Attempt::End::delivered, 200, "", 0}, last, 0).state ==
        DeliveryState::delivered);
}

TEST_CASE("an error is cut to what a column should hold") {
  const Attempt long_story{Attempt::End::again, -1, std::string(DeliveryPlan::max_error + 1, 'x'), 0};
  CHECK(DeliveryPlan::after(pending(), long_story, start, 0).error.size() == DeliveryPlan::max_error);
}

TEST_CASE("a gate lets several through, after a failure one at a time, and opens with a success") {
  HookGate gate(8);
  CHECK(gate.lets_start(start, 7));
  CHECK_FALSE(gate.lets_start(start, 8));
  gate.ended(Attempt::End::again, start, start + 1, 0);
  CHECK(gate.opens_us() == start + 1 + second / 2);
  CHECK_FALSE(gate.lets_start(gate.opens_us() - 1, 0));
  CHECK(gate.lets_start(gate.opens_us(), 0));
  CHECK_FALSE(gate.lets_start(gate.opens_us(), 1));
  // Seven more that were under way when the first failed say nothing new.
  const auto opens = gate.opens_us();
  for (int i = 0; i < 7; ++i) gate.ended(Attempt::End::again, start, start + 2, 0);
  CHECK(gate.opens_us() == opens);
  gate.ended(Attempt::End::again, opens, opens, 0);
  CHECK(gate.opens_us() == opens + second);  // the second pause
  gate.ended(Attempt::End::delivered, opens, opens + 5, 0);
  CHECK(gate.lets_start(opens + 5, 7));
  gate.ended(Attempt::End::again, opens + 6, opens + 7, 0);
  CHECK(gate.opens_us() == opens + 7 + second / 2);  // from the beginning
}

TEST_CASE("a refusal opens the gate as a success does: the hook is there") {
  HookGate gate(2);
  gate.ended(Attempt::End::again, start, start, 0);
  gate.ended(Attempt::End::refused, start + second, start + second, 0);
  CHECK(gate.lets_start(start + second, 1));
}

TEST_CASE("a program's end: what is told, what is refused, what is tried again") {
  struct Row {
    int wait_status;
    Attempt::End end;
    int status;
  };
  for (const Row& row : {Row{0, Attempt::End::delivered, 0}, Row{1 << 8, Attempt::End::refused, 1},
                         Row{74 << 8, Attempt::End::refused, 74}, Row{75 << 8, Attempt::End::again, 75},
                         Row{76 << 8, Attempt::End::refused, 76}, Row{125 << 8, Attempt::End::refused, 125},
                         Row{126 << 8, Attempt::End::again, 126}, Row{127 << 8, Attempt::End::again, 127},
                         Row{128 << 8, Attempt::End::refused, 128}, Row{9, Attempt::End::again, -1},
                         Row{11, Attempt::End::again, -1}, Row{-1, Attempt::End::again, -1}}) {
    INFO(row.wait_status);
    const Attempt attempt = exec_attempt(row.wait_status);
    CHECK(attempt.end == row.end);
    CHECK(attempt.status == row.status);
    CHECK(attempt.error.empty() == (row.end == Attempt::End::delivered));
  }
}

TEST_CASE("an HTTP status: 2xx is delivered, 410 refused, all else tried again") {
  for (const int status : {200, 204, 299}) CHECK(http_attempt(status, 0).end == Attempt::End::delivered);
  for (const int status : {100, 199, 300, 301, 307, 400, 404, 409, 411, 429, 500, 503})
    CHECK(http_attempt(status, 0).end == Attempt::End::again);
  CHECK(http_attempt(410, 0).end == Attempt::End::refused);
  CHECK(http_attempt(302, 0).error == "HTTP status 302: redirects are not followed");
  CHECK(http_attempt(503, 3 * second).wait_us == 3 * second);
}

// The dispatcher: reading, starting, settling.
#include "resolver/control/dispatcher.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <unordered_set>

namespace postern {

struct Dispatcher::Line {
  struct UnderWay {
    Delivery delivery;
    std::int64_t started_us = 0;
  };
  Hook hook;
  HookGate gate{most_at_once};
  std::vector<UnderWay> under_way;
  std::unordered_set<std::int64_t> unsettled;  // told to the journal, not yet committed
  bool left_due = false;                       // by the last pump
};

Dispatcher::Dispatcher(World world, std::vector<Hook> hooks) : world_(std::move(world)) {
  for (Hook& hook : hooks) {
    lines_.push_back(std::make_unique<Line>());
    lines_.back()->hook = std::move(hook);
  }
}
Dispatcher::~Dispatcher() = default;

std::optional<std::int64_t> Dispatcher::pump() {
  constexpr std::int64_t read_again_us = 1'000'000;  // after an error of the journal's
  std::optional<std::int64_t> next;
  const auto sooner = [&](std::int64_t at) { next = next ? std::min(*next, at) : at; };
  for (const auto& one : lines_) {
    Line& line = *one;
    line.left_due = false;
    std::int64_t now = world_.now_us();
    for (std::size_t i = line.under_way.size(); i-- > 0;) {
      if (now - line.under_way[i].started_us < line.hook.limit_us) continue;
      finish(line, i, {Attempt::End::again, -1, "no answer in time", 0});
    }
    if (line.unsettled.size() >= most_unsettled) continue;  // `settled` calls again
    auto waiting = world_.journal.pending(line.hook.name,
                                          line.unsettled.size() + line.under_way.size() + most_at_once + 1);
    if (!waiting) {
      spdlog::error("{}", waiting.error().message);
      sooner(now + read_again_us);
      continue;
    }
    for (const Delivery& delivery : *waiting) {
      now = world_.now_us();
      const bool in_hand =
          line.unsettled.contains(delivery.id) ||
          std::any_of(line.under_way.begin(), line.under_way.end(),
                      [&](const Line::UnderWay& other) { return other.delivery.id == delivery.id; });
      if (in_hand) continue;
      if (delivery.next_us > now) {
        sooner(delivery.next_us);
        break;  // the others are later
      }
      if (!line.gate.lets_start(now, line.under_way.size())) {
        if (line.gate.opens_us() > now)
          sooner(line.gate.opens_us());
        else
          line.left_due = true;
        break;
      }
      line.under_way.push_back({delivery, now});
      if (auto started = line.hook.start(delivery); !started) {
        finish(line, line.under_way.size() - 1, {Attempt::End::again, -1, started.error().message, 0});
      }
    }
    for (const Line::UnderWay& under_way : line.under_way) sooner(under_way.started_us + line.hook.limit_us);
  }
  return next;
}

void Dispatcher::finish(Line& line, std::size_t at, Attempt attempt) {
  const Line::UnderWay ended = std::move(line.under_way[at]);
  line.under_way.erase(line.under_way.begin() + static_cast<std::ptrdiff_t>(at));
  const std::int64_t now = world_.now_us();
  const bool was_open = line.gate.failures() == 0;
  line.gate.ended(attempt.end, ended.started_us, now, world_.chance());
  DeliveryResult result = DeliveryPlan::after(ended.delivery, attempt, now, world_.chance());
  if (result.state == DeliveryState::given_up)
    spdlog::error("alert {} is given up: {} was not told for three days: {}", ended.delivery.uid,
                  line.hook.name, result.error);
  else if (attempt.end == Attempt::End::refused)
    spdlog::warn("{} refused alert {}: {}", line.hook.name, ended.delivery.uid, result.error);
  else if (attempt.end == Attempt::End::again && was_open)
    spdlog::warn("{} cannot be told of alert {}, which waits in the outbox: {}", line.hook.name,
                 ended.delivery.uid, result.error);
  else if (attempt.end == Attempt::End::delivered && !was_open)
    spdlog::info("{} can be told of alerts again", line.hook.name);
  line.unsettled.insert(result.id);
  world_.journal.settle(std::move(result));
}

void Dispatcher::ended(std::int64_t delivery, Attempt attempt) {
  for (const auto& line : lines_)
    for (std::size_t i = 0; i < line->under_way.size(); ++i)
      if (line->under_way[i].delivery.id == delivery) return finish(*line, i, std::move(attempt));
}

void Dispatcher::lost(std::string_view prefix, const std::string& why) {
  for (const auto& line : lines_) {
    if (!line->hook.name.starts_with(prefix)) continue;
    while (!line->under_way.empty())
      finish(*line, line->under_way.size() - 1, {Attempt::End::again, -1, why, 0});
  }
}

void Dispatcher::settled(const std::vector<std::int64_t>& ids) {
  for (const auto& line : lines_)
    for (const std::int64_t id : ids) line->unsettled.erase(id);
}

bool Dispatcher::is_idle() const {
  return std::all_of(lines_.begin(), lines_.end(), [](const auto& line) {
    return line->under_way.empty() && line->unsettled.empty() && !line->left_due;
  });
}

std::vector<std::string> Dispatcher::names() const {
  std::vector<std::string> names;
  for (const auto& line : lines_) names.push_back(line->hook.name);
  return names;
}

}  // namespace postern

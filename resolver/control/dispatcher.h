// The dispatcher: carries what waits in the journal's outbox to the hooks, and their answers back.
//
// The story: the journal says that a commit brought deliveries; the dispatcher reads what waits for each
// hook, starts what is due and what the hook's gate lets through, and hands the end of each attempt back to
// the journal. A row stays in hand until its result is committed, so that no reading finds it due once more.
// After a kill what was under way is tried again: at least once, with the same id.
//
// Thread: the control loop's. Memory: at most `most_at_once` deliveries a hook, and as many
// results that wait for the journal. The path does not know it.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "resolver/control/delivery_plan.h"

namespace postern {

class Dispatcher {
 public:
  // Deliveries under way to one hook: the broker runs as many programs at once.
  static constexpr std::size_t most_at_once = 8;
  // Results that the journal has not committed; beyond, nothing is started.
  static constexpr std::size_t most_unsettled = 256;

  struct Hook {
    std::string name;  // as in the journal
    // Starts an attempt; `ended` tells its end. Errors: it cannot be started now.
    std::function<Result<void>(const Delivery&)> start;
    std::int64_t limit_us = 0;  // after which no end will come: it was lost on its way
  };
  struct World {
    Journal& journal;
    std::function<std::int64_t()> now_us;  // Unix time
    std::function<double()> chance;        // in [0, 1)
  };

  Dispatcher(World world, std::vector<Hook> hooks);
  ~Dispatcher();

  // Starts what may start. Returns when to be called again (Unix time); nothing: when something happens.
  std::optional<std::int64_t> pump();
  void ended(std::int64_t delivery, Attempt attempt);  // of one that is not under way: ignored
  // All that is under way to hooks whose names begin so: whoever carried it is gone.
  void lost(std::string_view prefix, const std::string& why);
  void settled(const std::vector<std::int64_t>& ids);
  // Nothing is under way or uncommitted, and nothing was due at the last `pump`.
  bool is_idle() const;
  std::vector<std::string> names() const;

 private:
  struct Line;
  void finish(Line& line, std::size_t at, Attempt attempt);

  World world_;
  std::vector<std::unique_ptr<Line>> lines_;
};

}  // namespace postern

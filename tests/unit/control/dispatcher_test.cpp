// The dispatcher over a real outbox, with fake hooks and a fake clock.
#include "resolver/control/dispatcher.h"

#include <doctest/doctest.h>
#include <stdlib.h>

#include <chrono>
#include <filesystem>
#include <mutex>
#include <thread>

using namespace postern;

namespace {

constexpr std::int64_t one_second = 1'000'000;

// A journal in a folder, a clock, and a hook that remembers what it was told.
class Stage {
 public:
  explicit Stage(std::size_t max_pending = 10'000) : max_pending_(max_pending) {
    std::string pattern = (std::filesystem::temp_directory_path() / "postern-outbox-XXXXXX").string();
    folder_ = mkdtemp(pattern.data());
    open();
  }
  ~Stage() {
    dispatcher.reset();
    journal.reset();
    std::filesystem::remove_all(folder_);
  }

  void open() {
    dispatcher.reset();
    journal.reset();
    Journal::Options options;
    options.path = folder_ + "/journal.db";
    options.hooks = {"exec /hook"};
    options.max_pending_deliveries = max_pending_;
    auto opened = Journal::open(options);
    REQUIRE_MESSAGE(opened.has_value(), (opened ? "" : opened.error().message));
    journal = std::move(*opened);
    journal->on_outbox([this](std::vector<std::int64_t> settled) {
      const std::lock_guard lock(mutex_);
      settled_.insert(settled_.end(), settled.begin(), settled.end());
    });
    Dispatcher::Hook hook{"exec /hook",
                          [this](const Delivery& one) -> Result<void> {
                            started.push_back(one);
                            if (cannot_start) return failure("no room");
                            return {};
                          },
                          30 * one_second};
    dispatcher = std::make_unique<Dispatcher>(
        Dispatcher::World{*journal, [this] { return now; }, [] { return 0.0; }}, std::vector{hook});
  }

  void raise(int count = 1) {
    for (int i = 0; i < count; ++i) {
      AlertRow row;
      row.time_us = now;
      row.kind = "tunnel";
      row.message = R"({"kind":"tunnel"})";
      journal->alert(row);
    }
    settle();
  }
  // Waits until all is committed, and tells the dispatcher.
  void settle() {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    while (journal->stats().waiting_alerts > 0 && std::chrono::steady_clock::now() < deadline)
      std::this_thread::yield();
    REQUIRE(journal->stats().waiting_alerts == 0);
    const std::lock_guard lock(mutex_);
    dispatcher->settled(settled_);
    settled_.clear();
  }
  void end_all(Attempt attempt) {
    const auto under_way = std::move(started);
    started.clear();
    for (const Delivery& one : under_way) dispatcher->ended(one.id, attempt);
  }

  std::unique_ptr<Journal> journal;
  std::unique_ptr<Dispatcher> dispatcher;
  std::int64_t now = 1'700'000'000 * one_second;
  std::vector<Delivery> started;
  bool cannot_start = false;

 private:
  std::size_t max_pending_;
  std::string folder_;
  std::mutex mutex_;
  std::vector<std::int64_t> settled_;
};

const Attempt told{Attempt::End::delivered, 0, "", 0}, down{Attempt::End::again, -1, "down", 0};

}  // namespace

TEST_CASE("an alert is told once, and its row is in hand until its result is committed") {
  Stage stage;
  stage.raise();
  CHECK_FALSE(stage.dispatcher->pump() == std::nullopt);  // the attempt's time limit
  REQUIRE(stage.started.size() == 1);
  CHECK(stage.started[0].body == R"({"id":")" + stage.started[0].uid + R"(","kind":"tunnel"})");
  CHECK(stage.started[0].uid.size() == 35);
  stage.dispatcher->pump();
  CHECK(stage.started.size() == 1);
  CHECK_FALSE(stage.dispatcher->is_idle());
  stage.end_all(told);
  stage.dispatcher->pump();  // not yet told that it is committed
  CHECK(stage.started.empty());
  stage.settle();
  CHECK(stage.dispatcher->pump() == std::nullopt);
  CHECK(stage.started.empty());
  CHECK(stage.dispatcher->is_idle());
}

TEST_CASE("a hook that is down gets the same id again after the pause, one alert at a time") {
  Stage stage;
  stage.raise(20);
  stage.dispatcher->pump();
  REQUIRE(stage.started.size() == Dispatcher::most_at_once);
  const std::string first = stage.started[0].uid;
  stage.end_all(down);
  stage.settle();
  auto next = stage.dispatcher->pump();
  REQUIRE(next.has_value());
  CHECK(*next == stage.now + one_second / 2);
  CHECK(stage.started.empty());
  stage.now = *next - 1;
  stage.dispatcher->pump();
  CHECK(stage.started.empty());
  stage.now = *next;
  stage.dispatcher->pump();
  REQUIRE(stage.started.size() == 1);  // one knocks
  stage.end_all(told);
  stage.settle();
  stage.dispatcher->pump();  // and the door is open
  CHECK(stage.started.size() == Dispatcher::most_at_once);
  std::vector<std::string> seen;
  for (int turns = 0; turns < 10 && !stage.dispatcher->is_idle(); ++turns) {
    for (const Delivery& one : stage.started) seen.push_back(one.uid);
    stage.end_all(told);
    stage.settle();
    stage.now += one_second;
    stage.dispatcher->pump();
  }
  CHECK(seen.size() == 19);
  CHECK(std::count(seen.begin(), seen.end(), first) == 1);
}

TEST_CASE("what was under way when Postern was killed is told again with the same id, what was told is not") {
  Stage stage;
  stage.raise(3);
  stage.dispatcher->pump();
  REQUIRE(stage.started.size() == 3);
  const std::vector<Delivery> before = stage.started;
  stage.dispatcher->ended(before[1].id, told);
  stage.settle();
  stage.started.clear();
  stage.open();
  stage.dispatcher->pump();
  REQUIRE(stage.started.size() == 2);
  CHECK(stage.started[0].uid == before[0].uid);
  CHECK(stage.started[0].body == before[0].body);
  CHECK(stage.started[1].uid == before[2].uid);
}

TEST_CASE("an attempt without an end counts as failed after its limit, and not a moment earlier") {
  Stage stage;
  stage.raise();
  const auto limit = stage.dispatcher->pump();
  REQUIRE(limit.has_value());
  CHECK(*limit == stage.now + 30 * one_second);
  stage.now = *limit - 1;
  stage.dispatcher->pump();
  CHECK(stage.started.size() == 1);
  stage.now = *limit;
  stage.dispatcher->pump();
  stage.settle();
  const auto next = stage.dispatcher->pump();
  REQUIRE(next.has_value());
  stage.now = *next;
  stage.dispatcher->pump();
  REQUIRE(stage.started.size() == 2);
  CHECK(stage.started[1].attempts == 1);
}

TEST_CASE("what cannot be started waits like what has failed") {
  Stage stage;
  stage.cannot_start = true;
  stage.raise(3);
  const auto next = stage.dispatcher->pump();
  REQUIRE(next.has_value());
  CHECK(stage.started.size() == 1);
  CHECK(*next == stage.now + one_second / 2);
  stage.settle();
  stage.cannot_start = false;
  stage.now = *next;
  stage.dispatcher->pump();
  CHECK(stage.started.size() == 2);
}

TEST_CASE("a lost courier leaves everything to be told again") {
  Stage stage;
  stage.raise(2);
  stage.dispatcher->pump();
  stage.started.clear();
  stage.dispatcher->lost("webhook ", "it ended");
  CHECK_FALSE(stage.dispatcher->is_idle());
  stage.settle();
  CHECK(stage.dispatcher->pump().has_value());
  CHECK(stage.started.empty());
  stage.dispatcher->lost("exec ", "it ended");
  stage.settle();
  stage.now += one_second;
  stage.dispatcher->pump();
  CHECK(stage.started.size() == 1);
}

TEST_CASE("beyond the limit an alert is not told, counted, and on record all the same") {
  Stage stage(3);
  stage.raise(5);
  CHECK(stage.journal->stats().dropped_deliveries == 2);
  CHECK(stage.journal->stats().committed_alerts == 5);
  CHECK(stage.journal->pending("exec /hook", 10)->size() == 3);
  stage.dispatcher->pump();
  stage.end_all(told);
  stage.settle();
  stage.raise();  // there is room again
  CHECK(stage.journal->stats().dropped_deliveries == 2);
  CHECK(stage.journal->pending("exec /hook", 10)->size() == 1);
}

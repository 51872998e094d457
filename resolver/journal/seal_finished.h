// Which queries are finished: neither a row nor an outcome of theirs comes any more.
//
// The story: a query's number is drawn before its row waits for the journal, so numbers come out of order,
// and some never come (a row that was refused, a refresh that no budget bears). Such a hole is where somebody
// who may write to the file could plant a row. So the journal's thread notes now and then how far numbers
// were drawn; what was drawn a minute before is finished. The next block says up to which number (`finished`,
// seal_record.h), and the writer keeps its word: a row that comes later all the same is refused, an outcome
// lost and counted. Hence `verify` can name what stands in a hole, and names no row that this writer wrote.
//
// Thread: the journal's. Time: a minute in which the journal was writing, not of any clock: between two calls
// at most `longest_look` counts, so neither a stalled disk nor a stopped process nor an outage makes what
// waits meanwhile finished. Memory: a number for each five seconds of that minute.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <deque>

namespace postern {

class FinishedRows {
 public:
  using Clock = std::chrono::steady_clock;
  // A query's row is handed in within the turn of the loop that drew its number; its outcome comes within the
  // forwarder's patience, some ten seconds. Six times that is far from both.
  static constexpr std::chrono::seconds after{60};
  static constexpr std::chrono::seconds noted_every{5};
  // The journal's thread looks at its file every second, if nothing else happens.
  static constexpr std::chrono::seconds longest_look{2};

  // All that was handed in is written, and numbers below `next` were drawn.
  void all_written(std::int64_t next, Clock::time_point now) {
    running_ += std::clamp(now - looked_, Clock::duration::zero(), Clock::duration(longest_look));
    looked_ = now;
    if (notes_.empty() || running_ - notes_.back().at >= noted_every) notes_.push_back({running_, next});
    for (; !notes_.empty() && running_ - notes_.front().at >= after; notes_.pop_front())
      reached(notes_.front().next - 1);
  }
  // An earlier block of the file said so.
  void reached(std::int64_t upto) { upto_ = std::max(upto_, upto); }
  std::int64_t upto() const { return upto_; }  // 0: none

 private:
  struct Note {
    Clock::duration at;
    std::int64_t next;
  };
  Clock::duration running_{};
  Clock::time_point looked_ = Clock::now();
  std::deque<Note> notes_;
  std::int64_t upto_ = 0;
};

}  // namespace postern

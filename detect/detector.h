// The detector: what a session's queries look like together. The front door of detect/.
//
// The story: every query of a session, blocked and cached ones too, is observed; per (session, registered domain)
// decayed counters turn into a score from 0 to 1, each contribution kept, so that an alert says *why*. Crossing
// `suspect` is told once, crossing `tunnel` once more. Pure: time is an argument; policy is never seen.
//
// Thread: one (the session's shard). Memory: at most `Limits::zones` zones, each a fixed-size sketch.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "rules/vocabulary.h"

namespace postern {

// Monotonic time since an arbitrary start; the caller's clock.
using Instant = std::chrono::microseconds;

enum class Level : std::uint8_t { quiet, suspect, tunnel };
std::string_view level_text(Level level);

struct Observation {
  Instant now{};
  const Query* query = nullptr;
  std::size_t registered_labels = 0;  // of query->name: the zone's labels (rules/public_suffix.h)
  bool blocked = false;
  bool cached = false;  // would be answered without going upstream
};

// One feature's part in a score. `feature` is a literal.
struct Contribution {
  const char* feature = "";
  double value = 0;  // as measured, in the feature's own unit
  double weight = 0; // what it added to the score, 0..1
};

struct Finding {
  double score = 0;
  Level level = Level::quiet;
  bool crossed = false;  // the level rose with this very query: tell it once
  std::vector<Contribution> why;  // filled only when `crossed`; largest first
};

class SessionDetector {
 public:
  struct Limits {
    std::size_t zones = 1024;  // a session that touches more is itself suspicious; the oldest quiet zone is forgotten
  };
  SessionDetector() : SessionDetector(Limits{}) {}
  explicit SessionDetector(Limits limits);
  ~SessionDetector();
  SessionDetector(SessionDetector&&) noexcept;
  SessionDetector& operator=(SessionDetector&&) noexcept;

  // At most ~1 us; allocates only for a zone not seen before.
  Finding observe(const Observation& observation);
  // What came back, for NXDOMAIN share and answer size.
  void answered(const Query& query, std::size_t registered_labels, int rcode, std::size_t octets, Instant now);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace postern

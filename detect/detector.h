// The detector: what a session's queries look like together. The front door of detect/.
//
// The story: every query of a session, blocked and cached ones too, is observed; per (session, registered
// domain) decayed counters turn into a score from 0 to 1, each contribution kept, so that an alert says
// *why*. Crossing `suspect` is told once, crossing `tunnel` once more. Beside the zones stands one
// pseudo-zone for the whole session, which only odd-looking names enter: a tunnel spread over many zones, a
// few names in each, raises that one.
// Pure: time is an argument; policy is never seen. Read next: score.h (the table of weights and the
// thresholds), score_shape.h (what a single name looks like), detector.cpp (the counters).
//
// Thread: one (the session's shard). Memory, in octets: at most `Limits::zones` x (296 + the zone's name, at
// most 255, + 16 of index), so 300 to 560 KiB at the default limit; it grows with the zones in use.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "detect/score.h"
#include "rules/vocabulary.h"

namespace postern {

// Monotonic time since an arbitrary start; the caller's clock. A step backwards counts as no time at all.
using Instant = std::chrono::microseconds;

struct Observation {
  Instant now{};
  const Query* query = nullptr;
  std::size_t registered_labels = 0;  // of query->name: the zone's labels (rules/public_suffix.h)
  bool blocked =
      false;  // by policy or budget: observed all the same, since what is scored is what the sender tries
  bool cached = false;  // answered without going upstream: nothing new, but one more query
};

struct Finding {
  double score = 0;  // of the query's zone; of the session when `session_wide`
  Level level = Level::quiet;
  bool crossed = false;  // the level rose with this very query: tell it once
  // The crossing is of the session as a whole: no single zone is to blame, so blocking the query's zone does
  // not help.
  bool session_wide = false;
  std::vector<Contribution> why;  // filled only when `crossed`; largest first
};

class SessionDetector {
 public:
  struct Limits {
    // A session that touches more is itself unusual; the zone that was quiet for longest is forgotten,
    // flagged ones last.
    std::size_t zones = 1024;
    // Keys the hashes. Draw it from getrandom: who knows it can choose names that count as repeats of each
    // other.
    std::uint64_t seed = 0;
  };
  SessionDetector() : SessionDetector(Limits{}) {}
  explicit SessionDetector(Limits limits);
  ~SessionDetector();
  SessionDetector(SessionDetector&&) noexcept;
  SessionDetector& operator=(SessionDetector&&) noexcept;

  // About 0.1 us for a repeated name in a known zone, 0.3 us for a new one; allocates only for a zone not
  // seen before and when something is told.
  // `crossed` is true once per rise. It is true again for the same level only after the score has stayed
  // below that level for `retell_after` (score.h), or after the zone was forgotten for lack of room.
  // One call tells at most one crossing: if zone and session rise together, the session's is told with its
  // next odd name.
  Finding observe(const Observation& observation);
  // What came back from upstream, for NXDOMAIN share and answer size (octets on the wire). Unknown zones are
  // ignored.
  void answered(const Query& query, std::size_t registered_labels, int rcode, std::size_t octets,
                Instant now);

  // What a forwarded query was charged, in bits; it counts from the next query on. Unknown zones are ignored.
  void charged(const Query& query, std::size_t registered_labels, double bits, Instant now);

  // What the zone's score is made of at this moment, largest first; empty for a zone not known.
  std::vector<Contribution> explain(const Name& name, std::size_t registered_labels) const;
  std::size_t zones() const noexcept;          // known at this moment
  std::size_t memory_octets() const noexcept;  // held at this moment, allocator overhead apart

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace postern

// The score: one table of weights that turns a zone's features into a number from 0 to 1, and the thresholds.
//
//   score = volume(distinct) * sum of weight * ramp(value, low, high)
//
// where a ramp is 0 up to `low`, 1 from `high` on and linear between, and the weights sum to 1. Nothing is a
// tunnel without volume: one name, whatever it looks like, scores 0. Every row rises with its value, so more
// evidence never lowers a score. Pure.
#pragma once

#include <chrono>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace postern {

enum class Level : std::uint8_t { quiet, suspect, tunnel };
std::string_view level_text(Level level);  // "quiet", "suspect", "tunnel"

// One feature's part in a score. `feature` is a literal: a row of `score_table()`.
struct Contribution {
  const char* feature = "";
  double value = 0;   // as measured, in the feature's own unit
  double weight = 0;  // what it added to the score, 0..1; all rows together are the score
};

// From this score on people are told. Chosen on half of the benign zones, see docs/DETECTION.md.
inline constexpr double suspect_threshold = 0.35;
// From this score on the policy acts. The gap to `suspect` is for benign zones with hashed names.
inline constexpr double tunnel_threshold = 0.50;
// A level is left only this far below its threshold: a score that wavers about it is one rise, not many.
inline constexpr double hysteresis = 0.10;
// A level that was left for this long is told again when it is reached again: by then it is a new story.
inline constexpr std::chrono::microseconds retell_after = std::chrono::hours(1);

// What a zone's queries have in common. Averages are over *distinct* names, so that asking one name all day
// adds nothing.
struct Features {
  double distinct = 0;   // names below the zone, last one to two hours
  double structure = 0;  // share of characters at which a name stops reading like words, 0..1 (score_shape.h)
  double encoded = 0;    // octets in distinct names at such characters, decayed sum
  double length = 0;     // octets below the zone, dots apart
  double label = 0;      // octets of a name's longest label below the zone
  double entropy = 0;    // bits per character below the zone
  double fresh = 0;      // share of queries that ask a name not asked before, 0..1
  double types = 0;      // how unusual the types are, 0 (A, AAAA) to 1 (NULL, KEY, private use)
  double rate = 0;       // queries per minute
  double charge = 0;     // bits an hour, as the leak meter prices what was forwarded
  double nxdomain = 0;   // share of answers, 0..1
  double answer = 0;     // octets per answer
};

struct ScoreRow {
  const char* feature;
  const char* unit;
  double Features::*value;
  double weight;
  double low, high;    // the ramp, in `unit`
  const char* reason;  // a sentence, for docs and alerts
};
std::span<const ScoreRow> score_table();

// How many distinct names make a zone's evidence half complete: 1 - 2^-((distinct - 1) / half), 0 up to one
// name.
inline constexpr double zone_half_volume = 5;
// The same for the whole session, where the odd names of all benign zones meet.
inline constexpr double session_half_volume = 32;
double score_volume(double distinct, double half);

double score(const Features& features, double half_volume);
// The rows' parts of that score, largest first.
std::vector<Contribution> score_parts(const Features& features, double half_volume);

}  // namespace postern

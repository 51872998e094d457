// The score's table and its arithmetic.
#include "detect/score.h"

#include <algorithm>
#include <cmath>

namespace postern {
namespace {

constexpr ScoreRow table[] = {
    {"structure", "share", &Features::structure, 0.18, 0.12, 0.32,
     "random hex, base32 and base64 break off at two characters in five, words at one in twenty; "
     "entropy misses hex, whose 3.2 bits a character in 16 octets are no more than those of words"},
    {"encoded", "octets", &Features::encoded, 0.12, 100, 600,
     "the sum cannot be thinned out by ordinary names asked in between, as an average can"},
    {"length", "octets", &Features::length, 0.13, 12, 40,
     "a tunnel pays for every query, so its names are long; benign names average 4 to 12 octets below the "
     "zone"},
    {"longest label", "octets", &Features::label, 0.05, 12, 32,
     "people do not write labels this long; a little weight, since hashes in benign names are as long"},
    {"entropy", "bits/character", &Features::entropy, 0.09, 2.6, 3.6,
     "many different characters; little weight, since long names of words come near 3.6 too"},
    {"distinct", "names", &Features::distinct, 0.12, 8, 64,
     "each piece of data needs a name of its own; a session rarely meets more than a few dozen names of one "
     "zone"},
    {"types", "share", &Features::types, 0.17, 0.10, 0.80,
     "NULL, KEY, TXT, CNAME and MX carry more downstream than addresses; programs rarely ask them"},
    {"fresh", "share", &Features::fresh, 0.05, 0.30, 0.90,
     "a tunnel never repeats a name, or a cache would swallow it; programs ask the same few names again"},
    {"rate", "queries/minute", &Features::rate, 0.03, 10, 60,
     "interactive tunnels poll; hardly any weight, since a slow leak leaks as well and installers are fast"},
    {"charge", "bits/hour", &Features::charge, 0.03, 256, 1024,
     "what went up as the meter prices it, from an eighth to half of the zone's budget in `code`: repeats "
     "and known "
     "names are cheap there, whatever they look like; little weight, since the meter itself cuts"},
    {"nxdomain", "share", &Features::nxdomain, 0.015, 0.30, 0.90,
     "a receiver that only listens need not answer; hardly any weight, since typing errors look the same"},
    {"answer size", "octets", &Features::answer, 0.015, 200, 800,
     "downstream data; hardly any weight, since signed and many-address answers are as long"},
};

double part(const ScoreRow& row, const Features& features) {
  return row.weight * std::clamp((features.*row.value - row.low) / (row.high - row.low), 0.0, 1.0);
}

}  // namespace

std::string_view level_text(Level level) {
  switch (level) {
    case Level::quiet:
      return "quiet";
    case Level::suspect:
      return "suspect";
    case Level::tunnel:
      return "tunnel";
  }
  return "quiet";
}

std::span<const ScoreRow> score_table() {
  return table;
}

double score_volume(double distinct, double half) {
  return distinct <= 1 ? 0 : 1 - std::exp2(-(distinct - 1) / half);
}

double score(const Features& features, double half_volume) {
  double sum = 0;
  for (const ScoreRow& row : table) sum += part(row, features);
  return sum * score_volume(features.distinct, half_volume);
}

std::vector<Contribution> score_parts(const Features& features, double half_volume) {
  const double volume = score_volume(features.distinct, half_volume);
  std::vector<Contribution> parts;
  parts.reserve(std::size(table));
  for (const ScoreRow& row : table)
    parts.push_back({row.feature, features.*row.value, part(row, features) * volume});
  std::stable_sort(parts.begin(), parts.end(),
                   [](const auto& a, const auto& b) { return a.weight > b.weight; });
  return parts;
}

}  // namespace postern

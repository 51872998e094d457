// The score: its table, its arithmetic, and what single names look like.
#include "detect/score.h"

#include <doctest/doctest.h>

#include <cmath>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <sstream>
#include <string>

#include "detect/score_shape.h"

using namespace postern;

namespace {

NameShape shape(const char* text) {
  const Name name = Name::parse(text).value();
  return shape_of(name.wire().first(name.size() - 1));
}

Features busy() {  // every ramp somewhere in its middle
  Features features;
  features.distinct = 20;
  features.structure = 0.2;
  features.encoded = 300;
  features.length = 25;
  features.label = 20;
  features.entropy = 3.1;
  features.fresh = 0.6;
  features.types = 0.4;
  features.rate = 30;
  features.charge = 600;
  features.nxdomain = 0.5;
  features.answer = 500;
  return features;
}

}  // namespace

TEST_CASE("the weights sum to one, every row has a reason and a ramp that rises") {
  double sum = 0;
  for (const ScoreRow& row : score_table()) {
    CAPTURE(row.feature);
    sum += row.weight;
    CHECK(row.weight > 0);
    CHECK(row.low < row.high);
    CHECK(std::strlen(row.reason) > 20);
  }
  CHECK(sum == doctest::Approx(1).epsilon(1e-9));
}

TEST_CASE("no feature alone reaches suspect, whatever its value") {
  for (const ScoreRow& row : score_table()) {
    CAPTURE(row.feature);
    CHECK(row.weight < suspect_threshold);
  }
}

TEST_CASE("the score lies between 0 and 1 and is the sum of its parts, largest first") {
  Features most;
  for (const ScoreRow& row : score_table()) most.*row.value = 1e9;
  CHECK(score(most, zone_half_volume) == doctest::Approx(1));
  CHECK(score(Features{}, zone_half_volume) == 0);

  const Features features = busy();
  const auto parts = score_parts(features, zone_half_volume);
  REQUIRE(parts.size() == score_table().size());
  double sum = 0;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    sum += parts[i].weight;
    if (i > 0) CHECK(parts[i].weight <= parts[i - 1].weight);
  }
  CHECK(sum == doctest::Approx(score(features, zone_half_volume)));
}

TEST_CASE("more of any feature never lowers the score, and inside its ramp raises it") {
  for (const ScoreRow& row : score_table()) {
    CAPTURE(row.feature);
    Features features = busy();
    double before = -1;
    for (int step = 0; step <= 40; ++step) {
      features.*row.value = row.low + (row.high - row.low) * (step - 10) / 20.0;
      if (features.*row.value < 0) continue;
      const double now = score(features, zone_half_volume);
      CHECK(now >= before);
      if (step > 11 && step <= 30) CHECK(now > before);
      before = now;
    }
  }
}

TEST_CASE("one name is no evidence, and the volume is half complete after the stated number of names") {
  CHECK(score_volume(0, zone_half_volume) == 0);
  CHECK(score_volume(1, zone_half_volume) == 0);
  CHECK(score_volume(1.01, zone_half_volume) > 0);
  CHECK(score_volume(1 + zone_half_volume, zone_half_volume) == doctest::Approx(0.5));
  CHECK(score_volume(1e6, zone_half_volume) == doctest::Approx(1));
}

TEST_CASE("levels have names and their thresholds leave room for hysteresis") {
  CHECK(level_text(Level::quiet) == "quiet");
  CHECK(level_text(Level::suspect) == "suspect");
  CHECK(level_text(Level::tunnel) == "tunnel");
  CHECK(suspect_threshold < tunnel_threshold);
  CHECK(suspect_threshold - hysteresis > 0);
}

TEST_CASE("a name's shape counts octets, the longest label and the entropy of its characters") {
  const NameShape two = shape("abab.abababab");
  CHECK(two.octets == 12);
  CHECK(two.longest == 8);
  CHECK(two.entropy == doctest::Approx(1));
  CHECK(shape("aaaa").entropy == doctest::Approx(0));
  CHECK(shape("abcdefghijklmnop").entropy == doctest::Approx(4));
  CHECK(shape_of({}).octets == 0);
  CHECK(shape_of({}).structure() == 0);
}

TEST_CASE("encoded data breaks off where words do not") {
  struct Row {
    const char* name;
    bool encoded;
  };
  const Row rows[] = {
      {"5a8f01708c5cc1c943caa72d7f44", true},      // hex
      {"laczi1dwmfbaywb0fm5xhkrgz0heotzq", true},  // base32
      {"q+z/8iaicauz6hfmhmh3pa0vsbf79wce", true},  // base64, lower case
      {"83920194857261038475", true},              // decimal
      {"xkqzvtrwpslgnbdfhjmc", true},              // consonants
      {"\\195\\188\\195\\182\\195\\164", true},    // octets that host names do not have
      {"production.cloudflare", false},
      {"strength-training", false},
      {"telemetry-incoming.r53-2.services", false},
      {"_http._tcp.security", false},
      {"20260314", false},  // a date: eight digits, two breaks
  };
  for (const Row& row : rows) {
    CAPTURE(row.name);
    CHECK((shape(row.name).structure() > 0.25) == row.encoded);
    if (!row.encoded) CHECK(shape(row.name).structure() <= 0.25);
  }
  // The neighbours of the run lengths: the third consonant and the sixth digit are ordinary.
  CHECK(shape("str").breaks == 0);
  CHECK(shape("strb").breaks == 1);
  CHECK(shape("123456").breaks == 0);
  CHECK(shape("1234567").breaks == 1);
}

TEST_CASE("runs end with their label") {
  CHECK(shape("str.str").breaks == 0);
  CHECK(shape("a.1.b.2").breaks == 0);
}

TEST_CASE("types are odd by what they can carry and who asks them") {
  for (const Type ordinary : {type::A, type::AAAA, type::HTTPS}) CHECK(type_oddness(ordinary) == 0);
  CHECK(type_oddness(type::SRV) < type_oddness(type::TXT));
  CHECK(type_oddness(type::TXT) < type_oddness(type::NULL_));
  for (const Type exotic : {type::NULL_, type::KEY, type::PRIVATE, Type{65280}, Type{0}})
    CHECK(type_oddness(exotic) == 1);
}

TEST_CASE("the session takes note of long encoded names and of exotic types only") {
  CHECK(is_odd(shape("5a8f01708c5cc1c943ca"), type::A));
  CHECK_FALSE(is_odd(shape("5a8f01708c5cc1c"), type::A));  // 15 octets: one too few
  CHECK(is_odd(shape("5a8f01708c5cc1c9"), type::A));
  CHECK_FALSE(is_odd(shape("production.cloudflare"), type::TXT));
  CHECK(is_odd(shape("www"), type::NULL_));
}

TEST_CASE("docs/DETECTION.md prints the table as it is") {
  std::ifstream file(POSTERN_SOURCE_DIR "/docs/DETECTION.md");
  std::ostringstream text;
  text << file.rdbuf();
  REQUIRE_MESSAGE(file.good(), "cannot read docs/DETECTION.md");
  for (const ScoreRow& row : score_table()) {
    char line[600];
    std::snprintf(line, sizeof line, "| %s | %s | %g | %g to %g | %s |", row.feature, row.unit, row.weight,
                  row.low, row.high, row.reason);
    CAPTURE(line);
    CHECK(text.str().find(line) != std::string::npos);
  }
  char thresholds[200];
  std::snprintf(thresholds, sizeof thresholds, "`suspect` from %.2f, `tunnel` from %.2f", suspect_threshold,
                tunnel_threshold);
  CHECK(text.str().find(thresholds) != std::string::npos);
}

// What an alert shows: names of its zone, since when, what they cost; and what was done about it.
#include "resolver/path/evidence.h"

#include <nlohmann/json.hpp>

#include "leak_world.h"

using namespace postern;
using postern::test::LeakWorld;
using Json = nlohmann::json;

namespace {

Name name_of(const std::string& text) {
  return *Name::parse(text);
}

// The first of its kind: the score may raise others beside it.
const AlertRow& leak_of(LeakWorld& world) {
  for (const AlertRow& row : world.journal.alerts)
    if (row.kind == "leak") return row;
  FAIL("no alert of kind leak");
  return world.journal.alerts.front();
}

}  // namespace

TEST_CASE("recent names are the last ones of a zone, oldest first, each once") {
  RecentNames recent;
  const Name evil = name_of("evil.com");
  CHECK(recent.in(&evil, 8).empty());
  CHECK(recent.first_us(&evil, 99) == 99);
  for (int i = 0; i < 5; ++i) {
    recent.note({name_of("n" + std::to_string(i) + ".evil.com"), type::A}, 2, 100 + i, 10);
    recent.note({name_of("www.good.com"), type::A}, 2, 200 + i, 1);
  }
  recent.note({name_of("n4.evil.com"), type::AAAA}, 2, 300, 10);
  const auto found = recent.in(&evil, 3);
  REQUIRE(found.size() == 3);
  CHECK(found[0].name == name_of("n3.evil.com"));
  CHECK(found[2].type == type::AAAA);
  CHECK(recent.in(nullptr, 100).size() == 7);
  CHECK(recent.first_us(&evil, 99) == 100);
  CHECK(recent.first_us(nullptr, 99) == 100);
}

TEST_CASE(
    "memory is bounded: names of old are forgotten, a zone's first time is not, and late zones have none") {
  RecentNames recent;
  recent.note({name_of("a.first.com"), type::A}, 2, 1, 0);
  for (std::size_t i = 0; i < 2 * RecentNames::most_zones; ++i)
    recent.note({name_of("x.z" + std::to_string(i) + ".com"), type::A}, 2, 10 + static_cast<std::int64_t>(i),
                0);
  const Name first = name_of("first.com"),
             last = name_of("z" + std::to_string(2 * RecentNames::most_zones - 1) + ".com");
  CHECK(recent.in(&first, 9).empty());
  CHECK(recent.first_us(&first, 99) == 1);
  CHECK(recent.in(nullptr, 1000).size() == RecentNames::most_names);
  CHECK(recent.first_us(&last, 0) == 10 + static_cast<std::int64_t>(2 * RecentNames::most_zones) - 1);
}

TEST_CASE(
    "an alert carries names, charges, first and last time, severity and techniques, in row and message "
    "alike") {
  LeakWorld world("on_tunnel: alert\nbudgets: {zone: 64 B}\n");
  SandboxState& box = world.attach("s");
  world.ask(box, "www.example.org");
  for (int i = 0; i < 40; ++i) {
    world.advance(1000);
    world.ask(box, "q0123456789abcdef" + std::to_string(i * 7919) + ".evil.com");
  }
  const AlertRow* leak = &leak_of(world);
  const Json evidence = Json::parse(leak->evidence), message = Json::parse(leak->message);
  CHECK(leak->severity == "high");
  CHECK(leak->attack == "T1048.003");
  CHECK(message["attack"] == Json::array({"T1048.003"}));
  CHECK(message["severity"] == "high");
  CHECK(message["action"] == "refuse");
  REQUIRE(evidence["names"].size() >= 2);
  CHECK(evidence["names"].size() <= 8);
  for (const Json& one : evidence["names"]) CHECK(one["name"].get<std::string>().ends_with(".evil.com"));
  CHECK(evidence["names"].back()["name"] == evidence["name"]);
  CHECK(evidence["names"].back()["charge_bits"] == 0);
  CHECK(evidence["names"].front()["charge_bits"] > 0);
  CHECK(evidence["zone_charged_bits"] > 0);
  CHECK(evidence["zone_charged_bits"] <= 512);
  CHECK(evidence["session_charged_bits"] > evidence["zone_charged_bits"]);
  CHECK(leak->first_us < leak->last_us);
  CHECK(leak->last_us == leak->time_us);
  CHECK(evidence["last"] == message["time"]);
  for (const auto& [key, value] : evidence.items()) CHECK(message[key] == value);
}

TEST_CASE(
    "policy's sterner words quarantine where nobody can freeze or kill, and the alert says what was wanted") {
  for (const std::string word : {"freeze", "kill"}) {
    CAPTURE(word);
    LeakWorld world("on_tunnel: alert\non_budget: " + word + "\nbudgets: {zone: 32 B}\n");
    SandboxState& box = world.attach("s");
    for (int i = 0; i < 20; ++i) world.ask(box, "q0123456789abcdef" + std::to_string(i * 7919) + ".evil.com");
    CHECK(world.ask(box, "www.example.org") == 3);
    const AlertRow& last = leak_of(world);
    CHECK(last.action == "quarantine");
    const Json evidence = Json::parse(last.evidence);
    CHECK(evidence.value("action_wanted", "") == word);
    CHECK(evidence.value("action_error", "") != "");
  }
}

TEST_CASE(
    "under `on_budget: block-zone` the first refusal ends the zone's questions, as a budget's and no "
    "tunnel's") {
  LeakWorld world("on_tunnel: alert\non_budget: block-zone\nbudgets: {zone: 32 B}\n");
  SandboxState& box = world.attach("s");
  for (int i = 0; i < 20; ++i) world.ask(box, "q0123456789abcdef" + std::to_string(i * 7919) + ".evil.com");
  CHECK(world.ask(box, "evil.com") == 3);
  CHECK(world.journal.rows.rbegin()->second.reason == Reason::budget);
  CHECK(world.ask(box, "www.example.org") == 0);
  CHECK(world.alerts("leak") == 1);
  CHECK(leak_of(world).action == "block-zone");
}

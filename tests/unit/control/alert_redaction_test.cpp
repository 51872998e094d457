// What hooks are told of an alert under each level of redaction.
#include "resolver/control/alert_redaction.h"

#include <doctest/doctest.h>

#include <nlohmann/json.hpp>

using namespace postern;
using nlohmann::json;

namespace {

// As path/alert_text.cpp makes it.
constexpr const char* object =
    R"({"time":"2026-11-22T10:00:00.000000Z","kind":"tunnel","severity":"high","attack":["T1572"],)"
    R"("sandbox":"box1","session":"nightly-42","user":"ada","code_sha256":"c0de","labels":{"team":"blue"},)"
    R"("policy":"default","zone":"example.com","action":"block-zone","name":"aGVsbG8.example.com","type":"TXT",)"
    R"("score":0.6,"why":[{"feature":"length","value":1.0}],"first":"2026-11-22T09:59:00.000000Z",)"
    R"("names":[{"name":"bXk.example.com","type":"TXT","charge_bits":22.0}],"zone_charged_bits":400.0})";

bool holds_any(const std::string& text, std::initializer_list<const char*> words) {
  for (const char* word : words)
    if (text.find(word) != std::string::npos) return true;
  return false;
}

}  // namespace

TEST_CASE("without redaction a hook is told the object as it is") {
  CHECK(redacted_alert(object, Redaction::none, "k") == object);
  CHECK(redacted_alert("{", Redaction::none, "k") == "{");
}

TEST_CASE("names: what was asked below the zone goes, who asked and the numbers stay") {
  const std::string told = redacted_alert(object, Redaction::names, "k");
  CHECK(!holds_any(told, {"aGVsbG8", "bXk"}));
  const json less = json::parse(told);
  CHECK(less["name"] == "*.example.com");
  CHECK(!less.contains("names"));
  for (const char* key : {"sandbox", "session", "user", "code_sha256", "labels", "zone", "why", "score",
                          "first", "zone_charged_bits", "attack"})
    CHECK_MESSAGE(less[key] == json::parse(object)[key], key);
  json apex = json::parse(object);
  apex["name"] = "example.com";
  CHECK(json::parse(redacted_alert(apex.dump(), Redaction::names, "k"))["name"] == "example.com");
  apex["zone"] = "";  // about the session: no part of the name is public
  CHECK(!json::parse(redacted_alert(apex.dump(), Redaction::names, "k")).contains("name"));
}

TEST_CASE("names: of a zone in no public suffix nothing is told, as nobody has registered it") {
  json alert = json::parse(object);
  for (const auto& [zone, told, name] : {std::tuple{"nmsecret", ".", "*."},
                                         {"nmsecret.unknowntldxyz", ".", "*."},
                                         {".", ".", "*."},
                                         {"nmsecret.local", "local", "*.local"}}) {
    alert["zone"] = zone;
    alert["name"] = "a." + std::string(zone);
    const std::string text = redacted_alert(alert.dump(), Redaction::names, "k");
    CHECK(text.find("nmsecret") == std::string::npos);
    CHECK(json::parse(text)["zone"] == told);
    CHECK(json::parse(text)["name"] == name);
  }
}

TEST_CASE("all: marks stand for who asked, equal for equal ones under one key alone") {
  const std::string told = redacted_alert(object, Redaction::all, "k");
  CHECK(!holds_any(told, {"aGVsbG8", "bXk", "box1", "nightly", "ada", "c0de", "blue", "team"}));
  const json less = json::parse(told);
  CHECK(less["user"].get<std::string>().starts_with("user-"));
  CHECK(less["user"].get<std::string>().size() == 21);
  CHECK(less["zone"] == "example.com");
  CHECK(json::parse(redacted_alert(object, Redaction::all, "k"))["user"] == less["user"]);
  CHECK(json::parse(redacted_alert(object, Redaction::all, "K"))["user"] != less["user"]);
  json other = json::parse(object);
  other["user"] = "nightly-42";  // as the session is called
  const json marks = json::parse(redacted_alert(other.dump(), Redaction::all, "k"));
  CHECK(marks["user"] != less["user"]);
  CHECK(marks["session"] == less["session"]);
  CHECK(marks["user"].get<std::string>().substr(5) != marks["session"].get<std::string>().substr(8));
}

TEST_CASE("what is no object tells nothing once something is to be left out") {
  for (const char* text : {"", "{", "[]", "7", "\"aGVsbG8.example.com\""}) {
    CHECK(redacted_alert(text, Redaction::names, "k") == "{}");
    CHECK(redacted_evidence(text, Redaction::all) == "{}");
  }
  CHECK(redacted_alert("{}", Redaction::all, "k") == "{}");
}

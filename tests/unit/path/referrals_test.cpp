// Referrals: what an answer hands out, for how long it is remembered, and how many.
#include "resolver/path/referrals.h"

#include <doctest/doctest.h>

using namespace postern;
using namespace std::chrono_literals;

namespace {

Name parsed_name(const std::string& text) {
  const auto parsed = Name::parse(text);
  REQUIRE(parsed.has_value());
  return *parsed;
}

// A record whose rdata is some octets and then a name, and perhaps more octets.
Record record(Type type, std::vector<std::uint8_t> fixed, const char* target,
              std::vector<std::uint8_t> more = {}) {
  Record made{parsed_name("a.example"), type, 60, std::move(fixed)};
  const Name to = parsed_name(target);
  made.rdata.insert(made.rdata.end(), to.wire().begin(), to.wire().end());
  made.rdata.insert(made.rdata.end(), more.begin(), more.end());
  return made;
}

std::string told(std::vector<Record> records) {
  Answer answer;
  answer.answer = std::move(records);
  std::string out;
  for (const Name& one : handed_out(answer)) out += (out.empty() ? "" : " ") + one.text();
  return out;
}

}  // namespace

TEST_CASE("SRV, MX, SVCB and HTTPS hand out their targets, other types nothing") {
  CHECK(told({record(type::MX, {0, 10}, "mail.example")}) == "mail.example");
  CHECK(told({record(type::SRV, {0, 0, 0, 5, 0, 80}, "srv.example")}) == "srv.example");
  CHECK(told({record(type::SVCB, {0, 1}, "svc.example", {0, 3, 0, 2, 1, 187})}) == "svc.example");
  CHECK(told({record(type::HTTPS, {0, 0}, "https.example")}) == "https.example");
  CHECK(told({record(type::MX, {0, 10}, "m.example"), record(type::MX, {0, 20}, "m.example"),
              record(type::MX, {0, 20}, "n.example")}) == "m.example n.example");
  for (const Type other : {type::CNAME, type::NS, type::PTR, type::DNAME, type::TXT})
    CHECK(told({record(other, {}, "other.example")}) == "");
}

TEST_CASE("no target, a local name, and octets that are no such record hand out nothing") {
  CHECK(told({record(type::MX, {0, 0}, ".")}) == "");  // RFC 7505
  CHECK(told({record(type::SRV, {0, 0, 0, 0, 0, 0}, ".")}) == "");
  CHECK(told({record(type::HTTPS, {0, 1}, ".")}) == "");
  CHECK(told({record(type::MX, {0, 10}, "printer")}) == "");
  CHECK(told({record(type::MX, {0, 10}, "mail.example", {0})}) == "");
  CHECK(told({record(type::MX, {0}, "mail.example")}) == "");
  CHECK(told({{parsed_name("a.example"), type::MX, 60, {0, 10}},
              {parsed_name("a.example"), type::SRV, 60, {}}}) == "");
}

TEST_CASE("one answer hands out a limited number of names") {
  std::vector<Record> many;
  for (int i = 0; i < 100; ++i)
    many.push_back(record(type::MX, {0, 10}, ("m" + std::to_string(i) + ".example").c_str()));
  Answer answer;
  answer.answer = std::move(many);
  CHECK(handed_out(answer).size() == Referrals::max_of_answer);
}

TEST_CASE("a name may be asked until its time, which a shorter one does not cut") {
  Referrals referrals;
  CHECK_FALSE(referrals.holds(parsed_name("a.example"), 0s));
  referrals.note(parsed_name("a.example"), 10s, 0s);
  CHECK(referrals.holds(parsed_name("a.example"), 10s - 1us));
  CHECK_FALSE(referrals.holds(parsed_name("a.example"), 10s));
  CHECK_FALSE(referrals.holds(parsed_name("b.a.example"), 1s));
  CHECK_FALSE(referrals.holds(parsed_name("example"), 1s));
  referrals.note(parsed_name("a.example"), 5s, 1s);
  CHECK(referrals.holds(parsed_name("a.example"), 9s));
  referrals.note(parsed_name("a.example"), 20s, 1s);
  CHECK(referrals.holds(parsed_name("a.example"), 19s));
  CHECK(referrals.size() == 1);
}

TEST_CASE("memory is bounded: what has ended goes first, then what ends first") {
  Referrals referrals;
  const auto number = [](std::size_t i) { return parsed_name("n" + std::to_string(i) + ".example"); };
  for (std::size_t i = 0; i < Referrals::max_names; ++i)
    referrals.note(number(i), Instant(1000s + i * 1s), 0s);
  CHECK(referrals.size() == Referrals::max_names);
  referrals.note(parsed_name("new.example"), 2000s, 1s);
  CHECK(referrals.size() == Referrals::max_names);
  CHECK_FALSE(referrals.holds(number(0), 1s));
  CHECK(referrals.holds(number(1), 1s));
  CHECK(referrals.holds(parsed_name("new.example"), 1s));
  referrals.note(parsed_name("later.example"), 3000s, 1500s);
  CHECK(referrals.size() == 2);
}

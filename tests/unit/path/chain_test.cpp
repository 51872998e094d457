// keep_chain: of an answer section, what belongs to the question.
#include "resolver/path/chain.h"

#include <doctest/doctest.h>

#include <sstream>

using namespace postern;

namespace {

Name name(const std::string& text) {
  const auto parsed = Name::parse(text);
  REQUIRE(parsed.has_value());
  return *parsed;
}

// "OWNER TYPE TARGET"; an A record has no target that is looked at.
Record record(const std::string& text) {
  std::istringstream in(text);
  std::string owner, type, target;
  in >> owner >> type >> target;
  Record made{name(owner), *type_from_text(type), 60, {}};
  if (made.type == type::A) {
    made.rdata = {8, 8, 8, 8};
  } else {
    const Name to = name(target);
    made.rdata.assign(to.wire().begin(), to.wire().end());
  }
  return made;
}

std::string kept(const char* asked, Type type, std::initializer_list<const char*> records) {
  Answer answer;
  for (const char* one : records) answer.answer.push_back(record(one));
  keep_chain({name(asked), type}, answer);
  std::string out;
  for (const Record& one : answer.answer)
    out += (out.empty() ? "" : ", ") + one.owner.text() + " " + type_text(one.type);
  return out;
}

}  // namespace

TEST_CASE("only what leads from the question to its type stays, in the chain's order") {
  CHECK(kept("a.example", type::A, {"a.example A", "b.example A"}) == "a.example A");
  CHECK(
      kept("a.example", type::A, {"c.example A", "b.example CNAME c.example", "a.example CNAME b.example"}) ==
      "a.example CNAME, b.example CNAME, c.example A");
  CHECK(kept("a.example", type::A, {"b.example A"}) == "");
  CHECK(kept("a.example", type::AAAA, {"a.example A", "a.example CNAME b.example", "b.example A"}) ==
        "a.example CNAME");
  CHECK(kept("a.example", type::A, {"a.example A", "a.example CNAME b.example", "b.example A"}) ==
        "a.example A");
  CHECK(kept("a.example", type::CNAME, {"a.example CNAME b.example", "b.example A"}) == "a.example CNAME");
  CHECK(kept("a.example", type::A,
             {"a.example CNAME b.example", "a.example CNAME c.example", "c.example A"}) == "a.example CNAME");
}

TEST_CASE("an alias that goes round, or on for ever, ends") {
  CHECK(kept("a.example", type::A, {"a.example CNAME b.example", "b.example CNAME a.example"}) ==
        "a.example CNAME, b.example CNAME");
  CHECK(kept("a.example", type::A, {"a.example CNAME a.example", "a.example A"}) == "a.example A");
  Answer answer;
  for (int i = 0; i < 40; ++i)
    answer.answer.push_back(
        record("n" + std::to_string(i) + ".example CNAME n" + std::to_string(i + 1) + ".example"));
  keep_chain({name("n0.example"), type::A}, answer);
  CHECK(answer.answer.size() == 16);
}

TEST_CASE("a DNAME stays only where it made the alias that was followed") {
  CHECK(kept("a.b.example", type::A,
             {"b.example DNAME c.example", "a.b.example CNAME a.c.example", "a.c.example A"}) ==
        "b.example DNAME, a.b.example CNAME, a.c.example A");
  CHECK(kept("a.b.example", type::A,
             {"b.example DNAME evil.example", "a.b.example CNAME a.c.example", "a.c.example A"}) ==
        "a.b.example CNAME, a.c.example A");
  CHECK(kept("a.b.example", type::A,
             {"b.example DNAME c.example", "a.b.example CNAME x.c.example", "x.c.example A"}) ==
        "a.b.example CNAME, x.c.example A");
  // Its own owner is not renamed by it (RFC 6672 section 2.3), nor is a name beside it.
  CHECK(kept("b.example", type::A, {"b.example DNAME c.example", "b.example A"}) == "b.example A");
  CHECK(kept("a.bb.example", type::A, {"b.example DNAME c.example", "a.bb.example A"}) == "a.bb.example A");
  CHECK(kept("a.b.example", type::A, {"b.example DNAME c.example"}) == "");
}

TEST_CASE("of the authority section a negative answer keeps one SOA, of a zone that holds the chain's end") {
  const auto authority = [](const char* owner, std::initializer_list<const char*> records) {
    Answer answer;
    for (const char* one : records) answer.answer.push_back(record(one));
    answer.authority.push_back({name("ns.example"), type::NS, 60, {0}});
    answer.authority.push_back({name(owner), type::SOA, 60, {0}});
    keep_chain({name("www.a.example"), type::A}, answer);
    return answer.authority.size();
  };
  CHECK(authority("a.example", {}) == 1);
  CHECK(authority("www.a.example", {}) == 1);
  CHECK(authority("b.example", {}) == 0);
  CHECK(authority("x.www.a.example", {}) == 0);
  CHECK(authority("a.example", {"www.a.example A"}) == 0);
  CHECK(authority("b.example", {"www.a.example CNAME www.b.example"}) == 1);
  CHECK(authority("a.example", {"www.a.example CNAME www.b.example"}) == 0);
}

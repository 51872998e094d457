// What `policy diff` must not miss: where to ask, expressions, and records of other types than were asked
// for.
#include "rules/explain.h"
#include "support.h"

using namespace postern;

namespace {

std::string changes(const char* before, const char* after) {
  const PolicyDiff diff =
      diff_policies(*postern::test::policy(before), *postern::test::policy(after), {}, {type::A});
  std::string out;
  for (const ChangedName& one : diff.names)
    out += (out.empty() ? "" : " | ") + one.query.name.text() + " " + type_text(one.query.type) + " " +
           one.before + " > " + one.after;
  for (const ChangedSetting& one : diff.settings)
    out += (out.empty() ? "" : " | ") + one.key + " " + one.before + " > " + one.after;
  return out;
}

}  // namespace

TEST_CASE(
    "a zone that is asked of other servers is a difference, at its name, below it and in the settings") {
  CHECK(changes("forward: {corp.example.net: one}", "forward: {corp.example.net: one}") == "");
  CHECK(changes("forward: {corp.example.net: one}", "forward: {corp.example.net: two}") ==
        "corp.example.net A allowed, of upstreams one > allowed, of upstreams two | "
        "anything.corp.example.net A allowed, of upstreams one > allowed, of upstreams two | "
        "forward [corp.example.net: one] > [corp.example.net: two]");
  CHECK(changes("{forward: {corp.example.net: one}, allow: ['**.corp.example.net']}",
                "allow: ['**.corp.example.net']") ==
        "corp.example.net A allowed, of upstreams one > allowed | "
        "anything.corp.example.net A allowed, of upstreams one > allowed | "
        "forward [corp.example.net: one] > []");
}

TEST_CASE("a regular expression is a difference although no name shows it") {
  CHECK(changes("block: ['/^ads[0-9]+/']", "block: ['/^ads[0-9]+/']") == "");
  CHECK(changes("block: ['/^ads[0-9]+/']", "block: ['/^nothing/']") ==
        "expressions [block /^ads[0-9]+/] > [block /^nothing/]");
  CHECK(changes("block: ['/^ads/']", "allow: ['/^ads/']") == "expressions [block /^ads/] > [allow /^ads/]");
  CHECK(changes("block: ['/^ads/']", "observe: ['/^ads/']") ==
        "expressions [block /^ads/] > [observe /^ads/]");
  // Nor is the order one, or saying it twice.
  CHECK(changes("block: ['/^a/', '/^b/']", "block: ['/^b/', '/^a/', '/^b/']") == "");
}

TEST_CASE("local records are asked for with their own types") {
  CHECK(changes("hosts: {db.example.com: 'fd12::7'}", "hosts: {db.example.com: 'fd12::8'}") ==
        "db.example.com AAAA local fd12::7 > local fd12::8");
  CHECK(changes("zones: {example.net: ['www MX 10 a.example.org.']}",
                "zones: {example.net: ['www MX 10 b.example.org.']}") ==
        "www.example.net MX local 10 a.example.org > local 10 b.example.org");
  CHECK(changes("zones: {example.net: ['_s._tcp SRV 1 2 53 a.example.org.']}",
                "zones: {example.net: ['_s._tcp SRV 1 2 54 a.example.org.']}") != "");
  CHECK(changes("zones: {example.net: ['www A 10.0.0.1']}",
                "zones: {example.net: ['www A 10.0.0.1', 'www TXT hello']}") ==
        "www.example.net TXT local, empty > local \"hello\"");
  CHECK(changes("zones: {example.net: ['*.w TXT one']}", "zones: {example.net: ['*.w TXT two']}") ==
        "*.w.example.net TXT local \"one\" > local \"two\"");
  CHECK(changes("zones: {example.net: ['www A 10.0.0.1', 'www TXT hello']}",
                "zones: {example.net: ['www TXT hello', 'www A 10.0.0.1']}") == "");
}

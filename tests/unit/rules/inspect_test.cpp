// inspect: which answers a sandbox may see.
#include <initializer_list>

#include "rules/svcb.h"
#include "support.h"

using namespace postern;
using postern::test::name;
using postern::test::policy;

namespace {

using Octets = std::vector<std::uint8_t>;

Record record(Type type, Octets rdata, const char* owner = "www.example.com") {
  return {name(owner), type, 60, std::move(rdata)};
}
Record v4(int a, int b, int c, int d) {
  return record(type::A, {static_cast<std::uint8_t>(a), static_cast<std::uint8_t>(b),
                          static_cast<std::uint8_t>(c), static_cast<std::uint8_t>(d)});
}
Record alias(const char* target, Type type = type::CNAME) {
  const Name to = name(target);
  return record(type, {to.wire().begin(), to.wire().end()});
}

// HTTPS RDATA from priority, target and (key, value) parameters.
struct Param {
  std::uint16_t key;
  Octets value;
};
Octets binding(std::uint16_t priority, const char* target, std::initializer_list<Param> params) {
  Octets out{static_cast<std::uint8_t>(priority >> 8), static_cast<std::uint8_t>(priority)};
  const Name to = name(target);
  out.insert(out.end(), to.wire().begin(), to.wire().end());
  for (const Param& param : params) {
    for (const std::size_t number : {std::size_t{param.key}, param.value.size()}) {
      out.push_back(static_cast<std::uint8_t>(number >> 8));
      out.push_back(static_cast<std::uint8_t>(number));
    }
    out.insert(out.end(), param.value.begin(), param.value.end());
  }
  return out;
}

std::string inspect(const Policy& policy, std::vector<Record> records,
                    const char* asked = "www.example.com") {
  Answer answer;
  answer.answer = std::move(records);
  const AnswerVerdict verdict = policy.inspect({name(asked), type::A}, answer);
  if (verdict.pass) return "pass";
  return std::string(reason_text(verdict.reason)) + " " + std::to_string(verdict.record) + ": " +
         std::string(policy.rule_text(verdict.rule));
}

const Octets public_v4{8, 8, 8, 8}, private_v4{10, 0, 0, 1};
const Octets public_v6{0x26, 6, 0x47, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x11, 0x11},
    local_v6{0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1};

}  // namespace

TEST_CASE("addresses of refused classes do not pass, and the record that did it is named") {
  const auto plain = PolicySet::builtin()->find("");
  CHECK(inspect(*plain, {}) == "pass");
  CHECK(inspect(*plain, {v4(8, 8, 8, 8)}) == "pass");
  CHECK(inspect(*plain, {v4(10, 0, 0, 1)}) ==
        "answer_address 0: answer address is private: 10.0.0.0/8 (RFC 1918)");
  CHECK(inspect(*plain, {alias("cdn.example.net"), v4(8, 8, 8, 8), v4(127, 0, 0, 1)}) ==
        "answer_address 2: answer address is loopback: 127.0.0.0/8 (RFC 1122)");
  CHECK(inspect(*plain, {record(type::AAAA, public_v6)}) == "pass");
  CHECK(inspect(*plain, {record(type::AAAA, local_v6)}) ==
        "answer_address 0: answer address is unique-local: fc00::/7 (RFC 4193)");
  Octets mapped(16, 0);
  mapped[10] = mapped[11] = 0xff;
  mapped[12] = 10;
  CHECK(inspect(*plain, {record(type::AAAA, mapped)}) ==
        "answer_address 0: answer address is private: 10.0.0.0/8 (RFC 1918)");
  // An address that belongs to another owner counts too: stubs take what they are given.
  CHECK(inspect(*plain, {record(type::A, private_v4, "other.example")}).find("private") != std::string::npos);
  CHECK(inspect(*plain, {record(type::TXT, {4, 10, 0, 0, 1})}) == "pass");
}

TEST_CASE("address records of the wrong length do not pass") {
  const auto plain = PolicySet::builtin()->find("");
  for (const Record& bad :
       {record(type::A, {8, 8, 8}), record(type::A, {8, 8, 8, 8, 8}), record(type::A, {}),
        record(type::AAAA, public_v4), record(type::AAAA, Octets(17, 0x20)), record(type::CNAME, {}),
        record(type::CNAME, {1, 'a'}), record(type::CNAME, {1, 'a', 0, 0}), record(type::DNAME, {0xc0, 12})})
    CHECK(inspect(*plain, {bad}) == "answer_address 0: answer holds a malformed record");
}

TEST_CASE("targets are blocked by explicit rules only, never by the default") {
  const auto plain =
      policy("{default: block, allow: [www.example.com, ok.tracker.example], block: ['**.tracker.example']}");
  CHECK(inspect(*plain, {alias("cdn.example.net")}) == "pass");
  CHECK(inspect(*plain, {alias("a.tracker.example")}) ==
        "answer_target 0: p.yaml:1:72 block **.tracker.example");
  CHECK(inspect(*plain, {alias("ok.tracker.example")}) == "pass");
  CHECK(inspect(*plain, {alias("tracker.example", type::DNAME)}).find("answer_target 0") == 0);
  CHECK(inspect(*plain, {alias("cdn.example.net"), alias("a.tracker.example")}).find("answer_target 1") == 0);
  CHECK(inspect(*plain, {record(type::HTTPS, binding(0, "a.tracker.example", {}))}).find("answer_target 0") ==
        0);
  CHECK(inspect(*plain, {record(type::SVCB, binding(1, "a.tracker.example", {}))}).find("answer_target 0") ==
        0);
  CHECK(inspect(*plain, {record(type::HTTPS, binding(1, ".", {}))}) == "pass");
  // Cloud metadata names are blocked explicitly, other special names only by what they resolve to.
  CHECK(inspect(*plain, {alias("metadata.google.internal")}).find("cloud metadata name") !=
        std::string::npos);
  CHECK(inspect(*plain, {alias("cdn.local")}) == "pass");
}

TEST_CASE("addresses in SVCB and HTTPS hints count like addresses") {
  const auto plain = PolicySet::builtin()->find("");
  for (const Type type : {type::SVCB, type::HTTPS}) {
    CHECK(inspect(*plain,
                  {record(type, binding(1, ".", {{1, {2, 'h', '2'}}, {4, public_v4}, {6, public_v6}}))}) ==
          "pass");
    CHECK(inspect(*plain, {record(type, binding(1, ".", {{4, private_v4}}))}).find("RFC 1918") !=
          std::string::npos);
    CHECK(
        inspect(*plain, {record(type, binding(1, ".", {{4, {8, 8, 8, 8, 10, 0, 0, 1}}}))}).find("RFC 1918") !=
        std::string::npos);
    CHECK(inspect(*plain, {record(type, binding(1, ".", {{6, local_v6}}))}).find("RFC 4193") !=
          std::string::npos);
    CHECK(
        inspect(*plain, {record(type, binding(0, "cdn.example.net", {{4, private_v4}}))}).find("RFC 1918") !=
        std::string::npos);
  }
}

TEST_CASE("SVCB RDATA is read by RFC 9460 to the letter") {
  const auto good = [](const Octets& rdata) { return parse_service_binding(rdata).has_value(); };
  CHECK(good(binding(0, "cdn.example.net", {})));
  CHECK(good(binding(1, ".",
                     {{0, {0, 1, 0, 4}},
                      {1, {2, 'h', '2'}},
                      {2, {}},
                      {3, {1, 0xbb}},
                      {4, public_v4},
                      {5, {1, 2, 3}},
                      {65534, {}}})));
  const auto read = parse_service_binding(binding(7, "cdn.example.net", {{4, {1, 2, 3, 4, 5, 6, 7, 8}}}));
  REQUIRE(read.has_value());
  CHECK(read->priority == 7);
  CHECK(read->target == name("cdn.example.net"));
  CHECK(read->ipv4_hints.size() == 8);
  CHECK(read->ipv6_hints.empty());
  const struct {
    const char* why;
    Octets rdata;
  } rows[] = {
      {"empty", {}},
      {"no target", {0, 1}},
      {"target cut off", {0, 1, 3, 'w'}},
      {"target compressed", {0, 1, 0xc0, 0}},
      {"a parameter's head cut off", {0, 1, 0, 0, 4, 0}},
      {"a value cut off", {0, 1, 0, 0, 4, 0, 4, 8, 8, 8}},
      {"one octet left over", {0, 1, 0, 0, 3, 0, 2, 1, 187, 0}},
      {"keys repeated", binding(1, ".", {{4, public_v4}, {4, public_v4}})},
      {"keys out of order", binding(1, ".", {{6, public_v6}, {4, public_v4}})},
      {"the invalid key", binding(1, ".", {{65535, {}}})},
      {"ipv4hint empty", binding(1, ".", {{4, {}}})},
      {"ipv4hint of 5", binding(1, ".", {{4, {8, 8, 8, 8, 8}}})},
      {"ipv6hint of 4", binding(1, ".", {{6, public_v4}})},
      {"ipv6hint empty", binding(1, ".", {{6, {}}})},
      {"port of 1", binding(1, ".", {{3, {1}}})},
      {"alpn empty", binding(1, ".", {{1, {}}})},
      {"alpn with an empty name", binding(1, ".", {{1, {0}}})},
      {"alpn too short", binding(1, ".", {{1, {3, 'h', '2'}}})},
      {"no-default-alpn with a value", binding(1, ".", {{1, {2, 'h', '2'}}, {2, {1}}})},
      {"no-default-alpn alone", binding(1, ".", {{2, {}}})},
      {"mandatory empty", binding(1, ".", {{0, {}}})},
      {"mandatory odd", binding(1, ".", {{0, {0}}})},
      {"mandatory names itself", binding(1, ".", {{0, {0, 0}}})},
      {"mandatory out of order", binding(1, ".", {{0, {0, 4, 0, 3}}, {3, {1, 187}}, {4, public_v4}})},
      {"mandatory missing", binding(1, ".", {{0, {0, 3}}, {4, public_v4}})},
      {"mandatory missing at the end", binding(1, ".", {{0, {0, 9}}, {4, public_v4}})},
  };
  for (const auto& row : rows) {
    CAPTURE(std::string(row.why));
    CHECK_FALSE(good(row.rdata));
    CHECK(inspect(*PolicySet::builtin()->find(""), {record(type::HTTPS, row.rdata)}) ==
          "answer_address 0: answer holds a malformed record");
  }
}

TEST_CASE("exceptions open a range, or a range for some names") {
  const auto opened = policy(R"(
answers:
  allow:
    - 10.0.0.0/8
    - {name: "**.corp.example", range: 192.168.0.0/16}
    - fd00::/8
)");
  CHECK(inspect(*opened, {v4(10, 1, 2, 3)}) == "pass");
  CHECK(inspect(*opened, {v4(11, 0, 0, 0)}) == "pass");
  CHECK(inspect(*opened, {v4(172, 16, 0, 1)}).find("RFC 1918") != std::string::npos);
  CHECK(inspect(*opened, {v4(192, 168, 0, 1)}).find("RFC 1918") != std::string::npos);
  CHECK(inspect(*opened, {v4(192, 168, 0, 1)}, "db.corp.example") == "pass");
  CHECK(inspect(*opened, {v4(192, 168, 0, 1)}, "corp.example") == "pass");
  CHECK(inspect(*opened, {v4(192, 168, 0, 1)}, "mycorp.example").find("RFC 1918") != std::string::npos);
  CHECK(inspect(*opened, {record(type::AAAA, local_v6)}) == "pass");
  CHECK(inspect(*opened, {record(type::HTTPS, binding(1, ".", {{4, private_v4}}))}) == "pass");
  Octets nat64{0, 0x64, 0xff, 0x9b, 0, 0, 0, 0, 0, 0, 0, 0, 10, 0, 0, 1};
  CHECK(inspect(*opened, {record(type::AAAA, nat64)}) == "pass");  // it means 10.0.0.1
  nat64[12] = 127;
  CHECK(inspect(*opened, {record(type::AAAA, nat64)}).find("loopback") != std::string::npos);
}

TEST_CASE("a cloud metadata address passes only by its own exception") {
  const auto wide = policy("answers: {allow: [169.254.0.0/16, 100.64.0.0/10, 'fd00::/8', 0.0.0.0/0]}");
  CHECK(inspect(*wide, {v4(169, 254, 1, 1)}) == "pass");
  CHECK(inspect(*wide, {v4(169, 254, 169, 254)}).find("cloud metadata") != std::string::npos);
  CHECK(inspect(*wide, {v4(100, 100, 100, 200)}).find("cloud metadata") != std::string::npos);
  CHECK(inspect(*wide, {v4(168, 63, 129, 16)}).find("cloud metadata") != std::string::npos);
  const auto named = policy("answers: {allow: [169.254.169.254]}");
  CHECK(inspect(*named, {v4(169, 254, 169, 254)}) == "pass");
  CHECK(inspect(*named, {v4(169, 254, 169, 253)}).find("resolver") != std::string::npos);
}

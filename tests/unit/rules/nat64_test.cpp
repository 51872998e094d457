// NAT64: an address at a configured prefix is judged by the IPv4 address inside, at each length of RFC 6052.
#include "rules/nat64.h"

#include "rules/explain.h"
#include "rules/list.h"
#include "support.h"

using namespace postern;
using postern::test::error_of;
using postern::test::name;

namespace {

Address parsed(std::string_view text) {
  const auto address = Address::parse(text);
  REQUIRE_MESSAGE(address.has_value(), text);
  return *address;
}

// The rule that refuses an AAAA answer of this address; "" if it passes.
std::string refused_by(const Policy& policy, std::string_view text, const char* asked = "www.example.com") {
  const auto octets = parsed(text).octets();
  Answer answer;
  answer.answer.push_back({name(asked), type::AAAA, 60, {octets.begin(), octets.end()}});
  const AnswerVerdict verdict = policy.inspect({name(asked), type::AAAA}, answer);
  return verdict.pass ? "" : std::string(policy.rule_text(verdict.rule));
}

}  // namespace

TEST_CASE("each prefix length of RFC 6052 has its place for the IPv4 address") {
  // The examples of RFC 6052 section 2.4, table 2: all hold 192.0.2.33.
  const struct {
    const char *prefix, *address;
  } rows[] = {
      {"2001:db8::/32", "2001:db8:c000:221::"},
      {"2001:db8:100::/40", "2001:db8:1c0:2:21::"},
      {"2001:db8:122::/48", "2001:db8:122:c000:2:2100::"},
      {"2001:db8:122:300::/56", "2001:db8:122:3c0:0:221::"},
      {"2001:db8:122:344::/64", "2001:db8:122:344:c0:2:2100::"},
      {"2001:db8:122:344::/96", "2001:db8:122:344::192.0.2.33"},
      {"64:ff9b::/96", "64:ff9b::192.0.2.33"},
  };
  for (const auto& row : rows) {
    CAPTURE(std::string(row.prefix));
    const auto prefix = parse_nat64_prefix(row.prefix);
    REQUIRE(prefix.has_value());
    CHECK(prefix->holds(parsed(row.address)));
    CHECK(translated_by(*prefix, parsed(row.address)).text() == "192.0.2.33");
  }
  // What stands in the reserved octet and in the suffix changes nothing.
  const auto prefix = parse_nat64_prefix("2001:db8:100::/40");
  CHECK(translated_by(*prefix, parsed("2001:db8:1c0:2:ff21:ffff:ffff:ffff")).text() == "192.0.2.33");
  CHECK(translated_by(*prefix, parsed("2001:db8:1ff:ffff:ff::")).text() == "255.255.255.255");
}

TEST_CASE("an answer at a configured prefix is judged by the address inside, its neighbours by themselves") {
  const struct {
    const char* prefix;
    const char *good, *private_, *metadata;  // 8.8.8.8, 10.0.0.1, 169.254.169.254 inside
    const char *before, *after;              // just outside the prefix
  } rows[] = {
      {"2001:db8::/32", "2001:db8:808:808::", "2001:db8:a00:1::", "2001:db8:a9fe:a9fe::",
       "2001:db7:ffff:ffff:ffff:ffff:ffff:ffff", "2001:db9::"},
      {"fd64:0:100::/40", "fd64:0:108:808:8::", "fd64:0:10a:0:1::", "fd64:0:1a9:fea9:fe::",
       "fd64:0:ff:ffff:ffff:ffff:ffff:ffff", "fd64:0:200::"},
      {"2001:db8:64::/48", "2001:db8:64:808:8:800::", "2001:db8:64:a00:0:100::", "2001:db8:64:a9fe:a9:fe00::",
       "2001:db8:63:ffff:ffff:ffff:ffff:ffff", "2001:db8:65::"},
      {"2001:db8:64:100::/56", "2001:db8:64:108:8:808::", "2001:db8:64:10a:0:1::",
       "2001:db8:64:1a9:fe:a9fe::", "2001:db8:64:ff:ffff:ffff:ffff:ffff", "2001:db8:64:200::"},
      {"2001:db8:64:1::/64", "2001:db8:64:1:8:808:800::", "2001:db8:64:1:a:0:100::",
       "2001:db8:64:1:a9:fea9:fe00::", "2001:db8:64:0:ffff:ffff:ffff:ffff", "2001:db8:64:2::"},
      {"2001:db8:64::/96", "2001:db8:64::8.8.8.8", "2001:db8:64::10.0.0.1", "2001:db8:64::169.254.169.254",
       "2001:db8:63:ffff:ffff:ffff:ffff:ffff", "2001:db8:64::1:0:0"},
  };
  for (const auto& row : rows) {
    CAPTURE(std::string(row.prefix));
    const auto policy = postern::test::policy("answers: {nat64: ['" + std::string(row.prefix) + "']}");
    const auto plain = PolicySet::builtin()->find("");
    CHECK(refused_by(*plain, row.good) !=
          "");  // without the setting it is an internal or documentation address
    CHECK(refused_by(*policy, row.good) == "");
    CHECK(refused_by(*policy, row.private_).find("RFC 1918") != std::string::npos);
    CHECK(refused_by(*policy, row.metadata).find("cloud metadata: 169.254.169.254") != std::string::npos);
    CHECK(refused_by(*policy, row.before) == refused_by(*plain, row.before));
    CHECK(refused_by(*policy, row.after) == refused_by(*plain, row.after));
  }
  // A prefix in ordinary space makes it stricter, not only wider.
  const auto own = postern::test::policy("answers: {nat64: ['2600:64::/96']}");
  CHECK(refused_by(*own, "2600:64::127.0.0.1").find("loopback") != std::string::npos);
  CHECK(refused_by(*own, "2600:64::1:7f00:1") == "");
  CHECK(refused_by(*own, "2600:64::").find("this network") != std::string::npos);
}

TEST_CASE("where prefixes overlap, each reading must pass; a metadata address is never read away") {
  const auto both = postern::test::policy("answers: {nat64: ['2001:db8::/32', '2001:db8:808:808::/96']}");
  CHECK(refused_by(*both, "2001:db8:808:808::8.8.4.4") == "");
  CHECK(refused_by(*both, "2001:db8:808:808::10.0.0.1").find("RFC 1918") != std::string::npos);
  CHECK(refused_by(*both, "2001:db8:a00:1::8.8.4.4").find("RFC 1918") != std::string::npos);
  const auto cloud = postern::test::policy("answers: {nat64: ['fd00:ec2::/96']}");
  CHECK(refused_by(*cloud, "fd00:ec2::8.8.8.8") == "");
  CHECK(refused_by(*cloud, "fd00:ec2::254") != "");
  const auto high = postern::test::policy("answers: {nat64: ['fd00:ec2::/32'], allow: [0.0.0.0/0]}");
  CHECK(refused_by(*high, "fd00:ec2::252") == "");
  CHECK(refused_by(*high, "fd00:ec2::254") == "answer address is cloud metadata: fd00:ec2::254 (AWS)");
}

TEST_CASE("exceptions reach the address inside, by range and by name") {
  const auto policy = postern::test::policy(R"(
answers:
  nat64: ["2001:db8:64::/96"]
  allow:
    - 10.0.0.0/8
    - {name: "**.corp.example", range: 192.168.0.0/16}
    - {name: cloud.example, range: 169.254.169.254}
)");
  CHECK(refused_by(*policy, "2001:db8:64::10.255.255.255") == "");
  CHECK(refused_by(*policy, "2001:db8:64::172.16.0.1") != "");
  CHECK(refused_by(*policy, "2001:db8:64::192.168.0.1", "db.corp.example") == "");
  CHECK(refused_by(*policy, "2001:db8:64::192.169.0.1", "db.corp.example") == "");
  CHECK(refused_by(*policy, "2001:db8:64::192.168.0.1", "mycorp.example") != "");
  CHECK(refused_by(*policy, "2001:db8:64::169.254.169.254", "cloud.example") == "");
  CHECK(refused_by(*policy, "2001:db8:64::169.254.169.253", "cloud.example") != "");
  CHECK(refused_by(*policy, "2001:db8:64::169.254.169.254", "www.cloud.example") != "");
  // By the address as it is written, too.
  const auto written = postern::test::policy("answers: {nat64: ['fd64::/96'], allow: ['fd64::/96']}");
  CHECK(refused_by(*written, "fd64::10.0.0.1") == "");
  CHECK(refused_by(*written, "fd64::169.254.169.254") != "");
}

TEST_CASE("prefixes at which no translator stands are errors with their place") {
  const struct {
    const char *yaml, *error;
  } rows[] = {
      {"answers: {nat64: ['2001:db8::/33']}",
       "p.yaml:1:19: cannot read NAT64 prefix \"2001:db8::/33\": its length is not 32, 40, 48, 56, 64 or 96 "
       "(RFC 6052)"},
      {"answers: {nat64: ['2001:db8::1/96']}",
       "p.yaml:1:19: cannot read address range \"2001:db8::1/96\": it has bits outside its prefix"},
      {"answers: {nat64: ['2001:db8:0:0:100::/96']}",
       "p.yaml:1:19: cannot read NAT64 prefix \"2001:db8:0:0:100::/96\": its bits 64 to 71 are not zero (RFC "
       "6052)"},
      {"answers: {nat64: [10.0.0.0/8]}",
       "p.yaml:1:19: cannot read NAT64 prefix \"10.0.0.0/8\": it is not an IPv6 prefix"},
      {"answers: {nat64: 64}", "p.yaml:1:18: answers: nat64 is a list, here is a single value \"64\""},
      {"answers: {nat: []}", "p.yaml:1:11: unknown key \"nat\" in answers; known are allow and nat64"},
      {"answers: {nat64: ['::/32']}", nullptr},
      {"answers: {nat64: ['fe80::/64']}", nullptr},
      {"answers: {nat64: ['ff00::/64']}", nullptr},
      {"answers: {nat64: ['::ffff:0:0/96']}", nullptr},
      {"answers: {nat64: ['2002::/48']}", nullptr},
      {"answers: {nat64: ['2001::/96']}", nullptr},
      {"answers: {nat64: ['2001:0:1::/48']}", nullptr},
      {"answers: {nat64: ['64:ff9c::/96']}", nullptr},
  };
  for (const auto& row : rows) {
    CAPTURE(std::string(row.yaml));
    const std::string error = error_of(row.yaml);
    CHECK(error.starts_with("p.yaml:1:"));
    if (row.error != nullptr) CHECK(error == std::string(row.error));
  }
  CHECK(error_of("answers: {nat64: ['2001:1::/48', '64:ff9b:1:2::/64', 'fc00::/32', '3fff::/96']}") ==
        "no error");
  std::string many = "answers: {nat64: [";
  for (int i = 0; i < 17; ++i) many += "'2600:" + std::to_string(i) + "::/96',";
  CHECK(error_of(many + "]}").find("a policy holds at most 16 NAT64 prefixes") != std::string::npos);
}

TEST_CASE("limits hold for what is included, too, all together") {
  const auto lists_none = [](const ListRequest&) { return ListBuilder().finish({}); };
  const auto said = [&](const std::string& yaml) {
    const auto set = PolicySet::parse(yaml, "p.yaml", lists_none);
    return set ? std::string("no error") : set.error().message;
  };
  // Two policies with `first` and `second` things each, and one that includes both.
  const auto joined = [&](const std::string& key, auto&& things, std::size_t first, std::size_t second) {
    return said("policies:\n  a: {" + key + ": " + things(0, first) + "}\n  b: {" + key + ": " +
                things(first, second) + "}\n  c: {include: [a, b]}\n");
  };
  const auto sequence = [](auto&& one) {
    return [one](std::size_t from, std::size_t count) {
      std::string out;
      for (std::size_t i = from; i < from + count; ++i)
        out += (out.empty() ? "" : ", ") + one(std::to_string(i));
      return "[" + out + "]";
    };
  };
  const auto prefixes = sequence([](const std::string& i) { return "'2600:" + i + "::/96'"; });
  const auto nat64 = [&](std::size_t from, std::size_t count) {
    return "{nat64: " + prefixes(from, count) + "}";
  };
  CHECK(joined("answers", nat64, 8, 8) == "no error");
  CHECK(joined("answers", nat64, 8, 9) == "p.yaml:4:20: a policy holds at most 16 NAT64 prefixes");
  const auto ranges = sequence([](const std::string&) { return std::string("10.0.0.0/8"); });
  const auto exceptions = [&](std::size_t from, std::size_t count) {
    return "{allow: " + ranges(from, count) + "}";
  };
  CHECK(joined("answers", exceptions, 500, 500) == "no error");
  CHECK(joined("answers", exceptions, 1000, 1) ==
        "p.yaml:4:20: a policy holds at most 1000 answer exceptions");
  const auto files = sequence([](const std::string& i) { return "l" + i; });
  CHECK(joined("lists", files, 16, 16) == "no error");
  CHECK(joined("lists", files, 16, 17) == "p.yaml:4:20: a policy holds at most 32 lists");
  const auto expressions = sequence([](const std::string& i) { return "'/^x" + i + "/'"; });
  CHECK(joined("block", expressions, 100, 100) == "no error");
  CHECK(joined("block", expressions, 100, 101) ==
        "p.yaml:4:20: a policy holds at most 200 regular expressions");
  const auto forwards = [](std::size_t from, std::size_t count) {
    std::string out;
    for (std::size_t i = from; i < from + count; ++i)
      out += (out.empty() ? "z" : ", z") + std::to_string(i) + ".example: corp";
    return "{" + out + "}";
  };
  CHECK(joined("forward", forwards, 128, 128) == "no error");
  CHECK(joined("forward", forwards, 128, 129) == "p.yaml:4:6: a policy holds at most 256 forwarded zones");
}

TEST_CASE("prefixes are inherited, and shown among a policy's settings") {
  const auto set = postern::test::policies(
      "policies: {a: {answers: {nat64: ['fd64::/96']}}, b: {extends: a, answers: {nat64: ['fd65::/96']}}}");
  CHECK(refused_by(*set->find("b"), "fd64::8.8.8.8") == "");
  CHECK(refused_by(*set->find("b"), "fd65::8.8.8.8") == "");
  CHECK(refused_by(*set->find("a"), "fd65::8.8.8.8") != "");
  const PolicyOutline outline = set->find("b")->outline();
  const auto shown = std::pair<std::string, std::string>("nat64", "[fd64::/96, fd65::/96]");
  CHECK(std::count(outline.settings.begin(), outline.settings.end(), shown) == 1);
}

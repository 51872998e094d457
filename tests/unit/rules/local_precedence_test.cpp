// Local data, forwarded zones and rules against each other: who speaks, and who is asked.
#include "rules/explain.h"
#include "support.h"

using namespace postern;
using postern::test::name;

namespace {

// As support.h tells it, with the group of upstreams where one is asked.
std::string told(const Policy& policy, std::string_view asked) {
  const Query query{name(asked), type::A};
  const Verdict verdict = policy.decide(query);
  const std::string_view group = policy.upstream_group(verdict.route);
  const Explanation explanation = policy.explain(query);  // checks itself against decide
  CHECK(explanation.upstream == group);
  CHECK((verdict.route == 0 || verdict.action == Action::allow));
  return postern::test::told(verdict) + (group.empty() ? "" : " at " + std::string(group));
}

}  // namespace

TEST_CASE("zones, hosts, forwards, rules and special names have one order") {
  const struct {
    const char *why, *yaml, *name, *told;
  } rows[] = {
      {"a zone answers where the default blocks", "{default: block, zones: {z.example: ['a A 10.0.0.1']}}",
       "a.z.example", "local data local_data"},
      {"also for what it does not hold", "zones: {z.example: []}", "b.z.example",
       "local NXDOMAIN local_data"},
      {"not beside it", "zones: {z.example: []}", "z2.example", "allow default"},
      {"not above it", "zones: {z.example: []}", "w.example", "allow default"},
      {"above it names exist", "{default: block, zones: {z.y.example: []}}", "y.example", "NODATA default"},
      {"a zone comes before an allow at its name",
       "{allow: ['**.z.example'], zones: {z.example: ['a A 10.0.0.1']}}", "a.z.example",
       "local data local_data"},
      {"and before one deeper: allowed is not forwarded", "{allow: [a.z.example], zones: {z.example: []}}",
       "a.z.example", "local NXDOMAIN local_data"},
      {"a block at its name ties, and blocks",
       "{block: ['**.z.example'], zones: {z.example: ['a A 10.0.0.1']}}", "a.z.example", "NXDOMAIN rule"},
      {"a block below it blocks", "{block: [a.z.example], zones: {z.example: ['a A 10.0.0.1']}}",
       "a.z.example", "NXDOMAIN rule"},
      {"and says nothing of the rest", "{block: [a.z.example], zones: {z.example: ['b A 10.0.0.1']}}",
       "b.z.example", "local data local_data"},
      {"a blocked name above local data is empty",
       "{block: [a.z.example], zones: {z.example: ['b.a A 10.0.0.1']}}", "a.z.example", "NODATA rule"},
      {"a block further up does not reach in",
       "{block: ['**.example.net'], zones: {z.example.net: ['a A 10.0.0.1']}}", "a.z.example.net",
       "local data local_data"},
      {"nor an expression, which stands with *", "{block: ['/z/'], zones: {z.example: ['a A 10.0.0.1']}}",
       "a.z.example", "local data local_data"},
      {"an allow deeper than the block brings the zone back",
       "{block: ['**.z.example'], allow: [a.z.example], zones: {z.example: ['a A 10.0.0.1']}}", "a.z.example",
       "local data local_data"},
      {"a hosts entry comes before its zone",
       "{hosts: {a.z.example: 10.0.0.2}, zones: {z.example: ['b A 10.0.0.1']}}", "a.z.example",
       "local data local_data"},
      {"the deeper zone answers", "{zones: {z.example: ['a A 10.0.0.1'], y.z.example: []}}", "a.y.z.example",
       "local NXDOMAIN local_data"},
      {"a zone takes a special name over", "zones: {internal: ['db A 10.0.0.1']}", "db.internal",
       "local data local_data"},
      {"and a reverse one", "zones: {10.in-addr.arpa: []}", "1.0.0.10.in-addr.arpa",
       "local NXDOMAIN local_data"},
      {"but not a longer special name", "zones: {internal: []}", "metadata.google.internal",
       "NXDOMAIN special_use"},
      {"a zone may have one label", "zones: {corp: ['@ A 10.0.0.1']}", "corp", "local data local_data"},

      {"a forward is asked elsewhere", "forward: {f.example: g}", "a.f.example", "allow rule at g"},
      {"at its own name, too", "forward: {f.example: g}", "f.example", "allow rule at g"},
      {"not beside it", "forward: {f.example: g}", "a.ff.example", "allow default"},
      {"it allows what the default blocks", "{default: block, forward: {f.example: g}}", "a.f.example",
       "allow rule at g"},
      {"names above it exist", "{default: block, forward: {f.y.example: g}}", "y.example", "NODATA default"},
      {"the deepest one is asked", "forward: {f.example: g, e.f.example: h}", "a.e.f.example",
       "allow rule at h"},
      {"whoever allows the name", "{allow: [a.f.example], forward: {f.example: g}}", "a.f.example",
       "allow rule at g"},
      {"a block at its name ties, and blocks", "{block: ['**.f.example'], forward: {f.example: g}}",
       "a.f.example", "NXDOMAIN rule"},
      {"a block below it blocks", "{block: [a.f.example], forward: {f.example: g}}", "a.f.example",
       "NODATA rule"},
      {"a block further up does not reach in", "{block: ['**.example.net'], forward: {f.example.net: g}}",
       "a.f.example.net", "allow rule at g"},
      {"a special name can be forwarded", "forward: {corp: g}", "db.corp", "allow rule at g"},
      {"also with one label", "forward: {corp: g}", "corp", "allow rule at g"},
      {"also a reverse zone", "forward: {168.192.in-addr.arpa: g}", "1.1.168.192.in-addr.arpa",
       "allow rule at g"},
      {"its neighbour stays here", "forward: {168.192.in-addr.arpa: g}", "1.1.16.172.in-addr.arpa",
       "local NXDOMAIN special_use"},
      {"a longer special name stays", "forward: {internal: g}", "metadata.google.internal",
       "NXDOMAIN special_use"},
      {"a forward inside a zone", "{zones: {z.example: []}, forward: {f.z.example: g}}", "a.f.z.example",
       "allow rule at g"},
      {"the zone knows that it is there", "{zones: {z.example: []}, forward: {e.f.z.example: g}}",
       "f.z.example", "local NODATA local_data"},
      {"a zone inside a forward", "{zones: {z.f.example: []}, forward: {f.example: g}}", "a.z.f.example",
       "local NXDOMAIN local_data"},
      {"types must be permitted all the same", "{types: [AAAA], forward: {f.example: g}}", "f.example",
       "NODATA type"},
      {"but local data has its own", "{types: [AAAA], zones: {z.example: ['@ A 10.0.0.1']}}", "z.example",
       "local data local_data"},
  };
  for (const auto& row : rows) {
    CAPTURE(std::string(row.why));
    CAPTURE(std::string(row.yaml));
    CHECK(told(*postern::test::policy(row.yaml), row.name) == std::string(row.told));
  }
}

TEST_CASE("what is observed leaves zones and routes alone") {
  const auto policy = postern::test::policy(
      "{mode: observe, block: ['**.z.example', '**.f.example'], zones: {z.example: ['a A 10.0.0.1']}, "
      "forward: "
      "{f.example: g}}");
  const Verdict zone = policy->decide({name("a.z.example"), type::A});
  CHECK(zone.action == Action::local);
  CHECK(zone.observed);
  const Verdict forward = policy->decide({name("a.f.example"), type::A});
  CHECK(forward.observed);
  CHECK(policy->upstream_group(forward.route) == "g");
  (void)policy->explain({name("a.z.example"), type::A});
}

TEST_CASE("rule texts, outlines and unknown groups say where it is written") {
  const auto set = postern::test::policies(
      "zones:\n  z.example: ['a A 10.0.0.1', 'b A 10.0.0.2']\nforward:\n  f.example: corp\n");
  const auto policy = set->find("");
  CHECK(postern::test::rule_for(*policy, "a.z.example") == "p.yaml:2:3 zone z.example");
  CHECK(postern::test::rule_for(*policy, "a.f.example") == "p.yaml:4:3 forward f.example to corp");
  const PolicyOutline outline = policy->outline();
  CHECK(outline.zones == 1);
  CHECK(outline.zone_records == 2);
  REQUIRE(outline.forwards.size() == 1);
  CHECK(outline.forwards[0].place == "p.yaml:4:14");
  CHECK(outline.allow_rules == 0);
  CHECK(outline.silent.empty());
  CHECK(check_upstream_groups(*set, {"lab", "corp"}).has_value());
  CHECK(check_upstream_groups(*set, {"lab", "dmz"}).error().message ==
        "p.yaml:4:14: \"f.example\" is forwarded to the upstream group \"corp\", which is not configured; "
        "known are "
        "lab, dmz");
  CHECK(check_upstream_groups(*set, {}).error().message ==
        "p.yaml:4:14: \"f.example\" is forwarded to the upstream group \"corp\", but none is configured");
  CHECK(check_upstream_groups(*PolicySet::builtin(), {}).has_value());
  const Explanation told = policy->explain({name("a.z.example"), type::A});
  CHECK(told.rule == "p.yaml:2:3 zone z.example");
}

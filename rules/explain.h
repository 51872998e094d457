// Explanations: what a policy decides, told to people. Why a name gets its verdict and what else had a say,
// what a policy holds, which of its rules never speak, which of its expectations fail, how two policy files
// differ.
//
// Not for the path: these functions allocate, and search all rules. Pure; any thread.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "rules/changed_names.h"
#include "rules/policy.h"

namespace postern {

// Something that had a say about the name and lost: a rule, a hosts entry, a special name, the default.
struct Overruled {
  std::string rule;  // as Policy::rule_text tells it
  std::string why;   // "less specific: 2 labels, the rule has 3"
};

struct Explanation {
  static constexpr std::size_t max_overruled = 100;  // a policy may say the same thing 100,000 times

  Query query;
  Verdict verdict;                    // `local` lives as long as the policy
  std::string rule;                   // what spoke; never empty
  std::vector<Overruled> overruled;   // most specific first; at most max_overruled
  std::size_t more_overruled = 0;     // so many beyond them
  std::string upstream;               // the group that is asked, where it is not the usual one (`forward:`)
  std::vector<std::string> excepted;  // internal ranges that an upstream's answer may hold: "10.0.0.0/8"
};

// A rule that cannot decide anything, whatever is asked.
struct SilentRule {
  std::string rule;
  std::string because;        // the rule that always speaks in its place
  bool contradicted = false;  // false: the other says the same
};

// A line of `expect`.
struct Expectation {
  Query query;
  bool block = false;
  std::string place;  // "p.yaml:14:9"
};

// A list that a policy uses.
struct ListOutline {
  std::string place;  // "p.yaml:7:5"
  ListRequest request;
  bool observes = false;
  std::shared_ptr<const List> list;  // list.h: its report() says what was skipped
};

// A zone that is asked of a group of upstreams of its own.
struct ForwardedZone {
  Name zone;
  std::string group, place;  // "corp", "p.yaml:4:23"
};

// What a policy holds.
struct PolicyOutline {
  bool built_in = false;  // not from the file: `deny-all`, and `default` where the file has none
  std::size_t allow_rules = 0, block_rules = 0, observe_rules = 0, hosts = 0, exceptions = 0;
  std::size_t zones = 0, zone_records = 0;
  std::vector<std::string> included;  // presets and policies of the file
  std::vector<ForwardedZone> forwards;
  // Keys and values as in the policy file, in the order of docs/RULES.md; every one, also those left at
  // default.
  std::vector<std::pair<std::string, std::string>> settings;
  std::vector<Name> mentions;        // the names in rules, hosts and zones, without their wildcards
  std::vector<Query> local_records;  // for each record of hosts and zones: its owner, and its type
  std::vector<Expectation> expectations;
  std::vector<ListOutline> lists;
  std::vector<SilentRule> silent;
  std::vector<std::string> unlimited;  // keys of `budgets:` that the policy sets so: there is no bound then
};

// Whether a client gets something for it: an upstream's answer, or local records. With `observed`, what it
// would get if the policy were enforced counts.
bool is_permitted(const Verdict& verdict) noexcept;

// "allowed", "NXDOMAIN", "empty", "local NXDOMAIN", "local 10.0.0.1"; followed by " (would block)" where
// observed.
std::string verdict_text(const Verdict& verdict);

// The data of a local record: an address, a name, else as RFC 3597 writes unknown data.
std::string data_text(const Record& record);

// An error at the first `forward:` whose group is not among `groups`: "p.yaml:4:23: ...".
Result<void> check_upstream_groups(const PolicySet& policies, const std::vector<std::string>& groups);

// A policy's expectation that does not hold.
struct Unmet {
  std::string policy;
  Expectation expectation;
  Explanation explanation;
};
struct TestReport {
  std::size_t expectations = 0;
  std::vector<Unmet> unmet;
};
TestReport test_expectations(const PolicySet& policies);

struct ChangedSetting {
  std::string key, before, after;
};
// An address range of a list (rpz-ip) whose first address two policies judge differently in an answer.
struct ChangedRange {
  AddressRange range;
  std::string before, after;            // "passes", "refused", "replaced"
  std::string rule_before, rule_after;  // what spoke; empty where it passes
};
struct PolicyDiff {
  static constexpr std::size_t most_ranges = 100'000;  // kept in `ranges`: each takes some 300 octets

  std::string policy;
  std::size_t asked = 0;             // questions that were put to both; one of two lists was put twice
  ChangedNames names;                // sorted by name, from the right
  std::vector<ChangedRange> ranges;  // by address; at most most_ranges
  std::size_t more_ranges = 0;       // so many beyond them
  std::vector<ChangedSetting> settings;

  bool is_empty() const { return names.empty() && ranges.empty() && settings.empty(); }
};
// Puts to both, for each of `types`: every name that either mentions, its parent, a name below it, a name
// that neither mentions, and `more`; the owners of local records, also for the types of those; every name of
// their lists, also for the types that its line speaks of, and a name below it where the line means those.
// What counts is the verdict and who is asked, not which rule or list it is from. Changed types, exceptions
// for answers, regular expressions and forwarded zones show in the settings. Takes a microsecond or two a
// name of a list; lists that both have (the same object) are gone through once, and not at all if nothing
// else differs.
PolicyDiff diff_policies(const Policy& before, const Policy& after, const std::vector<Name>& more,
                         const std::vector<Type>& types = {type::A});

}  // namespace postern

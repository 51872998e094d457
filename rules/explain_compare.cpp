// Policies held against something: against their own expectations, and against another version of themselves.
#include <algorithm>
#include <unordered_set>

#include "rules/explain.h"

namespace postern {
namespace {

// `label` in front of `name`; nothing if that is longer than a name may be.
std::optional<Name> below(const Name& name, std::string_view label) {
  const Result<Name> made =
      Name::parse(name.is_root() ? std::string(label) : std::string(label) + "." + name.text());
  return made ? std::optional<Name>(*made) : std::nullopt;
}

// Sorts a zone's names behind the zone: labels from the right, each followed by a zero.
std::string sort_key(const Name& name) {
  std::string key;
  for (std::size_t count = 1, labels = name.labels(); count <= labels; ++count) {
    key += name.suffix(count).first_label();
    key += '\0';
  }
  return key;
}

// Explanation::rule would say more, but searches all rules each time.
std::string spoke(const Policy& policy, const Query& query) {
  const std::string_view text = policy.rule_text(policy.decide(query).rule);
  return text.empty() ? "no rule: default allow" : std::string(text);
}

}  // namespace

TestReport test_expectations(const PolicySet& policies) {
  TestReport report;
  for (const std::string& name : policies.names()) {
    const std::shared_ptr<const Policy> policy = policies.find(name);
    const PolicyOutline outline = policy->outline();
    report.expectations += outline.expectations.size();
    for (const Expectation& expectation : outline.expectations)
      if (is_permitted(policy->decide(expectation.query)) == expectation.block)
        report.unmet.push_back({name, expectation, policy->explain(expectation.query)});
  }
  return report;
}

PolicyDiff diff_policies(const Policy& before, const Policy& after, const std::vector<Name>& more,
                         const std::vector<Type>& types) {
  PolicyDiff diff;
  diff.policy = after.name();
  const PolicyOutline old = before.outline(), now = after.outline();
  for (std::size_t i = 0; i < old.settings.size() && i < now.settings.size(); ++i)
    if (old.settings[i] != now.settings[i])
      diff.settings.push_back({old.settings[i].first, old.settings[i].second, now.settings[i].second});

  std::unordered_set<Name, NameHash> mentioned(more.begin(), more.end());
  for (const PolicyOutline* outline : {&old, &now}) {
    mentioned.insert(outline->mentions.begin(), outline->mentions.end());
    for (const Expectation& one : outline->expectations) mentioned.insert(one.query.name);
  }
  // A label that no policy speaks of, so that wildcards and the default show.
  std::string label = "anything";
  const auto taken = [&] {
    return std::any_of(mentioned.begin(), mentioned.end(),
                       [&](const Name& name) { return name.first_label() == label; });
  };
  while (taken()) label += "-else";
  std::unordered_set<Name, NameHash> asked = mentioned;
  for (const Name& name : mentioned) {
    asked.insert(name.parent());
    if (const auto beneath = below(name, label)) asked.insert(*beneath);
  }
  if (const Result<Name> unmentioned = Name::parse(label + ".example")) asked.insert(*unmentioned);

  std::vector<std::pair<std::string, ChangedName>> changed;
  for (const Name& name : asked) {
    for (const Type type : types) {
      ++diff.asked;
      const Query query{name, type};
      std::string was = verdict_text(before.decide(query)), is = verdict_text(after.decide(query));
      if (was == is) continue;
      changed.push_back({sort_key(name),
                         {query, std::move(was), std::move(is), spoke(before, query), spoke(after, query)}});
    }
  }
  std::stable_sort(changed.begin(), changed.end(), [](const auto& a, const auto& b) {
    return a.first != b.first ? a.first < b.first : a.second.query.type < b.second.query.type;
  });
  for (auto& [key, one] : changed) diff.names.push_back(std::move(one));
  return diff;
}

}  // namespace postern

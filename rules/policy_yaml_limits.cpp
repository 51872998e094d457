// The limits of a policy of a file, after an `include`.
#include "rules/policy_yaml_limits.h"

#include <algorithm>

#include "rules/policy_spec.h"
#include "rules/policy_yaml_answers.h"

namespace postern {

Result<void> check_included(const YamlComplaint& file, const YamlNode& included, const PolicySpec& spec) {
  const auto expressions = static_cast<std::size_t>(std::count_if(
      spec.rules.begin(), spec.rules.end(), [](const RuleSpec& rule) { return rule.regex.has_value(); }));
  const struct {
    std::size_t count, most;
    const char* what;
  } sums[] = {{spec.rules.size(), max_rules, " rules"},
              {expressions, max_expressions, " regular expressions"},
              {spec.hosts.size(), max_rules, " hosts entries"},
              {spec.lists.size(), max_lists, " lists"}};
  for (const auto& sum : sums)
    if (sum.count > sum.most)
      return file.at(included, "a policy holds at most " + std::to_string(sum.most) + sum.what);
  return check_answers(file, included, spec);
}

}  // namespace postern

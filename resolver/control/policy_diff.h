// What `postern policy diff` prints: two policy files, policy by policy.
#pragma once

#include <ostream>
#include <string>
#include <vector>

#include "rules/explain.h"

namespace postern {

// The policies of two files, by name.
struct FileDiff {
  std::vector<PolicyDiff> policies;                  // in both
  std::vector<std::string> only_before, only_after;  // not built in, and in one file only
  bool is_empty() const;
};
// `only`: one policy; empty: all. Errors: neither file has it.
Result<FileDiff> diff_sets(const PolicySet& before, const PolicySet& after, const std::string& only,
                           const std::vector<Name>& more, const std::vector<Type>& types);

// How many changed names and ranges of a policy are told: enough to see what is meant, or each.
enum class DiffExtent : std::uint8_t { first, all };
inline constexpr std::size_t first_changes = 100;

// `before` and `after` are the files' names.
void tell_diff(std::ostream& out, const FileDiff& diff, const std::string& before, const std::string& after,
               DiffExtent extent);
// A line of JSON for each change, and one with the counts of each policy; docs/RULES.md has the keys.
void tell_diff_json(std::ostream& out, const FileDiff& diff);

}  // namespace postern

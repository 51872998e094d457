// `postern policy diff`: differences as text and as lines of JSON, written as they are made, since there may
// be millions.
#include "resolver/control/policy_diff.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "resolver/control/policy_report.h"
#include "rules/quote.h"

namespace postern {
namespace {

std::size_t told_of(std::size_t all, DiffExtent extent) {
  return extent == DiffExtent::all ? all : std::min(all, first_changes);
}

void tell_names(std::ostream& out, const PolicyDiff& diff, DiffExtent extent) {
  const ChangedNames& names = diff.names;
  const std::size_t told = told_of(names.size(), extent);
  // Where not each is shown, what became of all of them.
  if (told < names.size())
    for (const ChangedNames::Count& one : names.counts())
      out << "  in all " << one.names << ": " << one.before << " -> " << one.after << "\n";
  for (std::size_t i = 0; i < told; ++i) {
    const ChangedName changed = names[i];
    out << "  " << changed.query.name.text() << " " << type_text(changed.query.type) << ": " << changed.before
        << " -> " << changed.after << "\n    before  " << one_line_of(changed.rule_before) << "\n    after   "
        << one_line_of(changed.rule_after) << "\n";
  }
  if (told < names.size()) out << "  and " << names.size() - told << " more; --all shows each\n";
  if (names.not_kept() > 0)
    out << "  and some beyond the first " << ChangedNames::most << " that were found, which were not kept\n";
}

void tell_ranges(std::ostream& out, const PolicyDiff& diff, DiffExtent extent) {
  if (diff.ranges.empty()) return;
  out << "  " << diff.ranges.size() << (diff.ranges.size() == 1 ? " address range" : " address ranges")
      << " of lists judged differently in answers\n";
  const std::size_t told = told_of(diff.ranges.size(), extent);
  for (std::size_t i = 0; i < told; ++i) {
    const ChangedRange& changed = diff.ranges[i];
    out << "  " << changed.range.text() << ": " << changed.before << " -> " << changed.after << "\n";
    if (!changed.rule_before.empty()) out << "    before  " << one_line_of(changed.rule_before) << "\n";
    if (!changed.rule_after.empty()) out << "    after   " << one_line_of(changed.rule_after) << "\n";
  }
  const std::size_t more = diff.ranges.size() - told + diff.more_ranges;
  if (more > 0)
    out << "  and " << more << " more" << (told < diff.ranges.size() ? "; --all shows each\n" : "\n");
}

}  // namespace

bool FileDiff::is_empty() const {
  return only_before.empty() && only_after.empty() &&
         std::all_of(policies.begin(), policies.end(), [](const PolicyDiff& one) { return one.is_empty(); });
}

Result<FileDiff> diff_sets(const PolicySet& before, const PolicySet& after, const std::string& only,
                           const std::vector<Name>& more, const std::vector<Type>& types) {
  FileDiff out;
  std::vector<std::string> names = before.names();
  for (const std::string& name : after.names())
    if (before.find(name) == nullptr) names.push_back(name);
  std::sort(names.begin(), names.end());
  if (!only.empty() && std::find(names.begin(), names.end(), only) == names.end())
    return failure("cannot compare policy " + postern::quoted(only) + ": neither file has it");
  for (const std::string& name : names) {
    if (!only.empty() && name != only) continue;
    const auto old = before.find(name), now = after.find(name);
    if (old == nullptr || now == nullptr) {
      (now == nullptr ? out.only_before : out.only_after).push_back(name);
    } else if (!only.empty() || !old->outline().built_in || !now->outline().built_in) {
      out.policies.push_back(diff_policies(*old, *now, more, types));
    }
  }
  return out;
}

void tell_diff(std::ostream& out, const FileDiff& diff, const std::string& before, const std::string& after,
               DiffExtent extent) {
  if (diff.policies.empty() && diff.only_before.empty() && diff.only_after.empty())
    out << "neither file has a policy of its own\n";
  for (const PolicyDiff& one : diff.policies) {
    const std::string questions = std::to_string(one.asked) + (one.asked == 1 ? " question" : " questions");
    out << "policy " << one.policy << ": ";
    if (one.is_empty()) {
      out << "no difference in " << questions << "\n";
      continue;
    }
    out << one.names.size() << " of " << questions << " answered differently\n";
    tell_names(out, one, extent);
    tell_ranges(out, one, extent);
    for (const ChangedSetting& changed : one.settings)
      out << "  setting " << changed.key << ": " << changed.before << " -> " << changed.after << "\n";
  }
  for (const std::string& name : diff.only_before)
    out << "policy " << name << ": only in " << one_line_of(before) << "\n";
  for (const std::string& name : diff.only_after)
    out << "policy " << name << ": only in " << one_line_of(after) << "\n";
}

void tell_diff_json(std::ostream& out, const FileDiff& diff) {
  using Json = nlohmann::ordered_json;
  const auto tell = [&](const Json& line) {
    out << line.dump(-1, ' ', false, Json::error_handler_t::replace) << "\n";
  };
  for (const PolicyDiff& one : diff.policies) {
    for (const ChangedName& changed : one.names)
      tell({{"policy", one.policy},
            {"name", changed.query.name.text()},
            {"type", type_text(changed.query.type)},
            {"before", changed.before},
            {"after", changed.after},
            {"rule_before", changed.rule_before},
            {"rule_after", changed.rule_after}});
    for (const ChangedRange& changed : one.ranges)
      tell({{"policy", one.policy},
            {"range", changed.range.text()},
            {"before", changed.before},
            {"after", changed.after},
            {"rule_before", changed.rule_before},
            {"rule_after", changed.rule_after}});
    for (const ChangedSetting& changed : one.settings)
      tell({{"policy", one.policy},
            {"setting", changed.key},
            {"before", changed.before},
            {"after", changed.after}});
    tell({{"policy", one.policy},
          {"asked", one.asked},
          {"names", one.names.size()},
          {"names_not_kept", one.names.not_kept()},
          {"ranges", one.ranges.size() + one.more_ranges},
          {"settings", one.settings.size()}});
  }
  for (const std::string& name : diff.only_before) tell({{"policy", name}, {"only_in", "before"}});
  for (const std::string& name : diff.only_after) tell({{"policy", name}, {"only_in", "after"}});
}

}  // namespace postern

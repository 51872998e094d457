// explain, policy check, policy test, policy diff: files in, text out; policy_report.cpp says what.
#include <iostream>
#include <optional>

#include "resolver/control/commands.h"
#include "resolver/control/config.h"
#include "resolver/control/list_source.h"
#include "resolver/control/policy_diff.h"
#include "resolver/control/policy_report.h"
#include "rules/presets.h"
#include "rules/quote.h"

namespace postern {
namespace {

constexpr int status_no = 1;  // the file is bad, an expectation fails, the files differ; as of grep and diff

// The file's policies; on an error, complains with the offending line. Statuses: unreadable 125, bad
// `bad_status`.
struct Loaded {
  std::shared_ptr<const PolicySet> policies;
  int status = 0;
};
Loaded load(const std::string& file, int bad_status, const ListSource& lists) {
  const auto text = read_text_file(file);
  if (!text) return {nullptr, complain(text.error().message)};
  auto parsed = PolicySet::parse(*text, file, lists);
  if (parsed) return {std::move(*parsed), 0};
  complain(parsed.error().message);
  std::cerr << excerpt(*text, file, parsed.error().message);
  return {nullptr, bad_status};
}

Loaded load(const std::string& file, int bad_status = status_failed, ListsByContent* lists = nullptr) {
  return load(file, bad_status, lists_beside(file, lists));
}

Result<Type> parse_type(const std::string& text) {
  const auto type = type_from_text(text);
  if (!type) return failure("unknown type " + postern::quoted(text));
  return *type;
}

}  // namespace

int explain_verb(const ExplainFlags& flags) {
  const auto name = parse_asked_name(flags.name);
  if (!name) return complain(name.error().message);
  const auto type = parse_type(flags.type);
  if (!type) return complain(type.error().message);
  std::shared_ptr<const PolicySet> policies = PolicySet::builtin();
  if (!flags.policy.empty()) {
    Loaded loaded = load(flags.policy);
    if (loaded.policies == nullptr) return loaded.status;
    policies = std::move(loaded.policies);
  }
  if (policies->find(flags.overlay.base) == nullptr) {
    std::string known;
    for (const std::string& one : policies->names()) known += (known.empty() ? "" : ", ") + one;
    return complain((flags.policy.empty() ? "there is no built-in" : flags.policy + " has no") + " policy " +
                    postern::quoted(flags.overlay.base) + "; known are " + known);
  }
  const auto with = policies->with(flags.overlay);
  if (!with) return complain(with.error().message);
  const auto policy = (*with)->find(flags.overlay.base);
  const Explanation explanation = policy->explain({*name, *type});
  std::cout << (flags.json ? explain_json(*policy, explanation, flags.policy)
                           : explain_text(*policy, explanation, flags.policy));
  return 0;
}

int policy_check_verb(const std::string& file, const std::string& config) {
  ListSource lists = lists_beside(file);
  std::optional<ServeConfig> daemon;
  if (!config.empty()) {
    auto read = read_config(config);
    if (!read) return complain(read.error().message);
    daemon = std::move(*read);
    const auto folder = folder_of(file);
    if (!folder) return complain(folder.error().message);
    std::vector<std::string> folders{*folder};
    folders.insert(folders.end(), daemon->list_folders.begin(), daemon->list_folders.end());
    lists = lists_below(std::move(folders));  // what it would refuse is refused here
  }
  const Loaded loaded = load(file, status_no, lists);
  if (loaded.policies == nullptr) return loaded.status;
  if (daemon) {
    if (const auto known = check_upstream_groups(*loaded.policies, group_names(daemon->upstreams)); !known) {
      complain(known.error().message);
      if (const auto text = read_text_file(file)) std::cerr << excerpt(*text, file, known.error().message);
      return status_no;
    }
  }
  std::cout << check_text(*loaded.policies, file);
  return 0;
}

int policy_presets_verb(const std::string& name) {
  for (const Preset& one : presets()) {
    if (one.name == name) {
      std::cout << one.text;
      return 0;
    }
    if (!name.empty()) continue;
    // The first line is a comment that says what it is for.
    const std::string_view line = one.text.substr(0, one.text.find('\n'));
    std::cout << (is_policy_preset(one.name) ? "extends: " : "include: ") << one.name
              << std::string(one.name.size() < 12 ? 12 - one.name.size() : 1, ' ')
              << line.substr(std::min<std::size_t>(2, line.size())) << "\n";
  }
  return name.empty() ? 0 : complain("there is no preset " + postern::quoted(name));
}

int policy_test_verb(const std::string& file) {
  const Loaded loaded = load(file);
  if (loaded.policies == nullptr) return loaded.status;
  const TestReport report = test_expectations(*loaded.policies);
  std::cout << test_text(report, file);
  return report.unmet.empty() && report.expectations > 0 ? 0 : status_no;  // nothing tested is no success
}

int policy_diff_verb(const PolicyDiffFlags& flags) {
  ListsByContent lists;  // what did not change is compiled once, and seen to be the same
  const Loaded before = load(flags.before, status_failed, &lists),
               after = load(flags.after, status_failed, &lists);
  if (before.policies == nullptr || after.policies == nullptr) return status_failed;
  std::vector<Name> more;
  if (!flags.names.empty()) {
    const auto text = read_text_file(flags.names);
    if (!text) return complain(text.error().message);
    auto names = parse_name_list(*text, flags.names);
    if (!names) return complain(names.error().message);
    more = std::move(*names);
  }
  std::vector<Type> types;
  for (const std::string& text : flags.types) {
    const auto type = parse_type(text);
    if (!type) return complain(type.error().message);
    types.push_back(*type);
  }
  if (types.empty()) types.push_back(type::A);
  const auto diff = diff_sets(*before.policies, *after.policies, flags.policy, more, types);
  if (!diff) return complain(diff.error().message);
  if (flags.json)
    tell_diff_json(std::cout, *diff);
  else
    tell_diff(std::cout, *diff, flags.before, flags.after, flags.all ? DiffExtent::all : DiffExtent::first);
  return diff->is_empty() ? 0 : status_no;
}

}  // namespace postern

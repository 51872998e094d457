// Policies held against something: against their own expectations, and against another version of themselves.
#include <algorithm>
#include <unordered_set>

#include "rules/explain.h"
#include "rules/list.h"
#include "rules/list_parts.h"
#include "rules/policy_spec.h"

namespace postern {
namespace {

// A label of its own in front of names.
class LabelInFront {
 public:
  explicit LabelInFront(std::string_view label) {
    const Result<Name> name = Name::parse(label);
    POSTERN_CHECK(name.has_value());
    label_ = *name;
  }
  // Nothing if that is longer than a name may be.
  std::optional<Name> of(const Name& name) const noexcept {
    std::array<std::uint8_t, 2 * Name::max_octets> wire;
    const auto end = std::copy_n(label_.wire().begin(), label_.size() - 1, wire.begin());
    std::copy(name.wire().begin(), name.wire().end(), end);
    return Name::from_wire(std::span(wire).first(label_.size() - 1 + name.size()));
  }

 private:
  Name label_;
};

// Whether both decide alike whatever is asked, as far as that is seen without asking: no means perhaps.
// Settings are compared elsewhere.
bool say_the_same(const Policy& before, const Policy& after) {
  const auto* const a = dynamic_cast<const RulePolicy*>(&before);
  const auto* const b = dynamic_cast<const RulePolicy*>(&after);
  if (a == nullptr || b == nullptr) return false;
  const PolicySpec &one = a->spec(), &other = b->spec();
  const auto same = [](const auto& some, const auto& others, const auto& equal) {
    return std::equal(some.begin(), some.end(), others.begin(), others.end(), equal);
  };
  return one.zones.empty() && other.zones.empty() &&
         same(one.rules, other.rules,
              [](const RuleSpec& x, const RuleSpec& y) {
                return x.block == y.block && x.observes == y.observes && x.what() == y.what();
              }) &&
         same(one.hosts, other.hosts,
              [](const HostSpec& x, const HostSpec& y) {
                return x.name == y.name && x.addresses == y.addresses;
              }) &&
         same(one.lists, other.lists, [](const ListSpec& x, const ListSpec& y) {
           return x.list == y.list && x.observes == y.observes && x.request.allows == y.request.allows;
         });
}

// The types that a line speaks of, or would leave out.
std::vector<Type> types_of(const ListDetail& detail) {
  std::vector<Type> types = detail.types;
  for (const Record& record : detail.local.answer) types.push_back(record.type);
  // What it leaves out is not what it is about: one more type that it does not leave out.
  if (detail.types_excluded)
    for (const Type other : {type::A, type::AAAA, type::HTTPS, type::TXT})
      if (std::find(types.begin(), types.end(), other) == types.end()) {
        types.push_back(other);
        break;
      }
  std::sort(types.begin(), types.end());
  types.erase(std::unique(types.begin(), types.end()), types.end());
  return types;
}

// Puts questions to both, and keeps those that they answer differently.
class Comparison {
 public:
  // `label`: one that neither speaks of.
  Comparison(const Policy& before, const Policy& after, const std::string& label, PolicyDiff& diff)
      : before_(before), after_(after), in_front_(label), diff_(diff) {}

  // What became of a question that they answer differently.
  struct Became {
    ChangedNames::Text before, after;
    friend bool operator==(const Became&, const Became&) = default;
  };
  // Where the same became of it as `known`, which is kept already, it says nothing new and is not kept.
  std::optional<Became> ask(const Query& query, const std::optional<Became>& known = std::nullopt) {
    ++diff_.asked;
    const Verdict was = before_.decide(query), is = after_.decide(query);
    if (was.action == is.action && was.observed == is.observed && was.local == is.local &&
        before_.upstream_group(was.route) == after_.upstream_group(is.route))
      return std::nullopt;
    const Became became{told(before_, was), told(after_, is)};
    if (became.before == became.after) return std::nullopt;
    if (known != became)
      diff_.names.add(query, {became.before, became.after, rule_text(before_, was), rule_text(after_, is)});
    return became;
  }

  // What a list names, for `types` and those that a line speaks of.
  void ask_all(const List& list, const std::vector<Type>& types) {
    std::unordered_set<const ListDetail*> met;
    list.each_line([&](const List::Line& line) {
      for (const Type type : types) ask_line(line.name, line.scope, type);
      if (line.detail == nullptr) return;
      for (const Type type : types_of(*line.detail))
        if (std::find(types.begin(), types.end(), type) == types.end()) ask_line(line.name, line.scope, type);
      if (!met.insert(line.detail).second) return;
      for (const Name& except : line.detail->except)
        for (const Type type : types) ask_line(except, Pattern::Scope::at_or_below, type);
    });
    for (const ListRange& range : list.ranges()) ask_range(range.range);
  }

 private:
  void ask_line(const Name& name, Pattern::Scope scope, Type type) {
    std::optional<Became> own;
    if (scope != Pattern::Scope::below) own = ask(Query{name, type});
    if (scope == Pattern::Scope::exact) return;
    if (const auto beneath = in_front_.of(name)) ask(Query{*beneath, type}, own);
  }

  // An answer to an ordinary name that holds the range's first address.
  void ask_range(const AddressRange& range) {
    Answer answer;
    const std::array<std::uint8_t, 16> octets = range.base.octets();
    const Type type = range.base.v6 ? type::AAAA : type::A;
    const Query query{*in_front_.of(Name{}), type};
    answer.answer.push_back(
        {query.name, type, 1, {octets.begin(), octets.begin() + (range.base.v6 ? 16 : 4)}});
    const AnswerVerdict was = before_.inspect(query, answer), is = after_.inspect(query, answer);
    ++diff_.asked;
    const auto told = [](const AnswerVerdict& verdict) -> std::string {
      if (verdict.pass) return verdict.observed ? "passes (would be refused)" : "passes";
      return verdict.local != nullptr ? "replaced" : "refused";
    };
    if (told(was) == told(is)) return;
    if (diff_.ranges.size() == PolicyDiff::most_ranges) {
      ++diff_.more_ranges;
      return;
    }
    diff_.ranges.push_back({range, told(was), told(is), std::string(before_.rule_text(was.rule)),
                            std::string(after_.rule_text(is.rule))});
  }

  // The verdict, and who is asked where that is not the usual group.
  ChangedNames::Text told(const Policy& policy, const Verdict& verdict) {
    std::string text = verdict_text(verdict);
    if (const std::string_view group = policy.upstream_group(verdict.route); !group.empty())
      text.append(", of upstreams ").append(group);
    return diff_.names.text(text);
  }

  // Explanation::rule would say more, but searches all rules each time.
  ChangedNames::Text rule_text(const Policy& policy, const Verdict& verdict) {
    const std::string_view text = policy.rule_text(verdict.rule);
    return diff_.names.text(text.empty() ? "no rule: default allow" : text);
  }

  const Policy &before_, &after_;
  LabelInFront in_front_;
  PolicyDiff& diff_;
};

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
  const LabelInFront in_front(label);
  std::unordered_set<Name, NameHash> asked = mentioned;
  for (const Name& name : mentioned) {
    asked.insert(name.parent());
    if (const auto beneath = in_front.of(name)) asked.insert(*beneath);
  }
  if (const Result<Name> unmentioned = Name::parse(label + ".example")) asked.insert(*unmentioned);

  Comparison comparison(before, after, label, diff);
  for (const Name& name : asked)
    for (const Type type : types) comparison.ask({name, type});
  for (const PolicyOutline* outline : {&old, &now})
    for (const Query& record : outline->local_records)
      if (std::find(types.begin(), types.end(), record.type) == types.end()) comparison.ask(record);
  if (!diff.settings.empty() || !say_the_same(before, after)) {
    std::unordered_set<const List*> met;  // a list that both have is gone through once
    for (const PolicyOutline* outline : {&old, &now})
      for (const ListOutline& one : outline->lists)
        if (met.insert(one.list.get()).second) comparison.ask_all(*one.list, types);
  }
  diff.names.sort();
  const auto order = [](const AddressRange& one) { return std::tuple(address_order(one.base), one.length); };
  std::sort(diff.ranges.begin(), diff.ranges.end(),
            [&](const ChangedRange& a, const ChangedRange& b) { return order(a.range) < order(b.range); });
  const auto again = std::unique(
      diff.ranges.begin(), diff.ranges.end(),
      [&](const ChangedRange& a, const ChangedRange& b) { return order(a.range) == order(b.range); });
  diff.ranges.erase(again, diff.ranges.end());
  return diff;
}

}  // namespace postern

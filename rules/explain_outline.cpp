// Outlines: what a policy holds, its settings as texts, and which of its rules never speak.
#include <algorithm>
#include <set>

#include "rules/explain.h"
#include "rules/policy_spec.h"
#include "rules/quote.h"

namespace postern {
namespace {

std::string flag_text(bool value) {
  return value ? "true" : "false";
}

std::string types_text(const std::bitset<65536>& types) {
  std::bitset<65536> any;
  permit_every_type(any);
  if (types == any) return "any";
  std::string out;
  for (std::size_t type = 0; type < types.size(); ++type)
    if (types.test(type)) out += (out.empty() ? "" : ", ") + type_text(static_cast<Type>(type));
  return "[" + out + "]";
}

std::string ranges_text(const std::vector<AddressRange>& ranges) {
  std::string out;
  for (const AddressRange& range : ranges) out += (out.empty() ? "" : ", ") + range.text();
  return "[" + out + "]";
}

std::string budgets_text(const Budgets& budgets, const std::vector<Pattern>& exempt) {
  std::string out = "{";
  for (const BudgetKey& one : budget_keys())
    out += std::string(one.key) + ": " + amount_text(budgets.*one.amount * 8) + ", ";
  out += "single_name: " + (budgets.single_name_bits >= unlimited_bits
                                ? "unlimited"
                                : std::to_string(budgets.single_name_bits) + " bits");
  out += ", queries: " + (budgets.queries >= unlimited_bits ? "unlimited" : std::to_string(budgets.queries));
  if (budgets.refill > 0) out += ", refill: " + amount_text(budgets.refill * 8) + " per day";
  for (std::size_t i = 0; i < exempt.size(); ++i)
    out += (i == 0 ? ", exempt: [" : ", ") + quoted(exempt[i].text());
  return out + (exempt.empty() ? "}" : "]}");
}

std::string exceptions_text(const std::vector<AddressException>& exceptions) {
  std::string out;
  for (const AddressException& one : exceptions) {
    out += out.empty() ? "" : ", ";
    out += one.range.text();
    const bool every_name = one.names.base.is_root() && one.names.scope == Pattern::Scope::at_or_below;
    if (!every_name) out += " for " + one.names.text();
  }
  return "[" + out + "]";
}

// Which names they match cannot be told, so they are shown themselves: in order, each once.
std::string expressions_text(const std::vector<RuleSpec>& rules) {
  std::set<std::string> expressions;
  for (const RuleSpec& rule : rules)
    if (rule.regex)
      expressions.insert((rule.observes ? "observe " : rule.block ? "block " : "allow ") + rule.what());
  std::string out;
  for (const std::string& one : expressions) out += (out.empty() ? "" : ", ") + one;
  return "[" + out + "]";
}

std::string forwards_text(const std::vector<ForwardedZone>& forwards) {
  std::set<std::string> zones;
  for (const ForwardedZone& one : forwards) zones.insert(one.zone.text() + ": " + one.group);
  std::string out;
  for (const std::string& one : zones) out += (out.empty() ? "" : ", ") + one;
  return "[" + out + "]";
}

std::string lists_text(const std::vector<ListSpec>& lists) {
  std::string out;
  for (const ListSpec& one : lists) {
    out += (out.empty() ? "" : ", ") + one.request.file + " (" + std::to_string(one.list->report().entries) +
           " entries" + (one.request.allows ? ", allow" : "") + (one.observes ? ", observed" : "") + ")";
  }
  return "[" + out + "]";
}

}  // namespace

std::vector<SilentRule> RulePolicy::silent_rules() const {
  std::vector<SilentRule> out;
  const auto node_of = [](const RulePolicy& policy, const Name& name) {
    const Node* node = nullptr;
    policy.table_.walk(name, [&](const Node& at, std::size_t) { node = &at; });
    return node;  // every name of the policy is in its table
  };
  for (std::size_t i = 0; i < spec_.rules.size(); ++i) {
    const RuleSpec& rule = spec_.rules[i];
    if (rule.regex) continue;  // what it matches cannot be told
    const RulePolicy& judge = trial_ != nullptr && only_observes(rule) ? *trial_ : *this;
    const Node* node = node_of(judge, rule.pattern.base);
    const RuleId id = first_rule_ + static_cast<RuleId>(i);
    const bool exact = rule.pattern.scope == Pattern::Scope::exact;
    if (rule.forwards) continue;  // it says where to ask, whoever allows it
    if (exact ? node->exact.rule == id : node->below.rule == id || node->apex.rule == id) continue;
    const Voice& other = exact ? node->exact : node->below;
    out.push_back({rule.text, std::string(judge.rule_text(other.rule)), other.block != rule.block});
  }
  for (const HostSpec& host : spec_.hosts) {
    const Voice& exact = node_of(*this, host.name)->exact;
    if (exact.rule != 0 && exact.block) out.push_back({host.text, std::string(rule_text(exact.rule)), true});
  }
  return out;
}

PolicyOutline RulePolicy::outline() const {
  PolicyOutline out;
  out.built_in = spec_.built_in;
  for (const RuleSpec& rule : spec_.rules) {
    if (!rule.forwards)
      ++(rule.observes ? out.observe_rules : rule.block ? out.block_rules : out.allow_rules);
    if (!rule.regex) out.mentions.push_back(rule.pattern.base);
  }
  for (const HostSpec& host : spec_.hosts) out.mentions.push_back(host.name);
  for (const Record& record : host_records(spec_.hosts))
    out.local_records.push_back({record.owner, record.type});
  out.hosts = spec_.hosts.size();
  for (const ListSpec& list : spec_.lists)
    out.lists.push_back({list.place, list.request, list.observes, list.list});
  out.included = spec_.included;
  out.zones = spec_.zones.size();
  for (const ZoneSpec& zone : spec_.zones) {
    out.zone_records += zone.records.size();
    out.mentions.push_back(zone.apex);
    for (const Record& record : zone.records) {
      out.mentions.push_back(record.owner);
      out.local_records.push_back({record.owner, record.type});
    }
  }
  out.forwards = spec_.forwards;
  out.exceptions = spec_.exceptions.size();
  out.expectations = spec_.expectations;
  out.silent = silent_rules();
  out.settings = {
      {"default", spec_.default_block ? "block" : "allow"},
      {"mode", spec_.mode == Mode::observe ? "observe" : "enforce"},
      {"types", types_text(spec_.types)},
      {"names", spec_.odd_names == OddNames::allowed ? "any" : "host"},
      {"single_labels", spec_.single_labels == SingleLabels::local ? "local" : "forward"},
      {"allow_public_suffix", flag_text(spec_.wildcards == PublicSuffixWildcards::allowed)},
      {"answers", exceptions_text(spec_.exceptions)},
      {"nat64", ranges_text(spec_.nat64)},
      {"expressions", expressions_text(spec_.rules)},
      {"forward", forwards_text(spec_.forwards)},
      {"lists", lists_text(spec_.lists)},
      {"explain", flag_text(spec_.explains)},
      {"on_tunnel", std::string(response_text(spec_.on_tunnel))},
      {"alert_on_first_query", flag_text(spec_.alert_on_first_query)},
      {"profile", spec_.profile},
      {"budgets", budgets_text(budgets_, spec_.exempt)},
      {"on_budget",
       spec_.on_budget == Response::alert ? "refuse" : std::string(response_text(spec_.on_budget))},
      {"on_secret",
       spec_.on_secret == Response::alert ? "refuse" : std::string(response_text(spec_.on_secret))},
      {"on_cap", std::string(response_text(spec_.on_cap))},
  };
  for (const auto& [key, bits] : spec_.budgets)
    if (bits >= unlimited_bits && key != "queries") out.unlimited.push_back(key);  // nothing leaves by it
  return out;
}

}  // namespace postern

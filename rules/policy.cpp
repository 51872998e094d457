// Policy: precedence. Which rule speaks for a name, and what is done about it.
//
// The order, for a query:
//   1. local data of the policy: hosts, unless a rule blocks exactly this name; zones, unless a rule blocks
//      at their name or below it, or a deeper zone is forwarded
//   2. the most specific inline rule: the deepest pattern, exact before wildcard; a tie blocks; a regular
//      expression stands with `*`, below every pattern that names something
//   3. special names, which act like built-in rules: an inline rule at their zone or below takes over
//   4. single-label names, then lists (policy_lists.h), then the default
//   5. what is left is permitted by name; now its form and its type must be permitted too
// What only observes has no part in this; a second RulePolicy (`trial_`) goes through the same steps with it.
#include "rules/policy.h"

#include <algorithm>

#include "rules/policy_spec.h"
#include "rules/presets.h"
#include "rules/quote.h"

namespace postern {
namespace {

// RFC 952, RFC 1123, and the underscore of RFC 8552.
bool is_host_name(const Name& name) noexcept {
  const auto wire = name.wire();
  for (std::size_t at = 0; wire[at] != 0; at += wire[at] + 1u) {
    for (std::size_t i = at + 1; i <= at + wire[at]; ++i) {
      const std::uint8_t c = wire[i];
      if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_')) return false;
    }
  }
  return true;
}

// NXDOMAIN says that nothing exists below either (RFC 8020); that would kill what a rule allows there.
Verdict refuse_name(bool allowed_beneath, Reason reason, RuleId rule) noexcept {
  return {allowed_beneath ? Action::block_data : Action::block_name, reason, rule, nullptr};
}

bool is_refusal(const Verdict& verdict) noexcept {
  return verdict.action == Action::block_name || verdict.action == Action::block_data ||
         verdict.action == Action::drop;
}

// The same of a trial, where a list's own records in the place of an upstream's are a refusal, too.
bool is_observation(const Verdict& strict) noexcept {
  return is_refusal(strict) || (strict.action == Action::local && strict.reason == Reason::list);
}

// The reserved zero, EDNS's pseudo-record and the two that carry keys of a transaction (RFC 6895).
constexpr std::array<Type, 4> never_asked{0, type::OPT, 249, 250};

// What the record says of a query that passed because its rule only observes.
std::string would_block(const std::string& text) {
  return rule_line("would block:", text, "");
}

// Octets, as Policy::rule_text promises; it goes into an Extended DNS Error.
constexpr std::size_t longest_rule_text = 255;

}  // namespace

std::string rule_line(const std::string& place, std::string_view what, std::string_view value) {
  std::string line = place;
  line += ' ';
  line += what;
  if (!value.empty()) {
    line += ' ';
    line += value;
  }
  for (char& c : line)
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = '?';  // a file may be called anything
  if (line.size() <= longest_rule_text) return line;
  constexpr std::string_view cut = "...";
  std::size_t keep = longest_rule_text - cut.size();
  const auto inside_utf8_sequence = [&] { return (static_cast<unsigned char>(line[keep]) & 0xc0) == 0x80; };
  while (keep > 0 && inside_utf8_sequence()) --keep;
  line.resize(keep);
  return line += cut;
}

Result<RuleSpec> RuleSpec::parse(std::string_view what, PublicSuffixWildcards wildcards) {
  RuleSpec rule;
  if (!what.starts_with('/')) {
    const Result<Pattern> pattern = Pattern::parse(what, wildcards);
    if (!pattern) return tl::unexpected(pattern.error());
    rule.pattern = *pattern;
    return rule;
  }
  if (what.size() < 2 || !what.ends_with('/'))
    return failure("a regular expression stands between slashes, here is " + quoted(what));
  const Result<Regex> regex = Regex::parse(what.substr(1, what.size() - 2));
  if (!regex) return tl::unexpected(regex.error());
  rule.pattern = {Pattern::Scope::at_or_below, Name{}};
  rule.regex = *regex;
  return rule;
}

PolicySpec::PolicySpec() {
  for (const Type permitted : {type::A, type::AAAA, type::CNAME, type::HTTPS, type::SVCB, type::MX, type::SRV,
                               type::TXT, type::PTR, type::CAA, type::NS, type::SOA})
    types.set(permitted);
}

Budgets budgets_of(const PolicySpec& spec) {
  Budgets budgets = profile(spec.profile).value_or(Budgets{});
  for (const auto& [key, bits] : spec.budgets) {
    if (key == "single_name") budgets.single_name_bits = bits;
    if (key == "queries") budgets.queries = bits;
    if (key == "refill") budgets.refill = bits / 8;
    for (const BudgetKey& one : budget_keys())
      if (one.key == key) budgets.*one.amount = bits / 8;
  }
  return budgets;
}

bool is_never_asked(Type type) noexcept {
  return std::find(never_asked.begin(), never_asked.end(), type) != never_asked.end();
}

void permit_every_type(std::bitset<65536>& types) {
  types.set();
  for (const Type never : never_asked) types.reset(never);
}

RulePolicy::RulePolicy(PolicySpec spec, std::shared_ptr<const BuiltinAnswers> builtin, Force force)
    : spec_(std::move(spec)),
      budgets_(budgets_of(spec_)),
      force_(force),
      default_block_(spec_.default_block),
      odd_names_(spec_.odd_names),
      types_(spec_.types),
      builtin_(std::move(builtin)) {
  const bool observes = spec_.mode == Mode::observe;
  if (force == Force::as_written) {
    if (observes ||
        std::any_of(spec_.rules.begin(), spec_.rules.end(),
                    [](const RuleSpec& rule) { return rule.observes; }) ||
        std::any_of(spec_.lists.begin(), spec_.lists.end(),
                    [](const ListSpec& list) { return list.observes; }))
      trial_ = std::make_unique<const RulePolicy>(spec_, builtin_, Force::everything);
    if (observes) {
      default_block_ = false;
      odd_names_ = OddNames::allowed;
      permit_every_type(types_);
    }
  }
  const auto add_setting = [&](std::string text) {
    return add_text(observes ? would_block(text) : std::move(text));
  };
  add_text("");
  const std::span<const SpecialName> specials = special_names();
  first_special_ = static_cast<RuleId>(texts_.size());
  for (std::size_t i = 0; i < specials.size(); ++i) {
    const Result<Name> zone = Name::parse(specials[i].zone);
    POSTERN_CHECK(zone.has_value());
    table_.insert(*zone).special = static_cast<std::uint32_t>(i + 1);
    add_text(std::string(specials[i].what));
  }
  first_class_ = static_cast<RuleId>(texts_.size());
  for (const AddressClass& refused : address_classes()) add_text(std::string(refused.what));
  odd_name_ = add_setting("names hold letters, digits, hyphen and underscore only (names: host)");
  single_label_ = add_text("single-label names are not forwarded (single_labels: local)");
  type_ = add_setting("this type is not among the policy's types");
  malformed_ = add_text("answer holds a malformed record");
  referral_ = add_text("an SRV, MX, SVCB or HTTPS answer has named it to this sandbox");
  default_ = add_setting(spec_.default_text.empty() ? "policy " + spec_.name + ": default block"
                                                    : spec_.default_text);
  first_rule_ = static_cast<RuleId>(texts_.size());
  for (const RuleSpec& rule : spec_.rules) add_rule(rule);
  regexes_.compile();
  first_host_ = static_cast<RuleId>(texts_.size());
  for (const HostSpec& host : spec_.hosts) add_host(host);
  first_list_ = static_cast<RuleId>(texts_.size());
  for (std::size_t i = 0; i < spec_.lists.size(); ++i) {
    const ListSpec& list = spec_.lists[i];
    const auto first = static_cast<RuleId>(texts_.size());
    for (std::size_t action = 0; action < PolicyLists::actions; ++action) {
      std::string text = PolicyLists::text(list, static_cast<ListAction>(action));
      add_text(only_observes(list) ? would_block(text) : std::move(text));
    }
    if (force == Force::as_written && only_observes(list)) continue;
    lists_.add(list, first);
    heard_lists_.push_back(i);
  }
  first_zone_ = static_cast<RuleId>(texts_.size());
  add_zones();
  add_forwards();
}

RuleId RulePolicy::add_text(std::string text) {
  texts_.push_back(std::move(text));
  return static_cast<RuleId>(texts_.size() - 1);
}

void RulePolicy::add_rule(const RuleSpec& rule) {
  const RuleId id = add_text(only_observes(rule) ? would_block(rule.text) : rule.text);
  if (force_ == Force::as_written && only_observes(rule)) return;
  if (rule.regex) {
    regexes_.add(*rule.regex);
    regex_voices_.push_back({id, rule.block});
    a_regex_allows_ |= !rule.block;
    return;
  }
  // The first of equals is kept, but a block takes the place of an allow: a tie blocks.
  const auto speak = [&](Voice& voice) {
    if (voice.rule == 0 || (rule.block && !voice.block)) voice = {id, rule.block};
  };
  Node& node = table_.insert(rule.pattern.base, [&](Node& above) { above.allowed_beneath |= !rule.block; });
  if (rule.pattern.scope == Pattern::Scope::exact) speak(node.exact);
  if (rule.pattern.scope == Pattern::Scope::at_or_below) speak(node.apex);
  if (rule.pattern.scope != Pattern::Scope::exact) speak(node.below);
  if (rule.pattern.scope != Pattern::Scope::exact) node.allowed_beneath |= !rule.block;
}

RulePolicy::Findings RulePolicy::look_up(const Name& name) const noexcept {
  Findings found = look_up_names(name);
  found.allowed_beneath |= a_regex_allows_;  // whether one matches a name below cannot be told
  const bool exact_root = found.labels == 0 && found.voice_exact;
  if (found.voice.rule != 0 && (found.voice_depth > 0 || exact_root)) return found;
  regexes_.each_match(name, [&](std::size_t index) {
    const Voice& voice = regex_voices_[index];
    const bool earlier = voice.block == found.voice.block && voice.rule < found.voice.rule;
    if (found.voice.rule == 0 || (voice.block && !found.voice.block) || earlier) found.voice = voice;
  });
  return found;
}

RulePolicy::Findings RulePolicy::look_up_names(const Name& name) const noexcept {
  Findings found;
  const Node* last = nullptr;
  std::size_t last_depth = 0;
  found.labels = table_.walk(name, [&](const Node& node, std::size_t depth) {
    // The walk went on past `last`, so its wildcard speaks for the name, in the place of one further up.
    if (last != nullptr && last->below.rule != 0) {
      found.voice = last->below;
      found.voice_depth = last_depth;
    }
    if (node.special != 0) {
      found.special = node.special;
      found.special_depth = depth;
    }
    if (node.zone != 0) {
      found.zone = node.zone;
      found.zone_depth = depth;
    }
    if (node.forward != 0) {
      found.forward = node.forward;
      found.forward_depth = depth;
    }
    last = &node;
    last_depth = depth;
  });
  if (last_depth < found.labels) {  // the walk ended above the name
    if (last->below.rule != 0) {
      found.voice = last->below;
      found.voice_depth = last_depth;
    }
    return found;
  }
  found.special_apex = found.special != 0 && found.special_depth == found.labels;
  // Below the name, the nearest wildcard speaks: its own node's, else the one found further up.
  const Voice& beneath = last->below.rule != 0 ? last->below : found.voice;
  const std::size_t beneath_depth = last->below.rule != 0 ? found.labels : found.voice_depth;
  const bool wildcard_allows = beneath.rule != 0 && !beneath.block && beneath_depth >= found.special_depth;
  found.allowed_beneath = last->allowed_beneath || wildcard_allows;
  if (found.labels == 0) found.allowed_beneath = true;  // NXDOMAIN for the root: there is no DNS at all
  const Voice& own = last->exact.rule != 0 ? last->exact : last->apex;
  if (own.rule != 0) {
    found.voice = own;
    found.voice_depth = found.labels;
    found.voice_exact = last->exact.rule != 0;
  }
  const bool exactly_blocked = last->exact.rule != 0 && last->exact.block;
  if (!exactly_blocked) found.host = last->host;  // both name it exactly: a tie blocks
  return found;
}

Verdict RulePolicy::special_verdict(const Findings& found, Type type) const noexcept {
  const std::size_t index = found.special - 1;
  const RuleId rule = first_special_ + static_cast<RuleId>(index);
  const SpecialAnswers& answers = builtin_->special[index];
  const auto local = [&](const Answer& answer) {
    return Verdict{Action::local, Reason::special_use, rule, &answer};
  };
  const auto absent = [&] { return local(found.allowed_beneath ? answers.no_data : answers.absent); };
  switch (special_names()[index].kind) {
    case SpecialKind::absent:
      return absent();
    case SpecialKind::empty_zone:
      return found.special_apex ? local(answers.no_data) : absent();
    case SpecialKind::no_data:
      return local(answers.no_data);
    case SpecialKind::loopback:
      if (type == type::A) return local(builtin_->loopback.v4);
      if (type == type::AAAA) return local(builtin_->loopback.v6);
      return local(answers.no_data);
    case SpecialKind::loopback_name:
      if (!found.special_apex) return absent();
      return local(type == type::PTR ? builtin_->loopback.name : answers.no_data);
    case SpecialKind::cloud_metadata:
      return refuse_name(found.allowed_beneath, Reason::special_use, rule);
  }
  return {};
}

namespace {

// What passes although a trial would refuse it: the trial's words go on record.
Verdict with_observation(Verdict verdict, const Verdict& strict) noexcept {
  if (!is_observation(strict)) return verdict;
  verdict.reason = strict.reason;
  verdict.rule = strict.rule;
  verdict.observed = true;
  return verdict;
}

}  // namespace

Verdict RulePolicy::decide(const Query& query) const noexcept {
  const Verdict verdict = enforced(query);
  if (trial_ == nullptr) return verdict;
  // Special names and single labels stay here either way: nothing is gained by telling what else would refuse
  // them.
  if (verdict.action != Action::allow && verdict.reason != Reason::local_data) return verdict;
  return with_observation(verdict, trial_->enforced(query));
}

Verdict RulePolicy::decide_referred(const Query& query) const noexcept {
  const Verdict permitted{Action::allow, Reason::answer_referral, referral_, nullptr};
  const Verdict verdict = if_form_and_type(query, permitted);
  if (trial_ == nullptr || is_refusal(verdict)) return verdict;
  return with_observation(verdict, trial_->if_form_and_type(query, permitted));
}

Verdict RulePolicy::enforced(const Query& query) const noexcept {
  const Findings found = look_up(query.name);
  if (found.host != 0) {
    const HostAnswers& host = hosts_[found.host - 1];
    const Answer* answer = query.type == type::A      ? &host.v4
                           : query.type == type::AAAA ? &host.v6
                                                      : &host.no_data;
    if (answer->answer.empty()) answer = &host.no_data;
    return {Action::local, Reason::local_data, host.rule, answer};
  }

  if (found.zone_answers()) {
    const std::size_t zone = found.zone - 1;
    return {Action::local, Reason::local_data, first_zone_ + static_cast<RuleId>(zone),
            &zones_.answer(zone, query)};
  }

  const bool rule_speaks = found.rule_speaks();
  if (!rule_speaks && found.special != 0) return special_verdict(found, query.type);
  const bool rule_names_it = rule_speaks && found.voice_depth > 0;  // `*` alone does not
  if (found.labels == 1 && !rule_names_it && spec_.single_labels == SingleLabels::local) {
    const bool beneath = found.allowed_beneath || (!lists_.empty() && lists_.judge(query).allowed_beneath);
    const Answer& answer = beneath ? builtin_->root.no_data : builtin_->root.absent;
    return {Action::local, Reason::single_label, single_label_, &answer};
  }
  if (rule_speaks && found.voice.block)
    return refuse_name(found.allowed_beneath || open_beneath(query, nullptr), Reason::rule, found.voice.rule);
  PolicyLists::Voice list;
  if (!rule_speaks && !lists_.empty()) list = lists_.judge(query);
  const bool allowed_beneath = found.allowed_beneath || list.allowed_beneath;
  if (list.speaks && list.action != ListAction::allow)
    return listed(list, allowed_beneath || (!default_block_ && open_beneath(query, &list)));
  if (!rule_speaks && !list.speaks && default_block_)
    return refuse_name(allowed_beneath, Reason::policy_default, default_);

  Verdict permitted{Action::allow, Reason::policy_default, 0, nullptr};
  if (rule_speaks) permitted = {Action::allow, Reason::rule, found.voice.rule, nullptr};
  if (list.speaks) permitted = {Action::allow, Reason::list, list.rule, nullptr};
  permitted.route = found.forward;
  return if_form_and_type(query, permitted);
}

// Whether names below a refused one are allowed by lists, or because nothing speaks against them: asked for
// one that nobody mentions. `heard`: what the lists say of the refused name itself; null: nobody asked them.
bool RulePolicy::open_beneath(const Query& query, const PolicyLists::Voice* heard) const noexcept {
  if (default_block_ && lists_.empty()) return false;
  constexpr std::array<std::uint8_t, 2> unmentioned{1, 0};  // a label that is one zero octet
  std::array<std::uint8_t, Name::max_octets + unmentioned.size()> wire;
  const auto end = std::copy(unmentioned.begin(), unmentioned.end(), wire.begin());
  std::copy(query.name.wire().begin(), query.name.wire().end(), end);
  const std::optional<Name> child = Name::from_wire({wire.data(), unmentioned.size() + query.name.size()});
  if (!child) return false;  // too long: there are no names below
  const Findings found = look_up(*child);
  if (found.zone_answers()) return zones_.answer(found.zone - 1, {*child, query.type}).rcode == 0;
  if (found.rule_speaks()) return !found.voice.block;
  if (found.special != 0) return false;
  if (!default_block_ && !(heard != nullptr && heard->blocks_below)) {
    if (lists_.empty()) return true;
    const PolicyLists::Voice list = lists_.judge({*child, query.type});
    if (!list.speaks || list.action == ListAction::allow || list.action == ListAction::local) return true;
  }
  return heard == nullptr && !lists_.empty() && lists_.judge(query).allowed_beneath;
}

// `permitted` by name. Below a name that is no host name everything is none either: NXDOMAIN is safe.
Verdict RulePolicy::if_form_and_type(const Query& query, Verdict permitted) const noexcept {
  if (odd_names_ == OddNames::refused && !is_host_name(query.name))
    return {Action::block_name, Reason::name_form, odd_name_, nullptr};
  if (!types_.test(query.type)) return {Action::block_data, Reason::type, type_, nullptr};
  return permitted;
}

// What a list wants done, other than to allow.
Verdict RulePolicy::listed(const PolicyLists::Voice& voice, bool allowed_beneath) const noexcept {
  switch (voice.action) {
    case ListAction::no_data:
      return {Action::block_data, Reason::list, voice.rule, nullptr};
    case ListAction::drop:
      return {Action::drop, Reason::list, voice.rule, nullptr};
    case ListAction::local:
      return {Action::local, Reason::list, voice.rule, voice.local};
    default:
      return refuse_name(allowed_beneath, Reason::list, voice.rule);
  }
}

bool RulePolicy::is_exempt(const Name& name) const noexcept {
  return std::any_of(spec_.exempt.begin(), spec_.exempt.end(),
                     [&](const Pattern& pattern) { return pattern.matches(name); });
}

std::vector<Name> RulePolicy::exact_names() const {
  std::vector<Name> names;
  for (const RuleSpec& rule : spec_.rules)
    if (!rule.block && !rule.regex && rule.pattern.scope == Pattern::Scope::exact)
      names.push_back(rule.pattern.base);
  return names;
}

std::string_view RulePolicy::rule_text(RuleId rule) const noexcept {
  return rule < texts_.size() ? std::string_view(texts_[rule]) : std::string_view{};
}

std::shared_ptr<const PolicySet> PolicyAssembly::assemble(std::vector<PolicySpec> specs) {
  const auto has = [&](std::string_view name) {
    return std::any_of(specs.begin(), specs.end(), [&](const PolicySpec& spec) { return spec.name == name; });
  };
  const auto add = [&](PolicySpec spec) {
    spec.built_in = true;
    if (!has(spec.name)) specs.push_back(std::move(spec));
  };
  add(PolicySpec{});
  for (const Preset& one : presets())
    if (is_policy_preset(one.name)) add(preset(one.name));
  std::sort(specs.begin(), specs.end(),
            [](const PolicySpec& a, const PolicySpec& b) { return a.name < b.name; });
  auto set = std::make_shared<PolicySet>();
  const auto builtin = std::make_shared<const BuiltinAnswers>();
  for (PolicySpec& spec : specs)
    set->policies_.push_back(std::make_shared<const RulePolicy>(std::move(spec), builtin));
  return set;
}

std::shared_ptr<const PolicySet> PolicySet::builtin() {
  return PolicyAssembly::assemble({});
}

std::shared_ptr<const Policy> PolicySet::find(std::string_view name) const noexcept {
  if (name.empty()) name = "default";
  for (const auto& policy : policies_)
    if (policy->name() == name) return policy;
  return nullptr;
}

std::vector<std::string> PolicySet::names() const {
  std::vector<std::string> out;
  for (const auto& policy : policies_) out.push_back(policy->name());
  return out;
}

Result<std::shared_ptr<const PolicySet>> PolicySet::with(const Overlay& overlay) const {
  const std::string base = overlay.base.empty() ? "default" : overlay.base;
  std::vector<PolicySpec> specs;
  PolicySpec* changed = nullptr;
  specs.reserve(policies_.size());
  for (const auto& policy : policies_) {
    specs.push_back(policy->spec());
    if (policy->name() == base) changed = &specs.back();
  }
  if (changed == nullptr)
    return failure("cannot add rules to policy " + quoted(base) + ": there is no such policy");
  for (const std::string& name : overlay.include) {
    const auto known =
        std::find_if(presets().begin(), presets().end(), [&](const Preset& one) { return one.name == name; });
    if (known == presets().end() || is_policy_preset(name))
      return failure("command line: cannot include preset " + quoted(name) + "; presets are " +
                     includable_presets());
    PolicyAssembly::include(PolicyAssembly::preset(name), *changed);
  }
  for (const bool block : {false, true}) {
    for (const std::string& text : block ? overlay.block : overlay.allow) {
      Result<RuleSpec> rule = RuleSpec::parse(text, changed->wildcards);
      if (!rule) return failure("command line: " + rule.error().message);
      rule->block = block;
      rule->text = rule_line("command line:", block ? "block" : "allow", rule->what());
      changed->rules.push_back(std::move(*rule));
    }
  }
  if (!overlay.default_action.empty()) {
    if (overlay.default_action != "allow" && overlay.default_action != "block")
      return failure("command line: cannot read default " + quoted(overlay.default_action) +
                     ": it is allow or block");
    changed->default_block = overlay.default_action == "block";
    changed->default_text = "command line: default " + overlay.default_action;
  }
  return PolicyAssembly::assemble(std::move(specs));
}

}  // namespace postern

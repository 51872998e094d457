// The policy file (docs/RULES.md): YAML to PolicySpecs, every complaint with its place.
#include <algorithm>
#include <array>
#include <map>
#include <optional>

#include "rules/policy.h"
#include "rules/policy_spec.h"
#include "rules/policy_yaml_answers.h"
#include "rules/policy_yaml_limits.h"
#include "rules/policy_yaml_zones.h"
#include "rules/presets.h"
#include "rules/quote.h"
#include "rules/yaml_complaint.h"

namespace postern {
namespace {

constexpr std::size_t max_exempt = 1'000;         // per policy: they are searched one by one for each forward
constexpr std::size_t max_expectations = 10'000;  // per policy: a name is 256 octets, and they stay in memory
constexpr std::size_t max_host_addresses = 32;    // per name: the reply still fits a UDP packet
constexpr std::size_t max_policies = 64;          // per file: each carries the built-in tables
constexpr std::size_t max_entries = 300'000;  // per file, what is inherited counted again: `extends` copies
constexpr std::size_t max_extends =
    8;  // policies that build on each other; more is hard to follow for people too

constexpr auto policy_keys = std::to_array<std::string_view>({"extends",
                                                              "include",
                                                              "default",
                                                              "allow",
                                                              "block",
                                                              "observe",
                                                              "mode",
                                                              "types",
                                                              "names",
                                                              "single_labels",
                                                              "allow_public_suffix",
                                                              "explain",
                                                              "answers",
                                                              "hosts",
                                                              "zones",
                                                              "forward",
                                                              "lists",
                                                              "on_tunnel",
                                                              "alert_on_first_query",
                                                              "profile",
                                                              "budgets",
                                                              "on_budget",
                                                              "on_secret",
                                                              "on_cap",
                                                              "expect"});
bool is_policy_key(std::string_view text) {
  return std::find(policy_keys.begin(), policy_keys.end(), text) != policy_keys.end();
}

std::string list_of(std::span<const std::string_view> words) {
  std::string out;
  for (std::size_t i = 0; i < words.size(); ++i) {
    if (i != 0) out += i + 1 == words.size() ? " or " : ", ";
    out += words[i];
  }
  return out;
}

// Reads one file. Each function returns an error at the offending node and changes nothing else.
class Reader : private YamlComplaint {
 public:
  Reader(const std::string& file, const ListSource& lists, Places places = Places::with_line)
      : YamlComplaint(file, places), lists_(lists) {}

  Result<std::vector<PolicySpec>> read(const YamlNode& root) {
    if (root.kind != YamlNode::Kind::map) return wrong_kind(root, "a policy file", YamlNode::Kind::map);
    const YamlNode* policies = get(root, "policies");
    if (policies == nullptr) {
      drafts_.push_back({"default", &root, Draft::State::fresh, {}});
    } else {
      for (std::size_t i = 0; i < root.items.size(); i += 2)
        if (root.items[i].text != "policies")
          return unknown_key(root.items[i], is_policy_key(root.items[i].text)
                                                ? "beside policies: it belongs to one of them, below its name"
                                                : "beside policies");
      if (policies->kind != YamlNode::Kind::map)
        return wrong_kind(*policies, "policies", YamlNode::Kind::map);
      if (policies->items.size() / 2 > max_policies)
        return at(*policies, "it holds more than " + std::to_string(max_policies) + " policies");
      for (std::size_t i = 0; i < policies->items.size(); i += 2) {
        const YamlNode& name = policies->items[i];
        if (const auto ok = check_policy_name(name); !ok) return tl::unexpected(ok.error());
        drafts_.push_back({name.text, &policies->items[i + 1], Draft::State::fresh, {}});
      }
    }
    for (std::size_t i = 0; i < drafts_.size(); ++i)
      if (const auto ok = finish(i); !ok) return tl::unexpected(ok.error());
    std::vector<PolicySpec> specs;
    for (Draft& draft : drafts_) specs.push_back(std::move(draft.spec));
    return specs;
  }

 private:
  // A policy of the file. `extends` may point forward, so a policy is read when it is first needed.
  struct Draft {
    enum class State : std::uint8_t { fresh, in_work, done };
    std::string name;
    const YamlNode* node;
    State state;
    PolicySpec spec;
  };

  Result<void> check_policy_name(const YamlNode& node) const {
    if (!is_policy_word(node.text))
      return at(node, "a policy's name has 1 to 64 letters, digits, hyphens, underscores and dots, here is " +
                          quoted(node.text));
    if (node.text == "deny-all")
      return at(node, "policy " + quoted(node.text) + " is built in and cannot be changed; extend it");
    return {};
  }

  Result<void> finish(std::size_t index) {
    if (drafts_[index].state == Draft::State::done) return {};
    const YamlNode& node = *drafts_[index].node;
    drafts_[index].state = Draft::State::in_work;
    if (node.kind != YamlNode::Kind::map)
      return wrong_kind(node, "policy " + drafts_[index].name, YamlNode::Kind::map);
    for (std::size_t i = 0; i < node.items.size(); i += 2)
      if (!is_policy_key(node.items[i].text))
        return unknown_key(node.items[i], "in a policy; known are " + list_of(policy_keys));

    PolicySpec spec;
    if (const YamlNode* extends = get(node, "extends")) {
      if (extends->kind != YamlNode::Kind::scalar)
        return wrong_kind(*extends, "extends", YamlNode::Kind::scalar);
      const Result<PolicySpec> base = base_of(*extends);
      if (!base) return tl::unexpected(base.error());
      spec = *base;
      spec.expectations.clear();
    }
    spec.name = drafts_[index].name;
    if (const YamlNode* includes = get(node, "include"))
      if (const auto ok = include_all(*includes, spec); !ok) return ok;
    if (const auto ok = read_policy(node, spec); !ok) return ok;
    if (const auto ok = check_zones(*this, node, spec); !ok) return ok;
    entries_ += spec.rules.size() + spec.hosts.size() + spec.exceptions.size();
    for (const ZoneSpec& zone : spec.zones) entries_ += zone.records.size();
    if (entries_ > max_entries)
      return at(node, "the file's policies hold more than " + std::to_string(max_entries) +
                          " rules, inherited ones counted again");
    drafts_[index].spec = std::move(spec);
    drafts_[index].state = Draft::State::done;
    return {};
  }

  // Recursion ends: every step marks a policy as in work, and goes at most max_extends deep.
  Result<PolicySpec> base_of(const YamlNode& extends) {
    for (std::size_t i = 0; i < drafts_.size(); ++i) {
      if (drafts_[i].name != extends.text) continue;
      if (drafts_[i].state == Draft::State::in_work)
        return at(extends, "extends " + quoted(extends.text) + " goes round in a circle");
      if (depth_ >= max_extends)
        return at(extends, "extends goes more than " + std::to_string(max_extends) + " policies deep");
      ++depth_;
      const Result<void> ok = finish(i);
      --depth_;
      if (!ok) return tl::unexpected(ok.error());
      return drafts_[i].spec;
    }
    if (extends.text == "default") return PolicySpec{};
    if (is_policy_preset(extends.text)) {
      PolicySpec spec = PolicyAssembly::preset(extends.text);
      spec.default_text =
          rule_line("preset " + extends.text + ":", "default", spec.default_block ? "block" : "allow");
      return spec;
    }
    const bool is_preset = std::any_of(presets().begin(), presets().end(),
                                       [&](const Preset& one) { return one.name == extends.text; });
    if (is_preset)
      return at(extends, "preset " + quoted(extends.text) + " is not extended but included (include:)");
    return at(extends, "extends " + quoted(extends.text) + ": there is no such policy");
  }

  // A name or a list of names: policies of the file, else presets.
  Result<void> include_all(const YamlNode& value, PolicySpec& spec) {
    const std::span<const YamlNode> list = value.kind == YamlNode::Kind::sequence
                                               ? std::span<const YamlNode>(value.items)
                                               : std::span<const YamlNode>(&value, 1);
    for (const YamlNode& item : list) {
      if (item.kind != YamlNode::Kind::scalar) return wrong_kind(item, "an include", YamlNode::Kind::scalar);
      const Result<PolicySpec> from = included(item);
      if (!from) return tl::unexpected(from.error());
      PolicyAssembly::include(*from, spec);
      if (const auto ok = check_included(*this, item, spec); !ok) return ok;
    }
    return {};
  }

  Result<PolicySpec> included(const YamlNode& item) {
    for (const Draft& draft : drafts_) {
      if (draft.name != item.text) continue;
      if (draft.state == Draft::State::in_work)
        return at(item, "include " + quoted(item.text) + " goes round in a circle");
      return base_of(item);
    }
    if (is_policy_preset(item.text))
      return at(item, "preset " + quoted(item.text) +
                          " holds settings; it is not included but extended (extends:)");
    for (const Preset& one : presets())
      if (one.name == item.text) return PolicyAssembly::preset(item.text);
    return at(item, "include " + quoted(item.text) +
                        ": the file has no such policy, and there is no such preset; presets are " +
                        includable_presets());
  }

  Result<void> read_policy(const YamlNode& node, PolicySpec& spec) {
    // First what other keys depend on, then in the order of the file, so that the
    // first mistake is the one reported.
    if (const YamlNode* value = get(node, "allow_public_suffix")) {
      const Result<bool> allowed = read_bool(*value, "allow_public_suffix");
      if (!allowed) return tl::unexpected(allowed.error());
      spec.wildcards = *allowed ? PublicSuffixWildcards::allowed : PublicSuffixWildcards::refused;
    }
    for (std::size_t i = 0; i < node.items.size(); i += 2)
      if (const auto ok = read_key(node.items[i].text, node.items[i + 1], spec); !ok) return ok;
    return {};
  }

  Result<void> read_key(const std::string& key, const YamlNode& value, PolicySpec& spec) {
    const auto word = [&](std::span<const std::string_view> words, auto&& use) -> Result<void> {
      const Result<std::size_t> chosen = read_word(value, key, words);
      if (!chosen) return tl::unexpected(chosen.error());
      use(*chosen);
      return {};
    };
    const auto claim = [&](bool& target) -> Result<void> {
      const Result<bool> read = read_bool(value, key);
      if (!read) return tl::unexpected(read.error());
      target = *read;
      return {};
    };
    // In the order of Response. Where the mildest is "refuse", that goes without saying.
    const auto response = [&](std::string_view mildest, Response& target) {
      const auto words =
          std::to_array<std::string_view>({mildest, "block-zone", "quarantine", "freeze", "kill"});
      return word(words, [&](std::size_t chosen) { target = static_cast<Response>(chosen); });
    };
    if (key == "default") {
      return word(std::to_array<std::string_view>({"allow", "block"}), [&](std::size_t chosen) {
        spec.default_block = chosen == 1;
        spec.default_text = rule_line(place(value), "default", value.text);
      });
    }
    if (key == "allow" || key == "block" || key == "observe") return read_rules(value, key, spec);
    if (key == "mode") {
      return word(std::to_array<std::string_view>({"enforce", "observe"}),
                  [&](std::size_t chosen) { spec.mode = chosen == 1 ? Mode::observe : Mode::enforce; });
    }
    if (key == "types") return read_types(value, spec);
    if (key == "names") {
      return word(std::to_array<std::string_view>({"host", "any"}), [&](std::size_t chosen) {
        spec.odd_names = chosen == 1 ? OddNames::allowed : OddNames::refused;
      });
    }
    if (key == "single_labels") {
      return word(std::to_array<std::string_view>({"local", "forward"}), [&](std::size_t chosen) {
        spec.single_labels = chosen == 1 ? SingleLabels::forwarded : SingleLabels::local;
      });
    }
    if (key == "explain") return claim(spec.explains);
    if (key == "alert_on_first_query") return claim(spec.alert_on_first_query);
    if (key == "on_tunnel") return response("alert", spec.on_tunnel);
    if (key == "on_budget") return response("refuse", spec.on_budget);
    if (key == "on_secret") return response("refuse", spec.on_secret);
    if (key == "profile") {
      constexpr auto profiles = std::to_array<std::string_view>({"code", "browse", "strict"});
      return word(profiles, [&](std::size_t chosen) { spec.profile = profiles[chosen]; });
    }
    if (key == "budgets") return read_budgets(value, spec);
    if (key == "on_cap") {  // no zone is to blame
      constexpr auto words = std::to_array<std::string_view>({"alert", "quarantine", "freeze", "kill"});
      return word(words, [&](std::size_t n) { spec.on_cap = static_cast<Response>(n == 0 ? 0 : n + 1); });
    }
    if (key == "answers") return read_answers(*this, value, spec);
    if (key == "hosts") return read_hosts(value, spec);
    if (key == "lists") return read_lists(value, spec);
    if (key == "zones") return read_zones(*this, value, spec);
    if (key == "forward") return read_forwards(*this, value, spec);
    if (key == "expect") return read_expect(value, spec);
    return {};  // extends, include and allow_public_suffix: read before
  }

  Result<std::size_t> read_word(const YamlNode& value, std::string_view key,
                                std::span<const std::string_view> words) const {
    if (value.kind != YamlNode::Kind::scalar) return wrong_kind(value, key, YamlNode::Kind::scalar);
    const auto found = std::find(words.begin(), words.end(), value.text);
    if (found == words.end())
      return at(value, std::string(key) + " is " + list_of(words) + ", here is " + quoted(value.text));
    return static_cast<std::size_t>(found - words.begin());
  }
  Result<bool> read_bool(const YamlNode& value, std::string_view key) const {
    constexpr auto words = std::to_array<std::string_view>({"false", "true"});
    const Result<std::size_t> chosen = read_word(value, key, words);
    if (!chosen) return tl::unexpected(chosen.error());
    return *chosen == 1;
  }

  Result<Pattern> read_pattern(const YamlNode& value, const PolicySpec& spec) const {
    if (value.kind != YamlNode::Kind::scalar) return wrong_kind(value, "a pattern", YamlNode::Kind::scalar);
    Result<Pattern> pattern = Pattern::parse(value.text, spec.wildcards);
    if (!pattern) return at(value, pattern.error().message);
    return pattern;
  }

  Result<void> read_rules(const YamlNode& value, const std::string& key, PolicySpec& spec) const {
    if (value.kind != YamlNode::Kind::sequence) return wrong_kind(value, key, YamlNode::Kind::sequence);
    std::size_t expressions = 0;
    for (const RuleSpec& rule : spec.rules) expressions += rule.regex.has_value();
    for (const YamlNode& item : value.items) {
      if (item.kind != YamlNode::Kind::scalar) return wrong_kind(item, "a pattern", YamlNode::Kind::scalar);
      Result<RuleSpec> rule = RuleSpec::parse(item.text, spec.wildcards);
      if (!rule) return at(item, rule.error().message);
      if (spec.rules.size() >= max_rules)
        return at(item, "a policy holds at most " + std::to_string(max_rules) + " rules");
      expressions += rule->regex.has_value();
      if (expressions > max_expressions)
        return at(item, "a policy holds at most " + std::to_string(max_expressions) + " regular expressions");
      rule->block = key != "allow";
      rule->observes = key == "observe";
      rule->text = rule_line(place(item), key, rule->what());
      spec.rules.push_back(std::move(*rule));
    }
    return {};
  }

  Result<void> read_types(const YamlNode& value, PolicySpec& spec) const {
    if (value.kind == YamlNode::Kind::scalar && value.text == "any") {
      permit_every_type(spec.types);
      return {};
    }
    if (value.kind == YamlNode::Kind::scalar)
      return at(value, "types is a list of types, or any, here is " + quoted(value.text));
    if (value.kind != YamlNode::Kind::sequence) return wrong_kind(value, "types", YamlNode::Kind::sequence);
    spec.types.reset();
    for (const YamlNode& item : value.items) {
      if (item.kind == YamlNode::Kind::null)
        return at(item, "a type is missing here; the type NULL needs quotes, or YAML reads it as nothing");
      if (item.kind != YamlNode::Kind::scalar) return wrong_kind(item, "a type", YamlNode::Kind::scalar);
      const std::optional<Type> type = item.text.size() <= 32 ? type_from_text(item.text) : std::nullopt;
      if (!type) return at(item, "unknown type " + quoted(item.text));
      if (is_never_asked(*type))
        return at(item, "type " + quoted(item.text) + " is not a question that can be asked");
      spec.types.set(*type);
    }
    return {};
  }

  // "NAME" or "NAME TYPE"; the type is A where none is written.
  Result<Query> read_question(const YamlNode& item) const {
    if (item.kind != YamlNode::Kind::scalar)
      return wrong_kind(item, "an expectation", YamlNode::Kind::scalar);
    const std::size_t space = item.text.find(' ');
    const Result<Pattern> name = Pattern::parse(std::string_view(item.text).substr(0, space));
    if (!name) return at(item, name.error().message);
    if (name->scope != Pattern::Scope::exact)
      return at(item, "an expectation is about one name, here is the pattern " + quoted(item.text));
    Query query{name->base, type::A};
    if (space == std::string::npos) return query;
    const std::string_view type = std::string_view(item.text).substr(space + 1);
    const std::optional<Type> known = type.size() <= 32 ? type_from_text(type) : std::nullopt;
    if (!known) return at(item, "unknown type " + quoted(type) + " in " + quoted(item.text));
    query.type = *known;
    return query;
  }

  Result<void> read_expect(const YamlNode& value, PolicySpec& spec) const {
    if (value.kind != YamlNode::Kind::map) return wrong_kind(value, "expect", YamlNode::Kind::map);
    for (std::size_t i = 0; i < value.items.size(); i += 2) {
      const YamlNode& key = value.items[i];
      const YamlNode& list = value.items[i + 1];
      if (key.text != "allow" && key.text != "block")
        return unknown_key(key, "in expect; known are allow and block");
      if (list.kind != YamlNode::Kind::sequence)
        return wrong_kind(list, "expect: " + key.text, YamlNode::Kind::sequence);
      for (const YamlNode& item : list.items) {
        const Result<Query> query = read_question(item);
        if (!query) return tl::unexpected(query.error());
        if (spec.expectations.size() >= max_expectations)
          return at(item, "a policy holds at most " + std::to_string(max_expectations) + " expectations");
        spec.expectations.push_back({*query, key.text == "block", place(item)});
      }
    }
    return {};
  }

  Result<void> read_budgets(const YamlNode& value, PolicySpec& spec) const {
    std::vector<std::string_view> keys;
    for (const BudgetKey& one : budget_keys()) keys.push_back(one.key);
    keys.push_back("single_name");
    keys.push_back("queries");
    if (value.kind == YamlNode::Kind::scalar && value.text == "unlimited") {
      for (const std::string_view key : keys) spec.budgets[std::string(key)] = unlimited_bits;
      return {};
    }
    keys.push_back("refill");
    keys.push_back("exempt");
    if (value.kind != YamlNode::Kind::map) return wrong_kind(value, "budgets", YamlNode::Kind::map);
    for (std::size_t i = 0; i < value.items.size(); i += 2) {
      const YamlNode& key = value.items[i];
      const YamlNode& amount = value.items[i + 1];
      if (std::find(keys.begin(), keys.end(), key.text) == keys.end())
        return unknown_key(key, "in budgets; known are " + list_of(keys));
      if (key.text == "exempt") {
        if (const auto ok = read_exempt(amount, spec); !ok) return ok;
        continue;
      }
      if (amount.kind != YamlNode::Kind::scalar)
        return wrong_kind(amount, "budgets: " + key.text, YamlNode::Kind::scalar);
      if (key.text == "queries") {
        const Result<std::uint64_t> count = parse_count(amount.text);
        if (!count) return at(amount, "budgets: queries is " + count.error().message);
        spec.budgets[key.text] = *count;
        continue;
      }
      std::string_view text = amount.text;
      if (constexpr std::string_view daily = " per day"; key.text == "refill") {
        if (!text.ends_with(daily) || text.starts_with("unlimited"))
          return at(amount, "budgets: refill is an amount such as \"64 B per day\", here is " + quoted(text));
        text.remove_suffix(daily.size());
      }
      const Result<std::uint64_t> bits = parse_amount(text);
      if (!bits) return at(amount, "budgets: " + key.text + " is " + bits.error().message);
      if (*bits % 8 != 0 && key.text != "single_name")
        return at(amount,
                  "budgets: " + key.text + " is counted in whole octets, here is " + quoted(amount.text));
      spec.budgets[key.text] = *bits;
    }
    return {};
  }

  Result<void> read_exempt(const YamlNode& value, PolicySpec& spec) const {
    if (value.kind != YamlNode::Kind::sequence)
      return wrong_kind(value, "budgets: exempt", YamlNode::Kind::sequence);
    for (const YamlNode& item : value.items) {
      const Result<Pattern> pattern = read_pattern(item, spec);
      if (!pattern) return tl::unexpected(pattern.error());
      if (spec.exempt.size() >= max_exempt)
        return at(item, "a policy holds at most " + std::to_string(max_exempt) + " exemptions");
      spec.exempt.push_back(*pattern);
    }
    return {};
  }

  Result<void> read_hosts(const YamlNode& value, PolicySpec& spec) const {
    if (value.kind != YamlNode::Kind::map) return wrong_kind(value, "hosts", YamlNode::Kind::map);
    const std::size_t inherited = spec.hosts.size();
    std::map<std::string, std::size_t> own;  // canonical name -> place in spec.hosts
    for (std::size_t i = 0; i < inherited; ++i) own.emplace(spec.hosts[i].name.text(), i);
    for (std::size_t i = 0; i < value.items.size(); i += 2) {
      const YamlNode& key = value.items[i];
      const YamlNode& addresses = value.items[i + 1];
      const Result<Pattern> pattern = Pattern::parse(key.text);
      if (!pattern) return at(key, pattern.error().message);
      if (pattern->scope != Pattern::Scope::exact)
        return at(key, "a hosts entry is for one name, here is the pattern " + quoted(key.text));
      if (pattern->base.is_root()) return at(key, "the root cannot be a hosts entry");
      HostSpec host{pattern->base, {}, rule_line(place(key), "hosts", pattern->base.text())};
      const std::span<const YamlNode> list = addresses.kind == YamlNode::Kind::sequence
                                                 ? std::span<const YamlNode>(addresses.items)
                                                 : std::span<const YamlNode>(&addresses, 1);
      if (list.size() > max_host_addresses)
        return at(addresses,
                  "a name has at most " + std::to_string(max_host_addresses) + " addresses in hosts");
      for (const YamlNode& item : list) {
        if (item.kind != YamlNode::Kind::scalar)
          return wrong_kind(item, "an address", YamlNode::Kind::scalar);
        const std::optional<Address> address = Address::parse(item.text);
        if (!address) return at(item, "not an IPv4 or IPv6 address: " + quoted(item.text));
        host.addresses.push_back(*address);
      }
      const auto [entry, is_new] = own.emplace(host.name.text(), spec.hosts.size());
      if (is_new) {
        if (spec.hosts.size() >= max_rules)
          return at(key, "a policy holds at most " + std::to_string(max_rules) + " hosts entries");
        spec.hosts.push_back(std::move(host));
      } else if (entry->second < inherited) {
        spec.hosts[entry->second] = std::move(host);  // what is extended gives way
      } else {
        return at(key, "duplicate hosts entry " + quoted(key.text));
      }
    }
    return {};
  }

  // "FILE", or {file: FILE, ...}.
  Result<void> read_lists(const YamlNode& value, PolicySpec& spec) {
    if (value.kind != YamlNode::Kind::sequence) return wrong_kind(value, "lists", YamlNode::Kind::sequence);
    for (const YamlNode& item : value.items) {
      if (spec.lists.size() >= max_lists)
        return at(item, "a policy uses at most " + std::to_string(max_lists) + " lists");
      ListSpec list;
      list.place = place(item);
      if (item.kind == YamlNode::Kind::map) {
        if (const auto ok = read_list_settings(item, list); !ok) return ok;
      } else if (item.kind == YamlNode::Kind::scalar) {
        list.request.file = item.text;
      } else {
        return wrong_kind(item, "a list", YamlNode::Kind::map);
      }
      if (list.request.file.empty() || list.request.file.find('\0') != std::string::npos)
        return at(item, "a list has a file");
      const auto known = std::find_if(loaded_.begin(), loaded_.end(),
                                      [&](const auto& one) { return one.first == list.request; });
      if (known == loaded_.end()) {
        if (!lists_) return at(item, "no list can be read here: " + quoted(list.request.file));
        Result<std::shared_ptr<const List>> loaded = lists_(list.request);
        if (!loaded) return at(item, loaded.error().message);
        list.list = *loaded;
        loaded_.emplace_back(list.request, *loaded);
      } else {
        list.list = known->second;
      }
      spec.lists.push_back(std::move(list));
    }
    return {};
  }

  Result<void> read_list_settings(const YamlNode& item, ListSpec& list) const {
    constexpr auto keys = std::to_array<std::string_view>(
        {"file", "format", "action", "subdomains", "allow_public_suffix", "observe"});
    constexpr auto formats = std::to_array<std::string_view>({"domains", "hosts", "adblock", "rpz"});
    constexpr auto list_actions = std::to_array<std::string_view>({"block", "allow"});
    for (std::size_t i = 0; i < item.items.size(); i += 2) {
      const YamlNode& key = item.items[i];
      const YamlNode& value = item.items[i + 1];
      if (std::find(keys.begin(), keys.end(), key.text) == keys.end())
        return unknown_key(key, "in a list; known are " + list_of(keys));
      if (key.text == "file") {
        if (value.kind != YamlNode::Kind::scalar) return wrong_kind(value, "file", YamlNode::Kind::scalar);
        list.request.file = value.text;
      } else if (key.text == "format" || key.text == "action") {
        const bool is_format = key.text == "format";
        const Result<std::size_t> chosen =
            is_format ? read_word(value, key.text, formats) : read_word(value, key.text, list_actions);
        if (!chosen) return tl::unexpected(chosen.error());
        if (is_format)
          list.request.format = static_cast<ListFormat>(*chosen);
        else
          list.request.allows = *chosen == 1;
      } else {
        const Result<bool> claim = read_bool(value, key.text);
        if (!claim) return tl::unexpected(claim.error());
        (key.text == "subdomains"            ? list.request.subdomains
         : key.text == "allow_public_suffix" ? list.request.allow_public_suffix
                                             : list.observes) = *claim;
      }
    }
    if (list.observes && list.request.allows) return at(item, "a list that allows has nothing to observe");
    return {};
  }

  const ListSource& lists_;
  std::vector<std::pair<ListRequest, std::shared_ptr<const List>>> loaded_;  // a list is read once
  std::vector<Draft> drafts_;
  std::size_t entries_ = 0, depth_ = 0;
};

}  // namespace

PolicySpec PolicyAssembly::preset(std::string_view name) {
  const auto known =
      std::find_if(presets().begin(), presets().end(), [&](const Preset& one) { return one.name == name; });
  POSTERN_CHECK(known != presets().end());
  const std::string file = "preset " + std::string(name);
  const Result<YamlNode> root = read_yaml(known->text, file);
  POSTERN_CHECK(root.has_value());  // part of the program, and tested
  Result<std::vector<PolicySpec>> specs = Reader(file, {}, YamlComplaint::Places::file_only).read(*root);
  POSTERN_CHECK(specs.has_value());
  PolicySpec spec = std::move(specs->front());
  spec.name = name;
  spec.default_text.clear();
  spec.expectations.clear();
  return spec;
}

Result<std::shared_ptr<const PolicySet>> PolicySet::parse(std::string_view yaml, const std::string& file,
                                                          const ListSource& lists) {
  const Result<YamlNode> root = read_yaml(yaml, file);
  if (!root) return tl::unexpected(root.error());
  Result<std::vector<PolicySpec>> specs = Reader(file, lists).read(*root);
  if (!specs) return tl::unexpected(specs.error());
  return PolicyAssembly::assemble(std::move(*specs));
}

}  // namespace postern

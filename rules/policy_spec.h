// PolicySpec and RulePolicy: a policy as it was written, and as it is asked. Internal to rules/.
#pragma once

#include <bitset>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "rules/address.h"
#include "rules/explain.h"
#include "rules/local_zone.h"
#include "rules/pattern.h"
#include "rules/policy.h"
#include "rules/policy_lists.h"
#include "rules/regex.h"
#include "rules/special.h"
#include "rules/suffix_table.h"

namespace postern {

// An inline rule. `text` is what rule_text says of it.
struct RuleSpec {
  Pattern pattern;
  bool block = true;
  std::string text;
  bool observes = false;       // from `observe:`: a block that is only recorded
  bool forwards = false;       // from `forward:`: an allow that says where to ask, too
  std::optional<Regex> regex;  // takes the pattern's place, which is then `**`

  // The pattern, or /EXPRESSION/: no pattern begins with a slash. The other members are the caller's.
  static Result<RuleSpec> parse(std::string_view what, PublicSuffixWildcards wildcards);
  std::string what() const { return regex ? "/" + regex->text() + "/" : pattern.text(); }
  bool matches(const Name& name) const noexcept {
    return regex ? regex->matches(name) : pattern.matches(name);
  }
};

// Addresses that answers may hold after all, for the names that are asked for.
struct AddressException {
  Pattern names;  // matched against the query's name, not against targets
  AddressRange range;
};

// A hosts entry: local data for exactly one name.
struct HostSpec {
  Name name;
  std::vector<Address> addresses;
  std::string text;
};

enum class OddNames : std::uint8_t { refused, allowed };      // `names: host` or `any`
enum class SingleLabels : std::uint8_t { local, forwarded };  // `single_labels:`
enum class Mode : std::uint8_t { enforce, observe };          // `mode:`

// Everything that can be said about a policy, complete with defaults.
struct PolicySpec {
  PolicySpec();  // what holds without a file

  std::string name = "default";
  bool default_block = false;
  std::string default_text;  // rule_text for what falls to the default; empty if it was not written
  std::vector<RuleSpec> rules;
  std::vector<HostSpec> hosts;
  std::vector<ListSpec> lists;
  std::vector<ZoneSpec> zones;
  std::vector<std::string> included;    // presets and policies of the file, by name
  std::vector<ForwardedZone> forwards;  // a rule of each stands in `rules`, too
  std::vector<AddressException> exceptions;
  std::vector<AddressRange> nat64;  // prefixes of translators (nat64.h)
  std::bitset<65536> types;
  OddNames odd_names = OddNames::refused;
  SingleLabels single_labels = SingleLabels::local;
  PublicSuffixWildcards wildcards = PublicSuffixWildcards::refused;
  bool explains = true;
  bool alert_on_first_query = false;
  Response on_tunnel = Response::block_zone;
  std::string profile = "code";
  std::map<std::string, std::uint64_t> budgets;  // by key, in bits: in place of the profile's
  std::vector<Pattern> exempt;                   // names that their zone's budget does not hold
  Response on_budget = Response::alert;
  Response on_secret = Response::alert;
  Response on_cap = Response::quarantine;
  Mode mode = Mode::enforce;
  bool built_in = false;                  // added by PolicyAssembly
  std::vector<Expectation> expectations;  // not inherited: a policy's settings change what is to be expected
};

// The profile's budgets with the policy's own in their place.
Budgets budgets_of(const PolicySpec& spec);

// `types: any`: all but those that are not questions about data.
void permit_every_type(std::bitset<65536>& types);
bool is_never_asked(Type type) noexcept;

// The hosts entries as records.
std::vector<Record> host_records(const std::vector<HostSpec>& hosts);
// The zones that are forwarded.
std::vector<Name> forwarded_zones(const std::vector<ForwardedZone>& forwards);

// "FILE:3:5 block PATTERN", cut to what rule_text promises.
std::string rule_line(const std::string& place, std::string_view what, std::string_view value);

// Which refusals of a policy are in force: those that it does not merely observe, or all of them.
enum class Force : std::uint8_t { as_written, everything };

// A PolicySpec made ready to be asked. Immutable; any thread.
//
// A policy that observes is two of these: the outer one leaves out what is only observed, and so decides; the
// inner one (`trial_`) enforces everything, and its refusals that the outer one does not share are
// observations. So an observing rule can never change a verdict. Both give the same rules the same ids.
class RulePolicy final : public Policy {
 public:
  RulePolicy(PolicySpec spec, std::shared_ptr<const BuiltinAnswers> builtin, Force force = Force::as_written);

  Verdict decide(const Query& query) const noexcept override;
  Verdict decide_referred(const Query& query) const noexcept override;
  AnswerVerdict inspect(const Query& query, const Answer& answer) const noexcept override;
  std::string_view rule_text(RuleId rule) const noexcept override;
  std::string_view upstream_group(std::uint16_t route) const noexcept override;
  bool explains() const noexcept override { return spec_.explains; }
  bool alert_on_first_query() const noexcept override { return spec_.alert_on_first_query; }
  Response on_tunnel() const noexcept override { return spec_.on_tunnel; }
  const std::string& name() const noexcept override { return spec_.name; }
  std::string_view profile() const noexcept override { return spec_.profile; }
  const Budgets& budgets() const noexcept override { return budgets_; }
  Response on_budget() const noexcept override { return spec_.on_budget; }
  Response on_secret() const noexcept override { return spec_.on_secret; }
  Response on_cap() const noexcept override { return spec_.on_cap; }
  bool is_exempt(const Name& name) const noexcept override;
  std::vector<Name> exact_names() const override;
  Explanation explain(const Query& query) const override;
  PolicyOutline outline() const override;
  const PolicySpec& spec() const noexcept { return spec_; }

 private:
  // What the rules say at one suffix, by the three ways in which a pattern can reach a name.
  struct Voice {
    RuleId rule = 0;  // 0: silent
    bool block = false;
  };
  struct Node {
    Voice exact;                   // for the name itself, from `example.com`
    Voice apex;                    // for the name itself, from `**.example.com`
    Voice below;                   // for the names below, from `*.` and `**.`
    std::uint32_t host = 0;        // index + 1 in hosts_
    std::uint32_t special = 0;     // index + 1 in special_names()
    std::uint32_t zone = 0;        // index + 1 in spec_.zones
    std::uint16_t forward = 0;     // index + 1 in spec_.forwards
    bool allowed_beneath = false;  // a rule or hosts entry allows something strictly below
  };
  // What the table knows of one name.
  struct Findings {
    Voice voice;
    std::size_t voice_depth = 0;  // labels of the winning pattern's base
    bool voice_exact = false;     // it is an exact pattern for this name
    std::uint32_t host = 0;       // index + 1 in hosts_, if local data answers
    std::uint32_t special = 0;    // index + 1 in special_names(): the deepest zone at or above the name
    std::size_t special_depth = 0;
    std::uint32_t zone = 0;  // as special: the deepest local zone, and the deepest one that is forwarded
    std::size_t zone_depth = 0;
    std::uint16_t forward = 0;
    std::size_t forward_depth = 0;
    bool special_apex = false;  // the name is that zone
    bool allowed_beneath = false;
    std::size_t labels = 0;

    // An inline rule takes over from a special name at its zone or below.
    bool rule_speaks() const noexcept { return voice.rule != 0 && voice_depth >= special_depth; }
    // Local data answers, unless a block at its zone or below it ties.
    bool zone_answers() const noexcept {
      const bool blocked = voice.rule != 0 && voice.block && voice_depth >= zone_depth;
      return zone != 0 && zone_depth >= special_depth && zone_depth > forward_depth && !blocked;
    }
  };
  struct HostAnswers {
    Answer v4, v6, no_data;
    RuleId rule = 0;
  };

  bool only_observes(const ListSpec& list) const noexcept {
    return list.observes || (spec_.mode == Mode::observe && !list.request.allows);
  }
  bool only_observes(const RuleSpec& rule) const noexcept {
    return rule.observes || (spec_.mode == Mode::observe && rule.block);
  }
  RuleId add_text(std::string text);
  void add_rule(const RuleSpec& rule);
  void add_host(const HostSpec& host);
  void add_zones();
  void add_forwards();
  Findings look_up(const Name& name) const noexcept;
  Findings look_up_names(const Name& name) const noexcept;
  Verdict enforced(const Query& query) const noexcept;
  Verdict if_form_and_type(const Query& query, Verdict permitted) const noexcept;
  bool open_beneath(const Query& query, const PolicyLists::Voice* heard) const noexcept;
  AnswerVerdict enforced(const Query& query, const Answer& answer) const noexcept;
  Verdict listed(const PolicyLists::Voice& voice, bool allowed_beneath) const noexcept;
  std::vector<SilentRule> silent_rules() const;
  Verdict special_verdict(const Findings& found, Type type) const noexcept;
  bool excepted(const Name& name, const Address& meaning, const Address& written,
                bool metadata) const noexcept;
  RuleId refused_address(const Query& query, const Address& address,
                         PolicyLists::RangeVoice& listed) const noexcept;
  RuleId refused_target(const Name& target, Type type) const noexcept;

  PolicySpec spec_;
  Budgets budgets_;
  // The settings in force: spec_'s, or open ones under `mode: observe`.
  Force force_;
  bool default_block_;
  OddNames odd_names_;
  std::bitset<65536> types_;
  std::unique_ptr<const RulePolicy> trial_;  // null if nothing is observed
  SuffixTable<Node> table_;
  RegexSet regexes_;
  std::vector<Voice> regex_voices_;  // by their index in regexes_
  bool a_regex_allows_ = false;
  PolicyLists lists_;
  std::vector<std::size_t> heard_lists_;  // which of spec_.lists those in lists_ are
  std::vector<std::string> texts_;        // by RuleId; texts_[0] is empty
  std::shared_ptr<const BuiltinAnswers> builtin_;
  std::vector<HostAnswers> hosts_;
  LocalZones zones_;
  RuleId first_special_ = 0, first_class_ = 0;
  RuleId odd_name_ = 0, single_label_ = 0, type_ = 0, malformed_ = 0, default_ = 0, referral_ = 0;
  // Ids of spec_.rules, hosts, lists and zones, in order.
  RuleId first_rule_ = 0, first_host_ = 0, first_list_ = 0, first_zone_ = 0;
};

// Builds policy sets; the only writer of PolicySet's members.
class PolicyAssembly {
 public:
  // Sorted by name; `default` and `deny-all` are added where missing.
  static std::shared_ptr<const PolicySet> assemble(std::vector<PolicySpec> specs);
  // A preset as a policy: its rules and settings, named as it is, without its expectations. It must exist.
  static PolicySpec preset(std::string_view name);
  // Joins what `from` says of names (rules, hosts, zones, forwards, lists, answers) to `to`; settings stay.
  // What `to` has by that name already, stands.
  static void include(const PolicySpec& from, PolicySpec& to);
};

}  // namespace postern

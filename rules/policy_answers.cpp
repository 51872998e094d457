// Policy: answers. Which records of an answer refuse it, whoever asked.
//
// An address is judged by the built-in classes, then by the lists' ranges (rpz-ip); a target only by what
// blocks it explicitly. What a class, a rule or a malformed record refuses comes before what a list says,
// since a list may put records of its own in the answer's place.
#include <algorithm>

#include "rules/nat64.h"
#include "rules/policy.h"
#include "rules/policy_spec.h"
#include "rules/special.h"
#include "rules/svcb.h"

namespace postern {

bool RulePolicy::excepted(const Name& name, const Address& meaning, const Address& written,
                          bool metadata) const noexcept {
  return std::any_of(spec_.exceptions.begin(), spec_.exceptions.end(), [&](const AddressException& one) {
    if (metadata && !one.range.is_one_address()) return false;
    return (one.range.holds(meaning) || one.range.holds(written)) && one.names.matches(name);
  });
}

// The class that refuses `address`, as a rule; 0 if none does. What a list says of it goes to `listed`, if
// that beats what is there.
RuleId RulePolicy::refused_address(const Query& query, const Address& address,
                                   PolicyLists::RangeVoice& listed) const noexcept {
  const auto refused_as = [&](const Address& meaning, bool metadata_only) -> RuleId {
    if (const std::optional<std::size_t> found = address_class(meaning)) {
      const bool metadata = address_classes()[*found].metadata;
      if ((metadata_only && !metadata) || excepted(query.name, meaning, address, metadata)) return 0;
      return first_class_ + static_cast<RuleId>(*found);
    }
    if (metadata_only || lists_.empty()) return 0;
    const PolicyLists::RangeVoice voice = lists_.judge_address(meaning, query.type);
    if (voice.beats(listed) && !excepted(query.name, meaning, address, false)) listed = voice;
    return 0;
  };
  // At a configured prefix it only stands for the IPv4 address inside; were prefixes to overlap, for each.
  bool translated = false;
  for (const AddressRange& prefix : spec_.nat64) {
    if (!prefix.holds(address)) continue;
    translated = true;
    if (const RuleId rule = refused_as(translated_by(prefix, address), false)) return rule;
  }
  if (translated) return refused_as(address, true);
  const Meanings all = meanings(address);
  for (const Address& meaning : all.all())
    if (const RuleId rule = refused_as(meaning, false)) return rule;
  return 0;
}

// The rule or list that explicitly blocks `target`; 0 if none does. Cloud metadata names are blocked
// explicitly, by us.
RuleId RulePolicy::refused_target(const Name& target, Type type) const noexcept {
  const Findings found = look_up(target);
  if (found.rule_speaks()) return found.voice.block ? found.voice.rule : 0;
  if (found.special != 0 && special_names()[found.special - 1].kind == SpecialKind::cloud_metadata)
    return first_special_ + static_cast<RuleId>(found.special - 1);
  if (lists_.empty()) return 0;
  const PolicyLists::Voice list = lists_.judge({target, type});
  return list.speaks && list.action != ListAction::allow ? list.rule : 0;
}

AnswerVerdict RulePolicy::inspect(const Query& query, const Answer& answer) const noexcept {
  AnswerVerdict verdict = enforced(query, answer);
  if (trial_ == nullptr || !verdict.pass) return verdict;
  const AnswerVerdict strict = trial_->enforced(query, answer);
  if (strict.pass) return verdict;
  verdict = strict;
  verdict.pass = true;
  verdict.observed = true;
  verdict.local = nullptr;
  return verdict;
}

AnswerVerdict RulePolicy::enforced(const Query& query, const Answer& answer) const noexcept {
  PolicyLists::RangeVoice listed;  // what lists say of all its addresses; whatever else refuses comes first
  std::size_t listed_record = 0;
  for (std::size_t i = 0; i < answer.answer.size(); ++i) {
    const Record& record = answer.answer[i];
    const std::span<const std::uint8_t> rdata = record.rdata;
    RuleId address = 0, target = 0;
    PolicyLists::RangeVoice here;
    // Some resolvers' clients take every address they are given, so owners are not asked about here.
    const auto judge_v4 = [&](std::span<const std::uint8_t> octets) {
      if (address == 0) address = refused_address(query, Address::from_v4(octets.first<4>()), here);
    };
    const auto judge_v6 = [&](std::span<const std::uint8_t> octets) {
      if (address == 0) address = refused_address(query, Address::from_v6(octets.first<16>()), here);
    };
    switch (record.type) {
      case type::A:
        if (rdata.size() == 4)
          judge_v4(rdata);
        else
          address = malformed_;
        break;
      case type::AAAA:
        if (rdata.size() == 16)
          judge_v6(rdata);
        else
          address = malformed_;
        break;
      case type::CNAME:
      case type::DNAME: {
        const std::optional<Name> name = Name::from_wire(rdata);
        if (name && name->size() == rdata.size())
          target = refused_target(*name, query.type);
        else
          address = malformed_;
        break;
      }
      case type::SVCB:
      case type::HTTPS: {
        const std::optional<ServiceBinding> binding = parse_service_binding(rdata);
        if (!binding) {
          address = malformed_;
          break;
        }
        if (!binding->target.is_root())
          target = refused_target(binding->target, query.type);  // "." is the owner itself
        for (std::size_t at = 0; at < binding->ipv4_hints.size(); at += 4)
          judge_v4(binding->ipv4_hints.subspan(at));
        for (std::size_t at = 0; at < binding->ipv6_hints.size(); at += 16)
          judge_v6(binding->ipv6_hints.subspan(at));
        break;
      }
      default:
        break;
    }
    if (target != 0) return {false, Reason::answer_target, target, i};
    if (address != 0) return {false, Reason::answer_address, address, i};
    if (here.beats(listed)) {
      listed = here;
      listed_record = i;
    }
  }
  if (listed.rule == 0) return {};
  return {false, Reason::answer_address, listed.rule, listed_record, false, listed.local};
}

}  // namespace postern

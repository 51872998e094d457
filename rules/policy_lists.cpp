// What the lists of a policy say together.
#include "rules/policy_lists.h"

#include "rules/list_parts.h"
#include "rules/policy_spec.h"

namespace postern {
namespace {

RuleId rule_of(RuleId first, ListAction action) noexcept {
  return first + static_cast<RuleId>(action);
}

}  // namespace

void PolicyLists::add(const ListSpec& list, RuleId first) {
  uses_.push_back({list.list, list.request.allows, first});
}

PolicyLists::Voice PolicyLists::one(std::size_t index, const Query& query) const noexcept {
  const Use& use = uses_[index];
  const ListFinding found = use.list->judge(query);
  Voice voice;
  // An exception of a list that blocks lifts what the same list blocks; it opens nothing. Its records are
  // answered whoever blocks.
  const bool allows = found.action == ListAction::allow;
  voice.allowed_beneath =
      found.records_beneath || (found.allowed_beneath && (use.allows || (found.spoke && !allows)));
  if (!found.spoke || (allows && !use.allows)) return voice;
  voice.speaks = true;
  voice.action = found.action;
  voice.rule = rule_of(use.first, found.action);
  voice.local = found.local;
  voice.line = found.line;
  voice.rank = (allows ? 1 : 2) + (found.important ? 2 : 0);
  voice.blocks_below = found.scope != Pattern::Scope::exact && !found.allowed_beneath && !allows &&
                       found.action != ListAction::local;
  return voice;
}

PolicyLists::Voice PolicyLists::judge(const Query& query) const noexcept {
  Voice best;
  bool allowed_beneath = false;
  for (std::size_t i = 0; i < uses_.size(); ++i) {
    const Voice voice = one(i, query);
    allowed_beneath |= voice.allowed_beneath;
    if (voice.speaks && voice.rank > best.rank) best = voice;
  }
  best.allowed_beneath = allowed_beneath;
  return best;
}

bool PolicyLists::RangeVoice::beats(const RangeVoice& other) const noexcept {
  if (other.rule == 0) return rule != 0;
  if (rule == 0) return false;
  const auto order = [](const RangeVoice& one) {
    const int mapped_bits = one.range.base.v6 ? 0 : 96;
    return std::tuple(one.list, -(one.range.length + mapped_bits), address_order(one.range.base));
  };
  return order(*this) < order(other);
}

PolicyLists::RangeVoice PolicyLists::judge_address(const Address& address, Type type) const noexcept {
  for (std::size_t i = 0; i < uses_.size(); ++i) {
    const Use& use = uses_[i];
    if (use.allows || !use.list->has_ranges()) continue;
    const RangeFinding found = use.list->judge_address(address, type);
    if (found.range == nullptr || found.action == ListAction::allow) continue;
    return {rule_of(use.first, found.action), found.local, i, found.range->range};
  }
  return {};
}

std::string PolicyLists::text(const ListSpec& list, ListAction action) {
  constexpr std::array<std::string_view, actions> words{"block", "no data", "drop", "allow", "local data"};
  return rule_line(list.place, "list",
                   list.request.file + ": " + std::string(words[static_cast<std::size_t>(action)]));
}

}  // namespace postern

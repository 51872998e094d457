// Referrals: which targets an answer hands out, and how many are remembered.
#include "resolver/path/referrals.h"

#include <algorithm>

#include "rules/svcb.h"

namespace postern {
namespace {

// The target inside the record; nothing for other types and for octets that are no record of their type.
std::optional<Name> target_of(const Record& record) {
  const wire::Octets rdata = record.rdata;
  const auto name_after = [&](std::size_t fixed) -> std::optional<Name> {
    if (rdata.size() <= fixed) return std::nullopt;
    const auto name = Name::from_wire(rdata.subspan(fixed));
    return name && name->size() + fixed == rdata.size() ? name : std::nullopt;
  };
  switch (record.type) {
    case type::MX:
      return name_after(2);  // preference
    case type::SRV:
      return name_after(6);  // priority, weight, port
    case type::SVCB:
    case type::HTTPS: {
      const auto binding = parse_service_binding(rdata);
      return binding ? std::optional<Name>(binding->target) : std::nullopt;
    }
    default:
      return std::nullopt;
  }
}

}  // namespace

std::vector<Name> handed_out(const Answer& answer) {
  std::vector<Name> names;
  for (const Record& record : answer.answer) {
    const auto target = target_of(record);
    // "." says "none" or "the owner itself"; a name of one label is local, whoever hands it out.
    if (!target || target->labels() < 2) continue;
    if (std::find(names.begin(), names.end(), *target) != names.end()) continue;
    if (names.size() == Referrals::max_of_answer) break;
    names.push_back(*target);
  }
  return names;
}

void Referrals::note(const Name& name, Instant until, Instant now) {
  if (const auto known = until_.find(name); known != until_.end()) {
    known->second = std::max(known->second, until);
    return;
  }
  if (until_.size() >= max_names) {
    std::erase_if(until_, [&](const auto& one) { return one.second <= now; });
    const auto first_to_end = std::min_element(
        until_.begin(), until_.end(), [](const auto& a, const auto& b) { return a.second < b.second; });
    if (until_.size() >= max_names) until_.erase(first_to_end);
  }
  until_.emplace(name, until);
}

bool Referrals::holds(const Name& name, Instant now) const {
  if (until_.empty()) return false;
  const auto known = until_.find(name);
  return known != until_.end() && known->second > now;
}

}  // namespace postern

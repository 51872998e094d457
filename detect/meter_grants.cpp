// The meter's grants: what an operator has given a zone stays with its name, whether or not its ledger is
// open yet.
#include <algorithm>

#include "detect/meter.h"

namespace postern {

bool SessionMeter::grant_zone(const Name& zone, const Name& parent, std::uint64_t octets) {
  const std::string_view zone_wire = NameTable::octets(zone), parent_wire = NameTable::octets(parent);
  if (!has_room_for_grant(zone, parent)) return false;
  const auto more = [&](std::uint64_t& sum) {
    sum = octets > Budgets::unlimited - sum ? Budgets::unlimited : sum + octets;
  };
  more(granted_[std::string(zone_wire)].zone);
  more(granted_[std::string(parent_wire)].parent);
  if (const auto id = zones_.find(zone_wire)) {
    zone_entries_[*id].unlisted.grant(octets);
    zone_entries_[*id].all.grant(octets);
  }
  if (const auto id = parents_.find(parent_wire)) parent_entries_[*id].ledger.grant(octets);
  return true;
}

bool SessionMeter::has_room_for_grant(const Name& zone, const Name& parent) const {
  const std::string zone_wire(NameTable::octets(zone)), parent_wire(NameTable::octets(parent));
  std::size_t fresh = !granted_.contains(zone_wire);
  fresh += parent_wire != zone_wire && !granted_.contains(parent_wire);
  return granted_.size() + fresh <= max_granted;
}

SessionMeter::Granted SessionMeter::granted_to(std::string_view wire) const {
  if (granted_.empty()) return {};
  const auto at = granted_.find(wire);
  return at == granted_.end() ? Granted{} : at->second;
}

SessionMeter::ZoneEntry SessionMeter::new_zone(std::string_view wire) const {
  ZoneEntry entry;
  entry.unlisted = opened(zone_budget(wire));
  entry.all = opened(std::max(zone_budget(wire), budgets_.known_zone));
  const std::uint64_t granted = granted_to(wire).zone;
  entry.unlisted.grant(granted);
  entry.all.grant(granted);
  return entry;
}

// A parent that appears because a zone below it does has counted what its own name's zone has told already.
SessionMeter::ParentEntry SessionMeter::new_parent(const Sight& sight) const {
  ParentEntry entry{opened(budgets_.parent), 0, 0};
  if (const auto same = zones_.find(sight.parent)) {
    const ZoneEntry& zone = zone_entries_[*same];
    if (zone.unlisted_names > 0) {
      entry.ledger = Ledger(budgets_.parent);
      entry.ledger.charge(zone.unlisted.used());
      entry.names = zone.unlisted_names;
      entry.zones = 1;
    }
  }
  entry.ledger.grant(granted_to(sight.parent).parent);
  return entry;
}

std::vector<SessionMeter::ZoneUse> SessionMeter::zones() const {
  std::vector<ZoneUse> uses;
  const auto add = [&](std::string_view wire, bool is_parent, const Ledger& ledger, std::uint32_t names) {
    uses.push_back({*Name::from_wire({reinterpret_cast<const std::uint8_t*>(wire.data()), wire.size()}),
                    is_parent, static_cast<double>(ledger.used()) / 1000,
                    static_cast<double>(ledger.limit()) / 1000, names});
  };
  for (NameTable::Id id = 0; id < zone_entries_.size(); ++id) {
    const ZoneEntry& entry = zone_entries_[id];
    const bool listed_only =
        entry.names > 0 && entry.unlisted_names == 0;  // then only the roomier account counts
    add(zones_.at(id), false, listed_only ? entry.all : entry.unlisted, entry.names);
  }
  for (NameTable::Id id = 0; id < parent_entries_.size(); ++id)
    add(parents_.at(id), true, parent_entries_[id].ledger, parent_entries_[id].names);
  for (const auto& [wire, granted] : granted_)
    if (granted.zone > 0 && !zones_.find(wire)) add(wire, false, new_zone(wire).unlisted, 0);
  return uses;
}

}  // namespace postern

// LocalZones: building the nodes and every answer, and finding one.
#include "rules/local_zone.h"

#include <algorithm>
#include <set>

#include "rules/quote.h"
#include "rules/special.h"

namespace postern {
namespace {

constexpr Type no_type = 0;  // reserved: no record has it

bool is_asterisk(const Name& name) {
  return name.first_label() == "*";
}

const Record* alias_of(const std::vector<Record>& records) {
  const auto found = std::find_if(records.begin(), records.end(),
                                  [](const Record& record) { return record.type == type::CNAME; });
  return found == records.end() ? nullptr : &*found;
}

Name target_of_alias(const Record& alias) {
  const std::optional<Name> target = Name::from_wire(alias.rdata);
  POSTERN_CHECK(target.has_value());  // parse_zone_record made it
  return *target;
}

// The deepest of `names` that is at or above `name`.
template <class Items, class NameOf>
std::optional<std::size_t> deepest(const Items& items, const Name& name, NameOf name_of) {
  std::optional<std::size_t> found;
  for (std::size_t i = 0; i < items.size(); ++i)
    if (name.at_or_below(name_of(items[i])) &&
        (!found || name_of(items[i]).labels() > name_of(items[*found]).labels()))
      found = i;
  return found;
}

}  // namespace

LocalZones::LocalZones(std::span<const ZoneSpec> zones, std::span<const Record> hosts,
                       std::span<const Name> elsewhere) {
  for (const ZoneSpec& spec : zones) {
    const SpecialAnswers negative(spec.apex);
    zones_.push_back({spec.apex, negative.absent, negative.no_data});
  }
  std::set<Type> types;
  const auto add = [&](const Record& record) {
    const std::optional<std::uint32_t> zone = zone_of(record.owner);
    if (!zone) return;  // a hosts entry outside
    nodes_[add_node(record.owner, *zone)].records.push_back(record);
    if (record.type != type::CNAME) types.insert(record.type);
  };
  for (const ZoneSpec& spec : zones) {
    add(local_soa(spec.apex));
    for (const Record& record : spec.records) add(record);
  }
  for (const Record& record : hosts) add(record);
  for (const Name& name : elsewhere)
    if (const std::optional<std::uint32_t> zone = zone_of(name)) add_node(name, *zone);
  // What is above a deeper zone exists in the zone above it.
  for (const ZoneSpec& spec : zones)
    if (const std::optional<std::uint32_t> above = zone_of(spec.apex.parent()))
      add_node(spec.apex.parent(), *above);

  for (Node& node : nodes_) {
    // One TTL for the records of a type: the least (RFC 2181 section 5.2).
    for (Record& record : node.records)
      for (const Record& other : node.records)
        if (other.type == record.type) record.ttl = std::min(record.ttl, other.ttl);
  }
  for (const auto& [name, at] : index_) {
    Node& node = nodes_[at];
    const Name owner = node.is_wildcard ? Name{} : name;
    const bool is_alias = alias_of(node.records) != nullptr;
    std::set<Type> present;
    for (const Record& record : node.records) present.insert(record.type);
    if (is_alias) present.insert(types.begin(), types.end());
    for (const Type type : present) {
      Answer answer;
      collect(node, owner, type, 0, answer);
      node.answers.emplace_back(type, std::move(answer));
    }
    collect(node, owner, no_type, 0, node.other);
    for (Record record : node.records) {
      record.owner = owner;
      node.all.answer.push_back(std::move(record));
    }
    if (node.records.empty()) node.all = node.other;
  }
}

// With all names between it and its zone: they exist, too (RFC 8020, RFC 4592 section 2.2.2).
std::uint32_t LocalZones::add_node(const Name& name, std::uint32_t zone) {
  const auto [at, is_new] = index_.try_emplace(name, static_cast<std::uint32_t>(nodes_.size()));
  const std::uint32_t index = at->second;
  if (!is_new) return index;
  nodes_.emplace_back();
  nodes_.back().zone = zone;
  nodes_.back().is_wildcard = is_asterisk(name);
  if (name == zones_[zone].apex) return index;
  const std::uint32_t parent = add_node(name.parent(), zone);
  if (nodes_[index].is_wildcard) nodes_[parent].wildcard = index + 1;
  return index;
}

std::optional<std::uint32_t> LocalZones::zone_of(const Name& name) const {
  const auto found = deepest(zones_, name, [](const Zone& zone) -> const Name& { return zone.apex; });
  return found ? std::optional(static_cast<std::uint32_t>(*found)) : std::nullopt;
}

// The node that speaks for a name of the zone: its own, or the wildcard of the closest name above that
// exists.
const LocalZones::Node* LocalZones::find(std::uint32_t zone, const Name& name) const noexcept {
  Name at = name;
  for (std::size_t above = name.labels() - zones_[zone].apex.labels(); above > 0; --above, at = at.parent()) {
    const auto found = index_.find(at);
    if (found == index_.end()) continue;
    const Node& node = nodes_[found->second];
    if (at == name) return &node;
    return node.wildcard != 0 ? &nodes_[node.wildcard - 1] : nullptr;
  }
  const Node& apex = nodes_[index_.find(zones_[zone].apex)->second];
  if (name == zones_[zone].apex) return &apex;
  return apex.wildcard != 0 ? &nodes_[apex.wildcard - 1] : nullptr;
}

// Appends what `node` says of `type`, as records of `owner`, and what its CNAME leads to.
void LocalZones::collect(const Node& node, const Name& owner, Type type, std::size_t steps,
                         Answer& out) const {
  bool found = false;
  for (const Record& record : node.records) {
    if (record.type != type) continue;
    found = true;
    out.answer.push_back(record);
    out.answer.back().owner = owner;
  }
  if (found) return;
  const Record* alias = alias_of(node.records);
  const Zone* end = &zones_[node.zone];
  if (alias != nullptr) {
    out.answer.push_back(*alias);
    out.answer.back().owner = owner;
    const Name target = target_of_alias(*alias);
    const std::optional<std::uint32_t> zone = zone_of(target);
    POSTERN_CHECK(zone && steps < max_alias_steps);  // `fault` has looked
    end = &zones_[*zone];
    if (const Node* next = find(*zone, target)) return collect(*next, target, type, steps + 1, out);
    out.rcode = end->absent.rcode;  // the last name's (RFC 6604)
  }
  out.authority = end->no_data.authority;
}

const Answer& LocalZones::answer(std::size_t index, const Query& query) const noexcept {
  const Node* node = find(static_cast<std::uint32_t>(index), query.name);
  if (node == nullptr) return zones_[index].absent;
  for (const auto& [type, answer] : node->answers)
    if (type == query.type) return answer;
  return query.type == type::ANY ? node->all : node->other;
}

std::optional<std::string> LocalZones::fault(std::span<const ZoneSpec> zones, std::span<const Record> hosts,
                                             std::span<const Name> elsewhere) {
  const auto apex_of = [](const ZoneSpec& zone) -> const Name& { return zone.apex; };
  const auto itself = [](const Name& name) -> const Name& { return name; };
  // Why nothing local answers for `name`; nothing if something does.
  const auto strange = [&](const Name& name) -> std::optional<std::string> {
    const auto zone = deepest(zones, name, apex_of);
    if (!zone) return "which is in none of the policy's zones, and nobody would follow it there";
    const auto other = deepest(elsewhere, name, itself);
    if (other && elsewhere[*other].labels() >= zones[*zone].apex.labels())
      return "which is forwarded as " + elsewhere[*other].text();
    return std::nullopt;
  };
  std::map<std::string, std::vector<const Record*>> owners;
  std::map<std::string, Name> aliases;
  for (std::size_t i = 0; i < zones.size(); ++i) {
    const std::string in_zone = "zone " + quoted(zones[i].apex.text()) + ": ";
    for (const Record& record : zones[i].records) {
      const std::string what = in_zone + type_text(record.type) + " record of " + quoted(record.owner.text());
      if (deepest(zones, record.owner, apex_of) != i) return what + " lies in a deeper zone of the policy";
      if (const auto why = strange(record.owner)) return what + " has an owner " + *why;
      if (record.type == type::NS && record.owner != zones[i].apex)
        return what + ": a part of the zone is not delegated but forwarded (forward:)";
      owners[record.owner.text()].push_back(&record);
      if (record.type != type::CNAME) continue;
      if (record.owner == zones[i].apex) return what + ": a zone's own name holds its SOA, so it is no alias";
      const Name target = target_of_alias(record);
      if (const auto why = strange(target)) return what + " leads to " + quoted(target.text()) + ", " + *why;
      aliases[record.owner.text()] = target;
    }
  }
  for (const Record& host : hosts) owners[host.owner.text()].push_back(&host);
  for (const auto& [owner, records] : owners)
    if (records.size() > 1 && aliases.contains(owner))
      return "CNAME record of " + quoted(owner) + " stands beside other records (RFC 1034 section 3.6.2)";
  // A chain may also go through wildcards; the slow way is to walk it.
  LocalZones trial;
  for (const ZoneSpec& spec : zones) trial.zones_.push_back({spec.apex, {}, {}});
  for (const ZoneSpec& spec : zones) {
    trial.add_node(spec.apex, *trial.zone_of(spec.apex));
    for (const Record& record : spec.records)
      trial.nodes_[trial.add_node(record.owner, *trial.zone_of(record.owner))].records.push_back(record);
  }
  for (const Record& host : hosts)
    if (const auto zone = trial.zone_of(host.owner)) trial.add_node(host.owner, *zone);
  for (const ZoneSpec& spec : zones)
    if (const auto above = trial.zone_of(spec.apex.parent())) trial.add_node(spec.apex.parent(), *above);
  for (const auto& [owner, first] : aliases) {
    Name at = first;
    for (std::size_t step = 1;; ++step) {
      const Node* node = trial.find(*trial.zone_of(at), at);
      const Record* alias = node != nullptr ? alias_of(node->records) : nullptr;
      if (alias == nullptr) break;
      if (step >= max_alias_steps)
        return "CNAME record of " + quoted(owner) + " goes round in a circle, or over more than " +
               std::to_string(max_alias_steps) + " aliases";
      at = target_of_alias(*alias);
    }
  }
  return std::nullopt;
}

}  // namespace postern

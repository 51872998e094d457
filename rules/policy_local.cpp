// Policy: what it answers by itself (hosts and zones), and which zones have upstreams of their own.
#include <algorithm>
#include <unordered_set>

#include "rules/policy_spec.h"
#include "rules/quote.h"

namespace postern {

std::string_view response_text(Response response) noexcept {
  constexpr std::string_view texts[] = {"alert", "block-zone", "quarantine", "freeze", "kill"};
  return texts[static_cast<std::size_t>(response)];
}

bool is_policy_word(std::string_view text) noexcept {
  constexpr std::size_t longest = 64;
  return !text.empty() && text.size() <= longest && std::all_of(text.begin(), text.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_' || c == '.';
  });
}

std::vector<Record> host_records(const std::vector<HostSpec>& hosts) {
  std::vector<Record> records;
  for (const HostSpec& host : hosts) {
    for (const Address& address : host.addresses) {
      const std::array<std::uint8_t, 16> octets = address.octets();
      const std::size_t size = address.v6 ? 16 : 4;
      records.push_back({host.name,
                         address.v6 ? type::AAAA : type::A,
                         local_ttl,
                         {octets.begin(), octets.begin() + static_cast<std::ptrdiff_t>(size)}});
    }
  }
  return records;
}

std::vector<Name> forwarded_zones(const std::vector<ForwardedZone>& forwards) {
  std::vector<Name> zones;
  for (const ForwardedZone& forward : forwards) zones.push_back(forward.zone);
  return zones;
}

void RulePolicy::add_host(const HostSpec& host) {
  HostAnswers answers;
  for (Record& record : host_records({host}))
    (record.type == type::A ? answers.v4 : answers.v6).answer.push_back(std::move(record));
  answers.no_data.authority.push_back(local_soa(host.name));
  answers.rule = add_text(host.text);
  hosts_.push_back(std::move(answers));
  Node& node = table_.insert(host.name, [](Node& above) { above.allowed_beneath = true; });
  node.host = static_cast<std::uint32_t>(hosts_.size());
}

void RulePolicy::add_zones() {
  if (spec_.zones.empty()) return;
  zones_ = LocalZones(spec_.zones, host_records(spec_.hosts), forwarded_zones(spec_.forwards));
  const auto exists_below = [](Node& above) { above.allowed_beneath = true; };
  for (std::size_t i = 0; i < spec_.zones.size(); ++i) {
    const ZoneSpec& zone = spec_.zones[i];
    add_text(zone.text);
    table_.insert(zone.apex, exists_below).zone = static_cast<std::uint32_t>(i + 1);
    for (const Record& record : zone.records) table_.insert(record.owner, exists_below);
  }
}

// Only where to ask; that it may be asked is said by their rules.
void RulePolicy::add_forwards() {
  for (std::size_t i = 0; i < spec_.forwards.size(); ++i)
    table_.insert(spec_.forwards[i].zone).forward = static_cast<std::uint16_t>(i + 1);
}

std::string_view RulePolicy::upstream_group(std::uint16_t route) const noexcept {
  const std::size_t index = route - std::size_t{1};  // 0 becomes none
  return index < spec_.forwards.size() ? std::string_view(spec_.forwards[index].group) : std::string_view{};
}

void PolicyAssembly::include(const PolicySpec& from, PolicySpec& to) {
  const auto has = [](const auto& items, const auto& same) {
    return std::find_if(items.begin(), items.end(), same) != items.end();
  };
  const bool is_known = has(to.included, [&](const std::string& one) { return one == from.name; });
  if (is_known) return;
  to.included.push_back(from.name);
  for (const std::string& name : from.included)
    if (!has(to.included, [&](const std::string& one) { return one == name; })) to.included.push_back(name);
  for (const RuleSpec& rule : from.rules) {
    const auto same_zone = [&](const ForwardedZone& one) { return one.zone == rule.pattern.base; };
    if (!(rule.forwards && has(to.forwards, same_zone))) to.rules.push_back(rule);
  }
  for (const ForwardedZone& forward : from.forwards)
    if (!has(to.forwards, [&](const ForwardedZone& one) { return one.zone == forward.zone; }))
      to.forwards.push_back(forward);
  std::unordered_set<Name, NameHash> hosts;  // there may be 100,000
  for (const HostSpec& host : to.hosts) hosts.insert(host.name);
  for (const HostSpec& host : from.hosts)
    if (!hosts.contains(host.name)) to.hosts.push_back(host);
  for (const ZoneSpec& zone : from.zones)
    if (!has(to.zones, [&](const ZoneSpec& one) { return one.apex == zone.apex; })) to.zones.push_back(zone);
  to.lists.insert(to.lists.end(), from.lists.begin(), from.lists.end());
  to.exceptions.insert(to.exceptions.end(), from.exceptions.begin(), from.exceptions.end());
  to.nat64.insert(to.nat64.end(), from.nat64.begin(), from.nat64.end());
}

Result<void> check_upstream_groups(const PolicySet& policies, const std::vector<std::string>& groups) {
  std::string known;
  for (const std::string& group : groups) known += (known.empty() ? "" : ", ") + group;
  for (const std::string& name : policies.names())
    for (const ForwardedZone& forward : policies.find(name)->outline().forwards)
      if (std::find(groups.begin(), groups.end(), forward.group) == groups.end())
        return failure(
            forward.place + ": " + quoted(forward.zone.text()) + " is forwarded to the upstream group " +
            quoted(forward.group) + ", " +
            (known.empty() ? "but none is configured" : "which is not configured; known are " + known));
  return {};
}

}  // namespace postern

// The zones of a policy file: local data (`zones`) and zones that are asked elsewhere (`forward`).
#include "rules/policy_yaml_zones.h"

#include <algorithm>

#include "rules/policy_spec.h"
#include "rules/quote.h"
#include "rules/zone_record.h"

namespace postern {
namespace {

constexpr std::size_t max_zones = 256;       // per policy: each record is held against each of them at load
constexpr std::size_t max_records = 10'000;  // of all zones of a policy: each costs about 1 KiB
constexpr std::size_t max_forwards = 256;    // per policy; more zones than that have a common parent

// One name for a key of `zones` or `forward`.
Result<Name> read_zone_name(const YamlComplaint& file, const YamlNode& key, const char* what) {
  const Result<Pattern> pattern = Pattern::parse(key.text);
  if (!pattern) return file.at(key, pattern.error().message);
  if (pattern->scope != Pattern::Scope::exact)
    return file.at(
        key, std::string(what) + " is a name and all below it, here is the pattern " + quoted(key.text));
  if (pattern->base.is_root()) return file.at(key, "the root cannot be " + std::string(what));
  return pattern->base;
}

}  // namespace

Result<void> read_zones(const YamlComplaint& file, const YamlNode& value, PolicySpec& spec) {
  if (value.kind != YamlNode::Kind::map) return file.wrong_kind(value, "zones", YamlNode::Kind::map);
  std::size_t records = 0;
  const std::size_t inherited = spec.zones.size();
  for (std::size_t i = 0; i < value.items.size(); i += 2) {
    const YamlNode& key = value.items[i];
    const YamlNode& list = value.items[i + 1];
    const Result<Name> apex = read_zone_name(file, key, "a zone");
    if (!apex) return tl::unexpected(apex.error());
    if (list.kind != YamlNode::Kind::sequence)
      return file.wrong_kind(list, "zone " + apex->text(), YamlNode::Kind::sequence);
    ZoneSpec zone{*apex, {}, rule_line(file.place(key), "zone", apex->text())};
    for (const YamlNode& item : list.items) {
      if (item.kind != YamlNode::Kind::scalar)
        return file.wrong_kind(item, "a record", YamlNode::Kind::scalar);
      Result<Record> record = parse_zone_record(item.text, *apex);
      if (!record) return file.at(item, record.error().message);
      if (++records > max_records)
        return file.at(item,
                       "the zones of a policy hold at most " + std::to_string(max_records) + " records");
      zone.records.push_back(std::move(*record));
    }
    const auto known = std::find_if(spec.zones.begin(), spec.zones.end(),
                                    [&](const ZoneSpec& one) { return one.apex == *apex; });
    if (known == spec.zones.end()) {
      if (spec.zones.size() >= max_zones)
        return file.at(key, "a policy holds at most " + std::to_string(max_zones) + " zones");
      spec.zones.push_back(std::move(zone));
    } else if (static_cast<std::size_t>(known - spec.zones.begin()) < inherited) {
      *known = std::move(zone);  // what is extended gives way
    } else {
      return file.at(key, "duplicate zone " + quoted(key.text));
    }
  }
  return {};
}

Result<void> read_forwards(const YamlComplaint& file, const YamlNode& value, PolicySpec& spec) {
  if (value.kind != YamlNode::Kind::map) return file.wrong_kind(value, "forward", YamlNode::Kind::map);
  const std::size_t inherited = spec.forwards.size();
  for (std::size_t i = 0; i < value.items.size(); i += 2) {
    const YamlNode& key = value.items[i];
    const YamlNode& group = value.items[i + 1];
    const Result<Name> zone = read_zone_name(file, key, "a forwarded zone");
    if (!zone) return tl::unexpected(zone.error());
    if (group.kind != YamlNode::Kind::scalar)
      return file.wrong_kind(group, "a group of upstreams", YamlNode::Kind::scalar);
    if (!is_policy_word(group.text))
      return file.at(
          group, "a group of upstreams has 1 to 64 letters, digits, hyphens, underscores and dots, here is " +
                     quoted(group.text));
    ForwardedZone forward{*zone, group.text, file.place(group)};
    RuleSpec rule;
    rule.pattern = {Pattern::Scope::at_or_below, *zone};
    rule.block = false;
    rule.forwards = true;
    rule.text = rule_line(file.place(key), "forward", zone->text() + " to " + group.text);
    const auto same_zone = [&](const auto& one) { return one.zone == *zone; };
    if (const auto known = std::find_if(spec.forwards.begin(), spec.forwards.end(), same_zone);
        known != spec.forwards.end()) {
      if (static_cast<std::size_t>(known - spec.forwards.begin()) >= inherited)
        return file.at(key, "duplicate forwarded zone " + quoted(key.text));
      *known = std::move(forward);  // what is extended gives way
      const auto old = std::find_if(spec.rules.begin(), spec.rules.end(), [&](const RuleSpec& one) {
        return one.forwards && one.pattern.base == *zone;
      });
      *old = std::move(rule);
      continue;
    }
    if (spec.forwards.size() >= max_forwards)
      return file.at(key, "a policy holds at most " + std::to_string(max_forwards) + " forwarded zones");
    spec.forwards.push_back(std::move(forward));
    spec.rules.push_back(std::move(rule));
  }
  return {};
}

Result<void> check_zones(const YamlComplaint& file, const YamlNode& policy, const PolicySpec& spec) {
  std::size_t records = 0;  // also those that `include` took in
  for (const ZoneSpec& zone : spec.zones) records += zone.records.size();
  if (records > max_records)
    return file.at(policy, "the zones of a policy hold at most " + std::to_string(max_records) + " records");
  if (spec.zones.size() > max_zones)
    return file.at(policy, "a policy holds at most " + std::to_string(max_zones) + " zones");
  if (spec.forwards.size() > max_forwards)
    return file.at(policy, "a policy holds at most " + std::to_string(max_forwards) + " forwarded zones");
  for (const ForwardedZone& forward : spec.forwards)
    for (const ZoneSpec& zone : spec.zones)
      if (zone.apex == forward.zone)
        return failure(forward.place + ": " + quoted(zone.apex.text()) +
                       " is a zone of the policy (zones:), so it cannot be forwarded");
  if (spec.zones.empty()) return {};
  const auto fault = LocalZones::fault(spec.zones, host_records(spec.hosts), forwarded_zones(spec.forwards));
  if (!fault) return {};
  const YamlNode* zones = YamlComplaint::get(policy, "zones");
  return file.at(zones != nullptr ? *zones : policy, *fault);
}

}  // namespace postern

// What a policy file says of answers: exceptions for internal addresses, and prefixes of translators.
#include "rules/policy_yaml_answers.h"

#include "rules/nat64.h"
#include "rules/policy_spec.h"

namespace postern {
namespace {

constexpr std::size_t max_exceptions =
    1'000;                             // per policy: they are searched one by one for each refused address
constexpr std::size_t max_nat64 = 16;  // per policy: each address of an answer is held against each of them

Result<AddressRange> read_range(const YamlComplaint& file, const YamlNode& value) {
  if (value.kind != YamlNode::Kind::scalar)
    return file.wrong_kind(value, "an address range", YamlNode::Kind::scalar);
  Result<AddressRange> range = AddressRange::parse(value.text);
  if (!range) return file.at(value, range.error().message);
  return range;
}

tl::unexpected<Error> too_many_prefixes(const YamlComplaint& file, const YamlNode& where) {
  return file.at(where, "a policy holds at most " + std::to_string(max_nat64) + " NAT64 prefixes");
}
tl::unexpected<Error> too_many_exceptions(const YamlComplaint& file, const YamlNode& where) {
  return file.at(where, "a policy holds at most " + std::to_string(max_exceptions) + " answer exceptions");
}

Result<void> read_nat64(const YamlComplaint& file, const YamlNode& value, PolicySpec& spec) {
  if (value.kind != YamlNode::Kind::sequence)
    return file.wrong_kind(value, "answers: nat64", YamlNode::Kind::sequence);
  for (const YamlNode& item : value.items) {
    if (item.kind != YamlNode::Kind::scalar)
      return file.wrong_kind(item, "a NAT64 prefix", YamlNode::Kind::scalar);
    const Result<AddressRange> prefix = parse_nat64_prefix(item.text);
    if (!prefix) return file.at(item, prefix.error().message);
    if (spec.nat64.size() >= max_nat64) return too_many_prefixes(file, item);
    spec.nat64.push_back(*prefix);
  }
  return {};
}

}  // namespace

Result<void> check_answers(const YamlComplaint& file, const YamlNode& included, const PolicySpec& spec) {
  if (spec.nat64.size() > max_nat64) return too_many_prefixes(file, included);
  if (spec.exceptions.size() > max_exceptions) return too_many_exceptions(file, included);
  return {};
}

Result<void> read_answers(const YamlComplaint& file, const YamlNode& value, PolicySpec& spec) {
  if (value.kind != YamlNode::Kind::map) return file.wrong_kind(value, "answers", YamlNode::Kind::map);
  for (std::size_t i = 0; i < value.items.size(); i += 2)
    if (value.items[i].text != "allow" && value.items[i].text != "nat64")
      return file.unknown_key(value.items[i], "in answers; known are allow and nat64");
  if (const YamlNode* nat64 = YamlComplaint::get(value, "nat64"))
    if (const auto ok = read_nat64(file, *nat64, spec); !ok) return ok;
  const YamlNode* allow = YamlComplaint::get(value, "allow");
  if (allow == nullptr) return {};
  if (allow->kind != YamlNode::Kind::sequence)
    return file.wrong_kind(*allow, "answers: allow", YamlNode::Kind::sequence);
  for (const YamlNode& item : allow->items) {
    if (spec.exceptions.size() >= max_exceptions) return too_many_exceptions(file, item);
    AddressException exception;
    exception.names = {Pattern::Scope::at_or_below, Name{}};  // every name
    const YamlNode* range_node = &item;
    if (item.kind == YamlNode::Kind::map) {
      for (std::size_t i = 0; i < item.items.size(); i += 2)
        if (item.items[i].text != "name" && item.items[i].text != "range")
          return file.unknown_key(item.items[i], "in an answer exception; known are name and range");
      const YamlNode* name = YamlComplaint::get(item, "name");
      range_node = YamlComplaint::get(item, "range");
      if (name == nullptr || range_node == nullptr)
        return file.at(item, "an answer exception has a name and a range");
      if (name->kind != YamlNode::Kind::scalar)
        return file.wrong_kind(*name, "a pattern", YamlNode::Kind::scalar);
      const Result<Pattern> pattern = Pattern::parse(name->text, spec.wildcards);
      if (!pattern) return file.at(*name, pattern.error().message);
      exception.names = *pattern;
    }
    const Result<AddressRange> range = read_range(file, *range_node);
    if (!range) return tl::unexpected(range.error());
    exception.range = *range;
    spec.exceptions.push_back(std::move(exception));
  }
  return {};
}

}  // namespace postern

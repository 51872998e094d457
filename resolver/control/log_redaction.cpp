// What a redacted record still tells: public parts of names, and rules by the forms that their texts have.
#include "resolver/control/log_redaction.h"

#include <algorithm>
#include <array>
#include <optional>

#include "rules/name.h"
#include "rules/public_suffix.h"
#include "rules/special.h"

namespace postern {
namespace {

constexpr std::string_view left_out = "(left out)";

bool take_word(std::string_view& text, std::string_view word) {
  if (!text.starts_with(word)) return false;
  text.remove_prefix(word.size());
  return true;
}

bool take_number(std::string_view& text) {
  const std::size_t size = std::min(text.find_first_not_of("0123456789"), text.size());
  text.remove_prefix(size);
  return size > 0;
}

// Is all that a pattern says public: does `domain` lie at or below what it is a pattern of?
bool is_public(std::string_view pattern, std::string_view domain) {
  if (pattern == "*" || pattern == "**") return true;
  if (!take_word(pattern, "**.")) take_word(pattern, "*.");
  return !pattern.empty() && domain.ends_with(pattern) &&
         (domain.size() == pattern.size() || domain[domain.size() - pattern.size() - 1] == '.');
}

// "FILE:3:5 VERB VALUE", as rule_line makes it.
struct Placed {
  std::string_view file, position, verb, value;
};

// The first that reads so: what a pattern says stands behind it, and cannot be taken for a file.
std::optional<Placed> placed(std::string_view rule) {
  constexpr std::array<std::string_view, 8> verbs{"block", "allow",   "observe", "hosts",
                                                  "zone",  "forward", "list",    "default"};
  for (std::size_t at = rule.find(':'); at != rule.npos; at = rule.find(':', at + 1)) {
    std::string_view rest = rule.substr(at + 1);
    if (!take_number(rest)) continue;
    if (rest.starts_with(':')) rest.remove_prefix(1), take_number(rest);
    const std::string_view position = rule.substr(at + 1, rule.size() - at - 1 - rest.size());
    if (!take_word(rest, " ")) continue;
    const std::string_view verb = rest.substr(0, rest.find(' '));
    if (std::find(verbs.begin(), verbs.end(), verb) == verbs.end()) continue;
    rest.remove_prefix(std::min(verb.size() + 1, rest.size()));
    return Placed{rule.substr(0, at), position, verb, rest};
  }
  return std::nullopt;
}

// What a list does with a name, behind its file: ": no data". Empty: it is cut.
std::string_view list_action(std::string_view value) {
  const std::size_t at = value.rfind(": ");
  if (at == value.npos) return {};
  constexpr std::array<std::string_view, 5> words{"block", "no data", "drop", "allow", "local data"};
  const bool known = std::find(words.begin(), words.end(), value.substr(at + 2)) != words.end();
  return known ? value.substr(at) : std::string_view();
}

std::string redacted(const Placed& rule, const std::string& domain, Redaction level) {
  const bool shows_file = level != Redaction::all || rule.file.starts_with("preset ");
  std::string out = shows_file ? std::string(rule.file) + ":" : "line ";
  out += std::string(rule.position) + " " + std::string(rule.verb);
  if (rule.verb == "list") {
    const std::string_view action = list_action(rule.value);
    if (level == Redaction::all) return out += action;
    return action.empty() ? out : out + " " + std::string(rule.value);
  }
  if (rule.verb == "default")
    return rule.value == "block" || rule.value == "allow" ? out + " " + std::string(rule.value) : out;
  const std::size_t space =
      rule.verb == "forward" ? rule.value.find(' ') : rule.value.npos;  // "ZONE to GROUP"
  if (is_public(rule.value.substr(0, space), domain)) return out + " " + std::string(rule.value);
  return space == rule.value.npos ? out : out + std::string(rule.value.substr(space));
}

// "special name **.onion (RFC 7686)", "special name: 100.64.0.0/10, reversed (RFC 7793)". What stands in
// parentheses may name the zone too, so only RFCs stay.
std::string redacted_special(std::string_view rule, std::string_view kind, const std::string& domain) {
  std::string_view rest = rule.substr(kind.size());
  if (take_word(rest, " ") && is_public(rest.substr(0, rest.find(' ')), domain)) return std::string(rule);
  const std::size_t source = rule.find(" (RFC ");
  return std::string(kind) + (source == rule.npos ? "" : std::string(rule.substr(source)));
}

}  // namespace

std::string public_domain(const std::string& registered_domain) {
  const auto name = Name::parse(registered_domain);
  if (!name || name->is_root()) return "";
  if (SuffixList::builtin()->ledger_cut(*name).zone > 0) return registered_domain;
  const std::string top = name->suffix(1).text();
  for (const SpecialName& special : special_names())
    if (special.zone == top) return top;
  return "";
}

std::string below_hidden(const std::string& name, const std::string& domain) {
  return name == domain || name == "." ? name : "*." + domain;
}

std::string redacted_rule(std::string_view rule, const std::string& domain, Redaction level) {
  if (level == Redaction::none || rule.empty()) return std::string(rule);
  if (std::string_view rest = rule; take_word(rest, "would block: "))
    return "would block: " + redacted_rule(rest, domain, level);
  for (const std::string_view kind : {"special name", "internal name", "cloud metadata name"})
    if (rule.starts_with(kind)) return redacted_special(rule, kind, domain);
  if (rule.starts_with("answer address is ")) return std::string(rule.substr(0, rule.find(": ")));
  if (std::string_view rest = rule; take_word(rest, "command line: "))
    return "command line: " + std::string(rest.substr(0, rest.find(' ')));
  if (const auto found = placed(rule)) return redacted(*found, domain, level);
  const bool is_default = rule.ends_with(": default block") || rule.ends_with(": default allow");
  if (is_default && (rule.starts_with("policy ") || rule.starts_with("preset "))) return std::string(rule);
  // And those that say nothing of a name.
  for (const std::string_view known :
       {"secret: ", "leak budget: ", "names hold letters, ", "single-label names are not ",
        "this type is not among ", "answer holds a malformed ", "an SRV, MX, SVCB or HTTPS answer "})
    if (rule.starts_with(known)) return std::string(rule);
  return std::string(left_out);
}

}  // namespace postern

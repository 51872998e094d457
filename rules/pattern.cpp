// Pattern: reading, matching, printing.
#include "rules/pattern.h"

#include "rules/public_suffix.h"
#include "rules/quote.h"
#include "rules/special.h"

namespace postern {
namespace {

// Octets that stand for themselves in a pattern. Others are far more often a slip (a URL, a port, a regular
// expression) than a name.
bool stands_for_itself(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_' ||
         c == '.';
}

const char* slip_in(std::string_view text) {
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (stands_for_itself(c)) continue;
    if (c == '\\' && i + 1 < text.size()) {
      ++i;  // the escape itself is checked by Name::parse
      continue;
    }
    if (c == '*') return "`*` may only stand in front, as `*.` or `**.`";
    if (static_cast<unsigned char>(c) >= 0x80)
      return "names in Unicode are not read; write the A-label (xn--...)";
    if (c == '/') return "it is a name, not a URL, path or regular expression";
    if (c == ':') return "it is a name, without port or scheme";
    if (c == ' ' || c == '\t') return "it holds white space";
    return "only letters, digits, hyphen, underscore and dots stand for themselves; escape others as \\DDD";
  }
  return nullptr;
}

// The name as a pattern spells it: an octet that does not stand for itself is escaped, so that a label that
// holds `*` is not mistaken for a wildcard.
std::string spelled(const Name& name) {
  const auto wire = name.wire();
  std::string out;
  for (std::size_t at = 0; wire[at] != 0; at += wire[at] + 1u) {
    if (at != 0) out += '.';
    for (std::size_t i = at + 1; i <= at + wire[at]; ++i) {
      const std::uint8_t octet = wire[i];
      if (octet != '.' && stands_for_itself(static_cast<char>(octet))) {
        out += static_cast<char>(octet);
      } else {
        char escape[4];
        out.append(escape, write_decimal_escape(escape, octet));
      }
    }
  }
  return out;
}

}  // namespace

Result<Pattern> Pattern::parse(std::string_view text, PublicSuffixWildcards wildcards) {
  const auto bad = [&](const std::string& why) {
    return failure("cannot read pattern " + quoted(text) + ": " + why);
  };
  if (text.empty()) return bad("it is empty");
  Pattern pattern;
  std::string_view rest = text;
  if (rest.starts_with("**.")) {
    pattern.scope = Scope::at_or_below;
    rest.remove_prefix(3);
  } else if (rest.starts_with("*.")) {
    pattern.scope = Scope::below;
    rest.remove_prefix(2);
  } else if (rest == "*" || rest == "**") {
    pattern.scope = rest.size() == 1 ? Scope::below : Scope::at_or_below;
    rest = ".";
  }
  if (rest.empty()) return bad("nothing follows the wildcard; `*` alone means every name");
  if (const char* why = slip_in(rest)) return bad(why);
  Result<Name> base = Name::parse(rest);
  if (!base) {
    const std::string& message = base.error().message;  // "cannot read domain name "...": why"
    const std::size_t why = message.rfind("\": ");
    return bad(why == std::string::npos ? message : message.substr(why + 3));
  }
  pattern.base = *base;
  if (pattern.scope != Scope::exact && wildcards == PublicSuffixWildcards::refused &&
      PublicSuffixes::is_public_suffix(pattern.base) && !is_special_use(pattern.base)) {
    return bad(pattern.base.is_root() ? "it covers every name; set allow_public_suffix: true if that is meant"
                                      : "it covers the public suffix " + quoted(pattern.base.text()) +
                                            "; set allow_public_suffix: true if that is meant");
  }
  return pattern;
}

bool Pattern::matches(const Name& name) const noexcept {
  switch (scope) {
    case Scope::exact:
      return name == base;
    case Scope::below:
      return name.below(base);
    case Scope::at_or_below:
      return name.at_or_below(base);
  }
  return false;
}

std::string Pattern::text() const {
  const char* const prefix = scope == Scope::exact ? "" : scope == Scope::below ? "*" : "**";
  if (base.is_root()) return scope == Scope::exact ? "." : prefix;
  return scope == Scope::exact ? spelled(base) : std::string(prefix) + "." + spelled(base);
}

}  // namespace postern

// The DNS part of adblock syntax: ||name^, exceptions, and the few modifiers that mean something to DNS.
//
// As AdGuard's "DNS filtering rules syntax" has it: a rule with a modifier that is not known here is skipped
// as a whole, because it was meant for less than the name.
#include <algorithm>
#include <set>

#include "rules/list_reading.h"

namespace postern {
namespace {

// Names in the $denyallow of all rules of a list: 256 octets each. Real lists have hundreds.
constexpr std::size_t most_exceptions = 200'000;
// $badfilter lines of a list, each kept as a key and a line until the end. Real lists have dozens.
constexpr std::uint64_t most_badfilters = 200'000;

// A rule cut into its parts: ["@@"] pattern ["$" modifiers].
struct AdblockRule {
  bool allows = false;
  std::string_view pattern, modifiers;
};

AdblockRule cut_rule(std::string_view text) {
  AdblockRule rule;
  if (text.starts_with("@@")) {
    rule.allows = true;
    text.remove_prefix(2);
  }
  const std::size_t dollar = text.rfind('$');
  rule.pattern = text.substr(0, dollar);
  if (dollar != std::string_view::npos) rule.modifiers = text.substr(dollar + 1);
  return rule;
}

std::string_view take_until(std::string_view& text, char separator) {
  const std::size_t end = text.find(separator);
  const std::string_view part = trimmed(text.substr(0, end));
  text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
  return part;
}

// What two rules must share for one to disable the other; the order of modifiers does not matter.
std::string badfilter_key(const AdblockRule& rule, bool& is_badfilter) {
  std::vector<std::string_view> modifiers;
  is_badfilter = false;
  for (std::string_view rest = rule.modifiers; !rest.empty();) {
    const std::string_view modifier = take_until(rest, ',');
    if (modifier == "badfilter")
      is_badfilter = true;
    else
      modifiers.push_back(modifier);
  }
  std::sort(modifiers.begin(), modifiers.end());
  std::string key(rule.allows ? "@@" : "");
  key += rule.pattern;
  for (const std::string_view modifier : modifiers) key.append("$").append(modifier);
  return key;
}

// The markers of rules about a page's contents: ## #@# #?# #$# #%# and their mixtures, $$ and $@$.
bool is_cosmetic(std::string_view line) {
  for (std::size_t at = line.find('#'); at != std::string_view::npos; at = line.find('#', at + 1)) {
    std::size_t end = at + 1;
    while (end < line.size() &&
           (line[end] == '@' || line[end] == '?' || line[end] == '$' || line[end] == '%'))
      ++end;
    if (end < line.size() && line[end] == '#')
      return at > 0 || (end + 1 < line.size() && !is_list_space(line[end + 1]) && line[end + 1] != '#');
  }
  return line.find("$$") != std::string_view::npos || line.find("$@$") != std::string_view::npos;
}

class AdblockReader {
 public:
  explicit AdblockReader(ListReading& reading) : reading_(reading), hosts_(reading) { find_badfilters(); }

  void read() {
    while (reading_.next()) line(trimmed(reading_.line()));
    for (const auto& [number, text, key] : badfilters_)
      if (!disabled_.contains(key)) reading_.skip(Skip::disables_nothing, number, text);
  }

 private:
  struct Badfilter {
    std::uint32_t number;
    std::string_view line;
    std::string key;
  };

  // They disable rules above them, too. Nearly all lists have none, so the text is searched before it is
  // read.
  void find_badfilters() {
    constexpr std::string_view word = "badfilter";
    const std::string_view text = reading_.text();
    std::uint64_t lines = 0;
    for (std::size_t at = text.find(word); at != std::string_view::npos; at = text.find(word, at)) {
      const std::size_t before = text.rfind('\n', at);
      const std::size_t begin = before == std::string_view::npos ? 0 : before + 1;
      const std::size_t end = std::min(text.find('\n', at), text.size());
      const std::string_view found = trimmed(text.substr(begin, end - begin));
      at = end;
      if (found.size() > reading_.options().most_line_octets || found.starts_with('!')) continue;
      std::string_view rest = found;
      const std::string_view rule = take_word(rest);
      if (!rest.empty() && rest[0] != '#') continue;
      bool is_badfilter = false;
      std::string key = badfilter_key(cut_rule(rule), is_badfilter);
      if (!is_badfilter) continue;
      const std::uint64_t most = std::min(most_badfilters, reading_.options().most_entries);
      if (++lines > most) {
        const auto number =
            1 + std::count(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(begin), '\n');
        return reading_.refuse(static_cast<std::uint32_t>(number),
                               "it has over " + std::to_string(most) + " $badfilter lines");
      }
      bad_keys_.insert(std::move(key));
    }
  }

  void line(std::string_view text) {
    if (text.empty()) return reading_.blank();
    if (text[0] == '!') {
      if (text.starts_with("!#include")) return reading_.skip(Skip::include);
      return reading_.blank();
    }
    if (text[0] == '|' && bad_keys_.empty() && plain_rule(text)) return;
    if (text[0] == '[') {
      if (text.back() == ']') return reading_.blank();  // "[Adblock Plus 2.0]"
      return reading_.skip(Skip::cosmetic_rule);        // "[$path=/page]##.ad"
    }
    if (text.find_first_of("#$") != std::string_view::npos && is_cosmetic(text))
      return reading_.skip(Skip::cosmetic_rule);
    if (text[0] == '#') return reading_.blank();
    if (text[0] == '/' || text.starts_with("@@/")) {
      const std::size_t slash = text.find('/');
      return reading_.skip(text.rfind('/') > slash ? Skip::regex_rule : Skip::url_rule);
    }
    const bool is_rule = text[0] == '|' || text.starts_with("@@") || text.find_first_of("^$") != text.npos;
    if (is_rule) return rule(text);
    std::string_view rest = text;
    const std::string_view word = take_word(rest);
    if (!rest.empty() && HostsLines::address(word)) return hosts_.read(text);
    if (word.find_first_of("/?&=") != std::string_view::npos) return reading_.skip(Skip::url_rule);
    if (word.find('*') != std::string_view::npos && !word.starts_with("*"))
      return reading_.skip(Skip::part_of_name);
    if (!bad_keys_.empty() && bad_keys_.contains(std::string(word))) {
      disabled_.insert(std::string(word));
      return reading_.skip(Skip::disabled);
    }
    read_domain_line(reading_, text);
  }

  // "||name^", as nearly all lines are, without a look at what else a line could be.
  bool plain_rule(std::string_view text) {
    if (text.size() < 4 || text[1] != '|' || text.back() != '^') return false;
    ListEntry& draft = reading_.draft();
    if (read_list_name(text.substr(2, text.size() - 3), draft.name)) return false;
    draft.scope = Pattern::Scope::at_or_below;
    draft.action = ListAction::block;
    draft.important = false;
    reading_.emit();
    return true;
  }

  void rule(std::string_view text) {
    std::string_view rest = text;
    text = take_word(rest);
    if (!rest.empty() && rest[0] != '#') return reading_.skip(Skip::several_words);
    const AdblockRule rule = cut_rule(text);
    if (!bad_keys_.empty()) {
      bool is_badfilter = false;
      std::string key = badfilter_key(rule, is_badfilter);
      if (is_badfilter) {
        reading_.used();
        badfilters_.push_back({reading_.number(), reading_.line(), std::move(key)});
        return;
      }
      if (bad_keys_.contains(key)) {
        disabled_.insert(std::move(key));
        return reading_.skip(Skip::disabled);
      }
    }
    ListEntry& draft = reading_.draft();
    draft.action = rule.allows ? ListAction::allow : ListAction::block;
    draft.important = false;
    ListDetail detail;
    if (const std::optional<Skip> skip = modifiers(rule, detail)) return reading_.skip(*skip);
    if (const std::optional<Skip> skip = pattern(rule.pattern)) return reading_.skip(*skip);
    if (exceptions_ + detail.except.size() > most_exceptions) return reading_.skip(Skip::too_many_exceptions);
    exceptions_ += detail.except.size();
    const bool has_detail = !detail.types.empty() || !detail.except.empty();
    reading_.emit(has_detail ? &detail : nullptr);
  }

  std::optional<Skip> modifiers(const AdblockRule& rule, ListDetail& detail) {
    for (std::string_view rest = rule.modifiers; !rest.empty();) {
      const std::string_view modifier = take_until(rest, ',');
      if (modifier == "important") {
        reading_.draft().important = true;
      } else if (modifier == "all" && !rule.allows) {
        // Every kind of request: what blocking a name does.
      } else if (modifier.starts_with("dnstype=")) {
        if (!types(modifier.substr(8), detail)) return Skip::modifier_value;
      } else if (modifier.starts_with("denyallow=")) {
        if (!exceptions(modifier.substr(10), detail)) return Skip::modifier_value;
      } else {
        return Skip::modifier;
      }
    }
    return std::nullopt;
  }

  // "A|AAAA", "~A|~MX"; in a mixture, those that are not excluded count.
  static bool types(std::string_view value, ListDetail& detail) {
    std::vector<Type> excluded;
    if (value.empty()) return false;
    while (!value.empty()) {
      std::string_view word = take_until(value, '|');
      const bool is_excluded = word.starts_with('~');
      if (is_excluded) word.remove_prefix(1);
      const std::optional<Type> type = type_from_text(word);
      if (!type) return false;
      (is_excluded ? excluded : detail.types).push_back(*type);
    }
    detail.types_excluded = detail.types.empty();
    if (detail.types_excluded) detail.types = std::move(excluded);
    return true;
  }

  static bool exceptions(std::string_view value, ListDetail& detail) {
    if (value.empty()) return false;
    while (!value.empty()) {
      Name name;
      if (read_list_name(take_until(value, '|'), name)) return false;
      detail.except.push_back(name);
    }
    return true;
  }

  // ||name^ and what means the same; |name^ exactly; ||*.name^ and *.name^ below.
  std::optional<Skip> pattern(std::string_view text) {
    ListEntry& draft = reading_.draft();
    enum class Start { anywhere, name, label } start = Start::anywhere;
    if (text.starts_with("||")) {
      start = Start::label;
      text.remove_prefix(2);
    } else if (text.starts_with("|")) {
      start = Start::name;
      text.remove_prefix(1);
    }
    // There is nothing after a name, so these all say that it ends: ^ | ^| ^* /*
    bool ends = false;
    for (const std::string_view end : {"/*", "^*", "|", "^"})
      if (text.ends_with(end)) {
        text.remove_suffix(end.size());
        ends = true;
      }
    if (start != Start::name && (text.empty() || text == "*")) {  // every name; "*$denyallow=com"
      draft.name = Name{};
      draft.scope = Pattern::Scope::at_or_below;
      return std::nullopt;
    }
    if (text.find_first_of("/:?=&%") != std::string_view::npos) {
      Name ignored;
      if (read_list_name(text, ignored) == Skip::address) return Skip::address;
      return Skip::url_rule;
    }
    if (start == Start::label) {
      draft.scope = text.starts_with("*.") ? Pattern::Scope::below : Pattern::Scope::at_or_below;
      if (text.starts_with("*.")) text.remove_prefix(2);
      // "||ads." and "||ads-" begin a name; "||example.com" is a slip for "||example.com^".
      if (!ends && (text.ends_with('.') || text.find('.') == std::string_view::npos))
        return Skip::part_of_name;
    } else if (start == Start::name) {
      draft.scope = Pattern::Scope::exact;
      if (!ends) return Skip::part_of_name;
    } else {
      draft.scope = Pattern::Scope::below;
      if (text.starts_with("*."))
        text.remove_prefix(2);
      else if (text.starts_with("."))
        text.remove_prefix(1);
      else
        return Skip::part_of_name;
      if (!ends) return Skip::part_of_name;
    }
    if (text.find('*') != std::string_view::npos) return Skip::part_of_name;
    return read_list_name(text, draft.name);
  }

  ListReading& reading_;
  HostsLines hosts_;
  std::set<std::string> bad_keys_, disabled_;
  std::size_t exceptions_ = 0;
  std::vector<Badfilter> badfilters_;
};

}  // namespace

void read_adblock(ListReading& reading) {
  AdblockReader(reading).read();
}

}  // namespace postern

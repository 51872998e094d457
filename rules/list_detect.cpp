// Which format a list is in, by its first lines that decide.
#include <algorithm>

#include "rules/list_reading.h"

namespace postern {
namespace {

// Lines that are looked at: comments and blank lines count too, so that a file of comments ends soon.
constexpr int lines_looked_at = 500;
constexpr std::size_t line_octets_looked_at = 512;  // of a line: enough for its shape

enum class Shape { none, domain, hosts, adblock, rpz };

bool equal_but_case(std::string_view text, std::string_view upper) {
  return std::equal(text.begin(), text.end(), upper.begin(), upper.end(), [](char a, char b) {
    return (a >= 'a' && a <= 'z' ? static_cast<char>(a - 32) : a) == b;
  });
}

bool is_zone_directive(std::string_view word) {
  return equal_but_case(word, "$TTL") || equal_but_case(word, "$ORIGIN") ||
         equal_but_case(word, "$INCLUDE") || equal_but_case(word, "$GENERATE");
}

// [owner] [TTL] [IN] TYPE DATA: a type within the first four words, and something after it.
bool is_zone_record(std::string_view line) {
  for (int word_number = 0; word_number < 4 && !line.empty(); ++word_number) {
    const std::string_view word = take_word(line);
    if (line.empty()) return false;
    for (const std::string_view type : {"SOA", "NS", "CNAME", "A", "AAAA", "TXT", "MX", "SRV", "PTR"})
      if (equal_but_case(word, type) && (word_number > 0 || type.size() > 1)) return true;
  }
  return false;
}

bool is_adblock_rule(std::string_view line) {
  if (line.starts_with("||") || line.starts_with("@@") || line.starts_with("[Adblock") ||
      line.starts_with("[AdGuard") || line.starts_with("[uBlock") || line.starts_with("[$"))
    return true;
  if (line.find('^') != std::string_view::npos) return true;
  // A comment may well begin with "##"; a name in front of it makes it a cosmetic rule.
  for (const std::string_view marker : {"##", "#@#", "#?#", "#$#", "#%#"})
    if (const std::size_t at = line.find(marker); at != 0 && at != std::string_view::npos)
      return !is_list_space(line[at - 1]);
  return line.size() > 2 && line.front() == '/' && line.back() == '/';
}

// Without the comment at its end, whose words would be taken for types ("# a tracker", "# see MX records").
// A rule between slashes may hold one's sign.
std::string_view without_comment(std::string_view line) {
  if (line.starts_with('/')) return line;
  for (std::size_t i = 1; i < line.size(); ++i)
    if ((line[i] == '#' || line[i] == '!') && is_list_space(line[i - 1])) return trimmed(line.substr(0, i));
  return line;
}

Shape shape_of(std::string_view whole) {
  const std::string_view line = without_comment(trimmed(whole));
  if (line.empty()) return Shape::none;
  std::string_view rest = line;
  const std::string_view first = take_word(rest);
  if (is_zone_directive(first) && !rest.empty()) return Shape::rpz;
  if (line[0] == '#' || line[0] == ';') return Shape::none;
  if (line[0] == '!')
    return line.starts_with("!#") ? Shape::adblock : Shape::none;  // a preprocessor's directive
  if (is_adblock_rule(line)) return Shape::adblock;
  if (!rest.empty() && HostsLines::address(first)) return Shape::hosts;
  // A line that begins with white space goes on with the last owner.
  if (is_zone_record(line)) return Shape::rpz;
  return Shape::domain;
}

}  // namespace

ListFormat detect_list_format(std::string_view text) noexcept {
  if (text.starts_with("\xef\xbb\xbf")) text.remove_prefix(3);
  int hosts = 0, domains = 0;
  for (int i = 0; i < lines_looked_at && !text.empty(); ++i) {
    const std::size_t end = text.find('\n');
    switch (shape_of(text.substr(0, std::min(end, line_octets_looked_at)))) {
      case Shape::none:
        break;
      case Shape::rpz:
        return ListFormat::rpz;
      case Shape::adblock:
        return ListFormat::adblock;  // such lists hold hosts lines and plain domains, too
      case Shape::hosts:
        ++hosts;
        break;
      case Shape::domain:
        ++domains;
        break;
    }
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
  }
  return hosts > 0 && hosts >= domains ? ListFormat::hosts : ListFormat::domains;
}

}  // namespace postern

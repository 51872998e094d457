// Plain domains: a name or a wildcard on each line.
#include "rules/list_reading.h"

namespace postern {
namespace {

bool starts_comment(char c) {
  return c == '#' || c == '!' || c == ';';
}

void emit_domain(ListReading& reading) {
  if (is_machine_name(reading.draft().name)) return reading.skip(Skip::machine_name);
  reading.widen();
  reading.emit();
}

}  // namespace

void read_domain_line(ListReading& reading, std::string_view line) {
  ListEntry& draft = reading.draft();
  draft.action = ListAction::block;
  draft.important = false;
  draft.scope = Pattern::Scope::exact;
  // A line that is a name and nothing else, as nearly all are: not cut into words first.
  if (read_plain_list_name(line, draft.name)) return emit_domain(reading);
  std::string_view text = take_word(line);
  // A comment needs white space in front: "example.com##.banner" is a cosmetic rule, not example.com.
  if (!line.empty() && !starts_comment(line[0])) return reading.skip(Skip::several_words);
  if (text[0] == '*') {
    draft.scope = text.starts_with("**") ? Pattern::Scope::at_or_below : Pattern::Scope::below;
    text.remove_prefix(text.starts_with("**") ? 2 : 1);
    if (text.empty()) {  // every name
      draft.name = Name{};
      return reading.emit();
    }
    if (text[0] != '.' || text.size() == 1) return reading.skip(Skip::wildcard_inside);
    text.remove_prefix(1);
  } else if (text[0] == '.' && text.size() > 1) {
    draft.scope = Pattern::Scope::at_or_below;
    text.remove_prefix(1);
  }
  if (const std::optional<Skip> skip = read_list_name(text, draft.name)) return reading.skip(*skip);
  emit_domain(reading);
}

void read_domains(ListReading& reading) {
  while (reading.next()) {
    const std::string_view line = trimmed(reading.line());
    if (line.empty() || starts_comment(line[0])) {
      reading.blank();
    } else {
      read_domain_line(reading, line);
    }
  }
}

}  // namespace postern

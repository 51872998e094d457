// ListReading: one list being read: its lines one after the other, and what becomes of each.
//
// What all formats share, so that a format's file says only what its lines mean. Thread: one. Memory: the
// text is borrowed; besides, three quoted lines a cause, and local data until the end.
#pragma once

#include <array>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "rules/list_text.h"

namespace postern {

// Why a line is not used. The table in list_reading.cpp has a sentence for each.
enum class Skip : std::uint8_t {
  long_line,
  label_too_long,
  name_too_long,
  empty_label,
  address,
  characters,
  no_a_label,
  url,
  several_words,
  wildcard_inside,
  public_suffix,
  no_address,
  no_name,
  machine_name,
  too_many_local,
  too_many_exceptions,
  cname_and_others,
  cosmetic_rule,
  regex_rule,
  url_rule,
  part_of_name,
  modifier,
  modifier_value,
  disabled,
  disables_nothing,
  include,
  directive,
  record_form,
  parenthesis,
  record_class,
  outside_zone,
  trigger,
  address_range,
  action,
  made_target,
  record_type,
  zone_record,
  record_data,
  tcp_only,
  count_  // not a cause: how many there are
};

struct SkipCause {
  std::string_view text;
  bool understood;  // the line makes sense in its format, but is not for us
};
const SkipCause& skip_cause(Skip skip) noexcept;

class ListReading {
 public:
  ListReading(std::string_view text, const ListOptions& options, ListSink& sink);

  // Goes to the next line; false at the end, and when a limit ends the reading. Lines over
  // options.most_line_octets are skipped here.
  bool next();
  std::string_view line() const noexcept { return line_; }  // without its end, not trimmed
  std::uint32_t number() const noexcept { return number_; }
  const ListOptions& options() const noexcept { return options_; }
  std::string_view text() const noexcept { return text_; }

  // What becomes of the line. A line is counted as skipped once, for its first cause, even where another name
  // on it is used.
  void blank(std::uint64_t lines = 1) noexcept { report_.blank += lines; }
  void used() noexcept { used_ = true; }  // without an entry
  // Ends the reading: the list has too much of something.
  void refuse(std::uint32_t number, std::string why) { refused_ = {number, std::move(why)}; }
  void skip(Skip cause) { skip(cause, number_, line_); }
  void skip(Skip cause, std::uint32_t number, std::string_view line, std::uint64_t lines = 1);

  // The entry to come: readers fill in name, scope, action and importance, then hand it over with emit(),
  // which refuses wildcards over public suffixes.
  ListEntry& draft() noexcept { return draft_; }
  void emit(const ListDetail* detail = nullptr) { emit_at(number_, line_, detail); }
  void emit_at(std::uint32_t number, std::string_view line, const ListDetail* detail = nullptr);
  void emit(const ListRange& range, const ListDetail* detail = nullptr);
  // Makes the draft's exact scope at_or_below if the options ask for it.
  void widen();
  // Keeps a record (owned by the root) for the draft's name and scope; all of a name become one entry.
  void add_local(std::uint32_t number, std::string_view line, Record record) {
    add_local(number, line, std::move(record), nullptr);
  }
  // The same for an address range.
  void add_local(std::uint32_t number, std::string_view line, Record record, const AddressRange& range) {
    add_local(number, line, std::move(record), &range);
  }

  // The line has a record for the draft's name that cannot be used. The name is answered empty, but for other
  // records of it: let through, it would be what the list must not be, and blocks less than it says.
  void skip_local(Skip cause, std::uint32_t number, std::string_view line, std::uint64_t lines,
                  const AddressRange* range);

  // Hands local data over and closes the report; an error if a limit was passed or nothing could be read.
  Result<ListReport> finish(ListFormat format);

 private:
  struct Cause {
    std::uint64_t lines = 0;
    std::vector<std::string> first;
  };
  struct Local {
    Name name;
    Pattern::Scope scope;
    std::optional<AddressRange> range;  // then name and scope mean nothing
    std::uint32_t line;
    ListDetail detail;
  };
  void add_local(std::uint32_t number, std::string_view line, Record record, const AddressRange* range);
  ListDetail* local_detail(std::uint32_t number, std::string_view line, const AddressRange* range);
  bool covers_public_suffix() const;

  std::string_view text_, rest_, line_;
  const ListOptions& options_;
  ListSink& sink_;
  std::uint32_t number_ = 0, last_skipped_ = 0;
  ListEntry draft_;
  ListReport report_;
  bool widened_ = false;  // by widen(): known to cover no public suffix
  bool used_ = false, too_many_ = false;
  std::pair<std::uint32_t, std::string> refused_;  // the line, and why; empty: it is not
  std::array<Cause, static_cast<std::size_t>(Skip::count_)> causes_;
  std::vector<Local> local_;
  std::unordered_map<std::string, std::size_t> local_at_;  // scope and wire form, or range -> local_
  std::size_t local_records_ = 0;
};

// The formats.
void read_domains(ListReading& reading);
void read_hosts(ListReading& reading);
void read_adblock(ListReading& reading);
void read_rpz(ListReading& reading);

// A line of plain domains (trimmed, not empty): hosts and adblock lists hold such lines too.
void read_domain_line(ListReading& reading, std::string_view line);

// Lines of a hosts file: an address, then names (trimmed, not empty). Remembers the last address, which is
// the same for millions of lines.
class HostsLines {
 public:
  explicit HostsLines(ListReading& reading) : reading_(reading) {}
  void read(std::string_view line);
  // Whether the word is an address as hosts files have it: also "0", and with a zone index.
  static std::optional<Address> address(std::string_view word) noexcept;

 private:
  void read_name(std::string_view word);

  ListReading& reading_;
  std::string_view last_;
  Address address_;
  bool blocks_ = false;
};

// Names as lists write them: letters, digits, hyphen, underscore; Unicode becomes A-labels; a final dot does
// not matter. Returns why it is not one, or nothing and the name in `out`.
std::optional<Skip> read_list_name(std::string_view text, Name& out);
// The same in a fifth of the time, for those in plain ASCII that need no closer look: nearly all. False: ask
// read_list_name; `out` is any name then.
bool read_plain_list_name(std::string_view text, Name& out) noexcept;
// As zone files write them: any printable ASCII, \DDD and \X.
std::optional<Skip> read_zone_name(std::string_view text, Name& out);

// localhost, broadcasthost, ip6-allnodes and the like: a hosts file of a machine has them, and no list means
// them.
bool is_machine_name(const Name& name) noexcept;

constexpr bool is_list_space(char c) noexcept {
  return c == ' ' || c == '\t' || c == '\r' || c == '\v' || c == '\f';
}
constexpr std::string_view trimmed(std::string_view text) noexcept {
  while (!text.empty() && is_list_space(text.front())) text.remove_prefix(1);
  while (!text.empty() && is_list_space(text.back())) text.remove_suffix(1);
  return text;
}
// Cuts the first word off `text`, which begins with none of the white space after it then. Empty at the end.
constexpr std::string_view take_word(std::string_view& text) noexcept {
  std::size_t end = 0;
  while (end < text.size() && !is_list_space(text[end])) ++end;
  const std::string_view word = text.substr(0, end);
  while (end < text.size() && is_list_space(text[end])) ++end;
  text.remove_prefix(end);
  return word;
}

}  // namespace postern

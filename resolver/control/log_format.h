// Records of the journal in the words of other tools: a line for a person, JSON, OCSF, ECS, Zeek.
//
// Pure: text from values. docs/EXPORT.md has the mapping of each field. Names and rules were chosen by
// untrusted code: no format lets a control character through.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "resolver/journal/log_reader.h"
#include "rules/redaction.h"

namespace postern {

class LogFormat {
 public:
  virtual ~LogFormat() = default;
  // What stands before the first record; `now_us`: Unix time.
  virtual std::string head(std::int64_t /*now_us*/) const { return {}; }
  // One record, with its line's end; empty: this format has no word for it.
  virtual std::string line(const LoggedQuery& query) const = 0;
  virtual std::string line(const LoggedAlert& alert) const = 0;
};

// "text", "json", "ocsf", "ecs", "zeek". Errors quote another one. `colour`: for a terminal (text only).
Result<std::unique_ptr<LogFormat>> log_format(std::string_view name, bool colour);

std::unique_ptr<LogFormat> text_log(bool colour);  // aligned, one line a record
std::unique_ptr<LogFormat> json_log();             // the views' columns
std::unique_ptr<LogFormat> ocsf_log();  // OCSF 1.4.0: DNS Activity (4003), Detection Finding (2004)
std::unique_ptr<LogFormat> ecs_log();   // Elastic Common Schema 8.11
std::unique_ptr<LogFormat> zeek_log();  // Zeek's dns.log, tab-separated; alerts have no place in it

// What an export leaves out; "user-1" stands for the first user of the output. Thread: one. Memory: an entry
// for each sandbox, session and user met under Redaction::all.
class Redactor {
 public:
  explicit Redactor(Redaction level) : level_(level) {}
  void redact(LoggedQuery& query);
  void redact(LoggedAlert& alert);

 private:
  void pseudonym(const char* kind, std::string& text);
  Redaction level_;
  std::map<std::string, std::string> known_;
};

// Calls `use` with each word of a text whose words are separated by single spaces; "...", the mark of data
// that was cut, is none.
template <class Use>
void for_each_word(std::string_view text, Use use) {
  while (!text.empty()) {
    const std::size_t space = text.find(' ');
    if (const auto word = text.substr(0, space); !word.empty() && word != "...") use(std::string(word));
    text.remove_prefix(space == std::string_view::npos ? text.size() : space + 1);
  }
}

// A row's id, unique over journals: "c0ffee012345-queries-7"; of a file without an id "queries-7".
std::string row_uid(const std::string& journal, const char* view, std::int64_t id);
// "2026-11-22T10:00:00.123456Z".
std::string iso_text(std::int64_t unix_us);
// A moment as a person writes it, in microseconds since 1970: "2026-11-22", "2026-11-22T10:00:00.5Z" (also
// with an offset, "+01:00"; without one it is UTC), seconds since 1970 from 10^9 on, or how long ago: "15m",
// "-2h", "3d". Errors quote.
Result<std::int64_t> parse_moment(std::string_view text, std::int64_t now_us);

}  // namespace postern

// Where a statement ends is SQLite's to say.
#include "resolver/journal/statements.h"

#include <sqlite3.h>

#include <algorithm>
#include <utility>

namespace postern {
namespace {

// Octets of white space, semicolons and whole comments at the start.
std::size_t idle_octets(std::string_view text) {
  constexpr auto npos = std::string_view::npos;
  std::size_t at = 0;
  while (at < text.size()) {
    at = std::min(text.find_first_not_of(" \t\r\n\f;", at), text.size());
    const std::string_view here = text.substr(at, 2);
    if (here != "--" && here != "/*") break;
    const std::size_t end = here == "--" ? text.find('\n', at) : text.find("*/", at + 2);
    if (end == npos) break;
    at = end + (here == "--" ? 1 : 2);
  }
  return at;
}

}  // namespace

std::optional<std::string> Statements::next() {
  waiting_.erase(0, idle_octets(waiting_));
  for (std::size_t end = waiting_.find(';'); end != std::string::npos; end = waiting_.find(';', end + 1)) {
    std::string statement = waiting_.substr(0, end + 1);
    if (sqlite3_complete(statement.c_str()) == 0) continue;
    waiting_.erase(0, statement.size());
    return statement;
  }
  return std::nullopt;
}

std::string Statements::rest() {
  waiting_.erase(0, idle_octets(waiting_ + "\n"));  // the last line's comment may have no end
  return std::move(waiting_);
}

}  // namespace postern

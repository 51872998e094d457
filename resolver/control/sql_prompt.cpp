// Statements as they are typed.
#include "resolver/control/sql_prompt.h"

#include <editline/readline.h>
#include <unistd.h>

#include <cstdlib>
#include <iostream>
#include <memory>
#include <optional>

#include "resolver/control/commands.h"
#include "resolver/journal/reader.h"
#include "resolver/journal/sql_name.h"
#include "resolver/journal/statements.h"
#include "rules/quote.h"
#include "rules/terminal_text.h"

namespace postern {
namespace {

constexpr std::size_t max_views = 1000;

// As a statement must spell a column: one of a view's is called as a word of SQL's own.
std::string spelled(const std::string& column) {
  return column == "from" ? "\"from\"" : column;
}

int print_views(const std::vector<std::string>& dbs) {
  const auto views =
      run_sql(dbs, "SELECT name FROM sqlite_master WHERE type = 'view' ORDER BY name", max_views);
  if (!views) return complain(views.error().message);
  for (const auto& view : views->rows) {
    const auto empty = run_sql(dbs, "SELECT * FROM " + sql_name(view[0]) + " LIMIT 0", 1);
    if (!empty) {  // one of somebody else's, where there are several files
      complain(empty.error().message);
      continue;
    }
    std::cout << escaped(view[0]);
    for (std::size_t i = 0; i < empty->columns.size(); ++i)
      std::cout << (i == 0 ? ": " : ", ") << escaped(spelled(empty->columns[i]));
    std::cout << "\n";
  }
  return 0;
}

std::optional<std::string> typed(bool begun) {
  const std::unique_ptr<char, decltype(&std::free)> line(readline(begun ? "...> " : "sql> "), &std::free);
  if (!line) return std::nullopt;
  if (*line != '\0') add_history(line.get());  // in memory: what an analyst asks is not left on disk
  return std::string(line.get()) + "\n";
}

std::optional<std::string> piped(bool) {
  char some[4096];
  const ssize_t size = read(STDIN_FILENO, some, sizeof some);
  return size > 0 ? std::optional(std::string(some, static_cast<std::size_t>(size))) : std::nullopt;
}

// A line that begins with a dot. False: it ends the prompt.
bool obey(const std::string& line, const std::vector<std::string>& dbs) {
  if (line == ".quit\n" || line == ".exit\n") return false;
  if (line == ".views\n")
    print_views(dbs);
  else
    complain("there is no " + quoted(line.substr(0, line.size() - 1)) + "; there are .views and .quit");
  return true;
}

}  // namespace

int sql_prompt(const std::vector<std::string>& dbs, const std::function<int(const std::string&)>& run) {
  const bool terminal = isatty(STDIN_FILENO) == 1;
  if (terminal) {
    rl_outstream = stderr;  // standard output is for rows
    rl_bind_key('\t', rl_insert);
    for (const std::string& db : dbs) std::cerr << "journal " << db << ", read-only\n";
    std::cerr << "A statement ends with a semicolon. .views lists what can be asked, .quit or Ctrl-D ends.\n";
  }
  Statements statements;
  bool any = false;
  while (const auto text = (terminal ? typed : piped)(statements.octets() > 0)) {
    if (terminal && statements.octets() == 0 && text->starts_with(".")) {
      if (!obey(*text, dbs)) return 0;
      continue;
    }
    if (statements.octets() + text->size() > Statements::max_octets)
      return complain("a statement is longer than " + std::to_string(Statements::max_octets) + " octets");
    statements.add(*text);
    while (const auto statement = statements.next()) {
      any = true;
      if (const int status = run(*statement); status != 0 && !terminal) return status;
    }
  }
  if (terminal) std::cerr << "\n";
  const std::string rest = statements.rest();
  if (!rest.empty()) return run(rest);
  return any || terminal
             ? 0
             : complain("there is no statement, neither among the arguments nor on standard input");
}

}  // namespace postern

// The analyst's side: one SQL statement against a journal, read-only, as text.
//
// Works while a Postern writes to the file, and after it was killed. The statement can only read: no writing,
// no other files, no settings. Thread: any; each call opens and closes its own connection.
#pragma once

#include <chrono>
#include <string>
#include <string_view>
#include <vector>

#include "rules/result.h"

namespace postern {

struct Table {
  std::vector<std::string> columns;
  std::vector<std::vector<std::string>> rows;  // NULL is the empty string
  bool cut_off = false;                        // there were more rows than the limit
};

// A statement that runs longer is stopped: a reader holds its snapshot, and while it does the log cannot
// start over.
inline constexpr std::chrono::seconds sql_time_limit{60};

// At most `limit` rows. Errors: no such file, not a journal, more than one statement, a statement that does
// more than read, SQL errors (quoted with SQLite's words), out of time.
Result<Table> run_sql(const std::string& path, std::string_view sql, std::size_t limit,
                      std::chrono::milliseconds time_limit = sql_time_limit);

}  // namespace postern

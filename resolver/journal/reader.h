// The analyst's side: one SQL statement against a journal, read-only, as text.
//
// Works while a Postern writes to the file, and after it was killed. The statement can only read: no writing,
// no other files, no settings. Thread: any; each call opens and closes its own connection.
#pragma once

#include <chrono>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "rules/result.h"

namespace postern {

enum class CellKind : std::uint8_t { null, number, text };  // a blob is text

struct Table {
  std::vector<std::string> columns;
  std::vector<std::vector<std::string>> rows;  // NULL is the empty string
  std::vector<std::vector<CellKind>> kinds;    // of each cell: what JSON must not make text of
  bool cut_off = false;                        // there were more rows than the limit
};

// A statement that runs longer is stopped: a reader holds its snapshot, and while it does the log cannot
// start over.
inline constexpr std::chrono::seconds sql_time_limit{60};

// SQLite attaches no more files than ten beside the first.
inline constexpr std::size_t max_sql_files = 10;

// Whether rows that were committed before the call are waited for, up to a second each file, until the views
// show them.
enum class Listing { waited_for, as_it_is };

// At most `limit` rows. With several files each view is the union of theirs, with a last column `journal`,
// the file's path; tables are the first file's, and j1.TABLE, j2.TABLE and so on. Errors: no such file, not a
// journal, files of different versions, more than one statement, a statement that does more than read, SQL
// errors (quoted with SQLite's words), out of time.
Result<Table> run_sql(std::span<const std::string> paths, std::string_view sql, std::size_t limit,
                      std::chrono::milliseconds time_limit = sql_time_limit,
                      Listing listing = Listing::waited_for);
inline Result<Table> run_sql(const std::string& path, std::string_view sql, std::size_t limit,
                             std::chrono::milliseconds time_limit = sql_time_limit,
                             Listing listing = Listing::waited_for) {
  return run_sql({&path, 1}, sql, limit, time_limit, listing);
}

}  // namespace postern

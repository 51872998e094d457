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

#include "resolver/journal/lack.h"
#include "rules/result.h"

namespace postern {

enum class CellKind : std::uint8_t { null, number, text };  // a blob is text

struct Table {
  std::vector<std::string> columns;
  std::vector<std::vector<std::string>> rows;  // NULL is the empty string
  std::vector<std::vector<CellKind>> kinds;    // of each cell: what JSON must not make text of
  bool cut_off = false;                        // there were more rows than the limit
  std::vector<Lack> lacks;                     // at most one of each file
};

// A statement that runs longer is stopped: a reader holds its snapshot, and while it does the log cannot
// start over.
inline constexpr std::chrono::seconds sql_time_limit{60};

// SQLite attaches no more files than ten beside the first.
inline constexpr std::size_t max_sql_files = 10;

// At most `limit` rows. What is on record is in `queries`, also what the catalogue does not have yet, but for
// the last moment of a busy writer's; `usage`, `domains`, `sessions` and `resolutions` are as the file has
// them. What either lacks is in Table::lacks, but for what a writer that is not busy lists in a moment
// (backlog.h). A statement that joins `queries` in a way that SQLite could follow only by going through all
// of them waits until the writer has listed the last moment's, up to three seconds; with `wait` each that
// reads what is listed does, and leaves nothing out of `queries`. With several files see shadow_views.h;
// their tables are not to be had by name. Errors: no such file, not a journal, files of different versions,
// one journal twice (the same file, or one with its copy), more than one statement, a statement that does
// more than read, a table of several files, SQL errors (quoted with SQLite's words), out of time.
Result<Table> run_sql(std::span<const std::string> paths, std::string_view sql, std::size_t limit,
                      std::chrono::milliseconds time_limit = sql_time_limit, bool wait = false);
inline Result<Table> run_sql(const std::string& path, std::string_view sql, std::size_t limit,
                             std::chrono::milliseconds time_limit = sql_time_limit, bool wait = false) {
  return run_sql({&path, 1}, sql, limit, time_limit, wait);
}

}  // namespace postern

// A new journal in the place of a lost one: renaming, and copying rows between two connections.
#include "resolver/journal/carry_over.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <ctime>
#include <vector>

namespace postern {
namespace {

// What rows refer to, and what is evidence of its own or waits for somebody. A table that the older file does
// not have yet is passed over.
constexpr const char* carried_tables[] = {"boot",       "rule", "sandbox", "leak_snapshot",
                                          "leak_grant", "gap",  "alert",   "alert_delivery"};
constexpr off_t wal_header_octets = 32;  // https://www.sqlite.org/fileformat2.html#the_write_ahead_log
constexpr int most_names = 1000;         // of files set aside within one second

std::string utc_now() {
  const std::time_t now = std::time(nullptr);
  std::tm parts{};
  ::gmtime_r(&now, &parts);
  char text[32];
  std::strftime(text, sizeof text, "%Y%m%dT%H%M%SZ", &parts);
  return text;
}

// The columns that both have: the older file may lack some.
Result<std::vector<std::string>> shared_columns(Connection& from, Connection& to, const std::string& table) {
  const auto columns = [&](Connection& connection) -> Result<std::vector<std::string>> {
    auto list = connection.prepare("SELECT name FROM pragma_table_info('" + table + "') ORDER BY cid");
    if (!list) return tl::unexpected(list.error());
    std::vector<std::string> names;
    int code = SQLITE_ROW;
    while ((code = list->step()) == SQLITE_ROW) names.push_back(list->text(0));
    if (code != SQLITE_DONE) return tl::unexpected(connection.failed("cannot read"));
    return names;
  };
  auto old_ones = columns(from);
  if (!old_ones) return old_ones;
  const auto new_ones = columns(to);
  if (!new_ones) return new_ones;
  std::vector<std::string> both;
  for (const std::string& name : *old_ones)
    for (const std::string& other : *new_ones)
      if (name == other) both.push_back(name);
  return both;
}

Result<void> copy_table(Connection& from, Connection& to, const std::string& table) {
  auto columns = shared_columns(from, to, table);
  if (!columns) return tl::unexpected(columns.error());
  if (columns->empty()) return {};
  std::string names, marks;
  for (const std::string& column : *columns) {
    names += (names.empty() ? "\"" : ", \"") + column + "\"";
    marks += marks.empty() ? "?" : ", ?";
  }
  auto read = from.prepare("SELECT " + names + " FROM " + table + " ORDER BY 1");
  if (!read) return tl::unexpected(read.error());
  auto write = to.prepare("INSERT OR REPLACE INTO " + table + " (" + names + ") VALUES (" + marks + ")");
  if (!write) return tl::unexpected(write.error());
  int code = SQLITE_ROW;
  while ((code = read->step()) == SQLITE_ROW) {
    for (int i = 0; i < static_cast<int>(columns->size()); ++i)
      sqlite3_bind_value(write->raw(), i + 1, sqlite3_column_value(read->raw(), i));
    if (write->run() != SQLITE_OK) return tl::unexpected(to.failed("cannot write"));
  }
  if (code != SQLITE_DONE) return tl::unexpected(from.failed("cannot read the " + table + " of"));
  return {};
}

// Renames `from` to "PATH.corrupt-TIME" and `ending`, or the next such name that nothing bears.
Result<std::string> renamed(const std::string& from, const std::string& path, const std::string& ending) {
  const std::string wanted = path + ".corrupt-" + utc_now();
  for (int i = 1; i <= most_names; ++i) {
    const std::string aside = (i == 1 ? wanted : wanted + "-" + std::to_string(i)) + ending;
    // NOREPLACE: nothing that was set aside before is ever written over.
    if (::renameat2(AT_FDCWD, from.c_str(), AT_FDCWD, aside.c_str(), RENAME_NOREPLACE) == 0) return aside;
    if (errno != EEXIST)
      return failure("cannot set journal \"" + from + "\" aside as \"" + aside +
                     "\": " + std::strerror(errno));
  }
  return failure("cannot set journal \"" + path + "\" aside: a thousand were, within this second");
}

}  // namespace

Result<std::string> set_aside(const std::string& path) {
  auto aside = renamed(path, path, "");
  if (!aside) return aside;
  if (::renameat2(AT_FDCWD, (path + "-wal").c_str(), AT_FDCWD, (*aside + "-wal").c_str(), RENAME_NOREPLACE) !=
          0 &&
      errno != ENOENT)
    return failure("cannot set the log of journal \"" + path + "\" aside: " + std::strerror(errno));
  ::unlink((path + "-shm").c_str());
  return aside;
}

bool log_is_orphaned(const std::string& path) {
  struct stat file {
  }, log{};
  if (::stat(path.c_str(), &file) == 0 && file.st_size > 0) return false;
  return ::stat((path + "-wal").c_str(), &log) == 0 && log.st_size > wal_header_octets;
}

Result<std::string> set_orphaned_log_aside(const std::string& path) {
  return renamed(path + "-wal", path, ".log");
}

Result<std::size_t> carry_over(Connection& from, Connection& to, bool salvage) {
  std::size_t hurt = 0;
  if (auto begun = to.run("BEGIN IMMEDIATE"); !begun) return tl::unexpected(begun.error());
  for (const char* table : carried_tables) {
    if (auto copied = copy_table(from, to, table); !copied) {
      ++hurt;
      if (salvage) continue;
      to.exec("ROLLBACK");
      return tl::unexpected(copied.error());
    }
  }
  if (to.exec("COMMIT") == SQLITE_OK) return hurt;
  const Error error = to.failed("cannot write");
  to.exec("ROLLBACK");
  return tl::unexpected(error);
}

}  // namespace postern

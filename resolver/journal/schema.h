// The journal's schema: its migrations, and what may be opened as a journal at all.
//
// docs/SCHEMA.md tells the tables and views to analysts. Migrations are an append-only list: entry N brings a
// file of version N to version N + 1; an entry that was released never changes. Read next: migrations.cpp,
// the SQL itself.
#pragma once

#include <cstdint>
#include <span>

#include "resolver/journal/sqlite.h"

namespace postern {

inline constexpr std::int32_t journal_application_id = 0x506f7374;  // "Post", at offset 68 of the file

struct Migration {
  const char* why;
  const char* sql;  // one or more statements; run in the transaction of all migrations
};
std::span<const Migration> migrations();

// What a journal's path must be: a regular file, or nothing yet in a folder that exists. Opens nothing.
Result<void> check_journal_path(const std::string& path);
// Is it a journal of Postern's, an empty file, or nothing yet? Reads the first page alone, or where that says
// nothing the one in the log, and touches nothing: to be asked before a file changes hands. A journal that
// was killed before its first checkpoint has one page and no application id; one that was killed beside a
// reader from its first moments may have it in its log alone.
Result<void> check_journal_is_ours(const std::string& path);
// Do its first octets say SQLite? An empty file passes. Opens the file itself, and closing it drops this
// process's POSIX locks on it: only for whoever holds the writer's lock and has no connection yet.
Result<void> check_journal_magic(const std::string& path);
// Is it a journal (or an empty file), and of a version up to `newest_version`? Reads the schema, which finds
// gross corruption too.
Result<void> check_journal_identity(Connection& connection, std::int64_t newest_version);

// Is what it holds whole? A file of up to `checked_whole_octets` is read through; of a larger one the
// newest rows of each table, since a start must not take minutes: what is damaged elsewhere shows when it is
// read, and `PRAGMA integrity_check` finds all. Errors: what was found (`is_health_finding`), or SQLite's.
inline constexpr std::int64_t checked_whole_octets = 16 << 20;  // some 50 ms
inline constexpr int checked_rows = 1000;                       // of each table of a larger one
Result<void> check_journal_health(Connection& connection);
bool is_health_finding(const Error& error);

// Brings the file to version `list.size()`, all or nothing, and refuses one that is newer. An empty file is
// version 0.
Result<void> migrate(Connection& connection, std::span<const Migration> list);

// Writes the spellings of Action and Reason that this build knows and the file does not.
Result<void> seed_vocabulary(Connection& connection);

}  // namespace postern

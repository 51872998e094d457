// A new journal in the place of one that is lost or damaged: the old one set aside, and what a record needs
// to be understood carried over.
#pragma once

#include <string>

#include "resolver/journal/sqlite.h"

namespace postern {

// Renames the journal to "PATH.corrupt-20261122T191500Z" and its log likewise, never over a file that is
// there; the log's index is removed (it is rebuilt). Returns the new name. Errors: the folder cannot be
// written to.
Result<std::string> set_aside(const std::string& path);

// Whether the log has rows and no file to fold them into, since that is gone or empty: SQLite would throw it
// away.
bool log_is_orphaned(const std::string& path);
// Renames the log to "PATH.corrupt-20261122T191500Z.log", which no SQLite takes for a log and removes.
// Returns the new name. Errors: as above.
Result<std::string> set_orphaned_log_aside(const std::string& path);

// Copies what rows refer to: writers' boots, sandboxes, rule texts, leak ledgers and grants, gaps, alerts and
// what hooks are to be told; neither queries nor outcomes. `to` has the same schema's version or a later one,
// and nothing of these but what migrations put there. One transaction. Errors: a table cannot be read, or
// cannot be written; `salvage` leaves out what cannot be read and says how many tables were hurt.
Result<std::size_t> carry_over(Connection& from, Connection& to, bool salvage);

}  // namespace postern

// Opening a journal's file to read it, also where nothing can be written beside it.
//
// A file in WAL mode is read through an index of its log (-shm), which SQLite makes where there is none. On
// read-only media, or for a reader who may not write the folder, it cannot; then, if there is no log whose
// rows would be missing, the file is opened as one that does not change
// (https://www.sqlite.org/uri.html#uriimmutable). A live writer always has a log.
#pragma once

#include <string>

#include "resolver/journal/sqlite.h"

namespace postern {

// What the path means, if it is a symbolic link: there SQLite looks for the log, and a writer has its lock.
// Where nothing is, the path itself.
std::string real_path(const std::string& path);
// A read-only connection that has read the schema, waits a while for a log that is being recovered, and folds
// nothing into the file when it closes. `attached_as`, if given, becomes what ATTACH opens the same file by.
// Errors: no such file, not a regular one, no journal or of a newer version, a log with rows that cannot be
// read there (says what to do), a log whose journal was cut to nothing.
Result<Connection> open_to_read_journal(const std::string& path, std::string* attached_as = nullptr);
// The same errors, and what a writer would find damaged; nothing is made beside the file, unless it has a
// log: to be asked before a file that no writer has is changed.
Result<void> look_at_journal(const std::string& path);

}  // namespace postern

// SQLite, thinly: connections and statements that close themselves, and errors that quote what was tried.
//
// Internal to this folder, which is the only owner of sqlite3.h. Thread: a Connection and its Statements
// belong to one thread at a time (SQLite is opened without its own mutex).
#pragma once

#include <sqlite3.h>

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "rules/result.h"

namespace postern {

class Statement {
 public:
  Statement() = default;
  explicit Statement(sqlite3_stmt* raw) : raw_(raw) {}

  // Columns and parameters: parameters count from 1, columns from 0, as in SQLite. Text is not copied: it
  // must live until the next reset.
  void bind(int at, std::int64_t value) { sqlite3_bind_int64(raw_.get(), at, value); }
  void bind(int at, double value) { sqlite3_bind_double(raw_.get(), at, value); }
  void bind(int at, std::string_view value) {
    // An empty view may have no address at all, and SQLite would read that as NULL.
    sqlite3_bind_text(raw_.get(), at, value.data() != nullptr ? value.data() : "",
                      static_cast<int>(value.size()), SQLITE_STATIC);
  }
  void bind_octets(int at, std::string_view value) {
    sqlite3_bind_blob(raw_.get(), at, value.data() != nullptr ? value.data() : "",
                      static_cast<int>(value.size()), SQLITE_STATIC);
  }
  int step() { return sqlite3_step(raw_.get()); }  // SQLITE_ROW, SQLITE_DONE or an error
  void reset() { sqlite3_reset(raw_.get()); }
  // A statement without rows, run to its end and reset: SQLITE_OK or the error.
  int run() {
    const int code = step();
    reset();
    return code == SQLITE_DONE || code == SQLITE_ROW ? SQLITE_OK : code;
  }
  std::int64_t integer(int column) { return sqlite3_column_int64(raw_.get(), column); }
  std::string text(int column) {
    const auto* octets = reinterpret_cast<const char*>(sqlite3_column_text(raw_.get(), column));
    return octets ? std::string(octets, static_cast<std::size_t>(sqlite3_column_bytes(raw_.get(), column)))
                  : "";
  }
  std::string octets(int column) {
    const auto* found = static_cast<const char*>(sqlite3_column_blob(raw_.get(), column));
    return found ? std::string(found, static_cast<std::size_t>(sqlite3_column_bytes(raw_.get(), column)))
                 : "";
  }
  sqlite3_stmt* raw() { return raw_.get(); }

 private:
  struct Finalize {
    void operator()(sqlite3_stmt* raw) const { sqlite3_finalize(raw); }
  };
  std::unique_ptr<sqlite3_stmt, Finalize> raw_;
};

class Connection {
 public:
  Connection() = default;
  // `flags`: SQLITE_OPEN_READWRITE and so on. `vfs`: the file system's name; null: SQLite's default. Errors
  // name the path.
  static Result<Connection> open(const std::string& path, int flags, const char* vfs = nullptr);

  // One or more statements without rows: SQLITE_OK or the error.
  int exec(const char* sql) { return sqlite3_exec(raw_.get(), sql, nullptr, nullptr, nullptr); }
  Result<void> run(const char* sql);  // the same, as a Result
  Result<Statement> prepare(std::string_view sql);
  Result<std::int64_t> integer(std::string_view sql);  // the first column of the first row; 0 without a row
  Result<std::string> text(std::string_view sql);

  // "database or disk is full (SQLite error 13)", of the last call that failed.
  std::string error() const;
  Error failed(std::string_view doing) const;  // "DOING journal "PATH": error()"
  const std::string& path() const { return path_; }
  void call_it(std::string path) { path_ = std::move(path); }  // in errors, where it was opened as a URI
  sqlite3* raw() { return raw_.get(); }

 private:
  struct Close {
    void operator()(sqlite3* raw) const { sqlite3_close_v2(raw); }
  };
  std::string path_;
  std::unique_ptr<sqlite3, Close> raw_;
};

}  // namespace postern

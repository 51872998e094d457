// SQLite, thinly: opening, preparing, and one way of wording errors.
#include "resolver/journal/sqlite.h"

#include <cstring>

namespace postern {

Result<Connection> Connection::open(const std::string& path, int flags, const char* vfs) {
  Connection connection;
  connection.path_ = path;
  sqlite3* raw = nullptr;
  const int code = sqlite3_open_v2(path.c_str(), &raw, flags | SQLITE_OPEN_NOMUTEX, vfs);
  connection.raw_.reset(raw);
  if (raw != nullptr) sqlite3_extended_result_codes(raw, 1);
  if (code != SQLITE_OK) return tl::unexpected(connection.failed("cannot open"));
  // The file is evidence, not a program: what its schema says may not call anything with side effects.
  sqlite3_db_config(raw, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, nullptr);
  sqlite3_db_config(raw, SQLITE_DBCONFIG_DEFENSIVE, 1, nullptr);
  return connection;
}

Result<void> Connection::run(const char* sql) {
  if (exec(sql) != SQLITE_OK) return tl::unexpected(failed("cannot set up"));
  return {};
}

Result<Statement> Connection::prepare(std::string_view sql) {
  sqlite3_stmt* raw = nullptr;
  if (sqlite3_prepare_v3(raw_.get(), sql.data(), static_cast<int>(sql.size()), SQLITE_PREPARE_PERSISTENT,
                         &raw, nullptr) != SQLITE_OK)
    return tl::unexpected(failed("cannot prepare a statement for"));
  return Statement(raw);
}

Result<std::int64_t> Connection::integer(std::string_view sql) {
  auto statement = prepare(sql);
  if (!statement) return tl::unexpected(statement.error());
  const int code = statement->step();
  if (code == SQLITE_ROW) return statement->integer(0);
  if (code == SQLITE_DONE) return 0;
  return tl::unexpected(failed("cannot read"));
}

Result<std::string> Connection::text(std::string_view sql) {
  auto statement = prepare(sql);
  if (!statement) return tl::unexpected(statement.error());
  const int code = statement->step();
  if (code == SQLITE_ROW) return statement->text(0);
  if (code == SQLITE_DONE) return std::string();
  return tl::unexpected(failed("cannot read"));
}

std::string Connection::error() const {
  if (!raw_) return "out of memory";
  const int code = sqlite3_extended_errcode(raw_.get());
  std::string text = sqlite3_errmsg(raw_.get());
  // "disk I/O error" and "unable to open" hide what the system said.
  const int system = sqlite3_system_errno(raw_.get());
  if (((code & 0xff) == SQLITE_IOERR || (code & 0xff) == SQLITE_CANTOPEN) && system != 0)
    text += std::string(": ") + std::strerror(system);
  return text + " (SQLite error " + std::to_string(code) + ")";
}

Error Connection::failed(std::string_view doing) const {
  return Error{std::string(doing) + " journal \"" + path_ + "\": " + error()};
}

}  // namespace postern

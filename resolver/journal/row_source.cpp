// Rows in memory as a table: SQLite's side of it.
#include "resolver/journal/row_source.h"

#include <new>

namespace postern {
namespace {

struct SourceTable : sqlite3_vtab {
  RowSource* source;
};
struct SourceCursor : sqlite3_vtab_cursor {
  RowSource* source;
};

int source_connect(sqlite3* raw, void* data, int, const char* const*, sqlite3_vtab** out, char**) {
  auto* source = static_cast<RowSource*>(data);
  auto* table = new (std::nothrow) SourceTable{};
  if (table == nullptr) return SQLITE_NOMEM;
  table->source = source;
  *out = table;
  return sqlite3_declare_vtab(raw, source->declaration());
}
int source_disconnect(sqlite3_vtab* table) {
  delete static_cast<SourceTable*>(table);
  return SQLITE_OK;
}
int source_best_index(sqlite3_vtab*, sqlite3_index_info*) {
  return SQLITE_OK;
}
int source_open(sqlite3_vtab* table, sqlite3_vtab_cursor** out) {
  auto* cursor = new (std::nothrow) SourceCursor{};
  if (cursor == nullptr) return SQLITE_NOMEM;
  cursor->source = static_cast<SourceTable*>(table)->source;
  *out = cursor;
  return SQLITE_OK;
}
int source_close(sqlite3_vtab_cursor* cursor) {
  delete static_cast<SourceCursor*>(cursor);
  return SQLITE_OK;
}
int source_filter(sqlite3_vtab_cursor* cursor, int, const char*, int, sqlite3_value**) {
  static_cast<SourceCursor*>(cursor)->source->rewind();
  return SQLITE_OK;
}
int source_next(sqlite3_vtab_cursor* cursor) {
  static_cast<SourceCursor*>(cursor)->source->next();
  return SQLITE_OK;
}
int source_eof(sqlite3_vtab_cursor* cursor) {
  return static_cast<SourceCursor*>(cursor)->source->at_end() ? 1 : 0;
}
int source_column(sqlite3_vtab_cursor* cursor, sqlite3_context* out, int index) {
  static_cast<SourceCursor*>(cursor)->source->column(out, index);
  return SQLITE_OK;
}
int source_rowid(sqlite3_vtab_cursor*, sqlite3_int64* out) {
  *out = 0;  // nobody asks: the statements below never name it
  return SQLITE_OK;
}

constexpr sqlite3_module source_module = [] {
  sqlite3_module module{};
  module.xConnect = source_connect;
  module.xDisconnect = source_disconnect;
  module.xBestIndex = source_best_index;
  module.xOpen = source_open;
  module.xClose = source_close;
  module.xFilter = source_filter;
  module.xNext = source_next;
  module.xEof = source_eof;
  module.xColumn = source_column;
  module.xRowid = source_rowid;
  return module;
}();

}  // namespace

Result<void> offer_rows(Connection& connection, const char* name, RowSource& source) {
  if (sqlite3_create_module(connection.raw(), name, &source_module, &source) != SQLITE_OK)
    return tl::unexpected(connection.failed("cannot prepare to write"));
  return {};
}

}  // namespace postern

// Ids unique over several files: SQLite's side of the table.
#include "resolver/journal/shifted_ids.h"

#include <new>

namespace postern {
namespace {

enum Column : int { raw_column = 0, id_column = 1 };

struct ShiftTable : sqlite3_vtab {
  std::int64_t shift;
};
struct ShiftCursor : sqlite3_vtab_cursor {
  std::int64_t raw, shift;
  bool at_end;
};

// Integers that wrap around rather than overflow: no id does either.
std::int64_t plus(std::int64_t a, std::int64_t b) {
  return static_cast<std::int64_t>(static_cast<std::uint64_t>(a) + static_cast<std::uint64_t>(b));
}
std::int64_t minus(std::int64_t a, std::int64_t b) {
  return static_cast<std::int64_t>(static_cast<std::uint64_t>(a) - static_cast<std::uint64_t>(b));
}

int shift_connect(sqlite3* connection, void* data, int, const char* const*, sqlite3_vtab** out, char**) {
  auto* table = new (std::nothrow) ShiftTable{};
  if (table == nullptr) return SQLITE_NOMEM;
  table->shift = *static_cast<std::int64_t*>(data);
  *out = table;
  sqlite3_vtab_config(connection, SQLITE_VTAB_INNOCUOUS);  // or a view may not use it
  return sqlite3_declare_vtab(connection, "CREATE TABLE shifted (raw INTEGER, id INTEGER)");
}
int shift_disconnect(sqlite3_vtab* table) {
  delete static_cast<ShiftTable*>(table);
  return SQLITE_OK;
}

// One row where one side is given, and no way to all of them. SQLite checks the other side itself.
int shift_best_index(sqlite3_vtab*, sqlite3_index_info* info) {
  int chosen = -1;
  for (int i = 0; i < info->nConstraint; ++i) {
    const auto& one = info->aConstraint[i];
    if (one.usable == 0 || one.op != SQLITE_INDEX_CONSTRAINT_EQ) continue;
    if (one.iColumn != raw_column && one.iColumn != id_column) continue;
    if (chosen < 0 || one.iColumn == raw_column) chosen = i;
  }
  if (chosen < 0) return SQLITE_CONSTRAINT;
  info->aConstraintUsage[chosen].argvIndex = 1;
  info->idxNum = info->aConstraint[chosen].iColumn;
  info->idxFlags = SQLITE_INDEX_SCAN_UNIQUE;
  info->estimatedRows = 1;
  info->estimatedCost = 1;
  return SQLITE_OK;
}
int shift_open(sqlite3_vtab* table, sqlite3_vtab_cursor** out) {
  auto* cursor = new (std::nothrow) ShiftCursor{};
  if (cursor == nullptr) return SQLITE_NOMEM;
  cursor->shift = static_cast<ShiftTable*>(table)->shift;
  *out = cursor;
  return SQLITE_OK;
}
int shift_close(sqlite3_vtab_cursor* cursor) {
  delete static_cast<ShiftCursor*>(cursor);
  return SQLITE_OK;
}
int shift_filter(sqlite3_vtab_cursor* base, int column, const char*, int, sqlite3_value** values) {
  auto* cursor = static_cast<ShiftCursor*>(base);
  const int type = sqlite3_value_numeric_type(values[0]);
  cursor->at_end = type != SQLITE_INTEGER && type != SQLITE_FLOAT;
  const std::int64_t value = sqlite3_value_int64(values[0]);
  cursor->raw = column == raw_column ? value : minus(value, cursor->shift);
  return SQLITE_OK;
}
int shift_next(sqlite3_vtab_cursor* cursor) {
  static_cast<ShiftCursor*>(cursor)->at_end = true;
  return SQLITE_OK;
}
int shift_eof(sqlite3_vtab_cursor* cursor) {
  return static_cast<ShiftCursor*>(cursor)->at_end ? 1 : 0;
}
int shift_column(sqlite3_vtab_cursor* base, sqlite3_context* out, int column) {
  const auto* cursor = static_cast<ShiftCursor*>(base);
  sqlite3_result_int64(out, column == raw_column ? cursor->raw : plus(cursor->raw, cursor->shift));
  return SQLITE_OK;
}
int shift_rowid(sqlite3_vtab_cursor* cursor, sqlite3_int64* out) {
  *out = static_cast<ShiftCursor*>(cursor)->raw;
  return SQLITE_OK;
}

constexpr sqlite3_module shift_module = [] {
  sqlite3_module module{};
  module.iVersion = 1;
  module.xConnect = shift_connect;
  module.xDisconnect = shift_disconnect;
  module.xBestIndex = shift_best_index;
  module.xOpen = shift_open;
  module.xClose = shift_close;
  module.xFilter = shift_filter;
  module.xNext = shift_next;
  module.xEof = shift_eof;
  module.xColumn = shift_column;
  module.xRowid = shift_rowid;
  return module;
}();

}  // namespace

Result<void> offer_shifted_ids(Connection& connection, std::size_t file) {
  auto* shift = new std::int64_t(shift_of_file(file));
  const auto forget = [](void* data) { delete static_cast<std::int64_t*>(data); };
  const std::string name = "shifted_" + std::to_string(file);
  // SQLite forgets it also when this fails.
  if (sqlite3_create_module_v2(connection.raw(), name.c_str(), &shift_module, shift, forget) != SQLITE_OK)
    return tl::unexpected(connection.failed("cannot prepare to read"));
  return {};
}

}  // namespace postern

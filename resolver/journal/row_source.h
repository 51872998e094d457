// Rows in memory as a table: what many rows are inserted from with one statement.
//
// One INSERT ... SELECT over such a table costs a quarter less than a bind, a step and a reset for each row
// (docs/decisions/0002-journal-v1.md), and its cursors stay where the row before was put. The table is an
// eponymous-only virtual one (https://www.sqlite.org/vtab.html#eponymous_only_virtual_tables): it exists on
// one connection alone and leaves nothing in the file.
#pragma once

#include "resolver/journal/sqlite.h"

namespace postern {

// Rows that SQLite can walk from front to back. One cursor at a time.
class RowSource {
 public:
  virtual ~RowSource() = default;
  virtual void rewind() = 0;
  virtual bool at_end() const = 0;
  virtual void next() = 0;
  // Text given to `out` must stay until the next row.
  virtual void column(sqlite3_context* out, int index) const = 0;
  virtual const char* declaration() const = 0;  // CREATE TABLE, with the columns in their order
};

// From now on `source` is the table `name`. It must outlive the connection's statements.
Result<void> offer_rows(Connection& connection, const char* name, RowSource& source);

}  // namespace postern

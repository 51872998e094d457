// Tables and views as they should be: against a fresh journal in memory.
#include "resolver/journal/seal_tables.h"

#include <map>

#include "resolver/journal/schema.h"

namespace postern {
namespace {

using Texts = std::map<std::string, std::string>;

Result<Texts> texts(Connection& connection, std::string_view sql) {
  auto rows = connection.prepare(sql);
  if (!rows) return tl::unexpected(rows.error());
  Texts all;
  int code = SQLITE_DONE;
  while ((code = rows->step()) == SQLITE_ROW) all.emplace(rows->text(0), rows->text(1));
  if (code != SQLITE_DONE) return tl::unexpected(connection.failed("cannot read the schema of"));
  return all;
}

// An index that SQLite made for a UNIQUE constraint has no text of its own.
constexpr std::string_view schema_sql =
    "SELECT type || ' ' || name, sql FROM sqlite_schema WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite\\_%'"
    " ESCAPE '\\' ORDER BY 1";
constexpr std::string_view words_sql =
    "SELECT 'the word for action ' || id, name FROM action"
    " UNION ALL SELECT 'the word for reason ' || id, name FROM reason"
    " UNION ALL SELECT 'the word for type ' || id, name FROM rr_type"
    " UNION ALL SELECT 'the word for rcode ' || id, name FROM rcode"
    " UNION ALL SELECT 'rule 0', text FROM rule WHERE id = 0 ORDER BY 1";

}  // namespace

Result<void> differing_tables(
    Connection& connection,
    const std::function<void(const std::string& what, const std::string& why)>& found) {
  auto fresh = Connection::open(":memory:", SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE);
  if (!fresh) return tl::unexpected(fresh.error());
  if (auto done = migrate(*fresh, migrations()); !done) return done;
  if (auto done = seed_vocabulary(*fresh); !done) return done;
  for (const std::string_view sql : {schema_sql, words_sql}) {
    auto here = texts(connection, sql);
    if (!here) return tl::unexpected(here.error());
    auto there = texts(*fresh, sql);
    if (!there) return tl::unexpected(there.error());
    for (const auto& [what, text] : *there) {
      const auto mine = here->find(what);
      if (mine == here->end()) {
        // A reason that this build knows may be newer than the last writer.
        if (!what.starts_with("the word for reason")) found(what, "is missing");
      } else if (mine->second != text) {
        found(what, "was changed");
      }
    }
    for (const auto& [what, text] : *here)
      if (what.starts_with("trigger ") && there->count(what) == 0) found(what, "was added");
  }
  return {};
}

}  // namespace postern

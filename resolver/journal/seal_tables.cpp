// Tables and views as they should be: against a fresh journal in memory.
#include "resolver/journal/seal_tables.h"

#include <algorithm>
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

// An index that SQLite made for a UNIQUE constraint has no text of its own. What is always there in `meta`
// and in `rule` comes with the migrations, too.
constexpr std::string_view schema_sql =
    "SELECT type || ' ' || name, sql FROM sqlite_schema WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite\\_%'"
    " ESCAPE '\\' UNION ALL SELECT 'rule 0', text FROM rule WHERE id = 0"
    " UNION ALL SELECT 'meta ' || key, '' FROM meta WHERE key = 'listed_upto' ORDER BY 1";

// SQLite reads an entry by its text, whatever else its row says; so what SQLite does not write is there to
// be read otherwise here than there. The text of each kind begins as SQLite writes it (`CREATE`, then what),
// and names of SQLite's own are those of the tables that ANALYZE and AUTOINCREMENT need and of indexes that
// have no text.
constexpr std::string_view strange_rows_sql =
    "SELECT type || ' ' || name FROM sqlite_schema WHERE NOT coalesce("
    "   typeof(type) = 'text' AND typeof(name) = 'text' AND typeof(tbl_name) = 'text'"
    "   AND CASE WHEN sql IS NULL THEN type = 'index' AND name GLOB 'sqlite_autoindex_*'"
    "     WHEN typeof(sql) <> 'text' THEN 0"
    "     WHEN lower(substr(name, 1, 7)) = 'sqlite_' THEN type = 'table'"
    "       AND name IN ('sqlite_stat1', 'sqlite_stat4', 'sqlite_sequence')"
    "       AND sql GLOB 'CREATE TABLE ' || name || '(*'"
    "     WHEN type = 'table' THEN sql GLOB 'CREATE TABLE *' OR sql GLOB 'CREATE VIRTUAL TABLE *'"
    "     WHEN type = 'view' THEN sql GLOB 'CREATE VIEW *'"
    "     WHEN type = 'index' THEN sql GLOB 'CREATE INDEX *' OR sql GLOB 'CREATE UNIQUE INDEX *'"
    "     WHEN type = 'trigger' THEN sql GLOB 'CREATE TRIGGER *' ELSE 0 END, 0)"
    " ORDER BY rowid";

struct Words {
  const char* what;
  const char* sql;
  // The migrations write them, so all files of this version have the same. Else each writer adds those that
  // it knows, at its start: an older one has left fewer, a newer one more.
  bool fixed;
};
constexpr Words words[] = {{"action", "SELECT id, name FROM action ORDER BY id", false},
                           {"reason", "SELECT id, name FROM reason ORDER BY id", false},
                           {"type", "SELECT id, name FROM rr_type ORDER BY id", true},
                           {"rcode", "SELECT id, name FROM rcode ORDER BY id", true}};
constexpr std::int64_t highest_word = 255;  // of actions and reasons: they are octets (rules/vocabulary.h)

// Does a record say this reason? Only looked for if its word is not there: it reads all.
constexpr std::string_view reason_used_sql =
    "SELECT EXISTS (SELECT 1 FROM asked WHERE reason = ?1)"
    " OR EXISTS (SELECT 1 FROM outcome WHERE action > 0 AND reason = ?1)";

using Numbered = std::map<std::int64_t, std::string>;

Result<Numbered> numbered(Connection& connection, const char* sql) {
  auto rows = connection.prepare(sql);
  if (!rows) return tl::unexpected(rows.error());
  Numbered all;
  int code = SQLITE_DONE;
  while ((code = rows->step()) == SQLITE_ROW) all.emplace(rows->integer(0), rows->text(1));
  if (code != SQLITE_DONE) return tl::unexpected(connection.failed("cannot read the words of"));
  return all;
}

// As a word for an action or a reason is spelled.
bool is_word(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
  });
}

Result<bool> may_be_missing(Connection& connection, const Words& kind, std::int64_t id,
                            const Numbered& here) {
  // They are added in order, and what is used was added before.
  if (kind.what != std::string_view("reason") || here.upper_bound(id) != here.end()) return false;
  auto used = connection.prepare(reason_used_sql);
  if (!used) return tl::unexpected(used.error());
  used->bind(1, id);
  if (used->step() != SQLITE_ROW) return tl::unexpected(connection.failed("cannot read the reasons of"));
  return used->integer(0) == 0;
}

Result<void> compare_words(Connection& connection, Connection& fresh, const Words& kind,
                           const TablesFound& found) {
  const auto here = numbered(connection, kind.sql), there = numbered(fresh, kind.sql);
  if (!here) return tl::unexpected(here.error());
  if (!there) return tl::unexpected(there.error());
  const auto differs = [&](std::int64_t id, const char* why) {
    found.difference(std::string("the word for ") + kind.what + " " + std::to_string(id), why);
  };
  for (const auto& [id, word] : *there) {
    const auto mine = here->find(id);
    if (mine != here->end()) {
      if (mine->second != word) differs(id, "was changed");
      continue;
    }
    const auto may = may_be_missing(connection, kind, id, *here);
    if (!may) return tl::unexpected(may.error());
    if (!*may) differs(id, "is missing");
  }
  const std::int64_t known = there->rbegin()->first;
  for (const auto& [id, word] : *here) {
    if (there->count(id) != 0) continue;
    const bool ours = std::any_of(there->begin(), there->end(),
                                  [&text = word](const auto& one) { return one.second == text; });
    if (kind.fixed || id < known || id > highest_word || ours || !is_word(word))
      differs(id, "was added");
    else
      found.newer(std::string(kind.what) + " " + std::to_string(id) + ", \"" + word + "\"");
  }
  return {};
}

Result<Connection> fresh_journal() {
  auto fresh = Connection::open(":memory:", SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE);
  if (!fresh) return fresh;
  if (auto done = migrate(*fresh, migrations()); !done) return tl::unexpected(done.error());
  if (auto done = seed_vocabulary(*fresh); !done) return tl::unexpected(done.error());
  return fresh;
}

}  // namespace

Result<void> differing_tables(Connection& connection, const TablesFound& found) {
  auto fresh = fresh_journal();
  if (!fresh) return tl::unexpected(fresh.error());
  auto strange = connection.prepare(strange_rows_sql);
  if (!strange) return tl::unexpected(strange.error());
  int code = SQLITE_DONE;
  while ((code = strange->step()) == SQLITE_ROW)
    found.difference("row of the schema \"" + strange->text(0) + "\"", "is none that SQLite writes");
  if (code != SQLITE_DONE) return tl::unexpected(connection.failed("cannot read the schema of"));
  const auto here = texts(connection, schema_sql), there = texts(*fresh, schema_sql);
  if (!here) return tl::unexpected(here.error());
  if (!there) return tl::unexpected(there.error());
  for (const auto& [what, text] : *there) {
    const auto mine = here->find(what);
    if (mine == here->end())
      found.difference(what, "is missing");
    else if (mine->second != text)
      found.difference(what, "was changed");
  }
  for (const auto& [what, text] : *here)
    if (what.starts_with("trigger ") && there->count(what) == 0) found.difference(what, "was added");
  for (const Words& kind : words)
    if (auto done = compare_words(connection, *fresh, kind, found); !done) return done;
  return {};
}

Result<std::vector<std::string>> own_tables() {
  auto fresh = fresh_journal();
  if (!fresh) return tl::unexpected(fresh.error());
  const auto names = texts(*fresh,
                           "SELECT name, '' FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE"
                           " 'sqlite\\_%' ESCAPE '\\' ORDER BY name");
  if (!names) return tl::unexpected(names.error());
  std::vector<std::string> tables;
  for (const auto& [name, none] : *names) tables.push_back(name);
  return tables;
}

}  // namespace postern

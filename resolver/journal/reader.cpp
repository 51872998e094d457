// The analyst's side: a read-only connection that can do nothing but SELECT.
#include "resolver/journal/reader.h"

#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <thread>

#include "resolver/journal/schema.h"

namespace postern {
namespace {

constexpr int reader_busy_ms = 2000;  // how long a log that is just being recovered is waited for
constexpr int instructions_between_looks =
    10000;  // of SQLite's virtual machine, between two looks at the clock
// Longer than a busy writer's rows wait for the catalogue (lister.h), so that only a dead one's are missing.
constexpr std::chrono::milliseconds listing_patience{3000}, between_looks{10};
constexpr std::size_t shown_sql = 200;  // octets of a statement quoted in an error

using Clock = std::chrono::steady_clock;

// Pragmas that describe the schema, with the table or index they are asked about; all others change something
// or tell about the machine. Those with a value to set are harmless only without it.
bool harmless_pragma(std::string_view name, const char* argument) {
  for (const std::string_view known : {"table_info", "table_xinfo", "table_list", "index_list", "index_info",
                                       "index_xinfo", "foreign_key_list"})
    if (name == known) return true;
  return argument == nullptr && (name == "user_version" || name == "application_id");
}

int permit(void*, int action, const char* first, const char* second, const char*, const char*) {
  switch (action) {
    case SQLITE_SELECT:
    case SQLITE_READ:
    case SQLITE_FUNCTION:
    case SQLITE_RECURSIVE:
      return SQLITE_OK;
    case SQLITE_PRAGMA:
      return harmless_pragma(first, second) ? SQLITE_OK : SQLITE_DENY;
    case SQLITE_UPDATE:
      // Declaring a table-valued function (json_each) asks for this and does nothing; a statement that means
      // it is no read-only one, and refused for that.
      return std::string_view(first) == "sqlite_master" ? SQLITE_OK : SQLITE_DENY;
    default:
      return SQLITE_DENY;
  }
}

std::string quoted(std::string_view sql) {
  return "\"" + std::string(sql.substr(0, shown_sql)) + (sql.size() > shown_sql ? "..." : "") + "\"";
}

// What was committed before now shows in the views once the writer has listed it, a moment later. A file
// whose writer was killed may hold rows that nobody lists. True: there are some.
bool some_stay_unlisted(Connection& connection, const std::string& schema) {
  const auto last = connection.integer("SELECT coalesce(max(id), 0) FROM " + schema + ".asked");
  auto unlisted = connection.prepare("SELECT EXISTS (SELECT 1 FROM " + schema + ".unlisted WHERE id <= ?1)");
  if (!last || !unlisted) return false;  // an older file has no such view
  unlisted->bind(1, *last);
  for (const auto until = Clock::now() + listing_patience; Clock::now() < until;) {
    const bool some = unlisted->step() == SQLITE_ROW && unlisted->integer(0) != 0;
    unlisted->reset();
    if (!some) return false;
    std::this_thread::sleep_for(between_looks);
  }
  return true;
}

Result<Connection> open_first(const std::string& path) {
  if (::access(path.c_str(), F_OK) != 0)  // SQLite would only say that it cannot
    return failure("cannot open journal \"" + path + "\": " + std::strerror(errno));
  if (auto checked = check_journal_path(path); !checked) return tl::unexpected(checked.error());
  auto connection = Connection::open(path, SQLITE_OPEN_READONLY);
  if (!connection) return connection;
  sqlite3_db_config(connection->raw(), SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, nullptr);
  sqlite3_busy_timeout(connection->raw(), reader_busy_ms);
  // The file's size decides what an analyst can sort, not a temporary folder that may not exist.
  if (auto done = connection->run("PRAGMA temp_store = MEMORY"); !done) return tl::unexpected(done.error());
  if (auto checked = check_journal_identity(*connection, static_cast<std::int64_t>(migrations().size()));
      !checked)
    return tl::unexpected(checked.error());
  return connection;
}

std::string schema_of(std::size_t file) {
  return file == 0 ? "main" : "j" + std::to_string(file);
}

std::string sql_text(const std::string& text) {
  std::string out = "'";
  for (const char c : text) out += c == '\'' ? std::string("''") : std::string(1, c);
  return out + "'";
}

// The further files beside the first, checked as it was.
Result<void> attach_others(Connection& connection, std::span<const std::string> paths) {
  const auto version = connection.integer("PRAGMA user_version");
  if (!version) return tl::unexpected(version.error());
  for (std::size_t i = 1; i < paths.size(); ++i) {
    auto alone = open_first(paths[i]);
    if (!alone) return tl::unexpected(alone.error());
    const auto other = alone->integer("PRAGMA user_version");
    if (!other) return tl::unexpected(other.error());
    if (*other != *version)
      return failure("cannot read journals together: \"" + paths[0] + "\" is of version " +
                     std::to_string(*version) + ", \"" + paths[i] + "\" of version " +
                     std::to_string(*other));
    const std::string attach = "ATTACH " + sql_text(paths[i]) + " AS " + schema_of(i);
    if (auto done = connection.run(attach.c_str()); !done) return done;
  }
  return {};
}

// Views in front of the files' own: of several files, and with what a killed writer left unlisted.
Result<void> shadow_views(Connection& connection, std::span<const std::string> paths, Listing listing) {
  std::vector<bool> unlisted;
  bool any = paths.size() > 1;
  for (std::size_t i = 0; i < paths.size(); ++i) {
    unlisted.push_back(listing == Listing::waited_for && some_stay_unlisted(connection, schema_of(i)));
    any = any || unlisted.back();
  }
  if (!any) return {};
  auto views = connection.prepare("SELECT name FROM main.sqlite_schema WHERE type = 'view' ORDER BY name");
  if (!views) return tl::unexpected(views.error());
  std::string sql;
  while (views->step() == SQLITE_ROW) {
    const std::string view = views->text(0);
    std::string parts;
    for (std::size_t i = 0; i < paths.size(); ++i) {
      const std::string journal = paths.size() > 1 ? ", " + sql_text(paths[i]) + " AS journal" : "";
      const auto from = [&](const std::string& name) {
        parts += (parts.empty() ? "SELECT *" : " UNION ALL SELECT *") + journal + " FROM " + schema_of(i) +
                 "." + name;
      };
      from(view);
      if (view == "queries" && unlisted[i]) from("unlisted");
    }
    sql += "CREATE TEMP VIEW " + view + " AS " + parts + ";";
  }
  views->reset();
  return connection.run(sql.c_str());
}

CellKind kind_of(int sqlite_type) {
  if (sqlite_type == SQLITE_NULL) return CellKind::null;
  return sqlite_type == SQLITE_INTEGER || sqlite_type == SQLITE_FLOAT ? CellKind::number : CellKind::text;
}

}  // namespace

Result<Table> run_sql(std::span<const std::string> paths, std::string_view sql, std::size_t limit,
                      std::chrono::milliseconds time_limit, Listing listing) {
  if (paths.empty() || paths.size() > max_sql_files)
    return failure("cannot read " + std::to_string(paths.size()) + " journals at once; at most " +
                   std::to_string(max_sql_files));
  auto connection = open_first(paths[0]);
  if (!connection) return tl::unexpected(connection.error());
  sqlite3* raw = connection->raw();
  if (auto done = attach_others(*connection, paths); !done) return tl::unexpected(done.error());
  if (auto done = shadow_views(*connection, paths, listing); !done) return tl::unexpected(done.error());
  if (auto done = connection->run("PRAGMA query_only = ON"); !done) return tl::unexpected(done.error());
  sqlite3_set_authorizer(raw, permit, nullptr);
  Clock::time_point deadline = Clock::now() + time_limit;
  sqlite3_progress_handler(
      raw, instructions_between_looks,
      [](void* until) { return Clock::now() >= *static_cast<Clock::time_point*>(until) ? 1 : 0; }, &deadline);

  const auto refuse = [&](const std::string& why) {
    return failure("cannot run " + quoted(sql) + ": " + why);
  };
  sqlite3_stmt* prepared = nullptr;
  const char* rest = nullptr;
  const int code = sqlite3_prepare_v2(raw, sql.data(), static_cast<int>(sql.size()), &prepared, &rest);
  Statement statement(prepared);
  if ((code & 0xff) == SQLITE_AUTH) return refuse("a journal can only be read here");
  if (code != SQLITE_OK) return refuse(connection->error());
  if (prepared != nullptr &&
      sqlite3_stmt_readonly(prepared) == 0)  // VACUUM asks the authorizer only when it runs
    return refuse("a journal can only be read here");
  if (prepared == nullptr) return refuse("there is no statement");
  const std::string_view after(rest, static_cast<std::size_t>(sql.data() + sql.size() - rest));
  if (after.find_first_not_of(" \t\r\n;") != std::string_view::npos)
    return refuse("give one statement at a time");

  Table table;
  const int columns = sqlite3_column_count(prepared);
  for (int i = 0; i < columns; ++i) table.columns.emplace_back(sqlite3_column_name(prepared, i));
  for (;;) {
    const int step = statement.step();
    if (step == SQLITE_DONE) return table;
    if ((step & 0xff) == SQLITE_INTERRUPT)
      return refuse("it took longer than " + std::to_string(time_limit.count()) + " ms");
    if (step != SQLITE_ROW) return refuse(connection->error());
    if (table.rows.size() == limit) {
      table.cut_off = true;
      return table;
    }
    auto& row = table.rows.emplace_back();
    row.reserve(static_cast<std::size_t>(columns));
    auto& kinds = table.kinds.emplace_back();
    kinds.reserve(static_cast<std::size_t>(columns));
    for (int i = 0; i < columns; ++i) {
      kinds.push_back(kind_of(sqlite3_column_type(prepared, i)));  // before it is made text of
      row.push_back(statement.text(i));
    }
  }
}

}  // namespace postern

// The analyst's side: a read-only connection that can do nothing but SELECT.
#include "resolver/journal/reader.h"

#include <sys/stat.h>

#include <cerrno>
#include <cstring>

#include "resolver/journal/backlog.h"
#include "resolver/journal/open_to_read.h"
#include "resolver/journal/shadow_views.h"
#include "rules/quote.h"
#include "rules/terminal_text.h"

namespace postern {
namespace {

// Of SQLite's virtual machine, between two looks at the clock.
constexpr int instructions_between_looks = 10000;

using Clock = std::chrono::steady_clock;

// Pragmas that describe the schema, with the table or index they are asked about; all others change something
// or tell about the machine. Those with a value to set are harmless only without it.
bool harmless_pragma(std::string_view name, const char* argument) {
  for (const std::string_view known : {"table_info", "table_xinfo", "table_list", "index_list", "index_info",
                                       "index_xinfo", "foreign_key_list"})
    if (name == known) return true;
  return argument == nullptr && (name == "user_version" || name == "application_id");
}

bool same_name(const char* a, const char* b) {  // as SQLite compares them
  return sqlite3_stricmp(a, b) == 0;
}

// `table` is read, for the columns of `view` (null: of the statement itself).
void note_read(CatalogueReads& reads, const char* table, const char* view) {
  const auto of = [&](const char* name) { return view != nullptr && same_name(view, name); };
  if (same_name(table, "queries") || of("queries")) reads.queries = true;
  if (of("queries") || of("unlisted")) return;  // these read the catalogue, and lack nothing of it
  for (const char* sums : {"listed", "tally", "domain_total", "sandbox_total", "resolved"})
    if (same_name(table, sums)) reads.sums = true;
}

// Notes in `data` what a statement reads while SQLite prepares it.
int permit(void* data, int action, const char* first, const char* second, const char*, const char* view) {
  switch (action) {
    case SQLITE_READ:
      note_read(*static_cast<CatalogueReads*>(data), first, view);
      return SQLITE_OK;
    case SQLITE_SELECT:
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

// The same for our own SQL, which makes views and tables of the connection's alone: the file's SQL, should it
// come in there, can do no more. VACUUM INTO attaches what it writes.
int permit_views(void*, int action, const char* first, const char* second, const char* schema, const char*) {
  switch (action) {
    case SQLITE_READ:
    case SQLITE_SELECT:
    case SQLITE_FUNCTION:
    case SQLITE_RECURSIVE:
    case SQLITE_TRANSACTION:
    case SQLITE_CREATE_TEMP_VIEW:
    case SQLITE_DROP_TEMP_VIEW:
      return SQLITE_OK;
    case SQLITE_CREATE_TABLE:
    case SQLITE_INSERT:
    case SQLITE_DELETE:
      return schema != nullptr && std::string_view(schema) == "temp" ? SQLITE_OK : SQLITE_DENY;
    case SQLITE_UPDATE:  // likewise, or of what is declared: see permit()
      return (schema != nullptr && std::string_view(schema) == "temp") ||
                     std::string_view(first) == "sqlite_master"
                 ? SQLITE_OK
                 : SQLITE_DENY;
    case SQLITE_PRAGMA:
      return harmless_pragma(first, second) ? SQLITE_OK : SQLITE_DENY;
    default:
      return SQLITE_DENY;
  }
}

// What tells a file and its copies from other journals.
struct Identity {
  dev_t device = 0;
  ino_t inode = 0;
  std::string journal_id;  // empty: never sealed
};

Result<Identity> identity_of(Connection& connection) {
  struct stat about {};
  if (::stat(connection.path().c_str(), &about) != 0)
    return failure("cannot open journal \"" + connection.path() + "\": " + std::strerror(errno));
  auto id = connection.text("SELECT value FROM meta WHERE key = 'journal_id'");
  if (!id) return tl::unexpected(id.error());
  return Identity{about.st_dev, about.st_ino, std::move(*id)};
}

// Rows that two files have would count twice.
Result<void> check_apart(std::span<const std::string> paths, std::span<const Identity> before,
                         const Identity& last) {
  for (std::size_t i = 0; i < before.size(); ++i) {
    const auto refuse = [&](const char* why) {
      return failure("cannot read journals together: \"" + paths[i] + "\" and \"" + paths[before.size()] +
                     "\" are " + why + ": its rows would count twice");
    };
    if (before[i].device == last.device && before[i].inode == last.inode) return refuse("one file");
    if (!last.journal_id.empty() && before[i].journal_id == last.journal_id)
      return refuse("one journal, or copies of it");
  }
  return {};
}

// The further files beside the first, checked as it was.
Result<void> attach_others(Connection& connection, std::span<const std::string> paths) {
  if (paths.size() == 1) return {};
  const auto version = connection.integer("PRAGMA user_version");
  if (!version) return tl::unexpected(version.error());
  std::vector<Identity> identities;
  const auto check_next = [&](Connection& next) -> Result<void> {
    auto identity = identity_of(next);
    if (!identity) return tl::unexpected(identity.error());
    auto apart = check_apart(paths, identities, *identity);
    identities.push_back(std::move(*identity));
    return apart;
  };
  if (auto checked = check_next(connection); !checked) return checked;
  for (std::size_t i = 1; i < paths.size(); ++i) {
    std::string uri;
    auto alone = open_to_read_journal(paths[i], &uri);
    if (!alone) return tl::unexpected(alone.error());
    if (auto checked = check_next(*alone); !checked) return checked;
    const auto other = alone->integer("PRAGMA user_version");
    if (!other) return tl::unexpected(other.error());
    if (*other != *version)
      return failure("cannot read journals together: \"" + paths[0] + "\" is of version " +
                     std::to_string(*version) + ", \"" + paths[i] + "\" of version " +
                     std::to_string(*other));
    auto attach = connection.prepare("ATTACH ?1 AS " + schema_of_file(i));
    if (!attach) return tl::unexpected(attach.error());
    attach->bind(1, std::string_view(uri));
    if (attach->run() != SQLITE_OK) return tl::unexpected(connection.failed("cannot attach"));
  }
  return {};
}

// Searches without a way in, of the tables that `queries` is made of (its SQL names them so).
Result<int> full_scans(Connection& connection, std::string_view sql) {
  auto plan = connection.prepare("EXPLAIN QUERY PLAN " + std::string(sql));
  if (!plan) return tl::unexpected(plan.error());
  int scans = 0;
  for (int code = SQLITE_ROW; (code = plan->step()) == SQLITE_ROW;) {
    const std::string step = plan->text(3) + " ";
    for (const char* scan : {"SCAN x ", "SCAN a ", "SCAN n ", "SCAN d ", "SCAN s "})
      if (step.starts_with(scan)) ++scans;
  }
  return scans;
}

// Begins the transaction that `sql` is to be run in, with what is not listed yet in `queries`, if it reads
// that, and says what it lacks all the same. Where the view would make SQLite go through all queries to join
// them, what is on record is waited for until it is listed, so that the file's own view has it; likewise if
// `wait` is asked for.
Result<std::vector<Lack>> begin_with_unlisted(Connection& connection, ShadowViews& views, Backlog& backlog,
                                              std::string_view sql, const CatalogueReads& reads, bool wait) {
  const auto begin = [&]() -> Result<bool> {
    if (auto begun = connection.run("BEGIN"); !begun) return tl::unexpected(begun.error());
    if (auto looked = backlog.look(); !looked) return tl::unexpected(looked.error());
    return reads.queries ? views.add_unlisted(backlog.files_to_add()) : Result<bool>(false);
  };
  if (wait) backlog.wait();
  const int scans = reads.queries ? full_scans(connection, sql).value_or(0) : 0;
  auto added = begin();
  if (added && *added && backlog.may_wait() && full_scans(connection, sql).value_or(0) > scans) {
    if (auto over = connection.run("ROLLBACK"); !over)
      return tl::unexpected(over.error());  // the view is as it was
    backlog.wait();
    added = begin();
  }
  if (!added) return tl::unexpected(added.error());
  return backlog.lacks(reads);
}

CellKind kind_of(int sqlite_type) {
  if (sqlite_type == SQLITE_NULL) return CellKind::null;
  return sqlite_type == SQLITE_INTEGER || sqlite_type == SQLITE_FLOAT ? CellKind::number : CellKind::text;
}

}  // namespace

Result<Table> run_sql(std::span<const std::string> paths, std::string_view sql, std::size_t limit,
                      std::chrono::milliseconds time_limit, bool wait) {
  if (paths.empty() || paths.size() > max_sql_files)
    return failure("cannot read " + std::to_string(paths.size()) + " journals at once; at most " +
                   std::to_string(max_sql_files));
  auto connection = open_to_read_journal(paths[0]);
  if (!connection) return tl::unexpected(connection.error());
  sqlite3* raw = connection->raw();
  // The file's size decides what an analyst can sort, not a temporary folder that may not exist.
  if (auto done = connection->run("PRAGMA temp_store = MEMORY"); !done) return tl::unexpected(done.error());
  if (auto done = attach_others(*connection, paths); !done) return tl::unexpected(done.error());
  sqlite3_set_authorizer(raw, permit_views, nullptr);
  ShadowViews views(*connection, paths);
  if (auto done = views.create(); !done) return tl::unexpected(done.error());
  CatalogueReads reads;

  const auto refuse = [&](const std::string& why) {
    return failure("cannot run " + quoted(sql) + ": " + escaped(why));
  };
  const auto prepare = [&]() -> Result<Statement> {
    sqlite3_set_authorizer(raw, permit, &reads);
    sqlite3_stmt* made = nullptr;
    const char* rest = nullptr;
    const int code = sqlite3_prepare_v2(raw, sql.data(), static_cast<int>(sql.size()), &made, &rest);
    Statement statement(made);
    if ((code & 0xff) == SQLITE_AUTH) return refuse("a journal can only be read here");
    if (code != SQLITE_OK) {
      const std::string why = connection->error();
      const std::size_t at = why.find(table_of_several);
      return refuse(at == std::string::npos ? why : why.substr(at, why.rfind(" (SQLite error") - at));
    }
    if (made != nullptr && sqlite3_stmt_readonly(made) == 0)  // VACUUM asks the authorizer only when it runs
      return refuse("a journal can only be read here");
    if (made == nullptr) return refuse("there is no statement");
    const std::string_view after(rest, static_cast<std::size_t>(sql.data() + sql.size() - rest));
    if (after.find_first_not_of(" \t\r\n;") != std::string_view::npos)
      return refuse("give one statement at a time");
    return statement;
  };
  auto first = prepare();
  if (!first) return tl::unexpected(first.error());
  Statement statement = std::move(*first);
  Table table;
  if (reads.any()) {
    statement = Statement();
    sqlite3_set_authorizer(raw, permit_views, nullptr);
    Backlog backlog(*connection, paths);
    auto begun = begin_with_unlisted(*connection, views, backlog, sql, reads, wait);
    if (!begun) return tl::unexpected(begun.error());
    table.lacks = std::move(*begun);
    auto again = prepare();
    if (!again) return tl::unexpected(again.error());
    statement = std::move(*again);
  }
  sqlite3_set_authorizer(raw, nullptr, nullptr);
  if (auto done = connection->run("PRAGMA query_only = ON"); !done) return tl::unexpected(done.error());
  sqlite3_set_authorizer(raw, permit, &reads);
  Clock::time_point deadline = Clock::now() + time_limit;
  sqlite3_progress_handler(
      raw, instructions_between_looks,
      [](void* until) { return Clock::now() >= *static_cast<Clock::time_point*>(until) ? 1 : 0; }, &deadline);

  const int columns = sqlite3_column_count(statement.raw());
  for (int i = 0; i < columns; ++i) table.columns.emplace_back(sqlite3_column_name(statement.raw(), i));
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
      kinds.push_back(kind_of(sqlite3_column_type(statement.raw(), i)));  // before it is made text of
      row.push_back(statement.text(i));
    }
  }
}

}  // namespace postern

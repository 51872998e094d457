// Views in front of the files' views: their SQL.
#include "resolver/journal/shadow_views.h"

#include <algorithm>

#include "resolver/journal/name_text.h"
#include "resolver/journal/schema.h"
#include "resolver/journal/shifted_ids.h"
#include "resolver/journal/sql_name.h"

namespace postern {
namespace {

// The columns that hold an id of a row: unique over the files.
bool is_id(const std::string& column) {
  return column == "id" || column == "query_id" || column == "alert_id" || column == "first_query_id";
}

// Views whose rows are found by id: too many for anything but an index.
bool is_of_queries(const std::string& view) {
  return view == "queries" || view == "on_record";
}

std::string sql_text(const std::string& text) {
  std::string out = "'";
  for (const char c : text) out += c == '\'' ? std::string("''") : std::string(1, c);
  return out + "'";
}

constexpr const char* reversed =
    "CASE v.name_reversed WHEN '' THEN reversed_labels(v.name) ELSE v.name_reversed END";

std::string rows_table(std::size_t file) {
  return "unlisted_rows_" + std::to_string(file);
}

// How a column of several files' is made of theirs (`p`), grouped.
struct Summed {
  const char* view;
  const char* key;  // what a row is of
  const char* columns;
};
constexpr Summed summed[] = {
    {"sessions", "session, user",
     "sum(sandboxes) AS sandboxes, min(record_protected) AS record_protected, min(first_attached) AS "
     "first_attached, min(first_attached_us) AS first_attached_us, max(last_detached_us) AS "
     "last_detached_us, "
     "sum(queries) AS queries, sum(blocked) AS blocked, sum(charge_bits) AS charge_bits, sum(alerts) AS "
     "alerts"},
    {"domains", "registered_domain",
     "min(first_seen) AS first_seen, min(first_seen_us) AS first_seen_us, sum(queries) AS queries, "
     "sum(blocked) AS blocked, sum(nxdomain) AS nxdomain, sum(charge_bits) AS charge_bits, sum(sandboxes) AS "
     "sandboxes, max(last_seen_us) AS last_seen_us"},
    // With one min() SQLite takes the other columns from the row that has it
    // (https://www.sqlite.org/lang_select.html#bareagg).
    {"resolutions", "value, name", "registered_domain, min(first_seen_us) AS first_seen_us, first_query_id"},
};

void reverse(sqlite3_context* out, int, sqlite3_value** values) {
  const auto* octets = reinterpret_cast<const char*>(sqlite3_value_text(values[0]));
  if (octets == nullptr) return sqlite3_result_null(out);
  const std::string text =
      reversed_labels({octets, static_cast<std::size_t>(sqlite3_value_bytes(values[0]))});
  sqlite3_result_text(out, text.data(), static_cast<int>(text.size()), SQLITE_TRANSIENT);
}

}  // namespace

std::string newly_observed_sql(const std::string& schema, const std::string& first_us) {
  const std::string day = std::to_string(newly_observed_us);
  return "CASE WHEN v.registered_domain = '' THEN 0 ELSE coalesce((SELECT v.time_us - d.first_us BETWEEN 0 "
         "AND " +
         day + " FROM " + schema +
         ".domain AS d WHERE d.text = v.registered_domain), CASE WHEN v.time_us - " + first_us +
         " <= " + day + " THEN 1 END) END";
}

std::string schema_of_file(std::size_t file) {
  return file == 0 ? "main" : "j" + std::to_string(file);
}

Result<void> ShadowViews::create() {
  if (sqlite3_create_function(connection_.raw(), "reversed_labels", 1,
                              SQLITE_UTF8 | SQLITE_DETERMINISTIC | SQLITE_INNOCUOUS, nullptr, reverse,
                              nullptr, nullptr) != SQLITE_OK)
    return tl::unexpected(connection_.failed("cannot prepare to read"));
  for (std::size_t i = 1; i < paths_.size(); ++i)
    if (auto offered = offer_shifted_ids(connection_, i); !offered) return offered;
  if (auto known = know_views(); !known) return known;
  std::string sql;
  for (const View& view : views_) {
    // A file's own view is as good, and nearer to what other tools see.
    if (!several() && view.name != "on_record" && view.name != "unlisted") continue;
    const std::string made = "CREATE TEMP VIEW " + sql_name(view.name) + " AS " + whole(view) + ";";
    if (view.name == "queries") queries_ = made;
    sql += made;
  }
  auto tables = connection_.prepare(
      "SELECT name FROM main.sqlite_schema WHERE type IN ('table', 'view') AND name NOT LIKE 'sqlite%'"
      " ORDER BY name");
  if (!tables) return tl::unexpected(tables.error());
  // A view in front of each table, and of each view of somebody else's, of something that is not there:
  // SQLite says so, and we in its words.
  int step = several() ? SQLITE_ROW : SQLITE_DONE;
  while (step == SQLITE_ROW && (step = tables->step()) == SQLITE_ROW) {
    const std::string table = tables->text(0);
    if (is_known(table)) continue;
    const std::string why = table_of_several + table +
                            ": ask the views, which are of all of them, or say main." + table +
                            " for the first file's, j1." + table + " for the second's";
    sql += "CREATE TEMP VIEW " + sql_name(table) + " AS SELECT * FROM temp." + sql_name(why) + ";";
  }
  tables->reset();
  if (step != SQLITE_DONE) return tl::unexpected(connection_.failed("cannot read the tables' names"));
  return sql.empty() ? Result<void>() : connection_.run(sql.c_str());
}

Result<void> ShadowViews::know_views() {
  const auto version = connection_.integer("PRAGMA main.user_version");
  if (!version) return tl::unexpected(version.error());
  const auto known = migrations();
  auto fresh = Connection::open(":memory:", SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE);
  if (!fresh) return tl::unexpected(fresh.error());
  const auto upto = std::clamp<std::int64_t>(*version, 0, static_cast<std::int64_t>(known.size()));
  if (auto made = migrate(*fresh, known.first(static_cast<std::size_t>(upto))); !made) return made;
  auto columns = fresh->prepare(
      "SELECT s.name, c.name FROM sqlite_schema AS s JOIN pragma_table_info(s.name) AS c"
      " WHERE s.type = 'view' ORDER BY s.name, c.cid");
  if (!columns) return tl::unexpected(columns.error());
  int code = SQLITE_ROW;
  while ((code = columns->step()) == SQLITE_ROW) {
    if (views_.empty() || views_.back().name != columns->text(0)) views_.push_back({columns->text(0), {}});
    views_.back().columns.push_back(columns->text(1));
  }
  if (code != SQLITE_DONE) return tl::unexpected(fresh->failed("cannot read"));
  return {};
}

bool ShadowViews::is_known(const std::string& name) const {  // as SQLite compares names
  return std::any_of(views_.begin(), views_.end(),
                     [&](const View& view) { return sqlite3_stricmp(view.name.c_str(), name.c_str()) == 0; });
}

// What a view shows of one file, from `from` in the place of its view.
std::string ShadowViews::arm(const View& view, std::size_t file, const std::string& from) const {
  const bool late = view.name == "on_record" || view.name == "unlisted";
  const std::string schema = schema_of_file(file);
  const std::string shift = file == 0 ? "" : " + " + std::to_string(shift_of_file(file));
  const bool by_table = file > 0 && is_of_queries(view.name);
  std::string sql = "SELECT ";
  for (const std::string& column : view.columns) {
    std::string value = "v." + sql_name(column);
    if (column == "id" && by_table)
      value = "f.id";
    else if (is_id(column))
      value += shift;
    else if (late && column == "name_reversed")
      value = reversed;
    else if (late && column == "newly_observed_domain")
      value = newly_observed_sql(schema, "NULL");
    sql += (&column == &view.columns.front() ? "" : ", ") + value + " AS " + sql_name(column);
  }
  if (several()) sql += ", " + sql_text(paths_[file]) + " AS journal";
  sql += " FROM " + schema + "." + sql_name(from) + " AS v";
  if (by_table) sql += " JOIN shifted_" + std::to_string(file) + " AS f ON f.raw = v.id";
  return sql;
}

std::string ShadowViews::whole(const View& view) const {
  std::string arms;
  for (std::size_t i = 0; i < paths_.size(); ++i)
    arms += (i == 0 ? "" : " UNION ALL ") + arm(view, i, view.name);
  if (!several()) return arms;
  for (const Summed& one : summed)
    if (view.name == one.view)
      arms = "SELECT " + std::string(one.key) + ", " + one.columns +
             ", CASE count(*) WHEN 1 THEN group_concat(journal) END AS journal FROM (" + arms +
             ") GROUP BY " + one.key;
  return over_files(view).empty() ? arms : over_files(view) + " FROM (" + arms + ") AS g";
}

// Columns of several files that no sum of theirs is: looked up for the row `g`, if they are asked for.
std::string ShadowViews::over_files(const View& view) const {
  std::string names, firsts;
  for (std::size_t i = 0; i < paths_.size(); ++i) {
    const std::string schema = schema_of_file(i), shift = std::to_string(shift_of_file(i));
    names += (i == 0 ? "SELECT n.text FROM " : " UNION SELECT n.text FROM ") + schema + ".domain AS d JOIN " +
             schema + ".name AS n ON n.domain = d.id WHERE d.text = g.registered_domain";
    firsts +=
        (i == 0 ? "SELECT d.first_us, d.first_asked + " : " UNION ALL SELECT d.first_us, d.first_asked + ") +
        shift + " AS id FROM " + schema + ".domain AS d WHERE d.text = g.registered_domain";
  }
  std::string sql;
  for (const std::string& column : view.columns) {
    std::string value = "g." + sql_name(column);
    if (view.name == "domains" && column == "names")
      value = "(SELECT count(*) FROM (" + names + "))";
    else if (view.name == "domains" && column == "first_query_id")
      value = "(SELECT id FROM (" + firsts + ") ORDER BY first_us LIMIT 1)";
    else if (view.name == "sessions" && column == "codes")
      value =
          "(SELECT count(DISTINCT s.code_sha256) FROM sandboxes AS s WHERE s.session = g.session AND"
          " s.user = g.user)";
    else if (view.name == "sessions" && column == "registered_domains")
      value =
          "(SELECT count(DISTINCT u.registered_domain) FROM usage AS u WHERE u.session = g.session AND"
          " u.user = g.user)";
    else if (view.name != "resolutions" && view.name != "sessions" && view.name != "domains")
      return "";
    sql += (sql.empty() ? "SELECT " : ", ") + value + " AS " + sql_name(column);
  }
  return sql + ", g.journal AS journal";
}

std::string ShadowViews::unlisted_arm(std::size_t file, const std::string& first_us, bool by_id) const {
  const auto view =
      std::find_if(views_.begin(), views_.end(), [](const View& one) { return one.name == "queries"; });
  const std::string schema = schema_of_file(file);
  std::string sql;
  for (const std::string& column : view->columns) {
    std::string value = "v." + sql_name(column);
    if (column == "id" && file > 0) value += " + " + std::to_string(shift_of_file(file));
    if (column == "name_reversed") value = reversed;
    if (column == "newly_observed_domain") value = newly_observed_sql(schema, first_us);
    sql += (sql.empty() ? "SELECT " : ", ") + value + " AS " + sql_name(column);
  }
  if (several()) sql += ", " + sql_text(paths_[file]) + " AS journal";
  if (!by_id) return sql + " FROM " + schema + ".unlisted AS v";
  return sql + " FROM temp." + rows_table(file) + " AS u CROSS JOIN " + schema +
         ".on_record AS v ON v.id = u.id";
}

Result<bool> ShadowViews::add_unlisted(std::span<const std::size_t> files) {
  std::string arms;
  for (const std::size_t i : files) {
    auto rows = unlisted_rows(connection_, schema_of_file(i));
    if (!rows) return tl::unexpected(rows.error());
    if (rows->has_value() && (*rows)->ids.empty()) continue;
    if (rows->has_value()) {
      const std::string table = "temp." + rows_table(i);
      if (auto made = connection_.run(("CREATE TABLE " + table + " (id INTEGER PRIMARY KEY)").c_str()); !made)
        return tl::unexpected(made.error());
      auto insert = connection_.prepare("INSERT INTO " + table + " (id) VALUES (?1)");
      if (!insert) return tl::unexpected(insert.error());
      for (const std::int64_t id : (*rows)->ids) {
        insert->bind(1, id);
        if (insert->run() != SQLITE_OK) return tl::unexpected(connection_.failed("cannot read"));
      }
    }
    arms += " UNION ALL " + unlisted_arm(i, rows->has_value() ? std::to_string((*rows)->first_us) : "NULL",
                                         rows->has_value());
  }
  if (arms.empty()) return false;
  std::string sql = "DROP VIEW IF EXISTS temp.queries;";
  sql += queries_.empty() ? "CREATE TEMP VIEW queries AS SELECT * FROM main.queries"
                          : queries_.substr(0, queries_.size() - 1);
  if (auto made = connection_.run((sql + arms).c_str()); !made) return tl::unexpected(made.error());
  return true;
}

}  // namespace postern

// Rows that are not in the catalogue yet: those above the mark, less those that are listed.
#include "resolver/journal/unlisted_rows.h"

#include <algorithm>
#include <limits>
#include <set>

namespace postern {
namespace {

struct Above {
  std::int64_t id = 0, time_us = 0;
  bool listed = false;
};

constexpr std::int64_t most_newest = std::int64_t{1} << 17;

Result<bool> has_catalogue(Connection& connection, const std::string& schema) {
  const auto catalogue =
      connection.integer("SELECT count(*) FROM " + schema + ".sqlite_schema WHERE name = 'listed'");
  return catalogue ? Result<bool>(*catalogue != 0) : tl::unexpected(catalogue.error());
}

Result<std::int64_t> mark_of(Connection& connection, const std::string& schema) {
  return connection.integer("SELECT CAST(value AS INTEGER) FROM " + schema +
                            ".meta WHERE key = 'listed_upto'");
}

// Is one of `most` rows above the mark, from its end on or from the newest back, not listed and asked before
// `before_us`?
enum class From { mark, newest };
Result<bool> lacks_some(Connection& connection, const std::string& schema, From from, std::int64_t most,
                        std::int64_t before_us) {
  const auto catalogue = has_catalogue(connection, schema);
  if (!catalogue || !*catalogue) return catalogue;
  const auto mark = mark_of(connection, schema);
  if (!mark) return tl::unexpected(mark.error());
  auto some =
      connection.prepare("SELECT 1 FROM (SELECT id, sandbox, time_us FROM " + schema +
                         ".asked WHERE id > ?1 ORDER BY id " + (from == From::newest ? "DESC" : "ASC") +
                         " LIMIT ?2) AS a WHERE a.time_us < ?3 AND NOT EXISTS"
                         " (SELECT 1 FROM " +
                         schema + ".listed AS x WHERE x.sandbox = a.sandbox AND x.asked = a.id) LIMIT 1");
  if (!some) return tl::unexpected(some.error());
  some->bind(1, *mark);
  some->bind(2, most);
  some->bind(3, before_us);
  const int code = some->step();
  if (code != SQLITE_ROW && code != SQLITE_DONE) return tl::unexpected(connection.failed("cannot read"));
  return code == SQLITE_ROW;
}

}  // namespace

Result<bool> is_busy(Connection& connection, const std::string& schema, std::int64_t now_us) {
  // By rows, not by ids: what starts after a kill leaves 65,536 of them out.
  auto before =
      connection.prepare("SELECT time_us FROM " + schema + ".asked ORDER BY id DESC LIMIT 1 OFFSET ?1");
  if (!before) return tl::unexpected(before.error());
  before->bind(1, few_queries);
  const int code = before->step();
  if (code != SQLITE_ROW && code != SQLITE_DONE) return tl::unexpected(connection.failed("cannot read"));
  if (code == SQLITE_DONE) return false;
  const std::int64_t age_us = now_us - before->integer(0);
  return age_us >= 0 && age_us <= recent_us;
}

Result<bool> lacks_newest(Connection& connection, const std::string& schema) {
  return lacks_some(connection, schema, From::newest, most_newest, std::numeric_limits<std::int64_t>::max());
}

Result<bool> lacks_older(Connection& connection, const std::string& schema, std::int64_t before_us) {
  return lacks_some(connection, schema, From::mark, few_queries, before_us);
}

Result<std::optional<UnlistedRows>> unlisted_rows(Connection& connection, const std::string& schema) {
  const auto failed = [&] { return tl::unexpected(connection.failed("cannot read")); };
  const auto catalogue = has_catalogue(connection, schema);
  if (!catalogue) return tl::unexpected(catalogue.error());
  if (!*catalogue) return UnlistedRows{};
  const auto mark = mark_of(connection, schema);
  if (!mark) return tl::unexpected(mark.error());
  auto asked =
      connection.prepare("SELECT id, time_us, sandbox FROM " + schema + ".asked WHERE id > ?1 ORDER BY id");
  if (!asked) return tl::unexpected(asked.error());
  asked->bind(1, *mark);
  std::vector<Above> above;
  std::set<std::int64_t> sandboxes;
  int code = SQLITE_ROW;
  while ((code = asked->step()) == SQLITE_ROW) {
    if (above.size() == max_looked_at_unlisted) return std::optional<UnlistedRows>();
    above.push_back({asked->integer(0), asked->integer(1), false});
    sandboxes.insert(asked->integer(2));
  }
  if (code != SQLITE_DONE) return failed();
  auto listed = connection.prepare("SELECT asked FROM " + schema +
                                   ".listed WHERE sandbox = ?1 AND asked > ?2 ORDER BY asked");
  if (!listed) return tl::unexpected(listed.error());
  for (const std::int64_t sandbox : sandboxes) {
    listed->bind(1, sandbox);
    listed->bind(2, *mark);
    auto at = above.begin();
    while ((code = listed->step()) == SQLITE_ROW) {
      at = std::lower_bound(at, above.end(), listed->integer(0),
                            [](const Above& one, std::int64_t id) { return one.id < id; });
      if (at != above.end() && at->id == listed->integer(0)) at->listed = true;
    }
    if (code != SQLITE_DONE) return failed();
    listed->reset();
  }
  UnlistedRows rows;
  for (const Above& one : above) {
    if (one.listed) continue;
    rows.ids.push_back(one.id);
    rows.first_us = rows.first_us == 0 ? one.time_us : std::min(rows.first_us, one.time_us);
  }
  return rows;
}

}  // namespace postern

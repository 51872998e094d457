// Rows that are not in the catalogue yet: those above the mark, less those that are listed.
#include "resolver/journal/unlisted_rows.h"

#include <algorithm>
#include <set>

namespace postern {
namespace {

struct Above {
  std::int64_t id = 0, time_us = 0;
  bool listed = false;
};

}  // namespace

Result<std::optional<UnlistedRows>> unlisted_rows(Connection& connection, const std::string& schema) {
  const auto failed = [&] { return tl::unexpected(connection.failed("cannot read")); };
  const auto catalogue =
      connection.integer("SELECT count(*) FROM " + schema + ".sqlite_schema WHERE name = 'listed'");
  if (!catalogue) return tl::unexpected(catalogue.error());
  if (*catalogue == 0) return UnlistedRows{};
  const auto mark =
      connection.integer("SELECT CAST(value AS INTEGER) FROM " + schema + ".meta WHERE key = 'listed_upto'");
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

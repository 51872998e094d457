// The journal as a stream: one page, one transaction; in `follow`, what is not settled is asked for again.
#include "resolver/journal/log_reader.h"

#include <algorithm>
#include <deque>
#include <map>

#include "resolver/journal/name_text.h"
#include "resolver/journal/open_to_read.h"
#include "resolver/journal/schema.h"
#include "resolver/journal/shadow_views.h"
#include "resolver/journal/unlisted_rows.h"

namespace postern {
namespace {

constexpr const char* id_of_journal = "SELECT value FROM meta WHERE key = 'journal_id'";

const std::string& query_columns() {
  static const std::string sql =
      "SELECT id, time_us, sandbox, session, user, code_sha256, name, registered_domain, type, action, "
      "reason, rule, rcode, coalesce(ede, -1), cached, refresh, coalesce(upstream_us, -1), score, "
      "charge_bits, coalesce(answers, -1), data, policy, transport, name_reversed, coalesce(" +
      newly_observed_sql("main", "NULL") +
      ", -1), coalesce(monotonic_us, -1), coalesce(boot_id, ''), coalesce(process, ''), "
      "coalesce(code_line, '') FROM on_record AS v WHERE ";
  return sql;
}
constexpr const char* alert_columns =
    "SELECT id, time_us, sandbox, session, user, code_sha256, kind, zone, action, score, evidence, "
    "coalesce(query_id, 0), coalesce(query_name, ''), uid, severity, attack, first_us, last_us, "
    "coalesce((SELECT q.action FROM on_record AS q WHERE q.id = alerts.query_id), ''), "
    "coalesce((SELECT q.registered_domain FROM on_record AS q WHERE q.id = alerts.query_id), '') "
    "FROM alerts WHERE ";

LoggedQuery query_of(Statement& row) {
  LoggedQuery query;
  query.id = row.integer(0);
  query.time_us = row.integer(1);
  std::string* const texts[] = {&query.sandbox,     &query.session, &query.user,
                                &query.code_sha256, &query.name,    &query.registered_domain,
                                &query.type,        &query.action,  &query.reason,
                                &query.rule,        &query.rcode};
  int column = 2;
  for (std::string* text : texts) *text = row.text(column++);
  query.ede = row.integer(13);
  query.cached = row.integer(14) != 0;
  query.refresh = row.integer(15) != 0;
  query.upstream_us = row.integer(16);
  query.score = sqlite3_column_double(row.raw(), 17);
  query.charge_bits = sqlite3_column_double(row.raw(), 18);
  query.answers = row.integer(19);
  query.data = row.text(20);
  query.policy = row.text(21);
  query.transport = row.text(22);
  query.name_reversed = row.text(23);
  if (query.name_reversed.empty()) query.name_reversed = reversed_labels(query.name);  // not listed yet
  if (row.integer(24) >= 0) query.newly_observed_domain = row.integer(24) != 0;
  query.monotonic_us = row.integer(25);
  query.boot_id = row.text(26);
  query.process = row.text(27);
  query.code_line = row.text(28);
  return query;
}

LoggedAlert alert_of(Statement& row) {
  LoggedAlert alert;
  alert.id = row.integer(0);
  alert.time_us = row.integer(1);
  std::string* const texts[] = {&alert.sandbox, &alert.session, &alert.user,  &alert.code_sha256,
                                &alert.kind,    &alert.zone,    &alert.action};
  int column = 2;
  for (std::string* text : texts) *text = row.text(column++);
  alert.score = sqlite3_column_double(row.raw(), 9);
  alert.evidence = row.text(10);
  alert.query_id = row.integer(11);
  alert.query_name = row.text(12);
  alert.uid = row.text(13);
  alert.severity = row.text(14);
  alert.attack = row.text(15);
  alert.first_us = row.integer(16);
  alert.last_us = row.integer(17);
  alert.query_action = row.text(18);
  alert.query_registered_domain = row.text(19);
  return alert;
}

// But for the times.
bool matches(const LogFilter& filter, const LoggedQuery& query) {
  return (filter.sandbox.empty() || query.sandbox == filter.sandbox) &&
         (filter.session.empty() || query.session == filter.session) &&
         (filter.user.empty() || query.user == filter.user) &&
         (filter.domain.empty() || at_or_below(query.name, filter.domain)) &&
         (!filter.blocked || query.refused());
}

class Reader final : public LogReader {
 public:
  Reader(Connection connection, LogFilter filter, bool follow)
      : connection_(std::move(connection)), filter_(std::move(filter)), follow_(follow) {}

  Result<void> begin() {
    const auto last = connection_.integer("SELECT max(id) FROM on_record");
    if (!last) return tl::unexpected(last.error());
    const auto last_alert = connection_.integer("SELECT max(id) FROM alerts");
    if (!last_alert) return tl::unexpected(last_alert.error());
    if (follow_) past_ = {*last, *last_alert};
    at_.next = *last + 1;
    if (follow_ && filter_.past == LogFilter::Past::left_out) {
      at_.live = true;
      at_.last_alert = *last_alert;
    } else {
      const auto first = integer("SELECT min(id) FROM on_record WHERE time_us >= ?1", filter_.since_us);
      if (!first) return tl::unexpected(first.error());
      if (*first > 0) at_.next = std::min(at_.next, *first);
    }
    auto id = connection_.text(id_of_journal);
    if (!id) return tl::unexpected(id.error());
    id_ = std::move(*id);
    return {};
  }

  Result<Page> next(std::int64_t now_us) override {
    if (auto begun = connection_.run("BEGIN"); !begun) return tl::unexpected(begun.error());
    Position before = at_;
    auto page = read(now_us);
    connection_.exec("COMMIT");
    if (!page) at_ = std::move(before);
    return page;
  }

  Result<bool> is_another() override {
    const auto id = connection_.text(id_of_journal);
    if (!id) return tl::unexpected(id.error());
    if (id_.empty()) id_ = *id;  // its first seal is there now
    return *id != id_;
  }

 private:
  struct Range {
    std::int64_t from, to, since_us;
  };
  struct Position {
    bool live = false;            // in `follow`: everything before was read
    std::int64_t next = 0;        // the first id that was not looked at
    std::int64_t last_alert = 0;  // every alert up to this id was read
    std::deque<Range> unsettled;  // ids that may still come, or whose outcome may
  };

  Result<Page> read(std::int64_t now_us) {
    Page page;
    if (auto settled = look_again(now_us, page); !settled) return tl::unexpected(settled.error());
    const auto more = at_.live ? read_live(now_us, page) : read_window(now_us, page);
    if (!more) return tl::unexpected(more.error());
    page.end = !*more;
    if (auto told = tell_new_domains(page); !told) return tl::unexpected(told.error());
    if (auto read = read_alerts(page); !read) return tl::unexpected(read.error());
    for (LoggedQuery& query : page.queries) query.journal = id_.substr(0, journal_digits);
    for (LoggedAlert& alert : page.alerts) alert.journal = id_.substr(0, journal_digits);
    return page;
  }

  // A domain that the catalogue lacks was asked in rows alone that are not listed yet: within a day, if all
  // of those are. What a kill left may be older; then nobody has looked.
  Result<void> tell_new_domains(Page& page) {
    std::int64_t latest_us = 0;
    for (const LoggedQuery& query : page.queries)
      if (!query.newly_observed_domain) latest_us = std::max(latest_us, query.time_us);
    if (latest_us == 0) return {};
    const auto older = lacks_older(connection_, "main", latest_us - newly_observed_us);
    if (!older) return tl::unexpected(older.error());
    for (LoggedQuery& query : page.queries)
      if (!query.newly_observed_domain && !*older) query.newly_observed_domain = true;
    return {};
  }

  // What was written long ago: the filter is SQLite's, but for dots that a label holds. False: there is no
  // more.
  Result<bool> read_window(std::int64_t now_us, Page& page) {
    auto ahead = connection_.prepare("SELECT id FROM on_record WHERE id >= ?1 ORDER BY id LIMIT 1 OFFSET ?2");
    if (!ahead) return tl::unexpected(ahead.error());
    ahead->bind(1, at_.next);
    ahead->bind(2, std::int64_t{window_rows});
    const int stepped = ahead->step();
    if (stepped != SQLITE_ROW && stepped != SQLITE_DONE)
      return tl::unexpected(connection_.failed("cannot read"));
    const bool last_window = stepped == SQLITE_DONE;
    std::int64_t end = last_window ? INT64_MAX : ahead->integer(0);
    ahead->reset();
    if (last_window && follow_) {  // from here on rows may still be late
      const auto recent = integer("SELECT min(id) FROM on_record WHERE time_us >= ?1 AND id >= ?2",
                                  now_us - settle_us, at_.next);
      if (!recent) return tl::unexpected(recent.error());
      if (*recent > 0) end = *recent;
    }
    std::string where = "id >= :from AND id < :end";
    const auto also = [&](bool wanted, const char* condition) {
      if (wanted) where += std::string(" AND ") + condition;
    };
    also(!filter_.sandbox.empty(), "sandbox = :sandbox");
    also(!filter_.session.empty(), "session = :session");
    also(!filter_.user.empty(), "user = :user");
    also(!filter_.domain.empty(), "(name = :domain OR substr(name, -length(:domain) - 1) = '.' || :domain)");
    also(filter_.blocked, "action IN ('blocked', 'refused', 'dropped')");
    also(filter_.since_us > 0, "(time_us >= :since OR id > :past)");
    also(filter_.until_us < INT64_MAX, "(time_us < :until OR id > :past)");
    auto rows =
        connection_.prepare(query_columns() + where + " ORDER BY id LIMIT " + std::to_string(page_rows));
    if (!rows) return tl::unexpected(rows.error());
    const auto bind = [&](const char* name, const auto& value) {
      if (const int at = sqlite3_bind_parameter_index(rows->raw(), name); at > 0) rows->bind(at, value);
    };
    bind(":from", at_.next);
    bind(":end", end);
    bind(":sandbox", std::string_view(filter_.sandbox));
    bind(":session", std::string_view(filter_.session));
    bind(":user", std::string_view(filter_.user));
    bind(":domain", std::string_view(filter_.domain));
    bind(":past", past_.query);
    bind(":since", filter_.since_us);
    bind(":until", filter_.until_us);
    int code = 0, seen = 0;
    for (; (code = rows->step()) == SQLITE_ROW; ++seen) {
      LoggedQuery query = query_of(*rows);
      at_.next = query.id + 1;
      if (matches(filter_, query)) page.queries.push_back(std::move(query));
    }
    if (code != SQLITE_DONE) return tl::unexpected(connection_.failed("cannot read"));
    if (seen == page_rows) return true;
    if (!last_window) {
      at_.next = end;
      return true;
    }
    if (end != INT64_MAX) {
      at_.next = end;
    } else {
      const auto last = connection_.integer("SELECT max(id) FROM on_record");
      if (!last) return tl::unexpected(last.error());
      at_.next = std::max(at_.next, *last + 1);
    }
    at_.live = follow_;
    return follow_;
  }

  // What was written just now: every row is looked at, since a missing id may be one that comes late.
  Result<bool> read_live(std::int64_t now_us, Page& page) {
    auto rows =
        connection_.prepare(query_columns() + "id >= ?1 ORDER BY id LIMIT " + std::to_string(page_rows));
    if (!rows) return tl::unexpected(rows.error());
    rows->bind(1, at_.next);
    int code = 0, seen = 0;
    for (; (code = rows->step()) == SQLITE_ROW; ++seen) {
      LoggedQuery query = query_of(*rows);
      const bool recent = query.time_us > now_us - settle_us;
      if (recent && query.id > at_.next) at_.unsettled.push_back({at_.next, query.id - 1, query.time_us});
      at_.next = query.id + 1;
      if (recent && query.rcode == "unknown")
        at_.unsettled.push_back({query.id, query.id, query.time_us});
      else
        give(std::move(query), page);
    }
    if (code != SQLITE_DONE) return tl::unexpected(connection_.failed("cannot read"));
    return seen == page_rows;
  }

  Result<void> look_again(std::int64_t now_us, Page& page) {
    std::deque<Range> before;
    before.swap(at_.unsettled);
    for (; !before.empty(); before.pop_front()) {
      Range range = before.front();
      range.since_us = std::min(range.since_us, now_us);  // the clock was set back
      const bool over = range.since_us <= now_us - settle_us || before.size() > max_unsettled;
      auto rows = connection_.prepare(query_columns() + "id BETWEEN ?1 AND ?2 ORDER BY id");
      if (!rows) return tl::unexpected(rows.error());
      rows->bind(1, range.from);
      rows->bind(2, range.to);
      std::int64_t missing = range.from;  // the first id that is not dealt with
      const auto keep = [&](std::int64_t from, std::int64_t to) {
        if (from <= to && !over) at_.unsettled.push_back({from, to, range.since_us});
      };
      int code = 0;
      while ((code = rows->step()) == SQLITE_ROW) {
        LoggedQuery query = query_of(*rows);
        keep(missing, query.id - 1);
        missing = query.id + 1;
        if (query.rcode == "unknown" && !over)
          keep(query.id, query.id);
        else
          give(std::move(query), page);
      }
      if (code != SQLITE_DONE) return tl::unexpected(connection_.failed("cannot read"));
      keep(missing, range.to);
    }
    return {};
  }

  void give(LoggedQuery query, Page& page) const {
    const bool in_time =
        query.id > past_.query || (query.time_us >= filter_.since_us && query.time_us < filter_.until_us);
    if (in_time && matches(filter_, query)) page.queries.push_back(std::move(query));
  }

  // Alerts up to the last query of the page, or all where there is none further. They are read in the order
  // of their ids, of which their times need not be: what is too early for this page waits in `ahead_`.
  Result<void> read_alerts(Page& page) {
    std::int64_t until = page.end ? INT64_MAX : 0;
    for (const LoggedQuery& query : page.queries) until = std::max(until, query.time_us);
    if (!page.end) ++until;
    if (ahead_.size() < page_rows) {
      const auto more = read_ahead();
      if (!more) return tl::unexpected(more.error());
      if (*more) page.end = false;
    } else {
      page.end = false;  // those first
    }
    while (!ahead_.empty() && ahead_.begin()->first.first < until) {
      if (page.alerts.size() == page_rows) {
        page.end = false;
        break;
      }
      page.alerts.push_back(std::move(ahead_.extract(ahead_.begin()).mapped()));
    }
    return {};
  }

  // True: there may be more.
  Result<bool> read_ahead() {
    auto rows = connection_.prepare(std::string(alert_columns) +
                                    "id > ?1 AND (id > ?4 OR (time_us >= ?2 AND time_us < ?3)) "
                                    "ORDER BY id LIMIT " +
                                    std::to_string(page_rows));
    if (!rows) return tl::unexpected(rows.error());
    rows->bind(1, at_.last_alert);
    rows->bind(2, filter_.since_us);
    rows->bind(3, filter_.until_us);
    rows->bind(4, past_.alert);
    int code = 0, seen = 0;
    for (; (code = rows->step()) == SQLITE_ROW; ++seen) {
      LoggedAlert alert = alert_of(*rows);
      at_.last_alert = alert.id;
      if ((!filter_.sandbox.empty() && alert.sandbox != filter_.sandbox) ||
          (!filter_.session.empty() && alert.session != filter_.session) ||
          (!filter_.user.empty() && alert.user != filter_.user) || (filter_.blocked && !alert.refused()) ||
          (!filter_.domain.empty() && !at_or_below(alert.zone, filter_.domain) &&
           !at_or_below(alert.query_name, filter_.domain)))
        continue;
      ahead_.emplace(std::pair(alert.time_us, alert.id), std::move(alert));
    }
    if (code != SQLITE_DONE) return tl::unexpected(connection_.failed("cannot read"));
    return seen == page_rows;
  }

  Result<std::int64_t> integer(std::string_view sql, std::int64_t first, std::int64_t second = 0) {
    auto statement = connection_.prepare(sql);
    if (!statement) return tl::unexpected(statement.error());
    statement->bind(1, first);
    if (sqlite3_bind_parameter_count(statement->raw()) > 1) statement->bind(2, second);
    if (statement->step() != SQLITE_ROW) return tl::unexpected(connection_.failed("cannot read"));
    return statement->integer(0);
  }

  Connection connection_;
  LogFilter filter_;
  bool follow_;
  struct {  // the last ids when it was opened: the times of the filter are for rows up to these
    std::int64_t query = INT64_MAX, alert = INT64_MAX;
  } past_;
  Position at_;
  std::string id_;  // of the journal; empty: it was never sealed
  // Alerts that were read and not given, by time and id: what is read again finds itself here.
  std::map<std::pair<std::int64_t, std::int64_t>, LoggedAlert> ahead_;
};

}  // namespace

namespace {

Error too_old(Connection& connection) {
  const auto version = connection.integer("PRAGMA user_version");
  return {"cannot read journal \"" + connection.path() + "\": it is of schema version " +
          std::to_string(version ? *version : 0) + " and `log` reads 4 to " +
          std::to_string(migrations().size()) +
          "; keep it as it is, and read a copy that `postern journal vacuum` has brought up to date"};
}

}  // namespace

Result<std::unique_ptr<LogReader>> LogReader::open(const std::string& path, LogFilter filter, bool follow) {
  auto connection = open_to_read_journal(path);
  if (!connection) return tl::unexpected(connection.error());
  // Version 4 brought the view `on_record`.
  if (const auto view = connection->integer("SELECT count(*) FROM sqlite_schema WHERE name = 'on_record'");
      !view)
    return tl::unexpected(view.error());
  else if (*view == 0)
    return tl::unexpected(too_old(*connection));
  auto reader = std::make_unique<Reader>(std::move(*connection), std::move(filter), follow);
  if (auto begun = reader->begin(); !begun) return tl::unexpected(begun.error());
  return reader;
}

}  // namespace postern

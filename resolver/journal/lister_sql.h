// The lister's statements. Internal to lister*.cpp.
#pragma once

#include <string_view>

#include "resolver/journal/lister.h"
#include "resolver/journal/row_source.h"

namespace postern {

// Rows of one kind, as a table.
template <class Row>
class Lister::Rows final : public RowSource {
 public:
  using Column = void (*)(const Row& row, sqlite3_context* out, int index);
  Rows(const char* table, Column get) : declaration_(table), column_(get) {}
  std::span<const Row> rows;  // alive until the statement is over

  void rewind() override { at_ = 0; }
  bool at_end() const override { return at_ == rows.size(); }
  void next() override { ++at_; }
  void column(sqlite3_context* out, int index) const override { column_(rows[at_], out, index); }
  const char* declaration() const override { return declaration_; }

 private:
  const char* declaration_;
  Column column_;
  std::size_t at_ = 0;
};

struct Lister::Statements {
  Statements();
  // Before the statements, which read them.
  Rows<Row> rows;
  Rows<Sums> sums;
  Rows<Value> values;
  Statement begin, commit, rollback, find_name, name, find_domain, domain, listed, tally, any_day,
      domain_total, sandbox_total, resolved, find_sandbox, sandbox, find_row, read_old, mark, earlier;
};

namespace lister_sql {

inline constexpr std::string_view find_name = "SELECT id, domain FROM name WHERE text = ?1";
inline constexpr std::string_view insert_name =
    "INSERT INTO name (id, text, reversed, domain, first_asked, first_us) VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
inline constexpr std::string_view find_domain = "SELECT id FROM domain WHERE text = ?1";
inline constexpr std::string_view insert_domain =
    "INSERT INTO domain (id, text, first_asked, first_us) VALUES (?1, ?2, ?3, ?4)";
// A query of an earlier number that is listed only now: left by a kill, or a little out of order.
inline constexpr std::string_view set_earlier =
    "UPDATE domain SET first_asked = ?2, first_us = ?3 WHERE id = ?1 AND first_asked > ?2";
inline constexpr std::string_view insert_listed =
    "INSERT OR IGNORE INTO listed (sandbox, asked, name) SELECT sandbox, asked, name FROM pending_listed";
// A day's first and last moment: see migration_totals.h. The right side sees the row as it was.
inline constexpr std::string_view add_tally =
    "INSERT INTO tally (sandbox, domain, day, queries, cached, blocked, nxdomain, charge_millibits,"
    " first_in_day_us, span_us)"
    " SELECT sandbox, domain, day, queries, cached, blocked, nxdomain, charge_millibits, first_in_day_us,"
    " span_us FROM pending_tally WHERE TRUE"
    " ON CONFLICT (sandbox, domain, day) DO UPDATE SET queries = queries + excluded.queries,"
    " cached = cached + excluded.cached, blocked = blocked + excluded.blocked,"
    " nxdomain = nxdomain + excluded.nxdomain,"
    " charge_millibits = charge_millibits + excluded.charge_millibits,"
    " first_in_day_us = min(first_in_day_us, excluded.first_in_day_us),"
    " span_us = max(first_in_day_us + span_us, excluded.first_in_day_us + excluded.span_us)"
    " - min(first_in_day_us, excluded.first_in_day_us)";
inline constexpr std::string_view find_any_day =
    "SELECT 1 FROM tally WHERE sandbox = ?1 AND domain = ?2 LIMIT 1";
inline constexpr std::string_view add_domain_total =
    "INSERT INTO domain_total (domain, queries, blocked, nxdomain, charge_millibits, sandboxes, last_us)"
    " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)"
    " ON CONFLICT (domain) DO UPDATE SET queries = queries + excluded.queries,"
    " blocked = blocked + excluded.blocked, nxdomain = nxdomain + excluded.nxdomain,"
    " charge_millibits = charge_millibits + excluded.charge_millibits,"
    " sandboxes = sandboxes + excluded.sandboxes, last_us = max(last_us, excluded.last_us)";
inline constexpr std::string_view add_sandbox_total =
    "INSERT INTO sandbox_total (sandbox, queries, blocked, nxdomain, charge_millibits)"
    " VALUES (?1, ?2, ?3, ?4, ?5)"
    " ON CONFLICT (sandbox) DO UPDATE SET queries = queries + excluded.queries,"
    " blocked = blocked + excluded.blocked, nxdomain = nxdomain + excluded.nxdomain,"
    " charge_millibits = charge_millibits + excluded.charge_millibits";
inline constexpr std::string_view insert_resolved =
    "INSERT OR IGNORE INTO resolved (value, name, first_asked, first_us)"
    " SELECT value, name, first_asked, first_us FROM pending_resolved";
inline constexpr std::string_view find_sandbox = "SELECT 1 FROM sandbox WHERE id = ?1";
// So that no query is left out of the views for want of its sandbox's row.
inline constexpr std::string_view insert_sandbox =
    "INSERT INTO sandbox (id, boot, name, session, user, code_sha256, labels, policy, record_protected,"
    " attached_us, detached_us) VALUES (?1, ?2, '', '', '', '', '{}', '', 0, ?3, ?3)";
inline constexpr std::string_view find_row =
    "SELECT a.time_us, a.sandbox, x.name, n.domain, a.action, a.rcode FROM asked AS a"
    " JOIN listed AS x ON x.sandbox = a.sandbox AND x.asked = a.id JOIN name AS n ON n.id = x.name"
    " WHERE a.id = ?1";
inline constexpr std::string_view read_old =
    "SELECT a.id, a.time_us, a.sandbox, a.name_id, a.name, a.registered_at, a.action, a.flags, a.rcode,"
    " a.charge_millibits, coalesce(n.domain, 0), o.asked IS NOT NULL, coalesce(o.action, 0),"
    " coalesce(o.rcode, -1), coalesce(o.data, '')"
    " FROM asked AS a LEFT JOIN outcome AS o ON o.asked = a.id LEFT JOIN name AS n ON n.id = a.name_id"
    " WHERE a.id > ?1 AND a.id <= ?2"
    " AND NOT EXISTS (SELECT 1 FROM listed AS x WHERE x.sandbox = a.sandbox AND x.asked = a.id)"
    " ORDER BY a.id";
inline constexpr std::string_view set_mark =
    "INSERT INTO meta (key, value) VALUES ('listed_upto', ?1) ON CONFLICT (key) DO UPDATE SET value = "
    "excluded.value";

}  // namespace lister_sql
}  // namespace postern

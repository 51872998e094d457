// The pruner's statements. Internal to pruner*.cpp.
#pragma once

#include <string_view>

#include "resolver/journal/pruner.h"

namespace postern {

struct Pruner::Statements {
  Statement begin, commit, rollback, pages, free_pages, rows, snapshot, alerts_of, name_text, cut_listed,
      cut_outcome, cut_line, cut_asked, drawn, removed, deliveries, cut_delivery, alerts, cut_alert, gaps,
      cut_gap, sums, cut_sum, sandboxes, cut_sandbox, unused, resolved, cut_resolved, name, cut_name, domains,
      cut_domain, boots, cut_boot, newest_alert, oldest;
};

namespace pruner_sql {

inline constexpr std::string_view rows =
    "SELECT a.id, a.time_us, a.sandbox, (SELECT x.name FROM listed AS x WHERE x.sandbox = a.sandbox"
    " AND x.asked = a.id), a.charge_millibits > 0 OR a.flags & 4 <> 0,"
    " EXISTS (SELECT 1 FROM outcome AS o WHERE o.asked = a.id)"
    " FROM asked AS a WHERE a.id > ?1 ORDER BY a.id LIMIT ?2";
// Up to which row the ledgers' snapshots hold the charges: the session's, and where there is one, the user's.
inline constexpr std::string_view snapshot =
    "SELECT min(coalesce((SELECT l.upto FROM leak_snapshot AS l WHERE l.user = s.user AND l.session ="
    " s.session), 0), CASE WHEN s.user = '' THEN 9223372036854775807 ELSE coalesce((SELECT l.upto FROM"
    " leak_snapshot AS l WHERE l.user = s.user AND l.session = ''), 0) END) FROM sandbox AS s WHERE s.id ="
    " ?1";
inline constexpr std::string_view alerts_of =
    "SELECT id, asked, zone, first_us, last_us FROM alert WHERE sandbox = ?1 ORDER BY id LIMIT ?2";
inline constexpr std::string_view name_text = "SELECT text FROM name WHERE id = ?1";
// So that no id is drawn again although its row is gone, also after a kill (journal_file.cpp); and where a
// session's rows are no longer whole.
inline constexpr std::string_view drawn =
    "INSERT INTO meta (key, value) VALUES ('last_id_drawn', ?1), ('pruned_until_us', ?2), ('pruned_at_us', "
    "?3)"
    " ON CONFLICT (key) DO UPDATE SET value = max(CAST(value AS INTEGER), CAST(excluded.value AS INTEGER))";

// For people: how many queries went in all, and what retention is in force.
inline constexpr std::string_view removed =
    "INSERT INTO meta (key, value) VALUES ('pruned_rows', ?1)"
    " ON CONFLICT (key) DO UPDATE SET value = CAST(value AS INTEGER) + CAST(excluded.value AS INTEGER)";
inline constexpr std::string_view in_force =
    "INSERT INTO meta (key, value) VALUES ('keep_queries_us', ?1), ('keep_alerts_us', ?2), ('keep_octets', "
    "?3)"
    " ON CONFLICT (key) DO UPDATE SET value = excluded.value";

// Deliveries come in the order of their alerts.
inline constexpr std::string_view deliveries =
    "SELECT d.id, d.alert, (SELECT l.time_us FROM alert AS l WHERE l.id = d.alert) FROM alert_delivery AS d"
    " ORDER BY d.id LIMIT ?1";
inline constexpr std::string_view alerts =
    "SELECT l.id FROM alert AS l WHERE l.time_us < ?1 AND l.id < (SELECT max(id) FROM alert)"
    " AND l.id < coalesce((SELECT d.alert FROM alert_delivery AS d ORDER BY d.id LIMIT 1), "
    "9223372036854775807)"
    " ORDER BY l.time_us, l.id LIMIT ?2";
inline constexpr std::string_view gaps =
    "SELECT id, until_us FROM gap WHERE id < (SELECT max(id) FROM gap) ORDER BY id LIMIT ?1";
inline constexpr std::string_view sums =
    "SELECT sandbox, domain, day FROM tally WHERE day < ?1 ORDER BY day, sandbox, domain LIMIT ?2";

// The first of a session that has a ledger says since when its refills count, and whose it is.
inline constexpr std::string_view sandboxes =
    "SELECT s.id, s.detached_us, s.session, s.attached_us, s.boot, s.id = (SELECT max(id) FROM sandbox)"
    " OR EXISTS (SELECT 1 FROM listed AS x WHERE x.sandbox = s.id)"
    " OR EXISTS (SELECT 1 FROM alert AS l WHERE l.sandbox = s.id)"
    " OR EXISTS (SELECT 1 FROM tally AS t WHERE t.sandbox = s.id)"
    " OR EXISTS (SELECT 1 FROM connection AS c WHERE c.sandbox = s.id)"
    " OR (EXISTS (SELECT 1 FROM leak_snapshot AS k WHERE k.user = s.user AND k.session = s.session"
    " UNION ALL SELECT 1 FROM leak_grant AS g WHERE g.session = s.session AND g.user = s.user)"
    " AND NOT EXISTS (SELECT 1 FROM sandbox AS o WHERE o.session = s.session AND o.user = s.user"
    " AND o.id < s.id))"
    " FROM sandbox AS s WHERE s.id > ?1 ORDER BY s.id LIMIT ?2";

inline constexpr std::string_view unused =
    "SELECT n.id, EXISTS (SELECT 1 FROM listed AS x WHERE x.name = n.id) FROM name AS n WHERE n.id > ?1"
    " ORDER BY n.id LIMIT ?2";
inline constexpr std::string_view resolved =
    "SELECT value, name FROM resolved WHERE (value, name) > (?1, ?2) ORDER BY value, name LIMIT ?3";
inline constexpr std::string_view name =
    "SELECT n.text FROM name AS n WHERE n.id = ?1"
    " AND NOT EXISTS (SELECT 1 FROM listed AS x WHERE x.name = n.id)";
inline constexpr std::string_view domains =
    "SELECT d.id, EXISTS (SELECT 1 FROM name AS n WHERE n.domain = d.id)"
    " OR EXISTS (SELECT 1 FROM tally AS t WHERE t.domain = d.id) FROM domain AS d WHERE d.id > ?1"
    " ORDER BY d.id LIMIT ?2";
// From the front: a boot that has no row, and no older row than the next boot's own is there.
inline constexpr std::string_view boots =
    "SELECT b.id, b.ended_us FROM boot AS b WHERE b.id < ?1"
    " AND b.id < coalesce((SELECT s.boot FROM sandbox AS s ORDER BY s.id LIMIT 1), ?1)"
    " AND (SELECT min(n.first_asked) FROM boot AS n WHERE n.first_asked > b.first_asked)"
    " <= coalesce((SELECT a.id FROM asked AS a ORDER BY a.id LIMIT 1), 9223372036854775807)"
    " ORDER BY b.id LIMIT ?2";

}  // namespace pruner_sql
}  // namespace postern

// Rows of the file as sealed records: the statements, and their columns as fields.
#include "resolver/journal/seal_rows.h"

#include <algorithm>

namespace postern {
namespace {

struct RowSql {
  SealKind kind;
  const char* rows;  // ?1 to ?2
  const char* ids;   // from ?1 on
  const char* highest;
};

constexpr RowSql row_sql[] = {
    // Who knew the name's number when it wrote has left `name` empty.
    {SealKind::asked,
     "SELECT a.id, a.time_us, a.monotonic_us, a.sandbox, coalesce(n.text, '') || a.name, a.type, a.action,"
     " a.reason, a.rule, a.rcode, a.ede, a.flags, a.score_milli, a.charge_millibits"
     " FROM asked AS a LEFT JOIN name AS n ON n.id = a.name_id"
     " WHERE a.id BETWEEN ?1 AND ?2 ORDER BY a.id",
     "SELECT id FROM asked WHERE id >= ?1 ORDER BY id", "SELECT max(id) FROM asked"},
    {SealKind::outcome,
     "SELECT asked, time_us, action, reason, rule, rcode, ede, upstream_us, answers, data, octets FROM "
     "outcome"
     " WHERE asked BETWEEN ?1 AND ?2 ORDER BY asked",
     "SELECT asked FROM outcome WHERE asked >= ?1 ORDER BY asked", "SELECT max(asked) FROM outcome"},
    {SealKind::alert,
     "SELECT id, time_us, sandbox, kind, zone, score, action, evidence, asked, uid, severity, attack, "
     "first_us, last_us"
     " FROM alert"
     " WHERE id BETWEEN ?1 AND ?2 ORDER BY id",
     "SELECT id FROM alert WHERE id >= ?1 ORDER BY id", "SELECT max(id) FROM alert"},
    // The lister puts a row without a session in the place of one that is not there (lister_sql.h): it is
    // nobody's record.
    {SealKind::sandbox,
     "SELECT id, boot, name, session, user, code_sha256, labels, policy, record_protected, attached_us"
     " FROM sandbox WHERE id BETWEEN ?1 AND ?2 AND session <> '' ORDER BY id",
     "SELECT id FROM sandbox WHERE id >= ?1 AND session <> '' ORDER BY id",
     "SELECT max(id) FROM sandbox WHERE session <> ''"},
    {SealKind::detached,
     "SELECT id, detached_us FROM sandbox WHERE id BETWEEN ?1 AND ?2 AND detached_us <> 0 AND session <> ''"
     " ORDER BY id",
     "SELECT id FROM sandbox WHERE id >= ?1 AND detached_us <> 0 AND session <> '' ORDER BY id",
     "SELECT max(id) FROM sandbox WHERE detached_us <> 0 AND session <> ''"},
    {SealKind::grant,
     "SELECT id, time_us, user, session, zone, octets FROM leak_grant WHERE id BETWEEN ?1 AND ?2 ORDER BY id",
     "SELECT id FROM leak_grant WHERE id >= ?1 ORDER BY id", "SELECT max(id) FROM leak_grant"},
    // Rule 0, "no rule", comes with the schema.
    {SealKind::rule, "SELECT id, text FROM rule WHERE id BETWEEN ?1 AND ?2 AND id > 0 ORDER BY id",
     "SELECT id FROM rule WHERE id >= ?1 AND id <> 0 ORDER BY id", "SELECT max(id) FROM rule"},
    {SealKind::boot,
     "SELECT id, boot_id, started_us, started_monotonic_us, first_asked, version FROM boot"
     " WHERE id BETWEEN ?1 AND ?2 ORDER BY id",
     "SELECT id FROM boot WHERE id >= ?1 ORDER BY id", "SELECT max(id) FROM boot"},
    {SealKind::boot_end,
     "SELECT id, ended_us FROM boot WHERE id BETWEEN ?1 AND ?2 AND ended_us <> 0 ORDER BY id",
     "SELECT id FROM boot WHERE id >= ?1 AND ended_us <> 0 ORDER BY id",
     "SELECT max(id) FROM boot WHERE ended_us <> 0"},
    {SealKind::tombstone,
     "SELECT id, time_us, removed, upto_block, upto_records, upto_head FROM seal_tombstone"
     " WHERE id BETWEEN ?1 AND ?2 ORDER BY id",
     "SELECT id FROM seal_tombstone WHERE id >= ?1 ORDER BY id", "SELECT max(id) FROM seal_tombstone"},
    {SealKind::gap,
     "SELECT id, from_us, until_us, refused, answered, why FROM gap WHERE id BETWEEN ?1 AND ?2 ORDER BY id",
     "SELECT id FROM gap WHERE id >= ?1 ORDER BY id", "SELECT max(id) FROM gap"},
};

constexpr std::int64_t relative_clock = 8;  // flag: monotonic_us is told against the boot's row

// Valid until the statement's next step.
std::string_view view(Statement& row, int column) {
  const auto* octets = static_cast<const char*>(sqlite3_column_blob(row.raw(), column));
  const auto size = static_cast<std::size_t>(sqlite3_column_bytes(row.raw(), column));
  return octets == nullptr ? std::string_view() : std::string_view(octets, size);
}

}  // namespace

Result<SealRows> SealRows::open(Connection& connection) {
  SealRows rows(connection);
  for (const RowSql& sql : row_sql) {
    PerKind& mine = rows.by_kind_[static_cast<std::uint8_t>(sql.kind)];
    for (const auto& [statement, text] :
         {std::pair{&mine.rows, sql.rows}, {&mine.ids, sql.ids}, {&mine.highest, sql.highest}}) {
      auto prepared = connection.prepare(text);
      if (!prepared) return tl::unexpected(prepared.error());
      *statement = std::move(*prepared);
    }
  }
  auto boots =
      connection.prepare("SELECT first_asked, started_us - started_monotonic_us FROM boot ORDER BY 1");
  if (!boots) return tl::unexpected(boots.error());
  int code = SQLITE_DONE;
  while ((code = boots->step()) == SQLITE_ROW) rows.boots_.emplace_back(boots->integer(0), boots->integer(1));
  if (code != SQLITE_DONE) return tl::unexpected(connection.failed("cannot read the boots of"));
  return rows;
}

std::int64_t SealRows::boot_offset(std::int64_t asked) const {
  const auto after = std::upper_bound(boots_.begin(), boots_.end(), asked,
                                      [](std::int64_t id, const auto& boot) { return id < boot.first; });
  return after == boots_.begin() ? 0 : std::prev(after)->second;
}

std::string_view SealRows::spell(SealKind kind, Statement& row) {
  const auto whole = [&](int column) { return row.integer(column); };
  switch (kind) {
    case SealKind::asked: {
      const std::int64_t flags = whole(11);
      const std::int64_t monotonic =
          (flags & relative_clock) == 0 ? whole(2) : whole(1) - boot_offset(whole(0)) + whole(2);
      return spelling_.asked({whole(0), whole(1), monotonic, whole(3), view(row, 4), whole(5), whole(6),
                              whole(7), whole(8), whole(9), whole(10), flags & ~relative_clock, whole(12),
                              whole(13)});
    }
    case SealKind::outcome:
      return spelling_.outcome({whole(0), whole(1), whole(2), whole(3), whole(4), whole(5), whole(6),
                                whole(7), whole(8), view(row, 9), whole(10)});
    case SealKind::alert:
      return spelling_.alert({whole(0), whole(1), whole(2), view(row, 3), view(row, 4),
                              sqlite3_column_double(row.raw(), 5), view(row, 6), view(row, 7), whole(8),
                              view(row, 9), view(row, 10), view(row, 11), whole(12), whole(13)});
    case SealKind::sandbox:
      return spelling_.sandbox({whole(0), whole(1), view(row, 2), view(row, 3), view(row, 4), view(row, 5),
                                view(row, 6), view(row, 7), whole(8), whole(9)});
    case SealKind::detached:
      return spelling_.detached(whole(0), whole(1));
    case SealKind::grant:
      return spelling_.grant({whole(0), whole(1), view(row, 2), view(row, 3), view(row, 4), whole(5)});
    case SealKind::rule:
      return spelling_.rule(whole(0), view(row, 1));
    case SealKind::boot:
      return spelling_.boot({whole(0), view(row, 1), whole(2), whole(3), whole(4), view(row, 5)});
    case SealKind::boot_end:
      return spelling_.boot_end(whole(0), whole(1));
    case SealKind::gap:
      return spelling_.gap({whole(0), whole(1), whole(2), whole(3), whole(4), view(row, 5)});
    default:
      return spelling_.tombstone({whole(0), whole(1), view(row, 2), whole(3), whole(4), view(row, 5)});
  }
}

Result<void> SealRows::each(SealKind kind, std::int64_t first, std::int64_t last, const Found& found) {
  Statement& rows = by_kind_[static_cast<std::uint8_t>(kind)].rows;
  rows.bind(1, first);
  rows.bind(2, last);
  int code = SQLITE_DONE;
  while ((code = rows.step()) == SQLITE_ROW)
    if (!found(rows.integer(0), spell(kind, rows))) break;
  Result<void> done;
  if (code != SQLITE_DONE && code != SQLITE_ROW)
    done = tl::unexpected(connection_->failed("cannot read the sealed rows of"));
  rows.reset();
  return done;
}

Result<void> SealRows::ids(SealKind kind, std::int64_t first, const FoundId& found) {
  Statement& rows = by_kind_[static_cast<std::uint8_t>(kind)].ids;
  rows.bind(1, first);
  int code = SQLITE_DONE;
  while ((code = rows.step()) == SQLITE_ROW)
    if (!found(rows.integer(0))) break;
  Result<void> done;
  if (code != SQLITE_DONE && code != SQLITE_ROW)
    done = tl::unexpected(connection_->failed("cannot read the ids of"));
  rows.reset();
  return done;
}

Result<std::int64_t> SealRows::highest(SealKind kind) {
  Statement& row = by_kind_[static_cast<std::uint8_t>(kind)].highest;
  const int code = row.step();
  const std::int64_t id = code == SQLITE_ROW ? row.integer(0) : 0;
  row.reset();
  if (code != SQLITE_ROW) return tl::unexpected(connection_->failed("cannot read the ids of"));
  return id;
}

}  // namespace postern

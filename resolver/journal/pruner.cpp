// The pruner: passes, what must stay, and the removal of queries.
#include "resolver/journal/pruner.h"

#include <algorithm>

#include "resolver/journal/journal_file.h"
#include "resolver/journal/pruner_sql.h"

namespace postern {
namespace {

constexpr std::size_t most_remembered = 2048;  // sandboxes whose evidence or snapshots are

}  // namespace

Pruner::Pruner(Connection& connection, SealWriter* seal, NameBook& names, Lister& lister,
               const Retention& keep, std::int64_t boot)
    : connection_(connection),
      seal_(seal),
      names_(names),
      lister_(lister),
      keep_(keep),
      boot_(boot),
      sql_(std::make_unique<Statements>()) {}
Pruner::~Pruner() = default;

Result<std::unique_ptr<Pruner>> Pruner::create(Connection& connection, SealWriter* seal, NameBook& names,
                                               Lister& lister, const Retention& keep, std::int64_t boot) {
  std::unique_ptr<Pruner> pruner(new Pruner(connection, seal, names, lister, keep, boot));
  Statements& sql = *pruner->sql_;
  const std::pair<Statement*, std::string_view> statements[] = {
      {&sql.begin, "BEGIN IMMEDIATE"},
      {&sql.commit, "COMMIT"},
      {&sql.rollback, "ROLLBACK"},
      {&sql.pages, "PRAGMA page_count"},
      {&sql.free_pages, "PRAGMA freelist_count"},
      {&sql.rows, pruner_sql::rows},
      {&sql.snapshot, pruner_sql::snapshot},
      {&sql.alerts_of, pruner_sql::alerts_of},
      {&sql.name_text, pruner_sql::name_text},
      {&sql.cut_listed, "DELETE FROM listed WHERE sandbox = ?1 AND asked = ?2"},
      {&sql.cut_outcome, "DELETE FROM outcome WHERE asked = ?1"},
      {&sql.cut_line, "DELETE FROM line WHERE asked = ?1"},
      {&sql.cut_asked, "DELETE FROM asked WHERE id = ?1"},
      {&sql.drawn, pruner_sql::drawn},
      {&sql.removed, pruner_sql::removed},
      {&sql.deliveries, pruner_sql::deliveries},
      {&sql.cut_delivery, "DELETE FROM alert_delivery WHERE id = ?1"},
      {&sql.alerts, pruner_sql::alerts},
      {&sql.cut_alert, "DELETE FROM alert WHERE id = ?1"},
      {&sql.gaps, pruner_sql::gaps},
      {&sql.cut_gap, "DELETE FROM gap WHERE id = ?1"},
      {&sql.sums, pruner_sql::sums},
      {&sql.cut_sum, "DELETE FROM tally WHERE sandbox = ?1 AND domain = ?2 AND day = ?3"},
      {&sql.sandboxes, pruner_sql::sandboxes},
      {&sql.cut_sandbox, "DELETE FROM sandbox WHERE id = ?1"},
      {&sql.unused, pruner_sql::unused},
      {&sql.resolved, pruner_sql::resolved},
      {&sql.cut_resolved, "DELETE FROM resolved WHERE value = ?1 AND name = ?2"},
      {&sql.name, pruner_sql::name},
      {&sql.cut_name, "DELETE FROM name WHERE id = ?1"},
      {&sql.domains, pruner_sql::domains},
      {&sql.cut_domain, "DELETE FROM domain WHERE id = ?1"},
      {&sql.boots, pruner_sql::boots},
      {&sql.cut_boot, "DELETE FROM boot WHERE id = ?1"},
      {&sql.newest_alert, "SELECT coalesce(max(id), 0) FROM alert"},
      {&sql.oldest, "SELECT min(time_us) FROM asked"},
  };
  for (const auto& [statement, text] : statements) {
    auto prepared = connection.prepare(text);
    if (!prepared) return tl::unexpected(prepared.error());
    *statement = std::move(*prepared);
  }
  if (seal) {
    auto front = SealFront::create(connection, *seal);
    if (!front) return tl::unexpected(front.error());
    pruner->front_ = std::move(*front);
  }
  if (keep.in_force) {
    auto in_force = connection.prepare(pruner_sql::in_force);
    if (!in_force) return tl::unexpected(in_force.error());
    const std::string values[] = {std::to_string(keep.queries_us), std::to_string(keep.alerts_us),
                                  std::to_string(keep.octets)};
    for (int i = 0; i < 3; ++i) in_force->bind(i + 1, std::string_view(values[i]));
    if (in_force->run() != SQLITE_OK) return tl::unexpected(connection.failed("cannot write"));
  }
  pruner->next_ = keep.keeps_all() ? Clock::time_point::max() : Clock::time_point::min();
  pruner->next_walk_ = Clock::now() + walked_anew_every;
  return pruner;
}

int Pruner::failed() {
  error_ = connection_.failed("cannot prune").message;  // before ROLLBACK replaces it
  const int code = sqlite3_errcode(connection_.raw());
  if (sqlite3_get_autocommit(connection_.raw()) == 0) sql_->rollback.run();
  if (seal_) seal_->rolled_back();
  next_ = Clock::now() + tried_again_after;
  row_at_ = 0;  // what was counted as kept would be counted twice
  kept_.clear();
  return code == SQLITE_OK ? SQLITE_ERROR : code;
}

int Pruner::remove(const std::vector<SealRun>& runs, const std::function<int()>& removing) {
  int code = sql_->begin.run();
  if (code == SQLITE_OK) code = removing();
  if (code == SQLITE_OK && seal_ && !runs.empty()) code = seal_->tombstone(runs, now_us_);
  if (code == SQLITE_OK) code = sql_->commit.run();
  if (code != SQLITE_OK) return code;
  if (seal_) seal_->committed();
  if (front_) front_->removed(runs);
  unswept_ = true;
  return SQLITE_OK;
}

Result<void> Pruner::look(std::int64_t now_us) {
  bool read = true;
  const auto number = [&](Statement& statement) {
    if (!read) return std::int64_t{0};
    const int code = statement.step();
    const std::int64_t value = code == SQLITE_ROW ? statement.integer(0) : 0;
    statement.reset();
    read = read && (code == SQLITE_ROW || code == SQLITE_DONE);
    return value;
  };
  const std::int64_t pages = number(sql_->pages) - number(sql_->free_pages), oldest = number(sql_->oldest);
  const std::int64_t newest = number(sql_->newest_alert);
  if (!read) return tl::unexpected(connection_.failed("cannot look at what is kept"));
  used_octets_ = pages * JournalFile::page_octets;
  oldest_us_ = oldest;
  now_us_ = now_us;
  if (newest != newest_alert_) {
    newest_alert_ = newest;
    evidence_.clear();
  }
  return {};
}

void Pruner::end_pass() {
  phase_ = Phase::idle;
  evidence_.clear();
  in_snapshot_.clear();
  unused_.clear();
  const bool not_in_vain = removed() > removed_at_pass_;
  removed_at_pass_ = removed();
  sums_at_pass_ = removed_sums_;
  rest_too_large_ = too_large() && !not_in_vain && !waits_for_lister_;
  if (by_hand() && (not_in_vain || unswept_)) {
    next_ = Clock::time_point::min();
    return;
  }
  ++passes_;
  next_ = by_hand()                    ? Clock::time_point::max()
          : too_large() && not_in_vain ? Clock::time_point::min()
                                       : Clock::now() + size_looked_every;
}

void Pruner::go_on(bool more) {
  if (more) return;
  at_ = 0;
  value_at_.clear();
  batch_ = first_step;
  phase_ = static_cast<Phase>(static_cast<int>(phase_) + 1);
  if (phase_ == Phase::sandboxes) {
    const auto now = Clock::now();
    const bool soon = now < next_sweep_ && !too_large() && !by_hand();
    if (!unswept_ || soon || lister_.catching_up()) return end_pass();
    unswept_ = false;
    removed_at_sweep_ = removed_queries_;
    next_sweep_ = now + swept_every;
  }
  if (phase_ == Phase::seals && front_) front_->begin(passed_);
  if (phase_ > Phase::seals) end_pass();
}

int Pruner::step(std::int64_t now_us) {
  if (auto done = look(now_us); !done) return failed();
  if (phase_ == Phase::idle) {
    const auto now = Clock::now();
    aged_ = (keep_.queries_us > 0 || keep_.alerts_us > 0) && (now >= next_age_look_ || by_hand());
    if (!too_large()) rest_too_large_ = false;
    if (by_hand() && !lister_.all_listed()) return SQLITE_OK;  // no row is to be waited for by the walk
    if (by_hand() && !too_large() && !aged_ && !unswept_) {
      end_pass();
      return SQLITE_OK;
    }
    if ((!too_large() && !aged_ && !by_hand()) || lister_.catching_up()) {
      next_ = now + size_looked_every;
      return SQLITE_OK;
    }
    if (aged_) next_age_look_ = now + age_looked_every;
    if (now >= next_walk_) {
      next_walk_ = now + walked_anew_every;
      row_at_ = 0;
      kept_.clear();
    }
    phase_ = Phase::rows;
    next_ = Clock::time_point::min();
  }
  const auto work = [&] {
    switch (phase_) {
      case Phase::rows:
        return prune_rows();
      case Phase::alerts:
        return prune_alerts();
      case Phase::gaps:
        return prune_gaps();
      case Phase::sums:
        return prune_sums();
      case Phase::sandboxes:
        return prune_sandboxes();
      case Phase::unused:
        return find_unused();
      case Phase::resolved:
        return prune_resolved();
      case Phase::names:
        return prune_names();
      case Phase::domains:
        return prune_domains();
      case Phase::boots:
        return prune_boots();
      default:
        return prune_seals();
    }
  };
  const Phase phase = phase_;
  const auto begun = Clock::now();
  const int code = work();
  const auto took = Clock::now() - begun;
  if (phase == phase_ && took > step_time) batch_ = std::max(batch_ / 2, least_step);
  if (phase == phase_ && took < step_time / 3) batch_ = std::min(batch_ * 2, step_rows);
  return code == SQLITE_OK ? SQLITE_OK : failed();
}

// A step of the walk: what it looks at and what it removes is bounded.
int Pruner::prune_rows() {
  std::vector<Row> looked, going;
  sql_->rows.bind(1, row_at_);
  sql_->rows.bind(2, std::int64_t{batch_} * looks_per_row);
  int code = SQLITE_ROW;
  bool over = false;
  std::int64_t until_us = 0;
  waits_for_lister_ = false;
  const auto most = static_cast<std::size_t>(batch_);
  while (going.size() < most && !over && (code = sql_->rows.step()) == SQLITE_ROW) {
    Row row;
    row.id = sql_->rows.integer(0);
    row.time_us = sql_->rows.integer(1);
    row.sandbox = sql_->rows.integer(2);
    row.listed = sqlite3_column_type(sql_->rows.raw(), 3) != SQLITE_NULL;
    row.name = sql_->rows.integer(3);
    row.charged = sql_->rows.integer(4) != 0;
    row.has_outcome = sql_->rows.integer(5) != 0;
    // From a time when the clock was ahead: it stays until then, and stops nobody.
    if (row.time_us <= now_us_) {
      const bool old = keep_.queries_us > 0 && row.time_us < now_us_ - keep_.queries_us;
      over = !row.listed || row.time_us > now_us_ - Retention::youngest_us || !(old || too_large());
      if (over) reached_us_ = row.time_us;
      if (over) waits_for_lister_ = !row.listed;
      if (over) break;
      bool may = false;
      if (code = may_go(row, may); code != SQLITE_OK) break;
      if (may) {
        going.push_back(row);
        until_us = std::max(until_us, row.time_us);
      }
    }
    looked.push_back(row);
  }
  sql_->rows.reset();
  if (code != SQLITE_OK && code != SQLITE_ROW && code != SQLITE_DONE) return code;
  if (!going.empty()) {
    std::vector<SealRun> runs;
    const auto add = [&](SealKind kind, RowId id) {
      if (!runs.empty() && runs.back().kind == kind && runs.back().last() + 1 == id)
        ++runs.back().count;
      else
        runs.push_back({kind, id, 1});
    };
    for (const Row& row : going) add(SealKind::asked, row.id);
    for (const Row& row : going)
      if (row.has_outcome) add(SealKind::outcome, row.id);
    const std::string last = std::to_string(going.back().id), until = std::to_string(until_us),
                      at = std::to_string(now_us_), count = std::to_string(going.size());
    const int removed = remove(std::move(runs), [&] {
      for (const Row& row : going) {
        sql_->cut_listed.bind(1, row.sandbox);
        sql_->cut_listed.bind(2, row.id);
        for (Statement* cut : {&sql_->cut_outcome, &sql_->cut_line, &sql_->cut_asked}) cut->bind(1, row.id);
        for (Statement* cut : {&sql_->cut_listed, &sql_->cut_outcome, &sql_->cut_line, &sql_->cut_asked})
          if (const int cut_code = cut->run(); cut_code != SQLITE_OK) return cut_code;
      }
      sql_->drawn.bind(1, std::string_view(last));
      sql_->drawn.bind(2, std::string_view(until));
      sql_->drawn.bind(3, std::string_view(at));
      sql_->removed.bind(1, std::string_view(count));
      const int drawn = sql_->drawn.run();
      return drawn != SQLITE_OK ? drawn : sql_->removed.run();
    });
    if (removed != SQLITE_OK) return removed;
    removed_queries_ += going.size();
  }
  if (!looked.empty()) row_at_ = looked.back().id;
  if (!over) reached_us_ = looked.empty() ? now_us_ : looked.back().time_us;
  passed_ = std::max(passed_, row_at_);
  const auto enough = static_cast<std::uint64_t>(std::min(swept_after, keep_.octets >> 10));
  const bool sweep = too_large() && removed_queries_ - removed_at_sweep_ >= enough;
  go_on(!over && !looked.empty() && !sweep);
  return SQLITE_OK;
}

int Pruner::may_go(const Row& row, bool& may) {
  may = false;
  if (row.charged) {
    auto known = in_snapshot_.find(row.sandbox);
    if (known == in_snapshot_.end()) {
      sql_->snapshot.bind(1, row.sandbox);
      const int code = sql_->snapshot.step();
      const RowId upto = code == SQLITE_ROW ? sql_->snapshot.integer(0) : 0;
      sql_->snapshot.reset();
      if (code != SQLITE_ROW && code != SQLITE_DONE) return code;
      if (in_snapshot_.size() >= most_remembered) in_snapshot_.clear();
      known = in_snapshot_.emplace(row.sandbox, upto).first;
    }
    if (row.id > known->second) return SQLITE_OK;
  }
  const Evidence* evidence = nullptr;
  if (const int code = evidence_of(row.sandbox, evidence); code != SQLITE_OK) return code;
  if (evidence->asked.contains(row.id)) return SQLITE_OK;
  bool is_evidence = false;
  for (const Window& window : evidence->windows) {
    if (row.time_us < window.first_us || row.time_us > window.last_us) continue;
    int& kept = kept_[window.alert];
    if (kept >= evidence_rows) continue;
    bool is = false;
    if (const int code = in_zone(row.name, window.zone, is); code != SQLITE_OK) return code;
    if (!is) continue;
    ++kept;  // it counts for each alert that it is evidence of
    is_evidence = true;
  }
  may = !is_evidence;
  return SQLITE_OK;
}

int Pruner::evidence_of(SandboxId sandbox, const Evidence*& found) {
  if (const auto known = evidence_.find(sandbox); known != evidence_.end()) {
    found = &known->second;
    return SQLITE_OK;
  }
  if (evidence_.size() >= most_remembered) evidence_.clear();
  Evidence& evidence = evidence_[sandbox];
  sql_->alerts_of.bind(1, sandbox);
  sql_->alerts_of.bind(2, std::int64_t{most_alerts});
  int code = SQLITE_ROW;
  while ((code = sql_->alerts_of.step()) == SQLITE_ROW) {
    if (const RowId asked = sql_->alerts_of.integer(1); asked != 0) evidence.asked.insert(asked);
    if (sql_->alerts_of.integer(4) != 0)
      evidence.windows.push_back({sql_->alerts_of.integer(0), sql_->alerts_of.integer(3),
                                  sql_->alerts_of.integer(4), sql_->alerts_of.text(2)});
  }
  sql_->alerts_of.reset();
  if (code != SQLITE_DONE) {
    evidence_.erase(sandbox);  // half of it would let the other half go
    return code;
  }
  found = &evidence;
  return SQLITE_OK;
}

// Is the name the zone or below it? Every name is, where there is none.
int Pruner::in_zone(std::int64_t name, const std::string& zone, bool& is) {
  is = zone.empty() || zone == ".";
  if (is) return SQLITE_OK;
  sql_->name_text.bind(1, name);
  const int code = sql_->name_text.step();
  const std::string text = code == SQLITE_ROW ? sql_->name_text.text(0) : "";
  sql_->name_text.reset();
  is = text == zone || text.ends_with("." + zone);
  return code == SQLITE_ROW || code == SQLITE_DONE ? SQLITE_OK : code;
}

}  // namespace postern

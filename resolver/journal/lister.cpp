// The lister: runs, steps, and what is entered where.
#include "resolver/journal/lister.h"

#include <algorithm>

#include "resolver/journal/lister_sql.h"
#include "resolver/journal/name_text.h"

namespace postern {
namespace {

bool is_blocked(Action action) {
  return action == Action::block_name || action == Action::block_data;
}

}  // namespace

Lister::Statements::Statements()
    : rows("CREATE TABLE pending_listed (sandbox, asked, name)",
           [](const Row& row, sqlite3_context* out, int index) {
             sqlite3_result_int64(out, index == 0 ? row.sandbox : index == 1 ? row.id : row.name.id);
           }),
      sums(
          "CREATE TABLE pending_tally (sandbox, domain, day, queries, cached, blocked, nxdomain,"
          " charge_millibits, first_in_day_us, span_us)",
          [](const Sums& one, sqlite3_context* out, int index) {
            const std::int64_t columns[] = {one.sandbox,
                                            one.domain,
                                            one.day,
                                            one.queries,
                                            one.cached,
                                            one.blocked,
                                            one.nxdomain,
                                            one.charge_millibits,
                                            one.first_us - one.day * day_us,
                                            one.last_us - one.first_us};
            sqlite3_result_int64(out, columns[index]);
          }),
      values("CREATE TABLE pending_resolved (value, name, first_asked, first_us)",
             [](const Value& one, sqlite3_context* out, int index) {
               if (index == 0)
                 return sqlite3_result_text(out, one.value.data(), static_cast<int>(one.value.size()),
                                            SQLITE_STATIC);
               sqlite3_result_int64(out, index == 1 ? one.name : index == 2 ? one.asked : one.time_us);
             }) {}

Lister::Lister(Connection& connection, NameBook& names)
    : connection_(connection),
      names_(names),
      sql_(std::make_unique<Statements>()),
      pairs_(max_pairs),
      tallied_(std::size_t{1} << tallied_bits, no_pair) {}
Lister::~Lister() = default;

Result<std::unique_ptr<Lister>> Lister::create(Connection& connection, NameBook& names, RowId before,
                                               std::int64_t boot) {
  std::unique_ptr<Lister> lister(new Lister(connection, names));
  lister->boot_ = boot;
  Statements& sql = *lister->sql_;
  for (const auto& [name, source] : {std::pair<const char*, RowSource*>{"pending_listed", &sql.rows},
                                     {"pending_tally", &sql.sums},
                                     {"pending_resolved", &sql.values}})
    if (auto offered = offer_rows(connection, name, *source); !offered)
      return tl::unexpected(offered.error());
  const std::pair<Statement*, std::string_view> statements[] = {
      {&sql.begin, "BEGIN IMMEDIATE"},
      {&sql.commit, "COMMIT"},
      {&sql.rollback, "ROLLBACK"},
      {&sql.find_name, lister_sql::find_name},
      {&sql.name, lister_sql::insert_name},
      {&sql.find_domain, lister_sql::find_domain},
      {&sql.domain, lister_sql::insert_domain},
      {&sql.listed, lister_sql::insert_listed},
      {&sql.tally, lister_sql::add_tally},
      {&sql.any_day, lister_sql::find_any_day},
      {&sql.domain_total, lister_sql::add_domain_total},
      {&sql.sandbox_total, lister_sql::add_sandbox_total},
      {&sql.resolved, lister_sql::insert_resolved},
      {&sql.find_sandbox, lister_sql::find_sandbox},
      {&sql.sandbox, lister_sql::insert_sandbox},
      {&sql.find_row, lister_sql::find_row},
      {&sql.read_old, lister_sql::read_old},
      {&sql.mark, lister_sql::set_mark},
      {&sql.earlier, lister_sql::set_earlier},
  };
  for (const auto& [statement, text] : statements) {
    auto prepared = connection.prepare(text);
    if (!prepared) return tl::unexpected(prepared.error());
    *statement = std::move(*prepared);
  }
  const auto last_name = connection.integer("SELECT coalesce(max(id), 0) FROM name");
  if (!last_name) return tl::unexpected(last_name.error());
  const auto last_domain = connection.integer("SELECT coalesce(max(id), 0) FROM domain");
  if (!last_domain) return tl::unexpected(last_domain.error());
  const auto mark = connection.integer("SELECT CAST(value AS INTEGER) FROM meta WHERE key = 'listed_upto'");
  if (!mark) return tl::unexpected(mark.error());
  lister->next_name_ = *last_name + 1;
  lister->next_domain_ = *last_domain + 1;
  lister->mark_ = lister->catch_up_at_ = *mark;
  lister->highest_ = lister->catch_up_to_ = std::max<RowId>(before - 1, *mark);
  // Ids are not dense: whole stretches without rows need no looking.
  const auto first =
      connection.integer("SELECT coalesce(min(id), 0) FROM asked WHERE id > " + std::to_string(*mark));
  if (!first) return tl::unexpected(first.error());
  lister->catch_up_at_ = *first == 0 ? lister->catch_up_to_ : std::max(lister->catch_up_at_, *first - 1);
  return lister;
}

std::size_t Lister::committed(std::span<const AskedBatch> batches, std::span<const NameBook::Known> known) {
  if (waiting_.empty() && waiting_outcomes_.empty()) first_waiting_ = Clock::now();
  std::size_t at = 0;
  NameText text;
  for (const AskedBatch& batch : batches)
    for (const Asked* asked : batch.rows) {
      Row row;
      row.id = asked->id;
      row.time_us = asked->time_us;
      row.sandbox = asked->sandbox;
      row.name = known[at++];
      row.charge_millibits = asked->charge_millibits;
      row.cached = asked->cached;
      row.blocked = is_blocked(asked->action);
      row.nxdomain = asked->rcode == rcode_nxdomain && !row.blocked;
      if (row.name.id == 0) {
        text.set(asked->name, asked->registered_labels);
        row.text = static_cast<std::int32_t>(waiting_texts_.size());
        waiting_texts_.push_back({std::string(text.text()), static_cast<std::size_t>(text.registered_at())});
      }
      waiting_.push_back(row);
    }
  if (waiting_.size() > max_waiting) give_up_waiting();
  return waiting();
}

void Lister::committed(std::span<Outcome> outcomes) {
  if (waiting_.empty() && waiting_outcomes_.empty()) first_waiting_ = Clock::now();
  for (Outcome& outcome : outcomes) {
    if (outcome.data.empty() && outcome.rcode != rcode_nxdomain && !is_blocked(outcome.action)) continue;
    if (waiting_outcomes_.size() == max_waiting)
      ++outcomes_left_out_;
    else
      waiting_outcomes_.push_back(std::move(outcome));
  }
}

// The file could not be written for so long that memory would not do: `asked` has it all.
void Lister::give_up_waiting() {
  RowId lowest = waiting_.front().id, highest = lowest;
  for (const Row& row : waiting_) {
    lowest = std::min(lowest, row.id);
    highest = std::max(highest, row.id);
  }
  catch_up_at_ = catching_up() ? std::min(catch_up_at_, lowest - 1) : lowest - 1;
  catch_up_to_ = std::max(catch_up_to_, highest);
  waiting_.clear();
  waiting_texts_.clear();
}

Lister::Clock::time_point Lister::due() const {
  if (in_run_ || catching_up() || waiting_.size() >= run_rows || waiting_outcomes_.size() >= run_rows)
    return Clock::time_point::min();
  if (waiting_.empty() && waiting_outcomes_.empty()) return Clock::time_point::max();
  return first_waiting_ + (waiting_.size() <= few_rows ? delay : delay_of_many);
}

// False: there is nothing to run, or it could not be read.
bool Lister::start_run() {
  run_.clear();
  run_texts_.clear();
  unnamed_.clear();
  run_outcomes_.clear();
  unnamed_at_ = run_at_ = outcome_at_ = 0;
  sorted_ = by_id_ = false;
  highest_before_ = highest_;
  new_domains_from_ = next_domain_;
  if (waiting_.empty() && waiting_outcomes_.empty()) {
    if (!catching_up() || !read_old_rows()) return false;
  } else {
    std::swap(run_, waiting_);
    std::swap(run_texts_, waiting_texts_);
    std::swap(run_outcomes_, waiting_outcomes_);
  }
  for (std::size_t i = 0; i < run_.size(); ++i) {
    Row& row = run_[i];
    if (row.name.id == 0) row.name = names_.find(run_texts_[static_cast<std::size_t>(row.text)].text);
    if (row.name.id == 0) unnamed_.push_back(i);
  }
  // By domain, so that neighbours share pages of the indexes by domain and by reversed name; within a domain
  // as they were asked, since the first row says since when it is known.
  const auto domain_of = [&](std::size_t i) {
    const Text& text = run_texts_[static_cast<std::size_t>(run_[i].text)];
    return std::string_view(text.text).substr(
        std::clamp<std::size_t>(text.registered_at, 1, text.text.size() + 1) - 1);
  };
  std::sort(unnamed_.begin(), unnamed_.end(), [&](std::size_t a, std::size_t b) {
    const int order = domain_of(a).compare(domain_of(b));
    return order != 0 ? order < 0 : run_[a].id < run_[b].id;
  });
  return in_run_ = true;
}

// The next stretch of ids that may hold rows which nobody has listed.
bool Lister::read_old_rows() {
  const RowId upto = std::min<RowId>(catch_up_at_ + static_cast<RowId>(step_rows), catch_up_to_);
  Statement& old = sql_->read_old;
  old.bind(1, catch_up_at_);
  old.bind(2, upto);
  int code = SQLITE_OK;
  while ((code = old.step()) == SQLITE_ROW) {
    Row row;
    row.id = old.integer(0);
    row.time_us = old.integer(1);
    row.sandbox = old.integer(2);
    row.name = {old.integer(3), old.integer(10)};
    row.charge_millibits = static_cast<std::uint32_t>(old.integer(9));
    row.cached = (old.integer(7) & 1) != 0;
    row.blocked = is_blocked(static_cast<Action>(old.integer(6)));
    row.nxdomain = old.integer(8) == rcode_nxdomain && !row.blocked;
    if (row.name.id == 0) {
      row.text = static_cast<std::int32_t>(run_texts_.size());
      run_texts_.push_back({old.text(4), static_cast<std::size_t>(old.integer(5))});
    }
    run_.push_back(row);
    if (old.integer(11) != 0) {
      Outcome outcome{.asked = row.id, .data = old.text(14)};
      outcome.action = static_cast<Action>(old.integer(12));
      outcome.rcode = static_cast<std::int16_t>(old.integer(13));
      run_outcomes_.push_back(std::move(outcome));
    }
  }
  old.reset();
  if (code != SQLITE_DONE) {
    read_failed_ = code;
    error_ = connection_.failed("cannot look for unlisted rows in").message;
    run_.clear();
    run_texts_.clear();
    run_outcomes_.clear();
    return false;
  }
  catch_up_at_ = upto;
  return true;
}

int Lister::step() {
  read_failed_ = SQLITE_OK;
  if (!in_run_ && !start_run()) return read_failed_;
  after_ = {unnamed_at_, run_at_, outcome_at_, false, mark_};
  int code = sql_->begin.run();
  const bool begun = code == SQLITE_OK;
  knows_ = knows_sums_ = true;
  if (begun) {
    if (unnamed_at_ < unnamed_.size())
      code = name_some();
    else if (run_at_ < run_.size())
      code = list_some();
    else
      code = sum_outcomes();
  }
  if (code == SQLITE_OK) code = sql_->commit.run();
  if (code == SQLITE_OK) {
    remember();
  } else {
    error_ = connection_.failed("cannot list what was asked in").message;  // before ROLLBACK replaces it
    if (sqlite3_get_autocommit(connection_.raw()) == 0) sql_->rollback.run();
    for (std::size_t i = unnamed_at_; i < unnamed_.size(); ++i) run_[unnamed_[i]].name = {};
    if (begun) {
      names_.clear();
      forget();
    }
  }
  return code;
}

// What the step wrote is in the file now.
void Lister::remember() {
  if (sandboxes_.size() > max_sandboxes) sandboxes_.clear();
  unnamed_at_ = after_.unnamed;
  run_at_ = after_.row;
  outcome_at_ = after_.outcome;
  mark_ = after_.mark;
  if (!after_.over) return;
  in_run_ = false;
  unnamed_at_ = run_at_ = outcome_at_ = 0;
  run_.clear();
  run_outcomes_.clear();
}

void Lister::finish(RowId last_id_drawn) {
  std::size_t old_runs = 0;
  while (in_run_ || !waiting_.empty() || !waiting_outcomes_.empty() ||
         (catching_up() && ++old_runs <= max_old_runs_at_end))
    if (step() != SQLITE_OK) return;
  const RowId upto = catching_up() ? catch_up_at_ : last_id_drawn;
  if (upto <= mark_ || sql_->begin.run() != SQLITE_OK) return;
  if (write_mark(upto) != SQLITE_OK || sql_->commit.run() != SQLITE_OK) {
    sql_->rollback.run();
    return;
  }
  mark_ = upto;
}

}  // namespace postern

// The lister's steps: names get numbers, rows are listed and summed up, outcomes are added.
#include <algorithm>
#include <tuple>
#include <unordered_map>

#include "resolver/journal/lister.h"
#include "resolver/journal/lister_sql.h"
#include "resolver/journal/name_text.h"

namespace postern {
namespace {

// Enough to tell pairs apart; a collision would cost one address its entry. Never 0, which stands for none.
std::uint64_t pair_key(std::string_view value, std::int64_t name) {
  return (hash_octets(reinterpret_cast<const std::uint8_t*>(value.data()), value.size()) ^
          static_cast<std::uint64_t>(name) * 0x9e3779b97f4a7c15U) |
         std::uint64_t{1} << 63;
}

}  // namespace

int Lister::name_some() {
  const std::size_t until = std::min(unnamed_.size(), unnamed_at_ + step_rows);
  std::size_t looked_up = 0;
  for (std::size_t i = unnamed_at_; i < until; ++i) {
    Row& row = run_[unnamed_[i]];
    const Text& text = run_texts_[static_cast<std::size_t>(row.text)];
    row.name = names_.find(text.text);
    if (row.name.id == 0) {
      if (looked_up == step_names) break;
      if (const int code = intern(text, row, row.name); code != SQLITE_OK) return code;
      ++looked_up;
    }
    after_.unnamed = i + 1;
  }
  return SQLITE_OK;
}

int Lister::intern(const Text& text, const Row& row, NameBook::Known& known) {
  Statement& find = sql_->find_name;
  find.bind(1, std::string_view(text.text));
  int code = find.step();
  if (code == SQLITE_ROW) known = {find.integer(0), find.integer(1)};
  find.reset();
  if (code == SQLITE_DONE) {
    NameBook::Known made{.id = next_name_++};
    const std::size_t at = std::clamp<std::size_t>(text.registered_at, 1, text.text.size() + 1) - 1;
    code = intern_domain(std::string_view(text.text).substr(at), row, made.domain);
    if (code != SQLITE_OK) return code;
    const std::string reversed = reversed_labels(text.text);
    Statement& insert = sql_->name;
    insert.bind(1, made.id);
    insert.bind(2, std::string_view(text.text));
    insert.bind(3, std::string_view(reversed));
    insert.bind(4, made.domain);
    insert.bind(5, row.id);
    insert.bind(6, row.time_us);
    code = insert.run();
    if (code != SQLITE_OK) return code;
    known = made;
  } else if (code != SQLITE_ROW) {
    return code;
  }
  names_.add(text.text, known);
  return SQLITE_OK;
}

int Lister::intern_domain(std::string_view text, const Row& row, std::int64_t& id) {
  id = 0;
  if (text.empty()) return SQLITE_OK;
  id = domains_.find(text).id;
  if (id != 0) return SQLITE_OK;
  Statement& find = sql_->find_domain;
  find.bind(1, text);
  int code = find.step();
  if (code == SQLITE_ROW) id = find.integer(0);
  find.reset();
  if (code == SQLITE_DONE) {
    id = next_domain_++;
    Statement& insert = sql_->domain;
    insert.bind(1, id);
    insert.bind(2, text);
    insert.bind(3, row.id);
    insert.bind(4, row.time_us);
    code = insert.run();
    if (code != SQLITE_OK) return code;
  } else if (code != SQLITE_ROW) {
    return code;
  }
  domains_.add(text, {.id = id});
  return SQLITE_OK;
}

int Lister::ensure(SandboxId sandbox, std::int64_t time_us) {
  if (sandboxes_.contains(sandbox)) return SQLITE_OK;
  Statement& find = sql_->find_sandbox;
  find.bind(1, sandbox);
  int code = find.step();
  find.reset();
  if (code == SQLITE_DONE) {
    Statement& insert = sql_->sandbox;
    insert.bind(1, sandbox);
    insert.bind(2, boot_);
    insert.bind(3, time_us);
    if (code = insert.run(); code != SQLITE_OK) return code;
  } else if (code != SQLITE_ROW) {
    return code;
  }
  sandboxes_.insert(sandbox);
  return SQLITE_OK;
}

Lister::Sums Lister::sums_of(const Row& row) {
  Sums sums;
  sums.sandbox = row.sandbox;
  sums.domain = row.name.domain;
  sums.day = row.time_us / day_us;
  sums.first_us = sums.last_us = row.time_us;
  return sums;
}

// Sorted by domain and name: neighbours share pages of the index, and a row of `tally` is touched once a run.
int Lister::list_some() {
  if (!std::exchange(sorted_, true)) {
    run_texts_.clear();
    std::sort(run_.begin(), run_.end(), [](const Row& a, const Row& b) {
      return std::tie(a.name.domain, a.name.id, a.id) < std::tie(b.name.domain, b.name.id, b.id);
    });
  }
  after_.row = std::min(run_.size(), run_at_ + step_rows);
  std::vector<Sums> sums;
  sums.reserve(after_.row - run_at_);
  for (std::size_t i = run_at_; i < after_.row; ++i) {
    const Row& row = run_[i];
    if (const int code = ensure(row.sandbox, row.time_us); code != SQLITE_OK) return code;
    Sums& one = sums.emplace_back(sums_of(row));
    one.queries = 1;
    one.cached = row.cached;
    one.blocked = row.blocked;
    one.nxdomain = row.nxdomain;
    one.charge_millibits = row.charge_millibits;
    highest_ = std::max(highest_, row.id);
  }
  sql_->rows.rows = std::span(run_).subspan(run_at_, after_.row - run_at_);
  if (const int code = sql_->listed.run(); code != SQLITE_OK) return code;
  if (const int code = mend_first(sql_->rows.rows); code != SQLITE_OK) return code;
  return add(sums);
}

// A domain's first query is the one with the lowest number, in whatever order they are listed: verify holds
// it against that. Rows in order of domain. Of what comes in order only a run's new domains are looked up: a
// name has one domain, and two may come with its text (a hidden secret's "[secret:LABEL].com" with "com",
// whoever asks just that with all of it). It got the one that sorts first, so that one's row may be later.
int Lister::mend_first(std::span<const Row> rows) {
  Statement& earlier = sql_->earlier;
  for (std::size_t i = 0; i < rows.size();) {
    const Row* first = &rows[i];
    for (const std::int64_t domain = first->name.domain; i < rows.size() && rows[i].name.domain == domain;
         ++i)
      if (rows[i].id < first->id) first = &rows[i];
    if (first->id > highest_before_ && first->name.domain < new_domains_from_) continue;
    earlier.bind(1, first->name.domain);
    earlier.bind(2, first->id);
    earlier.bind(3, first->time_us);
    if (const int code = earlier.run(); code != SQLITE_OK) return code;
  }
  return SQLITE_OK;
}

void Lister::Sums::gain(const Sums& other) {
  queries += other.queries;
  cached += other.cached;
  blocked += other.blocked;
  nxdomain += other.nxdomain;
  charge_millibits += other.charge_millibits;
  sandboxes += other.sandboxes;
  first_us = std::min(first_us, other.first_us);
  last_us = std::max(last_us, other.last_us);
}

// Into `tally`, and what of it belongs to domains and sandboxes into their totals: all in this transaction.
int Lister::add(std::vector<Sums>& sums) {
  const auto key = [](const Sums& one) { return std::tie(one.domain, one.sandbox, one.day); };
  std::sort(sums.begin(), sums.end(), [&](const Sums& a, const Sums& b) { return key(a) < key(b); });
  std::size_t kept = 0;
  for (std::size_t i = 0; i < sums.size(); ++i) {
    if (kept > 0 && key(sums[kept - 1]) == key(sums[i]))
      sums[kept - 1].gain(sums[i]);
    else
      sums[kept++] = sums[i];
  }
  sums.resize(kept);
  if (const int code = add_to_tally(sums); code != SQLITE_OK) return code;
  std::unordered_map<SandboxId, Sums> by_sandbox;
  for (std::size_t i = 0; i < sums.size();) {
    Sums of_domain = sums[i];
    for (const std::size_t first = i; i < sums.size() && sums[i].domain == of_domain.domain; ++i) {
      if (i != first) of_domain.gain(sums[i]);
      if (const auto [at, fresh] = by_sandbox.emplace(sums[i].sandbox, sums[i]); !fresh)
        at->second.gain(sums[i]);
    }
    if (const int code = add_to_domain(of_domain); code != SQLITE_OK) return code;
  }
  for (const auto& [sandbox, all] : by_sandbox)
    if (const int code = add_to_sandbox(all); code != SQLITE_OK) return code;
  return SQLITE_OK;
}

// Sorted, and each key once. Sets `sandboxes`: 1 where this sandbox is a new one for this domain.
int Lister::add_to_tally(std::vector<Sums>& sums) {
  if (sums.empty()) return SQLITE_OK;
  for (Sums& one : sums) {
    const std::pair pair(one.sandbox, one.domain);
    auto& known = tallied_[(static_cast<std::uint64_t>(one.sandbox) * 0x9e3779b97f4a7c15U +
                            static_cast<std::uint64_t>(one.domain) * 0xd1b54a32d192ed03U) >>
                           (64 - tallied_bits)];
    one.sandboxes = 0;
    if (std::exchange(known, pair) == pair) continue;
    Statement& find = sql_->any_day;
    find.bind(1, one.sandbox);
    find.bind(2, one.domain);
    const int code = find.step();
    find.reset();
    if (code != SQLITE_ROW && code != SQLITE_DONE) return code;
    one.sandboxes = code == SQLITE_DONE ? 1 : 0;  // another new day of the two finds them known
  }
  sql_->sums.rows = sums;
  return sql_->tally.run();
}

int Lister::add_to_domain(const Sums& sums) {
  Statement& total = sql_->domain_total;
  int at = 0;
  for (const std::int64_t value : {sums.domain, sums.queries, sums.blocked, sums.nxdomain,
                                   sums.charge_millibits, sums.sandboxes, sums.last_us})
    total.bind(++at, value);
  return total.run();
}

int Lister::add_to_sandbox(const Sums& sums) {
  Statement& total = sql_->sandbox_total;
  int at = 0;
  for (const std::int64_t value :
       {sums.sandbox, sums.queries, sums.blocked, sums.nxdomain, sums.charge_millibits})
    total.bind(++at, value);
  return total.run();
}

// The last steps of a run, and its end.
int Lister::sum_outcomes() {
  if (!std::exchange(by_id_, true))
    std::sort(run_.begin(), run_.end(), [](const Row& a, const Row& b) { return a.id < b.id; });
  after_.outcome = std::min(run_outcomes_.size(), outcome_at_ + step_outcomes);
  std::vector<Sums> sums;
  std::vector<Value> values;
  std::size_t entered = 0;
  for (std::size_t i = outcome_at_; i < after_.outcome; ++i) {
    const Outcome& outcome = run_outcomes_[i];
    Row row;
    bool found = false;
    if (const int code = find(outcome.asked, row, found); code != SQLITE_OK) return code;
    if (!found) continue;  // its row could not be written
    const bool blocked = outcome.action == Action::block_name || outcome.action == Action::block_data;
    const bool nxdomain = outcome.rcode == rcode_nxdomain && !blocked && !row.nxdomain;
    if (blocked || nxdomain) {
      Sums& one = sums.emplace_back(sums_of(row));
      one.blocked = blocked && !row.blocked;
      one.nxdomain = nxdomain;
    }
    take_values(outcome, row, values);
    if (values.size() < values_together) continue;
    entered += values.size();
    if (const int code = enter_values(values); code != SQLITE_OK) return code;
    if (entered >= step_values) after_.outcome = i + 1;
  }
  if (const int code = enter_values(values); code != SQLITE_OK) return code;
  if (const int code = add(sums); code != SQLITE_OK) return code;
  if (after_.outcome < run_outcomes_.size()) return SQLITE_OK;
  after_.over = true;
  RowId safe = catching_up() ? catch_up_at_ : highest_ - in_doubt;
  if (!catching_up() && waiting_.empty()) safe = std::max(safe, std::min(finished_, highest_));
  after_.mark = std::max(safe, mark_);
  return safe > mark_ ? write_mark(safe) : SQLITE_OK;
}

int Lister::find(RowId asked, Row& row, bool& found) {
  const auto here =
      std::lower_bound(run_.begin(), run_.end(), asked, [](const Row& one, RowId id) { return one.id < id; });
  if (here != run_.end() && here->id == asked) {
    row = *here;
    found = true;
    return SQLITE_OK;
  }
  Statement& statement = sql_->find_row;
  statement.bind(1, asked);
  const int code = statement.step();
  if (code == SQLITE_ROW) {
    found = true;
    row.id = asked;
    row.time_us = statement.integer(0);
    row.sandbox = statement.integer(1);
    row.name = {statement.integer(2), statement.integer(3)};
    row.blocked = statement.integer(4) == 1 || statement.integer(4) == 2;
    row.nxdomain = statement.integer(5) == rcode_nxdomain && !row.blocked;
  }
  statement.reset();
  return code == SQLITE_ROW || code == SQLITE_DONE ? SQLITE_OK : code;
}

// What is not known to be entered, after what is there.
void Lister::take_values(const Outcome& outcome, const Row& row, std::vector<Value>& values) {
  std::string_view rest = outcome.data;
  for (std::size_t count = 0; count < max_values && !rest.empty(); ++count) {
    const std::size_t space = std::min(rest.find(' '), rest.size());
    const std::string_view value = rest.substr(0, space);
    rest.remove_prefix(std::min(space + 1, rest.size()));
    if (value.empty() || value == "...") continue;  // the mark of what was cut
    const std::uint64_t key = pair_key(value, row.name.id);
    std::uint64_t& known = pairs_[key % pairs_.size()];
    if (std::exchange(known, key) == key) continue;
    values.push_back({value, row.name.id, row.id, row.time_us});
  }
}

// In the table's order: neighbours share pages. Of a pair that is there twice the first counts.
int Lister::enter_values(std::vector<Value>& values) {
  if (values.empty()) return SQLITE_OK;
  std::sort(values.begin(), values.end(), [](const Value& a, const Value& b) {
    return std::tie(a.value, a.name, a.asked) < std::tie(b.value, b.name, b.asked);
  });
  sql_->values.rows = values;
  const int code = sql_->resolved.run();
  values.clear();
  return code;
}

int Lister::write_mark(RowId upto) {
  const std::string text = std::to_string(upto);
  sql_->mark.bind(1, std::string_view(text));
  return sql_->mark.run();
}

}  // namespace postern

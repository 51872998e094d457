// The pruner's other phases: alerts, gaps, sums, and what nothing refers to any more.
#include <algorithm>

#include "resolver/journal/pruner_sql.h"

namespace postern {
namespace {

constexpr std::int64_t pruner_day_us = 86'400'000'000;

// Runs a statement to its end, or until `use` has had enough; it holds no snapshot of the file afterwards.
template <class Use>
int each_row(Statement& statement, Use&& use) {
  int code = SQLITE_ROW;
  while ((code = statement.step()) == SQLITE_ROW)
    if (!use()) break;
  statement.reset();
  return code == SQLITE_ROW || code == SQLITE_DONE ? SQLITE_OK : code;
}

int run_for(Statement& statement, const std::vector<std::int64_t>& ids) {
  for (const std::int64_t id : ids) {
    statement.bind(1, id);
    if (const int code = statement.run(); code != SQLITE_OK) return code;
  }
  return SQLITE_OK;
}

std::vector<SealRun> runs_of(SealKind kind, const std::vector<std::int64_t>& sorted) {
  std::vector<SealRun> runs;
  for (const std::int64_t id : sorted)
    if (!runs.empty() && runs.back().last() + 1 == id)
      ++runs.back().count;
    else
      runs.push_back({kind, id, 1});
  return runs;
}

}  // namespace

// First what hooks were told of them, then alerts.
int Pruner::prune_alerts() {
  if (!aged_ || keep_.alerts_us == 0) {
    go_on(false);
    return SQLITE_OK;
  }
  const std::int64_t cutoff = now_us_ - keep_.alerts_us;
  std::vector<std::int64_t> ids;
  sql_->deliveries.bind(1, std::int64_t{batch_});
  int code = each_row(sql_->deliveries, [&] {
    const bool old = sql_->deliveries.integer(2) < cutoff;
    if (old) ids.push_back(sql_->deliveries.integer(0));
    return old;
  });
  if (code != SQLITE_OK) return code;
  if (!ids.empty()) return remove({}, [&] { return run_for(sql_->cut_delivery, ids); });
  sql_->alerts.bind(1, cutoff);
  sql_->alerts.bind(2, std::int64_t{batch_});
  code = each_row(sql_->alerts, [&] {
    ids.push_back(sql_->alerts.integer(0));
    return true;
  });
  if (code != SQLITE_OK) return code;
  if (!ids.empty()) {
    std::sort(ids.begin(), ids.end());
    code = remove(runs_of(SealKind::alert, ids), [&] { return run_for(sql_->cut_alert, ids); });
    if (code != SQLITE_OK) return code;
    removed_alerts_ += ids.size();
    // What they kept may go: the next pass walks from the beginning.
    evidence_.clear();
    kept_.clear();
    row_at_ = 0;
    next_age_look_ = {};
  }
  go_on(ids.size() == static_cast<std::size_t>(batch_));
  return SQLITE_OK;
}

int Pruner::prune_gaps() {
  std::vector<std::int64_t> ids;
  if (aged_ && keep_.alerts_us > 0) {
    sql_->gaps.bind(1, std::int64_t{batch_});
    int code = each_row(sql_->gaps, [&] {
      const bool old = sql_->gaps.integer(1) < now_us_ - keep_.alerts_us;
      if (old) ids.push_back(sql_->gaps.integer(0));
      return old;
    });
    if (code == SQLITE_OK && !ids.empty())
      code = remove(runs_of(SealKind::gap, ids), [&] { return run_for(sql_->cut_gap, ids); });
    if (code != SQLITE_OK) return code;
  }
  go_on(ids.size() == static_cast<std::size_t>(batch_));
  return SQLITE_OK;
}

// Sums of days before this one go.
std::int64_t Pruner::sums_before_day() const {
  std::int64_t day = 0;
  if (aged_ && keep_.alerts_us > 0) day = (now_us_ - keep_.alerts_us) / pruner_day_us;
  const std::int64_t span_us = now_us_ - reached_us_;
  if (too_large() && removed_sums_ - sums_at_pass_ < sums_per_pass && span_us < short_span_us)
    day = std::max(day, (span_us < shortest_span_us ? now_us_ : reached_us_) / pruner_day_us +
                            (span_us < shortest_span_us ? 1 : 0));
  return day;
}

int Pruner::prune_sums() {
  struct Key {
    std::int64_t sandbox, domain, day;
  };
  std::vector<Key> keys;
  if (const std::int64_t day = sums_before_day(); day > 0) {
    sql_->sums.bind(1, day);
    sql_->sums.bind(2, std::int64_t{batch_});
    int code = each_row(sql_->sums, [&] {
      keys.push_back({sql_->sums.integer(0), sql_->sums.integer(1), sql_->sums.integer(2)});
      return true;
    });
    if (!keys.empty()) lister_.forget_sums();
    if (code == SQLITE_OK && !keys.empty())
      code = remove({}, [&] {
        for (const Key& key : keys) {
          sql_->cut_sum.bind(1, key.sandbox);
          sql_->cut_sum.bind(2, key.domain);
          sql_->cut_sum.bind(3, key.day);
          if (const int cut = sql_->cut_sum.run(); cut != SQLITE_OK) return cut;
        }
        return SQLITE_OK;
      });
    if (code != SQLITE_OK) return code;
    removed_sums_ += keys.size();
  }
  go_on(!keys.empty());
  return SQLITE_OK;
}

int Pruner::prune_sandboxes() {
  std::vector<std::int64_t> ids, sealed, ended;
  int looked = 0;
  sql_->sandboxes.bind(1, at_);
  sql_->sandboxes.bind(2, std::int64_t{batch_});
  int code = each_row(sql_->sandboxes, [&] {
    ++looked;
    at_ = sql_->sandboxes.integer(0);
    const std::int64_t detached_us = sql_->sandboxes.integer(1);
    const bool attached = detached_us == 0 && sql_->sandboxes.integer(4) == boot_;
    const std::int64_t since_us = detached_us != 0 ? detached_us : sql_->sandboxes.integer(3);
    if (attached || sql_->sandboxes.integer(5) != 0 || since_us > now_us_ - closed_for_us) return true;
    ids.push_back(at_);
    if (sql_->sandboxes.text(2).empty()) return true;  // the lister's, nobody's record
    sealed.push_back(at_);
    if (detached_us != 0) ended.push_back(at_);
    return true;
  });
  if (code == SQLITE_OK && !ids.empty()) {
    std::vector<SealRun> runs = runs_of(SealKind::sandbox, sealed);
    for (const SealRun& run : runs_of(SealKind::detached, ended)) runs.push_back(run);
    code = remove(std::move(runs), [&] { return run_for(sql_->cut_sandbox, ids); });
    if (code == SQLITE_OK) lister_.forget();
  }
  if (code != SQLITE_OK) return code;
  go_on(looked == batch_);
  return SQLITE_OK;
}

// Names that nobody asks for any more; what the lister has in hand is left out when they go.
int Pruner::find_unused() {
  int looked = 0;
  sql_->unused.bind(1, at_);
  sql_->unused.bind(2, std::int64_t{batch_} * looks_per_row);
  const int code = each_row(sql_->unused, [&] {
    ++looked;
    at_ = sql_->unused.integer(0);
    if (sql_->unused.integer(1) == 0) unused_.insert(at_);
    return unused_.size() < most_candidates;
  });
  if (code != SQLITE_OK) return code;
  more_unused_ = unused_.size() >= most_candidates;
  go_on(looked == batch_ * looks_per_row && unused_.size() < most_candidates);
  return SQLITE_OK;
}

// There is no index by name, so the whole table is walked once a sweep, in its order.
int Pruner::prune_resolved() {
  std::vector<std::pair<std::string, std::int64_t>> pairs;
  int looked = 0;
  if (!unused_.empty()) {
    const std::string after = value_at_;
    sql_->resolved.bind(1, std::string_view(after));
    sql_->resolved.bind(2, at_);
    sql_->resolved.bind(3, std::int64_t{batch_} * looks_per_row);
    int code = each_row(sql_->resolved, [&] {
      ++looked;
      value_at_ = sql_->resolved.text(0);
      at_ = sql_->resolved.integer(1);
      if (unused_.contains(at_)) pairs.emplace_back(value_at_, at_);
      return pairs.size() < static_cast<std::size_t>(batch_);
    });
    if (code == SQLITE_OK && !pairs.empty()) {
      code = remove({}, [&] {
        for (const auto& [value, name] : pairs) {
          sql_->cut_resolved.bind(1, std::string_view(value));
          sql_->cut_resolved.bind(2, name);
          if (const int cut = sql_->cut_resolved.run(); cut != SQLITE_OK) return cut;
        }
        return SQLITE_OK;
      });
      lister_.forget();  // who is answered with it again is entered again
    }
    if (code != SQLITE_OK) {
      value_at_ = after;
      return code;
    }
  }
  go_on(looked == batch_ * looks_per_row || pairs.size() == static_cast<std::size_t>(batch_));
  return SQLITE_OK;
}

int Pruner::prune_names() {
  if (lister_.catching_up()) unused_.clear();  // what it gave up waiting for may need them
  std::unordered_set<std::int64_t> some;
  while (!unused_.empty() && some.size() < static_cast<std::size_t>(batch_))
    some.insert(unused_.extract(unused_.begin()).value());
  lister_.leave_out_waiting(some);
  std::vector<std::int64_t> ids;
  std::vector<std::string> texts;
  for (const std::int64_t id : some) {
    sql_->name.bind(1, id);
    const int code = each_row(sql_->name, [&] {
      ids.push_back(id);
      texts.push_back(sql_->name.text(0));
      return true;
    });
    if (code != SQLITE_OK) return code;
  }
  if (!ids.empty()) {
    // Out of memory first: after an error they are looked up again.
    for (const std::string& text : texts) names_.forget(text);
    lister_.forget();
    if (const int code = remove({}, [&] { return run_for(sql_->cut_name, ids); }); code != SQLITE_OK)
      return code;
  }
  go_on(!unused_.empty());
  return SQLITE_OK;
}

int Pruner::prune_domains() {
  std::vector<std::int64_t> ids;
  int looked = 0;
  sql_->domains.bind(1, at_);
  sql_->domains.bind(2, std::int64_t{batch_});
  int code = each_row(sql_->domains, [&] {
    ++looked;
    at_ = sql_->domains.integer(0);
    if (sql_->domains.integer(1) == 0) ids.push_back(at_);
    return true;
  });
  if (code == SQLITE_OK && !ids.empty()) {
    lister_.forget();
    code = remove({}, [&] { return run_for(sql_->cut_domain, ids); });
  }
  if (code != SQLITE_OK) return code;
  go_on(looked == batch_);
  return SQLITE_OK;
}

int Pruner::prune_boots() {
  std::vector<std::int64_t> ids, ended;
  sql_->boots.bind(1, boot_);
  sql_->boots.bind(2, std::int64_t{batch_});
  int code = each_row(sql_->boots, [&] {
    ids.push_back(sql_->boots.integer(0));
    if (sql_->boots.integer(1) != 0) ended.push_back(ids.back());
    return true;
  });
  if (code == SQLITE_OK && !ids.empty()) {
    std::vector<SealRun> runs = runs_of(SealKind::boot, ids);
    for (const SealRun& run : runs_of(SealKind::boot_end, ended)) runs.push_back(run);
    code = remove(std::move(runs), [&] { return run_for(sql_->cut_boot, ids); });
  }
  if (code != SQLITE_OK) return code;
  unswept_ = more_unused_;  // what this sweep itself has removed needs none
  go_on(ids.size() == static_cast<std::size_t>(batch_));
  return SQLITE_OK;
}

// Last, since what went before has emptied blocks.
int Pruner::prune_seals() {
  int code = SQLITE_OK;
  if (front_ && front_->to_look()) {
    code = front_->look();
  } else if (front_ && front_->to_move()) {
    code = sql_->begin.run();
    if (code == SQLITE_OK) code = front_->move(now_us_);
    if (code == SQLITE_OK) code = sql_->commit.run();
    if (code == SQLITE_OK) {
      seal_->committed();
      front_->moved();
    }
  }
  if (code != SQLITE_OK) return code;
  go_on(front_ && (front_->to_look() || front_->to_move()));
  return SQLITE_OK;
}

}  // namespace postern

// The lister: enters what was committed into the catalogue that analysts search by, off the commit path.
//
// The story: a commit writes a row of `asked` and one index entry at its right edge, and nothing else, since
// every further index costs a page per row at a random place. The lister remembers what was committed, and
// when `run_rows` have gathered, or after `delay` (`delay_of_many`), enters them as one run sorted by name,
// so that neighbours share a page: into `name` and `domain` what is new, into `listed` each row, into `tally`
// and `resolved` the sums and the addresses. A run is cut into steps, each a short transaction between two
// commits, all or nothing. What is lost from memory, by a kill or by an old file, is found again in `asked`
// (`catch up`). docs/decisions/0006-journal-v3.md has the measurements.
//
// Thread: the journal's. Memory: at most `max_waiting` rows and as many outcomes; what comes on top is left
// to the catching up, its outcomes to nobody (counted). Invariant: every committed row with an id above
// meta.listed_upto is listed, waits here, or is caught up with later.
#pragma once

#include <algorithm>
#include <chrono>
#include <memory>
#include <span>
#include <string>
#include <unordered_set>
#include <utility>
#include <vector>

#include "resolver/journal/name_book.h"
#include "resolver/journal/record.h"

namespace postern {

class Lister {
 public:
  using Clock = std::chrono::steady_clock;

  static constexpr std::size_t run_rows = 131072;  // of one sorted run
  // Of one transaction: commits wait for it, some 20 to 30 ms. Each step writes most of the pages of `listed`
  // that the run touches, so that half as many rows cost a tenth more.
  static constexpr std::size_t step_rows = 8192;
  static constexpr std::size_t step_names = 2048;      // new names, likewise: each costs three indexes
  static constexpr std::size_t step_outcomes = 16384;  // outcomes, likewise: most have nothing to enter
  static constexpr std::size_t max_waiting = 3 * run_rows;
  // Addresses and targets entered of one answer: as many as 65,535 octets hold, at 16 each (RFC 1035).
  static constexpr std::size_t max_values = 4096;
  // Of one transaction, likewise, and those of the answer that reaches it.
  static constexpr std::size_t step_values = 8192;
  // (value, name) remembered as entered, for speed alone: 8 octets each. A newer one takes the place of any
  // other that its hash falls on. A power of two.
  static constexpr std::size_t max_pairs = 131072;
  static constexpr int tallied_bits = 17;  // 2^17 pairs of (sandbox, domain), likewise: 16 octets each
  static constexpr std::size_t values_together = 4096;  // entered with one statement, sorted
  static constexpr std::size_t max_sandboxes = 65536;   // remembered as having a row, likewise
  static constexpr std::int16_t rcode_nxdomain = 3;     // RFC 1035 section 4.1.1
  static constexpr std::int64_t day_us = 86'400'000'000;
  // Few rows are listed soon, since it costs little in all. More wait for a larger run: at ten thousand a
  // second a row in a run of two seconds costs 0.6 of one in a run of a quarter (0009-journal-cost.md).
  static constexpr std::size_t few_rows = 256;
  static constexpr std::chrono::milliseconds delay{250}, delay_of_many{2000};
  // At a clean end, stretches of `step_rows` ids that are still caught up with: what a kill left, some 0.3 s.
  static constexpr std::size_t max_old_runs_at_end = 64;
  // Rows are committed in about the order of their ids: no row comes so much later than a greater id.
  static constexpr RowId in_doubt = 1 << 17;

  // `connection` (the writer's) and `names` must outlive this. `before`: the first id that this boot can
  // draw; what lies below it and is not listed yet is caught up with. `boot`: for sandboxes that have no row.
  static Result<std::unique_ptr<Lister>> create(Connection& connection, NameBook& names, RowId before,
                                                std::int64_t boot);
  ~Lister();

  // After a commit: its rows, with what the name book had of each of them; its outcomes. Returns `waiting`.
  std::size_t committed(std::span<const AskedBatch> batches, std::span<const NameBook::Known> known);
  void committed(std::span<Outcome> outcomes);

  // Neither a row nor an outcome of a query up to this one comes any more (seal_finished.h).
  void none_comes_upto(RowId finished) { finished_ = std::max(finished_, finished); }

  Clock::time_point due() const;  // when there is something to do; max(): nothing
  // At most one transaction. SQLITE_OK, or what stopped it: then it is tried again with the next step.
  int step();
  // Steps until everything committed is listed, and says so in the file. For a clean end; what is left of an
  // old file that is still being caught up with waits for the next start.
  void finish(RowId last_id_drawn);

  // Retention: names with these numbers may be removed; those that rows in hand bear are taken out.
  void leave_out_waiting(std::unordered_set<std::int64_t>& names) const {
    for (const auto* rows : {&waiting_, &run_})
      for (const Row& row : *rows) names.erase(row.name.id);
  }
  // ... and rows of `domain`, `resolved` or `sandbox` were: what is remembered of them may be wrong.
  // Megabytes are cleared, but only if a step has run since the last time.
  void forget() {
    forget_sums();
    if (!std::exchange(knows_, false)) return;
    domains_.clear();
    std::fill(pairs_.begin(), pairs_.end(), 0);
    sandboxes_.clear();
  }
  void forget_sums() {  // ... or of `tally`
    if (std::exchange(knows_sums_, false)) std::fill(tallied_.begin(), tallied_.end(), no_pair);
  }

  std::size_t waiting() const { return waiting_.size() + run_.size() - run_at_; }
  bool catching_up() const { return catch_up_at_ < catch_up_to_; }
  bool all_listed() const { return !in_run_ && waiting_.empty() && !catching_up(); }
  std::uint64_t outcomes_left_out() const { return outcomes_left_out_; }
  const std::string& error() const { return error_; }  // of the last step that failed

 private:
  struct Row {
    RowId id = 0;
    std::int64_t time_us = 0;
    SandboxId sandbox = 0;
    NameBook::Known name;
    std::uint32_t charge_millibits = 0;
    std::int32_t text = -1;  // in the texts beside it, while the name has no number
    bool cached = false, blocked = false, nxdomain = false;
  };
  struct Text {
    std::string text;
    std::size_t registered_at = 0;  // counted from 1
  };
  struct Sums {  // what a row of `tally` gains, or of a total
    SandboxId sandbox = 0;
    std::int64_t domain = 0, day = 0, first_us = 0, last_us = 0;
    std::int64_t queries = 0, cached = 0, blocked = 0, nxdomain = 0, charge_millibits = 0;
    std::int64_t sandboxes = 0;  // that are new to the domain
    void gain(const Sums& other);
  };
  struct Value {  // a row of `resolved`; its text is in an outcome of the run
    std::string_view value;
    std::int64_t name = 0;
    RowId asked = 0;
    std::int64_t time_us = 0;
  };
  template <class Row>
  class Rows;
  struct Statements;

  Lister(Connection& connection, NameBook& names);
  bool start_run();
  bool read_old_rows();
  void give_up_waiting();
  // The three kinds of step, inside a transaction; each leaves in after_ how far it came.
  int name_some();
  int list_some();
  int sum_outcomes();
  static Sums sums_of(const Row& row);
  int add(std::vector<Sums>& sums);
  int add_to_tally(std::vector<Sums>& sums);
  int add_to_domain(const Sums& sums);
  int add_to_sandbox(const Sums& sums);
  void take_values(const Outcome& outcome, const Row& row, std::vector<Value>& values);
  int enter_values(std::vector<Value>& values);
  int find(RowId asked, Row& row, bool& found);
  int ensure(SandboxId sandbox, std::int64_t time_us);
  int mend_first(std::span<const Row> rows);
  int intern(const Text& text, const Row& row, NameBook::Known& known);
  int intern_domain(std::string_view text, const Row& row, std::int64_t& id);
  int write_mark(RowId upto);
  void remember();

  Connection& connection_;
  NameBook& names_;
  std::unique_ptr<Statements> sql_;
  std::int64_t boot_ = 0;
  std::string error_;
  int read_failed_ = 0;

  // Committed, and in no run yet.
  std::vector<Row> waiting_;
  std::vector<Text> waiting_texts_;
  std::vector<Outcome> waiting_outcomes_;
  Clock::time_point first_waiting_;

  // The run: first its names get numbers, then its rows are listed, then its outcomes are summed up.
  std::vector<Row> run_;
  std::vector<Text> run_texts_;
  std::vector<std::size_t> unnamed_;  // places in run_
  std::vector<Outcome> run_outcomes_;
  std::size_t unnamed_at_ = 0, run_at_ = 0, outcome_at_ = 0;
  bool in_run_ = false, sorted_ = false, by_id_ = false;

  // The step under way: kept if it is committed, forgotten if not.
  struct Progress {
    std::size_t unnamed = 0, row = 0, outcome = 0;
    bool over = false;
    RowId mark = 0;
  };
  Progress after_;

  // In the file, or written by this step: a step that fails empties them, and the name book.
  NameBook domains_;  // `id` alone
  std::vector<std::uint64_t> pairs_;
  static constexpr std::pair<SandboxId, std::int64_t> no_pair{-1, -1};
  std::vector<std::pair<SandboxId, std::int64_t>> tallied_;  // sandbox and domain that `tally` has a row of
  std::unordered_set<SandboxId> sandboxes_;
  bool knows_ = false, knows_sums_ = false;  // whether any of these may hold something
  std::int64_t next_name_ = 1, next_domain_ = 1;

  RowId highest_ = 0, mark_ = 0;  // the greatest id listed; meta.listed_upto, as it was committed
  RowId finished_ = 0;
  // When the run began: highest_, above which no domain below next_domain_ of then is first asked.
  RowId highest_before_ = 0;
  std::int64_t new_domains_from_ = 1;
  RowId catch_up_at_ = 0, catch_up_to_ = 0;  // rows in (at, to] are still to be looked through
  std::uint64_t outcomes_left_out_ = 0;
};

}  // namespace postern

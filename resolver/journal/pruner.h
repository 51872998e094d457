// The pruner: removes what retention no longer keeps, oldest first, in steps between two commits.
//
// The story: a pass begins when the file is larger than it may be (looked at every second), or once a minute
// for what has grown too old. It walks `asked` by id, and a step removes up to `step_rows` of its rows with
// their outcomes and catalogue entries in one transaction, under a tombstone (seal_writer.h): all or nothing.
// Then alerts that are too old go, gaps, and sums; and, at most every ten minutes, a sweep takes what nothing
// refers to any more: sandboxes, addresses, names, domains, boots, seals.
//
// By hand (`journal prune`: a retention that is not in force) a pass follows the other at once, each with a
// sweep, when all is listed, until one removes nothing; they count as one. A daemon's next pass, within a
// second where alerts went, takes what they kept.
//
// What stays, whatever its age: a row that is not in the catalogue yet; one that a leak budget would be
// rebuilt from, that is, charged and above the session's or the user's snapshot; an alert's query, and up to
// `evidence_rows` of the alert's sandbox and zone from its first to its last query; ledgers, grants and rule
// texts; a sandbox that is attached, the first one of a session that has a ledger, and the newest row of each
// table whose numbers must not be drawn again.
//
// Thread: the journal's. Time: `now_us` is an argument, so that whoever sets the clock ahead can be told from
// time that went by. Memory: one step's rows, the alerts of its sandboxes, `most_candidates` names.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "resolver/journal/lister.h"
#include "resolver/journal/retention.h"
#include "resolver/journal/seal_front.h"

namespace postern {

class Pruner {
 public:
  using Clock = std::chrono::steady_clock;

  static constexpr int step_rows = 256;    // of a table, removed by a transaction at most
  static constexpr int looks_per_row = 8;  // rows looked at by a step, for each that it may remove
  // A step takes half as many when one took longer than this, and twice as many below a third of it: commits
  // wait for it. What a row costs differs by a hundred between a full cache and a slow disk.
  static constexpr std::chrono::milliseconds step_time{6};
  static constexpr int least_step = 8, first_step = 64;  // of a phase
  static constexpr int evidence_rows = 256;  // queries that an alert keeps besides the one that tipped it
  static constexpr int most_alerts =
      4096;  // of one sandbox, whose evidence is kept: a sandbox can cause them
  static constexpr std::size_t most_candidates = 65'536;  // names of one sweep
  static constexpr std::chrono::seconds size_looked_every{1}, age_looked_every{60}, tried_again_after{10};
  static constexpr std::chrono::minutes swept_every{10};
  // Where the size decides, names give back as much as queries do: a sweep after so many of these, fewer for
  // a small file (one for each KiB that it may have).
  static constexpr std::int64_t swept_after = 16'384;
  // Kept rows that have become removable since are found again by a walk from the beginning.
  static constexpr std::chrono::hours walked_anew_every{6};
  static constexpr std::int64_t closed_for_us =
      600'000'000;  // a sandbox that is removed: no row is under way
  // Where the size leaves less than a day of queries, sums of the days before them go, too; less than an
  // hour, all sums, oldest first: else names that nobody asks twice would fill the file with sums.
  static constexpr std::int64_t short_span_us = 86'400'000'000, shortest_span_us = 3'600'000'000;
  static constexpr std::uint64_t sums_per_pass = 16'384;  // of those

  // All must outlive this. `seal` may be null. `boot`: the writer's own, whose sandboxes may be attached.
  static Result<std::unique_ptr<Pruner>> create(Connection& connection, SealWriter* seal, NameBook& names,
                                                Lister& lister, const Retention& keep, std::int64_t boot);
  ~Pruner();

  Clock::time_point due() const { return next_; }
  // So much too large that it does not wait for a moment without commits.
  bool behind() const { return keep_.octets > 0 && used_octets_ > keep_.octets + keep_.octets / 8; }
  // Too large, and a whole pass found nothing that may go.
  bool rest_too_large() const { return rest_too_large_; }
  std::string held_seals() const { return front_ ? front_->held() : ""; }
  // At most one transaction. SQLITE_OK, or what stopped it: nothing of it was done, and it is tried again.
  int step(std::int64_t now_us);

  const std::string& error() const { return error_; }  // of the last step that failed
  std::uint64_t removed_queries() const { return removed_queries_; }
  std::uint64_t removed_alerts() const { return removed_alerts_; }
  std::uint64_t removed_sums() const { return removed_sums_; }
  std::uint64_t passes() const { return passes_; }           // that came to their end; by hand: all did
  std::int64_t used_octets() const { return used_octets_; }  // at the last look
  std::int64_t oldest_us() const { return oldest_us_; }  // of the oldest query, Unix time; 0: there is none

 private:
  enum class Phase {
    idle,
    rows,
    alerts,
    gaps,
    sums,
    sandboxes,
    unused,
    resolved,
    names,
    domains,
    boots,
    seals
  };
  struct Row {
    RowId id = 0;
    std::int64_t time_us = 0;
    SandboxId sandbox = 0;
    std::int64_t name = 0;
    bool listed = false, charged = false, has_outcome = false;
  };
  struct Window {  // of an alert: what is its evidence
    std::int64_t alert = 0, first_us = 0, last_us = 0;
    std::string zone;
  };
  struct Evidence {  // of a sandbox
    std::unordered_set<RowId> asked;
    std::vector<Window> windows;
  };
  struct Statements;

  Pruner(Connection& connection, SealWriter* seal, NameBook& names, Lister& lister, const Retention& keep,
         std::int64_t boot);
  Result<void> look(std::int64_t now_us);
  int failed();
  void go_on(bool more);  // the phase has more to do, or the next one begins
  void end_pass();

  // One for each phase; SQLITE_OK or the error.
  int prune_rows();
  int prune_alerts();
  int prune_gaps();
  int prune_sums();
  std::int64_t sums_before_day() const;
  int prune_sandboxes();
  int find_unused();
  int prune_resolved();
  int prune_names();
  int prune_domains();
  int prune_boots();
  int prune_seals();
  int may_go(const Row& row, bool& may);
  int evidence_of(SandboxId sandbox, const Evidence*& found);
  int in_zone(std::int64_t name, const std::string& zone, bool& is);
  // Runs `removing` in a transaction that ends with a tombstone for `runs`, if there are any.
  int remove(const std::vector<SealRun>& runs, const std::function<int()>& removing);

  Connection& connection_;
  SealWriter* seal_;
  NameBook& names_;
  Lister& lister_;
  const Retention keep_;
  const std::int64_t boot_;
  std::unique_ptr<Statements> sql_;
  std::unique_ptr<SealFront> front_;  // null: nothing is sealed
  std::string error_;

  Phase phase_ = Phase::idle;
  Clock::time_point next_, next_age_look_, next_sweep_, next_walk_;
  std::int64_t now_us_ = 0;
  bool by_hand() const { return !keep_.in_force; }
  bool too_large() const { return keep_.octets > 0 && used_octets_ > keep_.octets; }
  std::uint64_t removed_at_sweep_ = 0, removed_at_pass_ = 0, sums_at_pass_ = 0;
  bool rest_too_large_ = false;
  bool waits_for_lister_ = false;            // the walk came to a row that is not in the catalogue yet
  int batch_ = first_step;                   // rows of the next step
  bool aged_ = false;                        // this pass is for age, too
  bool unswept_ = true;                      // something may be left to sweep, at first by the last writer
  bool more_unused_ = false;                 // this sweep leaves names to the next one
  RowId row_at_ = 0;                         // rows up to here are gone or kept
  RowId passed_ = 0;                         // the furthest that was
  std::int64_t reached_us_ = 0;              // time of the query that the walk has come to
  std::int64_t at_ = 0;                      // the same, of the other phases' tables
  std::string value_at_;                     // of `resolved`, with at_
  std::unordered_set<std::int64_t> unused_;  // names without a query

  std::unordered_map<SandboxId, Evidence> evidence_;
  std::unordered_map<std::int64_t, int> kept_;  // evidence by alert
  std::int64_t newest_alert_ = -1;
  std::unordered_map<SandboxId, RowId> in_snapshot_;  // charged rows up to here are in the ledgers' snapshots

  std::uint64_t removed_queries_ = 0, removed_alerts_ = 0, removed_sums_ = 0, passes_ = 0;
  std::uint64_t removed() const { return removed_queries_ + removed_alerts_ + removed_sums_; }
  std::int64_t used_octets_ = 0, oldest_us_ = 0;
};

}  // namespace postern

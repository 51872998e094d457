// The journal's thread: gathers what was submitted, commits it in groups, and says so.
#include "resolver/journal/journal.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <ctime>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>

#include "resolver/journal/head_keeper.h"
#include "resolver/journal/mend.h"
#include "resolver/journal/outage.h"
#include "resolver/journal/prune_turn.h"
#include "resolver/journal/signals_held.h"
#include "resolver/journal/snapshots.h"

namespace postern {
namespace {

using Clock = std::chrono::steady_clock;
using namespace std::chrono_literals;

// Rows (and as many outcomes) in one transaction, unless a single batch has more: a few milliseconds of work,
// so that the first of many batches is not kept waiting by the last.
constexpr std::size_t max_rows_per_transaction = 2048;
// An outcome waits this long for rows to ride with; nobody waits for it.
constexpr auto outcome_delay = 50ms;
// So many outcomes do not wait.
constexpr std::size_t outcome_burst = 1024;
// Snapshots in one transaction: each may have 100 KiB, and rows wait behind them.
constexpr std::size_t max_snapshots_per_transaction = 4;
// After a failed commit, and with no rows coming: when to try again whether the file can be written.
constexpr auto retry_after = 250ms;
// attach and detach give up waiting for a stalled disk after this.
constexpr auto control_patience = 10s;

class FileJournal final : public Journal {
 public:
  explicit FileJournal(const Options& options) : options_(options), outage_(options.path) {}
  Result<void> start();
  ~FileJournal() override;

  Result<SandboxId> attach(const Sandbox& sandbox, std::int64_t time_us) override;
  void detach(SandboxId sandbox, std::int64_t time_us) override;
  std::int64_t intern_rule(std::string_view text) override { return in_use_->rules().intern(text); }
  RowId reserve(std::size_t count) noexcept override {
    return next_id_.fetch_add(static_cast<std::int64_t>(count), std::memory_order_relaxed);
  }
  bool submit(std::vector<const Asked*> rows, std::function<void(bool)> done) override;
  void append(Outcome outcome) override;
  void alert(AlertRow alert) override;
  void answered_unrecorded() override { outage_.answered(1); }
  Result<std::vector<Delivery>> pending(const std::string& hook, std::size_t most) override {
    return in_use_->outbox().pending(hook, most);
  }
  void settle(DeliveryResult result) override;
  void on_outbox(std::function<void(std::vector<std::int64_t>)> tell) override {
    const std::lock_guard lock(mutex_);
    tell_outbox_ = std::move(tell);
  }
  void save(LeakSnapshot snapshot) override;
  Result<SessionPast> past(const std::string& user, const std::string& session, bool from_rows) override {
    return in_use_->past().past(user, session, from_rows);
  }
  Result<std::vector<std::string>> users_of(const std::string& session) override {
    return in_use_->past().users_of(session);
  }
  Result<std::int64_t> grant(const LeakGrant& grant) override;
  Stats stats() const override;

 private:
  struct Attachment {  // asked for by one thread, made by the journal's; or a grant in its place
    Sandbox sandbox;
    std::int64_t time_us = 0;
    std::optional<LeakGrant> grant;
    bool abandoned = false;  // nobody waits any more
    std::optional<Result<SandboxId>> result;
  };
  // What waits for the journal's thread. All guarded by mutex_, except when it is the thread's own `hand_`.
  struct Inbox {
    std::vector<AskedBatch> batches;
    std::vector<Outcome> outcomes;
    std::vector<AlertRow> alerts;
    std::vector<SandboxEnd> ends;
    std::vector<LeakSnapshot> snapshots;
    std::vector<DeliveryResult> deliveries;
    std::vector<std::shared_ptr<Attachment>> attachments;
  };

  void wake();
  void run();
  bool take();
  Clock::time_point due() const;
  void make_attachments();
  void write_hand();
  std::size_t write_group(std::size_t from);
  int write(std::size_t from, std::size_t count, bool with_rest);
  template <class WorkToDo>
  int transact(WorkToDo&& work, std::size_t batches = 0);
  void put_gap_on_record();
  void list();
  void failed(int code, std::size_t batches, const std::string& why);
  void settle(std::size_t from, std::size_t count, bool committed);
  void outbox_written();

  const Options options_;
  CommitGate gate_;
  std::unique_ptr<FileInUse> in_use_;
  Outage outage_;
  std::atomic<RowId> next_id_ = 1;
  HeadKeeper heads_;
  PruneTurn pruned_{options_.wal_limit_octets};

  mutable std::mutex mutex_;
  std::condition_variable wake_, answered_;
  Inbox inbox_;
  Clock::time_point first_outcome_;         // when the oldest outcome in inbox_ came
  bool asleep_ = false, timed_ = false;     // the thread sleeps; with a timer that outcomes can wait for
  bool stopping_ = false, signed_ = false;  // signed_: the notary has an answer
  std::uint64_t ends_asked_ = 0, ends_written_ = 0;
  std::string last_error_;
  std::function<void(std::vector<std::int64_t>)> tell_outbox_;
  // The journal's thread's own: taken from the inbox, not yet committed.
  Inbox hand_;
  std::vector<NewRule> new_rules_;
  Clock::time_point last_failure_, next_look_;  // next_look_: at the file, when nothing else is to do
  bool last_try_ = false;

  std::atomic<std::int64_t> listing_cpu_us_ = 0,
                            in_hand_since_us_ = 0;  // when its oldest batch came; 0: none
  std::atomic<std::uint64_t> pending_rows_ = 0, pending_outcomes_ = 0, lost_alerts_ = 0;
  std::atomic<std::uint64_t> committed_rows_ = 0, commits_ = 0, failed_commits_ = 0, refused_rows_ = 0,
                             lost_outcomes_ = 0, committed_outcomes_ = 0, committed_alerts_ = 0,
                             waiting_alerts_ = 0, dropped_deliveries_ = 0, waiting_rows_ = 0;
  std::atomic<bool> writable_ = true;
  std::thread thread_;
};

Result<void> FileJournal::start() {
  const SignalsHeld held;
  auto in_use = FileInUse::open(options_, gate_);
  if (!in_use) return tl::unexpected(in_use.error());
  in_use_ = std::move(*in_use);
  next_id_ = in_use_->file().first_id();
  next_look_ = Clock::now() + FileInUse::looked_every;
  heads_.start(options_.path, options_.sign, [this] {
    const std::lock_guard lock(mutex_);
    signed_ = true;
    wake();
  });
  heads_.offer(in_use_->seal());
  thread_ = std::thread([this] { run(); });
  return {};
}

FileJournal::~FileJournal() {
  if (!thread_.joinable()) return;
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    wake();
  }
  thread_.join();
  heads_.stop(in_use_->seal());
  std::move(*in_use_).end(next_id_.load() - 1, [this] { heads_.close(*in_use_->seal()); });
}

// Called with mutex_ held, after what the thread shall find is in place. On submit's own way the signal is
// sent without the mutex, or the woken thread would run into it.
void FileJournal::wake() {
  if (std::exchange(asleep_, false)) wake_.notify_one();
}

bool FileJournal::submit(std::vector<const Asked*> rows, std::function<void(bool)> done) {
  const std::size_t count = rows.size();
  const std::int64_t now = clock_us(CLOCK_MONOTONIC);
  // Its rule's text found no room while the file could not be written: the row would not say which it was.
  const bool whole =
      std::none_of(rows.begin(), rows.end(), [](const Asked* row) { return row->rule == RuleBook::no_room; });
  bool slept = false;
  {
    const std::lock_guard lock(mutex_);
    if (stopping_ || !whole ||
        pending_rows_.load(std::memory_order_relaxed) + count > options_.max_pending_rows) {
      refused_rows_.fetch_add(count, std::memory_order_relaxed);
      outage_.refused(count);
      return false;
    }
    pending_rows_.fetch_add(count, std::memory_order_relaxed);
    inbox_.batches.push_back({std::move(rows), std::move(done), now});
    slept = std::exchange(asleep_, false);
  }
  if (slept) wake_.notify_one();
  return true;
}

void FileJournal::append(Outcome outcome) {
  const std::lock_guard lock(mutex_);
  if (stopping_ || pending_outcomes_.load(std::memory_order_relaxed) >= options_.max_pending_rows) {
    lost_outcomes_.fetch_add(1, std::memory_order_relaxed);
    return;
  }
  pending_outcomes_.fetch_add(1, std::memory_order_relaxed);
  if (inbox_.outcomes.empty()) first_outcome_ = Clock::now();
  inbox_.outcomes.push_back(std::move(outcome));
  // A thread that sleeps with a timer finds it then, unless there are many.
  if (!timed_ || inbox_.outcomes.size() == outcome_burst) wake();
}

void FileJournal::alert(AlertRow alert) {
  if (alert.uid.empty()) alert.uid = fresh_alert_uid();
  const std::lock_guard lock(mutex_);
  if (waiting_alerts_.load(std::memory_order_relaxed) >= max_waiting_alerts) {
    if (lost_alerts_.fetch_add(1, std::memory_order_relaxed) == 0)
      spdlog::error("alerts are lost: {} wait for a journal that cannot be written", max_waiting_alerts);
    return;
  }
  ++waiting_alerts_;
  inbox_.alerts.push_back(std::move(alert));
  wake();
}

void FileJournal::settle(DeliveryResult result) {
  const std::lock_guard lock(mutex_);
  ++waiting_alerts_;
  inbox_.deliveries.push_back(std::move(result));
  wake();
}

void FileJournal::save(LeakSnapshot snapshot) {
  const std::lock_guard lock(mutex_);
  put_newer(std::move(snapshot), inbox_.snapshots);
  wake();
}

Result<std::int64_t> FileJournal::grant(const LeakGrant& grant) {
  POSTERN_CHECK(std::this_thread::get_id() != thread_.get_id());  // it would wait for itself
  const auto errand = std::make_shared<Attachment>();
  errand->grant = grant;
  std::unique_lock lock(mutex_);
  inbox_.attachments.push_back(errand);
  wake();
  if (answered_.wait_for(lock, control_patience, [&] { return errand->result.has_value(); }))
    return *errand->result;
  errand->abandoned = true;  // it may still be written: then it holds after a restart
  return failure("cannot grant anything to session \"" + grant.session + "\": journal \"" + options_.path +
                 "\" is stalled");
}

Result<SandboxId> FileJournal::attach(const Sandbox& sandbox, std::int64_t time_us) {
  POSTERN_CHECK(std::this_thread::get_id() != thread_.get_id());  // it would wait for itself
  const auto attachment = std::make_shared<Attachment>();
  attachment->sandbox = sandbox;
  attachment->time_us = time_us;
  std::unique_lock lock(mutex_);
  inbox_.attachments.push_back(attachment);
  wake();
  if (answered_.wait_for(lock, control_patience, [&] { return attachment->result.has_value(); }))
    return *attachment->result;
  attachment->abandoned = true;
  return failure("cannot attach sandbox \"" + sandbox.name + "\": journal \"" + options_.path +
                 "\" is stalled");
}

void FileJournal::detach(SandboxId sandbox, std::int64_t time_us) {
  POSTERN_CHECK(std::this_thread::get_id() != thread_.get_id());
  std::unique_lock lock(mutex_);
  inbox_.ends.push_back({sandbox, time_us});
  const std::uint64_t ticket = ++ends_asked_;
  wake();
  answered_.wait_for(lock, control_patience, [&] { return ends_written_ >= ticket || !writable_; });
}

Journal::Stats FileJournal::stats() const {
  Stats stats;
  stats.committed_rows = committed_rows_;
  stats.commits = commits_;
  stats.failed_commits = failed_commits_;
  stats.refused_rows = refused_rows_;
  stats.lost_outcomes = lost_outcomes_;
  stats.committed_outcomes = committed_outcomes_;
  stats.committed_alerts = committed_alerts_;
  stats.waiting_alerts = waiting_alerts_;
  stats.dropped_deliveries = dropped_deliveries_;
  stats.pending_rows = pending_rows_;
  stats.pending_outcomes = pending_outcomes_;
  stats.writable = writable_;
  stats.listing_cpu_us = listing_cpu_us_;
  stats.waiting_rows = waiting_rows_;
  if (clockid_t clock{};
      ::pthread_getcpuclockid(const_cast<std::thread&>(thread_).native_handle(), &clock) == 0)
    stats.thread_cpu_us = clock_us(clock);
  pruned_.tell(stats);
  heads_.tell(stats);
  stats.lost_alerts = lost_alerts_;
  stats.checkpoint_stall_us_max = in_use_->checkpointer().stall_us_max();
  stats.checkpoint_failures = in_use_->checkpointer().failures();
  stats.wal_octets = in_use_->checkpointer().wal_octets();
  stats.outages = outage_.outages();
  stats.outage_since_us = outage_.since_us();
  stats.answered_unrecorded = outage_.total_answered();
  stats.new_files = in_use_->new_files();
  stats.set_aside = in_use_->aside();
  stats.wal_held = in_use_->wal_held();
  if (stats.wal_held)
    if (const auto reader = in_use_->wal_reader()) stats.wal_reader = *reader;
  const std::int64_t now = clock_us(CLOCK_MONOTONIC);
  const std::lock_guard lock(mutex_);
  std::int64_t since = in_hand_since_us_;
  if (since == 0 && !inbox_.batches.empty()) since = inbox_.batches.front().submitted_us;
  stats.oldest_pending_us = since == 0 ? 0 : std::max<std::int64_t>(1, now - since);
  stats.last_error = last_error_;
  return stats;
}

void FileJournal::run() {
  while (take()) {
    heads_.take(in_use_->seal());
    make_attachments();
    write_hand();
    list();
    if (writable_) pruned_.take(*in_use_, gate_, pending_rows_ > 0);
    heads_.offer(in_use_->seal());
  }
  if (writable_) in_use_->lister().finish(next_id_.load() - 1);
  if (hand_.outcomes.empty() && hand_.alerts.empty() && hand_.ends.empty())
    return;  // snapshots only save time
  spdlog::error("journal \"{}\" closed with {} outcomes, {} alerts and {} ends of sandboxes unwritten: {}",
                options_.path, hand_.outcomes.size(), hand_.alerts.size(), hand_.ends.size(), last_error_);
}

// When there is something to do: now (the distant past), at a timer, or never. Called with mutex_ held.
Clock::time_point FileJournal::due() const {
  if (!inbox_.batches.empty() || !inbox_.attachments.empty() || signed_) return Clock::time_point::min();
  if (!writable_) return last_failure_ + retry_after;  // what nobody waits for does not hammer a full disk
  if (!inbox_.alerts.empty() || !inbox_.ends.empty() || !inbox_.snapshots.empty() ||
      !inbox_.deliveries.empty() || inbox_.outcomes.size() >= outcome_burst)
    return Clock::time_point::min();
  const auto soonest = std::min({in_use_->lister_due(), in_use_->seal_due(), pruned_.due(*in_use_)});
  return inbox_.outcomes.empty() ? soonest : std::min(soonest, first_outcome_ + outcome_delay);
}

// Sleeps until something is due, then moves the inbox into the hand. False: stopping, and all that can be
// done is done.
bool FileJournal::take() {
  std::unique_lock lock(mutex_);
  for (;;) {
    if (stopping_) {
      const bool nothing = due() == Clock::time_point::max();
      if (nothing || last_try_) return false;
      last_try_ = true;  // everything that is left, once, and whether or not it was due
      break;
    }
    const auto when = std::min(due(), next_look_);
    if (when == Clock::time_point::min() || (when != Clock::time_point::max() && Clock::now() >= when)) break;
    asleep_ = true;
    timed_ = when <= Clock::now() + outcome_delay;
    const auto woken = [&] { return !asleep_; };
    if (when != Clock::time_point::max())
      wake_.wait_until(lock, when, woken);
    else
      wake_.wait(lock, woken);
    asleep_ = timed_ = false;
  }
  const auto move_over = [](auto& from, auto& to) {  // `to` holds only what failed before
    if (to.empty()) return std::swap(from, to);
    std::move(from.begin(), from.end(), std::back_inserter(to));
    from.clear();
  };
  signed_ = false;
  std::swap(inbox_.batches, hand_.batches);
  std::swap(inbox_.attachments, hand_.attachments);
  move_over(inbox_.outcomes, hand_.outcomes);
  move_over(inbox_.alerts, hand_.alerts);
  move_over(inbox_.ends, hand_.ends);
  take_newer(inbox_.snapshots, hand_.snapshots);
  move_over(inbox_.deliveries, hand_.deliveries);
  if (!hand_.batches.empty()) in_hand_since_us_ = hand_.batches.front().submitted_us;
  return true;
}

// One transaction on a file that is in its place before and after. SQLITE_OK, or the code; then `failed` has
// heard of it.
template <class WorkToDo>
int FileJournal::transact(WorkToDo&& work, std::size_t batches) {
  std::string why = in_use_->ready(next_id_.load());
  int code = SQLITE_IOERR;
  if (why.empty()) {
    gate_.enter();
    code = work(why);
    gate_.leave();
    if (code == SQLITE_OK && !in_use_->still_there(why)) code = SQLITE_IOERR;
  }
  if (code != SQLITE_OK) failed(code, batches, why);
  return code;
}

void FileJournal::make_attachments() {
  if (hand_.attachments.empty()) return;
  for (const auto& attachment : hand_.attachments) {
    Result<SandboxId> made = 0;
    const int code = transact([&](std::string& why) {
      RecordWriter& writer = in_use_->writer();
      made = attachment->grant
                 ? writer.grant(*attachment->grant)
                 : writer.attach(attachment->sandbox, in_use_->file().boot(), attachment->time_us);
      if (made) return SQLITE_OK;
      why = made.error().message;
      return SQLITE_ERROR;
    });
    if (code != SQLITE_OK && made) made = failure(last_error_);  // it is in a file that is lost
    const std::lock_guard lock(mutex_);
    if (attachment->abandoned && made && !attachment->grant)
      hand_.ends.push_back({*made, attachment->time_us});
    attachment->result = std::move(made);
  }
  hand_.attachments.clear();
  answered_.notify_all();
}

// All batches are settled on return, one way or the other. Outcomes, alerts and ends may stay in the hand, if
// writing failed.
void FileJournal::write_hand() {
  std::size_t from = 0;
  do {
    from += write_group(from);
  } while (from < hand_.batches.size() ||
           (writable_ && !(hand_.outcomes.empty() && hand_.alerts.empty() && hand_.ends.empty() &&
                           hand_.snapshots.empty() && hand_.deliveries.empty())));
  hand_.batches.clear();
  const std::lock_guard lock(mutex_);
  answered_.notify_all();
}

// One transaction: batches from number `from` on, up to the limit, and the rest of the hand. Returns how many
// it settled.
std::size_t FileJournal::write_group(std::size_t from) {
  std::size_t count = 0, rows = 0;
  while (from + count < hand_.batches.size()) {
    rows += hand_.batches[from + count].rows.size();
    if (count > 0 && rows > max_rows_per_transaction) break;
    ++count;
  }
  const int code = write(from, count, true);
  if (code == SQLITE_OK) {
    settle(from, count, true);
    return count;
  }
  if (writable_) {
    // One batch broke the rules (an id twice); the others must not pay for it.
    for (std::size_t i = from; i < from + count; ++i) settle(i, 1, write(i, 1, false) == SQLITE_OK);
    return count;
  }
  // The file cannot be written. Whoever submitted before now is told so; whoever submits from now on causes a
  // new try.
  const std::size_t left = hand_.batches.size() - from;
  settle(from, left, false);
  return left;
}

int FileJournal::write(std::size_t from, std::size_t count, bool with_rest) {
  // After the batches were taken: whatever rule their rows name was interned before them.
  new_rules_.clear();
  if (in_use_->rules().has_unwritten()) new_rules_ = in_use_->rules().unwritten();
  const std::size_t outcomes = with_rest ? std::min(hand_.outcomes.size(), max_rows_per_transaction) : 0;
  const std::size_t snapshots =
      with_rest ? std::min(hand_.snapshots.size(), max_snapshots_per_transaction) : 0;
  Work work{.rules = new_rules_, .batches = {}, .outcomes = {}, .alerts = {}, .ends = {}, .snapshots = {}};
  work.batches = std::span(hand_.batches).subspan(from, count);
  work.outcomes = std::span(hand_.outcomes).first(outcomes);
  if (with_rest) {
    work.alerts = hand_.alerts;
    work.ends = hand_.ends;
    work.snapshots = std::span(hand_.snapshots).first(snapshots);
    work.deliveries = hand_.deliveries;
  }
  const bool nothing = work.empty(), sealing = in_use_->seal_due() <= Clock::now();
  if (nothing && writable_ && !sealing && Clock::now() < next_look_) return SQLITE_OK;
  next_look_ = Clock::now() + FileInUse::looked_every;
  const int code = transact(
      [&](std::string& why) {
        if (nothing && writable_ && !sealing) return SQLITE_OK;  // only a look at the file
        RecordWriter& writer = in_use_->writer();
        const int done = nothing && !writable_ ? writer.probe() : writer.write(work);
        if (done != SQLITE_OK) why = writer.error();
        return done;
      },
      count);
  if (code != SQLITE_OK) return code;
  if (nothing && writable_ && !sealing) return SQLITE_OK;
  writable_ = true;
  outage_.over();
  ++commits_;
  in_use_->rules().written(new_rules_.size());
  if (count > 0) waiting_rows_ = in_use_->lister().committed(work.batches, in_use_->writer().known());
  if (with_rest) {
    pending_outcomes_ -= outcomes;
    committed_outcomes_ += outcomes;
    committed_alerts_ += hand_.alerts.size();
    outbox_written();
    in_use_->lister().committed(std::span(hand_.outcomes).first(outcomes));
    hand_.outcomes.erase(hand_.outcomes.begin(),
                         hand_.outcomes.begin() + static_cast<std::ptrdiff_t>(outcomes));
    hand_.alerts.clear();
    hand_.snapshots.erase(hand_.snapshots.begin(),
                          hand_.snapshots.begin() + static_cast<std::ptrdiff_t>(snapshots));
    if (!hand_.ends.empty()) {
      const std::lock_guard lock(mutex_);
      ends_written_ += hand_.ends.size();
      hand_.ends.clear();
    }
  }
  in_use_->checkpointer().committed(in_use_->wal_octets());
  if (outage_.has_gap()) put_gap_on_record();
  return SQLITE_OK;
}

// After a commit, and before the hand is emptied.
void FileJournal::outbox_written() {
  if (hand_.alerts.empty() && hand_.deliveries.empty()) return;
  if (const std::uint64_t dropped = in_use_->writer().dropped_deliveries(); dropped > 0) {
    if (dropped_deliveries_ == 0)
      spdlog::error(
          "an alert hook takes nothing any more: {} alerts wait for it, and further ones are not told",
          options_.max_pending_deliveries);
    dropped_deliveries_ += dropped;
  }
  waiting_alerts_ -= hand_.alerts.size() + hand_.deliveries.size();
  std::vector<std::int64_t> settled;
  for (const DeliveryResult& result : hand_.deliveries) settled.push_back(result.id);
  hand_.deliveries.clear();
  const std::lock_guard lock(mutex_);
  if (tell_outbox_) tell_outbox_(std::move(settled));
}

// One step, between two commits.
void FileJournal::list() {
  if (!writable_ || Clock::now() < in_use_->lister_due()) return;
  Lister& lister = in_use_->lister();
  gate_.enter();
  const std::int64_t before = clock_us(CLOCK_THREAD_CPUTIME_ID);
  const int code = lister.step();
  listing_cpu_us_ += clock_us(CLOCK_THREAD_CPUTIME_ID) - before;
  waiting_rows_ = lister.waiting();
  gate_.leave();
  if (code != SQLITE_OK) return failed(code, 0, lister.error());
  in_use_->checkpointer().committed(in_use_->wal_octets());
}

// What the record lacks is on record as soon as anything can be.
void FileJournal::put_gap_on_record() {
  const Gap gap = outage_.gap();
  gate_.enter();
  const int code = write_gap(in_use_->connection(), gap);
  gate_.leave();
  if (code == SQLITE_OK) outage_.recorded(gap);  // else with the next commit
}

void FileJournal::failed(int code, std::size_t batches, const std::string& why) {
  ++failed_commits_;
  in_use_->failed(code);
  outage_.note(why);
  // A broken constraint is the rows' fault, not the file's.
  if ((code & 0xff) != SQLITE_CONSTRAINT || batches == 0) {
    writable_ = false;
    outage_.failed(why);
  }
  const std::lock_guard lock(mutex_);
  last_failure_ = Clock::now();
  last_error_ = why;
}

// Tells the batches what became of them. Their rows may be gone once `done` was called.
void FileJournal::settle(std::size_t from, std::size_t count, bool committed) {
  for (std::size_t i = from; i < from + count; ++i) {
    AskedBatch& batch = hand_.batches[i];
    pending_rows_ -= batch.rows.size();
    if (committed)
      committed_rows_ += batch.rows.size();
    else
      outage_.refused(batch.rows.size());
    in_hand_since_us_ = i + 1 < hand_.batches.size() ? hand_.batches[i + 1].submitted_us : 0;
    if (batch.done) batch.done(committed);
  }
}

}  // namespace

Result<std::unique_ptr<Journal>> Journal::open(const Options& options) {
  auto journal = std::make_unique<FileJournal>(options);
  if (auto started = journal->start(); !started) return tl::unexpected(started.error());
  return journal;
}

}  // namespace postern

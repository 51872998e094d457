// The journal's public face: what any thread may hand in, and how it wakes the journal's own.
#include "resolver/journal/journal.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <utility>

#include "resolver/journal/file_journal.h"
#include "resolver/journal/signals_held.h"
#include "resolver/journal/snapshots.h"

namespace postern {
namespace {

using namespace std::chrono_literals;

// attach and detach give up waiting for a stalled disk after this.
constexpr auto control_patience = 10s;

}  // namespace

void cut_outcome_data(std::string& data, std::size_t octets) {
  if (data.size() <= octets) return;
  constexpr std::string_view was_cut = " ...";
  const std::size_t end = data.rfind(' ', octets - was_cut.size());
  data.resize(end == std::string::npos ? 0 : end);
  data += was_cut;
}

Result<void> FileJournal::start() {
  const SignalsHeld held;
  auto in_use = FileInUse::open(options_, gate_);
  if (!in_use) return tl::unexpected(in_use.error());
  in_use_ = std::move(*in_use);
  next_id_ = in_use_->file().first_id();
  next_look_ = Clock::now() + FileInUse::looked_every;
  outage_.resume(in_use_->connection());
  if (outage_.has_gap()) put_gap_on_record();
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
  const bool many = pending_outcomes_.fetch_add(1, std::memory_order_relaxed) >= whole_outcomes;
  cut_outcome_data(outcome.data, many ? short_outcome_data : max_outcome_data);
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
  stats.sync_full = options_.sync_full;
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

Result<std::unique_ptr<Journal>> Journal::open(const Options& options) {
  auto journal = std::make_unique<FileJournal>(options);
  if (auto started = journal->start(); !started) return tl::unexpected(started.error());
  return journal;
}

}  // namespace postern

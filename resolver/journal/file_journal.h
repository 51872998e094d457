// The journal in a file: its state, and who touches which part of it. Internal to journal*.cpp.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <optional>
#include <thread>

#include "resolver/journal/head_keeper.h"
#include "resolver/journal/journal.h"
#include "resolver/journal/mend.h"
#include "resolver/journal/outage.h"
#include "resolver/journal/prune_turn.h"

namespace postern {

// Thread: what Journal offers, any (journal.cpp); the rest, the journal's own (journal_thread.cpp).
class FileJournal final : public Journal {
 public:
  using Clock = std::chrono::steady_clock;

  // An outcome waits this long for rows to ride with; nobody waits for it.
  static constexpr std::chrono::milliseconds outcome_delay{50};
  // So many outcomes do not wait.
  static constexpr std::size_t outcome_burst = 1024;
  // While more outcomes wait than these, the answers' texts of further ones are cut to `short_outcome_data`:
  // 65,536 that wait while the disk stalls cannot be six gigabytes.
  static constexpr std::size_t whole_outcomes = 2048;

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
  void refused_unrecorded() override { outage_.refused(1); }
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
  bool was_carried_over(const Attachment& attachment, std::int64_t id);
  void leave_out_carried();
  void leave_out_finished();
  void write_hand();
  void note_written();
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
  PruneTurn pruned_{options_.wal_limit_octets, options_.keep};

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
  bool in_lost_file_ = false;                   // a commit succeeded, and then the file was not in its place
  Clock::time_point last_failure_, next_look_;  // next_look_: at the file, when nothing else is to do
  bool last_try_ = false;
  std::size_t unasked_ends_ = 0;  // of those in hand_: of attachments that nobody waits for any more

  std::atomic<std::int64_t> listing_cpu_us_ = 0,
                            in_hand_since_us_ = 0;  // when its oldest batch came; 0: none
  std::atomic<std::uint64_t> pending_rows_ = 0, pending_outcomes_ = 0, lost_alerts_ = 0;
  std::atomic<std::uint64_t> committed_rows_ = 0, commits_ = 0, failed_commits_ = 0, refused_rows_ = 0,
                             lost_outcomes_ = 0, committed_outcomes_ = 0, committed_alerts_ = 0,
                             waiting_alerts_ = 0, dropped_deliveries_ = 0, waiting_rows_ = 0;
  std::atomic<bool> writable_ = true;
  std::thread thread_;
};

}  // namespace postern

// The journal's thread: takes what has gathered, commits it in groups, and says so.
#include <spdlog/spdlog.h>

#include <algorithm>
#include <string>
#include <unordered_set>
#include <utility>

#include "resolver/journal/file_journal.h"
#include "resolver/journal/snapshots.h"

namespace postern {
namespace {

using namespace std::chrono_literals;
using Clock = FileJournal::Clock;

// Rows (and as many outcomes) in one transaction, unless a single batch has more: a few milliseconds of work,
// so that the first of many batches is not kept waiting by the last.
constexpr std::size_t max_rows_per_transaction = 2048;
// Snapshots in one transaction: each may have 100 KiB, and rows wait behind them.
constexpr std::size_t max_snapshots_per_transaction = 4;
// After a failed commit, and with no rows coming: when to try again whether the file can be written.
constexpr auto retry_after = 250ms;

}  // namespace

void FileJournal::run() {
  while (take()) {
    heads_.take(in_use_->seal());
    make_attachments();
    leave_out_finished();
    write_hand();
    note_written();
    list();
    if (writable_) pruned_.take(*in_use_, gate_, pending_rows_ > 0, commits_);
    heads_.offer(in_use_->seal());
    outage_.keep_note();
  }
  outage_.keep_note();
  if (writable_) in_use_->lister().finish(next_id_.load() - 1);
  if (const Gap gap = outage_.gap(); outage_.has_gap())
    spdlog::error(
        "journal \"{}\" closed while it cannot be written: {} rows refused and {} queries answered without "
        "one "
        "are put on record as a gap when it is opened again",
        options_.path, gap.refused, gap.answered);
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
    if (code == SQLITE_OK && !in_use_->still_there(why)) {
      code = SQLITE_IOERR;
      in_lost_file_ = true;
    }
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
    if (code != SQLITE_OK && made && !was_carried_over(*attachment, *made))
      made = failure(last_error_);  // it is in a file that is lost
    const std::lock_guard lock(mutex_);
    if (attachment->abandoned && made && !attachment->grant) {
      hand_.ends.push_back({*made, attachment->time_us});
      ++unasked_ends_;
    }
    attachment->result = std::move(made);
  }
  hand_.attachments.clear();
  answered_.notify_all();
}

// A commit into a file that is lost may have come along into the one that goes on.
bool FileJournal::was_carried_over(const Attachment& attachment, std::int64_t id) {
  if (!in_use_->ready(next_id_.load()).empty()) return false;
  auto row = in_use_->connection().prepare(attachment.grant
                                               ? "SELECT 1 FROM leak_grant WHERE id = ?1 AND time_us = ?2"
                                               : "SELECT 1 FROM sandbox WHERE id = ?1 AND attached_us = ?2");
  if (!row) return false;
  row->bind(1, id);
  row->bind(2, attachment.grant ? attachment.grant->time_us : attachment.time_us);
  return row->step() == SQLITE_ROW;
}

// Likewise of alerts: whom the file has is not written twice, nor told of twice.
void FileJournal::leave_out_carried() {
  if (!std::exchange(in_lost_file_, false) || hand_.alerts.empty()) return;
  auto newest = in_use_->connection().prepare("SELECT uid FROM alert ORDER BY id DESC LIMIT ?1");
  if (!newest) return;
  newest->bind(1, static_cast<std::int64_t>(max_waiting_alerts));  // one commit has no more
  std::unordered_set<std::string> carried;
  while (newest->step() == SQLITE_ROW) carried.insert(newest->text(0));
  const std::size_t there = std::erase_if(hand_.alerts, [&](const AlertRow& alert) {
    return !alert.uid.empty() && carried.count(alert.uid) != 0;
  });
  committed_alerts_ += there;
  {
    const std::lock_guard lock(mutex_);
    if (there > 0 && tell_outbox_) tell_outbox_({});
  }
  waiting_alerts_ -= there;
}

// Outcomes that come after a block has said that they do not are lost, as after a kill (seal_finished.h).
void FileJournal::leave_out_finished() {
  const RowId finished = in_use_->seal() != nullptr ? in_use_->seal()->finished() : 0;
  const std::size_t late =
      std::erase_if(hand_.outcomes, [&](const Outcome& outcome) { return outcome.asked <= finished; });
  if (writable_) in_use_->lister().none_comes_upto(finished);  // a file that cannot be opened anew has none
  pending_outcomes_ -= late;
  lost_outcomes_ += late;
}

// Numbers that were drawn by now and are not in the file are with those who drew them, or in the inbox.
void FileJournal::note_written() {
  const bool all = writable_ && hand_.outcomes.empty();
  if (all && in_use_->seal() != nullptr) in_use_->seal()->all_written(next_id_.load(), Clock::now());
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
  new_rules_.clear();
  const std::size_t outcomes = with_rest ? std::min(hand_.outcomes.size(), max_rows_per_transaction) : 0;
  const std::size_t snapshots =
      with_rest ? std::min(hand_.snapshots.size(), max_snapshots_per_transaction) : 0;
  Work work{.rules = {}, .batches = {}, .outcomes = {}, .alerts = {}, .ends = {}, .snapshots = {}};
  work.batches = std::span(hand_.batches).subspan(from, count);
  work.outcomes = std::span(hand_.outcomes).first(outcomes);
  if (with_rest) {
    work.alerts = hand_.alerts;
    work.ends = hand_.ends;
    work.snapshots = std::span(hand_.snapshots).first(snapshots);
    work.deliveries = hand_.deliveries;
  }
  // After the batches were taken: whatever rule their rows name was interned before them.
  const bool nothing = work.empty() && !in_use_->rules().has_unwritten(),
             sealing = in_use_->seal_due() <= Clock::now();
  if (nothing && writable_ && !sealing && Clock::now() < next_look_) return SQLITE_OK;
  next_look_ = Clock::now() + FileInUse::looked_every;
  const int code = transact(
      [&](std::string& why) {
        if (nothing && writable_ && !sealing) return SQLITE_OK;  // only a look at the file
        // Now that the file is in its place: another one may have brought along what this was to write.
        leave_out_carried();
        if (with_rest) work.alerts = hand_.alerts;
        if (in_use_->rules().has_unwritten()) new_rules_ = in_use_->rules().unwritten();
        work.rules = new_rules_;
        RecordWriter& writer = in_use_->writer();
        const int done = work.empty() && !writable_ ? writer.probe() : writer.write(work);
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
      ends_written_ += hand_.ends.size() - std::exchange(unasked_ends_, 0);  // detach() counts its own
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
  const std::size_t written = hand_.alerts.size() + hand_.deliveries.size();
  std::vector<std::int64_t> settled;
  for (const DeliveryResult& result : hand_.deliveries) settled.push_back(result.id);
  hand_.deliveries.clear();
  {
    const std::lock_guard lock(mutex_);
    if (tell_outbox_) tell_outbox_(std::move(settled));
  }
  waiting_alerts_ -= written;  // last: who sees none waiting has been told
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
  const int code = in_use_->writer().gap(gap);
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

}  // namespace postern

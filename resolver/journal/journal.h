// The journal: what was asked, by whom, and what became of it, in one SQLite file. The front door of
// journal/.
//
// The story: a shard gathers the `asked` records of the queries it has just read and submits them as one
// batch. The journal's own thread takes whatever batches have gathered, writes them in one transaction,
// commits, and tells each shard, which only then answers or forwards. `outcome`s and alerts are appended
// without being waited for. When a commit fails, the batch is told so, and the shard fails closed; the next
// batch tries again, so recovery needs nobody. docs/OPERATING.md lists what can go wrong with the file,
// within which time it shows, and how it ends (mend.cpp).
//
// Only this folder knows SQLite. Thread: `submit`, `append` and `alert` from any thread; `done` callbacks run
// on the journal thread and must only hand over: they may submit, but not attach or detach. Memory: at most
// `Options::max_pending_rows` rows and as many outcomes wait; more are refused.
//
// Read next: migrations.cpp (the tables and views), record.h (one transaction), journal_thread.cpp,
// mend.h (a file that is lost), outage.h, checkpoint.h, log_gather.h, rule_book.h; reader.h is the analyst's
// side. docs/SCHEMA.md explains the file.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "resolver/journal/retention.h"
#include "rules/signed_head.h"
#include "rules/vocabulary.h"

namespace postern {

using RowId = std::int64_t;      // of an asked record; drawn by Journal::reserve, unique in the file
using SandboxId = std::int64_t;  // of a sandbox's row

// One `asked` record. Rows of one batch keep their order.
struct Asked {
  RowId id = 0;
  std::int64_t time_us = 0;       // Unix time, microseconds
  std::int64_t monotonic_us = 0;  // CLOCK_BOOTTIME, microseconds
  SandboxId sandbox = 0;
  Name name;
  Type type = 0;
  std::uint8_t registered_labels = 0;  // how many labels of `name` make its registered domain
  Action action = Action::block_name;
  Reason reason = Reason::policy_default;
  std::int64_t rule = 0;    // id of an interned rule text (Journal::intern_rule), 0: none
  std::int16_t rcode = -1;  // known already for blocked, local and cached answers; -1: unknown
  std::int16_t ede = -1;    // extended DNS error code sent, -1: none
  bool cached = false;
  bool tcp = false;
  bool refresh = false;                // nobody asked: Postern's own timer did, for a name in use
  float score = 0;                     // 0..1
  std::uint32_t charge_millibits = 0;  // what its forward cost the session, in thousandths of a bit
};

// Octets of Outcome::data at most. An answer has at most 65,535 octets: all A and AAAA records of any fit,
// 4,095 (16 octets each as text) or 2,340 (40). Address hints by the thousand may not.
inline constexpr std::size_t max_outcome_data = 96 << 10;
// The same where the whole is on record already, or would be too much: a question that joined another under
// way (a sandbox that asks 500 times at once for a large answer, which costs it one, does not fill the
// journal), and what waits while the disk stalls.
inline constexpr std::size_t short_outcome_data = 512;
// Cuts it between two words to at most so many octets, with " ..." as the last of them.
void cut_outcome_data(std::string& data, std::size_t octets);

// What became of a forwarded query. At most one per query: a second one is left out.
struct Outcome {
  RowId asked = 0;
  std::int64_t time_us = 0;
  // allow: the verdict of `asked` stands, and with a rule, what was observed of the answer; else these three
  // replace it
  Action action = Action::allow;
  Reason reason = Reason::policy_default;
  std::int64_t rule = 0;
  std::int16_t rcode = -1;
  std::int16_t ede = -1;
  std::int64_t upstream_us = -1;  // how long the upstream took
  std::uint16_t answers = 0;      // records in the reply's answer section
  std::uint32_t octets = 0;       // of the reply, as charged to the budget of answers
  // Its addresses and targets in presentation form, space separated; " ..." at the end: it was cut.
  std::string data;
};

struct AlertRow {
  std::int64_t time_us = 0;
  SandboxId sandbox = 0;
  std::string kind;  // "tunnel", "suspect", "first_query", "leak", "leak_budget"
  std::string zone;
  double score = 0;
  std::string action;    // what was done: "alert", "block-zone", "quarantine", "freeze", "kill", "refuse"
  std::string evidence;  // JSON object: contributions, counts, the last names
  RowId asked = 0;       // the query that tipped it
  std::string severity = {};               // "low", "medium", "high", "critical"
  std::string attack = {};                 // MITRE ATT&CK technique ids, space separated
  std::int64_t first_us = 0, last_us = 0;  // of what it is about; 0: unknown
  std::string message = {};                // JSON object for the hooks; "id", its uid, is put in front
  std::string uid = {};                    // random; drawn by Journal::alert
};

// The outbox: what one hook is to be told about one alert. Rows are written with the alert, and stay until
// they are told, given up, or too many.
enum class DeliveryState : std::uint8_t {
  pending = 0,
  delivered = 1,
  failed = 2,    // the hook got it and said no
  given_up = 3,  // it could not be told for too long
  dropped = 4    // too many were pending when it was raised: never tried
};
struct Delivery {
  std::int64_t id = 0;
  std::string uid;   // of the alert: the same for every attempt and every hook
  std::string body;  // JSON object
  std::uint32_t attempts = 0;
  std::int64_t created_us = 0, next_us = 0;  // Unix time, microseconds
};
// What became of an attempt.
struct DeliveryResult {
  std::int64_t id = 0;
  DeliveryState state = DeliveryState::pending;
  std::uint32_t attempts = 0;  // with this one
  std::int64_t time_us = 0;
  std::int64_t next_us = 0;  // pending: not before
  int status = -1;           // exit status or HTTP status; -1: there was none
  std::string error;
};

// A session's meter at one moment (SessionMeter::snapshot), or with an empty session a user's ledger: the
// millibits used, as decimal text.
struct LeakSnapshot {
  std::string user, session;
  RowId upto = 0;                // it holds the charges of all rows up to this one
  std::int64_t grants_upto = 0;  // and these grants
  std::int64_t time_us = 0;
  std::string octets;
};

// An operator's grant: `octets` more for a session, for one zone of it, or for what comes down to it.
struct LeakGrant {
  static constexpr std::string_view for_answers = "(answers)";  // in the place of a zone, which it cannot be
  std::int64_t id = 0;                                          // drawn when it is written
  std::int64_t time_us = 0;
  std::string user, session;
  std::string zone;  // empty: the session's ledger
  std::uint64_t octets = 0;
};

// What a session has spent before now, as far as it is on record: the last snapshot and what came after.
struct SessionPast {
  struct Forward {
    RowId id = 0;
    Name name;
    Type type = 0;
    std::uint32_t charge_millibits = 0;
    bool refresh = false;
    std::int64_t answer_octets = -1;  // -1: its outcome is unknown
  };
  LeakSnapshot snapshot;  // empty octets: none
  std::vector<LeakGrant> grants;
  std::vector<Forward> forwards;     // in order
  std::uint64_t user_millibits = 0;  // of all the user's sessions together
  std::int64_t began_us = 0;         // its first attachment on record, Unix time; 0: there is none
};

// Who is told of alerts.
struct AlertHook {
  AlertHook(std::string name_, std::function<std::string(const std::string&)> shape_ = {})
      : name(std::move(name_)), shape(std::move(shape_)) {}
  AlertHook(const char* name_) : AlertHook(std::string(name_)) {}

  std::string name;  // "exec PROGRAM", "webhook URL"
  // Of an alert's message, what this hook may be told, a JSON object again; called on the journal's thread.
  // Empty: all of it.
  std::function<std::string(const std::string&)> shape;
};

class Journal {
 public:
  struct Options {
    std::string path;
    std::size_t max_pending_rows = 65536;
    bool sync_full = false;                    // synchronous=FULL: survives power loss, one fsync a commit
    std::int64_t wal_limit_octets = 64 << 20;  // above it the writer is paused until the log starts over
    // Of the log, which a reader that holds an old state of the journal keeps from starting over: beyond it
    // nothing is written until that reader ends. Minutes to an hour of queries.
    std::int64_t wal_ceiling_octets = std::int64_t{1} << 30;
    int lock = -1;        // descriptor of a writer's lock (file_lock.h) taken before; -1: take it
    std::string boot_id;  // the kernel's; empty: read from /proc, where there is one
    // May a new file take the place of one that is lost or damaged? Not where somebody hides the files from a
    // sandbox one by one: a new one would be seen. Then it is an error, or fails closed until somebody helps.
    bool may_begin_anew = true;
    // Signs the head of a block (rules/signed_head.h); called on a thread of the journal's own, and in its
    // destructor. What comes back for another block: refused, and that one was signed last. Empty: unsigned.
    std::function<Result<SignedHead>(const HeadToSign&)> sign = {};
    bool sealed = true;            // hash-chained blocks (seal_writer.h); false: benchmarks
    std::int64_t max_pages = 0;    // the file's limit in pages of 4 KiB: beyond it the disk is full; 0: none
    std::vector<AlertHook> hooks;  // those that are told of alerts
    // Deliveries that wait for one hook; some 20 MiB. A sandbox can cause alerts: what comes after is on
    // record as `dropped`, counted and logged, and the alert's own row stays.
    std::size_t max_pending_deliveries = 10'000;
    Retention keep = {};  // pruner.h
  };
  struct Stats {
    std::uint64_t committed_rows = 0, commits = 0, failed_commits = 0, refused_rows = 0, lost_outcomes = 0;
    std::uint64_t committed_outcomes = 0, committed_alerts = 0, lost_alerts = 0;
    std::uint64_t waiting_alerts = 0;      // alerts and results of deliveries not yet committed
    std::uint64_t dropped_deliveries = 0;  // since the start: too many were pending for their hook
    std::uint64_t pending_rows = 0, pending_outcomes = 0;
    std::int64_t oldest_pending_us = 0;  // how long the oldest batch waits by now: a stalled disk shows here
    std::uint64_t checkpoint_stall_us_max = 0;  // the longest pause of the writer for a checkpoint
    std::uint64_t checkpoint_failures = 0;
    std::uint64_t wal_octets = 0;           // length of the write-ahead log in use
    bool writable = true;                   // false from a failed commit until the next one that succeeds
    std::string last_error;                 // of the last failed commit, also after recovery
    std::uint64_t outages = 0;              // times that it became unwritable
    std::int64_t outage_since_us = 0;       // Unix time; 0: it is writable
    std::uint64_t answered_unrecorded = 0;  // queries, see Journal::answered_unrecorded
    std::uint64_t new_files = 0;            // begun in the place of one that was lost or damaged
    std::string set_aside;                  // where the last damaged file went
    bool wal_held = false;  // a reader of an old state keeps the log from starting over, beyond its limit
    std::int64_t wal_reader = -1;  // that reader's process id, 0: one that cannot be seen from here; -1: none
    std::int64_t thread_cpu_us = 0;                    // CPU time of the journal's thread
    std::int64_t listing_cpu_us = 0;                   // of it, for entering rows into the catalogue
    std::uint64_t waiting_rows = 0;                    // committed, and not in the catalogue yet
    std::uint64_t pruned_rows = 0, pruned_alerts = 0;  // by retention
    std::uint64_t prune_passes = 0;                    // that came to their end
    std::int64_t last_prune_us = 0;                    // Unix time of the last step that removed queries
    std::uint64_t pruned_sums = 0;                     // rows of the view `usage`
    bool sync_full = false;                            // as in Options
    std::string prune_error;                           // of the last step, if it failed
    std::int64_t prune_step_us_max = 0;                // the longest step: commits waited for it
    Retention keep;                                    // what is in force
    bool rest_too_large = false;                       // beyond keep.octets, and nothing is left that may go
    std::string held_seals;                            // why seals of what is gone stay; empty: they do not
    std::int64_t oldest_us = 0;                        // time of the oldest query; 0: none, or not looked at
    std::int64_t used_octets = 0;                      // of the file, free pages apart; at the last look
    std::uint64_t sealed_blocks = 0, signed_heads = 0, unsigned_heads = 0;  // unsigned: asked for in vain
  };

  // Opens or creates the file (0640), migrates it, takes the writer's lock, starts the thread. A journal that
  // is damaged is set aside and a new one begun. Errors: not SQLite, another program's, a newer schema,
  // locked by another Postern, not writable; each names the path, and the file is left as it is.
  static Result<std::unique_ptr<Journal>> open(const Options& options);
  virtual ~Journal() = default;  // drains what was submitted, checkpoints, closes

  // Synchronous (control plane only): waits for the commit, but never longer than 10 s. The sandbox's row,
  // and its end. An empty session is written as "user/code_sha256". An end that cannot be written now is
  // written later.
  virtual Result<SandboxId> attach(const Sandbox& sandbox, std::int64_t time_us) = 0;
  virtual void detach(SandboxId sandbox, std::int64_t time_us) = 0;
  // The id of a rule text; the same text gives the same id, "" gives 0. Does not wait for the disk: the text
  // is committed together with the first rows submitted afterwards. Texts are cut at 1 KiB.
  virtual std::int64_t intern_rule(std::string_view text) = 0;
  // The first of a fresh range of `count` row ids. Monotone, and never drawn again, not even after a restart.
  virtual RowId reserve(std::size_t count) noexcept = 0;

  // The rows of one batch; `done(true)` after they are committed, `done(false)` if they are not. The rows
  // must stay alive and unchanged until then. Returns false, and does not call, when too much is pending.
  virtual bool submit(std::vector<const Asked*> rows, std::function<void(bool)> done) = 0;
  // Written with the next rows or within 50 ms; dropped and counted when too much waits.
  virtual void append(Outcome outcome) = 0;
  // Written at once; dropped and counted only when `max_waiting_alerts` wait for a file that cannot be
  // written.
  static constexpr std::size_t max_waiting_alerts = 4096;
  virtual void alert(AlertRow alert) = 0;
  // A query was answered although its row could not be written (audit: relaxed): counted, and told in the
  // next row of the view `gaps`.
  virtual void answered_unrecorded() {}
  // A query was refused, and not submitted, since the disk stalls (audit: strict): told in `gaps`, too.
  virtual void refused_unrecorded() {}
  // The outbox. What waits for `hook`, soonest first, due or not; any thread, one at a time. A result is
  // written at once and never dropped.
  virtual Result<std::vector<Delivery>> pending(const std::string& /*hook*/, std::size_t /*most*/) {
    return std::vector<Delivery>{};
  }
  virtual void settle(DeliveryResult) {}
  // Called on the journal's thread after a commit that brought deliveries, or results (their ids). Before
  // the first alert.
  virtual void on_outbox(std::function<void(std::vector<std::int64_t> settled)>) {}
  // Written soon, never dropped; a newer one of the same session takes its place.
  virtual void save(LeakSnapshot) {}

  // Control plane: waits for the disk. `session` as session_text() spells it. Without a usable snapshot
  // (`from_rows`) all of the session's rows are read.
  virtual Result<SessionPast> past(const std::string& /*user*/, const std::string& /*session*/,
                                   bool /*from_rows*/ = false) {
    return SessionPast{};
  }
  // The users who have had a session of that name, sorted.
  virtual Result<std::vector<std::string>> users_of(const std::string& /*session*/) {
    return std::vector<std::string>{};
  }
  // Its id, once it is committed.
  virtual Result<std::int64_t> grant(const LeakGrant&) { return std::int64_t{0}; }
  virtual Stats stats() const = 0;
};

}  // namespace postern

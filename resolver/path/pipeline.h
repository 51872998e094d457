// The pipeline: a query's whole way, in one function (`walk` in pipeline.cpp). The front door of path/. Read
// it aloud:
//
//   parse -> who asks -> decide -> guard -> cache -> observe -> meter -> [commit row] -> upstream -> inspect
//   -> reply
//
// It knows no socket, clock or thread: messages come in through `receive`, time through `set_time`, and what
// has to happen outside goes through four ports, so that the scenario tests run this very code with a fake
// clock and a fake upstream.
//
// Thread: one shard. Who owns what: the pipeline owns sandboxes, sessions and exchanges; ports outlive it.
// Memory: at most `max_exchanges` exchanges (about 1.5 KiB each), `max_sessions` sessions, and the sandboxes'
// caches. Invariant (promise 2): nothing is replied to or asked upstream before its row is committed, unless
// the operator chose Audit::relaxed.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "resolver/path/exchange.h"
#include "resolver/path/forwarder.h"
#include "resolver/path/task.h"

namespace postern {

// What the meter has to say about a query: which ledger, and how full it is.
struct LeakFinding {
  LedgerKind ledger = LedgerKind::none;
  std::string zone;  // empty: the session and what is around it
  int percent = 100;
  double used_bits = 0, budget_bits = 0;
  std::uint64_t refused = 0;  // queries of the session refused so far, with this one
};

// What becomes of a query whose row cannot be written.
enum class Audit {
  strict,   // SERVFAIL, and nothing is forwarded
  relaxed,  // as if it were on record; counted, and told in the journal's next row of `gaps`
};

// What was done about a finding; and what could not be, though policy wants it.
struct Done {
  std::string action;           // "alert", "refuse", "block-zone", "quarantine", "freeze", "kill"
  std::string wanted, why_not;  // empty: all was done
  Done(const char* what) : action(what) {}
  Done(std::string_view what, std::string_view instead_of = {}, std::string why = {})
      : action(what), wanted(instead_of), why_not(std::move(why)) {}
};

// Something to tell a person, on its way to the journal and the hook.
struct Alert {
  AlertRow row;
};

class Pipeline {
 public:
  struct Ports {
    Forwarder& forwarder;
    Journal& journal;
    // Runs something on the shard's thread, later; called from the journal's thread.
    std::function<void(std::function<void()>)> post;
    // Sends the finished exchanges' replies; they are gone when it returns.
    std::function<void(std::span<Exchange* const>)> deliver;
    std::function<void(const Alert&)> alert;
    std::vector<std::string> groups;  // of upstreams, as policies name them: the forwarder's from 1 on
    std::uint64_t seed = 0;           // random: keys the detector's sketches
    MeterParts parts = MeterParts::builtin();
    // Freezes or kills all processes of a sandbox; `why` for people. Errors: it cannot be done, and why.
    std::function<Result<void>(const SandboxState&, Response, const std::string& why)> act = {};
  };
  struct Counters {
    std::uint64_t received = 0, dropped = 0, formerr = 0, notimp = 0, badvers = 0, over_limit = 0,
                  unrecorded = 0, coalesced = 0;
  };

  static constexpr std::size_t max_exchanges = 16384;  // of a shard; more are dropped and counted
  static constexpr std::size_t max_sandbox_exchanges =
      512;  // of one sandbox, so that a few cannot take the shard's
  static constexpr std::size_t max_sessions =
      4096;  // remembered, at most 0.8 MiB each; the longest unused goes first
  static constexpr std::size_t max_blocked_zones = 1024;  // of a session; then it is quarantined
  // Charges of a session between two snapshots, or as many as it has names: the next attachment reads so many
  // rows again, and writing costs at most about 100 octets a charge.
  static constexpr std::size_t charges_per_snapshot = 256;
  // Names of a session that a meter without any budget remembers, 10 MiB or so: what comes after is priced by
  // these and added to nothing.
  static constexpr std::size_t max_open_history = 1 << 16;
  static constexpr std::chrono::seconds journal_patience{2};  // a commit that takes longer: fail closed

  explicit Pipeline(Ports ports) : ports_(std::move(ports)), terms_(ports_.parts.known) {}
  ~Pipeline();
  Pipeline(const Pipeline&) = delete;

  struct SessionLeak;  // what `postern leak` shows, below

  void set_audit(Audit audit) { audit_ = audit; }  // strict until then; before the first query
  Audit audit() const { return audit_; }

  // Time as the shard read it: monotonic, and Unix time in microseconds. Before each of the calls below.
  void set_time(Instant now, std::int64_t unix_us);

  // `own_policy`: it was attached with a policy of its own, which reloads leave alone.
  // `past`: what the session and its user have spent before; looked at only if it is not remembered.
  SandboxState& attach(Sandbox who, SandboxId row, std::shared_ptr<const Policy> policy, bool own_policy,
                       const SessionPast& past = {}, std::shared_ptr<const SecretSet> secrets = nullptr);
  // The secrets of the session that it belongs to; null: none.
  std::shared_ptr<const SecretSet> secrets_of(const Sandbox& who) const;
  // `secrets` (attach): all that the session has from now on; null: as they are.
  bool remembers(const Sandbox& who) const { return sessions_.contains(session_key(who)); }
  // A grant that is on record, to a session that may be remembered. Errors: those of `may_grant`, which is
  // for asking before it goes on record: the zone is no name or has no ledger (grant_ledgers.h); there are
  // too many.
  Result<void> grant(const LeakGrant& grant);
  Result<void> may_grant(const LeakGrant& grant) const;
  std::vector<SessionLeak> leaks() const;
  // An operator lets the sandbox's session ask again: what ended its questions is forgotten, also the count
  // of queries, but nothing is granted.
  void lift_quarantine(SandboxState& sandbox);
  void detach(SandboxState& sandbox);  // its listener is closed already; replies under way are dropped
  // New policy for all: the sandbox keeps the old one where the set has no policy of its name (the caller
  // checks that first).
  // `overlaid`: by sandbox, the new policy with the rules that were given when it was attached.
  using OverlaidPolicies = std::unordered_map<std::string, std::shared_ptr<const Policy>>;
  void set_policies(const PolicySet& policies, const OverlaidPolicies& overlaid = {});

  // One message from a sandbox. `flush` ends a batch: the rows gathered since the last are submitted.
  void receive(SandboxState& sandbox, Peer peer, wire::Octets message);
  void flush();
  // Regularly, at least every 250 ms, and `flush` after it: gives up on a stalled journal, asks again what is
  // in use.
  void tick();

  const Counters& counters() const { return counters_; }
  const std::vector<std::unique_ptr<SandboxState>>& sandboxes() const { return sandboxes_; }
  std::size_t in_flight() const { return alive_; }
  bool journal_stalled() const { return stalled_; }

 private:
  struct Batch {
    std::vector<Asked> rows;
    std::vector<Exchange*> exchanges;
    Instant submitted{};
  };
  struct Commit {  // co_await: until the row is committed, or cannot be
    Pipeline& pipeline;
    Exchange* x;
    bool await_ready() const {
      const bool skips = pipeline.skips_the_journal();
      if (skips) pipeline.count_asked(*x);
      return skips;
    }
    void await_suspend(std::coroutine_handle<> handle) {
      x->waiter = handle;
      pipeline.gathered_.push_back(x);
    }
    bool await_resume() const noexcept { return x->committed; }
  };
  struct Fetch {  // co_await: until the upstream's answer is in x->entry, or x->failure says why not
    Pipeline& pipeline;
    Exchange* x;
    bool await_ready() const { return pipeline.came_back(*x); }
    void await_suspend(std::coroutine_handle<> handle) {
      x->waiter = handle;
      pipeline.fetch(x);
    }
    void await_resume() const noexcept {}
  };

  // While the journal stalls, one query at a time still tries, so that recovery is noticed.
  bool waits_in_vain() const { return stalled_ && !(pending_.empty() && gathered_.empty()); }
  void count_asked(Exchange& x);
  bool skips_the_journal() const { return audit_ == Audit::relaxed && waits_in_vain(); }
  Task walk(Exchange* x);
  Task refresh(Exchange* x);
  void start_refreshes();
  void note_use(SandboxState& sandbox, CacheEntry& entry);
  Verdict decide(const Exchange& x) const;
  std::size_t group_of(const Exchange& x) const;
  void guard(Exchange& x);
  void find_secret(Exchange& x);
  void refuse_secret(Exchange& x);
  void count_query(Exchange& x);
  void observe(Exchange& x);
  void meter(Exchange& x);
  bool meter_refresh(Exchange& x);
  OuterLedgers ledgers_around(SandboxState& sandbox);
  void charged(SandboxState& sandbox, Exchange& x, const Charge& charge);
  void save(SessionState& session);
  void rebuild(SessionState& session, const SessionPast& past);
  Result<void> apply(SessionMeter& meter, const LeakGrant& grant) const;
  Ask ask_about(const Query& query, const Policy& policy, LedgerCut cut) const;
  void refuse_leak(Exchange& x, const Admission& admission);
  void tell_leak(Exchange& x, std::string_view kind, const LeakFinding& finding, const Done& done);
  void came_down(Exchange& x, std::size_t octets);
  void give_terms(SandboxState& sandbox);
  void compose(Exchange& x);  // from x.entry or x.verdict, into x.reply
  void write_local(Exchange& x);
  void fail(Exchange& x, Ede ede, std::string_view text);
  void record_outcome(const Exchange& x);
  bool came_back(Exchange& x);
  void fetch(Exchange* x);
  void fetched(SandboxState& sandbox, const Query& query, Resolution resolution);
  void reinspect(CacheEntry& entry, const SandboxState& sandbox) const;
  void committed(const std::shared_ptr<Batch>& batch, bool ok);
  void raise(Exchange& x, std::string kind, const Finding& finding, const Done& done);
  void tell_score(Exchange& x, Finding finding, const Done& done);
  Done respond(Exchange& x, Response wanted, Reason reason, const Name* zone);
  std::int64_t rule_row(SandboxState& sandbox, const Policy& policy, RuleId rule);
  SessionState& session_for(const Sandbox& who, const std::shared_ptr<const LeakTerms>& terms,
                            const SessionPast& past);
  static std::string session_key(const Sandbox& who) { return who.user + '\0' + session_text(who); }
  std::shared_ptr<UserState> payer_for(const std::string& user, std::uint64_t spent_millibits);
  void forget_a_session(const SessionState& but);

  Exchange* take();
  void finish(Exchange* x);  // reply or not, it is over
  void deliver();
  void release(Exchange* x);
  void erase(SandboxState& sandbox);

  Ports ports_;
  Instant now_{};
  std::int64_t unix_us_ = 0;
  Counters counters_;
  std::vector<std::unique_ptr<SandboxState>> sandboxes_;
  TermsBook terms_;
  std::unordered_map<std::string, std::unique_ptr<SessionState>> sessions_;
  std::unordered_map<std::string, std::weak_ptr<UserState>> users_;
  std::deque<Exchange> slab_;  // never shrinks; exchanges come from here
  std::vector<Exchange*> free_;
  std::size_t alive_ = 0;
  std::vector<Exchange*> gathered_;             // rows of the batch being read
  std::vector<Exchange*> finished_;             // replies to deliver at the end of this turn
  std::deque<std::shared_ptr<Batch>> pending_;  // submitted, in order
  std::uint64_t use_ = 0;
  Instant next_refresh_ = Use::never;  // not later than the first that is due
  bool stalled_ = false;
  Audit audit_ = Audit::strict;
};

// One remembered session's budgets. Amounts in thousandths of a bit.
struct Pipeline::SessionLeak {
  struct Amount {
    std::uint64_t used = 0, limit = 0, granted = 0;
    static Amount of(const Ledger& ledger) { return {ledger.used(), ledger.limit(), ledger.granted()}; }
  };
  std::string user, session, policy;
  std::size_t sandboxes = 0;  // attached
  Amount whole, answers, payer;
  bool has_payer = false;
  std::vector<SessionMeter::ZoneUse> zones;
  std::vector<std::pair<std::string, Amount>> boxes;  // attached sandboxes' own ledgers
  std::uint64_t refused = 0;                          // queries, since it is remembered
  bool quarantined = false;
  std::string quarantine;  // what for
};

}  // namespace postern

// Exchange: one query on its way, from the octets that came in to the reply that goes out.
#pragma once

#include <netinet/in.h>

#include <coroutine>
#include <cstdint>
#include <memory>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "detect/detector.h"
#include "detect/meter.h"
#include "detect/query_window.h"
#include "detect/secret_watch.h"
#include "resolver/journal/journal.h"
#include "resolver/path/cache.h"
#include "resolver/path/evidence.h"
#include "resolver/path/leak_terms.h"
#include "resolver/path/referrals.h"
#include "resolver/path/wire.h"
#include "rules/policy.h"

namespace postern {

struct Exchange;

// The far end of a TCP connection; the listener's. Replies may come after it has closed: they are dropped.
class StreamPeer {
 public:
  virtual ~StreamPeer() = default;
  virtual void reply(wire::Octets message) = 0;
};

// Where a reply goes.
struct Peer {
  sockaddr_in6 address{};  // UDP; a sockaddr_in where the socket is AF_INET
  in6_pktinfo
      local{};  // UDP: the address and interface it was sent to; an in_pktinfo's address where AF_INET
  std::shared_ptr<StreamPeer> stream;  // TCP
};

// A user's ledger, above those of the sessions.
struct UserState {
  std::string user;
  Ledger ledger{Budgets::unlimited};
  RowId last_charged = 0;  // the row that was charged last
};

// What has been told about a session's budgets, so that a client cannot raise alerts at will.
struct LeakTold {
  static constexpr std::size_t max_warnings = 64;       // of 50 and 80 %
  static constexpr std::size_t max_refused_zones = 32;  // then one alert for the session; more are counted
  struct Zones {
    std::unordered_set<Name, NameHash> told;
    bool many = false;  // that there are more than are told
  };
  std::size_t warnings = 0;
  Zones spent;     // whose budget's end was told
  Zones too_dear;  // where a name alone was: refused for nothing, so it must not hide an end
  std::unordered_set<std::uint8_t> wide;  // LedgerKinds of the session and around it
  std::uint64_t refused = 0;              // queries, told or not
};

// The same of the score: to look odd costs a client nothing. What is not told is in the rows' scores.
struct ScoreTold {
  static constexpr std::size_t max_told = 64;  // of each level in a day, then one for the session
  static constexpr std::chrono::hours day{24};
  Instant began = -day;
  std::size_t suspects = 0, tunnels = 0;
};

// The same of secrets: once for a secret and zone.
struct SecretTold {
  static constexpr std::size_t max_told = 64;  // then one alert for the session; more are counted
  std::unordered_set<std::string> pairs;
  bool many = false;
  std::uint64_t refused = 0;
};

// What a session has done, over all of its sandboxes and after they are gone: a new `run` starts where the
// last one stopped.
struct SessionState {
  std::string user, session;
  SessionState(const SessionDetector::Limits& limits, std::shared_ptr<const LeakTerms> begin,
               std::shared_ptr<const NameCode> code)
      : detector(limits), meter(begin->budgets(), std::move(code), begin->known), terms(std::move(begin)) {}
  SessionDetector detector;
  SessionMeter meter;                      // what the names forwarded so far can have told, in bits
  std::shared_ptr<const LeakTerms> terms;  // in force in `meter`: those of the sandbox that asked last
  RowId last_charged = 0;                  // the row that was charged last
  std::int64_t last_grant = 0;             // and the grant that was applied last
  std::size_t unsaved = 0;                 // charges since the last snapshot
  std::shared_ptr<UserState> payer;        // null: nobody is named
  LeakTold told;
  ScoreTold score_told;
  std::unique_ptr<SecretWatch> secrets;  // null: it has none
  SecretTold secrets_told;
  QueryWindow queries;
  Instant cap_told = -QueryWindow::length;  // when it last was over its cap
  RecentNames recent;                       // for alerts: what was asked lately
  std::int64_t began_us = 0;                // first attachment on record, Unix time: refills count from here
  std::uint64_t refilled_days = 0;          // in force in `meter`
  std::uint64_t told_days = 0;              // refills after which what was told was forgotten
  // What findings have cut, and for which reason; at most `max_blocked_zones`, then quarantine.
  std::unordered_map<Name, Reason, NameHash> blocked_zones;
  bool quarantined = false;
  std::string quarantine;       // what for, while it is: "tunnel", "answers", "query cap", "zone example.com"
  std::size_t sandboxes = 0;    // attached now
  std::uint64_t last_used = 0;  // pipeline's counter, for forgetting
};

struct SandboxCounters {
  std::uint64_t queries = 0, allowed = 0, blocked = 0, local = 0, cached = 0, forwarded = 0, failed = 0,
                malformed = 0, over_limit = 0, unrecorded = 0, alerts = 0, over_budget = 0, refreshed = 0,
                secrets = 0;
};

// One attached sandbox. Thread: its shard. Lives until it is detached *and* its last exchange is finished.
struct SandboxState {
  Sandbox who;
  SandboxId row = 0;
  std::shared_ptr<const Policy> policy;
  bool own_policy = false;                 // given at attach: reloads leave it alone
  std::uint64_t token = 0;                 // what the broker knows it by; 0: `run`'s own command
  std::shared_ptr<const LeakTerms> terms;  // of `policy`
  Ledger ledger{Budgets::unlimited};       // the sandbox's own, within its session's
  std::uint64_t policy_epoch = 0;
  Cache cache;
  Uses uses;            // what is asked again by itself
  Referrals referrals;  // names that its answers have handed out
  SessionState* session = nullptr;
  std::vector<std::int64_t> rule_rows;  // RuleId -> the journal's id of its text; -1: not asked for yet
  std::unordered_map<Query, std::vector<Exchange*>, QueryHash, QueryEqual>
      in_flight;              // who waits for which question
  std::size_t exchanges = 0;  // alive
  bool closed = false;
  bool asked_before = false;
  void* listener = nullptr;  // the shard's; null once closed
  SandboxCounters counters;
  std::string acted;  // "killed (tunnel: evil.example)"; empty: its processes were let be
};

struct Exchange {
  SandboxState* sandbox = nullptr;
  Peer peer;
  wire::Question question;
  std::shared_ptr<const Policy> policy;  // the one that decided; a reload in between does not mix
  Verdict verdict;
  LedgerCut cut;           // of the question's name
  std::size_t group = 0;   // of upstreams, that answers or would
  bool refreshes = false;  // nobody asked: Postern's own timer did, and nobody gets the reply
  bool joins = false;      // uncharged: the same question was under way when it came, so it never goes itself
  std::string over_budget;  // which ledger is spent, for the client; empty: none
  LedgerKind refused_by = LedgerKind::none;
  std::string secret;  // the label of the one that its name holds, and `row.name` no longer; empty: none
  Asked row;           // its name is the one that may be shown
  std::vector<std::uint8_t> reply;  // empty: nothing is sent
  // While the walk is suspended:
  std::coroutine_handle<> waiter;
  bool committed = false;
  std::shared_ptr<CacheEntry> entry;  // what was found or fetched
  Ede failure = Ede::none;            // why there is no entry
  std::chrono::microseconds upstream_took{-1};
};

}  // namespace postern

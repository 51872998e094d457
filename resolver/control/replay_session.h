// A recorded session: what its queries would have led to, one after the other. Computes only.
//
// The order of decisions is the path's (Pipeline::walk): the cap of queries, policy, blocked zones, cache,
// score, meter. What the network would have added is assumed: every forwarded name is answered and kept for
// `ttl`. A name in use (asked twice within the larger of `ttl` and `in_use`) is asked again by Postern's own
// timer when its TTL ends.
//
// Thread: one. Memory: a cache entry for each name asked within the last 300 s or TTL, a report for each
// zone, the meter's and the detector's own.
#pragma once

#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "detect/detector.h"
#include "detect/meter.h"
#include "detect/query_window.h"
#include "rules/policy.h"
#include "rules/public_suffix.h"

namespace postern {

// Under which rules a recording is played.
struct ReplayRules {
  std::shared_ptr<const Policy> policy;  // not null
  Budgets budgets;                       // the policy's own, or others in their place
  std::shared_ptr<const SuffixList> suffixes = SuffixList::builtin();
  std::shared_ptr<const NameCode> code;     // not null
  std::shared_ptr<const KnownNames> known;  // not null; with the policy's exact names
  Instant ttl = std::chrono::seconds(300);
  Instant in_use = std::chrono::seconds(300);
  bool refreshes = true;
};

// The policy under which the meter is seen alone: any name, any type, no rules; the score and the cap of
// queries only watch. Special names stay local: no setting of types or names sends them up.
std::shared_ptr<const Policy> meter_alone_policy();

// What became of a query.
enum class Fate : std::uint8_t {
  refused,  // by policy
  local,    // answered by policy
  cut,      // by the score or the meter, now or before
  cached,
  forwarded,
};

// What the meter is told of a query: which ledgers it is charged to.
Ask ledger_ask(const ReplayRules& rules, const Query& query, const LedgerCut& cut);

// One (session, zone), as the report shows it. Positions count the zone's own queries from 1; 0: never.
struct ZoneReport {
  std::uint64_t queries = 0;
  std::uint64_t forwarded = 0;  // refreshes among them
  std::uint64_t refreshed = 0;
  std::uint64_t cached = 0, refused = 0, cut = 0;
  Millibits charged = 0;  // to the zone's ledger, the end symbol too
  // The first query that a budget or the score refused; if there is none, the first name too dear by itself.
  std::uint64_t cut_at_query = 0;
  bool cut_one_name = false;  // it was such a name
  Instant cut_at_time{};
  std::uint64_t first_alert_query = 0;
  double score = 0;  // the highest
  Level level = Level::quiet;
  std::string cut_why, refused_why, score_why;
  std::string why() const;  // what cut it, what policy refused, the score's largest parts
};

class SessionReplay {
 public:
  explicit SessionReplay(std::shared_ptr<const ReplayRules> rules);

  struct Step {
    Fate fate = Fate::refused;
    Reason reason = Reason::policy_default;  // where policy refused
    std::size_t zone = 0;                    // which of `zones()`
    Admission admission;                     // where the meter was asked
    Finding finding;
  };
  // `now` never runs backwards; `rcode`: what came back, -1 if it is not known.
  Step ask(Instant now, const Query& query, int rcode = -1);
  // Time passes: refreshes what is in use and forgets what is not.
  void advance(Instant now);

  std::size_t zones() const noexcept { return reports_.size(); }
  Name zone(std::size_t which) const;
  const ZoneReport& report(std::size_t which) const noexcept { return reports_[which]; }
  const SessionMeter& meter() const noexcept { return meter_; }
  bool quarantined() const noexcept { return quarantined_; }
  bool exhausted() const noexcept { return exhausted_; }  // the session's own budget refused something
  bool over_cap() const noexcept { return over_cap_; }    // more queries within an hour than the budgets say
  Level level() const noexcept { return level_; }         // of the session as a whole

 private:
  struct Entry {
    Query query;
    std::size_t zone;
    std::size_t labels;                    // of the registered domain, for the score
    Ask ask;                               // its query pointer is set when it is used
    Instant expires, asked, asked_before;  // the client's last two questions
    bool kept = true;                      // in the cache; else only remembered as asked not long ago
  };
  void refill(Instant now);
  void count(Instant now);
  // The verdict then, `before` if nothing is done; `why` is told of what a quarantine cuts.
  Verdict respond(Response wanted, Reason reason, const Name* zone, std::string_view why,
                  const Verdict& before);
  Verdict decide(const Query& query, const Name& zone) const;
  void observe(Instant now, const Query& query, std::size_t labels, Verdict& verdict, bool cached,
               Step& step);
  void cut(Instant now, ZoneReport& report, const std::string& why, bool one_name);

  std::shared_ptr<const ReplayRules> rules_;
  SessionDetector detector_;
  SessionMeter meter_;
  std::unordered_map<Name, Reason, NameHash> blocked_zones_;
  QueryWindow queries_;
  std::optional<Instant> began_;     // its first query: refills count from here
  std::uint64_t refilled_days_ = 0;  // in force in meter_
  bool quarantined_ = false, exhausted_ = false, over_cap_ = false;
  std::string quarantine_why_;
  Level level_ = Level::quiet;
  NameTable zones_, opened_;  // reported zones; ledgers that have been charged
  std::vector<ZoneReport> reports_;
  std::unordered_map<std::string, Entry> cache_;
  struct Due {
    Instant at;
    std::string key;
  };
  std::deque<Due> due_, forget_;
};

}  // namespace postern

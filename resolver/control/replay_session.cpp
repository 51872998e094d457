// A recorded session: policy, score and meter, asked in the path's order with the recording's clock.
#include "resolver/control/replay_session.h"

#include <algorithm>
#include <cstdio>

namespace postern {
namespace {

constexpr std::size_t max_blocked_zones = 1024;  // as on the path; then the session is quarantined
constexpr std::size_t told_parts = 3;            // of a score, in a report's `why`

std::string cache_key(const Query& query) {
  std::string key(NameTable::octets(query.name));
  key += static_cast<char>(query.type >> 8);
  key += static_cast<char>(query.type & 0xff);
  return key;
}

// The zone that a report speaks of. Reverse lookups count together; a zone of a top-level domain in no list
// stands for itself, though the meter charges all of those together.
std::size_t reported_labels(const Query& query, std::size_t registered_labels) {
  static const Name arpa = *Name::parse("arpa");
  return query.name.at_or_below(arpa) ? 1 : registered_labels;
}

std::string budget_text(const Admission& admission) {
  char text[96];
  if (admission.refused_by == LedgerKind::name)
    std::snprintf(text, sizeof text, "single name of %.0f bits, limit %.0f", admission.charge.bits(),
                  admission.budget_bits);
  else
    std::snprintf(text, sizeof text, "%s budget: %.0f of %.0f bytes spent",
                  std::string(ledger_text(admission.refused_by)).c_str(), admission.used_bits / 8,
                  admission.budget_bits / 8);
  return text;
}

// As on the path: a session's own budget blames no zone.
bool is_about_a_zone(LedgerKind ledger) {
  return ledger == LedgerKind::zone || ledger == LedgerKind::parent || ledger == LedgerKind::arpa ||
         ledger == LedgerKind::name;
}

std::string parts_text(const std::vector<Contribution>& parts) {
  std::string text;
  for (std::size_t i = 0; i < parts.size() && i < told_parts; ++i) {
    char part[80];
    std::snprintf(part, sizeof part, "%s%s %.3g +%.2f", i == 0 ? "" : ", ", parts[i].feature, parts[i].value,
                  parts[i].weight);
    text += part;
  }
  return text;
}

}  // namespace

std::shared_ptr<const Policy> meter_alone_policy() {
  constexpr const char* text =
      "policies: {default: {default: allow, types: any, names: any, on_tunnel: alert, on_cap: alert}}";
  const auto parsed = PolicySet::parse(text, "the meter alone");
  POSTERN_CHECK(parsed.has_value());
  return (*parsed)->find("");
}

Ask ledger_ask(const ReplayRules& rules, const Query& query, const LedgerCut& cut) {
  return {&query, cut.zone, cut.parent, rules.policy->is_exempt(query.name)};
}

std::string ZoneReport::why() const {
  std::string text;
  for (const std::string* part : {&cut_why, &refused_why, &score_why})
    if (!part->empty()) text += (text.empty() ? "" : "; ") + *part;
  return text;
}

SessionReplay::SessionReplay(std::shared_ptr<const ReplayRules> rules)
    : rules_(std::move(rules)), meter_(rules_->budgets, rules_->code, rules_->known) {}

Name SessionReplay::zone(std::size_t which) const {
  const std::string_view wire = zones_.at(static_cast<NameTable::Id>(which));
  return *Name::from_wire({reinterpret_cast<const std::uint8_t*>(wire.data()), wire.size()});
}

Verdict SessionReplay::decide(const Query& query, const Name& zone) const {
  if (quarantined_) return {Action::block_name, Reason::quarantine, 0, nullptr};
  const Verdict verdict = rules_->policy->decide(query);
  if (verdict.action != Action::allow) return verdict;
  if (const auto blocked = blocked_zones_.find(zone); blocked != blocked_zones_.end())
    return {Action::block_name, blocked->second, 0, nullptr};
  return verdict;
}

// As Pipeline::respond: what policy wants done about a finding. Without a zone to blame, `block-zone` does
// nothing; in a recording nobody is there to freeze or kill: no more DNS.
Verdict SessionReplay::respond(Response wanted, Reason reason, const Name* zone, std::string_view why,
                               const Verdict& before) {
  if (wanted == Response::block_zone && zone != nullptr) {
    if (blocked_zones_.size() < max_blocked_zones) {
      blocked_zones_.emplace(*zone, reason);
      return {Action::block_name, reason, 0, nullptr};
    }
    wanted = Response::quarantine;
  }
  if (wanted == Response::alert || wanted == Response::block_zone) return before;
  if (!quarantined_) quarantine_why_ = why;
  quarantined_ = true;
  return {Action::block_name, Reason::quarantine, 0, nullptr};
}

// The cap counts all queries, as Pipeline::count_query does.
void SessionReplay::count(Instant now) {
  if (queries_.add(now) <= rules_->budgets.queries) return;
  over_cap_ = true;
  respond(rules_->policy->on_cap(), Reason::quarantine, nullptr,
          "over " + std::to_string(rules_->budgets.queries) + " queries within an hour", {});
}

void SessionReplay::cut(Instant now, ZoneReport& report, const std::string& why, bool one_name) {
  ++report.cut;
  if (report.cut_at_query != 0 && (one_name || !report.cut_one_name)) return;
  report.cut_at_query = report.queries;
  report.cut_at_time = now;
  report.cut_one_name = one_name;
  report.cut_why = why;
}

// As Pipeline::observe: what is told, and what policy does about it.
void SessionReplay::observe(Instant now, const Query& query, std::size_t labels, Verdict& verdict,
                            bool cached, Step& step) {
  Observation seen;
  seen.now = now;
  seen.query = &query;
  seen.registered_labels = labels;
  seen.blocked = verdict.action != Action::allow;
  seen.cached = cached;
  step.finding = detector_.observe(seen);
  const Finding& finding = step.finding;
  ZoneReport& report = reports_[step.zone];
  if (!finding.session_wide) {
    report.score = std::max(report.score, finding.score);
    report.level = std::max(report.level, finding.level);
  }
  if (!finding.crossed) return;
  if (finding.session_wide) level_ = std::max(level_, finding.level);
  if (report.first_alert_query == 0) report.first_alert_query = report.queries;
  char told[64];
  std::snprintf(told, sizeof told, "%s %.2f%s: ", std::string(level_text(finding.level)).c_str(),
                finding.score, finding.session_wide ? " (session)" : "");
  report.score_why = told + parts_text(finding.why);

  if (finding.level != Level::tunnel) return;
  const Name zone = query.name.suffix(labels);
  verdict = respond(rules_->policy->on_tunnel(), Reason::tunnel, finding.session_wide ? nullptr : &zone,
                    "tunnel", verdict);
}

// As Pipeline::ledgers_around: so much more for each whole day.
void SessionReplay::refill(Instant now) {
  if (!began_) began_ = now;
  if (rules_->budgets.refill == 0) return;
  const auto days = static_cast<std::uint64_t>((now - *began_) / std::chrono::hours(24));
  if (days == refilled_days_) return;
  refilled_days_ = days;
  meter_.set_policy(rules_->budgets.after_days(days), rules_->known);
}

SessionReplay::Step SessionReplay::ask(Instant now, const Query& query, int rcode) {
  advance(now);
  refill(now);
  count(now);
  Step step;
  const std::string key = cache_key(query);
  const auto cached = cache_.find(key);
  std::size_t labels = 0;
  Ask ask;
  if (cached != cache_.end()) {
    step.zone = cached->second.zone;
    ask = cached->second.ask;
    labels = cached->second.labels;
  } else {
    const LedgerCut cut = rules_->suffixes->ledger_cut(query.name);
    labels = cut.registered;
    ask = ledger_ask(*rules_, query, cut);
    const Name zone = query.name.suffix(reported_labels(query, labels));
    const auto id = zones_.find(NameTable::octets(zone));
    step.zone = id ? *id : zones_.insert(NameTable::octets(zone));
    if (!id) reports_.emplace_back();
  }
  ask.query = &query;
  ZoneReport& report = reports_[step.zone];
  ++report.queries;

  Verdict verdict = decide(query, query.name.suffix(labels));
  const bool in_cache = cached != cache_.end() && cached->second.kept && verdict.action == Action::allow;
  observe(now, query, labels, verdict, in_cache, step);
  if (verdict.action != Action::allow) {
    step.reason = verdict.reason;
    if (verdict.reason == Reason::quarantine) {
      step.fate = Fate::cut;
      cut(now, report, "session quarantined: " + quarantine_why_, false);
    } else if (verdict.reason == Reason::tunnel || verdict.reason == Reason::budget) {
      step.fate = Fate::cut;
      cut(now, report,
          verdict.reason == Reason::tunnel ? "zone blocked: tunnel" : "zone blocked: budget spent", false);
    } else {
      step.fate = verdict.action == Action::local ? Fate::local : Fate::refused;
      ++report.refused;
      if (report.refused_why.empty())
        report.refused_why = "policy: " + std::string(reason_text(verdict.reason));
    }
    return step;
  }
  if (in_cache) {
    step.fate = Fate::cached;
    ++report.cached;
    cached->second.asked_before = cached->second.asked;
    cached->second.asked = now;
    return step;
  }

  step.admission = meter_.admit(ask);
  if (!step.admission.admitted) {
    step.fate = Fate::cut;
    step.reason = Reason::budget;
    exhausted_ |= step.admission.refused_by == LedgerKind::session;
    const std::string why = budget_text(step.admission);
    const Name blamed = query.name.suffix(labels);
    respond(rules_->policy->on_budget(), Reason::budget,
            is_about_a_zone(step.admission.refused_by) ? &blamed : nullptr, why, verdict);
    cut(now, report, why, step.admission.refused_by == LedgerKind::name);
    return step;
  }
  step.fate = Fate::forwarded;
  ++report.forwarded;
  detector_.charged(query, labels, static_cast<double>(step.admission.charge.zone) / one_bit, now);
  // A ledger's end symbol is paid with its first charge, whichever of the zones that share it that is for.
  const Name ledger = query.name.suffix(std::min(ask.registered_labels, reported_labels(query, labels)));
  if (!opened_.find(NameTable::octets(ledger))) {
    opened_.insert(NameTable::octets(ledger));
    report.charged += rules_->code->tables().session[static_cast<std::size_t>(Component::end)];
  }
  report.charged += step.admission.charge.zone;
  if (rcode >= 0) detector_.answered(query, labels, rcode, 0, now);
  constexpr Instant never = -std::chrono::hours(24 * 365 * 100);
  const auto [at, fresh] =
      cache_.try_emplace(key, Entry{query, step.zone, labels, ask, now + rules_->ttl, now, never});
  if (!fresh) {  // its TTL had ended
    Entry& entry = at->second;
    entry.asked_before = entry.asked;
    entry.asked = now;
    entry.expires = now + rules_->ttl;
    entry.kept = true;
  }
  due_.push_back({now + rules_->ttl, key});
  return step;
}

// Two rows, each in order of time, since all TTLs are the same: what leaves the cache unless it is refreshed,
// and what has left it and is forgotten once its last question is too old to count as use.
void SessionReplay::advance(Instant now) {
  const Instant window = std::max(rules_->ttl, rules_->in_use);
  while (!due_.empty() && due_.front().at <= now) {
    Due due = std::move(due_.front());
    due_.pop_front();
    const auto found = cache_.find(due.key);
    if (found == cache_.end()) continue;
    Entry& entry = found->second;
    bool kept = rules_->refreshes && rules_->ttl > Instant(0) && entry.asked_before > entry.expires - window;
    if (kept) {
      entry.ask.query = &entry.query;
      const Admission admission = meter_.admit_refresh(entry.ask);
      kept = admission.admitted;
      if (kept) {
        ZoneReport& report = reports_[entry.zone];
        ++report.forwarded;
        ++report.refreshed;
        report.charged += admission.charge.zone;
        entry.expires += rules_->ttl;
        due_.push_back({entry.expires, std::move(due.key)});
      }
    }
    if (!kept) {
      entry.kept = false;
      forget_.push_back({due.at + window, std::move(due.key)});
    }
  }
  while (!forget_.empty() && forget_.front().at <= now) {
    const auto found = cache_.find(forget_.front().key);
    if (found != cache_.end() && !found->second.kept && found->second.asked + window <= forget_.front().at)
      cache_.erase(found);
    forget_.pop_front();
  }
}

}  // namespace postern

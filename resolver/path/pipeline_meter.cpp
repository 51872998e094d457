// The pipeline's leak meter: what a forward costs, what is refused when a budget is spent, and who is told.
#include <algorithm>
#include <cmath>

#include "resolver/path/alert_text.h"
#include "resolver/path/grant_ledgers.h"
#include "resolver/path/pipeline.h"

namespace postern {
namespace {

bool is_about_a_zone(LedgerKind ledger) {
  return ledger == LedgerKind::zone || ledger == LedgerKind::parent || ledger == LedgerKind::arpa ||
         ledger == LedgerKind::name;
}

// "leak budget spent: zone example.com, 256 B"; for an Extended DNS Error, so it is short.
std::string spent_text(const LeakFinding& finding) {
  const std::string budget = amount_text(static_cast<std::uint64_t>(finding.budget_bits));
  if (finding.ledger == LedgerKind::name)
    return "leak budget: this name alone says " + std::to_string(std::lround(finding.used_bits)) +
           " bits, at most " + std::to_string(std::lround(finding.budget_bits)) + " may";
  return "leak budget spent: " + std::string(ledger_text(finding.ledger)) +
         (finding.zone.empty() ? "" : " " + finding.zone) + ", " + budget;
}

// The part of the name that a ledger is kept for.
std::string ledger_zone(const Name& name, LedgerKind ledger, const LedgerCut& cut) {
  if (!is_about_a_zone(ledger)) return {};
  if (ledger == LedgerKind::arpa) return "arpa";
  return name.suffix(ledger == LedgerKind::parent ? cut.parent : cut.zone).text();
}

// What Postern asked by itself spends nothing of what may come down: nobody asked, and a name in use would
// end its session by being in use. Only addresses, and not many: what else a server would send so is counted.
bool comes_down_free(bool refresh, Type type, std::size_t octets) {
  constexpr std::size_t most = 512;  // octets: two dozen addresses; RFC 1035 section 2.3.4
  return refresh && (type == type::A || type == type::AAAA) && octets <= most;
}

tl::unexpected<Error> no_room_for(const LeakGrant& one) {
  return failure("nothing more can be granted to zone \"" + one.zone + "\": the session has grants for " +
                 std::to_string(SessionMeter::max_granted) + " zones");
}

}  // namespace

// Prices the forward and charges it before it goes; turns the verdict if a ledger cannot bear it. A question
// that is under way tells nothing new, so whoever asks it again joins, uncharged.
void Pipeline::meter(Exchange& x) {
  SandboxState& sandbox = *x.sandbox;
  SessionState& session = *sandbox.session;
  const Query& query = x.question.query;
  x.joins = sandbox.in_flight.contains(query);
  if (x.joins) return sandbox.uses.missed(query, now_);
  const OuterLedgers outer = ledgers_around(sandbox);
  const Ask ask = ask_about(query, *x.policy, x.cut);
  if (session.meter.names() >= max_open_history && session.terms->budgets().is_open()) {
    x.row.charge_millibits = session.meter.price(ask).session;
    return;
  }
  const Admission admission = session.meter.admit(ask, outer);
  if (admission.admitted) {
    charged(sandbox, x, admission.charge);
    session.detector.charged(query, x.cut.registered, static_cast<double>(admission.charge.zone) / one_bit,
                             now_);
    sandbox.uses.missed(query, now_);
  } else {
    refuse_leak(x, admission);
  }
  for (std::size_t i = 0; i < admission.warning_count; ++i) {
    if (session.told.warnings++ >= LeakTold::max_warnings) break;
    const Admission::Warning& warning = admission.warnings[i];
    const LeakFinding finding{warning.ledger,      ledger_zone(query.name, warning.ledger, x.cut),
                              warning.percent,     warning.used_bits,
                              warning.budget_bits, session.told.refused};
    tell_leak(x, "leak_budget", finding, "alert");
  }
}

// The same for what Postern asks by itself. False: a ledger is spent, so it is not asked again; whoever asks
// the next time is told.
bool Pipeline::meter_refresh(Exchange& x) {
  SandboxState& sandbox = *x.sandbox;
  const OuterLedgers outer = ledgers_around(sandbox);
  const Query& query = x.question.query;
  const Ask ask = ask_about(query, *x.policy, x.cut);
  const Admission admission = sandbox.session->meter.admit_refresh(ask, outer);
  if (admission.admitted) charged(sandbox, x, admission.charge);
  return admission.admitted;
}

Ask Pipeline::ask_about(const Query& query, const Policy& policy, LedgerCut cut) const {
  return {&query, cut.zone, cut.parent, policy.is_exempt(query.name)};
}

// The ledgers around the session's; all under the terms of the sandbox that asks, since a session's sandboxes
// may be under different policies.
OuterLedgers Pipeline::ledgers_around(SandboxState& sandbox) {
  SessionState& session = *sandbox.session;
  constexpr std::int64_t day_us = 86'400'000'000;
  // Whole days since its first attachment on record: the same after a restart, and fewer when a clock is set
  // back.
  const std::int64_t age_us = std::max<std::int64_t>(0, unix_us_ - session.began_us);
  const std::uint64_t days =
      sandbox.terms->budgets().refill > 0 ? static_cast<std::uint64_t>(age_us / day_us) : 0;
  if (session.terms != sandbox.terms || session.refilled_days != days) {
    if (days > session.told_days) {  // what is spent again is a new story, and told once
      session.told = {};
      session.told_days = days;
    }
    session.terms = sandbox.terms;
    session.refilled_days = days;
    session.meter.set_policy(session.terms->budgets().after_days(days), session.terms->known);
  }
  OuterLedgers outer{&sandbox.ledger, nullptr};
  if (session.payer) {
    session.payer->ledger.set_budget(session.terms->budgets().user);
    outer.user = &session.payer->ledger;
  }
  return outer;
}

// Rows are numbered in the order in which they are charged, so a snapshot holds all rows up to the last.
void Pipeline::charged(SandboxState& sandbox, Exchange& x, const Charge& charge) {
  SessionState& session = *sandbox.session;
  x.row.charge_millibits = charge.session;
  session.last_charged = x.row.id;
  if (session.payer) session.payer->last_charged = x.row.id;
  if (++session.unsaved >= std::max(charges_per_snapshot, session.meter.names())) save(session);
}

void Pipeline::save(SessionState& session) {
  if (session.unsaved == 0) return;
  session.unsaved = 0;
  ports_.journal.save({session.user, session.session, session.last_charged, session.last_grant, unix_us_,
                       session.meter.snapshot()});
  if (session.payer)
    ports_.journal.save({session.user, "", session.payer->last_charged, 0, unix_us_,
                         std::to_string(session.payer->ledger.used())});
}

// What the session has spent before it was forgotten, or before the process began.
void Pipeline::rebuild(SessionState& session, const SessionPast& past) {
  constexpr std::uint64_t unknown_answer = 1232;  // octets: the most that one datagram from upstream holds
  SessionMeter& meter = session.meter;
  if (!past.snapshot.octets.empty()) {
    const auto restored = meter.restore(past.snapshot.octets);
    POSTERN_CHECK(restored.has_value());  // whoever read the past has tried it
  }
  session.last_charged = past.snapshot.upto;
  session.last_grant = past.snapshot.grants_upto;
  for (const LeakGrant& one : past.grants) {
    session.last_grant = one.id;
    (void)apply(meter, one);  // what cannot be applied was refused when it was wanted, or its zone is gone
  }
  for (const SessionPast::Forward& row : past.forwards) {
    const Query query{row.name, row.type};
    const Ask ask = ask_about(query, *session.terms->policy, ports_.parts.suffixes->ledger_cut(query.name));
    if (row.refresh)
      meter.replay_refresh(ask);
    else
      meter.replay(ask, row.charge_millibits);
    const std::uint64_t octets =
        row.answer_octets < 0 ? unknown_answer : static_cast<std::uint64_t>(row.answer_octets);
    if (!comes_down_free(row.refresh, row.type, row.answer_octets < 0 ? 0 : octets)) meter.received(octets);
    session.last_charged = row.id;
    ++session.unsaved;
  }
  if (session.payer)
    session.payer->last_charged = std::max(session.payer->last_charged, session.last_charged);
  if (session.unsaved >= charges_per_snapshot) save(session);
}

Result<void> Pipeline::apply(SessionMeter& meter, const LeakGrant& one) const {
  if (one.zone.empty()) {
    meter.grant(one.octets);
  } else if (one.zone == LeakGrant::for_answers) {
    meter.grant_answers(one.octets);
  } else {
    const auto zone = Name::parse(one.zone);
    if (!zone) return tl::unexpected(zone.error());
    const auto ledgers = ledgers_of_grant(*ports_.parts.suffixes, *zone);
    if (!ledgers) return tl::unexpected(ledgers.error());
    if (!meter.grant_zone(ledgers->zone, ledgers->parent, one.octets)) return no_room_for(one);
  }
  return {};
}

Result<void> Pipeline::may_grant(const LeakGrant& one) const {
  if (one.zone.empty() || one.zone == LeakGrant::for_answers) return {};
  const auto zone = Name::parse(one.zone);
  if (!zone) return tl::unexpected(zone.error());
  const auto ledgers = ledgers_of_grant(*ports_.parts.suffixes, *zone);
  if (!ledgers) return tl::unexpected(ledgers.error());
  const auto at = sessions_.find(one.user + '\0' + one.session);
  if (at != sessions_.end() && !at->second->meter.has_room_for_grant(ledgers->zone, ledgers->parent))
    return no_room_for(one);
  return {};
}

Result<void> Pipeline::grant(const LeakGrant& one) {
  const auto at = sessions_.find(one.user + '\0' + one.session);
  if (at == sessions_.end()) return may_grant(one);  // it is read when the session comes back
  SessionState& session = *at->second;
  if (auto applied = apply(session.meter, one); !applied) return applied;
  session.last_grant = one.id;
  session.told = {};  // what is spent again is a new story
  ++session.unsaved;
  return {};
}

std::vector<Pipeline::SessionLeak> Pipeline::leaks() const {
  std::vector<SessionLeak> all;
  for (const auto& [key, session] : sessions_) {
    SessionLeak leak;
    leak.user = session->user;
    leak.session = session->session;
    leak.policy = session->terms->policy->name();
    leak.sandboxes = session->sandboxes;
    leak.whole = SessionLeak::Amount::of(session->meter.session());
    leak.answers = SessionLeak::Amount::of(session->meter.answers());
    leak.has_payer = session->payer != nullptr;
    if (session->payer) leak.payer = SessionLeak::Amount::of(session->payer->ledger);
    leak.zones = session->meter.zones();
    leak.refused = session->told.refused;
    leak.quarantined = session->quarantined;
    leak.quarantine = session->quarantine;
    for (const auto& sandbox : sandboxes_)
      if (sandbox->session == session.get() && !sandbox->closed)
        leak.boxes.emplace_back(sandbox->who.name, SessionLeak::Amount::of(sandbox->ledger));
    all.push_back(std::move(leak));
  }
  return all;
}

void Pipeline::refuse_leak(Exchange& x, const Admission& admission) {
  SandboxState& sandbox = *x.sandbox;
  SessionState& session = *sandbox.session;
  LeakTold& told = session.told;
  const LedgerKind ledger = admission.refused_by;
  ++told.refused;
  ++sandbox.counters.over_budget;
  LeakFinding finding{ledger,
                      ledger_zone(x.question.query.name, ledger, x.cut),
                      100,
                      admission.used_bits,
                      admission.budget_bits,
                      told.refused};
  x.refused_by = ledger;
  x.over_budget = spent_text(finding);
  x.verdict = {Action::block_name, Reason::budget, 0, nullptr};

  const bool capped = ledger == LedgerKind::answers;  // what came down, not what left: a cap of its own
  const Response wanted = capped ? x.policy->on_cap() : x.policy->on_budget();
  const std::string_view kind = capped ? "bytes_cap" : "leak";
  const Name zone =
      is_about_a_zone(ledger)
          ? x.question.query.name.suffix(ledger == LedgerKind::parent ? x.cut.parent : x.cut.zone)
          : Name();
  // `alert` does nothing beyond the refusal.
  Done done = "refuse";
  if (wanted != Response::alert) {
    const Name registered = x.question.query.name.suffix(x.cut.registered);
    done = respond(x, wanted, Reason::budget, is_about_a_zone(ledger) ? &registered : nullptr);
    if (done.action == response_text(Response::alert)) done = "refuse";
    x.verdict = {Action::block_name, Reason::budget, 0, nullptr};  // for this one
  }
  // What ends a session's questions is told always, and once: nothing is metered afterwards.
  if (session.quarantined) return tell_leak(x, kind, finding, done);
  if (!is_about_a_zone(ledger)) {
    if (told.wide.insert(static_cast<std::uint8_t>(ledger)).second) tell_leak(x, kind, finding, done);
    return;
  }
  LeakTold::Zones& zones = ledger == LedgerKind::name ? told.too_dear : told.spent;
  if (zones.told.contains(zone) || zones.many) return;
  if (zones.told.size() < LeakTold::max_refused_zones) {
    zones.told.insert(zone);
    return tell_leak(x, "leak", finding, done);
  }
  zones.many = true;  // one more, for all the zones to come
  finding.zone.clear();
  tell_leak(x, "leak", finding, done);
}

void Pipeline::tell_leak(Exchange& x, std::string_view kind, const LeakFinding& finding, const Done& done) {
  ++x.sandbox->counters.alerts;
  const Alert alert = make_leak_alert(x, kind, finding, done, unix_us_);
  ports_.journal.alert(alert.row);
  if (ports_.alert) ports_.alert(alert);
}

// An answer's octets are charged when they come; once they are spent, nothing more is asked.
void Pipeline::came_down(Exchange& x, std::size_t octets) {
  if (comes_down_free(x.refreshes, x.question.query.type, octets)) return;
  SessionState& session = *x.sandbox->session;
  const int percent = session.meter.received(octets);
  if (percent == 0 || session.told.warnings++ >= LeakTold::max_warnings) return;
  const Ledger& answers = session.meter.answers();
  tell_leak(x, "leak_budget",
            {LedgerKind::answers, "", percent, static_cast<double>(answers.used()) / 1000,
             static_cast<double>(answers.limit()) / 1000, session.told.refused},
            "alert");
}

void Pipeline::give_terms(SandboxState& sandbox) {
  sandbox.terms = terms_.of(sandbox.policy);
  sandbox.ledger.set_budget(sandbox.terms->budgets().sandbox);
}

std::shared_ptr<UserState> Pipeline::payer_for(const std::string& user, std::uint64_t spent_millibits) {
  if (user.empty()) return nullptr;
  auto payer = users_[user].lock();
  if (!payer) {
    payer = std::make_shared<UserState>();
    payer->user = user;
    payer->ledger.charge(spent_millibits);
    users_[user] = payer;
  }
  return payer;
}

}  // namespace postern

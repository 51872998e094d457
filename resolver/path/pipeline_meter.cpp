// The pipeline's leak meter: what a forward costs, what is refused when a budget is spent, and who is told.
#include <cmath>

#include "resolver/path/alert_text.h"
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

}  // namespace

// Prices the forward and charges it before it goes; turns the verdict if a ledger cannot bear it. A question
// that is under way tells nothing new, so whoever asks it again joins, uncharged.
void Pipeline::meter(Exchange& x) {
  SandboxState& sandbox = *x.sandbox;
  SessionState& session = *sandbox.session;
  const Query& query = x.question.query;
  x.joins = sandbox.in_flight.contains(query);
  if (x.joins) return;
  if (session.terms != sandbox.terms) {  // a session's sandboxes may be under different policies
    session.terms = sandbox.terms;
    session.meter.set_policy(session.terms->budgets(), session.terms->known);
  }
  OuterLedgers outer{&sandbox.ledger, nullptr};
  if (session.payer) {
    session.payer->ledger.set_budget(session.terms->budgets().user);
    outer.user = &session.payer->ledger;
  }
  const LedgerCut cut = ports_.parts.suffixes->ledger_cut(query.name);
  const Ask ask{&query, cut.zone, cut.parent, x.policy->is_exempt(query.name)};
  if (session.meter.names() >= max_open_history && session.terms->budgets().is_open()) {
    x.row.charge_millibits = session.meter.price(ask).session;
    return;
  }
  const Admission admission = session.meter.admit(ask, outer);
  if (admission.admitted)
    x.row.charge_millibits = admission.charge.session;
  else
    refuse_leak(x, admission, cut);
  for (std::size_t i = 0; i < admission.warning_count; ++i) {
    if (session.told.warnings++ >= LeakTold::max_warnings) break;
    const Admission::Warning& warning = admission.warnings[i];
    LeakFinding finding{warning.ledger,      ledger_zone(query.name, warning.ledger, cut),
                        warning.percent,     warning.used_bits,
                        warning.budget_bits, session.told.refused};
    tell_leak(x, "leak_budget", finding, "alert");
  }
}

void Pipeline::refuse_leak(Exchange& x, const Admission& admission, const LedgerCut& cut) {
  SandboxState& sandbox = *x.sandbox;
  SessionState& session = *sandbox.session;
  LeakTold& told = session.told;
  const LedgerKind ledger = admission.refused_by;
  ++told.refused;
  ++sandbox.counters.over_budget;
  LeakFinding finding{ledger,
                      ledger_zone(x.question.query.name, ledger, cut),
                      100,
                      admission.used_bits,
                      admission.budget_bits,
                      told.refused};
  x.refused_by = ledger;
  x.over_budget = spent_text(finding);
  x.verdict = {Action::block_name, Reason::budget, 0, nullptr};

  const bool quarantine = x.policy->on_budget() == SpentAction::quarantine;
  if (quarantine) session.quarantined = true;
  const std::string action = quarantine ? "quarantine" : "refuse";
  if (!is_about_a_zone(ledger)) {
    if (told.wide.insert(static_cast<std::uint8_t>(ledger)).second) tell_leak(x, "leak", finding, action);
    return;
  }
  const Name zone = x.question.query.name.suffix(ledger == LedgerKind::parent ? cut.parent : cut.zone);
  if (told.zones.contains(zone) || told.many) return;
  if (told.zones.size() < LeakTold::max_refused_zones) {
    told.zones.insert(zone);
    return tell_leak(x, "leak", finding, action);
  }
  told.many = true;  // one more, for all the zones to come
  finding.zone.clear();
  tell_leak(x, "leak", finding, action);
}

void Pipeline::tell_leak(Exchange& x, std::string_view kind, const LeakFinding& finding,
                         const std::string& action) {
  ++x.sandbox->counters.alerts;
  const Alert alert = make_leak_alert(x, kind, finding, action, unix_us_);
  ports_.journal.alert(alert.row);
  if (ports_.alert) ports_.alert(alert);
}

// An answer's octets are charged when they come; once they are spent, nothing more is asked.
void Pipeline::came_down(Exchange& x, std::size_t octets) {
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

std::shared_ptr<UserState> Pipeline::payer_for(const std::string& user) {
  if (user.empty()) return nullptr;
  auto payer = users_[user].lock();
  if (!payer) {
    payer = std::make_shared<UserState>();
    users_[user] = payer;
  }
  return payer;
}

}  // namespace postern

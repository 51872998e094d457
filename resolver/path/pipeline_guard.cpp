// The pipeline's guards: names that hold a secret of the session, sessions that ask more than any program
// would, and what policy does about a finding.
#include <algorithm>

#include "resolver/path/alert_text.h"
#include "resolver/path/pipeline.h"

namespace postern {
namespace {

// The name as it may be shown and stored: one label in the place of all that may hold the secret. What is
// beside the part that was found may be more of it, so only the zone stays, and less where that is not clean.
Name redacted(const Name& name, const SecretFinding& finding) {
  for (std::size_t clean = finding.clean_labels;; --clean) {
    const Name rest = name.suffix(clean);
    const std::string label = "[secret:" + finding.label + "]";
    std::vector<std::uint8_t> wire{static_cast<std::uint8_t>(label.size())};
    wire.insert(wire.end(), label.begin(), label.end());
    wire.insert(wire.end(), rest.wire().begin(), rest.wire().end());
    if (const auto made = Name::from_wire(wire)) return *made;  // a long zone may leave no room for the label
  }
}

// What ended the session's questions, as `ls` and `leak` show it; no secret in it.
std::string quarantine_text(const Exchange& x, Reason reason, const Name* zone) {
  if (reason == Reason::quarantine) return "query cap";
  std::string text(reason == Reason::budget ? ledger_text(x.refused_by) : reason_text(reason));
  if (zone == nullptr) return text;
  if (reason != Reason::budget) return text + " " + x.row.name.suffix(x.row.registered_labels).text();
  if (x.refused_by == LedgerKind::arpa) return text;
  // As `leak` names it, and `grant` wants it.
  return text + " " +
         x.row.name.suffix(x.refused_by == LedgerKind::parent ? x.cut.parent : x.cut.zone).text();
}

}  // namespace

void Pipeline::guard(Exchange& x) {
  find_secret(x);
  count_query(x);
}

// Every query is looked at, whatever policy says of it: a refused attempt is evidence too.
void Pipeline::find_secret(Exchange& x) {
  SandboxState& sandbox = *x.sandbox;
  SessionState& session = *sandbox.session;
  if (!session.secrets) return;
  const Name& name = x.question.query.name;
  // By the ICANN rules: who owns a private suffix, or a parent, reads all that is asked below it.
  const std::size_t receiver = x.cut.parent == 0 ? x.cut.registered : x.cut.parent;
  const auto found =
      x.refreshes ? session.secrets->look(name, receiver) : session.secrets->observe(name, receiver);
  if (!found) return;
  x.secret = found->label;
  x.row.name = redacted(name, *found);
  x.row.registered_labels = static_cast<std::uint8_t>(std::min(x.cut.registered, x.row.name.labels() - 1));
  if (x.refreshes) return;
  ++sandbox.counters.secrets;
  ++session.secrets_told.refused;
  session.recent.forget_names();  // some may be parts of it
  Done done = "refuse";
  if (x.policy->on_secret() != Response::alert) {
    const Name zone = name.suffix(x.cut.registered);
    done = respond(x, x.policy->on_secret(), Reason::secret, &zone);
  }
  refuse_secret(x);

  SecretTold& told = session.secrets_told;
  const std::string pair = found->label + '\0' + x.row.name.suffix(x.row.registered_labels).text();
  if (told.many || told.pairs.contains(pair)) return;
  if (told.pairs.size() < SecretTold::max_told)
    told.pairs.insert(pair);
  else
    told.many = true;  // one more, for all that are to come
  ++sandbox.counters.alerts;
  const Alert alert = make_secret_alert(x, *found, told.refused, done, unix_us_);
  ports_.journal.alert(alert.row);
  if (ports_.alert) ports_.alert(alert);
}

// Does what policy wants done about a finding, as far as it can be done; the exchange's verdict follows.
// Whoever is frozen or killed gets no more answers either, nor do others of the session. Without a zone to
// blame, `block-zone` does nothing.
Done Pipeline::respond(Exchange& x, Response wanted, Reason reason, const Name* zone) {
  SessionState& session = *x.sandbox->session;
  if (wanted == Response::block_zone && zone != nullptr) {
    if (session.blocked_zones.size() < max_blocked_zones) {
      session.blocked_zones.emplace(*zone, reason);
      x.verdict = {Action::block_name, reason, 0, nullptr};
      return response_text(wanted);
    }
    wanted = Response::quarantine;  // more zones than anybody honest has: no more DNS
  }
  if (wanted == Response::alert || wanted == Response::block_zone) return response_text(Response::alert);
  session.quarantined = true;
  session.quarantine = quarantine_text(x, reason, zone);
  x.verdict = {Action::block_name, Reason::quarantine, 0, nullptr};
  if (wanted == Response::quarantine) return response_text(wanted);
  std::string why(reason_text(reason));
  if (zone != nullptr) why += ": " + x.row.name.suffix(x.row.registered_labels).text();  // no secret in it
  const Result<void> done =
      ports_.act ? ports_.act(*x.sandbox, wanted, why) : failure("nobody here can do that");
  if (done) {
    x.sandbox->acted = (wanted == Response::kill ? "killed (" : "frozen (") + why + ")";
    return response_text(wanted);
  }
  return {response_text(Response::quarantine), response_text(wanted), done.error().message};
}

// A count that stays over its cap would end the session again with its next query, and nothing else lowers
// it.
void Pipeline::lift_quarantine(SandboxState& sandbox) {
  SessionState& session = *sandbox.session;
  if (session.quarantined) {
    session.queries = {};
    session.cap_told = -QueryWindow::length;
    session.told.wide.clear();
  }
  session.quarantined = false;
  session.quarantine.clear();
  if (sandbox.acted.starts_with("frozen")) sandbox.acted.clear();
}

void Pipeline::refuse_secret(Exchange& x) {
  const Action action = x.verdict.action == Action::refuse || x.verdict.action == Action::drop
                            ? x.verdict.action
                            : Action::block_name;
  x.verdict = {action, Reason::secret, 0, nullptr};
}

// Blocked and cached queries count as well: the cap is about what runs in there, the budgets are about what
// leaves.
void Pipeline::count_query(Exchange& x) {
  SandboxState& sandbox = *x.sandbox;
  SessionState& session = *sandbox.session;
  const std::uint64_t asked = session.queries.add(now_), cap = x.policy->budgets().queries;
  if (asked <= cap) return;
  Done done = "alert";
  if (const Response wanted = x.policy->on_cap(); wanted >= Response::quarantine) {
    const Verdict before = x.verdict;
    done = session.quarantined ? Done(response_text(Response::quarantine))
                               : respond(x, wanted, Reason::quarantine, nullptr);
    const bool stands = before.action == Action::refuse || before.action == Action::drop;
    x.verdict = stands ? before : Verdict{Action::block_name, Reason::quarantine, 0, nullptr};
  }
  const bool tell = now_ - session.cap_told >= QueryWindow::length;  // an hour without being over it
  session.cap_told = now_;
  if (!tell) return;
  ++sandbox.counters.alerts;
  const Alert alert = make_cap_alert(x, asked, cap, done, unix_us_);
  ports_.journal.alert(alert.row);
  if (ports_.alert) ports_.alert(alert);
}

std::shared_ptr<const SecretSet> Pipeline::secrets_of(const Sandbox& who) const {
  const auto at = sessions_.find(session_key(who));
  return at == sessions_.end() || !at->second->secrets ? nullptr : at->second->secrets->secrets();
}

}  // namespace postern

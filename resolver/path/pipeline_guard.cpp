// The pipeline's guards: names that hold a secret of the session, and sessions that ask more than any program
// would.
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
  const std::size_t parent = ports_.parts.suffixes->ledger_cut(name).parent;
  const std::size_t receiver = parent == 0 ? x.registered_labels : parent;
  const auto found =
      x.refreshes ? session.secrets->look(name, receiver) : session.secrets->observe(name, receiver);
  if (!found) return;
  x.secret = found->label;
  x.row.name = redacted(name, *found);
  x.row.registered_labels = static_cast<std::uint8_t>(std::min(x.registered_labels, x.row.name.labels() - 1));
  if (x.refreshes) return;
  ++sandbox.counters.secrets;
  ++session.secrets_told.refused;
  std::string action = "refuse";
  switch (x.policy->on_secret()) {
    case SecretAction::refuse:
      break;
    case SecretAction::block_zone:
      if (session.blocked_zones.size() < max_blocked_zones) {
        session.blocked_zones.insert(name.suffix(x.registered_labels));
        action = "block-zone";
        break;
      }
      [[fallthrough]];
    case SecretAction::quarantine:
      session.quarantined = true;
      action = "quarantine";
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
  const Alert alert = make_secret_alert(x, *found, told.refused, action, unix_us_);
  ports_.journal.alert(alert.row);
  if (ports_.alert) ports_.alert(alert);
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
  const bool quarantine = x.policy->on_cap() == CapAction::quarantine;
  if (quarantine && x.verdict.action != Action::refuse && x.verdict.action != Action::drop)
    x.verdict = {Action::block_name, Reason::quarantine, 0, nullptr};
  session.quarantined |= quarantine;
  const bool tell = now_ - session.cap_told >= QueryWindow::length;  // an hour without being over it
  session.cap_told = now_;
  if (!tell) return;
  ++sandbox.counters.alerts;
  const Alert alert = make_cap_alert(x, asked, cap, quarantine ? "quarantine" : "alert", unix_us_);
  ports_.journal.alert(alert.row);
  if (ports_.alert) ports_.alert(alert);
}

std::shared_ptr<const SecretSet> Pipeline::secrets_of(const Sandbox& who) const {
  const auto at = sessions_.find(session_key(who));
  return at == sessions_.end() || !at->second->secrets ? nullptr : at->second->secrets->secrets();
}

}  // namespace postern

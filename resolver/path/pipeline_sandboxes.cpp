// Who asks: sandboxes and their sessions come and go, policy is exchanged under them.
#include <algorithm>

#include "resolver/path/pipeline.h"

namespace postern {

SessionState& Pipeline::session_for(const Sandbox& who, const std::shared_ptr<const LeakTerms>& terms,
                                    const SessionPast& past) {
  // Without a session, user and code stand for it, so that starting over does not start afresh.
  auto& session = sessions_[session_key(who)];
  if (!session) {
    SessionDetector::Limits limits;
    limits.seed = ports_.seed;
    session = std::make_unique<SessionState>(limits, terms, ports_.parts.code);
    session->user = who.user;
    session->session = session_text(who);
    session->began_us = past.began_us > 0 ? past.began_us : unix_us_;
    session->payer = payer_for(who.user, past.user_millibits);
    rebuild(*session, past);
    if (sessions_.size() > max_sessions) {
      SessionState* mine = session.get();  // erasing leaves other elements where they are
      forget_a_session(*mine);
      return *mine;
    }
  }
  return *session;
}

void Pipeline::forget_a_session(const SessionState& but) {
  auto oldest = sessions_.end();
  for (auto at = sessions_.begin(); at != sessions_.end(); ++at) {
    if (at->second.get() == &but || at->second->sandboxes > 0) continue;
    if (oldest == sessions_.end() || at->second->last_used < oldest->second->last_used) oldest = at;
  }
  if (oldest != sessions_.end()) sessions_.erase(oldest);
  std::erase_if(users_, [](const auto& one) { return one.second.expired(); });
}

SandboxState& Pipeline::attach(Sandbox who, SandboxId row, std::shared_ptr<const Policy> policy,
                               bool own_policy, const SessionPast& past,
                               std::shared_ptr<const SecretSet> secrets) {
  auto state = std::make_unique<SandboxState>();
  state->who = std::move(who);
  state->row = row;
  state->policy = std::move(policy);
  state->own_policy = own_policy;
  give_terms(*state);
  state->session = &session_for(state->who, state->terms, past);
  if (auto& watch = state->session->secrets; secrets && !watch)
    watch = std::make_unique<SecretWatch>(std::move(secrets));
  else if (secrets)
    watch->set(std::move(secrets));
  ++state->session->sandboxes;
  state->session->last_used = ++use_;
  sandboxes_.push_back(std::move(state));
  return *sandboxes_.back();
}

void Pipeline::detach(SandboxState& sandbox) {
  POSTERN_CHECK(!sandbox.closed);
  sandbox.closed = true;
  sandbox.listener = nullptr;
  sandbox.session->last_used = ++use_;
  if (sandbox.exchanges == 0) erase(sandbox);
}

// Its session may be forgotten only after the last of its questions has come back.
void Pipeline::erase(SandboxState& sandbox) {
  if (--sandbox.session->sandboxes == 0) save(*sandbox.session);
  std::erase_if(sandboxes_, [&](const auto& one) { return one.get() == &sandbox; });
}

void Pipeline::set_policies(const PolicySet& policies, const OverlaidPolicies& overlaid) {
  for (const auto& sandbox : sandboxes_) {
    const auto with = overlaid.find(sandbox->who.name);
    auto policy = with != overlaid.end() ? with->second
                  : sandbox->own_policy  ? nullptr
                                         : policies.find(sandbox->who.policy);
    if (!policy) continue;
    sandbox->policy = std::move(policy);
    give_terms(*sandbox);
    ++sandbox->policy_epoch;
    sandbox->rule_rows.clear();
  }
}

}  // namespace postern

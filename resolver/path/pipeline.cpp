// The pipeline: `walk` is the path of a query; everything else here serves it.
#include "resolver/path/pipeline.h"

#include <algorithm>
#include <limits>

#include "resolver/path/alert_text.h"
#include "resolver/path/chain.h"

namespace postern {

// ----
// The path.

Task Pipeline::walk(Exchange* x) {
  SandboxState& sandbox = *x->sandbox;
  const wire::Question& question = x->question;

  x->row.id = ports_.journal.reserve(1);
  x->policy = sandbox.policy;
  x->entry = sandbox.cache.find(question.query, now_);
  x->cut = x->entry ? x->entry->cut : ports_.parts.suffixes->ledger_cut(question.query.name);
  x->row.name = question.query.name;
  x->row.registered_labels = static_cast<std::uint8_t>(x->cut.registered);
  x->verdict = decide(*x);
  guard(*x);  // may turn the verdict: the name holds a secret, or there are too many
  x->group = group_of(*x);
  if (x->verdict.action != Action::allow) x->entry = nullptr;
  if (x->entry && x->entry->group != x->group) x->entry = nullptr;  // policy asks others since it was kept
  observe(*x);  // may turn the verdict: the query that tips the score is refused already
  if (!x->secret.empty()) refuse_secret(*x);
  if (x->verdict.action != Action::allow) x->entry = nullptr;
  if (x->entry) {
    reinspect(*x->entry, sandbox);
    note_use(sandbox, *x->entry);
  }
  if (!x->entry && x->verdict.action == Action::allow) meter(*x);  // may turn it, too: a budget is spent

  if (!x->entry)
    sandbox.session->recent.note({x->row.name, question.query.type}, x->row.registered_labels, unix_us_,
                                 x->row.charge_millibits);

  const bool answered_here = x->entry != nullptr || x->verdict.action != Action::allow;
  if (answered_here) compose(*x);

  const bool recorded = co_await Commit{*this, x};
  if (!recorded) {
    ++sandbox.counters.unrecorded;
    ++counters_.unrecorded;
    if (audit_ == Audit::strict) {
      fail(*x, Ede::other, "the journal cannot be written");
      finish(x);
      co_return;
    }
    ports_.journal.answered_unrecorded();
  }
  if (answered_here) {
    finish(x);
    co_return;
  }

  ++sandbox.counters.forwarded;
  co_await Fetch{*this, x};
  if (x->entry) {
    compose(*x);
    if (x->verdict.action != Action::allow) {  // counted as allowed when it was asked
      ++(x->verdict.action == Action::local ? sandbox.counters.local : sandbox.counters.blocked);
      --sandbox.counters.allowed;
    }
  } else {
    ++sandbox.counters.failed;
    fail(*x, x->failure, x->failure == Ede::other ? "the upstream failed" : "no upstream answered");
  }
  if (recorded) record_outcome(*x);
  finish(x);
}

// Who may not ask at all, then policy. What the detector says of this very query comes after, in `observe`.
Verdict Pipeline::decide(const Exchange& x) const {
  const SessionState& session = *x.sandbox->session;
  if (x.question.query_class != class_in) return {Action::refuse, Reason::query_class, 0, nullptr};
  if (session.quarantined) return {Action::block_name, Reason::quarantine, 0, nullptr};
  Verdict verdict = x.policy->decide(x.question.query);
  // A target that an answer has handed out may be asked for where nothing but the default speaks against it.
  const bool only_default =
      verdict.reason == Reason::policy_default && (verdict.action != Action::allow || verdict.observed);
  if (only_default && x.sandbox->referrals.holds(x.question.query.name, now_))
    verdict = x.policy->decide_referred(x.question.query);
  if (verdict.action == Action::allow && !session.blocked_zones.empty()) {
    const Name zone = x.question.query.name.suffix(x.cut.registered);
    if (const auto cut = session.blocked_zones.find(zone); cut != session.blocked_zones.end())
      return {Action::block_name, cut->second, 0, nullptr};
  }
  return verdict;
}

// Which upstreams answer for it. A group that is not configured gets the question nowhere: `forwarder` knows
// none.
std::size_t Pipeline::group_of(const Exchange& x) const {
  if (x.verdict.route == 0) return 0;
  const auto named =
      std::find(ports_.groups.begin(), ports_.groups.end(), x.policy->upstream_group(x.verdict.route));
  return 1 + static_cast<std::size_t>(named - ports_.groups.begin());
}

void Pipeline::observe(Exchange& x) {
  SandboxState& sandbox = *x.sandbox;
  SessionState& session = *sandbox.session;
  Observation seen;
  seen.now = now_;
  seen.query = &x.question.query;
  seen.registered_labels = x.cut.registered;
  seen.blocked = x.verdict.action != Action::allow;
  seen.cached = x.entry != nullptr;
  const Finding finding = session.detector.observe(seen);
  x.row.score = static_cast<float>(finding.score);
  if (!sandbox.asked_before) {
    sandbox.asked_before = true;
    if (x.policy->alert_on_first_query()) raise(x, "first_query", finding, "alert");
  }
  if (!finding.crossed) return;
  if (finding.level != Level::tunnel) return tell_score(x, finding, "alert");
  // No single zone is to blame: blocking the last one would stop nothing and hurt somebody.
  const Name zone = x.question.query.name.suffix(x.cut.registered);
  const Done done = respond(x, x.policy->on_tunnel(), Reason::tunnel, finding.session_wide ? nullptr : &zone);
  tell_score(x, finding, done);
}

void Pipeline::tell_score(Exchange& x, Finding finding, const Done& done) {
  ScoreTold& told = x.sandbox->session->score_told;
  if (now_ - told.began >= ScoreTold::day) told = {.began = now_};
  const bool tunnel = finding.level == Level::tunnel;
  std::size_t& before = tunnel ? told.tunnels : told.suspects;
  if (before > ScoreTold::max_told) return;
  if (before++ == ScoreTold::max_told) finding.session_wide = true;  // for all the zones to come
  raise(x, tunnel ? "tunnel" : "suspect", finding, done);
}

// The reply, from what is known now, and the row's part of it.
void Pipeline::compose(Exchange& x) {
  const wire::Question& question = x.question;
  const auto blocked = [&](Action action, Reason reason, RuleId rule) {
    wire::Extra extra;
    if (x.policy->explains()) {
      const std::string_view text =
          reason == Reason::budget ? std::string_view(x.over_budget) : x.policy->rule_text(rule);
      extra = {Ede::blocked, text.empty() ? reason_text(reason) : text};
    }
    const Rcode rcode = action == Action::block_name ? Rcode::nxdomain : Rcode::noerror;
    wire::write_negative(question, rcode, extra, x.reply);
    x.verdict = {action, reason, rule, nullptr};
    x.row.rcode = static_cast<std::int16_t>(rcode);
    x.row.ede = static_cast<std::int16_t>(extra.ede);
  };

  if (x.entry) {
    const AnswerVerdict& verdict = x.entry->verdict;
    if (!verdict.pass && verdict.local == nullptr)
      return blocked(Action::block_data, verdict.reason, verdict.rule);
    if (!verdict.pass) {
      x.verdict = {Action::local, verdict.reason, verdict.rule, verdict.local};
      return write_local(x);
    }
    if (verdict.observed && !x.verdict.observed)  // passes, and the record says what would have refused it
      x.verdict = {Action::allow, verdict.reason, verdict.rule, nullptr, true};
    for (const Name& name : x.entry->handed_out) x.sandbox->referrals.note(name, x.entry->expires, now_);
    wire::write_rendered(question, x.entry->rendered, x.entry->age(now_), {}, x.reply);
    x.row.rcode = static_cast<std::int16_t>(x.entry->rendered.rcode);
    return;
  }
  switch (x.verdict.action) {
    case Action::block_name:
    case Action::block_data:
      return blocked(x.verdict.action, x.verdict.reason, x.verdict.rule);
    case Action::refuse:
      wire::write_empty(question, static_cast<int>(Rcode::refused), {}, x.reply);
      x.row.rcode = static_cast<std::int16_t>(Rcode::refused);
      return;
    case Action::drop:
      x.reply.clear();
      return;
    case Action::local:
      return write_local(x);
    case Action::allow:
      break;
  }
  POSTERN_CHECK(false);  // an allowed query without an answer is not composed
}

// What policy answers by itself (x.verdict.local).
void Pipeline::write_local(Exchange& x) {
  const wire::Question& question = x.question;
  const Answer* local = x.verdict.local;
  const int rcode = local != nullptr ? local->rcode : static_cast<int>(Rcode::nxdomain);
  x.row.rcode = static_cast<std::int16_t>(rcode);
  if (local != nullptr && !(local->answer.empty() && local->authority.empty())) {
    Answer answer = *local;
    for (Record& record : answer.answer)
      if (record.owner.is_root()) record.owner = question.query.name;  // "this name", see Verdict::local
    std::uint32_t ttl = std::numeric_limits<std::uint32_t>::max();
    for (const Record& record : answer.answer) ttl = std::min(ttl, record.ttl);
    for (const Name& name : handed_out(answer))
      x.sandbox->referrals.note(name, now_ + std::chrono::seconds(ttl), now_);
    if (const auto rendered = wire::render(question.query, answer))
      return wire::write_rendered(question, *rendered, 0, {}, x.reply);
  }
  wire::write_negative(question, static_cast<Rcode>(rcode & 15), {}, x.reply);
}

// ----
// In and out.

void Pipeline::receive(SandboxState& sandbox, Peer peer, wire::Octets message) {
  ++counters_.received;
  if (alive_ >= max_exchanges || sandbox.exchanges >= max_sandbox_exchanges) {
    ++counters_.over_limit;
    ++sandbox.counters.over_limit;
    return;
  }
  Exchange* x = take();
  x->sandbox = &sandbox;
  x->peer = std::move(peer);
  ++sandbox.exchanges;
  const wire::Parsed parsed = wire::parse_query(message, x->question);
  switch (parsed) {
    case wire::Parsed::ok:
      break;
    case wire::Parsed::drop:
      ++counters_.dropped;
      ++sandbox.counters.malformed;
      return release(x);
    case wire::Parsed::formerr:
    case wire::Parsed::notimp:
    case wire::Parsed::badvers: {
      // Nothing was asked, so there is no row; a header comes back, and it is counted.
      const bool bad = parsed == wire::Parsed::formerr;
      ++(bad ? counters_.formerr : parsed == wire::Parsed::notimp ? counters_.notimp : counters_.badvers);
      ++sandbox.counters.malformed;
      constexpr int badvers = 16;
      wire::write_empty(x->question, bad ? 1 : parsed == wire::Parsed::notimp ? 4 : badvers, {}, x->reply);
      return finish(x);
    }
  }
  ++sandbox.counters.queries;
  if (waits_in_vain() && audit_ == Audit::strict) {
    ++sandbox.counters.unrecorded;
    ++counters_.unrecorded;
    ports_.journal.refused_unrecorded();
    fail(*x, Ede::other, "the journal cannot be written");
    return finish(x);
  }
  walk(x);
}

void Pipeline::count_asked(Exchange& x) {
  SandboxCounters& counters = x.sandbox->counters;
  if (x.refreshes) {
    ++counters.refreshed;
  } else if (x.verdict.action == Action::allow) {
    ++counters.allowed;
    counters.cached += x.entry != nullptr;
  } else {
    ++(x.verdict.action == Action::local ? counters.local : counters.blocked);
  }
}

void Pipeline::flush() {
  if (!gathered_.empty()) {
    auto batch = std::make_shared<Batch>();
    batch->exchanges.swap(gathered_);
    batch->submitted = now_;
    batch->rows.reserve(batch->exchanges.size());
    std::vector<const Asked*> rows;
    rows.reserve(batch->exchanges.size());
    for (Exchange* x : batch->exchanges) {
      SandboxState& sandbox = *x->sandbox;
      Asked& row = x->row;
      row.time_us = unix_us_;
      row.monotonic_us = now_.count();
      row.sandbox = sandbox.row;
      row.type = x->question.query.type;
      row.action = x->verdict.action;
      row.reason = x->verdict.reason;
      if (!x->secret.empty())
        row.rule = ports_.journal.intern_rule("secret: " + x->secret);
      else if (x->refused_by != LedgerKind::none)
        row.rule = ports_.journal.intern_rule("leak budget: " + std::string(ledger_text(x->refused_by)));
      else
        row.rule = rule_row(sandbox, *x->policy, x->verdict.rule);
      row.cached = x->entry != nullptr;
      row.tcp = x->peer.stream != nullptr;
      row.refresh = x->refreshes;
      count_asked(*x);
      batch->rows.push_back(row);
      rows.push_back(&batch->rows.back());
    }
    pending_.push_back(batch);
    const auto done = [this, batch](bool ok) { ports_.post([this, batch, ok] { committed(batch, ok); }); };
    if (!ports_.journal.submit(std::move(rows), done)) committed(batch, false);
  }
  deliver();
}

void Pipeline::committed(const std::shared_ptr<Batch>& batch, bool ok) {
  if (ok) stalled_ = false;
  if (const auto at = std::find(pending_.begin(), pending_.end(), batch); at != pending_.end())
    pending_.erase(at);
  std::vector<Exchange*> exchanges;
  exchanges.swap(batch->exchanges);  // empty when tick() gave up on it before
  for (Exchange* x : exchanges) {
    x->committed = ok;
    x->waiter.resume();
  }
  deliver();
}

void Pipeline::tick() {
  for (const std::shared_ptr<Batch>& batch : pending_) {
    if (now_ - batch->submitted <= journal_patience) break;  // in order of submission
    stalled_ = true;
    std::vector<Exchange*> exchanges;  // empty: given up already, the journal still holds it
    exchanges.swap(batch->exchanges);
    for (Exchange* x : exchanges) {
      x->committed = false;
      x->waiter.resume();
    }
  }
  start_refreshes();
  deliver();
}

void Pipeline::fail(Exchange& x, Ede ede, std::string_view text) {
  wire::write_empty(x.question, static_cast<int>(Rcode::servfail), {ede, text}, x.reply);
  x.row.rcode = static_cast<std::int16_t>(Rcode::servfail);
  x.row.ede = static_cast<std::int16_t>(ede);
}

void Pipeline::finish(Exchange* x) {
  if (x->sandbox->closed) x->reply.clear();
  if (x->peer.stream == nullptr && !x->reply.empty()) wire::truncate(x->question, x->reply);
  finished_.push_back(x);
}

void Pipeline::deliver() {
  if (finished_.empty()) return;
  ports_.deliver(finished_);
  for (Exchange* x : finished_) release(x);
  finished_.clear();
}

Exchange* Pipeline::take() {
  if (free_.empty()) free_.push_back(&slab_.emplace_back());
  Exchange* x = free_.back();
  free_.pop_back();
  ++alive_;
  x->verdict = {};
  x->row = {};
  x->waiter = {};
  x->committed = false;
  x->joins = x->refreshes = false;
  x->refused_by = LedgerKind::none;
  x->over_budget.clear();
  x->secret.clear();
  x->failure = Ede::none;
  x->upstream_took = std::chrono::microseconds(-1);
  x->reply.clear();
  return x;
}

void Pipeline::release(Exchange* x) {
  SandboxState* sandbox = x->sandbox;
  x->policy = nullptr;
  x->entry = nullptr;
  x->peer.stream = nullptr;
  constexpr std::size_t kept_reply = 4096;  // a large TCP reply's memory is given back
  if (x->reply.capacity() > kept_reply) x->reply = {};
  free_.push_back(x);
  --alive_;
  if (--sandbox->exchanges == 0 && sandbox->closed) erase(*sandbox);
}

// ----
// Upstream.

// A question that joined another while its own row was being written finds that other one's answer, or its
// failure: it was not charged, so it must not go by itself.
bool Pipeline::came_back(Exchange& x) {
  if (!x.joins || x.sandbox->in_flight.contains(x.question.query)) return false;
  x.entry = x.sandbox->cache.find(x.question.query, now_);
  x.failure = Ede::no_reachable_authority;
  if (x.entry && x.entry->group != x.group) x.entry = nullptr;
  if (x.entry) reinspect(*x.entry, *x.sandbox);
  return true;
}

void Pipeline::fetch(Exchange* x) {
  SandboxState& sandbox = *x->sandbox;
  auto [at, first] = sandbox.in_flight.try_emplace(x->question.query);
  at->second.push_back(x);
  if (!first) {
    ++counters_.coalesced;
    return;
  }
  ports_.forwarder.ask(x->question.query, x->group,
                       [this, &sandbox, query = x->question.query](Resolution resolution) {
                         fetched(sandbox, query, std::move(resolution));
                       });
}

void Pipeline::fetched(SandboxState& sandbox, const Query& query, Resolution resolution) {
  const auto node = sandbox.in_flight.extract(query);
  POSTERN_CHECK(!node.empty() && !node.mapped().empty());
  std::shared_ptr<CacheEntry> entry;
  Ede failure =
      resolution.status == Resolution::Status::unreachable ? Ede::network_error : Ede::no_reachable_authority;
  if (resolution.status == Resolution::Status::answered) {
    keep_chain(query, resolution.answer);
    const std::chrono::seconds keep = settle_ttls(resolution.answer);
    failure = Ede::other;  // the upstream itself failed, or sent what cannot be rendered
    if (keep > std::chrono::seconds(0)) {
      if (auto rendered = wire::render(query, resolution.answer)) {
        entry = std::make_shared<CacheEntry>();
        entry->query = query;
        entry->rendered = std::move(*rendered);
        entry->cut = node.mapped().front()->cut;
        entry->group = node.mapped().front()->group;
        entry->verdict = sandbox.policy->inspect(query, resolution.answer);
        entry->data = answer_data(resolution.answer);
        entry->handed_out = handed_out(resolution.answer);
        entry->policy_epoch = sandbox.policy_epoch;
        entry->stored = now_;
        entry->expires = now_ + keep;
        entry->use = sandbox.uses.answered(query, now_, entry->expires);
        next_refresh_ = std::min(next_refresh_, sandbox.uses.next());
        sandbox.cache.insert(entry);
        sandbox.session->detector.answered(query, entry->cut.registered, entry->rendered.rcode,
                                           entry->rendered.message.size(), now_);
        came_down(*node.mapped().front(), entry->rendered.message.size());
      }
    }
  }
  const std::size_t group = node.mapped().front()->group;
  for (Exchange* x : node.mapped()) {
    // After a reload in between, one that waits may want other upstreams' answer: the client's retry gets it.
    x->entry = x->group == group ? entry : nullptr;
    x->failure = failure;
    x->upstream_took = resolution.took;
    if (x->entry && x->policy != sandbox.policy) {
      x->policy = sandbox.policy;   // the one that inspected it
      x->verdict.observed = false;  // what the old one observed is in the row
      x->verdict.rule = 0;
    }
    x->waiter.resume();
  }
  deliver();
}

// Cached answers are judged again when policy has changed since.
void Pipeline::reinspect(CacheEntry& entry, const SandboxState& sandbox) const {
  if (entry.policy_epoch == sandbox.policy_epoch) return;
  entry.verdict = sandbox.policy->inspect(entry.query, wire::reread(entry.rendered));
  entry.policy_epoch = sandbox.policy_epoch;
}

void Pipeline::record_outcome(const Exchange& x) {
  Outcome outcome;
  outcome.asked = x.row.id;
  outcome.time_us = unix_us_;
  outcome.action = x.verdict.action;
  outcome.reason = x.verdict.reason;
  // An answer that passes changes nothing of what was decided, unless it was merely observed.
  const bool told = x.verdict.action != Action::allow || (x.entry && x.entry->verdict.observed);
  outcome.rule = told ? rule_row(*x.sandbox, *x.policy, x.verdict.rule) : 0;
  outcome.rcode = x.row.rcode;
  outcome.ede = x.row.ede;
  outcome.upstream_us = x.upstream_took.count();
  if (x.entry) {
    outcome.answers = x.entry->rendered.answers;
    outcome.data = x.entry->data;
    if (x.joins) cut_outcome_data(outcome.data, short_outcome_data);
    outcome.octets = static_cast<std::uint32_t>(x.entry->rendered.message.size());
  }
  ports_.journal.append(std::move(outcome));
}

std::int64_t Pipeline::rule_row(SandboxState& sandbox, const Policy& policy, RuleId rule) {
  if (rule == 0) return 0;
  if (&policy != sandbox.policy.get())
    return ports_.journal.intern_rule(policy.rule_text(rule));  // decided before a reload
  if (sandbox.rule_rows.size() <= rule) sandbox.rule_rows.resize(rule + 1u, -1);
  std::int64_t& row = sandbox.rule_rows[rule];
  if (row < 0) row = ports_.journal.intern_rule(policy.rule_text(rule));
  return row;
}

void Pipeline::raise(Exchange& x, std::string kind, const Finding& finding, const Done& done) {
  SandboxState& sandbox = *x.sandbox;
  ++sandbox.counters.alerts;
  Alert alert = make_alert(x, std::move(kind), finding, done, unix_us_);
  ports_.journal.alert(alert.row);
  if (ports_.alert) ports_.alert(alert);
}

// ----
// Begin and end.

void Pipeline::set_time(Instant now, std::int64_t unix_us) {
  now_ = now;
  unix_us_ = unix_us;
  ports_.forwarder.set_time(now);
}

Pipeline::~Pipeline() {
  // Exchanges that still wait for the journal or an upstream hold coroutine frames; nobody will resume them.
  for (Exchange& x : slab_)
    if (x.sandbox != nullptr && std::find(free_.begin(), free_.end(), &x) == free_.end() && x.waiter)
      x.waiter.destroy();
}

}  // namespace postern

// The pipeline's refreshes: what is in use is asked again shortly before its answer is forgotten (uses.h).
#include <algorithm>

#include "resolver/path/pipeline.h"

namespace postern {

// The way of a question that nobody asked. It is decided, charged and recorded like any other; its answer
// goes to the cache alone.
Task Pipeline::refresh(Exchange* x) {
  // A variable on purpose: without one g++ 12 lays this frame out eight octets off, and resuming it jumps to
  // 0.
  SandboxState& sandbox = *x->sandbox;
  x->row.id = ports_.journal.reserve(1);
  x->policy = sandbox.policy;
  x->cut = ports_.parts.suffixes->ledger_cut(x->question.query.name);
  x->row.name = x->question.query.name;
  x->row.registered_labels = static_cast<std::uint8_t>(x->cut.registered);
  x->verdict = decide(*x);
  find_secret(*x);  // one that was named since the name came into use
  if (!x->secret.empty()) {
    finish(x);
    co_return;
  }
  x->group = group_of(*x);
  if (x->verdict.action != Action::allow || !meter_refresh(*x)) {
    finish(x);
    co_return;
  }
  if (!co_await Commit{*this, x}) {
    finish(x);
    co_return;
  }
  co_await Fetch{*this, x};
  if (x->entry)
    compose(*x);
  else
    fail(*x, x->failure, "");
  record_outcome(*x);
  x->reply.clear();
  finish(x);
}

void Pipeline::start_refreshes() {
  if (now_ < next_refresh_) return;
  next_refresh_ = Use::never;
  for (const auto& sandbox : sandboxes_) {
    while (const auto query = sandbox->uses.take_due(now_)) {
      // The client's own questions come first, and a journal that stalls is not pressed.
      const bool room = alive_ < max_exchanges / 2 && sandbox->exchanges < max_sandbox_exchanges / 2;
      if (sandbox->closed || stalled_ || !room || sandbox->in_flight.contains(*query)) continue;
      Exchange* x = take();
      x->sandbox = sandbox.get();
      x->peer = {};
      ++sandbox->exchanges;
      x->question = {};
      x->question.query = *query;
      std::copy_n(query->name.wire().begin(), query->name.size(), x->question.spelling);
      x->refreshes = true;
      refresh(x);
    }
    next_refresh_ = std::min(next_refresh_, sandbox->uses.next());
  }
}

void Pipeline::note_use(SandboxState& sandbox, CacheEntry& entry) {
  if (!entry.use) return;
  sandbox.uses.hit(*entry.use, now_, entry.expires);
  next_refresh_ = std::min(next_refresh_, sandbox.uses.next());
}

}  // namespace postern

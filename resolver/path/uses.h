// Uses: which questions of a sandbox are in steady use, and when Postern asks them again by itself.
//
// A name that a program polls would cost 8 bits each time its answer has been forgotten, and be cut within a
// day. So an answer that is in use is asked for again shortly before its TTL ends: the client has chosen
// neither the name nor the moment then, only for how long it goes on, which costs a logarithm
// (SessionMeter::admit_refresh). In use means: asked by the client at least twice within max(TTL, 300 s)
// before the TTL ends. "Asked since the last refresh" would not do: a poll of the TTL's own period never is.
//
// Thread: the sandbox's shard. Memory: at most `max_tracked` questions, 600 octets each; none for a sandbox
// that has forwarded nothing.
#pragma once

#include <algorithm>
#include <chrono>
#include <memory>
#include <optional>
#include <unordered_map>
#include <utility>
#include <vector>

#include "rules/vocabulary.h"

namespace postern {

using Instant = std::chrono::microseconds;

struct QueryHash {
  std::size_t operator()(const Query& query) const noexcept {
    return query.name.hash() ^ (query.type * 0x9e3779b97f4a7c15u);
  }
};
struct QueryEqual {
  bool operator()(const Query& a, const Query& b) const noexcept {
    return a.type == b.type && a.name == b.name;
  }
};

// One question: when the client asked it last, and when its answer ends. Shared by `Uses` and the cache's
// entry, so that a cache hit notes itself in two stores.
struct Use {
  static constexpr Instant never = Instant::max();
  static constexpr Instant window = std::chrono::seconds(300);
  static constexpr Instant ahead =
      std::chrono::milliseconds(500);  // of the TTL's end; the shard ticks at 100

  Query query;
  Instant last = Instant(-1) - window, before = last;  // the client's last two questions
  Instant keep{};                                      // how long the answer is kept
  Instant due = never;                                 // ask again then, if it is still in use

  bool in_use(Instant at) const noexcept { return before > at - (keep > window ? keep : window); }
};

class Uses {
 public:
  // With the cache's floor of 5 s, at most 26 refreshes a second and sandbox.
  static constexpr std::size_t max_tracked = 128;

  // A client asks, and it has to go upstream. Those that were not asked for longest make room.
  void missed(const Query& query, Instant now) {
    auto at = all_.find(query);
    if (at == all_.end()) {
      if (all_.size() >= max_tracked) forget_some();
      at = all_.emplace(query, std::make_shared<Use>()).first;
      at->second->query = query;
    }
    asked(*at->second, now);
  }
  // A client asks and is answered from the cache, until `expires`.
  void hit(Use& use, Instant now, Instant expires) {
    asked(use, now);
    if (use.due == Use::never && expires - Use::ahead > now && use.in_use(expires)) schedule(use, expires);
  }
  // Its answer has come and is kept from `now` to `expires`. Null: nobody tracks it.
  std::shared_ptr<Use> answered(const Query& query, Instant now, Instant expires) {
    const auto at = all_.find(query);
    if (at == all_.end()) return nullptr;
    at->second->keep = expires - now;
    at->second->due = Use::never;
    if (at->second->in_use(expires)) schedule(*at->second, expires);
    return at->second;
  }
  // The next question whose time has come and that is still in use; each is given once for an answer.
  std::optional<Query> take_due(Instant now) {
    if (next_ > now) return std::nullopt;
    next_ = Use::never;
    std::optional<Query> found;
    for (auto& [query, use] : all_) {
      if (!found && use->due <= now) {
        const bool still = use->in_use(use->due + Use::ahead);
        use->due = Use::never;
        if (still) found = query;
      }
      if (use->due < next_) next_ = use->due;
    }
    return found;
  }
  Instant next() const noexcept { return next_; }
  std::size_t size() const noexcept { return all_.size(); }

 private:
  using Questions = std::unordered_map<Query, std::shared_ptr<Use>, QueryHash, QueryEqual>;

  static void asked(Use& use, Instant now) noexcept {
    use.before = use.last;
    use.last = now;
  }
  void schedule(Use& use, Instant expires) noexcept {
    use.due = expires - Use::ahead;
    if (use.due < next_) next_ = use.due;
  }
  // Some at once, so that a client that never asks twice does not pay for a search each time.
  void forget_some() {
    std::vector<std::pair<Instant, Questions::iterator>> oldest;
    oldest.reserve(all_.size());
    for (auto at = all_.begin(); at != all_.end(); ++at) oldest.emplace_back(at->second->last, at);
    const auto kept = oldest.begin() + static_cast<std::ptrdiff_t>(max_tracked / 16);
    std::nth_element(oldest.begin(), kept, oldest.end(),
                     [](const auto& a, const auto& b) { return a.first < b.first; });
    for (auto one = oldest.begin(); one != kept; ++one) all_.erase(one->second);
  }

  Questions all_;
  Instant next_ = Use::never;
};

}  // namespace postern

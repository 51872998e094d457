// Referrals: the names that answers have handed out to a sandbox, and until when it may ask for them.
//
// An SRV, MX, SVCB or HTTPS record is worth nothing if its target may not be looked up, and a policy that
// denies by default cannot name targets that only the answer knows. So a target handed out may be asked for
// as long as the answer lives: where the default alone stands against it, never against a rule
// (Pipeline::decide).
//
// Thread: the sandbox's shard. Time: the monotonic clock's, an argument. Memory: nothing before the first,
// then at most `max_names` names of about 0.3 KiB. Never shared between sandboxes.
#pragma once

#include <unordered_map>
#include <vector>

#include "resolver/path/cache.h"

namespace postern {

// The targets of the answer's SRV, MX, SVCB and HTTPS records: host names that a client is meant to ask for
// next. Only of its answer section, which `keep_chain` has cut to the question's own chain. "." and names of
// one label are none; at most Referrals::max_of_answer.
std::vector<Name> handed_out(const Answer& answer);

class Referrals {
 public:
  // Of one sandbox: 75 KiB. Real services name fewer than twenty targets; beyond, those that end first go.
  static constexpr std::size_t max_names = 256;
  static constexpr std::size_t max_of_answer = 32;  // of one answer, so that one cannot push out all others

  // `name` may be asked until `until`; a longer time that it has already stands.
  void note(const Name& name, Instant until, Instant now);
  bool holds(const Name& name, Instant now) const;
  std::size_t size() const { return until_.size(); }

 private:
  std::unordered_map<Name, Instant, NameHash> until_;
};

}  // namespace postern

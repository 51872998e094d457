// Leak terms: what the meter needs to know of a policy, and what all sessions' meters share.
#pragma once

#include <memory>
#include <utility>
#include <vector>

#include "detect/meter.h"
#include "rules/policy.h"
#include "rules/public_suffix.h"

namespace postern {

// Large and immutable: one of each per process.
struct MeterParts {
  std::shared_ptr<const SuffixList> suffixes;
  std::shared_ptr<const NameCode> code;
  std::shared_ptr<const KnownNames> known;  // the built-in ones
  static MeterParts builtin();
};

// One policy as the meter sees it. Immutable.
struct LeakTerms {
  std::shared_ptr<const Policy> policy;
  std::shared_ptr<const KnownNames> known;  // the built-in ones and the policy's exact names
  const Budgets& budgets() const { return policy->budgets(); }
};

// The terms of the policies in use: made once for each, since a table of known names takes 30 KB and more.
// Thread: a shard's. Memory: one entry per policy that some sandbox or session still holds.
class TermsBook {
 public:
  explicit TermsBook(std::shared_ptr<const KnownNames> builtin) : builtin_(std::move(builtin)) {}
  std::shared_ptr<const LeakTerms> of(const std::shared_ptr<const Policy>& policy);

 private:
  std::shared_ptr<const KnownNames> builtin_;
  std::vector<std::weak_ptr<const LeakTerms>> all_;
};

}  // namespace postern

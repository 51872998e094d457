// Leak terms: made from a policy, and found again.
#include "resolver/path/leak_terms.h"

namespace postern {

MeterParts MeterParts::builtin() {
  return {SuffixList::builtin(), NameCode::builtin(), KnownNames::builtin()};
}

std::shared_ptr<const LeakTerms> TermsBook::of(const std::shared_ptr<const Policy>& policy) {
  std::erase_if(all_, [](const auto& one) { return one.expired(); });
  for (const auto& one : all_)
    if (auto terms = one.lock(); terms && terms->policy == policy) return terms;
  const std::vector<Name> exact = policy->exact_names();
  auto known = exact.empty() ? builtin_ : std::make_shared<const KnownNames>(exact);
  auto terms = std::make_shared<const LeakTerms>(LeakTerms{policy, std::move(known)});
  all_.push_back(terms);
  return terms;
}

}  // namespace postern

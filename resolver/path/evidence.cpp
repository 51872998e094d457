// Evidence: a ring of names, and when zones were asked first.
#include "resolver/path/evidence.h"

#include <algorithm>

namespace postern {

void RecentNames::note(const Query& query, std::size_t zone_labels, std::int64_t time_us,
                       std::uint32_t charge_millibits) {
  if (session_first_us_ == 0) session_first_us_ = time_us;
  if (first_.size() < most_zones) first_.emplace(query.name.suffix(zone_labels), time_us);
  const Asked asked{query.name, query.type, time_us, charge_millibits};
  if (ring_.size() < most_names)
    ring_.push_back(asked);
  else
    ring_[next_] = asked;
  next_ = (next_ + 1) % most_names;
}

void RecentNames::forget_names() {
  ring_.clear();
  next_ = 0;
}

std::vector<RecentNames::Asked> RecentNames::in(const Name* zone, std::size_t most) const {
  std::vector<Asked> found;  // newest first
  for (std::size_t back = 0; back < ring_.size() && found.size() < most; ++back) {
    const Asked& one = ring_[(next_ + ring_.size() - 1 - back) % ring_.size()];
    if (zone != nullptr && !one.name.at_or_below(*zone)) continue;
    const auto same = [&](const Asked& other) { return other.name == one.name && other.type == one.type; };
    if (std::none_of(found.begin(), found.end(), same)) found.push_back(one);
  }
  std::reverse(found.begin(), found.end());
  return found;
}

std::int64_t RecentNames::first_us(const Name* zone, std::int64_t otherwise) const {
  if (zone == nullptr) return session_first_us_ > 0 ? session_first_us_ : otherwise;
  const auto at = first_.find(*zone);
  if (at != first_.end()) return at->second;
  const auto seen = in(zone, most_names);
  return seen.empty() ? otherwise : seen.front().time_us;
}

}  // namespace postern

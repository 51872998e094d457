// The cache: TTL rules and least-recently-used order.
#include "resolver/path/cache.h"

#include <algorithm>

namespace postern {
namespace {

constexpr std::uint32_t ttl_floor = 5, ttl_ceiling = 86400, negative_ceiling = 30;  // seconds
constexpr std::size_t node_octets = 160;  // list node, index node, shared_ptr: measured, rounded up
constexpr std::uint32_t no_soa_ttl = 5;   // RFC 2308 section 5: without a SOA hardly cacheable

std::uint32_t soa_minimum(const Record& soa) {
  if (soa.rdata.size() < 4) return no_soa_ttl;
  const std::uint8_t* at = soa.rdata.data() + soa.rdata.size() - 4;
  return static_cast<std::uint32_t>(at[0]) << 24 | static_cast<std::uint32_t>(at[1]) << 16 |
         static_cast<std::uint32_t>(at[2]) << 8 | at[3];
}

}  // namespace

std::chrono::seconds settle_ttls(Answer& answer) {
  const bool failed = answer.rcode != 0 && answer.rcode != 3;
  if (failed) return std::chrono::seconds(0);
  std::uint32_t keep = ttl_ceiling;
  for (Record& record : answer.answer) {
    record.ttl = std::clamp(record.ttl, ttl_floor, ttl_ceiling);
    keep = std::min(keep, record.ttl);
  }
  const bool negative = answer.rcode == 3 || answer.answer.empty() || !answer.authority.empty();
  if (negative) {
    std::uint32_t ttl = no_soa_ttl;
    for (const Record& record : answer.authority) {
      if (record.type != type::SOA) continue;
      ttl = std::min(record.ttl, soa_minimum(record));
      break;
    }
    ttl = std::clamp(ttl, ttl_floor, negative_ceiling);
    for (Record& record : answer.authority) record.ttl = ttl;
    keep = std::min(keep, ttl);
  }
  return std::chrono::seconds(keep);
}

std::size_t Cache::weight(const CacheEntry& entry) {
  return sizeof(CacheEntry) + node_octets + entry.rendered.message.size() + entry.data.size() +
         entry.rendered.ttl_offsets.size() * 2 + entry.handed_out.size() * sizeof(Name);
}

std::shared_ptr<CacheEntry> Cache::find(const Query& query, Instant now) {
  const auto found = index_.find(Key(&query));
  if (found == index_.end()) return nullptr;
  const Order::iterator at = found->second;
  if ((*at)->expires <= now) {
    drop(at);
    return nullptr;
  }
  order_.splice(order_.begin(), order_, at);
  return *at;
}

void Cache::insert(std::shared_ptr<CacheEntry> entry) {
  if (const auto found = index_.find(Key(&entry->query)); found != index_.end()) drop(found->second);
  const std::size_t size = weight(*entry);
  if (size > max_octets_ / 4) return;  // one answer may not push out all others
  while (octets_ + size > max_octets_ && !order_.empty()) drop(std::prev(order_.end()));
  order_.push_front(std::move(entry));
  index_.emplace(Key(&order_.front()->query), order_.begin());
  octets_ += size;
}

void Cache::drop(Order::iterator at) {
  octets_ -= weight(**at);
  index_.erase(Key(&(*at)->query));
  order_.erase(at);
}

}  // namespace postern

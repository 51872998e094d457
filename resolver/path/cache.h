// The cache of one sandbox: rendered answers, bounded, least recently used out first.
//
// Thread: the sandbox's shard. Memory: at most `max_octets` (key, message and node counted), nothing until
// the first insert. Never shared between sandboxes: a shared cache is a channel between tenants. TTLs: floor
// 5 s (a shorter one would let a client make traffic at will), ceiling 1 day, negative answers at most 30 s
// (RFC 2308 allows more; ACME and failover want less). Time is the monotonic clock's, given by the caller.
#pragma once

#include <chrono>
#include <cstdint>
#include <list>
#include <memory>
#include <string>
#include <unordered_map>

#include "resolver/path/uses.h"
#include "resolver/path/wire.h"
#include "rules/policy.h"
#include "rules/public_suffix.h"

namespace postern {

struct CacheEntry {
  Query query;
  wire::Rendered rendered;
  LedgerCut cut;                 // of query.name
  std::size_t group = 0;         // of upstreams, whose answer it is
  std::string data;              // the answer's addresses and targets, for the journal
  std::vector<Name> handed_out;  // targets that whoever gets it may ask for, too (referrals.h)
  AnswerVerdict verdict;         // what policy of `policy_epoch` says of it
  std::uint64_t policy_epoch = 0;
  Instant stored{};
  Instant expires{};
  std::shared_ptr<Use> use;  // how the client uses it; null: not tracked

  // Whole seconds since it was stored: what TTLs have counted down by.
  std::uint32_t age(Instant now) const {
    return static_cast<std::uint32_t>(std::chrono::duration_cast<std::chrono::seconds>(now - stored).count());
  }
};

// The TTLs that the cache would give these records: raised to the floor, cut at the ceilings. Returns for how
// long the answer may be kept; zero for an answer that must not be (SERVFAIL and the like).
std::chrono::seconds settle_ttls(Answer& answer);

class Cache {
 public:
  static constexpr std::size_t default_octets = 1 << 20;
  explicit Cache(std::size_t max_octets = default_octets) : max_octets_(max_octets) {}

  // The live entry, made the most recently used; null when there is none. Good until the next insert.
  std::shared_ptr<CacheEntry> find(const Query& query, Instant now);
  void insert(std::shared_ptr<CacheEntry> entry);
  std::size_t size() const { return index_.size(); }
  std::size_t octets() const { return octets_; }

 private:
  // With its hash, or the index would read the queries of its neighbours to compute theirs.
  struct Key {
    const Query* query;
    std::size_t hash;
    explicit Key(const Query* of) : query(of), hash(QueryHash{}(*of)) {}
  };
  struct Hash {
    std::size_t operator()(const Key& key) const noexcept { return key.hash; }
  };
  struct Equal {
    bool operator()(const Key& a, const Key& b) const noexcept {
      return a.hash == b.hash && QueryEqual{}(*a.query, *b.query);
    }
  };
  using Order = std::list<std::shared_ptr<CacheEntry>>;  // front: most recently used

  static std::size_t weight(const CacheEntry& entry);
  void drop(Order::iterator at);

  std::size_t max_octets_;
  std::size_t octets_ = 0;
  Order order_;
  std::unordered_map<Key, Order::iterator, Hash, Equal> index_;  // keys point into the entries
};

}  // namespace postern

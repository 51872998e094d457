// What tombstones say was removed, and which of it the heads kept outside stand for.
//
// A tombstone excuses that a record is not there. Whoever can write the file of a stopped Postern can append
// blocks to it, with tombstones in them for what he removes; nothing in the file contradicts him, and the
// next writer goes on behind them and has its own heads signed. So a tombstone is vouched for only by a head
// that was signed before another boot began: then its writer lived, and had the chain in memory. Where heads
// from outside are at hand, a record that they cover and that another tombstone excuses is counted, and the
// file is not called unaltered. The same is so for a tombstone in a block with other records (written before
// they had blocks of their own): once one of those is gone, six octets of its hash are all that it is held
// to, and 2^48 hashes are a day's work.
//
// Thread: one. Memory: the runs of removed ids, twice.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "resolver/journal/seal_store.h"

namespace postern {

class RemovedRecords {
 public:
  // `signed_blocks`: whose heads are signed, outside or in the file. Errors: the tables cannot be read.
  Result<void> read(SealStore& store, const std::set<std::int64_t>& signed_blocks);
  // Not empty: a tombstone cannot be read, and none is known.
  const std::string& unreadable() const { return unreadable_; }

  const SealSet& all() const { return all_; }
  bool is_vouched(SealKind kind, std::int64_t id) const { return vouched_.has(kind, id); }
  const SealFrontier& gone() const { return gone_; }  // blocks up to this one
  bool gone_is_vouched() const { return gone_vouched_; }
  const std::vector<std::int64_t>& tombstones() const { return ids_; }

 private:
  SealSet all_, vouched_;
  SealFrontier gone_;
  bool gone_vouched_ = false;
  std::vector<std::int64_t> ids_;
  std::string unreadable_;
};

}  // namespace postern

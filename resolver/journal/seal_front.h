// The front of the chain of seals: what retention has let go leaves it, and what must stay moves to its end.
//
// The story: a block keeps six octets for each of its records, also when the record is gone, and a tombstone
// says which are. Both would grow for ever, since some record of an early block nearly always stays (an
// alert's evidence, a ledger's sandbox, a rule). So when enough of the front is dead, it is taken away block
// by block: what is left of a block's records is held against its leaves and sealed anew in a block at the
// end, and a tombstone there keeps the head that the rest of the chain hangs on. Signed heads and tombstones
// of blocks that are gone go with them: a tombstone only excuses what was in blocks before its own.
//
// Nothing is covered up: a block goes only if its link to the ones before and after it is whole, each record
// that is left fits its leaf, and each that is not was removed by a tombstone that is itself sealed. For that
// the whole chain is walked once after the start, up to the head that the writer has in memory. What does not
// fit stays in its place, with all behind it, for `verify` to name.
//
// Thread: the journal's. Memory: the runs of removed ids (queries go in runs; of outcomes none are kept: they
// go with their query), and one step's records.
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "resolver/journal/seal_writer.h"

namespace postern {

class SealFront {
 public:
  using Clock = std::chrono::steady_clock;
  // A step reads or moves whole blocks until one of these is reached; a block has some 2,048 records, which
  // take some 6 ms to move when all of them are still there.
  static constexpr std::chrono::milliseconds step_time{4};
  static constexpr int step_blocks = 32;
  static constexpr std::size_t step_moved = 256;
  // Octets that must be gained, and twice what is written anew: else it is not worth the writing.
  static constexpr std::int64_t least_gain = 16 << 10;
  // A block's row without its leaves, its signed head and the tombstone that is often in it.
  static constexpr std::int64_t block_octets = 150;

  // Both must outlive this.
  static Result<std::unique_ptr<SealFront>> create(Connection& connection, SealWriter& seal);
  ~SealFront();

  // A tombstone that is committed says that these are removed.
  void removed(std::span<const SealRun> runs);

  // A turn: `look` as long as it has `more` to look at, then `move` in transactions as long as `to_move`,
  // each followed by `moved` once it is committed. `passed`: queries with ids up to this one are gone, or
  // stay for a reason.
  void begin(RowId passed);
  int look();
  int move(std::int64_t now_us);
  void moved();
  bool to_look() const { return phase_ == Phase::survey || phase_ == Phase::count; }
  bool to_move() const { return phase_ == Phase::move; }

  const SealFrontier& gone() const { return gone_; }
  // Why the front stays where it is, empty: it does not.
  const std::string& held() const { return held_; }

 private:
  enum class Phase { idle, survey, count, move };
  struct Statements;
  struct Front;  // of a step that moves: what it has gathered

  SealFront(Connection& connection, SealWriter& seal);
  void hold(std::int64_t block, const std::string& why);
  int survey();
  int count();
  void decide();
  bool passed(std::span<const SealRun> runs) const;
  int live_in(std::span<const SealRun> runs, std::int64_t& live);
  bool follows(const SealFrontier& before, const SealBlock& block) const;
  int check_tombstones(const SealBlock& block, std::span<const SealRun> runs, std::string& wrong);
  int take(const SealBlock& block, Front& front, std::string& wrong);
  bool excused(SealKind kind, std::int64_t id) const;
  int read(std::int64_t after, const std::function<bool(const SealBlock&, const std::string&)>& found);

  Connection& connection_;
  SealWriter& seal_;
  std::optional<SealRows> rows_;
  std::unique_ptr<Statements> sql_;
  Phase phase_ = Phase::idle;
  bool surveyed_ = false;
  std::string held_;
  SealSet removed_;
  SealFrontier gone_, after_;                         // as committed; as the transaction leaves it
  SealFrontier at_;                                   // how far survey has come
  SealFrontier told_;                                 // the furthest that a tombstone in the chain tells of
  std::int64_t count_at_ = 0;                         // how far counting has come
  std::int64_t upto_ = 0;                             // blocks up to here are to go
  std::int64_t records_ = 0, live_ = 0, blocks_ = 0;  // of them
  RowId passed_ = 0;
};

}  // namespace postern

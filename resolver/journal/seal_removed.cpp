// What tombstones say was removed: read, each with the block that it is sealed in.
#include "resolver/journal/seal_removed.h"

namespace postern {

Result<void> RemovedRecords::read(SealStore& store, const std::set<std::int64_t>& signed_blocks) {
  auto tombstones = store.tombstones();
  if (!tombstones) {
    unreadable_ = tombstones.error().message;
    return {};
  }
  SealSet under_heads;
  if (!signed_blocks.empty() && !tombstones->empty()) {
    bool is_signed = false;  // this block or one behind it, of the same boot
    auto done = store.each_cover([&](std::int64_t block, std::int64_t flags, std::string_view cover) {
      is_signed = is_signed || signed_blocks.contains(block);
      const auto runs = read_cover(cover);
      if (!runs) return true;  // verify names it
      const bool alone = has_tombstones_alone(*runs);
      for (const SealRun& run : *runs) {
        if (run.kind == SealKind::tombstone && alone && is_signed) under_heads.add(run);
        if (run.kind == SealKind::boot && (flags & seal_moved) == 0)
          is_signed = false;  // for those before it
      }
      return true;
    });
    if (!done) return done;
  }
  for (const Tombstone& one : *tombstones) {
    const bool vouched = under_heads.has(SealKind::tombstone, one.id);
    for (const SealRun& run : one.removed) {  // two may speak of the same rows
      all_.add(run);
      if (vouched) vouched_.add(run);
    }
    ids_.push_back(one.id);
    if (one.upto_block <= gone_.block) continue;
    gone_ = {one.upto_block, one.upto_records, one.upto_head};
    gone_vouched_ = vouched;
  }
  return {};
}

}  // namespace postern

// The sealer on opening a file that was sealed before: where the chain ends, and what a killed writer has
// left.
#include <algorithm>
#include <limits>

#include "resolver/journal/seal_writer.h"

namespace postern {

// As far back as they were read.
struct SealWriter::Past {
  SealSet covered, moved;  // what has moved does not say how far numbers have come
  std::int64_t finished = 0;
  bool all_queries = false;  // of the boot that wrote last
  bool whole = false;        // not stopped by a cover that cannot be read
  std::vector<std::int64_t> strangers;
  std::optional<std::int64_t> gaps_before;  // nothing: sealed by a Postern that left gaps out
};

// What the writer before has left. The row of `this_boot` is ours.
Result<void> SealWriter::recover(SealStore& store, std::int64_t this_boot, bool again) {
  SealTail tail;
  auto newest = store.each(true, [&](const SealBlock& block, const std::string&) {
    next_.block = block.number;
    next_.records = block.records;
    next_.head = block.head;
    tail.closed = (block.flags & seal_closing) != 0;
    return false;
  });
  if (!newest) return newest;
  head_ = next_;
  if (next_.block == 0) {  // its blocks are gone: verify will say so
    head_.head = next_.head = first_head(head_.journal);
    return {};
  }
  Past past;
  SealSet &covered = past.covered, &moved = past.moved;
  if (auto read = look_back(store, again ? this_boot : 0, past); !read) return read;
  tail.covered = &covered;
  tail.finished = past.finished;
  for (const std::int64_t mark : past.strangers) tail.note_stranger(mark);
  finished_.reached(past.finished);
  auto gaps = rows_->highest(SealKind::gap);
  if (!gaps) return tl::unexpected(gaps.error());
  gaps_before_ = past.gaps_before.value_or(*gaps);
  covered.add({SealKind::before_gap, gaps_before_, 1});
  // Each boot says it again, so that the next one need not look far. Nothing is said of what cannot be read.
  said_ = next_said_ = {past.finished, past.gaps_before ? again : !past.whole};
  const std::int64_t boot =
      again ? this_boot : std::max(covered.highest(SealKind::boot), moved.highest(SealKind::boot));
  if (auto found = tail.of_boot(connection_, boot); !found) return found;
  // Further back nothing was looked at, so nothing can be called missing.
  const SealRun lowest = covered.at_or_after(SealKind::asked, std::numeric_limits<std::int64_t>::min());
  if (!past.all_queries && lowest.count != 0) tail.first_asked = std::max(tail.first_asked, lowest.first);

  SealSet removed;
  if (const auto tombstones = store.tombstones())  // one that cannot be read is verify's to name
    for (const Tombstone& one : *tombstones)
      for (const SealRun& run : one.removed) removed.add(run);
  std::vector<SealRun> missing;
  std::vector<std::int64_t> strangers;
  for (std::uint8_t number = first_row_kind; number <= last_row_kind; ++number) {
    const auto kind = SealKind(number);
    const bool by_asked = kind == SealKind::asked || kind == SealKind::outcome;
    const bool by_end = kind == SealKind::detached || kind == SealKind::boot_end;
    // Rows of the other kinds are sealed in the order of their numbers.
    const std::int64_t sealed =
        std::max({covered.highest(kind), moved.highest(kind), covered.highest(SealKind(number | before_mark)),
                  moved.highest(SealKind(number | before_mark))});
    const std::int64_t from = by_asked ? tail.first_asked : by_end ? 1 : sealed + 1;
    std::int64_t stranger = 0;
    auto read = rows_->ids(kind, from, [&](std::int64_t row) {
      if (covered.has(kind, row) || moved.has(kind, row)) return true;
      if (kind == SealKind::boot && row == this_boot) return true;
      // What was removed cannot have come back. Neither is sealed: verify names it.
      if (!tail.allows(kind, row) || removed.has(kind, row)) {
        stranger = row;
        return true;
      }
      if (!missing.empty() && missing.back().kind == kind && missing.back().last() + 1 == row)
        ++missing.back().count;
      else
        missing.push_back({kind, row, 1});
      return true;
    });
    if (!read) return read;
    const bool by_number = !by_asked && !by_end && kind != SealKind::boot && kind != SealKind::tombstone;
    if (stranger > 0 && by_number) strangers.push_back(stranger_id(kind, stranger));
  }
  for (const SealRun& run : missing) {
    auto read = rows_->each(run.kind, run.first, run.last(), [&](std::int64_t row, std::string_view octets) {
      add(run.kind, row, octets);
      return open_.size() < recovered_records || write_block(open_, seal_recovered) == SQLITE_OK;
    });
    if (!read) return read;
  }
  if (!open_.empty() && write_block(open_, seal_recovered) != SQLITE_OK)
    return tl::unexpected(connection_.failed("cannot seal what was left in"));
  // Numbers that are still to come would make them look like the next ones.
  for (const std::int64_t mark : strangers)
    add(SealKind::stranger, mark, spelling_.mark(SealKind::stranger, mark));
  return {};
}

// Reads covers from the newest block back: as far as the boot that wrote last, and until of each kind that
// the file has rows of, one that is sealed was seen, and the mark of gaps. `boot`: that boot, 0: the last one
// that is sealed.
Result<void> SealWriter::look_back(SealStore& store, std::int64_t boot, Past& past) {
  std::array<bool, last_row_kind + 1> known{};
  for (std::uint8_t number = first_row_kind; number <= last_row_kind; ++number) {
    auto highest = rows_->highest(SealKind(number));
    if (!highest) return tl::unexpected(highest.error());
    known[number] = *highest == 0;
  }
  std::int64_t looked_at = 0;
  bool marked = false;
  past.whole = true;
  auto done = store.each_cover([&](std::int64_t, std::int64_t flags, std::string_view cover) {
    auto runs = read_cover(cover);
    past.whole = runs && records_in(*runs) <= max_block_records;
    if (!past.whole) return false;  // verify names it
    for (const SealRun& run : *runs) {
      const bool query = run.kind == SealKind::asked || run.kind == SealKind::outcome;
      if (run.kind == SealKind::finished) {
        past.finished = std::max(past.finished, run.first);
      } else if (run.kind == SealKind::stranger) {
        past.strangers.push_back(run.first);
      } else if (run.kind == SealKind::before_gap) {
        past.gaps_before = run.first;
        marked = true;
      } else if ((flags & seal_moved) != 0 && run.kind != SealKind::tombstone) {
        past.moved.add(run);
      } else if (!query || looked_at < recovery_looks_at) {
        past.covered.add(run);
        known[static_cast<std::uint8_t>(run.kind) & ~before_mark] = true;
      }
    }
    looked_at += static_cast<std::int64_t>(records_in(*runs));
    if (boot == 0) boot = past.covered.highest(SealKind::boot);
    const bool begun = boot != 0 && past.covered.has(SealKind::boot, boot);
    return !begun || !marked || !std::all_of(known.begin(), known.end(), [](bool one) { return one; });
  });
  past.all_queries = looked_at < recovery_looks_at;
  return done;
}

}  // namespace postern

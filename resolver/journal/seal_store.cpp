// The tables of seals: statements, and rows as values.
#include "resolver/journal/seal_store.h"

#include <algorithm>
#include <limits>

#include "rules/hex.h"
#include "rules/quote.h"

namespace postern {
namespace {

constexpr std::string_view blocks_forward =
    "SELECT block, time_us, flags, records, cover, leaves, content, head FROM seal ORDER BY block";
constexpr std::string_view blocks_backward =
    "SELECT block, time_us, flags, records, cover, leaves, content, head FROM seal ORDER BY block DESC";
constexpr std::string_view covers_backward = "SELECT block, flags, cover FROM seal ORDER BY block DESC";
constexpr std::string_view select_heads =
    "SELECT h.block, h.counter, h.time_us, h.records, s.public_key, h.signature FROM seal_head AS h"
    " LEFT JOIN seal_signer AS s ON s.id = h.signer ORDER BY h.block";
constexpr std::string_view select_tombstones =
    "SELECT id, time_us, removed, upto_block, upto_records, upto_head FROM seal_tombstone ORDER BY id";

bool take(std::string_view octets, std::span<std::uint8_t> into) {
  if (octets.size() != into.size()) return false;
  std::copy(octets.begin(), octets.end(), into.begin());
  return true;
}

}  // namespace

Result<SealStore> SealStore::open(Connection& connection) {
  return SealStore(connection);
}

Result<std::optional<JournalId>> SealStore::journal_id() {
  const auto text = connection_->text("SELECT value FROM meta WHERE key = 'journal_id'");
  if (!text) return tl::unexpected(text.error());
  if (text->empty()) return std::optional<JournalId>();
  JournalId id;
  if (!read_hex(*text, id))
    return failure("cannot read the id of journal \"" + connection_->path() + "\": " + quoted(*text) +
                   " is none");
  return std::optional(id);
}

Result<void> SealStore::each(bool newest_first, const Found& found) {
  auto rows = connection_->prepare(newest_first ? blocks_backward : blocks_forward);
  if (!rows) return tl::unexpected(rows.error());
  int code = SQLITE_DONE;
  while ((code = rows->step()) == SQLITE_ROW) {
    SealBlock block{rows->integer(0),
                    rows->integer(1),
                    rows->integer(2),
                    rows->integer(3),
                    rows->octets(4),
                    rows->octets(5),
                    {},
                    {}};
    std::string broken;
    if (!take(rows->octets(6), block.content) || !take(rows->octets(7), block.head))
      broken = "a hash that has not 32 octets";
    if (!found(block, broken)) return {};
  }
  if (code != SQLITE_DONE) return tl::unexpected(connection_->failed("cannot read the blocks of"));
  return {};
}

Result<void> SealStore::each_cover(const FoundCover& found) {
  auto rows = connection_->prepare(covers_backward);
  if (!rows) return tl::unexpected(rows.error());
  int code = SQLITE_DONE;
  while ((code = rows->step()) == SQLITE_ROW)
    if (!found(rows->integer(0), rows->integer(1), rows->octets(2))) return {};
  if (code != SQLITE_DONE) return tl::unexpected(connection_->failed("cannot read the blocks of"));
  return {};
}

Result<std::vector<StoredHead>> SealStore::heads() {
  auto rows = connection_->prepare(select_heads);
  if (!rows) return tl::unexpected(rows.error());
  std::vector<StoredHead> heads;
  int code = SQLITE_DONE;
  while ((code = rows->step()) == SQLITE_ROW)
    heads.push_back({rows->integer(0), rows->integer(1), rows->integer(2), rows->integer(3), rows->octets(4),
                     rows->octets(5)});
  if (code != SQLITE_DONE) return tl::unexpected(connection_->failed("cannot read the signed heads of"));
  return heads;
}

Result<std::vector<Tombstone>> SealStore::tombstones() {
  auto rows = connection_->prepare(select_tombstones);
  if (!rows) return tl::unexpected(rows.error());
  std::vector<Tombstone> all;
  int code = SQLITE_DONE;
  while ((code = rows->step()) == SQLITE_ROW) {
    Tombstone one;
    one.id = rows->integer(0);
    one.time_us = rows->integer(1);
    auto removed = read_cover(rows->octets(2));
    one.upto_block = rows->integer(3);
    one.upto_records = rows->integer(4);
    if (!removed || !take(rows->octets(5), one.upto_head))
      return failure("cannot read tombstone " + std::to_string(one.id) + " of journal \"" +
                     connection_->path() +
                     "\": " + (removed ? "its head has not 32 octets" : removed.error().message));
    one.removed = std::move(*removed);
    all.push_back(std::move(one));
  }
  if (code != SQLITE_DONE) return tl::unexpected(connection_->failed("cannot read the tombstones of"));
  return all;
}

Result<void> SealTail::of_boot(Connection& connection, std::int64_t boot) {
  const std::string number = std::to_string(boot);
  const auto asked = connection.integer("SELECT first_asked FROM boot WHERE id = " + number);
  if (!asked) return tl::unexpected(asked.error());
  const auto sandbox = connection.integer(
      "SELECT coalesce(min(id), 9223372036854775807) FROM sandbox WHERE session <> '' AND boot = " + number);
  if (!sandbox) return tl::unexpected(sandbox.error());
  first_asked = *asked;
  first_sandbox = *sandbox;
  const auto last = connection.integer("SELECT coalesce(max(id), 0) FROM asked");
  if (!last) return tl::unexpected(last.error());
  auto boots = connection.prepare("SELECT id, first_asked FROM boot ORDER BY id");
  if (!boots) return tl::unexpected(boots.error());
  misplaced_boots.clear();
  std::int64_t begun = std::numeric_limits<std::int64_t>::min();
  int code = SQLITE_ROW;
  while ((code = boots->step()) == SQLITE_ROW) {
    const std::int64_t id = boots->integer(0), first = boots->integer(1);
    if (boot != 0 && id > boot && (first <= *last || first <= begun)) misplaced_boots.push_back(id);
    begun = std::max(begun, first);
  }
  if (code != SQLITE_DONE) return tl::unexpected(connection.failed("cannot read the boots of"));
  return {};
}

void SealTail::note_stranger(std::int64_t mark) {
  const auto kind = static_cast<std::size_t>(mark % strangers_per_id);
  if (mark > 0 && kind < strangers.size()) strangers[kind] = std::max(strangers[kind], row_of_stranger(mark));
}

bool SealTail::allows(SealKind kind, std::int64_t id) const {
  const bool later = id > covered->highest(kind);
  // A writer's own row comes first, in a transaction of its own.
  if (kind == SealKind::boot)
    return later && !std::binary_search(misplaced_boots.begin(), misplaced_boots.end(), id);
  if (closed) return false;
  switch (kind) {
    case SealKind::asked:
      return id >= first_asked && id > finished && id > covered->highest(kind) - asked_behind;
    case SealKind::outcome:
      return id >= first_asked && id > finished && id > covered->highest(SealKind::asked) - outcome_behind;
    case SealKind::detached:
      return id >= first_sandbox;
    case SealKind::boot_end:
    case SealKind::tombstone:
      return false;  // they are committed together with the block that covers them
    default:
      return later && id > strangers[static_cast<std::size_t>(kind)];
  }
}

}  // namespace postern

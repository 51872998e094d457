// The sealer: the open block and its row, and the first one of a file.
#include "resolver/journal/seal_writer.h"

#include <sys/random.h>

#include <algorithm>
#include <cmath>

#include "resolver/journal/journal_file.h"
#include "resolver/journal/record.h"
#include "rules/hex.h"

namespace postern {
namespace {

constexpr std::string_view insert_seal =
    "INSERT INTO seal (block, time_us, flags, records, cover, leaves, content, head)"
    " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
constexpr std::string_view insert_signer_row =
    "INSERT INTO seal_signer (public_key) VALUES (?1) ON CONFLICT (public_key) DO NOTHING";
constexpr std::string_view insert_signed_head =
    "INSERT OR IGNORE INTO seal_head (block, counter, time_us, records, signer, signature)"
    " VALUES (?1, ?2, ?3, ?4, (SELECT id FROM seal_signer WHERE public_key = ?5), ?6)";
constexpr std::string_view insert_tombstone_row =
    "INSERT INTO seal_tombstone (time_us, removed, upto_block, upto_records, upto_head)"
    " VALUES (?1, ?2, ?3, ?4, ?5)";
constexpr std::string_view remove_blocks_upto = "DELETE FROM seal WHERE block <= ?1";
constexpr std::string_view remove_heads_upto = "DELETE FROM seal_head WHERE block <= ?1";
constexpr std::string_view remove_tombstone_row = "DELETE FROM seal_tombstone WHERE id = ?1";
constexpr std::string_view write_journal_id = "INSERT INTO meta (key, value) VALUES ('journal_id', ?1)";

// As new_records_in().
std::int64_t fresh_in(std::span<const SealEntry> entries, std::int64_t flags) {
  const bool moved = (flags & seal_moved) != 0;
  return std::count_if(entries.begin(), entries.end(), [&](const SealEntry& entry) {
    return moved ? entry.kind == SealKind::tombstone : is_counted(entry.kind);
  });
}

static_assert(SealWriter::block_records <= SealTail::fewer_than);

std::string_view as_text(std::span<const std::uint8_t> octets) {
  return {reinterpret_cast<const char*>(octets.data()), octets.size()};
}

}  // namespace

Result<std::unique_ptr<SealWriter>> SealWriter::open(Connection& connection, std::int64_t boot, bool again) {
  std::unique_ptr<SealWriter> writer(new SealWriter(connection));
  const std::pair<Statement*, std::string_view> statements[] = {
      {&writer->insert_block_, insert_seal},
      {&writer->insert_signer_, insert_signer_row},
      {&writer->insert_head_, insert_signed_head},
      {&writer->insert_tombstone_, insert_tombstone_row},
      {&writer->remove_blocks_, remove_blocks_upto},
      {&writer->remove_heads_, remove_heads_upto},
      {&writer->remove_tombstone_, remove_tombstone_row},
  };
  for (const auto& [statement, sql] : statements) {
    auto prepared = connection.prepare(sql);
    if (!prepared) return tl::unexpected(prepared.error());
    *statement = std::move(*prepared);
  }
  auto rows = SealRows::open(connection);
  if (!rows) return tl::unexpected(rows.error());
  writer->rows_.emplace(std::move(*rows));
  if (auto begun = connection.run("BEGIN IMMEDIATE"); !begun) return tl::unexpected(begun.error());
  auto done = writer->begin(boot, again);
  if (done && connection.exec("COMMIT") != SQLITE_OK)
    done = tl::unexpected(connection.failed("cannot seal the beginning of"));
  if (!done) {
    connection.exec("ROLLBACK");
    return tl::unexpected(done.error());
  }
  writer->committed();
  return writer;
}

Result<void> SealWriter::begin(std::int64_t boot, bool again) {
  auto store = SealStore::open(connection_);
  if (!store) return tl::unexpected(store.error());
  auto id = store->journal_id();
  if (!id) return tl::unexpected(id.error());
  if (*id) {
    head_.journal = **id;
    next_ = head_;
    if (auto done = recover(*store, boot, again); !done) return done;
  } else if (auto done = first_block(); !done) {
    return done;
  }
  const auto spelled = [&](std::int64_t row, std::string_view octets) {
    add(SealKind::boot, row, octets);
    return true;
  };
  if (again) return {};
  if (auto done = rows_->each(SealKind::boot, boot, boot, spelled); !done) return done;
  if (write_block(open_, 0) != SQLITE_OK)
    return tl::unexpected(connection_.failed("cannot seal the beginning of"));
  sealed_now_ = true;
  return {};
}

// A file that was never sealed: what is in it stays outside, and the first block says up to where.
Result<void> SealWriter::first_block() {
  if (getrandom(head_.journal.data(), head_.journal.size(), 0) != static_cast<ssize_t>(head_.journal.size()))
    return failure("cannot draw an id for journal \"" + connection_.path() + "\"");
  const std::string text = hex_text(head_.journal);
  auto insert = connection_.prepare(write_journal_id);
  if (!insert) return tl::unexpected(insert.error());
  insert->bind(1, std::string_view(text));
  if (insert->run() != SQLITE_OK) return tl::unexpected(connection_.failed("cannot seal the beginning of"));
  head_.head = first_head(head_.journal);
  next_ = head_;
  for (std::uint8_t number = first_row_kind; number <= last_row_kind; ++number) {
    if (SealKind(number) == SealKind::tombstone) continue;
    auto highest = rows_->highest(SealKind(number));
    if (!highest) return tl::unexpected(highest.error());
    // The boot's own row, just written, is not from before.
    const std::int64_t last = SealKind(number) == SealKind::boot ? *highest - 1 : *highest;
    const auto before = SealKind(number | before_mark);
    if (before == SealKind::before_gap)
      gaps_before_ = last;
    else if (last > 0)
      add(before, last, spelling_.mark(before, last));
  }
  return {};
}

void SealWriter::add(SealKind kind, std::int64_t id, std::string_view octets) {
  if (open_.empty()) opened_ = Clock::now();
  hash_.add(octets);
  open_.push_back({kind, id, hash_.finish()});
}

void SealWriter::asked(const Asked& row, std::string_view name) {
  add(SealKind::asked, row.id,
      spelling_.asked({row.id, row.time_us, row.monotonic_us, row.sandbox, name, row.type,
                       static_cast<int>(row.action), static_cast<int>(row.reason), row.rule, row.rcode,
                       row.ede, flags_of(row), thousandths(row.score), row.charge_millibits}));
}

void SealWriter::outcome(const Outcome& row) {
  add(SealKind::outcome, row.asked,
      spelling_.outcome({row.asked, row.time_us, static_cast<int>(row.action), static_cast<int>(row.reason),
                         row.rule, row.rcode, row.ede, row.upstream_us, row.answers, row.data, row.octets}));
}

void SealWriter::alert(std::int64_t id, const AlertRow& row) {
  add(SealKind::alert, id,
      spelling_.alert({id, row.time_us, row.sandbox, row.kind, row.zone,
                       std::isfinite(row.score) ? row.score : 0.0, row.action, row.evidence, row.asked,
                       row.uid, row.severity, row.attack, row.first_us, row.last_us}));
}

void SealWriter::sandbox(const SandboxFields& row) {
  add(SealKind::sandbox, row.id, spelling_.sandbox(row));
}

void SealWriter::detached(std::int64_t sandbox, std::int64_t time_us) {
  add(SealKind::detached, sandbox, spelling_.detached(sandbox, time_us));
}

void SealWriter::grant(std::int64_t id, const LeakGrant& row) {
  add(SealKind::grant, id,
      spelling_.grant(
          {id, row.time_us, row.user, row.session, row.zone, static_cast<std::int64_t>(row.octets)}));
}

void SealWriter::rule(std::int64_t id, std::string_view text) {
  add(SealKind::rule, id, spelling_.rule(id, text));
}

void SealWriter::boot_end(std::int64_t boot, std::int64_t ended_us) {
  add(SealKind::boot_end, boot, spelling_.boot_end(boot, ended_us));
}

void SealWriter::gap(const GapFields& row) {
  add(SealKind::gap, row.id, spelling_.gap(row));
}

// Leaves `entries` as they are when they are open_ (the transaction may fail), else empties them.
int SealWriter::write_block(std::vector<SealEntry>& entries, std::int64_t flags) {
  sorted_ = entries;
  const auto say = [&](SealKind mark, std::int64_t id) {
    hash_.add(spelling_.mark(mark, id));
    sorted_.push_back({mark, id, hash_.finish()});
  };
  const std::int64_t upto = finished_.upto();
  if (upto > next_said_.finished) say(SealKind::finished, upto);
  if (!next_said_.gaps) say(SealKind::before_gap, gaps_before_);
  SealBlock block;
  block.number = next_.block + 1;
  block.time_us = clock_us(CLOCK_REALTIME);
  block.flags = flags;
  fill_block(block, sorted_);
  block.records = next_.records + fresh_in(sorted_, flags);
  block.head = head_of(next_.journal, next_.head, block);
  insert_block_.bind(1, block.number);
  insert_block_.bind(2, block.time_us);
  insert_block_.bind(3, block.flags);
  insert_block_.bind(4, block.records);
  insert_block_.bind_octets(5, block.cover);
  insert_block_.bind_octets(6, block.leaves);
  insert_block_.bind_octets(7, as_text(block.content));
  insert_block_.bind_octets(8, as_text(block.head));
  const int code = insert_block_.run();
  if (code != SQLITE_OK) return code;
  next_.block = block.number;
  next_.records = block.records;
  next_.head = block.head;
  next_said_ = {upto, true};
  last_block_ = Clock::now();
  if (flags == seal_recovered) entries.clear();
  return SQLITE_OK;
}

int SealWriter::write_signatures() {
  for (const StoredHead& one : signatures_) {
    insert_signer_.bind_octets(1, one.public_key);
    if (const int code = insert_signer_.run(); code != SQLITE_OK) return code;
    insert_head_.bind(1, one.block);
    insert_head_.bind(2, one.counter);
    insert_head_.bind(3, one.time_us);
    insert_head_.bind(4, one.records);
    insert_head_.bind_octets(5, one.public_key);
    insert_head_.bind_octets(6, one.signature);
    if (const int code = insert_head_.run(); code != SQLITE_OK) return code;
  }
  signatures_written_ = signatures_.size();
  return SQLITE_OK;
}

int SealWriter::seal(When when, std::int64_t flags) {
  if (!signatures_.empty())
    if (const int code = write_signatures(); code != SQLITE_OK) return code;
  const auto due_at = block_due();
  if (!due_at || sealed_now_) return SQLITE_OK;
  if ((when == When::if_due || open_.empty()) && Clock::now() < *due_at) return SQLITE_OK;
  const int code = write_block(open_, flags);
  sealed_now_ = code == SQLITE_OK;
  return code;
}

// In a block of its own.
int SealWriter::write_tombstone(const std::string& removed, std::int64_t time_us, const SealFrontier& upto) {
  insert_tombstone_.bind(1, time_us);
  insert_tombstone_.bind_octets(2, removed);
  insert_tombstone_.bind(3, upto.block);
  insert_tombstone_.bind(4, upto.records);
  insert_tombstone_.bind_octets(5, as_text(upto.head));
  if (const int code = insert_tombstone_.run(); code != SQLITE_OK) return code;
  const std::int64_t id = sqlite3_last_insert_rowid(connection_.raw());
  hash_.add(spelling_.tombstone({id, time_us, removed, upto.block, upto.records, as_text(upto.head)}));
  std::vector<SealEntry> alone{{SealKind::tombstone, id, hash_.finish()}};
  return write_block(alone, 0);
}

int SealWriter::tombstone(std::span<const SealRun> removed, std::int64_t time_us) {
  if (const int code = seal(When::now); code != SQLITE_OK) return code;
  return write_tombstone(cover_octets(removed), time_us, {});
}

int SealWriter::move_front(const SealFrontier& upto, std::vector<SealEntry> moved,
                           std::span<const std::int64_t> tombstones, std::int64_t time_us) {
  if (const int code = seal(When::now); code != SQLITE_OK) return code;
  next_said_ = {};  // the blocks that have said it may be among those that go
  if (!moved.empty())
    if (const int code = write_block(moved, seal_moved); code != SQLITE_OK) return code;
  if (const int code = write_tombstone({}, time_us, upto); code != SQLITE_OK) return code;
  for (Statement* remove : {&remove_blocks_, &remove_heads_}) {
    remove->bind(1, upto.block);
    if (const int code = remove->run(); code != SQLITE_OK) return code;
  }
  for (const std::int64_t id : tombstones) {
    remove_tombstone_.bind(1, id);
    if (const int code = remove_tombstone_.run(); code != SQLITE_OK) return code;
  }
  return SQLITE_OK;
}

void SealWriter::committed() {
  if (sealed_now_) open_.clear();
  sealed_now_ = false;
  committed_ = open_.size();
  head_ = next_;
  said_ = next_said_;
  signatures_.erase(signatures_.begin(),
                    signatures_.begin() + static_cast<std::ptrdiff_t>(signatures_written_));
  signatures_written_ = 0;
}

void SealWriter::rolled_back() {
  open_.resize(committed_);
  sealed_now_ = false;
  next_ = head_;
  next_said_ = said_;
  signatures_written_ = 0;
}

void SealWriter::leave_out(std::int64_t block) {
  head_.block = next_.block = std::max(next_.block, block);
}

std::optional<SealWriter::Clock::time_point> SealWriter::due() const {
  return signatures_.empty() ? block_due() : Clock::time_point::min();
}

std::optional<SealWriter::Clock::time_point> SealWriter::block_due() const {
  if (!open_.empty()) return open_.size() >= block_records ? Clock::time_point::min() : opened_ + block_age;
  if (finished_.upto() > next_said_.finished) return last_block_ + said_alone_after;
  return std::nullopt;
}

}  // namespace postern

// The writer's parts without the journal's thread: a test says when a block is closed and how time passes.
// And what somebody can do to a chain of seals who has no key.
#pragma once

#include "resolver/journal/journal_file.h"
#include "resolver/journal/outage.h"
#include "resolver/journal/record.h"
#include "resolver/journal/seal_writer.h"
#include "tests/unit/journal/seal_support.h"

namespace postern::test {

inline JournalFile must_open_file(const std::string& path) {
  auto file = JournalFile::open(at(path));
  if (!file) FAIL(file.error().message);
  return std::move(*file);
}

// One that is let go without `close` was killed.
class BareWriter {
 public:
  explicit BareWriter(const std::string& path) : file(must_open_file(path)) {
    auto opened = SealWriter::open(file.connection(), file.boot());
    REQUIRE(opened.has_value());
    seal = std::move(*opened);
    auto created = RecordWriter::create(file.connection(), {}, names, file.boot_offset_us(), seal.get());
    REQUIRE(created.has_value());
    writer = std::move(*created);
  }
  // Of each id, a query.
  int write(const std::vector<RowId>& ids, const std::vector<Outcome>& outcomes = {}) {
    std::deque<Asked> rows;
    std::vector<AskedBatch> batches(ids.empty() ? 0 : 1);
    for (const RowId id : ids) {
      rows.push_back(asked(id, "n" + std::to_string(id) + ".example.com"));
      batches.front().rows.push_back(&rows.back());
    }
    return writer->write(
        {.rules = {}, .batches = batches, .outcomes = outcomes, .alerts = {}, .ends = {}, .snapshots = {}});
  }
  int write(RowId first, RowId last) {
    std::vector<RowId> ids;
    for (RowId id = first; id <= last; ++id) ids.push_back(id);
    return write(ids);
  }
  void seal_now() {
    REQUIRE(file.connection().exec("BEGIN IMMEDIATE") == SQLITE_OK);
    REQUIRE(seal->seal(SealWriter::When::now) == SQLITE_OK);
    REQUIRE(file.connection().exec("COMMIT") == SQLITE_OK);
    seal->committed();
  }
  // As retention: these queries go.
  void remove(RowId first, RowId last) {
    const std::string range = " BETWEEN " + std::to_string(first) + " AND " + std::to_string(last);
    std::vector<SealRun> gone{{SealKind::asked, first, static_cast<std::uint64_t>(last - first + 1)}};
    auto rows = SealRows::open(file.connection());
    REQUIRE(rows.has_value());
    REQUIRE(rows->ids(SealKind::outcome, first,
                      [&](std::int64_t id) {
                        if (id <= last) gone.push_back({SealKind::outcome, id, 1});
                        return id < last;
                      })
                .has_value());
    const std::string sql = "BEGIN IMMEDIATE; DELETE FROM asked WHERE id" + range +
                            "; DELETE FROM outcome WHERE asked" + range + "; DELETE FROM listed WHERE asked" +
                            range;
    REQUIRE(file.connection().exec(sql.c_str()) == SQLITE_OK);
    REQUIRE(seal->tombstone(gone, 1'700'000'500'000'000) == SQLITE_OK);
    REQUIRE(file.connection().exec("COMMIT") == SQLITE_OK);
    seal->committed();
  }
  // So long numbers up to that one have been drawn, and all that was handed in is written.
  void drawn_for(std::chrono::seconds time, RowId upto) {
    for (const auto end = clock_ + time; clock_ < end;) {
      clock_ += FinishedRows::longest_look;
      seal->all_written(upto + 1, clock_);
    }
  }
  void close(RowId last_id) {
    REQUIRE(writer->close(file.boot(), 1'700'000'600'000'000,
                          file.ending(last_id, 1'700'000'600'000'000).c_str(),
                          false) == SQLITE_OK);  // nothing is listed here
    REQUIRE(file.fold());
  }

  JournalFile file;
  NameBook names;
  std::unique_ptr<SealWriter> seal;
  std::unique_ptr<RecordWriter> writer;

 private:
  SealWriter::Clock::time_point clock_ = SealWriter::Clock::now();
};

// A row under that id, with what another row says.
inline void plant_asked(const std::string& path, RowId id, RowId as) {
  Sql(path).rows(
      "INSERT INTO asked SELECT " + std::to_string(id) +
      ", time_us, monotonic_us, sandbox, 'planted.example', 1, type, action, reason, rule, rcode, ede,"
      " flags, score_milli, charge_millibits, 0 FROM asked WHERE id = " +
      std::to_string(as));
}
inline void plant_outcome(const std::string& path, RowId id) {
  Sql(path).rows("INSERT INTO outcome VALUES (" + std::to_string(id) +
                 ", 1, 0, 0, 0, 0, 0, 1, 1, '192.0.2.9', 0)");
}

// What hides that a record was changed from all but the hashes in full: its leaf is put right in its block,
// and the heads of all blocks. (In earnest the leaf must stay under a signed head: 2^48 hashes.)
inline void forge_leaf(const std::string& path, SealKind kind, std::int64_t id) {
  auto connection = Connection::open(path, SQLITE_OPEN_READWRITE);
  REQUIRE(connection.has_value());
  auto store = SealStore::open(*connection);
  auto rows = SealRows::open(*connection);
  REQUIRE(store.has_value());
  REQUIRE(rows.has_value());
  std::string leaf;
  REQUIRE(rows->each(kind, id, id,
                     [&](std::int64_t, std::string_view octets) {
                       Sha256 hash;
                       hash.add(octets);
                       const Digest digest = hash.finish();
                       leaf.assign(reinterpret_cast<const char*>(digest.data()), leaf_octets);
                       return true;
                     })
              .has_value());
  REQUIRE(leaf.size() == leaf_octets);
  const auto journal = store->journal_id();
  REQUIRE(journal.has_value());
  std::vector<SealBlock> blocks;
  Digest before = first_head(**journal);
  REQUIRE(store
              ->each(false,
                     [&](const SealBlock& found, const std::string&) {
                       SealBlock block = found;
                       std::size_t at = 0;
                       const auto runs = read_cover(block.cover);
                       for (const SealRun& run : *runs) {
                         if (run.kind == kind && run.first <= id && id <= run.last())
                           block.leaves.replace(at + static_cast<std::size_t>(id - run.first) * leaf_octets,
                                                leaf_octets, leaf);
                         at += run.count * leaf_octets;
                       }
                       block.head = head_of(**journal, before, block);
                       before = block.head;
                       blocks.push_back(block);
                       return true;
                     })
              .has_value());
  auto update = connection->prepare("UPDATE seal SET leaves = ?2, head = ?3 WHERE block = ?1");
  REQUIRE(update.has_value());
  for (const SealBlock& block : blocks) {
    update->bind(1, block.number);
    update->bind_octets(2, block.leaves);
    update->bind_octets(3, {reinterpret_cast<const char*>(block.head.data()), block.head.size()});
    REQUIRE(update->run() == SQLITE_OK);
  }
}

}  // namespace postern::test

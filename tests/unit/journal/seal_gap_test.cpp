// Gaps of the record are sealed like everything else; what there was of them before that is said to be
// unsealed.
#include "tests/support/fault_vfs.h"
#include "tests/unit/journal/prune_support.h"
#include "tests/unit/journal/seal_writer_support.h"

using namespace postern;
using namespace postern::test;

namespace {

Gap gap(std::int64_t from_us) {
  return {.from_us = from_us, .until_us = from_us + 1000, .refused = 7, .answered = 0, .why = "disk full"};
}

constexpr const char* plant_gap =
    "INSERT INTO gap (from_us, until_us, refused, answered, why) VALUES (1, 2, 3, 4, 'x')";

// A journal with gaps as a Postern sealed it that left them out.
void write_sealed_without_gaps(const std::string& path) {
  {
    auto options = at(path);
    options.sealed = false;
    const auto journal = must_open(options);
    write_rows(*journal, 30);
  }
  auto connection = Connection::open(path, SQLITE_OPEN_READWRITE);
  REQUIRE(connection.has_value());
  REQUIRE(connection->run(plant_gap).has_value());
  const JournalId journal{1, 2, 3};
  auto rows = SealRows::open(*connection);
  REQUIRE(rows.has_value());
  std::vector<SealEntry> marks;
  for (std::uint8_t number = first_row_kind; SealKind(number) < SealKind::tombstone; ++number) {
    const auto mark = SealKind(number | before_mark);
    const std::int64_t last = *rows->highest(SealKind(number));
    Sha256 hash;
    hash.add(SealSpelling().mark(mark, last));
    if (last > 0) marks.push_back({mark, last, hash.finish()});
  }
  SealBlock block;
  block.number = 1;
  block.time_us = 1'700'000'000'000'000;
  block.flags = seal_closing;
  block.records = static_cast<std::int64_t>(marks.size());
  fill_block(block, marks);
  block.head = head_of(journal, first_head(journal), block);
  auto insert = connection->prepare(
      "INSERT INTO seal (block, time_us, flags, records, cover, leaves, content, head) VALUES (?1, ?2, ?3, "
      "?4, ?5,"
      " ?6, ?7, ?8)");
  REQUIRE(insert.has_value());
  const auto octets = [](const Digest& digest) {
    return std::string_view(reinterpret_cast<const char*>(digest.data()), digest.size());
  };
  insert->bind(1, block.number);
  insert->bind(2, block.time_us);
  insert->bind(3, block.flags);
  insert->bind(4, block.records);
  insert->bind_octets(5, block.cover);
  insert->bind_octets(6, block.leaves);
  insert->bind_octets(7, octets(block.content));
  insert->bind_octets(8, octets(block.head));
  REQUIRE(insert->run() == SQLITE_OK);
  REQUIRE(connection
              ->run("INSERT INTO meta (key, value) VALUES ('journal_id', '01020300000000000000000000000000')")
              .has_value());
}

}  // namespace

TEST_CASE("a gap that is changed, removed or made up is named") {
  const Folder folder;
  {
    BareWriter bare(folder.file("original.db"));
    REQUIRE(bare.writer->gap(gap(1000)) == SQLITE_OK);
    REQUIRE(bare.writer->gap(gap(5000)) == SQLITE_OK);
    bare.close(1);
  }
  CHECK(verdict(folder.file("original.db")) == "consistent");
  CHECK(must_verify(folder.file("original.db")).records == 2 + 2);  // the boot and its end
  for (const auto& [sql, named] :
       {std::pair{"UPDATE gap SET from_us = 0 WHERE id = 1", "gap 1 was changed"},
        {"UPDATE gap SET until_us = 0 WHERE id = 1", "gap 1 was changed"},
        {"UPDATE gap SET refused = 6 WHERE id = 1", "gap 1 was changed"},
        {"UPDATE gap SET answered = 1 WHERE id = 2", "gap 2 was changed"},
        {"UPDATE gap SET why = 'a reboot' WHERE id = 2", "gap 2 was changed"},
        {"DELETE FROM gap WHERE id = 1", "gap 1 was removed"},
        {"DELETE FROM gap", "gap 1 was removed, and 1 more of its block after it"},
        {plant_gap, "gap 3 was inserted, or the block that covered it was removed"}}) {
    CAPTURE(std::string(sql));
    std::filesystem::copy_file(folder.file("original.db"), folder.file(),
                               std::filesystem::copy_options::overwrite_existing);
    Sql(folder.file()).rows(sql);
    CHECK(verdict(folder.file()) == named);
  }
}

TEST_CASE("a gap that an outage made is sealed with what comes after it") {
  const Folder folder;
  {
    FaultVfs disk;
    const auto journal = must_open(folder.file());
    disk.fail(FaultVfs::Call::write, "-wal", SQLITE_FULL);
    CHECK(write_one(*journal, asked(journal->reserve(1))) == false);
    disk.heal();
    REQUIRE(eventually(*journal, [](const auto& stats) { return stats.writable; }));
    CHECK(write_one(*journal, asked(journal->reserve(1))) == true);
  }
  CHECK(verdict(folder.file()) == "consistent");
  Sql sql(folder.file());
  CHECK(sql.one("SELECT count(*) FROM gap") == "1");
  sql.rows("UPDATE gap SET refused = 0");
  CHECK(verdict(folder.file()) == "gap 1 was changed");
}

TEST_CASE("gaps that retention removes are pruned, and one that somebody removes is not") {
  const Folder folder(Folder::Where::in_memory);
  {
    BareWriter bare(folder.file());
    for (int day = 0; day < 3; ++day)
      REQUIRE(bare.writer->gap(gap(now_us() - (40 - day) * day_us)) == SQLITE_OK);
    REQUIRE(bare.writer->gap(gap(now_us())) == SQLITE_OK);
    bare.close(1);
  }
  prune(folder.file(), kept_for(30 * day_us, 30 * day_us));
  Sql sql(folder.file());
  CHECK(sql.one_now("SELECT count(*) FROM gap") == "1");
  const VerifyReport report = must_verify(folder.file());
  CHECK(verdict(report) == "consistent");
  CHECK(report.pruned >= 3);
  sql.rows("DELETE FROM gap");
  CHECK(verdict(folder.file()) == "gap 4 was removed");
}

TEST_CASE(
    "in a file whose seals are older, the gaps there were count as unsealed, and those to come are sealed") {
  const Folder folder;
  write_sealed_without_gaps(folder.file());
  const VerifyReport before = must_verify(folder.file());
  CHECK(verdict(before) == "consistent");
  CHECK(before.unsealed_before ==
        30 + 20 + 1 + 2 + 1);  // asked, outcome, a rule, the boot and its end, a gap
  {
    BareWriter bare(folder.file());
    CHECK(verdict(folder.file()) == "consistent");
    REQUIRE(bare.writer->gap(gap(1000)) == SQLITE_OK);
    bare.close(100);
  }
  {
    BareWriter again(folder.file());
    again.close(101);
  }
  VerifyReport after = must_verify(folder.file());
  CHECK(verdict(after) == "consistent");
  CHECK(after.unsealed_before == before.unsealed_before);
  CHECK(after.recovered == 0);
  Sql sql(folder.file());
  sql.rows("UPDATE gap SET refused = 0 WHERE id = 1");
  CHECK(verdict(folder.file()) == "consistent");  // nobody vouches for it
  sql.rows("UPDATE gap SET refused = 0 WHERE id = 2");
  CHECK(verdict(folder.file()) == "gap 2 was changed");
  // What was planted when the seals knew of gaps already does not pass for older than they.
  sql.rows("UPDATE gap SET refused = 7 WHERE id = 2");
  sql.rows(plant_gap);
  CHECK(verdict(folder.file()) == "gap 3 was inserted, or the block that covered it was removed");
  { BareWriter again(folder.file()); }
  CHECK(verdict(folder.file()) == "gap 3 was inserted, or the block that covered it was removed");
}

// What is finished: a row planted under a number that was drawn and never used is named, and no honest row
// is.
#include "resolver/journal/care.h"
#include "tests/unit/journal/seal_writer_support.h"

using namespace postern;
using namespace postern::test;
using namespace std::chrono_literals;

namespace {

constexpr const char* inserted = " was inserted, or the block that covered it was removed";

// Queries 1 to 10 and 12 to 20, each but 12 with an outcome; number 11 was drawn for nothing. A minute later
// two more and a block.
void write_with_a_hole(BareWriter& bare) {
  REQUIRE(bare.file.first_id() == 1);
  std::vector<RowId> ids;
  std::vector<Outcome> outcomes;
  for (RowId id = 1; id <= 20; ++id) {
    if (id != 11) ids.push_back(id);
    if (id < 11 || id > 12) outcomes.push_back({.asked = id, .time_us = 5, .rcode = 0, .data = "192.0.2.1"});
  }
  REQUIRE(bare.write(ids, outcomes) == SQLITE_OK);
  bare.seal_now();
  bare.drawn_for(62s, 20);
  REQUIRE(bare.write(21, 22) == SQLITE_OK);
  bare.seal_now();
}

std::string copy_of(const Folder& folder, const std::string& name) {
  REQUIRE(backup_journal(folder.file(), folder.file(name)).has_value());
  return folder.file(name);
}

}  // namespace

TEST_CASE(
    "a number is finished a minute after it was drawn, and only time in which the journal wrote counts") {
  FinishedRows rows;
  auto now = FinishedRows::Clock::now();
  const auto seconds = [&](int count, std::int64_t next) {
    for (int i = 0; i < count; ++i) rows.all_written(next, now += 1s);
  };
  seconds(1, 100);
  CHECK(rows.upto() == 0);
  seconds(59, 200);
  CHECK(rows.upto() == 0);
  seconds(1, 200);
  CHECK(rows.upto() == 99);
  // A stalled disk, a stopped process: an hour without a call is two seconds.
  now += 1h;
  seconds(1, 300);
  CHECK(rows.upto() == 99);
  seconds(60, 300);
  CHECK(rows.upto() > 99);
  CHECK(rows.upto() < 299);
  rows.reached(1000);
  rows.reached(500);
  CHECK(rows.upto() == 1000);
}

TEST_CASE(
    "a row planted under a number that was never used is named while its writer lives, and after a kill") {
  const Folder folder;
  {
    BareWriter bare(folder.file());
    write_with_a_hole(bare);
    CHECK(verdict(folder.file()) == "consistent");
    const std::string asked_copy = copy_of(folder, "asked.db"), outcome_copy = copy_of(folder, "outcome.db");
    plant_asked(asked_copy, 11, 10);
    CHECK(verdict(asked_copy) == std::string("asked 11") + inserted);
    plant_outcome(outcome_copy, 12);
    CHECK(verdict(outcome_copy) == std::string("outcome 12") + inserted);
    // The neighbours behind may still come, whoever wrote them: that they are not sealed is said.
    const std::string later = copy_of(folder, "later.db");
    plant_outcome(later, 21);
    plant_asked(later, 23, 10);
    const VerifyReport report = must_verify(later);
    CHECK(verdict(report) == "consistent");
    CHECK(report.unsealed == 2);
    CHECK(report.first_unsealed == "asked 23");
  }
  // Killed. The next writer seals neither, and so they stay named.
  plant_asked(folder.file(), 11, 10);
  plant_outcome(folder.file(), 12);
  for (int i = 0; i < 2; ++i) {
    const VerifyReport report = must_verify(folder.file());
    CHECK(verdict(report) == std::string("asked 11") + inserted);
    CHECK(report.all_findings == 2);
    CHECK(report.recovered == 0);
    BareWriter next(folder.file());
  }
}

TEST_CASE("a writer keeps its word: what is finished it does not write, also after it was opened again") {
  const Folder folder;
  {
    BareWriter bare(folder.file());
    write_with_a_hole(bare);
    CHECK(bare.write({11}) == SQLITE_CONSTRAINT);
    CHECK(bare.writer->error().find("cannot write query 11") == 0);
    CHECK(bare.write({20}) == SQLITE_CONSTRAINT);
    CHECK(bare.write({23}) == SQLITE_OK);
    bare.close(23);
  }
  const auto journal = must_open(folder.file());
  const Asked late = asked(11), on_time = asked(journal->reserve(1));
  CHECK(write_one(*journal, late) == false);
  CHECK(write_one(*journal, on_time) == true);
  journal->append({.asked = 12, .time_us = 1, .data = "192.0.2.1"});
  journal->append({.asked = on_time.id, .time_us = 1, .data = "192.0.2.1"});
  REQUIRE(eventually(*journal, [](const auto& stats) { return stats.committed_outcomes == 1; }));
  CHECK(journal->stats().lost_outcomes == 1);
  CHECK(journal->stats().writable);
  CHECK(verdict(folder.file()) == "consistent");
}

TEST_CASE(
    "what is finished is said again when the blocks that have said it go, and alone when nothing comes") {
  const Folder folder;
  BareWriter bare(folder.file());
  CHECK_FALSE(bare.seal->due().has_value());
  write_with_a_hole(bare);
  CHECK_FALSE(bare.seal->due().has_value());
  bare.drawn_for(122s, 22);
  const auto due = bare.seal->due();
  REQUIRE(due.has_value());
  CHECK(*due > SealWriter::Clock::now() + SealWriter::said_alone_after - 1min);
  CHECK(*due <= SealWriter::Clock::now() + SealWriter::said_alone_after);
  REQUIRE(bare.write({23}) == SQLITE_OK);
  bare.seal_now();
  const auto head = bare.seal->head();
  REQUIRE(bare.file.connection().exec("BEGIN IMMEDIATE") == SQLITE_OK);
  REQUIRE(bare.seal->move_front({head.block, head.records, head.head}, {}, {}, 1) == SQLITE_OK);
  REQUIRE(bare.file.connection().exec("COMMIT") == SQLITE_OK);
  bare.seal->committed();
  CHECK_FALSE(bare.seal->due().has_value());
  // The rows are still there, and no block covers them any more: those up to 22 are named, the others may
  // come.
  REQUIRE(bare.write(24, 25) == SQLITE_OK);
  const VerifyReport report = must_verify(folder.file());
  CHECK(verdict(report) == std::string("asked 1") + inserted);
  CHECK(report.unsealed == 4);  // the boot's row as well
  CHECK(report.first_unsealed == "asked 23");
}

TEST_CASE("more rows without a seal than a writer leaves are named, also when the next one has sealed them") {
  const Folder folder;
  {
    BareWriter bare(folder.file());
    REQUIRE(bare.write({1}) == SQLITE_OK);
    bare.seal_now();
  }
  const auto plant = [&](int count) {
    Sql(folder.file())
        .rows("WITH RECURSIVE n (id) AS (SELECT 10 UNION ALL SELECT id + 1 FROM n LIMIT " +
              std::to_string(count) +
              ") INSERT INTO asked SELECT n.id, time_us, monotonic_us, sandbox, 'planted.example', 1, type, "
              "action,"
              " reason, rule, rcode, ede, flags, score_milli, charge_millibits, 0 FROM asked, n WHERE "
              "asked.id = 1");
  };
  plant(SealTail::fewer_than - 1);
  VerifyReport report = must_verify(folder.file());
  CHECK(verdict(report) == "consistent");
  CHECK(report.unsealed == SealTail::fewer_than - 1);
  plant_asked(folder.file(), 5000, 1);
  CHECK(verdict(folder.file()) ==
        "asked 10 and 2047 more are not sealed, more than a writer leaves: some were inserted");
  BareWriter next(folder.file());
  report = must_verify(folder.file());
  CHECK(report.recovered == SealTail::fewer_than);
  CHECK(verdict(report).find("seals more records after a kill than a writer leaves") != std::string::npos);
}

TEST_CASE("a clean end that fills its block seals it once") {
  const Folder folder;
  BareWriter bare(folder.file());
  REQUIRE(bare.write(1, SealWriter::block_records - 1) == SQLITE_OK);
  bare.close(SealWriter::block_records);
  const VerifyReport report = must_verify(folder.file());
  CHECK(verdict(report) == "consistent");
  CHECK(report.blocks == 2);
}

TEST_CASE("what was planted in a stopped journal does not pass for the last records of the boot after it") {
  const std::pair<const char*, const char*> plants[] = {
      {"INSERT INTO alert SELECT 9, time_us, sandbox, kind, zone, score, action, evidence, asked, 'al_9',"
       " severity, attack, first_us, last_us FROM alert WHERE id = 1",
       "alert 9"},
      {"INSERT INTO leak_grant SELECT 9, time_us, user, session, zone, octets FROM leak_grant WHERE id = 1",
       "leak_grant 9"},
      {"INSERT INTO sandbox SELECT 9, boot, 'nine', session, user, code_sha256, labels, policy,"
       " record_protected, attached_us, 0 FROM sandbox WHERE id = 1",
       "sandbox 9"},
      {"INSERT INTO rule (id, text) VALUES (4611686018427387904, 'policy.yaml:1:1 allow **')",
       "rule 4611686018427387904"},
  };
  const Folder folder(Folder::Where::in_memory);
  write_story(folder.file("original.db"), 10);
  for (const auto& [sql, record] : plants) {
    CAPTURE(std::string(record));
    const std::string path = folder.file(record);
    std::filesystem::copy_file(folder.file("original.db"), path);
    Sql(path).rows(sql);
    CHECK(verdict(path) == record + std::string(inserted));
    for (int i = 0; i < 3; ++i) {
      BareWriter killed(path);
      const VerifyReport report = must_verify(path);
      CHECK(verdict(report) == record + std::string(inserted));
      CHECK(report.recovered == 0);
    }
  }
}

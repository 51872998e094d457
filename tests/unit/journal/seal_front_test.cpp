// The front of the seals: what retention let go leaves it, what stays moves on and is still held to its word.
#include <signal.h>

#include "resolver/journal/care.h"
#include "resolver/journal/seal_front.h"
#include "tests/support/other_process.h"
#include "tests/unit/journal/prune_support.h"
#include "tests/unit/journal/seal_writer_support.h"

using namespace postern;
using namespace postern::test;

namespace {

// Queries that are too old and an alert that keeps one of them; a sandbox; closed cleanly.
RowId write_round(const std::string& path, int count = 3000) {
  const auto journal = must_open(path);
  const SandboxId one = *journal->attach(sandbox("one"), now_us() - 40 * day_us);
  write_aged(*journal, count, 40 * day_us, one);
  const Asked kept = aged(*journal, 40 * day_us, one);
  REQUIRE(write_one(*journal, kept) == true);
  AlertRow alert = alert_row(one, kept.id);
  alert.time_us = now_us();
  journal->alert(alert);
  journal->detach(one, now_us() - 39 * day_us);
  return kept.id;
}

std::string seals_of(const std::string& path) {
  return Sql(path).one_now("SELECT (SELECT count(*) FROM seal), (SELECT count(*) FROM seal_tombstone)");
}

// `SealFront` alone over a file: how often it moved, and why it does not.
struct Moved {
  int steps = 0;
  std::string held;
};
Moved move_front(const std::string& path, RowId passed) {
  auto file = JournalFile::open(at(path));
  REQUIRE(file.has_value());
  auto seal = SealWriter::open(file->connection(), file->boot());
  REQUIRE(seal.has_value());
  auto front = SealFront::create(file->connection(), **seal);
  REQUIRE(front.has_value());
  Moved moved;
  (*front)->begin(passed);
  while ((*front)->to_look()) REQUIRE((*front)->look() == SQLITE_OK);
  while ((*front)->to_move()) {
    REQUIRE(file->connection().exec("BEGIN IMMEDIATE") == SQLITE_OK);
    REQUIRE((*front)->move(now_us()) == SQLITE_OK);
    REQUIRE(file->connection().exec("COMMIT") == SQLITE_OK);
    (*seal)->committed();
    const auto before = (*front)->gone().block;
    (*front)->moved();
    if ((*front)->gone().block > before) ++moved.steps;
  }
  moved.held = (*front)->held();
  return moved;
}

constexpr RowId every_row = 1'000'000'000;

}  // namespace

TEST_CASE("however often a journal is filled and pruned, its seals stay as few as what is left of it") {
  const Folder folder(Folder::Where::in_memory);
  constexpr int rounds = 2 * volume(4);
  std::int64_t blocks = 0, tombstones = 0;
  for (int round = 0; round < rounds; ++round) {
    CAPTURE(round);
    write_round(folder.file());
    prune(folder.file(), kept_for(30 * day_us));
    CHECK(verdict(folder.file()) == "consistent");
    Sql sql(folder.file());
    blocks = std::stoll(sql.one_now("SELECT count(*) FROM seal"));
    tombstones = std::stoll(sql.one_now("SELECT count(*) FROM seal_tombstone"));
    CHECK(sql.one_now("SELECT count(*) FROM asked") == std::to_string(round + 1));
  }
  // One round makes some 15 of each. A step that moves leaves two blocks, and on a slow machine there are
  // more.
  CHECK(blocks <= 20);
  CHECK(tombstones <= 8);
  // Each round's query, alert, sandbox and its end, a rule at most, boots.
  CHECK(Sql(folder.file()).one_now("SELECT sum(length(leaves)) < 6 * 200 FROM seal") == "1");
  const VerifyReport report = must_verify(folder.file());
  CHECK(report.records < 200);
  CHECK(report.pruned > rounds * 2 * 3000);
  check_sound(folder.file());
}

TEST_CASE("what is left and what is gone add up, also when what had moved goes later") {
  const Folder folder(Folder::Where::in_memory);
  write_round(folder.file());
  const auto total = [&] {
    return std::stoll(Sql(folder.file()).one_now("SELECT records FROM seal ORDER BY block DESC LIMIT 1"));
  };
  for (const std::int64_t alerts_us : {400 * day_us, std::int64_t{1}}) {
    prune(folder.file(), kept_for(30 * day_us, alerts_us));
    const VerifyReport report = must_verify(folder.file());
    CHECK(verdict(report) == "consistent");
    CHECK(report.records + report.pruned == total());
  }
}

TEST_CASE("a record that has moved is held to what it was, and so is what was there before the first seal") {
  const Folder folder(Folder::Where::in_memory);
  {
    auto options = at(folder.file());
    options.sealed = false;
    const auto journal = must_open(options);
    write_aged(*journal, 3, 40 * day_us, 1);
    AlertRow alert = alert_row(1, 2);  // keeps its query
    alert.time_us = now_us();
    journal->alert(alert);
  }
  const RowId kept = write_round(folder.file());
  prune(folder.file(), kept_for(30 * day_us));
  REQUIRE(Sql(folder.file()).one_now("SELECT min(block) > 1 FROM seal") == "1");
  VerifyReport report = must_verify(folder.file());
  CHECK(verdict(report) == "consistent");
  CHECK(report.unsealed_before > 1);
  const std::string record = "asked " + std::to_string(kept);
  std::filesystem::copy_file(folder.file(), folder.file("copy.db"));
  Sql(folder.file()).rows("UPDATE asked SET rcode = 3 WHERE id = " + std::to_string(kept));
  CHECK(verdict(folder.file()) == record + " was changed");
  Sql(folder.file("copy.db")).rows("DELETE FROM asked WHERE id = " + std::to_string(kept));
  CHECK(verdict(folder.file("copy.db")) == record + " was removed");
}

TEST_CASE("what was done to a journal is not covered up: its seals stay, and verify goes on to name it") {
  struct Deed {
    const char* sql;
    const char* held;   // how the writer says it
    const char* named;  // what verify says, before and after
  };
  // Block 1 has the sandbox, the rule, and rows 1 to 2,046 or so.
  const Deed deeds[] = {
      {"DELETE FROM asked WHERE id = 3001; DELETE FROM listed WHERE asked = 3001",
       "asked 3001 is gone, and no tombstone says so", "asked 3001 was removed"},
      {"UPDATE asked SET rcode = 3 WHERE id = 3001", "asked 3001 is not what it was",
       "asked 3001 was changed"},
      {"UPDATE sandbox SET user = 'u2' WHERE id = 1", "sandbox 1 is not what it was",
       "sandbox 1 was changed"},
      {"UPDATE seal SET time_us = time_us + 1 WHERE block = 2", "block 2", "block 2 was changed, or the one"},
      {"DELETE FROM seal WHERE block = 2", "block 3", "block 2 is missing"},
      {"UPDATE seal SET leaves = zeroblob(length(leaves)) WHERE block = 1", "block 1",
       "block 1 was changed, or the one"},
      // It excuses what was removed by hand.
      {"DELETE FROM asked WHERE id = 3001; DELETE FROM listed WHERE asked = 3001;"
       " UPDATE seal_tombstone SET removed = x'01F22E' WHERE id = 1",
       "tombstone 1 is not what it was", ""},
      {"DELETE FROM asked WHERE id = 3001; DELETE FROM listed WHERE asked = 3001;"
       // one asked row, 3001 in zigzag
       " INSERT INTO seal_tombstone (time_us, removed, upto_block, upto_records, upto_head)"
       " VALUES (1, x'01F22E', 0, 0, zeroblob(32))",
       "asked 3001 is gone, and no tombstone says so", ""},
      {"INSERT INTO seal_tombstone (time_us, removed, upto_block, upto_records, upto_head)"
       " SELECT 1, x'', block, records, head FROM seal WHERE block = 2; DELETE FROM seal WHERE block <= 2",
       "what went before it is not told under seal", ""},
  };
  const Folder folder(Folder::Where::in_memory);
  write_round(folder.file("original.db"));
  {  // removed under tombstones, and the front still where it was
    auto file = JournalFile::open(at(folder.file("original.db")));
    auto seal = SealWriter::open(file->connection(), file->boot());
    REQUIRE(seal.has_value());
    REQUIRE(file->connection().exec("BEGIN; DELETE FROM asked WHERE id <= 3000; DELETE FROM outcome WHERE "
                                    "asked <= 3000; DELETE FROM listed WHERE asked <= 3000") == SQLITE_OK);
    const std::vector<SealRun> runs = {{SealKind::asked, 1, 3000}, {SealKind::outcome, 1, 3000}};
    REQUIRE((*seal)->tombstone(runs, now_us()) == SQLITE_OK);
    REQUIRE(file->connection().exec("COMMIT") == SQLITE_OK);
    (*seal)->committed();
    REQUIRE(file->fold());
  }
  int number = 0;
  for (const Deed& deed : deeds) {
    CAPTURE(std::string(deed.sql));
    const std::string path = folder.file(std::to_string(number++));
    std::filesystem::copy_file(folder.file("original.db"), path);
    {
      Sql sql(path);
      sql.rows("PRAGMA foreign_keys = OFF");
      for (std::string_view rest = deed.sql; !rest.empty();) {
        const std::size_t end = std::min(rest.find(';'), rest.size() - 1);
        sql.rows(std::string(rest.substr(0, end + 1)));
        rest.remove_prefix(end + 1);
      }
    }
    CHECK(verdict(path).starts_with(deed.named));
    CHECK(must_verify(path).verdict == VerifyReport::Verdict::altered);
    CHECK(move_front(path, every_row).held.find(deed.held) != std::string::npos);
    CHECK(verdict(path).starts_with(deed.named));
    CHECK(must_verify(path).verdict == VerifyReport::Verdict::altered);
  }
  CHECK(verdict(folder.file("original.db")) == "consistent");
  const Moved honest = move_front(folder.file("original.db"), every_row);
  CHECK(honest.held == "");
  CHECK(honest.steps > 0);
  CHECK(verdict(folder.file("original.db")) == "consistent");
}

TEST_CASE("blocks with queries that retention has not come to stay, and so does the newest") {
  const Folder folder(Folder::Where::in_memory);
  write_round(folder.file(), 6000);
  CHECK(move_front(folder.file(), 100).steps == 0);
  const std::string before = seals_of(folder.file());
  CHECK(move_front(folder.file(), every_row).steps == 0);  // nothing of it is dead: it is not worth it
  CHECK(verdict(folder.file()) == "consistent");
}

TEST_CASE("after a kill, what has moved is not sealed once more") {
  const Folder folder(Folder::Where::in_memory);
  OtherProcess victim([&](const Line& line) {
    auto journal = Journal::open(keeping(folder.file(), kept_for(30 * day_us)));
    if (!journal) return 1;
    const SandboxId one = *(*journal)->attach(sandbox("two"), now_us() - 40 * day_us);
    Asked kept = aged(**journal, 40 * day_us, one);
    write_aged(**journal, 3000, 40 * day_us, one);
    line.say(write_one(**journal, kept) == true);
    AlertRow alert = alert_row(one, kept.id);
    alert.time_us = now_us();
    (*journal)->alert(alert);
    write_aged(**journal, 3000, 40 * day_us, one);
    while (Sql(folder.file()).one_now("SELECT min(block) > 1 FROM seal") == "0") std::this_thread::yield();
    line.say(true);
    for (;;) ::pause();
  });
  write_round(folder.file());
  victim.line().say(true);
  REQUIRE(victim.line().hear());
  REQUIRE(victim.line().hear());
  REQUIRE(::kill(victim.pid(), SIGKILL) == 0);
  victim.join();
  CHECK(verdict(folder.file()) == "consistent");
  for (int i = 0; i < 2; ++i) {
    must_open(folder.file());
    CHECK(verdict(folder.file()) == "consistent");
  }
}

TEST_CASE("what fits its short hash alone is not sealed anew: a record, and a tombstone") {
  const Folder folder(Folder::Where::in_memory);
  {
    BareWriter bare(folder.file("original.db"));
    REQUIRE(bare.write(1, 3000) == SQLITE_OK);
    bare.remove(1, 3000);
    bare.close(3000);
  }
  struct Deed {
    const char* sql;
    SealKind kind;
    const char* held;
  };
  for (const Deed& deed : {Deed{"UPDATE boot SET version = 'x' WHERE id = 1", SealKind::boot,
                                "a record of it was changed so that its short hash fits"},
                           {"UPDATE seal_tombstone SET time_us = 1 WHERE id = 1", SealKind::tombstone,
                            "a tombstone of it was changed so that its short hash fits"}}) {
    CAPTURE(std::string(deed.sql));
    std::filesystem::copy_file(folder.file("original.db"), folder.file(),
                               std::filesystem::copy_options::overwrite_existing);
    Sql(folder.file()).rows(deed.sql);
    forge_leaf(folder.file(), deed.kind, 1);
    const std::string named = verdict(folder.file());
    CHECK(named.find("holds a record that was changed so that its short hash fits") != std::string::npos);
    CHECK(move_front(folder.file(), every_row).held.find(deed.held) != std::string::npos);
    CHECK(verdict(folder.file()) == named);
  }
  CHECK(move_front(folder.file("original.db"), every_row).steps > 0);
}

TEST_CASE("what was there before the first seal stays so after a kill when that mark has moved") {
  const Folder folder(Folder::Where::in_memory);
  {
    auto options = at(folder.file());
    options.sealed = false;
    const auto journal = must_open(options);
    REQUIRE(write_one(*journal, asked(1)) == true);
    journal->alert(alert_row(1, 1));
  }
  {
    BareWriter bare(folder.file());
    const RowId first = bare.file.first_id();
    REQUIRE(bare.write(first, first + 2999) == SQLITE_OK);
    bare.remove(first, first + 2999);
  }
  REQUIRE(move_front(folder.file(), every_row).steps > 0);  // and killed
  const VerifyReport before = must_verify(folder.file());
  CHECK(verdict(before) == "consistent");
  CHECK(before.unsealed_before == 4);  // the query, the alert, the boot and its end
  { BareWriter next(folder.file()); }
  const VerifyReport after = must_verify(folder.file());
  CHECK(verdict(after) == "consistent");
  CHECK(after.unsealed_before == before.unsealed_before);
  CHECK(after.recovered == 0);
}

TEST_CASE("a row that retention has removed does not come back, also when its block is gone") {
  const Folder folder(Folder::Where::in_memory);
  BareWriter bare(folder.file());
  auto front = SealFront::create(bare.file.connection(), *bare.seal);
  REQUIRE(front.has_value());
  REQUIRE(bare.write(1, 3000) == SQLITE_OK);
  bare.remove(1, 2990);
  const SealRun gone{SealKind::asked, 1, 2990};
  (*front)->removed({&gone, 1});
  (*front)->begin(every_row);
  while ((*front)->to_look()) REQUIRE((*front)->look() == SQLITE_OK);
  while ((*front)->to_move()) {
    REQUIRE(bare.file.connection().exec("BEGIN IMMEDIATE") == SQLITE_OK);
    REQUIRE((*front)->move(1) == SQLITE_OK);
    REQUIRE(bare.file.connection().exec("COMMIT") == SQLITE_OK);
    bare.seal->committed();
    (*front)->moved();
  }
  REQUIRE((*front)->gone().block > 0);
  CHECK(verdict(folder.file()) == "consistent");
  plant_asked(folder.file(), 7, 3000);
  const std::string named = "asked 7 was inserted, or the block that covered it was removed";
  CHECK(verdict(folder.file()) == named);
  {
    std::filesystem::remove(folder.file("killed.db"));
    REQUIRE(backup_journal(folder.file(), folder.file("killed.db")).has_value());
    BareWriter next(folder.file("killed.db"));
    CHECK(must_verify(folder.file("killed.db")).recovered == 0);
    CHECK(verdict(folder.file("killed.db")) == named);
  }
}

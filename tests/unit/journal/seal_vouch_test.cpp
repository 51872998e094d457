// What heads kept outside do not stand for: removals that only blocks behind the last of them excuse.
#include "tests/unit/journal/prune_support.h"
#include "tests/unit/journal/seal_writer_support.h"
#include "tests/unit/journal/signer_support.h"

using namespace postern;
using namespace postern::test;

namespace {

// Opened and closed: its head is signed at the end.
void sign_now(const std::string& path, TestSigner& signer) {
  auto options = at(path);
  options.sign = signer.function();
  must_open(options);
}

// What somebody can append who has the code and the file, and not the key.
void forge_front(const std::string& path, std::int64_t upto) {
  BareWriter forger(path);
  SealFrontier gone;
  Sql sql(path);
  auto connection = Connection::open(path, SQLITE_OPEN_READONLY);
  auto store = SealStore::open(*connection);
  REQUIRE(store
              ->each(false,
                     [&](const SealBlock& block, const std::string&) {
                       if (block.number == upto) gone = {block.number, block.records, block.head};
                       return true;
                     })
              .has_value());
  REQUIRE(gone.block == upto);
  Connection& writing = forger.file.connection();
  REQUIRE(writing.exec("BEGIN IMMEDIATE") == SQLITE_OK);
  REQUIRE(forger.seal->move_front(gone, {}, {}, 1) == SQLITE_OK);
  REQUIRE(writing.exec("COMMIT") == SQLITE_OK);
  forger.seal->committed();
}

}  // namespace

TEST_CASE("a removal that only a tombstone behind the last head excuses is not vouched for, now or later") {
  const Folder folder;
  TestSigner signer;
  write_signed(folder.file(), signer, 300);
  CHECK(verdict(folder.file(), with(signer.heads())) == "unaltered");
  const auto head_block = signer.heads().back().block;
  {
    BareWriter forger(folder.file());
    forger.remove(7, 8);
  }
  for (int i = 0; i < 2; ++i) {
    CAPTURE(i);
    VerifyReport report = must_verify(folder.file(), with(signer.heads()));
    CHECK(verdict(report) == "consistent");
    CHECK(report.pruned_unvouched == 3);  // one outcome, too
    CHECK(report.first_unvouched == "asked 7");
    CHECK(report.front_unvouched == 0);
    CHECK(report.head_block >= head_block);
    // Without heads nothing was ever more than consistent.
    report = must_verify(folder.file());
    CHECK(verdict(report) == "consistent");
    CHECK(report.pruned_unvouched == 0);
    sign_now(folder.file(), signer);  // the next writer has its heads signed, in front of which it lies then
  }
}

TEST_CASE("what came after the last head and is gone again is not missed in what the head stands for") {
  const Folder folder;
  TestSigner signer;
  write_signed(folder.file(), signer, 10);
  BareWriter next(folder.file());
  const RowId id = next.file.first_id();
  REQUIRE(next.write({id}) == SQLITE_OK);
  next.remove(id, id);
  const VerifyReport report = must_verify(folder.file(), with(signer.heads()));
  CHECK(verdict(report) == "unaltered");
  CHECK(report.pruned == 1);
}

TEST_CASE("what retention removes is vouched for by the next head of the same writer, also inside the file") {
  const Folder folder(Folder::Where::in_memory);
  TestSigner signer;
  auto options = keeping(folder.file(), kept_for(30 * day_us));
  options.sign = signer.function();
  for (int round = 0; round < 2; ++round) {
    const auto journal = must_open(options);
    if (round == 0) write_aged(*journal, 3000, 40 * day_us, 1);
    if (round == 1) REQUIRE(eventually(*journal, [](const auto& stats) { return stats.prune_passes >= 1; }));
    if (round == 1) write_rows(*journal, 10);
  }
  sign_now(folder.file(), signer);
  CHECK(Sql(folder.file()).one_now("SELECT max(upto_block) > 0 FROM seal_tombstone") == "1");
  for (const auto& heads : {signer.heads(), {signer.heads().back()}}) {
    const VerifyReport report = must_verify(folder.file(), with(heads));
    CHECK(verdict(report) == "unaltered");
    CHECK(report.pruned >= 6000);
  }
  Sql(folder.file()).rows("DELETE FROM seal_head");
  CHECK(must_verify(folder.file(), with({signer.heads().back()})).front_unvouched > 0);
}

TEST_CASE("blocks that are gone, which only a block behind the last head says, are not vouched for") {
  for (const bool all : {false, true}) {
    CAPTURE(all);
    const Folder folder;
    TestSigner signer;
    write_signed(folder.file(), signer, 300);
    write_signed(folder.file(), signer, 300);
    const auto heads = signer.heads();
    const std::string ends = Sql(folder.file()).one_now("SELECT min(block) FROM seal WHERE flags = 2");
    const std::int64_t upto = all ? heads.back().block : std::stoll(ends);
    forge_front(folder.file(), upto);
    {
      Sql sql(folder.file());
      const std::string last = all ? "600" : "300";
      sql.rows("DELETE FROM asked WHERE id <= " + last);
      sql.rows("DELETE FROM listed WHERE asked <= " + last);
      sql.rows("DELETE FROM outcome WHERE asked <= " + last);
      sql.rows("DELETE FROM rule WHERE id > 0");
      sql.rows(std::string("DELETE FROM boot WHERE id <= ") + (all ? "2" : "1"));
    }
    for (int i = 0; i < 2; ++i) {
      const VerifyReport report = must_verify(folder.file(), with(signer.heads()));
      CHECK(verdict(report) == "consistent");
      CHECK(report.front_unvouched == upto);
      CHECK(report.head_block == (all && i == 0 ? 0 : signer.heads().back().block));
      sign_now(folder.file(), signer);
    }
  }
}

TEST_CASE("a tombstone is alone in its block, and held to its hash in full") {
  const Folder folder;
  {
    BareWriter bare(folder.file());
    REQUIRE(bare.write(1, 50) == SQLITE_OK);  // open, when the first of them go
    bare.remove(1, 10);
    REQUIRE(bare.write(51, 60) == SQLITE_OK);
    bare.close(60);
  }
  CHECK(verdict(folder.file()) == "consistent");
  {
    Sql sql(folder.file());
    sql.rows("UPDATE seal_tombstone SET time_us = time_us + 1");
    CHECK(verdict(folder.file()) == "seal_tombstone 1 was changed");
  }
  forge_leaf(folder.file(), SealKind::tombstone, 1);
  CHECK(verdict(folder.file()) ==
        "block 3 holds a record that was changed so that its short hash fits; which one cannot be told");
}

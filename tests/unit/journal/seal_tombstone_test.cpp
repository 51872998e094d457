// Tombstones: what retention removes is said so under seal, and nothing else is excused by it.
#include "resolver/journal/journal_file.h"
#include "resolver/journal/seal_writer.h"
#include "tests/unit/journal/seal_support.h"

using namespace postern;
using namespace postern::test;

namespace {

// As a prune would: rows go and the tombstone comes in one transaction.
void prune(const std::string& path, std::vector<std::string> deletions, std::vector<SealRun> removed) {
  auto options = at(path);
  auto file = JournalFile::open(options);
  REQUIRE(file.has_value());
  auto seal = SealWriter::open(file->connection(), file->boot());
  REQUIRE(seal.has_value());
  Connection& connection = file->connection();
  REQUIRE(connection.exec("BEGIN IMMEDIATE") == SQLITE_OK);
  for (const std::string& sql : deletions) REQUIRE(connection.exec(sql.c_str()) == SQLITE_OK);
  REQUIRE((*seal)->tombstone(removed, 1'700'000'500'000'000) == SQLITE_OK);
  REQUIRE(connection.exec("COMMIT") == SQLITE_OK);
  (*seal)->committed();
  REQUIRE(file->fold());
}

SealRun run(SealKind kind, std::int64_t first, std::int64_t last) {
  return {kind, first, static_cast<std::uint64_t>(last - first + 1)};
}

}  // namespace

TEST_CASE("rows that retention removed under a tombstone are pruned, their neighbours are not") {
  const Folder folder;
  write_story(folder.file());
  prune(folder.file(),
        {"DELETE FROM asked WHERE id <= 1500", "DELETE FROM outcome WHERE asked <= 1500",
         "DELETE FROM listed WHERE asked <= 1500"},
        {run(SealKind::asked, 1, 1500), run(SealKind::outcome, 1, 1500)});
  const VerifyReport report = must_verify(folder.file());
  CHECK(verdict(report) == "consistent");
  CHECK(report.pruned == 1500 + 1000);
  // What is left is still held against its leaves, also in a block that lost records.
  Sql sql(folder.file());
  sql.rows("UPDATE asked SET rcode = 3 WHERE id = 1501");
  CHECK(verdict(folder.file()) == "asked 1501 was changed");
  sql.rows("DELETE FROM asked WHERE id = 1501");
  CHECK(verdict(folder.file()) == "asked 1501 was removed");
}

TEST_CASE("a tombstone that is not sealed excuses nothing, and one that was changed is named") {
  const Folder folder;
  write_story(folder.file(), 300);
  prune(folder.file(), {"DELETE FROM asked WHERE id = 7", "DELETE FROM listed WHERE asked = 7"},
        {run(SealKind::asked, 7, 7)});
  std::filesystem::copy_file(folder.file(), folder.file("sealed.db"));
  Sql sql(folder.file());
  sql.rows("DELETE FROM asked WHERE id = 8");
  CHECK(verdict(folder.file()) == "asked 8 was removed");
  // The attacker adds one: 0x01 is a run of one asked row, 0x10 the id 8 in zigzag.
  sql.rows(
      "INSERT INTO seal_tombstone (time_us, removed, upto_block, upto_records, upto_head)"
      " VALUES (1, x'0110', 0, 0, zeroblob(32))");
  CHECK(verdict(folder.file()) == "seal_tombstone 2 is not sealed: it excuses nothing");
  Sql other(folder.file("sealed.db"));
  other.rows("UPDATE seal_tombstone SET removed = x'0110'");
  CHECK(must_verify(folder.file("sealed.db")).verdict == VerifyReport::Verdict::altered);
}

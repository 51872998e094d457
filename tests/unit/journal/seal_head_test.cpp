// Signed heads: what only they can tell. The signer here is a key in the test, as the broker's would be.
#include "resolver/journal/care.h"
#include "tests/unit/journal/signer_support.h"

using namespace postern;
using namespace postern::test;

namespace {

// What an attacker can do who may write the file: alter it, throw the seals away, and let the journal's own
// code make new ones. Only the key is missing.
void write_anew(const std::string& path) {
  Sql sql(path);
  sql.rows("UPDATE asked SET time_us = 7 WHERE id = (SELECT min(id) FROM asked)");
  sql.rows("DELETE FROM seal");
  sql.rows("DELETE FROM seal_head");
  sql.rows("DELETE FROM meta WHERE key = 'journal_id'");
}

}  // namespace

TEST_CASE("with the heads from outside an untouched journal is unaltered up to the last of them") {
  const Folder folder;
  TestSigner signer;
  write_signed(folder.file(), signer, 1500);
  write_signed(folder.file(), signer, 1500);
  const auto heads = signer.heads();
  REQUIRE(heads.size() >= 2);  // each end at least; a thread of its own asks, so a beginning may be late
  auto report = must_verify(folder.file(), with(heads));
  CHECK(verdict(report) == "unaltered");
  CHECK(report.head_block == report.last_block);
  CHECK(report.head_records == 2 * (1500 + 1000) + 4 + 1);  // boots and their ends, one rule
  CHECK_FALSE(report.head_last_record.empty());
  CHECK(report.signer == signer.key());
  CHECK(report.signed_block == report.last_block);
  // Without the last heads: up to the one before, and the tail is told.
  report = must_verify(folder.file(), with({heads.front()}));
  CHECK(verdict(report) == "unaltered");
  CHECK(report.head_block == heads.front().block);
  CHECK(report.last_block > report.head_block);
  // Without heads it never says so.
  CHECK(verdict(folder.file(), with_key(signer.key())) == "consistent");
}

TEST_CASE("a copy is told by --copy from heads that are later than its end; all else is found as ever") {
  const Folder folder;
  TestSigner signer;
  const std::string copy = folder.file("copy.db");
  write_signed(folder.file(), signer, 500);
  REQUIRE(backup_journal(folder.file(), copy).has_value());
  const auto earlier = signer.heads();
  write_signed(folder.file(), signer, 500);
  auto options = with(signer.heads());
  CHECK(verdict(copy, options).find("the file was cut off") != std::string::npos);
  options.copy = true;
  auto report = must_verify(copy, options);
  CHECK(verdict(report) == "unaltered");
  CHECK(report.head_block == earlier.back().block);
  CHECK(report.heads_later == static_cast<std::int64_t>(signer.heads().size() - earlier.size()));
  CHECK(report.last_later_us == signer.heads().back().time_us);
  report = must_verify(folder.file(), options);  // nothing is later than the journal itself
  CHECK(report.heads_later == 0);
  CHECK(report.head_block == report.last_block);
  // Later heads alone vouch for nothing of it.
  auto later = with({signer.heads().back()});
  later.copy = true;
  CHECK(verdict(copy, later) == "consistent");
  Sql(copy).rows("UPDATE asked SET time_us = 7 WHERE id = (SELECT min(id) FROM asked)");
  CHECK(verdict(copy, options).find("was changed") != std::string::npos);
}

TEST_CASE("heads of other journals alone, or by another key alone, vouch for nothing") {
  const Folder folder;
  TestSigner signer, other;
  write_signed(folder.file(), signer, 100);
  write_signed(folder.file("other.db"), other, 100);
  const auto of_other = verify(folder.file(), with(other.heads()));
  REQUIRE_FALSE(of_other.has_value());
  CHECK(of_other.error().message.find("are of other journals") != std::string::npos);
  auto forged = signer.heads();
  for (SignedHead& head : forged) {
    head.key = other.key();
    head = other.sign(head);
  }
  auto options = with(forged);
  options.key = signer.key();
  CHECK_FALSE(verify(folder.file(), options).has_value());
  options.heads = signer.heads();
  CHECK(verdict(folder.file(), options) == "unaltered");
}

TEST_CASE("a journal that was cut off at the end, seals and all, is found out by the heads") {
  const Folder folder;
  TestSigner signer;
  write_signed(folder.file(), signer, 500);
  write_signed(folder.file(), signer, 500);
  {
    Sql sql(folder.file());
    // Back to the end of the first boot.
    const std::string boot = sql.one("SELECT first_asked FROM boot WHERE id = 2");
    const std::string block = sql.one("SELECT block FROM seal WHERE flags = 2 ORDER BY block LIMIT 1");
    sql.rows("DELETE FROM asked WHERE id >= " + boot);
    sql.rows("DELETE FROM outcome WHERE asked >= " + boot);
    sql.rows("DELETE FROM listed WHERE asked >= " + boot);
    sql.rows("DELETE FROM name WHERE first_asked >= " + boot);
    sql.rows("DELETE FROM boot WHERE id = 2");
    sql.rows("DELETE FROM seal WHERE block > " + block);
    sql.rows("DELETE FROM seal_head WHERE block > " + block);
  }
  CHECK(verdict(folder.file()) == "consistent");  // nothing inside can tell
  const auto report = must_verify(folder.file(), with(signer.heads()));
  CHECK(report.verdict == VerifyReport::Verdict::altered);
  CHECK(
      verdict(report).find("and is not there: the file was cut off after asked 500, or replaced by an older "
                           "copy") != std::string::npos);
}

TEST_CASE(
    "an older copy in the journal's place is found out by the heads, and by the signer when it is written "
    "to") {
  const Folder folder;
  TestSigner signer;
  write_signed(folder.file(), signer, 100);
  std::filesystem::copy_file(folder.file(), folder.file("old.db"));
  write_signed(folder.file(), signer, 100);
  std::filesystem::copy_file(folder.file("old.db"), folder.file(),
                             std::filesystem::copy_options::overwrite_existing);
  CHECK(verdict(folder.file()) == "consistent");
  const auto old = must_verify(folder.file(), with(signer.heads()));
  CHECK(verdict(old).find("was signed on") != std::string::npos);
  CHECK(old.verdict == VerifyReport::Verdict::altered);
  // A writer goes on in it: the signer refuses the numbers that it knows, and the gap stays for ever.
  {
    auto options = at(folder.file());
    options.sign = signer.function();
    const auto journal = must_open(options);
    REQUIRE(eventually(*journal, [](const auto& stats) { return stats.unsigned_heads == 1; }));
    write_rows(*journal, 10);
  }
  const auto after = must_verify(folder.file());
  CHECK(after.verdict == VerifyReport::Verdict::altered);
  CHECK(verdict(after).find(" missing") != std::string::npos);
  CHECK(after.signed_block == after.last_block);
}

TEST_CASE("a journal written anew without the key is found out") {
  const Folder folder;
  TestSigner signer;
  write_signed(folder.file(), signer, 300);
  write_anew(folder.file());
  must_open(folder.file());  // makes new seals over what is there
  CHECK(verdict(folder.file()) == "consistent");
  CHECK(must_verify(folder.file()).unsealed_before > 300);
  CHECK_FALSE(verify(folder.file(), with(signer.heads())).has_value());  // another id: no head speaks of it
}

TEST_CASE("signatures inside the file are held against the blocks and the key") {
  const Folder folder;
  TestSigner signer, other;
  write_signed(folder.file("original.db"), signer, 3000);
  const auto after = [&](const std::string& sql) {
    std::filesystem::copy_file(folder.file("original.db"), folder.file(),
                               std::filesystem::copy_options::overwrite_existing);
    Sql(folder.file()).rows(sql);
  };
  // The signer's thread signs the newest head there is: the first may be that of a later block.
  const std::string first = Sql(folder.file("original.db")).one_now("SELECT min(block) FROM seal_head");
  after("UPDATE seal_head SET signature = zeroblob(64) WHERE block = " + first);
  CHECK(verdict(folder.file()) ==
        "block " + first +
            " or one since block 0 was written anew, without the key: its signature "
            "does not fit: from boot 1 on");
  after("UPDATE seal_head SET signature = x'00' WHERE block = " + first);
  CHECK(verdict(folder.file()) == "block " + first + " has a signature of a wrong length");
  after("UPDATE seal_head SET records = records + 1 WHERE block = " + first);
  CHECK(must_verify(folder.file()).verdict == VerifyReport::Verdict::altered);
  after("UPDATE seal_head SET block = 99 WHERE block = (SELECT max(block) FROM seal_head)");
  CHECK(verdict(folder.file()).find("block 99 was signed on") == 0);
  after("DELETE FROM seal_head");
  CHECK(verdict(folder.file()) == "consistent");
  CHECK_FALSE(must_verify(folder.file()).signer.has_value());
  after("SELECT 1");
  CHECK(verdict(folder.file(), with_key(signer.key())) == "consistent");
  CHECK(verdict(folder.file(), with_key(other.key())).find("block " + first + " is signed by another key") ==
        0);
}

TEST_CASE("without a signature the record goes on, and the refusal is counted") {
  const Folder folder;
  TestSigner signer;
  signer.refuse(true);
  {
    auto options = at(folder.file());
    options.sign = signer.function();
    const auto journal = must_open(options);
    REQUIRE(eventually(*journal, [](const auto& stats) { return stats.unsigned_heads == 1; }));
    write_rows(*journal, 10);
    signer.refuse(false);
  }
  const auto report = must_verify(folder.file());
  CHECK(verdict(report) == "consistent");
  CHECK(report.signed_block == report.last_block);
}

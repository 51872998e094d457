// Looking after a journal's file: a copy while a writer goes on, statistics, removal and vacuum offline.
#include "resolver/journal/care.h"

#include <sys/stat.h>
#include <unistd.h>

#include "resolver/journal/log_reader.h"
#include "resolver/journal/reader.h"
#include "tests/support/other_process.h"
#include "tests/unit/journal/seal_support.h"

using namespace postern;
using namespace postern::test;

TEST_CASE(
    "a copy is the journal at one moment, whole, while a writer goes on; nothing is written "
    "over") {
  const Folder folder;
  const auto journal = must_open(folder.file());
  const auto one = journal->attach(sandbox("one"), 1);
  write_rows(*journal, 2000, *one);
  Sql(folder.file()).wait_until_listed();
  std::size_t written = 0;
  const auto done = backup_journal(folder.file(), folder.file("copy.db"), [&](std::int64_t, std::int64_t) {
    if (written++ == 0) write_rows(*journal, 100, *one);
  });
  REQUIRE_MESSAGE(done.has_value(), (done ? "" : done.error().message));
  REQUIRE(written > 0);
  struct stat about {};
  REQUIRE(::stat(folder.file("copy.db").c_str(), &about) == 0);
  CHECK((about.st_mode & 0777) == 0640);
  CHECK(Sql(folder.file("copy.db")).one_now("SELECT count(*) FROM asked") == "2000");
  CHECK(Sql(folder.file("copy.db")).one_now("PRAGMA integrity_check") == "ok");
  CHECK(Sql(folder.file("copy.db")).rows_now("PRAGMA foreign_key_check").empty());
  CHECK(verdict(folder.file("copy.db")) == "consistent");  // its rows' times lie before their blocks'
  const std::string before = contents(folder.file("copy.db"));
  const auto again = backup_journal(folder.file(), folder.file("copy.db"));
  REQUIRE(!again.has_value());
  CHECK(again.error().message.find("copy.db\": File exists") != std::string::npos);
  CHECK(contents(folder.file("copy.db")) == before);
}

TEST_CASE("a copy can be read where nothing can be written beside it; so can any journal without a log") {
  if (::geteuid() != 0) return skipped("becoming another user needs root");
  const Folder folder;
  const std::string copy = folder.file("copy.db"), with_log = folder.file("with-log.db"),
                    bare = folder.file("ba?e%20.db");
  const auto may_read = [&](const std::string& path) {
    const auto table = run_sql(path, "SELECT count(*) FROM queries", 10);
    if (!table) {
      ::dprintf(2, "%s\n", table.error().message.c_str());
      return false;
    }
    const std::string twice[] = {copy, path};
    return table->rows[0][0] == "20" && run_sql(twice, "SELECT 1 FROM queries", 100)->rows.size() == 40 &&
           journal_facts(path).has_value() && LogReader::open(path, {}, false).has_value() &&
           verdict(path) == "consistent";
  };
  OtherProcess nobody([&](const Line&) {
    if (::setgid(65534) != 0 || ::setuid(65534) != 0) return 2;
    if (!may_read(copy)) return 3;
    if (!may_read(bare)) return 4;
    const auto refused = run_sql(with_log, "SELECT 1 FROM queries", 10);
    if (refused) return 5;
    const bool says = refused.error().message.find("with-log.db-wal") != std::string::npos &&
                      refused.error().message.find("journal backup") != std::string::npos;
    return says ? 0 : 6;
  });
  {
    const auto journal = must_open(folder.file());
    write_rows(*journal, 20);
    Sql(folder.file()).wait_until_listed();
    REQUIRE(backup_journal(folder.file(), copy).has_value());
    for (const char* suffix : {"", "-wal"})
      std::filesystem::copy_file(folder.file() + suffix, with_log + suffix);
  }
  // The file's header says that it is no longer of a kind that has a log (sqlite.org/fileformat2.html).
  CHECK(contents(copy)[18] == 1);
  CHECK(!std::filesystem::exists(copy + "-wal"));
  std::filesystem::copy_file(copy, bare);
  {
    std::fstream file(bare, std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(18).write("\2\2", 2);
  }
  REQUIRE(::chmod(folder.path().c_str(), 0755) == 0);
  for (const std::string& path : {copy, bare, with_log, with_log + "-wal"})
    REQUIRE(::chmod(path.c_str(), 0644) == 0);
  nobody.line().say(true);
  CHECK(nobody.join() == 0);
}

TEST_CASE("a copy that holds the log up for too long is given up, and leaves nothing behind") {
  const Folder folder;
  const auto journal = must_open(folder.file());
  write_rows(*journal, 2000);
  Sql(folder.file()).wait_until_listed();
  const auto done = backup_journal(
      folder.file(), folder.file("copy.db"), [&](std::int64_t, std::int64_t) { write_rows(*journal, 2000); },
      64 << 10);
  REQUIRE(!done.has_value());
  CHECK(done.error().message.find("its log has grown") != std::string::npos);
  CHECK(!std::filesystem::exists(folder.file("copy.db")));
  CHECK(write_one(*journal, asked(journal->reserve(1))) == true);
}

TEST_CASE("what a journal holds is counted, and what retention did is told") {
  const Folder folder;
  write_story(folder.file(), 300);
  auto facts = journal_facts(folder.file());
  REQUIRE(facts.has_value());
  std::int64_t asked_rows = 0;
  for (const auto& table : facts->tables)
    if (table.name == "asked") asked_rows = table.rows;
  CHECK(asked_rows == 300);
  CHECK(facts->oldest_us > 0);
  CHECK(facts->newest_us > facts->oldest_us);
  CHECK(facts->pruned_until_us == 0);
  Retention keep;
  keep.queries_us = 3'600'000'000;  // the story is of 2023
  CHECK(plan_prune(folder.file(), keep)->old_queries == 300);
  const auto pruned = prune_journal(folder.file(), keep);
  REQUIRE_MESSAGE(pruned.has_value(), (pruned ? "" : pruned.error().message));
  CHECK(pruned->queries == 299);  // an alert keeps its own; the other one's is not its sandbox's
  facts = journal_facts(folder.file());
  CHECK(facts->tombstones > 0);
  CHECK(facts->pruned_until_us > 0);
  CHECK(facts->pruned_at_us > facts->pruned_until_us);
  CHECK(facts->pruned_rows == 299);
  CHECK(facts->keep.queries_us == 0);  // of one turn, and not in force
  {
    auto options = at(folder.file());
    options.keep.queries_us = 86'400'000'000;
    must_open(options);
  }
  CHECK(journal_facts(folder.file())->keep.queries_us == 86'400'000'000);
  CHECK(verdict(folder.file()) == "consistent");
}

TEST_CASE(
    "vacuum gives free pages back and changes no record; while a writer has the file both are refused") {
  const Folder folder;
  write_story(folder.file(), 3000);
  Retention keep;
  keep.queries_us = 3'600'000'000;
  REQUIRE(prune_journal(folder.file(), keep).has_value());
  const auto before = std::filesystem::file_size(folder.file());
  REQUIRE(vacuum_journal(folder.file()).has_value());
  CHECK(std::filesystem::file_size(folder.file()) < before);
  CHECK(journal_facts(folder.file())->free_octets == 0);
  CHECK(verdict(folder.file()) == "consistent");
  const auto journal = must_open(folder.file());
  CHECK(!vacuum_journal(folder.file()).has_value());
  const auto pruned = prune_journal(folder.file(), keep);
  REQUIRE(!pruned.has_value());
  CHECK(pruned.error().message.find(folder.file()) != std::string::npos);
  CHECK(pruned.error().message.find("journal_keep") != std::string::npos);
  CHECK(!prune_journal(folder.file("none.db"), keep).has_value());
  CHECK(!std::filesystem::exists(folder.file("none.db")));
}

// The analyst's side: what it answers, what it refuses, and for whom it works.
#include <sys/stat.h>
#include <unistd.h>

#include "resolver/journal/reader.h"
#include "tests/support/other_process.h"
#include "tests/unit/journal/support.h"

using namespace postern;
using namespace postern::test;

namespace {

std::string error_of(const std::string& path, const std::string& sql) {
  const auto table = run_sql(path, sql, 10);
  return table ? "" : table.error().message;
}

}  // namespace

TEST_CASE("a statement comes back as text, cut off at the limit, while a writer is active") {
  const Folder folder;
  const auto journal = must_open(folder.file());
  for (const char* text : {"a.example.com", "b.example.com", "c.example.com"}) {
    const Asked row = asked(journal->reserve(1), text);
    REQUIRE(write_one(*journal, row) == true);
  }
  const auto all = run_sql(folder.file(), "SELECT id, name, ede FROM queries ORDER BY id;\n", 3);
  REQUIRE_MESSAGE(all.has_value(), all.error().message);
  CHECK(all->columns == std::vector<std::string>{"id", "name", "ede"});
  CHECK(all->rows == std::vector<std::vector<std::string>>{
                         {"1", "a.example.com", ""}, {"2", "b.example.com", ""}, {"3", "c.example.com", ""}});
  CHECK(!all->cut_off);
  const auto some = run_sql(folder.file(), "SELECT id FROM queries ORDER BY id", 2);
  CHECK(some->rows.size() == 2);
  CHECK(some->cut_off);
}

TEST_CASE("a statement that does more than read the journal is refused") {
  const Folder folder;
  const auto journal = must_open(folder.file());
  for (const std::string sql :
       {"DELETE FROM asked", "UPDATE rule SET text = ''", "UPDATE sqlite_master SET sql = ''",
        "DROP VIEW queries", "CREATE TABLE t (x)", "CREATE TEMP TABLE t (x)", "ATTACH '/etc/passwd' AS p",
        "VACUUM", "PRAGMA query_only = OFF", "VACUUM INTO 'x'", "PRAGMA journal_mode = DELETE",
        "PRAGMA wal_checkpoint(TRUNCATE)", "BEGIN IMMEDIATE"}) {
    INFO(sql);
    CHECK(!error_of(folder.file(), sql).empty());
  }
  CHECK(error_of(folder.file(), "DELETE FROM asked").find("can only be read here") != std::string::npos);
  const std::string out = folder.file("copy.db");
  CHECK(!error_of(folder.file(), "VACUUM INTO '" + out + "'").empty());
  CHECK(!std::filesystem::exists(out));
  CHECK(error_of(folder.file(), "SELECT 1; SELECT 2").find("one statement") != std::string::npos);
  CHECK(error_of(folder.file(), " ").find("no statement") != std::string::npos);
  CHECK(error_of(folder.file(), "SELEKT 1").find("\"SELEKT 1\"") != std::string::npos);
  CHECK(error_of(folder.file(), "SELECT load_extension('x')").find("cannot run") != std::string::npos);
  CHECK(error_of(folder.file(), "PRAGMA table_info(asked)").empty());
  CHECK(error_of(folder.file(), "PRAGMA user_version").empty());
  CHECK(error_of(folder.file(), "SELECT key FROM json_each('{}')") == "");
  CHECK(error_of(folder.file(), "PRAGMA user_version = 3").find("can only") != std::string::npos);
  CHECK(error_of(folder.file(), "SELECT name FROM pragma_table_info('asked')") == "");
}

TEST_CASE("several journals read as one, each row with its file") {
  const Folder folder;
  const std::string paths[] = {folder.file("it's one.db"), folder.file("two.db")};
  for (int i = 0; i < 2; ++i) {
    const auto journal = must_open(paths[i]);
    const Asked row = asked(journal->reserve(1), i == 0 ? "a.example.com" : "b.example.net");
    REQUIRE(write_one(*journal, row) == true);
  }
  const auto both = run_sql(paths, "SELECT name, journal FROM queries ORDER BY name", 10);
  REQUIRE_MESSAGE(both.has_value(), both.error().message);
  CHECK(both->rows ==
        std::vector<std::vector<std::string>>{{"a.example.com", paths[0]}, {"b.example.net", paths[1]}});
  CHECK(run_sql(paths, "SELECT count(*) FROM domains", 10)->rows[0][0] == "2");
  CHECK(run_sql(paths, "SELECT count(*) FROM j1.asked", 10)->rows[0][0] == "1");
  CHECK(!run_sql(paths, "ATTACH 'x' AS y", 10).has_value());
  Sql(paths[1]).rows("PRAGMA user_version = 3");
  const auto uneven = run_sql(paths, "SELECT 1", 10);
  REQUIRE(!uneven.has_value());
  CHECK(uneven.error().message.find("of version 3") != std::string::npos);
  const std::vector<std::string> many(11, paths[0]);
  CHECK(!run_sql(many, "SELECT 1", 10).has_value());
}

TEST_CASE("what a killed writer left unlisted is read with the rest") {
  const Folder folder;
  {
    const auto journal = must_open(folder.file());
    const Asked row = asked(journal->reserve(1));
    REQUIRE(write_one(*journal, row) == true);
  }
  // As if the kill had come before the row was listed.
  Sql(folder.file()).rows_now("DELETE FROM listed");
  Sql(folder.file()).rows_now("UPDATE meta SET value = '0' WHERE key = 'listed_upto'");
  CHECK(Sql(folder.file()).one_now("SELECT count(*) FROM queries") == "0");
  CHECK(run_sql(folder.file(), "SELECT name, registered_domain FROM queries", 10)->rows ==
        std::vector<std::vector<std::string>>{{"www.example.com", "example.com"}});
  must_open(folder.file()).reset();  // the next writer lists it
  CHECK(Sql(folder.file()).one_now("SELECT name FROM queries") == "www.example.com");
}

TEST_CASE("a statement without end is stopped") {
  const Folder folder;
  const auto journal = must_open(folder.file());
  const auto table = run_sql(
      folder.file(), "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n",
      1, std::chrono::milliseconds(50));
  REQUIRE(!table.has_value());
  CHECK(table.error().message.find("longer than 50 ms") != std::string::npos);
}

TEST_CASE("what is not there, or not a journal, is said") {
  const Folder folder;
  CHECK(error_of(folder.file(), "SELECT 1").find("\"" + folder.file() + "\": No such file") !=
        std::string::npos);
  CHECK(!std::filesystem::exists(folder.file()));
  std::ofstream(folder.file()) << std::string(5000, 'x');
  CHECK(error_of(folder.file(), "SELECT 1").find("not a database") != std::string::npos);
  Sql(folder.file("other.db"), SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE).rows("CREATE TABLE t (x)");
  CHECK(error_of(folder.file("other.db"), "SELECT 1").find("another program") != std::string::npos);
  CHECK(error_of(folder.path(), "SELECT 1").find("not a regular file") != std::string::npos);
}

TEST_CASE("a user who may read the files but not write them can read, with and without a writer") {
  if (::geteuid() != 0) return skipped("becoming another user needs root");
  const Folder folder;
  REQUIRE(::chmod(folder.path().c_str(), 0755) == 0);
  const auto as_nobody = [&](const Line&) {
    if (::setgid(65534) != 0 || ::setuid(65534) != 0) return 2;
    const auto table = run_sql(folder.file(), "SELECT name FROM queries", 10);
    if (!table) {
      ::dprintf(2, "%s\n", table.error().message.c_str());
      return 3;
    }
    return table->rows.size() == 1 && table->rows[0][0] == "www.example.com" ? 0 : 4;
  };
  OtherProcess beside(as_nobody), alone(as_nobody);
  auto journal = must_open(folder.file());
  const Asked row = asked(journal->reserve(1));
  REQUIRE(write_one(*journal, row) == true);
  for (const char* suffix : {"", "-wal", "-shm"})
    REQUIRE(::chmod((folder.file() + suffix).c_str(), 0644) == 0);
  beside.line().say(true);
  CHECK(beside.join() == 0);
  journal.reset();
  alone.line().say(true);
  CHECK(alone.join() == 0);
}

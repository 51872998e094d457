// The analyst's side: what it answers, what it refuses, and for whom it works.
#include <sys/stat.h>
#include <unistd.h>

#include "resolver/journal/care.h"
#include "resolver/journal/journal_file.h"
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

TEST_CASE("an error quotes a statement, and what SQLite says of it, by escapes") {
  const Folder folder;
  const auto journal = must_open(folder.file());
  const std::string error = error_of(folder.file(), "SELECT \x1b]0;\u009b\u202e\a\x9b 1");
  CHECK_MESSAGE(error.starts_with("cannot run \"SELECT \\x1b]0;\\xc2\\x9b\\xe2\\x80\\xae\\x07\\x9b 1\": "),
                error);
  CHECK_MESSAGE(error.find("\"\\x1b\"") != std::string::npos, error);
  CHECK(error.find('\x1b') == std::string::npos);
}

TEST_CASE("one journal is not counted twice: itself, by a link, or with a copy of it") {
  const Folder folder;
  const std::string file = folder.file(), copy = folder.file("copy.db"), link = folder.file("link.db"),
                    hard = folder.file("hard.db"), other = folder.file("other.db");
  for (const std::string& path : {file, other}) {
    const auto journal = must_open(path);
    const Asked row = asked(journal->reserve(1), "a.example.com");
    REQUIRE(write_one(*journal, row) == true);
  }
  REQUIRE(backup_journal(file, copy).has_value());
  std::filesystem::create_symlink(file, link);
  std::filesystem::create_hard_link(file, hard);
  for (const std::string& again : {file, link, hard, copy}) {
    const std::string paths[] = {other, file, again};
    const auto both = run_sql(paths, "SELECT count(*) FROM queries", 10);
    INFO(again);
    REQUIRE(!both.has_value());
    CHECK(both.error().message.find("\"" + file + "\" and \"" + again + "\"") != std::string::npos);
  }
  const std::string paths[] = {other, copy};
  CHECK(run_sql(paths, "SELECT count(*) FROM queries", 10)->rows[0][0] == "2");
  // Without an id, as before the first seal, only the file itself tells.
  for (const std::string& path : {file, copy}) Sql(path).rows("DELETE FROM meta WHERE key = 'journal_id'");
  const std::string unsealed[] = {file, copy}, same[] = {copy, copy};
  CHECK(run_sql(unsealed, "SELECT count(*) FROM queries", 10).has_value());
  CHECK(!run_sql(same, "SELECT count(*) FROM queries", 10).has_value());
}

TEST_CASE("the sums of several journals are added up, and what both have counts once") {
  const Folder folder;
  const std::string paths[] = {folder.file("one.db"), folder.file("two.db")};
  for (int i = 0; i < 2; ++i) {
    const auto journal = must_open(paths[i]);
    const auto box = journal->attach(
        {.name = "box", .session = "s", .user = "ann", .code_sha256 = "c0de", .labels = {}, .policy = {}},
        1'700'000'000'000'000 - i);
    REQUIRE(box.has_value());
    for (const char* name : {"a.example.com", i == 0 ? "b.example.com" : "c.example.net"}) {
      Asked row = asked(journal->reserve(1), name, *box);
      row.time_us -= i;
      row.charge_millibits = 1500;
      REQUIRE(write_one(*journal, row) == true);
      journal->append(Outcome{.asked = row.id, .data = "192.0.2.1"});
    }
    REQUIRE(submit_and_wait(*journal, {}) == true);
  }
  const auto row = [&](const std::string& sql) {
    const auto table = run_sql(paths, sql, 10);
    REQUIRE_MESSAGE(table.has_value(), table.error().message);
    std::string out;
    for (const auto& cells : table->rows)
      for (const std::string& cell : cells) out += cell + (&cell == &cells.back() ? "\n" : "|");
    return out;
  };
  CHECK(row("SELECT session, user, sandboxes, codes, queries, registered_domains, charge_bits, "
            "first_attached_us,"
            " journal FROM sessions") == "s|ann|2|1|4|2|6.0|1699999999999999|\n");
  CHECK(row("SELECT registered_domain, names, queries, sandboxes, charge_bits, first_query_id >> 48"
            " FROM domains ORDER BY registered_domain") ==
        "example.com|2|3|2|4.5|1\nexample.net|1|1|1|1.5|1\n");
  CHECK(row("SELECT journal FROM domains WHERE registered_domain = 'example.net'") == paths[1] + "\n");
  CHECK(row("SELECT name, first_query_id FROM resolutions WHERE value = '192.0.2.1' ORDER BY name") ==
        "a.example.com|281474976710657\nb.example.com|2\nc.example.net|281474976710658\n");
  CHECK(row("SELECT name, id FROM queries ORDER BY time_us, id LIMIT 1") ==
        "a.example.com|281474976710657\n");
  CHECK(row("SELECT name FROM queries WHERE id = 281474976710658") == "c.example.net\n");
  CHECK(row("SELECT name FROM queries WHERE id IN (2, 281474976710657) ORDER BY id") ==
        "b.example.com\na.example.com\n");
  CHECK(row("SELECT count(*) FROM queries WHERE id > 2") == "2\n");
  CHECK(row("SELECT count(*) FROM queries WHERE id = 281474976710659") == "0\n");
}

TEST_CASE("a table of several journals is not one of them by chance: it is refused") {
  const Folder folder;
  const std::string paths[] = {folder.file("one.db"), folder.file("two.db")};
  for (const std::string& path : paths) must_open(path).reset();
  for (const char* sql : {"SELECT id FROM asked", "SELECT count(*) FROM ASKED",
                          "SELECT (SELECT max(asked) FROM outcome) FROM boots",
                          "SELECT q.id FROM queries AS q JOIN outcome AS o ON o.asked = q.id"}) {
    INFO(std::string(sql));
    const auto refused = run_sql(paths, sql, 10);
    REQUIRE(!refused.has_value());
    CHECK(refused.error().message.find(": each journal has a table ") != std::string::npos);
    CHECK(run_sql(paths[0], sql, 10).has_value());
  }
  for (const char* sql :
       {"SELECT count(*) FROM queries", "SELECT * FROM sandboxes", "SELECT count(*) FROM j1.asked",
        "SELECT count(*) FROM main.asked", "SELECT * FROM domains", "SELECT name FROM sqlite_schema"})
    CHECK_MESSAGE(run_sql(paths, sql, 100).has_value(), sql);
}

TEST_CASE("over several journals, what joins queries by id finds them by an index in each") {
  const Folder folder;
  const std::string paths[] = {folder.file("one.db"), folder.file("two.db")};
  for (const std::string& path : paths) must_open(path).reset();
  const auto plan = [&](const std::string& sql) {
    const auto table = run_sql(paths, "EXPLAIN QUERY PLAN " + sql, 1000);
    REQUIRE_MESSAGE(table.has_value(), table.error().message);
    std::string steps;
    for (const auto& step : table->rows) steps += step[3] + " \n";
    return steps;
  };
  for (const char* sql :
       {"SELECT z.id, q.name FROM alerts AS z JOIN queries AS q ON q.id = z.query_id ORDER BY z.id",
        "SELECT name FROM queries WHERE id = 281474976710657",
        "SELECT count(*) FROM queries WHERE registered_domain = 'evil.example'"}) {
    const std::string steps = plan(sql);
    INFO(steps);
    for (const char* scan : {"SCAN x ", "SCAN a ", "MATERIALIZE queries"})
      CHECK(steps.find(scan) == std::string::npos);
  }
  CHECK(plan("SELECT count(*) FROM queries WHERE name LIKE '%x%'").find("SCAN ") != std::string::npos);
}

TEST_CASE("what is not listed yet has a reversed name, and says whether its domain is new") {
  constexpr std::int64_t day_us = 86'400'000'000;
  const Folder folder;
  Asked first, second;
  {
    const auto journal = must_open(folder.file());
    first = asked(journal->reserve(1), "www.example.com");
    second = asked(journal->reserve(1), "a\\.b.example.net");
    REQUIRE(submit_and_wait(*journal, {&first, &second}) == true);
  }
  Sql(folder.file()).rows_now("DELETE FROM listed");
  Sql(folder.file()).rows_now("DELETE FROM name");
  Sql(folder.file()).rows_now("DELETE FROM domain WHERE id > 0");
  Sql(folder.file()).rows_now("UPDATE meta SET value = '0' WHERE key = 'listed_upto'");
  using Rows = std::vector<std::vector<std::string>>;
  const auto rows = [&](const std::string& sql) {
    const auto table = run_sql(folder.file(), sql, 10);
    REQUIRE_MESSAGE(table.has_value(), table.error().message);
    return table->rows;
  };
  const std::string below = " WHERE name_reversed GLOB 'com.example.*'";
  CHECK(rows("SELECT id, newly_observed_domain FROM queries" + below) ==
        Rows{{std::to_string(first.id), "1"}});
  CHECK(rows("SELECT name_reversed FROM queries WHERE registered_domain = 'example.net'") ==
        Rows{{"net.example.a\\.b."}});
  CHECK(rows("SELECT count(*) FROM queries WHERE name_reversed GLOB 'com.exampl.*'") == Rows{{"0"}});
  for (const char* view : {"on_record", "unlisted"})  // NULL: nobody has looked whether it was asked before
    CHECK(rows("SELECT id, newly_observed_domain FROM " + std::string(view) + below) ==
          Rows{{std::to_string(first.id), ""}});
  // Asked before, in a row that is listed: new for a day.
  for (const auto& [age_us, is_new] : {std::pair{day_us, "1"}, std::pair{day_us + 1, "0"}}) {
    Sql(folder.file())
        .rows_now(
            "INSERT OR REPLACE INTO domain (id, text, first_asked, first_us) VALUES (7,"
            " 'example.com', 0, " +
            std::to_string(first.time_us - age_us) + ")");
    for (const char* view : {"queries", "on_record"})
      CHECK(rows("SELECT newly_observed_domain FROM " + std::string(view) + below) == Rows{{is_new}});
  }
  // Of rows that lie more than a day apart it cannot be told without looking at all of them.
  Sql(folder.file())
      .rows_now("UPDATE asked SET time_us = time_us + " + std::to_string(day_us) +
                " WHERE id = " + std::to_string(second.id));
  CHECK(rows("SELECT newly_observed_domain FROM queries WHERE registered_domain = 'example.net'") ==
        Rows{{""}});
  // The two together, also where SQLite can only go through them all.
  CHECK(rows("SELECT count(*) FROM (SELECT 1 AS one) AS o JOIN queries AS q ON q.id > o.one - 1 GROUP BY "
             "o.one") == Rows{{"2"}});
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

// Who may write a journal's file can give its tables and views any name, and its columns too.
TEST_CASE("names in a file are names, and no SQL: a hostile one has nothing run and makes no file") {
  const Folder folder;
  const std::string paths[] = {folder.file("one.db"), folder.file("two.db")}, out = folder.file("out.db");
  for (const std::string& into :
       {"VACUUM INTO '" + out + "'", "ATTACH '" + out + "' AS z; CREATE TABLE z.t (x)"}) {
    for (const std::string& hostile :
         {"CREATE VIEW \"aa AS SELECT 1 AS a; " + into + "; --\" AS SELECT 1 AS a",
          "CREATE VIEW aa AS SELECT 1 AS \"id\"\" FROM main.rule AS v; " + into + "; --\"",
          "CREATE TABLE \"aa\"\" AS SELECT 1; " + into + "; --\" (x)",
          "DROP VIEW unlisted|CREATE VIEW unlisted AS SELECT 1 AS \"id\"\" FROM main.rule AS v; " + into +
              "; --\"",
          "DROP VIEW queries|CREATE VIEW queries AS SELECT 1 AS \"id\"\" FROM main.rule AS v; " + into +
              "; --\""}) {
      INFO(hostile);
      for (const std::string& path : paths) must_open(path).reset();
      {
        Sql sql(paths[0]);
        const std::size_t bar = hostile.find('|');
        if (bar != std::string::npos) sql.rows_now(hostile.substr(0, bar));
        sql.rows_now(hostile.substr(bar == std::string::npos ? 0 : bar + 1));
      }
      for (const char* asks : {"SELECT 1", "SELECT * FROM unlisted", "SELECT * FROM queries"}) {
        (void)run_sql(paths[0], asks, 10);
        (void)run_sql(paths, asks, 10);
      }
      CHECK(run_sql(paths, "SELECT 1", 10).has_value());
      CHECK(!std::filesystem::exists(out));
      for (const std::string& path : paths)
        for (const char* suffix : {"", "-wal", "-shm"}) std::filesystem::remove(path + suffix);
      std::filesystem::remove(out);
    }
  }
}

TEST_CASE("a view of an operator's own is asked by its file's name where there are several") {
  const Folder folder;
  const std::string paths[] = {folder.file("one.db"), folder.file("two.db")};
  for (const std::string& path : paths) must_open(path).reset();
  Sql(paths[0]).rows_now("CREATE VIEW \"my view\" AS SELECT 7 AS seven");
  CHECK(run_sql(paths[0], "SELECT seven FROM \"my view\"", 10)->rows[0][0] == "7");
  CHECK(run_sql(paths, "SELECT seven FROM main.\"my view\"", 10)->rows[0][0] == "7");
  const auto refused = run_sql(paths, "SELECT seven FROM \"my view\"", 10);
  REQUIRE(!refused.has_value());
  CHECK(refused.error().message.find("my view: ask the views") != std::string::npos);
}

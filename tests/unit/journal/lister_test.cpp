// The catalogue: every committed row is in it once, names and sums are right, and old files are caught up
// with.
#include "resolver/journal/lister.h"
#include "resolver/journal/journal_file.h"
#include "resolver/journal/schema.h"
#include "tests/unit/journal/support.h"

using namespace postern;
using namespace postern::test;

namespace {

void write_all(Journal& journal, const std::deque<Asked>& rows) {
  std::vector<const Asked*> batch;
  for (const Asked& row : rows) batch.push_back(&row);
  REQUIRE(submit_and_wait(journal, batch) == true);
}

// A file as version 3 left it: `rows` queries for names of ten domains, each tenth without an outcome.
void make_version_3(const std::string& path, int rows) {
  auto connection = Connection::open(path, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE);
  REQUIRE(connection.has_value());
  REQUIRE(connection->run("PRAGMA journal_mode = WAL").has_value());
  REQUIRE(migrate(*connection, migrations().first(3)).has_value());
  REQUIRE(seed_vocabulary(*connection).has_value());
  const std::string sql =
      "INSERT INTO boot VALUES (1, 'b', 1, 1, 1, '0', 1);"
      "INSERT INTO sandbox VALUES (1, 1, 'box', 's', 'ann', 'c', '{}', 'default', 1, 1, 2);"
      "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < " +
      std::to_string(rows) +
      ") INSERT INTO asked SELECT i, 1700000000000000 + i, i, 1, 'h' || (i % 100) || '.d' || (i % 10) || "
      "'.com',"
      " instr('h' || (i % 100) || '.d', '.') + 1, 1, 0, 2, 0, -1, -1, 0, 0, 1000 FROM n;"
      "INSERT INTO outcome SELECT id, time_us, 0, 2, 0, 3, -1, 5, 1, '192.0.2.' || (id % 4), 9 FROM asked"
      " WHERE id % 10 <> 0;";
  const auto made = connection->run(sql.c_str());
  REQUIRE_MESSAGE(made.has_value(), (made ? "" : made.error().message));
}

// Which totals are not what a sum over `tally` says, and which sums have no total.
std::vector<std::string> wrong_totals(Sql& sql) {
  return sql.rows_now(
      "WITH d AS (SELECT domain, sum(queries) AS q, sum(blocked) AS b, sum(nxdomain) AS n,"
      "  sum(charge_millibits) AS c, count(DISTINCT sandbox) AS s,"
      "  max(day * 86400000000 + first_in_day_us + span_us) AS u FROM tally GROUP BY domain),"
      " s AS (SELECT sandbox, sum(queries) AS q, sum(blocked) AS b, sum(nxdomain) AS n,"
      "  sum(charge_millibits) AS c FROM tally GROUP BY sandbox)"
      " SELECT 'domain', * FROM (SELECT * FROM d EXCEPT SELECT * FROM domain_total)"
      " UNION ALL SELECT 'total', * FROM (SELECT * FROM domain_total EXCEPT SELECT * FROM d)"
      " UNION ALL SELECT 'sandbox', *, 0, 0 FROM (SELECT * FROM s EXCEPT SELECT * FROM sandbox_total)"
      " UNION ALL SELECT 'total', *, 0, 0 FROM (SELECT * FROM sandbox_total EXCEPT SELECT * FROM s)"
      " ORDER BY 1, 2");
}
constexpr std::int64_t one_day_us = 86'400'000'000;

}  // namespace

TEST_CASE("a file of the version before is listed in the background, and nothing of it is lost") {
  const Folder folder;
  make_version_3(folder.file(), 20'000);
  for (int round = 0; round < 2; ++round) {  // the second finds nothing to do
    const auto journal = must_open(folder.file());
    // Rows of today go in between.
    const Asked row = asked(journal->reserve(1), "new" + std::to_string(round) + ".example.com");
    REQUIRE(write_one(*journal, row) == true);
    Sql sql(folder.file());
    CHECK(
        sql.one("SELECT count(*), count(DISTINCT name) FROM queries WHERE session = 's' AND user = 'ann'") ==
        std::to_string(20'001 + round) + "|" + std::to_string(101 + round));
    CHECK(sql.one("SELECT count(*) FROM queries WHERE registered_domain = 'd3.com'") == "2000");
    CHECK(sql.one("SELECT name FROM queries WHERE id = 17") == "h17.d7.com");
    CHECK(sql.one("SELECT min(name_reversed) FROM queries WHERE name_reversed GLOB 'com.d7.*'") ==
          "com.d7.h17.");
  }
  Sql sql(folder.file());
  CHECK(sql.one("SELECT sum(queries), sum(nxdomain), sum(charge_bits) FROM usage WHERE sandbox = 'box'"
                " AND registered_domain GLOB 'd*'") == "20000|18000|20000.0");
  CHECK(wrong_totals(sql).empty());
  CHECK(sql.one("SELECT queries, nxdomain, sandboxes FROM domains WHERE registered_domain = 'd3.com'") ==
        "2000|2000|1");
  CHECK(sql.one("SELECT count(*) FROM resolutions WHERE value = '192.0.2.1'") == "25");
  CHECK(sql.one("SELECT count(*) FROM asked WHERE name = '' AND name_id = 0") == "0");
  CHECK(sql.rows("PRAGMA foreign_key_check").empty());
}

TEST_CASE("a name that is known is stored as its number, in the next boot too; the views do not tell") {
  const Folder folder;
  for (int round = 0; round < 2; ++round) {
    const auto journal = must_open(folder.file());
    for (int i = 0; i < 2; ++i) {
      const Asked row = asked(journal->reserve(1), "a\\.b.www.example.com");
      REQUIRE(write_one(*journal, row) == true);
      Sql(folder.file()).wait_until_listed();
    }
  }
  Sql sql(folder.file());
  CHECK(sql.rows("SELECT name, name_id FROM asked ORDER BY id") ==
        std::vector<std::string>{"a\\.b.www.example.com|0", "|1", "a\\.b.www.example.com|0", "|1"});
  CHECK(sql.rows(
            "SELECT DISTINCT name, name_reversed, registered_domain, newly_observed_domain FROM queries") ==
        std::vector<std::string>{"a\\.b.www.example.com|com.example.www.a\\.b.|example.com|1"});
  CHECK(sql.rows("SELECT DISTINCT name, registered_domain FROM on_record") ==
        std::vector<std::string>{"a\\.b.www.example.com|example.com"});
  CHECK(sql.one("SELECT count(*) FROM name") == "1");
}

TEST_CASE("sums follow what was asked and what became of it") {
  const Folder folder;
  const auto journal = must_open(folder.file());
  Sandbox who;
  who.name = "box";
  who.session = "s";
  who.user = "ann";
  const SandboxId box = *journal->attach(who, 5);
  std::deque<Asked> rows;
  for (int i = 0; i < 6; ++i) {
    rows.push_back(asked(journal->reserve(1), "n" + std::to_string(i) + ".example.com", box));
    rows.back().charge_millibits = 500;
  }
  rows[1].cached = true;
  rows[2].action = Action::block_name;
  rows[2].rcode = 3;  // refused: no NXDOMAIN of the world's
  write_all(*journal, rows);
  journal->append(Outcome{.asked = rows[3].id, .rcode = 3, .data = {}});
  journal->append(Outcome{.asked = rows[4].id, .action = Action::block_data, .data = "10.0.0.1"});
  journal->append(Outcome{.asked = rows[5].id, .rcode = 0, .data = "192.0.2.1 edge.example.net"});
  REQUIRE(submit_and_wait(*journal, {}) == true);
  Sql sql(folder.file());
  sql.wait_until_listed();
  const std::string sums = "SELECT queries, cached, blocked, nxdomain, charge_bits FROM usage";
  REQUIRE(eventually(*journal, [&](const Journal::Stats&) { return sql.one(sums) == "6|1|2|1|3.0"; }));
  CHECK(sql.rows("SELECT value, name FROM resolutions ORDER BY value") ==
        std::vector<std::string>{"10.0.0.1|n4.example.com", "192.0.2.1|n5.example.com",
                                 "edge.example.net|n5.example.com"});
  CHECK(sql.one("SELECT sandboxes, queries, blocked, registered_domains, charge_bits FROM sessions") ==
        "1|6|2|1|3.0");
}

TEST_CASE("totals of domains and sandboxes are the sums of the days, also when days are deleted") {
  const Folder folder;
  const auto journal = must_open(folder.file());
  std::deque<Asked> rows;
  std::int64_t last_us = 0;
  for (int run = 0; run < 3; ++run) {  // a later run adds to what an earlier one has written
    rows.clear();
    for (int i = 0; i < 60; ++i) {
      rows.push_back(asked(journal->reserve(1), "n.d" + std::to_string(i % 5) + ".com", 1 + i % 3));
      rows.back().time_us += (i % 2) * one_day_us - run;  // two days, and never in order
      rows.back().charge_millibits = 100;
      if (i % 4 == 0) rows.back().action = Action::block_name;
      last_us = std::max(last_us, rows.back().time_us);
    }
    write_all(*journal, rows);
    journal->append(Outcome{.asked = rows[1].id, .rcode = 3, .data = {}});
    REQUIRE(submit_and_wait(*journal, {}) == true);
    Sql(folder.file()).wait_until_listed();
  }
  Sql sql(folder.file());
  REQUIRE(eventually(*journal, [&](const Journal::Stats&) {
    return sql.one_now("SELECT sum(nxdomain) FROM sandbox_total") == "3";
  }));
  CHECK(wrong_totals(sql).empty());
  CHECK(sql.one_now("SELECT sum(queries), sum(blocked), max(sandboxes), max(last_us) FROM domain_total") ==
        "180|45|3|" + std::to_string(last_us));
  CHECK(sql.one("SELECT max(last_us) - min(first_us) > 0, count(DISTINCT day) FROM usage") == "1|2");
  const std::string day = sql.one_now("SELECT min(day) FROM tally");
  sql.rows_now("DELETE FROM tally WHERE day = " + day);
  CHECK(wrong_totals(sql).empty());
  CHECK(sql.one_now("SELECT count(*), sum(queries) FROM domain_total") == "5|90");
  sql.rows_now("DELETE FROM tally WHERE domain = 1 OR sandbox = 2");
  CHECK(wrong_totals(sql).empty());
  CHECK(sql.one_now("SELECT count(*), max(sandboxes) FROM domain_total") == "4|2");
  sql.rows_now("DELETE FROM tally");
  CHECK(sql.one_now("SELECT (SELECT count(*) FROM domain_total) + (SELECT count(*) FROM sandbox_total)") ==
        "0");
  CHECK(sql.one("SELECT sum(queries), max(sandboxes), max(last_seen_us) FROM domains") == "0|0|NULL");
}

TEST_CASE("a file of version 6 has its tally and totals as its days were") {
  const Folder folder;
  {
    auto connection = Connection::open(folder.file(), SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE);
    REQUIRE(connection.has_value());
    REQUIRE(migrate(*connection, migrations().first(6)).has_value());
    REQUIRE(
        connection
            ->run(
                "INSERT INTO boot VALUES (1, 'b', 1, 1, 1, '0', 1);"
                "INSERT INTO sandbox VALUES (1, 1, 'a', 's', 'ann', 'c', '{}', 'p', 1, 1, 2),"
                " (2, 1, 'b', 's', 'ann', 'c', '{}', 'p', 1, 1, 2);"
                "INSERT INTO domain VALUES (7, 'd.com', 1, 1);"
                "INSERT INTO tally VALUES (1, 7, 20000, 5, 1, 2, 1, 900, 1728000000000001, 1728000000000009),"
                " (1, 7, 20001, 3, 0, 0, 0, 50, 1728086400000000, 1728172799999999),"
                " (2, 7, 20000, 1, 0, 0, 0, 0, 1728000000000002, 1728000000000002);")
            .has_value());
    const auto done = migrate(*connection, migrations());
    REQUIRE_MESSAGE(done.has_value(), done.error().message);
  }
  Sql sql(folder.file());
  CHECK(wrong_totals(sql).empty());
  CHECK(sql.rows_now("SELECT day, sandbox, queries, first_us, last_us FROM usage ORDER BY sandbox, day") ==
        std::vector<std::string>{"2024-10-04|a|5|1728000000000001|1728000000000009",
                                 "2024-10-05|a|3|1728086400000000|1728172799999999",
                                 "2024-10-04|b|1|1728000000000002|1728000000000002"});
  CHECK(sql.one_now("SELECT queries, blocked, nxdomain, charge_bits, sandboxes, last_seen_us FROM domains") ==
        "9|2|1|0.95|2|1728172799999999");
  CHECK(sql.one_now("SELECT queries, registered_domains, charge_bits FROM sessions") == "9|1|0.95");
  CHECK(sql.one_now("SELECT count(*) FROM sqlite_stat1 WHERE tbl = 'tally'") == "3");
}

TEST_CASE("more rows and names than a step takes are all listed, in steps") {
  const Folder folder;
  const auto journal = must_open(folder.file());
  std::deque<Asked> rows;
  constexpr int some = 10'000, names = 4500;
  static_assert(some > Lister::step_rows && names > 2 * Lister::step_names);
  for (int i = 0; i < some; ++i)  // names of two domains by turns
    rows.push_back(asked(journal->reserve(1),
                         "n" + std::to_string(i % names) + (i % 2 == 0 ? ".example.net" : ".example.com")));
  write_all(*journal, rows);
  Sql sql(folder.file());
  CHECK(sql.one("SELECT count(*), count(DISTINCT name) FROM queries") == "10000|4500");
  CHECK(sql.rows(
            "SELECT registered_domain, names, queries, first_query_id FROM domains ORDER BY first_seen_us") ==
        std::vector<std::string>{"example.net|2250|5000|" + std::to_string(rows[0].id),
                                 "example.com|2250|5000|" + std::to_string(rows[1].id)});
  CHECK(sql.one("SELECT count(*) FROM name AS n WHERE n.first_asked <> (SELECT min(x.asked) FROM listed AS x"
                " WHERE x.name = n.id)") == "0");
  CHECK(wrong_totals(sql).empty());
}

TEST_CASE("the mark follows what is finished, never beyond what is listed or past what waits") {
  const Folder folder;
  must_open(folder.file());
  auto file = JournalFile::open(at(folder.file()));
  REQUIRE(file.has_value());
  NameBook names;
  auto lister = Lister::create(file->connection(), names, file->first_id(), file->boot());
  REQUIRE(lister.has_value());
  const RowId first = file->first_id();
  const auto commit = [&](RowId id) {
    const Asked row = asked(id, "www.example.com");
    const AskedBatch batch{{&row}, {}, 0};
    const NameBook::Known unknown;
    (*lister)->committed({&batch, 1}, {&unknown, 1});
  };
  const auto list_all = [&] {
    while ((*lister)->due() != Lister::Clock::time_point::max()) REQUIRE((*lister)->step() == SQLITE_OK);
    return *file->connection().integer("SELECT CAST(value AS INTEGER) FROM meta WHERE key = 'listed_upto'");
  };
  const std::int64_t before =
      *file->connection().integer("SELECT CAST(value AS INTEGER) FROM meta WHERE key = 'listed_upto'");
  commit(first + 5);
  CHECK(list_all() == before);  // an earlier one may come yet
  (*lister)->none_comes_upto(first + 3);
  commit(first + 6);
  CHECK(list_all() == first + 3);
  (*lister)->none_comes_upto(first + 100);
  commit(first + 7);
  CHECK(list_all() == first + 7);
  (*lister)->none_comes_upto(first + 200);
  commit(first + 108);
  REQUIRE((*lister)->step() == SQLITE_OK);  // numbers its name
  commit(first + 101);                      // waits when the run is over
  (*lister)->none_comes_upto(first + 200);
  while (*file->connection().integer("SELECT max(asked) FROM listed") < first + 108)
    REQUIRE((*lister)->step() == SQLITE_OK);
  CHECK(*file->connection().integer("SELECT CAST(value AS INTEGER) FROM meta WHERE key = 'listed_upto'") ==
        first + 7);
  CHECK(list_all() == first + 108);
}

TEST_CASE("monotonic time is what it was, also beyond a step of the wall clock") {
  const Folder folder;
  const auto journal = must_open(folder.file());
  Asked early = asked(journal->reserve(1)), late = asked(journal->reserve(1));
  early.monotonic_us = 123;
  late.time_us -= 3600 * 1'000'000LL;  // somebody set the clock back
  late.monotonic_us = 5'000'000'000;
  REQUIRE(submit_and_wait(*journal, {&early, &late}) == true);
  CHECK(Sql(folder.file()).rows("SELECT monotonic_us FROM queries ORDER BY id") ==
        std::vector<std::string>{"123", "5000000000"});
}

TEST_CASE(
    "every address of the largest answers is entered, over several steps, and the mark of a cut is none") {
  const Folder folder;
  const auto journal = must_open(folder.file());
  constexpr int answers = 5, addresses = Lister::max_values;
  static_assert(answers * addresses > 2 * static_cast<int>(Lister::step_values));
  std::deque<Asked> rows;
  for (int i = 0; i < answers; ++i)
    rows.push_back(asked(journal->reserve(1), "n" + std::to_string(i) + ".example.com"));
  write_all(*journal, rows);
  for (int i = 0; i < answers; ++i) {
    std::string data;
    for (int j = 0; j < addresses; ++j)
      data += "10." + std::to_string(i) + "." + std::to_string(j / 250) + "." + std::to_string(j % 250) + " ";
    journal->append(Outcome{.asked = rows[static_cast<std::size_t>(i)].id, .rcode = 0, .data = data + "..."});
  }
  REQUIRE(submit_and_wait(*journal, {}) == true);
  Sql sql(folder.file());
  const std::string count = "SELECT count(*) FROM resolutions";
  REQUIRE(eventually(*journal, [&](const Journal::Stats&) {
    return sql.one(count) == std::to_string(answers * addresses);
  }));
  CHECK(sql.one("SELECT count(*) FROM resolutions WHERE value = '...'") == "0");
  CHECK(sql.one("SELECT name FROM resolutions WHERE value = '10.4.16.9'") == "n4.example.com");
}

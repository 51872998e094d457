// Seals: rows, words and schema that no writer leaves are named, however they are spelled.
#include <span>

#include "resolver/journal/seal_verify.h"
#include "tests/unit/journal/seal_support.h"

using namespace postern;
using namespace postern::test;

namespace {

constexpr std::int64_t planted_start_us = 1'700'000'000'000'000;

// Queries 1 to 8, closed cleanly: ".", "www", "www.evil.example" and "x.evil.example", each by its text; and
// once more, by its number.
void write_twice(const std::string& path) {
  const auto journal = must_open(path);
  const auto one = journal->attach(sandbox("one"), planted_start_us);
  REQUIRE(one.has_value());
  const std::string texts[] = {".", "www", "www.evil.example", "x.evil.example"};
  const RowId first = journal->reserve(8);
  REQUIRE(first == 1);
  for (const RowId half : {first, first + 4}) {
    std::deque<Asked> rows;
    std::vector<const Asked*> batch;
    for (RowId id = half; id < half + 4; ++id) {
      Asked& row = rows.emplace_back(asked(id, texts[id - half], *one));
      row.registered_labels = static_cast<std::uint8_t>(row.name.labels() < 2 ? 0 : 2);
      row.rule = journal->intern_rule("policy.yaml:3:5 allow **");
      row.time_us = planted_start_us + id * 1'000'000;
      batch.push_back(&row);
    }
    REQUIRE(submit_and_wait(*journal, batch) == true);
    Sql(path).wait_until_listed();
  }
  journal->alert(alert_row(*one, first));
  LeakGrant grant;
  grant.user = "u1";
  grant.session = "s-one";
  grant.octets = 4096;
  REQUIRE(journal->grant(grant).has_value());
}

struct Planted {
  const char* what;
  std::vector<std::string> sql;
  const char* named;  // one of what verify finds
};

std::string findings_of(const VerifyReport& report) {
  std::string all = verdict(report) + ":";
  for (const auto& one : report.findings) all += "\n" + one.record + " " + one.what;
  return all + "\n";
}

void attack(const std::string& path, const std::vector<std::string>& statements) {
  for (const std::string& one : statements) {
    Sql sql(path);  // of its own: the schema as the one before left it
    for (const char* pragma : {"PRAGMA foreign_keys = OFF", "PRAGMA writable_schema = ON"})
      sql.rows_now(pragma);
    sql.rows_now(one);
    if (one.find("sqlite_schema") == std::string::npos) continue;
    const std::string version = sql.one_now("PRAGMA schema_version");
    sql.rows_now("PRAGMA schema_version = " + std::to_string(std::stoi(version) + 1));
  }
}

void must_be_named(std::span<const Planted> attacks) {
  const Folder folder(Folder::Where::in_memory);
  const std::string original = folder.file("original.db"), path = folder.file();
  write_twice(original);
  REQUIRE(Sql(original).one_now("SELECT count(*) FROM asked WHERE name_id > 0") == "4");
  REQUIRE(findings_of(must_verify(original)) == "consistent:\n");
  for (const Planted& one : attacks) {
    CAPTURE(std::string(one.what));
    std::filesystem::copy_file(original, path, std::filesystem::copy_options::overwrite_existing);
    attack(path, one.sql);
    const std::string said = findings_of(must_verify(path));
    CAPTURE(said);
    CHECK(said.find("\n" + std::string(one.named) + "\n") != std::string::npos);
  }
}

// A row of `asked` under that id, as the fifth.
std::string asked_as(const std::string& id) {
  return "INSERT INTO asked SELECT " + id +
         ", time_us, monotonic_us, sandbox, name, registered_at, type, action, reason, rule, rcode, ede,"
         " flags, score_milli, charge_millibits, name_id FROM asked WHERE id = 5";
}

std::string schema_row(const std::string& name, const std::string& change) {
  return "UPDATE sqlite_schema SET " + change + " WHERE name = '" + name + "'";
}

}  // namespace

TEST_CASE("a name is told in one way, as text or by a number that is there") {
  const std::string why =
      " was changed: its name must be there either as text or by the number of a row of `name`";
  const std::string third = "asked 3" + why, seventh = "asked 7" + why;
  const Planted attacks[] = {
      {"the catalogue's number for a name that is there as text",
       {"UPDATE listed SET name = 0 WHERE asked = 3"},
       "asked 3 is in the catalogue under another name: the views show that one"},
      {"and for one that is there by its number",
       {"UPDATE listed SET name = 0 WHERE asked = 7"},
       "asked 7 is in the catalogue under another name: the views show that one"},
      {"a name in two parts",
       {"UPDATE asked SET name = '.evil.example', name_id = (SELECT id FROM name WHERE text = 'www')"
        " WHERE id = 7"},
       seventh.c_str()},
      {"a name in two parts, shown as its first",
       {"UPDATE asked SET name = '.evil.example', name_id = (SELECT id FROM name WHERE text = 'www')"
        " WHERE id = 7",
        "UPDATE listed SET name = (SELECT id FROM name WHERE text = 'www') WHERE asked = 7"},
       seventh.c_str()},
      {"a number without a row, and the text beside it",
       {"UPDATE asked SET name = 'www.evil.example', name_id = 424242 WHERE id = 3",
        "UPDATE listed SET name = 424242 WHERE asked = 3"},
       third.c_str()},
      {"a number below none", {"UPDATE asked SET name_id = -1 WHERE id = 3"}, third.c_str()},
      {"a name under a number that no writer gives",
       {"UPDATE name SET id = 0 WHERE text = 'www.evil.example'",
        "UPDATE listed SET name = 0 WHERE asked IN (3, 7)"},
       "name 0 has a number that no name has"},
  };
  must_be_named(attacks);
}

TEST_CASE("a row with a number that no writer gives was inserted") {
  const Planted attacks[] = {
      {"a query",
       {asked_as("-5"), "INSERT INTO listed SELECT sandbox, id, name_id FROM asked WHERE id = -5"},
       "asked -5 was inserted, or the block that covered it was removed"},
      {"a query 0", {asked_as("0")}, "asked 0 was inserted, or the block that covered it was removed"},
      {"an outcome",
       {"INSERT INTO outcome VALUES (-5, 1, 0, 0, 0, 0, 0, 1, 1, '192.0.2.9', 0)"},
       "outcome -5 was inserted, or the block that covered it was removed"},
      {"an alert",
       {"INSERT INTO alert SELECT 0, time_us, sandbox, kind, 'google.com', score, action, evidence, asked,"
        " 'x', severity, attack, first_us, last_us FROM alert"},
       "alert 0 was inserted, or the block that covered it was removed"},
      {"a grant",
       {"INSERT INTO leak_grant VALUES (-1, 1, 'u1', 's-one', '', 1000000)"},
       "leak_grant -1 was inserted, or the block that covered it was removed"},
      {"a gap",
       {"INSERT INTO gap VALUES (-1, 1, 2, 500, 0, 'disk full')"},
       "gap -1 was inserted, or the block that covered it was removed"},
      {"a rule",
       {"INSERT INTO rule VALUES (-1, 'policy.yaml:9:9 allow **')"},
       "rule -1 was inserted, or the block that covered it was removed"},
      {"sandboxes",
       {"INSERT INTO sandbox SELECT 0, boot, 'build-9', session, user, code_sha256, labels, policy,"
        " record_protected, attached_us, detached_us FROM sandbox"},
       "sandbox 0 was inserted, or the block that covered it was removed"},
      {"a boot",
       {"INSERT INTO boot SELECT -5, 'another', started_us, started_monotonic_us, first_asked + 5, version,"
        " ended_us FROM boot"},
       "boot -5 was inserted, or the block that covered it was removed"},
  };
  must_be_named(attacks);
}

TEST_CASE("what is written into the schema so that it is not compared is named") {
  const std::string trigger =
      "CREATE TRIGGER t1 AFTER INSERT ON alert_delivery BEGIN DELETE FROM alert_delivery; END";
  const Planted attacks[] = {
      {"an index that was emptied, of a table whose type has the same octets",
       {schema_row("listed_by_name", "sql = sql || ' WHERE asked < 0'"), "REINDEX listed_by_name",
        schema_row("listed_by_name", "sql = substr(sql, 1, length(sql) - 16)"),
        schema_row("listed", "type = CAST('table' AS BLOB)")},
       "table listed or an index of it does not hold what it must: row 1 missing from index listed_by_name,"
       " and 8 more"},
      {"a type of the same octets",
       {schema_row("listed", "type = CAST('table' AS BLOB)")},
       "row of the schema \"table listed\" is none that SQLite writes"},
      {"a name of the same octets",
       {schema_row("queries", "name = CAST(name AS BLOB)")},
       "row of the schema \"view queries\" is none that SQLite writes"},
      {"a trigger in capitals",
       {trigger, schema_row("t1", "type = 'TRIGGER'")},
       "row of the schema \"TRIGGER t1\" is none that SQLite writes"},
      {"a trigger by SQLite's own name",
       {trigger, schema_row("t1", "name = 'sqlite_t1', sql = replace(sql, ' t1 ', ' sqlite_t1 ')")},
       "row of the schema \"trigger sqlite_t1\" is none that SQLite writes"},
  };
  must_be_named(attacks);
}

TEST_CASE("tables, indexes and views of the operator's own pass, whatever they are made with") {
  const Folder folder(Folder::Where::in_memory);
  write_twice(folder.file());
  attack(folder.file(),
         {"CREATE TABLE mine (id INTEGER PRIMARY KEY AUTOINCREMENT, a TEXT UNIQUE, b)",
          "CREATE UNIQUE INDEX IF NOT EXISTS mine_by_b ON mine (b) WHERE b > 3",
          "create view if not exists \"my view\" as select 1", "CREATE TABLE copied AS SELECT id FROM asked",
          "ALTER TABLE copied RENAME TO \"a b\"", "CREATE VIRTUAL TABLE words USING fts5(text)", "ANALYZE"});
  CHECK(findings_of(must_verify(folder.file())) == "consistent:\n");
}

TEST_CASE("a boot between queries that are there was inserted, one behind them is told") {
  const std::string boot =
      "INSERT INTO boot SELECT 2, 'another', started_us, started_monotonic_us, 5, version, 0 FROM boot";
  const std::string more =
      "INSERT INTO boot SELECT 3, 'another', started_us, started_monotonic_us, 4, version, 0 FROM boot"
      " WHERE id = 1";
  const Planted attacks[] = {
      {"one between queries", {boot}, "boot 2 was inserted, or the block that covered it was removed"},
      {"two", {boot, more}, "boot 3 was inserted, or the block that covered it was removed"},
      {"one before another that might come",
       {"INSERT INTO boot SELECT 2, 'another', started_us, started_monotonic_us, 50, version, 0 FROM boot",
        "INSERT INTO boot SELECT 3, 'another', started_us, started_monotonic_us, 40, version, 0 FROM boot"
        " WHERE id = 1"},
       "boot 3 was inserted, or the block that covered it was removed"},
  };
  must_be_named(attacks);
  const Folder folder(Folder::Where::in_memory);
  write_twice(folder.file());
  attack(folder.file(), {boot});
  must_open(folder.file());  // the next writer does not seal it
  CHECK(
      findings_of(must_verify(folder.file())) ==
      "boot 2 was inserted, or the block that covered it was removed:\nboot 2 was inserted, or the block that"
      " covered it was removed\n");
}

TEST_CASE("boots of writers that were killed before they sealed anything pass") {
  const Folder folder(Folder::Where::in_memory);
  write_twice(folder.file());
  attack(
      folder.file(),
      {"INSERT INTO boot SELECT 2, 'another', started_us, started_monotonic_us, 9, version, 0 FROM boot",
       "INSERT INTO boot SELECT 3, 'another', started_us, started_monotonic_us, 65546, version, 0 FROM boot"
       " WHERE id = 1"});
  const VerifyReport report = must_verify(folder.file());
  CHECK(findings_of(report) == "consistent:\n");
  CHECK(report.unsealed == 2);
  CHECK(report.first_unsealed == "boot 2");
  must_open(folder.file());
  CHECK(findings_of(must_verify(folder.file())) == "consistent:\n");
}

TEST_CASE("a sandbox without a session is nobody's, and says nothing") {
  const auto planted = [](const std::string& values) {
    return "INSERT INTO sandbox SELECT 9, boot, " + values + " FROM sandbox WHERE id = 1";
  };
  const char* const named = "sandbox 9 was inserted: without a session it is nobody's, and it says more";
  const Planted attacks[] = {
      {"a name", {planted("'build-9', '', '', '', '{}', '', 0, 7, 7")}, named},
      {"a user", {planted("'', '', 'bob', '', '{}', '', 0, 7, 7")}, named},
      {"its code", {planted("'', '', '', 'abc', '{}', '', 0, 7, 7")}, named},
      {"a label", {planted("'', '', '', '', '{\"a\":\"b\"}', '', 0, 7, 7")}, named},
      {"a policy", {planted("'', '', '', '', '{}', 'open', 0, 7, 7")}, named},
      {"that it is protected", {planted("'', '', '', '', '{}', '', 1, 7, 7")}, named},
      {"an end of its own", {planted("'', '', '', '', '{}', '', 0, 7, 8")}, named},
  };
  must_be_named(attacks);
  const Folder folder(Folder::Where::in_memory);
  write_twice(folder.file());
  attack(folder.file(), {planted("'', '', '', '', '{}', '', 0, 7, 7")});
  CHECK(findings_of(must_verify(folder.file())) == "consistent:\n");
}

TEST_CASE("domains are looked at whatever their number is") {
  const std::vector<std::string> negative = {
      "UPDATE domain SET id = -id WHERE text = 'evil.example'",
      "UPDATE name SET domain = -domain WHERE text LIKE '%.evil.example'",
      "UPDATE tally SET domain = (SELECT id FROM domain WHERE text = 'evil.example')"
      " WHERE domain NOT IN (SELECT id FROM domain)",
      "UPDATE domain_total SET domain = (SELECT id FROM domain WHERE text = 'evil.example')"
      " WHERE domain NOT IN (SELECT id FROM domain)"};
  const char* const zero = "domain 0 stands for none, and says more";
  const Planted attacks[] = {
      {"a number below none", negative, "domain -2 has a number that no domain has"},
      {"the text of none", {"UPDATE domain SET text = 'x.example' WHERE id = 0"}, zero},
      {"the first query of none", {"UPDATE domain SET first_asked = 1 WHERE id = 0"}, zero},
      {"the time of none", {"UPDATE domain SET first_us = 1 WHERE id = 0"}, zero},
      {"none at all", {"DELETE FROM domain WHERE id = 0"}, "domain 0 is missing"},
  };
  must_be_named(attacks);
}

TEST_CASE("words for numbers that are gone or were added are named") {
  const Planted attacks[] = {
      {"a reason that is used", {"DELETE FROM reason WHERE id = 2"}, "the word for reason 2 is missing"},
      {"a reason that is used, with all others", {"DELETE FROM reason"}, "the word for reason 2 is missing"},
      {"a reason before others", {"DELETE FROM reason WHERE id = 3"}, "the word for reason 3 is missing"},
      {"a type", {"INSERT INTO rr_type VALUES (65280, 'A')"}, "the word for type 65280 was added"},
      {"an rcode", {"INSERT INTO rcode VALUES (23, 'NOERROR')"}, "the word for rcode 23 was added"},
      {"a reason, with another's word",
       {"INSERT INTO reason VALUES (99, 'default')"},
       "the word for reason 99 was added"},
      {"a reason that is nearly another's word",
       {"INSERT INTO reason VALUES (99, 'Default ')"},
       "the word for reason 99 was added"},
      {"a reason below none",
       {"INSERT INTO reason VALUES (-1, 'weather')"},
       "the word for reason -1 was added"},
      {"an action, with another's word",
       {"INSERT INTO action VALUES (9, 'allowed')"},
       "the word for action 9 was added"},
  };
  must_be_named(attacks);
}

TEST_CASE("a word that a newer Postern may have written alters nothing, and is told") {
  const Folder folder(Folder::Where::in_memory);
  write_twice(folder.file());
  attack(folder.file(),
         {"INSERT INTO reason VALUES (16, 'weather')", "INSERT INTO action VALUES (6, 'delayed')"});
  const VerifyReport report = must_verify(folder.file());
  CHECK(findings_of(report) == "consistent:\n");
  CHECK(report.newer_words == std::vector<std::string>{"action 6, \"delayed\"", "reason 16, \"weather\""});
}

TEST_CASE("a reason that an older Postern did not know is not missed") {
  const Folder folder(Folder::Where::in_memory);
  write_twice(folder.file());
  attack(folder.file(), {"DELETE FROM reason WHERE id >= 14"});
  CHECK(findings_of(must_verify(folder.file())) == "consistent:\n");
}

TEST_CASE("what says which journal it is, and what is listed, is missed") {
  const Planted attacks[] = {
      {"its id",
       {"DELETE FROM meta WHERE key = 'journal_id'"},
       "meta journal_id was removed: there are blocks"},
      {"an empty id",
       {"UPDATE meta SET value = '' WHERE key = 'journal_id'"},
       "meta journal_id was removed: there are blocks"},
      {"an id that is none",
       {"UPDATE meta SET value = value || 'x' WHERE key = 'journal_id'"},
       "meta journal_id was changed: it is none"},
      {"its mark of the catalogue",
       {"DELETE FROM meta WHERE key = 'listed_upto'"},
       "meta listed_upto is missing"},
  };
  must_be_named(attacks);
  const Folder folder(Folder::Where::in_memory);
  {
    auto options = at(folder.file());
    options.sealed = false;
    must_open(options);
  }
  CHECK_FALSE(verify(folder.file()).has_value());  // never sealed
}

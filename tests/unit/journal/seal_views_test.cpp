// Seals: what the views find queries by is held against the record, so that none can be hidden from them.
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>

#include "resolver/journal/journal_file.h"
#include "resolver/journal/lister.h"
#include "resolver/journal/seal_writer.h"
#include "tests/unit/journal/seal_support.h"

using namespace postern;
using namespace postern::test;

namespace {

constexpr std::int64_t start_us = 1'700'000'000'000'000;

// Queries 1 to 300, one a second: each tenth for a name of its own below evil.example, the others below
// example.com; and one each for a top-level domain and the root.
void write_queries(Journal& journal) {
  const RowId first = journal.reserve(302);
  std::deque<Asked> rows;
  std::vector<const Asked*> batch;
  for (RowId id = first; id < first + 302; ++id) {
    const RowId number = id - first + 1;
    const std::string text = number == 301      ? "example"
                             : number == 302    ? "."
                             : number % 10 == 0 ? "n" + std::to_string(number) + ".evil.example"
                                                : "n" + std::to_string(number) + ".example.com";
    rows.push_back(asked(id, text));
    rows.back().time_us = start_us + id * 1'000'000;
    rows.back().registered_labels = static_cast<std::uint8_t>(std::min<std::size_t>(2, name(text).labels()));
    batch.push_back(&rows.back());
  }
  REQUIRE(submit_and_wait(journal, batch) == true);
}

void copy(const Folder& folder) {
  std::filesystem::copy_file(folder.file("original.db"), folder.file(),
                             std::filesystem::copy_options::overwrite_existing);
}

void run_all(const std::string& path, std::vector<std::string> statements) {
  Sql sql(path);
  sql.rows("PRAGMA foreign_keys = OFF");
  for (const std::string& one : statements) sql.rows_now(one);
}

// What a writer does that is killed then.
template <class Work>
void die_with(const std::string& path, Work&& work) {
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    auto journal = Journal::open(at(path));
    if (!journal) ::_exit(2);
    if (!work(**journal)) ::_exit(3);
    ::raise(SIGKILL);
  }
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  REQUIRE(WIFSIGNALED(status));
}

// Queries of a writer that was killed, some of them listed.
void write_and_die(const std::string& path) {
  die_with(path, [&](Journal& journal) {
    (void)journal.attach(sandbox("one"), start_us);
    write_queries(journal);
    return eventually(journal,
                      [&](const auto&) { return Sql(path).one_now("SELECT count(*) FROM listed") != "0"; });
  });
}

// What a writer does that ends with these flags in its last block.
void end_with(const std::string& path, std::int64_t flags) {
  auto options = at(path);
  auto file = JournalFile::open(options);
  REQUIRE(file.has_value());
  auto seal = SealWriter::open(file->connection(), file->boot());
  REQUIRE(seal.has_value());
  Connection& connection = file->connection();
  REQUIRE(connection.exec("BEGIN IMMEDIATE") == SQLITE_OK);
  const std::string end = "UPDATE boot SET ended_us = 7 WHERE id = " + std::to_string(file->boot());
  REQUIRE(connection.exec(end.c_str()) == SQLITE_OK);
  (*seal)->boot_end(file->boot(), 7);
  REQUIRE((*seal)->seal(SealWriter::When::now, flags) == SQLITE_OK);
  REQUIRE(connection.exec("COMMIT") == SQLITE_OK);
  (*seal)->committed();
  REQUIRE(file->fold());
}

// How two queries come into the catalogue.
enum class Listed { together, one_by_one, backwards, after_a_kill, after_a_kill_while_named };

std::string without(const std::string& index, const std::string& text) {
  return "UPDATE sqlite_schema SET sql = '" + text + "' WHERE name = '" + index + "'";
}

}  // namespace

TEST_CASE("what hides queries from the views is named") {
  struct Attack {
    const char* what;
    std::vector<std::string> sql;
    const char* named;
  };
  const std::string evil = "UPDATE domain SET first_asked = ";
  const Attack attacks[] = {
      {"a name spelled backwards",
       {"UPDATE name SET reversed = 'org.harmless.' WHERE text = 'n10.evil.example'"},
       " is \"n10.evil.example\", and backwards \"org.harmless.\": who searches by it is misled"},
      {"the root spelled backwards",
       {"UPDATE name SET reversed = '.' WHERE text = '.'"},
       " is \".\", and backwards \".\": who searches by it is misled"},
      {"a name's domain",
       {"UPDATE name SET domain = 0 WHERE text = 'n10.evil.example'"},
       " is counted for no domain: a name like \"n10.evil.example\" has a longer one"},
      {"a name's domain, and what its query says of it",
       {"UPDATE name SET domain = 0 WHERE text = 'n10.evil.example'",
        "UPDATE asked SET registered_at = length(name) + 1 WHERE id = 10"},
       " is counted for no domain: a name like \"n10.evil.example\" has a longer one"},
      {"a name counted for a top-level domain",
       {"UPDATE name SET domain = (SELECT id FROM domain WHERE text = 'example') WHERE text = "
        "'n10.evil.example'",
        "UPDATE asked SET registered_at = 10 WHERE id = 10"},
       " is counted for domain \"example\": a name like \"n10.evil.example\" has a longer one"},
      {"a name counted for a domain of its own",
       {"INSERT INTO domain VALUES (9, 'n10.evil.example', 10, 1700000010000000)",
        "UPDATE name SET domain = 9 WHERE text = 'n10.evil.example'"},
       " is counted for domain \"n10.evil.example\", and the query that showed it first says "
       "\"evil.example\""},
      {"a name said to be first asked by nobody",
       {"UPDATE name SET domain = 0, first_asked = 999 WHERE text = '.'"},
       " was first asked by query 999: there is none"},
      {"a name said to be first asked by another's query",
       {"UPDATE name SET first_asked = 9 WHERE text = 'n10.evil.example'"},
       " was first asked by query 9, which asked for another name"},
      {"a domain of long ago",
       {"UPDATE domain SET first_us = 1600000000000000, first_asked = 1 WHERE text = 'evil.example'"},
       "said to be first asked by query 1, which asked for another domain"},
      {"a domain of long ago, by its own query",
       {"UPDATE domain SET first_us = first_us - 1 WHERE text = 'evil.example'"},
       "said to be first asked by query 10, at another time than it was"},
      {"a domain first asked by another's query",
       {evil + "9, first_us = 1700000009000000 WHERE text = 'evil.example'"},
       "said to be first asked by query 9, which asked for another domain"},
      {"a domain first asked by nobody",
       {evil + "0, first_us = 1 WHERE text = 'evil.example'"},
       "said to be first asked by query 0: there is none"},
      {"a domain of later",
       {evil + "20, first_us = 1700000020000000 WHERE text = 'evil.example'"},
       "said to be first asked by query 20: query 10 was before it"},
      {"a row that was taken out of the catalogue, as if it were still to come",
       {"UPDATE meta SET value = '0' WHERE key = 'listed_upto'", "DELETE FROM listed WHERE asked = 10"},
       "asked 10 is not in the catalogue: the views do not show it"},
      {"the last row likewise",
       {"UPDATE meta SET value = '0' WHERE key = 'listed_upto'", "DELETE FROM listed WHERE asked = 302"},
       "asked 302 is not in the catalogue: the views do not show it"},
      {"a domain's total",
       {"UPDATE domain_total SET queries = queries - 1 WHERE domain = 1"},
       "the total of domain 1 is not the sum of its days"},
      {"a domain's total, gone",
       {"DELETE FROM domain_total WHERE domain = 1"},
       "the total of domain 1 is not the sum of its days"},
      {"a sandbox's total",
       {"UPDATE sandbox_total SET charge_millibits = 1"},
       "the total of sandbox 1 is not the sum of its days"},
      {"a row of the catalogue for a query that there is none of",
       {"INSERT INTO listed VALUES (1, 999, 1)"},
       "asked 999 is in the catalogue, and sandbox 1 has no such query"},
      {"a row of the catalogue for another sandbox's query",
       {"INSERT INTO listed SELECT 2, asked, name FROM listed WHERE asked = 10"},
       "asked 10 is in the catalogue, and sandbox 2 has no such query"},
  };
  const Folder folder(Folder::Where::in_memory);
  write_queries(*must_open(folder.file("original.db")));
  CHECK(verdict(folder.file("original.db")) == "consistent");
  CHECK(must_verify(folder.file("original.db")).unlisted == 0);
  for (const Attack& attack : attacks) {
    CAPTURE(std::string(attack.what));
    copy(folder);
    run_all(folder.file(), attack.sql);
    const std::string said = verdict(folder.file());
    CAPTURE(said);
    CHECK(said.ends_with(attack.named));
  }
}

TEST_CASE("an index that does not hold all of its table is named") {
  const Folder folder(Folder::Where::in_memory);
  write_queries(*must_open(folder.file("original.db")));
  for (const char* index : {"name_by_reversed", "asked_by_time", "listed_by_name", "domain_by_text"}) {
    CAPTURE(std::string(index));
    copy(folder);
    const std::string text =
        Sql(folder.file()).one_now(std::string("SELECT sql FROM sqlite_schema WHERE name = '") + index + "'");
    // Made partial, so that it is empty, and its text put back.
    for (const std::string& as : {text + " WHERE 0", text}) {
      const std::string version = Sql(folder.file()).one_now("PRAGMA schema_version");
      run_all(folder.file(), {"PRAGMA writable_schema = ON", without(index, as),
                              "PRAGMA schema_version = " + std::to_string(std::stoi(version) + 1)});
      if (as != text) run_all(folder.file(), {std::string("REINDEX ") + index});
    }
    const std::string said = verdict(folder.file());
    CAPTURE(said);
    CHECK(said.starts_with("table "));
    CHECK(said.find("or an index of it does not hold what it must: ") != std::string::npos);
    CHECK(said.find(index) != std::string::npos);
  }
}

TEST_CASE("what a killed writer did not list is told, what an earlier one listed must be there") {
  const Folder folder(Folder::Where::in_memory);
  write_queries(*must_open(folder.file()));
  write_and_die(folder.file());
  // As if the kill had come before anything of its boot was listed.
  run_all(folder.file(),
          {"UPDATE meta SET value = '0' WHERE key = 'listed_upto'", "DELETE FROM listed WHERE asked > 302"});
  const VerifyReport report = must_verify(folder.file());
  CHECK(verdict(report) == "consistent");
  CHECK(report.unlisted == 302);
  CHECK(report.first_unlisted > 302);
  run_all(folder.file(), {"INSERT INTO listed VALUES (1, 999999, 1)"});
  CHECK(verdict(folder.file()) == "asked 999999 is in the catalogue, and sandbox 1 has no such query");
  run_all(folder.file(), {"DELETE FROM listed WHERE asked = 999999"});
  run_all(folder.file(), {"DELETE FROM listed WHERE asked = 302"});
  CHECK(verdict(folder.file()) == "asked 302 is not in the catalogue: the views do not show it");
}

TEST_CASE("a clean end that did not wait for the whole catalogue says so under seal") {
  for (const bool waited : {false, true}) {
    CAPTURE(waited);
    const Folder folder(Folder::Where::in_memory);
    write_and_die(folder.file());
    run_all(folder.file(),
            {"UPDATE meta SET value = '9' WHERE key = 'listed_upto'", "DELETE FROM listed WHERE asked = 10"});
    end_with(folder.file(), waited ? seal_closing : seal_closing | seal_unlisted);
    const VerifyReport report = must_verify(folder.file());
    CHECK(report.closed);
    if (waited) {
      CHECK(verdict(report) == "asked 10 is not in the catalogue: the views do not show it");
      continue;
    }
    CHECK(verdict(report) == "consistent");
    CHECK(report.first_unlisted == 10);
    run_all(folder.file(), {"DELETE FROM listed WHERE asked = 9"});
    CHECK(verdict(folder.file()) == "asked 9 is not in the catalogue: the views do not show it");
  }
}

TEST_CASE("a domain is first asked by the query with the lowest number, in whatever order they are listed") {
  const Folder folder(Folder::Where::in_memory);
  {
    const auto journal = must_open(folder.file());
    const RowId id = journal->reserve(3);
    const auto write = [&](RowId row, const std::string& text) {
      CHECK(write_one(*journal, asked(row, text)) == true);
      REQUIRE(eventually(*journal, [&](const auto&) {
        return Sql(folder.file())
                   .one_now("SELECT count(*) FROM listed WHERE asked = " + std::to_string(row)) == "1";
      }));
    };
    write(id + 1, "b.example.com");
    write(id, "a.example.com");
    write(id + 2, "c.example.com");
    CHECK(Sql(folder.file())
              .one_now("SELECT first_asked - " + std::to_string(id) + ", first_us - " +
                       std::to_string(asked(id).time_us) + " FROM domain WHERE text = 'example.com'") ==
          "0|0");
  }
  CHECK(verdict(folder.file()) == "consistent");
}

TEST_CASE(
    "a text that is asked for both as a hidden secret and as it stands has one domain, first asked first") {
  // Which of its two registered domains it gets is the one that sorts first: "[" is before "c", after "0".
  for (const std::string tld : {"com", "0x"})
    for (const bool hidden_first : {true, false})
      for (const Listed listed : {Listed::together, Listed::one_by_one, Listed::backwards,
                                  Listed::after_a_kill, Listed::after_a_kill_while_named}) {
        CAPTURE(tld);
        CAPTURE(hidden_first);
        CAPTURE(static_cast<int>(listed));
        const Folder folder(Folder::Where::in_memory);
        const auto pair_of = [&](RowId first) {
          std::array<Asked, 2> pair{asked(first, "[secret:tok]." + tld),
                                    asked(first + 1, "[secret:tok]." + tld)};
          pair[hidden_first ? 0 : 1].registered_labels = 1;
          return pair;
        };
        if (listed >= Listed::after_a_kill)
          die_with(folder.file(), [&](Journal& journal) {
            const auto pair = pair_of(journal.reserve(2));
            return submit_and_wait(journal, {&pair[0], &pair[1]}) == true;
          });
        if (listed == Listed::after_a_kill_while_named) {
          auto file = JournalFile::open(at(folder.file()));
          REQUIRE(file.has_value());
          NameBook names;
          auto lister = Lister::create(file->connection(), names, file->first_id(), file->boot());
          REQUIRE(lister.has_value());
          while (Sql(folder.file()).one_now("SELECT count(*) FROM name") == "0")
            REQUIRE((*lister)->step() == SQLITE_OK);
          CHECK(Sql(folder.file()).one_now("SELECT count(*) FROM listed") == "0");
        }
        {
          const auto journal = must_open(folder.file());
          const auto pair = pair_of(journal->reserve(2));
          if (listed == Listed::one_by_one || listed == Listed::backwards) {
            for (const int i : {listed == Listed::backwards ? 1 : 0, listed == Listed::backwards ? 0 : 1}) {
              REQUIRE(write_one(*journal, pair[static_cast<std::size_t>(i)]) == true);
              Sql(folder.file()).wait_until_listed();
            }
          } else {
            REQUIRE(submit_and_wait(*journal, {&pair[0], &pair[1]}) == true);
          }
        }
        Sql sql(folder.file());
        CHECK(sql.one_now("SELECT count(*) FROM name") == "1");
        CHECK(sql.one_now("SELECT count(*) FROM domain WHERE id > 0 AND first_asked <>"
                          " (SELECT min(asked) FROM listed)") == "0");
        CHECK(verdict(folder.file()) == "consistent");
      }
}

TEST_CASE(
    "who asked first is let pass where retention has removed it, and where it is older than the seals") {
  const Folder folder(Folder::Where::in_memory);
  {
    auto options = at(folder.file());
    options.sealed = false;
    write_queries(*must_open(options));
  }
  write_queries(*must_open(folder.file()));
  CHECK(verdict(folder.file()) == "consistent");
  // Nobody vouches for the rows before the seals; by their names they are held against all the same.
  run_all(folder.file(), {"UPDATE domain SET first_us = 1 WHERE text = 'evil.example'"});
  CHECK(verdict(folder.file()) == "consistent");
  run_all(folder.file(), {"UPDATE name SET domain = 0 WHERE text = 'n10.evil.example'"});
  CHECK(must_verify(folder.file()).verdict == VerifyReport::Verdict::altered);
}

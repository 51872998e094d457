// What a session has spent, read back: snapshots, grants, rows after them, and nothing of anybody else's.
#include "resolver/journal/schema.h"
#include "tests/unit/journal/support.h"

using namespace postern;
using namespace postern::test;

namespace {

Sandbox sandbox_of(const std::string& user, const std::string& session) {
  Sandbox who;
  who.name = user + "-" + session;
  who.user = user;
  who.session = session;
  return who;
}

Asked charged_row(Journal& journal, SandboxId sandbox, const std::string& text, std::uint32_t charge) {
  Asked row = asked(journal.reserve(1), text, sandbox);
  row.action = Action::allow;
  row.charge_millibits = charge;
  return row;
}

// Snapshots are written when there is time: an empty batch goes through after them.
void settle(Journal& journal) {
  REQUIRE(submit_and_wait(journal, {}) == true);
}

}  // namespace

TEST_CASE(
    "the past of a session is its charged rows and refreshes, in order, with the octets of their answers") {
  const Folder folder;
  const auto journal = must_open(folder.file());
  const SandboxId one = *journal->attach(sandbox_of("ann", "s"), 1),
                  again = *journal->attach(sandbox_of("ann", "s"), 2),
                  other = *journal->attach(sandbox_of("ann", "t"), 3),
                  bob = *journal->attach(sandbox_of("bob", "s"), 4);
  std::deque<Asked> rows;
  rows.push_back(charged_row(*journal, one, "a\\.b.example.com", 20'001));
  rows.push_back(charged_row(*journal, one, "cached.example.com", 0));
  rows.push_back(charged_row(*journal, other, "other.example.com", 30'000));
  rows.push_back(charged_row(*journal, bob, "bob.example.com", 40'000));
  rows.push_back(charged_row(*journal, again, "a\\.b.example.com", 0));
  rows.back().refresh = true;
  rows.push_back(charged_row(*journal, again, "b.example.com", 9'000));
  std::vector<const Asked*> batch;
  for (const Asked& row : rows) batch.push_back(&row);
  REQUIRE(submit_and_wait(*journal, batch) == true);
  journal->append(Outcome{.asked = rows[0].id, .octets = 77, .data = {}});
  settle(*journal);

  auto past = journal->past("ann", "s");
  REQUIRE_MESSAGE(past.has_value(), (past ? "" : past.error().message));
  REQUIRE(past->forwards.size() == 3);
  CHECK(past->forwards[0].name.text() == "a\\.b.example.com");
  CHECK(past->forwards[0].charge_millibits == 20'001);
  CHECK(past->forwards[0].answer_octets == 77);
  CHECK(past->forwards[1].refresh);
  CHECK(past->forwards[1].answer_octets == -1);
  CHECK(past->forwards[2].name.text() == "b.example.com");
  CHECK(past->user_millibits == 59'001);
  CHECK(past->snapshot.octets.empty());

  // A snapshot stands for the rows up to its own; the newer of two stands.
  journal->save({"ann", "s", rows[0].id, 0, 5, std::string("\0old", 4)});
  journal->save({"ann", "s", rows[4].id, 0, 6, std::string("\0new", 4)});
  journal->save({"ann", "", rows[4].id, 0, 6, "50001"});
  settle(*journal);
  past = journal->past("ann", "s");
  CHECK(past->snapshot.octets == std::string("\0new", 4));
  REQUIRE(past->forwards.size() == 1);
  CHECK(past->forwards[0].name.text() == "b.example.com");
  CHECK(past->user_millibits == 59'001);
  CHECK(journal->past("ann", "s", true)->forwards.size() == 3);
  CHECK(journal->past("ann", "t")->snapshot.octets.empty());
  CHECK(journal->past("nobody", "s")->forwards.empty());
  CHECK(*journal->users_of("s") == std::vector<std::string>{"ann", "bob"});
  CHECK(journal->users_of("none")->empty());
}

TEST_CASE("a grant is on record before it is told, and only those after the snapshot are read again") {
  const Folder folder;
  const auto journal = must_open(folder.file());
  const auto first = journal->grant({0, 7, "ann", "s", "example.com", 64});
  const auto second = journal->grant({0, 8, "ann", "s", "", 1024});
  REQUIRE(first.has_value());
  REQUIRE(second.has_value());
  CHECK(*second == *first + 1);
  CHECK(Sql(folder.file()).one("SELECT user, session, zone, octets FROM grants ORDER BY id DESC LIMIT 1") ==
        "ann|s||1024");
  CHECK(journal->past("ann", "s")->grants.size() == 2);
  journal->save({"ann", "s", 0, *first, 9, "x"});
  settle(*journal);
  REQUIRE(journal->past("ann", "s")->grants.size() == 1);
  CHECK(journal->past("ann", "s")->grants[0].octets == 1024);
}

TEST_CASE("a file of version 1 is brought up, and what was charged there counts") {
  const Folder folder;
  {
    auto connection = Connection::open(folder.file(), SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE);
    REQUIRE(connection.has_value());
    REQUIRE(migrate(*connection, migrations().first(1)).has_value());
    REQUIRE(seed_vocabulary(*connection).has_value());
    REQUIRE(
        connection
            ->run(
                "INSERT INTO boot VALUES (1, 'b', 1, 1, 1, '0', 1);"
                "INSERT INTO sandbox VALUES (1, 1, 'box', 's', 'ann', '', '{}', 'default', 1, 1, 2);"
                "INSERT INTO asked VALUES (1, 1, 1, 1, 'a.example.com', 3, 1, 0, 2, 0, -1, -1, 0, 0, 12345)")
            .has_value());
  }
  const auto journal = must_open(folder.file());
  const auto past = journal->past("ann", "s");
  REQUIRE(past.has_value());
  REQUIRE(past->forwards.size() == 1);
  CHECK(past->forwards[0].charge_millibits == 12345);
  CHECK(Sql(folder.file()).one("SELECT name, refresh FROM queries") == "a.example.com|0");
}

TEST_CASE("the charged rows of a session are found by their index, not by reading the whole table") {
  const Folder folder;
  const auto journal = must_open(folder.file());
  std::string plan;
  for (const std::string& step :
       Sql(folder.file())
           .rows(
               "EXPLAIN QUERY PLAN SELECT a.id, a.charge_millibits FROM asked AS a"
               " LEFT JOIN outcome AS o ON o.asked = a.id"
               " WHERE a.sandbox IN (SELECT id FROM sandbox WHERE session = 's' AND user = 'u') AND a.id > 5"
               " AND (charge_millibits > 0 OR flags & 4 <> 0) ORDER BY a.id"))
    plan += step + "\n";
  CHECK_MESSAGE(plan.find("USING INDEX asked_charged") != std::string::npos, plan);
  CHECK_MESSAGE(plan.find("SCAN a") == std::string::npos, plan);
}

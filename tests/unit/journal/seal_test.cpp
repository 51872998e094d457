// Seals: an honest journal verifies, and whatever is done to one is named.
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "resolver/journal/care.h"
#include "resolver/journal/seal_writer.h"
#include "tests/unit/journal/seal_support.h"

using namespace postern;
using namespace postern::test;

TEST_CASE("an untouched journal is consistent, and everything in it is sealed") {
  const Folder folder;
  write_story(folder.file());
  const VerifyReport report = must_verify(folder.file());
  CHECK(verdict(report) == "consistent");
  CHECK(report.closed);
  CHECK(report.unsealed == 0);
  CHECK(report.unsealed_before == 0);
  CHECK(report.recovered == 0);
  CHECK(report.blocks >= 5011 / SealWriter::block_records + 1);  // full ones, and that of the clean end
  // asked, outcome, two sandboxes, one end, two alerts, a grant, a rule, the boot and its end.
  CHECK(report.records == 3000 + 2000 + 2 + 1 + 2 + 1 + 1 + 2);
}

TEST_CASE("a clean restart leaves a journal consistent") {
  const Folder folder;
  for (int i = 0; i < 3; ++i) write_story(folder.file(), 100);
  CHECK(verdict(folder.file()) == "consistent");
  CHECK(must_verify(folder.file()).recovered == 0);
}

TEST_CASE("what is done to a journal is named") {
  struct Attack {
    const char* what;
    const char* sql;
    const char* named;
  };
  const Attack attacks[] = {
      {"a name", "UPDATE asked SET name = 'x.example', name_id = 0 WHERE id = 1500",
       "asked 1500 was changed"},
      {"a name, by its number", "UPDATE asked SET name_id = 1, name = '' WHERE id = 1500",
       "asked 1500 was changed"},
      {"a name in the catalogue", "UPDATE listed SET name = 1 WHERE asked = 1500",
       "asked 1500 is in the catalogue under another name: the views show that one"},
      {"a row of the catalogue", "DELETE FROM listed WHERE asked = 1500",
       "asked 1500 is not in the catalogue: the views do not show it"},
      {"a domain", "UPDATE domain SET text = 'example.org' WHERE text = 'example.com'",
       "name 1 is counted for domain \"example.org\", and is not below it"},
      {"a time, by a microsecond", "UPDATE asked SET time_us = time_us + 1 WHERE id = 1",
       "asked 1 was changed"},
      {"a clock", "UPDATE asked SET monotonic_us = 0 WHERE id = 2", "asked 2 was changed"},
      {"a sandbox", "UPDATE asked SET sandbox = 2 WHERE id = 3000", "asked 3000 was changed"},
      {"a type", "UPDATE asked SET type = 28 WHERE id = 65", "asked 65 was changed"},
      {"an action", "UPDATE asked SET action = 1 WHERE id = 1024", "asked 1024 was changed"},
      {"a reason", "UPDATE asked SET reason = 1 WHERE id = 1024", "asked 1024 was changed"},
      {"a rule", "UPDATE asked SET rule = 0 WHERE id = 1025", "asked 1025 was changed"},
      {"an rcode", "UPDATE asked SET rcode = 3 WHERE id = 9", "asked 9 was changed"},
      {"an ede", "UPDATE asked SET ede = 15 WHERE id = 9", "asked 9 was changed"},
      {"a flag", "UPDATE asked SET flags = 1 WHERE id = 9", "asked 9 was changed"},
      {"a score", "UPDATE asked SET score_milli = 1 WHERE id = 9", "asked 9 was changed"},
      {"a charge", "UPDATE asked SET charge_millibits = 1 WHERE id = 9", "asked 9 was changed"},
      {"two rows swapped",
       "UPDATE asked SET id = -1 WHERE id = 700; UPDATE asked SET id = 700 WHERE id = 2700;"
       "UPDATE asked SET id = 2700 WHERE id = -1",
       "asked 700 was changed"},
      {"a row in the middle removed", "DELETE FROM asked WHERE id = 1234", "asked 1234 was removed"},
      {"the last rows removed", "DELETE FROM asked WHERE id > 2990",
       "asked 2991 was removed, and 9 more of its block after it"},
      {"a row inserted",
       "INSERT INTO asked SELECT 5000, time_us, monotonic_us, sandbox, 'planted.example', 1, type, action,"
       " reason, rule, rcode, ede, flags, score_milli, charge_millibits, 0 FROM asked WHERE id = 1500",
       "asked 5000 was inserted, or the block that covered it was removed"},
      {"an outcome changed", "UPDATE outcome SET data = '198.51.100.1' WHERE asked = 5",
       "outcome 5 was changed"},
      {"an outcome's octets", "UPDATE outcome SET octets = 1 WHERE asked = 5", "outcome 5 was changed"},
      {"an outcome removed", "DELETE FROM outcome WHERE asked = 5", "outcome 5 was removed"},
      {"an outcome inserted",
       "INSERT INTO outcome SELECT 4, time_us, 0, 0, 0, 0, -1, -1, 0, '', 0 FROM outcome WHERE asked = 5",
       "outcome 4 was inserted, or the block that covered it was removed"},
      {"an alert's evidence", "UPDATE alert SET evidence = '{}' WHERE id = 1", "alert 1 was changed"},
      {"an alert's score", "UPDATE alert SET score = 0.5 WHERE id = 2", "alert 2 was changed"},
      {"an alert removed", "DELETE FROM alert WHERE id = 2", "alert 2 was removed"},
      {"a sandbox's session", "UPDATE sandbox SET session = 's-two' WHERE id = 1", "sandbox 1 was changed"},
      {"a sandbox's user", "UPDATE sandbox SET user = 'u2' WHERE id = 2", "sandbox 2 was changed"},
      {"a sandbox's labels", "UPDATE sandbox SET labels = '{}' WHERE id = 2", "sandbox 2 was changed"},
      {"a sandbox's end moved", "UPDATE sandbox SET detached_us = 1700000000000009 WHERE id = 1",
       "end of sandbox 1 was changed"},
      {"a sandbox's end taken back", "UPDATE sandbox SET detached_us = 0 WHERE id = 1",
       "end of sandbox 1 was removed"},
      {"a sandbox's end made up", "UPDATE sandbox SET detached_us = 1700000000000009 WHERE id = 2",
       "end of sandbox 2 was inserted, or the block that covered it was removed"},
      {"a rule's text", "UPDATE rule SET text = 'policy.yaml:9:9 allow **' WHERE id = 1",
       "rule 1 was changed"},
      {"a grant", "UPDATE leak_grant SET octets = 1 WHERE id = 1", "leak_grant 1 was changed"},
      {"a boot's id", "UPDATE boot SET boot_id = 'x' WHERE id = 1", "boot 1 was changed"},
      {"a boot's end", "UPDATE boot SET ended_us = 0 WHERE id = 1", "end of boot 1 was removed"},
      {"two blocks swapped",
       "UPDATE seal SET block = -1 WHERE block = 2; UPDATE seal SET block = 2 WHERE block = 3;"
       "UPDATE seal SET block = 3 WHERE block = -1",
       "block 2 was changed, or the one before it was put in its place: its head does not fit"},
      {"a block removed", "DELETE FROM seal WHERE block = 2", "block 2 is missing"},
      {"the first block removed", "DELETE FROM seal WHERE block = 1", "block 1 is missing"},
      {"a block's leaves", "UPDATE seal SET leaves = zeroblob(length(leaves)) WHERE block = 3",
       "block 3 was changed, or the one before it was put in its place: its head does not fit"},
      {"a block's time", "UPDATE seal SET time_us = time_us + 1 WHERE block = 3",
       "block 3 was changed, or the one before it was put in its place: its head does not fit"},
      {"a block's mark of a kill", "UPDATE seal SET flags = 1 WHERE block = 3",
       "block 3 was changed, or the one before it was put in its place: its head does not fit"},
      {"the last block alone", "DELETE FROM seal WHERE block = (SELECT max(block) FROM seal)",
       ""},  // which record is the first, the order of writing decides
      {"the words", "UPDATE action SET name = 'allowed' WHERE id = 1", "the word for action 1 was changed"},
      {"a type's word", "UPDATE rr_type SET name = 'A' WHERE id = 16", "the word for type 16 was changed"},
      {"a view", "DROP VIEW alerts; CREATE VIEW alerts AS SELECT * FROM alert WHERE 0",
       "view alerts was changed"},
      {"a trigger", "CREATE TRIGGER t AFTER INSERT ON alert BEGIN DELETE FROM alert; END",
       "trigger t was added"},
      {"a table", "DROP VIEW alerts; ALTER TABLE alert RENAME TO old_alert",
       "index alert_by_sandbox was changed"},
  };
  const Folder folder;
  write_story(folder.file("original.db"));
  for (const Attack& attack : attacks) {
    CAPTURE(std::string(attack.what));
    std::filesystem::copy_file(folder.file("original.db"), folder.file(),
                               std::filesystem::copy_options::overwrite_existing);
    {
      Sql sql(folder.file());
      sql.rows("PRAGMA foreign_keys = OFF");
      std::string_view rest = attack.sql;
      while (!rest.empty()) {
        // A trigger's body has semicolons of its own.
        const std::size_t end = rest.starts_with("CREATE TRIGGER") ? std::string_view::npos : rest.find(';');
        sql.rows(std::string(rest.substr(0, end)));
        rest = end == std::string_view::npos ? "" : rest.substr(end + 1);
      }
    }
    const VerifyReport report = must_verify(folder.file());
    CHECK(report.verdict == VerifyReport::Verdict::altered);
    CHECK(verdict(report).substr(0, std::string_view(attack.named).size()) == attack.named);
    if (*attack.named != '\0') CHECK(verdict(report).size() == std::strlen(attack.named));
  }
}

TEST_CASE("an index or a view of the operator's own alters nothing") {
  const Folder folder;
  write_story(folder.file(), 100);
  Sql sql(folder.file());
  sql.rows("CREATE INDEX mine ON asked (name)");
  sql.rows("CREATE VIEW my_view AS SELECT 1");
  CHECK(verdict(folder.file()) == "consistent");
}

TEST_CASE("after kill -9 a journal is consistent, also before anybody has opened it again") {
  const Folder folder;
  for (int round = 0; round < 3; ++round) {
    CAPTURE(round);
    const pid_t child = ::fork();
    REQUIRE(child >= 0);
    if (child == 0) {
      auto journal = Journal::open(at(folder.file()));
      if (!journal) ::_exit(2);
      const auto one = (*journal)->attach(sandbox("one"), 1'700'000'000'000'000);
      write_rows(**journal, 500, *one);
      (*journal)->alert(alert_row(*one, 5));
      LeakGrant grant;
      grant.user = "u1";
      (void)(*journal)->grant(grant);  // waits for the disk, so for what came before
      ::raise(SIGKILL);
    }
    int status = 0;
    REQUIRE(::waitpid(child, &status, 0) == child);
    REQUIRE(WIFSIGNALED(status));
    const VerifyReport killed = must_verify(folder.file());
    CHECK(verdict(killed) == "consistent");
    CHECK_FALSE(killed.closed);
    CHECK(killed.unsealed > 0);
    CHECK_FALSE(killed.first_unsealed.empty());
  }
  // What an earlier writer left is sealed: nothing may come to it, whatever time it bears.
  for (const auto& [sql, named] : {
           std::pair{"INSERT INTO asked SELECT 600, 9000000000000000, monotonic_us, sandbox, "
                     "'planted.example', 1, type,"
                     " action, reason, rule, rcode, ede, flags, score_milli, charge_millibits, 0"
                     " FROM asked WHERE id = 7",
                     "asked 600 was inserted, or the block that covered it was removed"},
           {"UPDATE sandbox SET detached_us = 9000000000000000 WHERE id = 1",
            "end of sandbox 1 was inserted, or the block that covered it was removed"},
       }) {
    std::filesystem::remove(folder.file("smuggled.db"));
    REQUIRE(backup_journal(folder.file(), folder.file("smuggled.db")).has_value());
    Sql(folder.file("smuggled.db")).rows(sql);
    CHECK(verdict(folder.file("smuggled.db")) == named);
  }
  must_open(folder.file());
  const VerifyReport after = must_verify(folder.file());
  CHECK(verdict(after) == "consistent");
  CHECK(after.unsealed == 0);
  CHECK(after.recovered > 0);
  CHECK(after.closed);
}

TEST_CASE("what an earlier boot has sealed is not sealed again after a kill") {
  const Folder folder;
  write_story(folder.file(), 3000);
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    auto journal = Journal::open(at(folder.file()));
    if (!journal) ::_exit(2);
    write_rows(**journal, 100);
    ::raise(SIGKILL);
  }
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  REQUIRE(WIFSIGNALED(status));
  CHECK(verdict(folder.file()) == "consistent");
  must_open(folder.file());
  CHECK(verdict(folder.file()) == "consistent");
}

TEST_CASE("numbers say what may still be without a seal: a little behind the last one, and of this boot") {
  SealSet covered;
  covered.add({SealKind::asked, 1, 3'000'000});
  SealTail tail;
  tail.covered = &covered;
  tail.first_asked = 100;
  tail.first_sandbox = 5;
  CHECK(tail.allows(SealKind::asked, 3'000'001));
  CHECK(tail.allows(SealKind::asked, 3'000'001 - SealTail::asked_behind));
  CHECK_FALSE(tail.allows(SealKind::asked, 3'000'000 - SealTail::asked_behind));
  CHECK(tail.allows(SealKind::outcome, 3'000'001 - SealTail::outcome_behind));
  CHECK_FALSE(tail.allows(SealKind::outcome, 3'000'000 - SealTail::outcome_behind));
  tail.first_asked = 3'000'000;
  CHECK(tail.allows(SealKind::outcome, 3'000'000));
  CHECK_FALSE(tail.allows(SealKind::outcome, 2'999'999));
  CHECK(tail.allows(SealKind::detached, 5));
  CHECK_FALSE(tail.allows(SealKind::detached, 4));
  tail.closed = true;
  CHECK_FALSE(tail.allows(SealKind::asked, 3'000'001));
}

TEST_CASE("while it is written, a journal is consistent at any moment") {
  const Folder folder;
  const auto journal = must_open(folder.file());
  std::atomic<bool> done = false;
  std::thread writer([&] {
    for (int i = 0; i < 8; ++i) write_rows(*journal, 1000);
    done = true;
  });
  int looks = 0;
  std::string wrong;
  while (!done || looks == 0) {
    const auto report = verify(folder.file());
    const std::string said = report ? verdict(*report) : report.error().message;
    if (said != "consistent") wrong = said;
    ++looks;
  }
  writer.join();
  CHECK(wrong.empty());
}

TEST_CASE("rows from before the first block are told, and not called inserted") {
  const Folder folder;
  {
    auto options = at(folder.file());
    options.sealed = false;
    const auto journal = must_open(options);
    write_rows(*journal, 90);
    journal->alert(alert_row(1, 5));
  }
  const auto never = verify(folder.file());
  REQUIRE_FALSE(never.has_value());
  CHECK(never.error().message.find("was never sealed") != std::string::npos);
  write_story(folder.file(), 100);
  const VerifyReport report = must_verify(folder.file());
  CHECK(verdict(report) == "consistent");
  CHECK(report.unsealed_before == 90 + 60 + 1 + 1 + 2);  // asked, outcome, alert, rule, boot and its end
  Sql sql(folder.file());
  sql.rows("UPDATE asked SET rcode = 3 WHERE id = 80");
  CHECK(verdict(folder.file()) == "consistent");  // nobody vouches for it
  sql.rows("UPDATE asked SET rcode = 3 WHERE id = (SELECT max(id) FROM asked)");
  CHECK(must_verify(folder.file()).verdict == VerifyReport::Verdict::altered);
}

TEST_CASE("a second outcome of a query is neither kept nor sealed") {
  const Folder folder;
  {
    const auto journal = must_open(folder.file());
    const RowId id = journal->reserve(2);
    CHECK(write_one(*journal, asked(id)) == true);
    CHECK(write_one(*journal, asked(id + 1)) == true);
    for (const char* data : {"192.0.2.1", "192.0.2.2"}) {
      journal->append(Outcome{.asked = id, .time_us = 1, .data = data});
      journal->append(Outcome{.asked = id + 1, .time_us = 1, .data = data});
    }
    REQUIRE(eventually(*journal, [](const auto& stats) { return stats.pending_outcomes == 0; }));
    journal->append(Outcome{.asked = id, .time_us = 1, .data = "192.0.2.3"});
  }
  CHECK(verdict(folder.file()) == "consistent");
  CHECK(Sql(folder.file()).one("SELECT count(*) FROM outcome") == "2");
}

TEST_CASE("a transaction that failed leaves nothing in the block") {
  const Folder folder;
  {
    const auto journal = must_open(folder.file());
    const RowId id = journal->reserve(3);
    CHECK(write_one(*journal, asked(id)) == true);
    CHECK(write_one(*journal, asked(id)) == false);  // an id twice
    CHECK(write_one(*journal, asked(id + 1)) == true);
  }
  const VerifyReport report = must_verify(folder.file());
  CHECK(verdict(report) == "consistent");
  CHECK(report.records == 5);  // two queries, the gap of the refused one, the boot and its end
}

TEST_CASE("a name that many queries share, changed in its one place, is named by the first of them") {
  const Folder folder;
  {
    const auto journal = must_open(folder.file());
    for (int round = 0; round < 2; ++round) {
      const RowId id = journal->reserve(1);
      CHECK(write_one(*journal, asked(id, "shared.example.com")) == true);
      // Listed, so that the next row has the name's number.
      REQUIRE(eventually(*journal, [&](const auto&) {
        return Sql(folder.file()).one("SELECT count(*) FROM listed") == std::to_string(round + 1);
      }));
    }
  }
  CHECK(verdict(folder.file()) == "consistent");
  Sql sql(folder.file());
  CHECK(sql.one("SELECT count(*) FROM asked WHERE name_id <> 0") == "1");
  sql.rows("UPDATE name SET text = 'another.example.com'");
  CHECK(verdict(folder.file()) == "asked 2 was changed");
}

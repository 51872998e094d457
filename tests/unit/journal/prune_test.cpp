// Retention: what is too old or too much goes, in steps; what must stay, stays; the seals still hold.
#include <signal.h>

#include "resolver/journal/journal_file.h"
#include "resolver/journal/pruner.h"
#include "tests/support/fault_vfs.h"
#include "tests/unit/journal/prune_support.h"

using namespace postern;
using namespace postern::test;

TEST_CASE("queries that are too old go with all that only they refer to, and younger ones stay") {
  const Folder folder;
  {
    const auto journal = must_open(folder.file());
    const SandboxId one = *journal->attach(sandbox("one"), now_us() - 40 * day_us);
    write_aged(*journal, 3000, 31 * day_us, one, "old.example");
    write_aged(*journal, 500, 29 * day_us, one, "young.example");
  }
  const auto domains = "SELECT text FROM domain ORDER BY id";
  prune(folder.file(), kept_for(30 * day_us, 400 * day_us));
  Sql sql(folder.file());
  CHECK(sql.one("SELECT count(*), min(registered_domain) FROM queries") == "500|young.example");
  CHECK(sql.one("SELECT count(*) FROM asked") == "500");
  CHECK(sql.one("SELECT count(*) FROM outcome") == "500");
  CHECK(sql.one("SELECT count(*) FROM listed") == "500");
  CHECK(sql.one("SELECT count(*) FROM name") == "500");
  CHECK(sql.one("SELECT count(*) FROM resolved") == "500");
  // The sum of the day stays as long as alerts do, and so does its domain.
  CHECK(sql.one("SELECT sum(queries) FROM usage") == "3500");
  CHECK(sql.rows(domains) == std::vector<std::string>{"", "old.example", "young.example"});
  check_sound(folder.file());
  prune(folder.file(), kept_for(30 * day_us, 30 * day_us));
  CHECK(sql.rows(domains) == std::vector<std::string>{"", "young.example"});
  check_sound(folder.file());
  // By hand is not by retention.
  sql.rows("DELETE FROM asked WHERE id = 3200");
  CHECK(verdict(folder.file()) == "asked 3200 was removed");
}

TEST_CASE(
    "a file that is too large loses its oldest queries until it is small enough, and its pages are used "
    "again") {
  const Folder folder(Folder::Where::in_memory);
  const Retention keep = kept_up_to(1 << 20);
  const auto journal = must_open(keeping(folder.file(), keep));
  const SandboxId one = *journal->attach(sandbox("one"), now_us() - 2 * hour_us);
  for (int i = 0; i < 40; ++i) write_aged(*journal, 500, 2 * hour_us - i * 1'000'000, one);
  REQUIRE(eventually(*journal, [&](const auto& stats) {
    return stats.pruned_rows > 5000 && stats.used_octets <= keep.octets && stats.waiting_rows == 0;
  }));
  Sql sql(folder.file());
  const auto size = sql.one("PRAGMA page_count");
  for (int i = 0; i < 40; ++i) write_aged(*journal, 500, hour_us - i * 1'000'000, one);
  REQUIRE(eventually(*journal, [&](const auto& stats) {
    return stats.pruned_rows > 25'000 && stats.used_octets <= keep.octets && stats.waiting_rows == 0;
  }));
  CHECK(std::stoi(sql.one("PRAGMA page_count")) < 2 * std::stoi(size));
  CHECK(sql.one("SELECT count(*) = max(id) - min(id) + 1 FROM asked") == "1");  // the oldest, and no others
  CHECK(sql.one("SELECT max(id) FROM asked") == "40000");
}

TEST_CASE("the last minute's queries stay, however large the file is") {
  const Folder folder;
  {
    const auto journal = must_open(folder.file());
    write_aged(*journal, 100, 70'000'000, 1);
    write_aged(*journal, 100, 50'000'000, 1);
  }
  const Retention keep = kept_up_to(1);
  prune(folder.file(), keep);
  CHECK(Sql(folder.file()).one("SELECT count(*) FROM asked") == "100");
  check_sound(folder.file());
}

TEST_CASE(
    "an alert keeps its query and what its sandbox asked of its zone meanwhile, up to a bound, until it "
    "goes") {
  const Folder folder;
  RowId tipping = 0;
  {
    const auto journal = must_open(folder.file());
    const SandboxId one = *journal->attach(sandbox("one"), now_us() - 50 * day_us);
    const SandboxId two = *journal->attach(sandbox("two"), now_us() - 50 * day_us);
    write_aged(*journal, 50, 40 * day_us + hour_us, one, "evil.example");  // before
    write_aged(*journal, 400, 40 * day_us, one, "evil.example");
    write_aged(*journal, 50, 40 * day_us, one, "good.example");
    write_aged(*journal, 50, 40 * day_us, two, "evil.example");
    const Asked last = aged(*journal, 40 * day_us - 100'000'000, one, "evil.example");
    tipping = last.id;
    REQUIRE(write_one(*journal, last) == true);
    AlertRow alert = alert_row(one, tipping);
    alert.zone = "evil.example";
    alert.time_us = last.time_us;
    alert.first_us = last.time_us - 110'000'000;
    alert.last_us = last.time_us;
    journal->alert(alert);
    alert.time_us = now_us();  // a young one, so that the number of the old one is not the newest
    alert.first_us = alert.last_us = alert.asked = 0;
    journal->alert(alert);
  }
  prune(folder.file(), kept_for(30 * day_us, 60 * day_us));
  Sql sql(folder.file());
  CHECK(sql.one("SELECT count(*) FROM asked") == std::to_string(Pruner::evidence_rows + 1));
  CHECK(
      sql.one("SELECT count(*) FROM queries WHERE sandbox = 'one' AND registered_domain = 'evil.example'") ==
      std::to_string(Pruner::evidence_rows + 1));
  CHECK(sql.one("SELECT min(id), max(id) FROM asked") == "51|" + std::to_string(tipping));
  check_sound(folder.file());
  prune(folder.file(), kept_for(30 * day_us, 60 * day_us));  // again, and nothing more goes
  CHECK(sql.one("SELECT count(*) FROM asked") == std::to_string(Pruner::evidence_rows + 1));
  const auto journal = must_open(keeping(folder.file(), kept_for(30 * day_us, 35 * day_us)));
  REQUIRE(eventually(*journal, [](const auto& stats) { return stats.prune_passes >= 2; }));
  CHECK(journal->stats().pruned_alerts == 1);
  CHECK(sql.one("SELECT count(*) FROM asked") == "0");
  CHECK(sql.one("SELECT count(*) FROM alert") == "1");
}

TEST_CASE("a session gains no budget: what no snapshot holds stays, and without one nothing is guessed") {
  const Folder folder;
  RowId upto = 0;
  {
    const auto journal = must_open(folder.file());
    Sandbox who = sandbox("one");
    const SandboxId one = *journal->attach(who, now_us() - 40 * day_us);
    who.name = "two";
    who.session = "other";
    const SandboxId two = *journal->attach(who, now_us() - 40 * day_us);
    write_aged(*journal, 10, 40 * day_us, one, "example.com", 5000);
    upto = journal->reserve(1) - 1;
    write_aged(*journal, 3, 40 * day_us, one, "example.com", 7000);
    write_aged(*journal, 4, 40 * day_us, two, "example.com", 9000);
    journal->save({"u1", "s-one", upto, 0, 1, "ledger"});
    journal->save({"u1", "", upto, 0, 1, "50000"});
    REQUIRE(submit_and_wait(*journal, {}) == true);
  }
  prune(folder.file(), kept_for(30 * day_us, 30 * day_us));
  CHECK(Sql(folder.file()).one("SELECT count(*), min(id) > " + std::to_string(upto) + " FROM asked") ==
        "7|1");
  const auto journal = must_open(folder.file());
  const auto past = journal->past("u1", "s-one");
  REQUIRE(past.has_value());
  CHECK(past->snapshot.octets == "ledger");
  CHECK(past->forwards.size() == 3);
  CHECK(past->user_millibits == 50'000 + 21'000 + 36'000);
  CHECK(past->began_us > 0);
  CHECK(journal->past("u1", "other")->forwards.size() == 4);
  const auto from_rows = journal->past("u1", "s-one", true);
  REQUIRE(!from_rows.has_value());
  CHECK(from_rows.error().message.find("retention has removed queries") != std::string::npos);
}

TEST_CASE(
    "a boot stays while one of its rows does, an attached sandbox always, and no number is drawn again") {
  const Folder folder;
  std::string last;
  for (int boot = 0; boot < 3; ++boot) {
    const auto journal = must_open(folder.file());
    const SandboxId one = *journal->attach(sandbox("b" + std::to_string(boot)), now_us() - 40 * day_us);
    write_aged(*journal, 20, boot > 0 ? day_us : 40 * day_us, one);
    journal->detach(one, now_us() - 39 * day_us);
  }
  {
    const auto journal = must_open(keeping(folder.file(), kept_for(30 * day_us, 30 * day_us)));
    const SandboxId attached = *journal->attach(sandbox("attached"), now_us() - 40 * day_us);
    CHECK(attached == 4);
    REQUIRE(eventually(*journal, [](const auto& stats) { return stats.prune_passes >= 1; }));
    Sql sql(folder.file());
    CHECK(sql.rows("SELECT id FROM boot ORDER BY id") == std::vector<std::string>{"2", "3", "4"});
    CHECK(sql.rows("SELECT name FROM sandbox ORDER BY id") ==
          std::vector<std::string>{"b1", "b2", "attached"});
    CHECK(sql.one("SELECT count(*), min(boot_id <> ''), min(monotonic_us) > 0 FROM queries") == "40|1|1");
    check_sound(folder.file());
    last = std::to_string(journal->reserve(1));
  }
  Sql(folder.file()).rows("UPDATE boot SET ended_us = 0 WHERE id = 4");
  CHECK(must_open(folder.file())->reserve(1) > std::stoll(last));
}

TEST_CASE("a row of a time to come stays, and stops nobody") {
  const Folder folder;
  {
    const auto journal = must_open(folder.file());
    write_aged(*journal, 10, 40 * day_us, 1);
    write_aged(*journal, 10, -40 * day_us, 1);
    write_aged(*journal, 10, 40 * day_us, 1);
  }
  prune(folder.file(), kept_for(30 * day_us));
  CHECK(Sql(folder.file()).one("SELECT count(*), min(id), max(id) FROM asked") == "10|11|20");
  check_sound(folder.file());
}

TEST_CASE("a name that went and is asked for again gets its row, and its address, again") {
  const Folder folder;
  const Retention keep = kept_up_to(1);  // all that is old enough goes, a second later
  const auto journal = must_open(keeping(folder.file(), keep));
  const auto ask = [&](std::int64_t ago_us) {
    Asked row = asked(journal->reserve(1), "www.again.example");
    row.time_us = now_us() - ago_us;
    REQUIRE(write_one(*journal, row) == true);
    journal->append(Outcome{.asked = row.id, .rcode = 0, .data = "192.0.2.7"});
  };
  Sql sql(folder.file());
  for (const std::uint64_t time : {1, 2}) {
    ask(2 * hour_us);
    REQUIRE(eventually(*journal, [&](const auto& stats) { return stats.pruned_rows == time; }));
    REQUIRE(eventually(*journal, [&](const auto&) {
      return sql.one_now("SELECT (SELECT count(*) FROM name) + (SELECT count(*) FROM resolved)") == "0";
    }));
  }
  ask(0);
  CHECK(sql.one("SELECT name, registered_domain FROM queries") == "www.again.example|again.example");
  REQUIRE(eventually(*journal, [&](const auto&) {
    return sql.one_now("SELECT count(*) FROM resolutions WHERE name = 'www.again.example'") == "1";
  }));
  CHECK(sql.rows_now("PRAGMA foreign_key_check").empty());
}

TEST_CASE("a domain whose sums went has its sandbox counted again") {
  const Folder folder;
  must_open(folder.file());
  auto file = JournalFile::open(at(folder.file()));
  REQUIRE(file.has_value());
  NameBook names;
  auto lister = Lister::create(file->connection(), names, file->first_id(), file->boot());
  REQUIRE(lister.has_value());
  const auto list = [&](RowId id, std::int64_t ago_us) {
    Asked row = asked(id, "www.example.com");
    row.time_us = now_us() - ago_us;
    const AskedBatch batch{{&row}, {}, 0};
    const NameBook::Known unknown;
    (*lister)->committed({&batch, 1}, {&unknown, 1});
    while ((*lister)->due() != Lister::Clock::time_point::max()) REQUIRE((*lister)->step() == SQLITE_OK);
  };
  list(file->first_id(), 40 * day_us);
  CHECK(*file->connection().text("SELECT queries || ' of ' || sandboxes FROM domain_total") == "1 of 1");
  auto pruner = Pruner::create(file->connection(), nullptr, names, **lister,
                               kept_for(30 * day_us, 30 * day_us), file->boot());
  REQUIRE(pruner.has_value());
  while ((*pruner)->passes() == 0) REQUIRE((*pruner)->step(now_us()) == SQLITE_OK);
  CHECK(*file->connection().integer("SELECT count(*) FROM domain_total") == 0);
  list(file->first_id() + 1, hour_us);
  CHECK(*file->connection().text("SELECT queries || ' of ' || sandboxes FROM domain_total") == "1 of 1");
}

TEST_CASE("a disk that is full undoes the step and stops no query; when there is room it is done") {
  const Folder folder;
  {
    const auto journal = must_open(folder.file());
    write_aged(*journal, volume(8000), 40 * day_us, 1);
  }
  FaultVfs disk;
  auto options = keeping(folder.file(), kept_for(30 * day_us));
  const auto journal = must_open(options);
  disk.fail(FaultVfs::Call::write, "-wal", SQLITE_FULL);
  REQUIRE(eventually(*journal, [](const auto& stats) { return !stats.prune_error.empty(); }));
  CHECK(journal->stats().prune_error.find("full") != std::string::npos);
  CHECK(Sql(folder.file()).one_now("SELECT (SELECT count(*) FROM asked) = (SELECT count(*) FROM listed)") ==
        "1");
  disk.heal();
  CHECK(eventually(*journal, [](const auto& stats) { return stats.pruned_rows == volume(8000U); }));
  CHECK(write_one(*journal, asked(journal->reserve(1))) == true);
}

TEST_CASE("kill -9 in the middle of a pass: each step is there whole or not at all, and the seals hold") {
  const Folder folder;
  OtherProcess victim([&](const Line& line) {
    auto options = keeping(folder.file(), kept_for(30 * day_us, 30 * day_us));
    auto journal = Journal::open(options);
    if (!journal) return 1;
    while ((*journal)->stats().pruned_rows < volume(3000U)) std::this_thread::yield();
    line.say(true);
    for (;;) ::pause();
  });
  {
    const auto journal = must_open(folder.file());
    write_aged(*journal, volume(20'000), 40 * day_us, 1);
  }
  victim.line().say(true);
  REQUIRE(victim.line().hear());
  REQUIRE(::kill(victim.pid(), SIGKILL) == 0);
  victim.join();
  CHECK(verdict(folder.file()) == "consistent");
  CHECK(Sql(folder.file())
            .one("SELECT count(*) BETWEEN 1 AND " + std::to_string(volume(17'000)) + " FROM asked") == "1");
  prune(folder.file(), kept_for(30 * day_us, 30 * day_us));
  Sql sql(folder.file());
  CHECK(sql.one("SELECT count(*) FROM asked") == "0");
  CHECK(sql.one("SELECT count(*) FROM name") == "0");
  check_sound(folder.file());
}

TEST_CASE("under a long reader the log does not grow by pruning beyond its limit") {
  const Folder folder(Folder::Where::in_memory);
  OtherProcess reader([&](const Line& line) { return read_old_state(folder.file(), line); });
  {
    const auto journal = must_open(folder.file());
    write_aged(*journal, volume(20'000), 40 * day_us, 1);
  }
  reader.line().say(true);
  REQUIRE(reader.line().hear());
  auto options = keeping(folder.file(), kept_for(30 * day_us));
  options.wal_limit_octets = 512 << 10;
  const auto journal = must_open(options);
  REQUIRE(eventually(*journal, [&](const auto& stats) {
    return stats.wal_octets >= static_cast<std::uint64_t>(options.wal_limit_octets);
  }));
  for (int i = 0; i < 50; ++i) REQUIRE(write_one(*journal, asked(journal->reserve(1))) == true);
  const auto pruned = journal->stats().pruned_rows;
  CHECK(pruned < volume(20'000U));
  CHECK(journal->stats().wal_octets < static_cast<std::uint64_t>(3 * options.wal_limit_octets));
  REQUIRE(reader.join() == 0);
  CHECK(eventually(*journal, [](const auto& stats) { return stats.pruned_rows >= volume(20'000U); }));
  check_sound(folder.file());
}

// Looking after a journal's file: a copy while a writer goes on, statistics, removal and vacuum offline.
#include "resolver/journal/care.h"

#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include "resolver/journal/log_reader.h"
#include "resolver/journal/reader.h"
#include "resolver/journal/schema.h"
#include "resolver/journal/sqlite.h"
#include "tests/support/fault_vfs.h"
#include "tests/support/other_process.h"
#include "tests/unit/journal/prune_support.h"

using namespace postern;
using namespace postern::test;

namespace {

std::set<std::string> names_in(const Folder& folder) {
  std::set<std::string> names;
  for (const auto& file : std::filesystem::directory_iterator(folder.path()))
    names.insert(file.path().filename());
  return names;
}

bool tells(const std::string& words, const std::string& part) {
  return words.find(part) != std::string::npos;
}

}  // namespace

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
                    bare = folder.file("ba?e%20.db"), other = folder.file("other.db");
  const auto may_read = [&](const std::string& path) {
    const auto table = run_sql(path, "SELECT count(*) FROM queries", 10);
    if (!table) {
      ::dprintf(2, "%s\n", table.error().message.c_str());
      return false;
    }
    const std::string both[] = {other, path};
    return table->rows[0][0] == "20" && run_sql(both, "SELECT 1 FROM queries", 100)->rows.size() == 25 &&
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
    const auto second = must_open(folder.file("second.db"));
    write_rows(*second, 5);
    REQUIRE(backup_journal(folder.file("second.db"), other).has_value());
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
  for (const std::string& path : {copy, bare, other, with_log, with_log + "-wal"})
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

TEST_CASE("the span of a journal's queries is that of their times, also where a clock was set back") {
  const Folder folder;
  {
    const auto journal = must_open(folder.file());
    for (const std::int64_t days : {2, 1, 3})
      REQUIRE(write_one(*journal, aged(*journal, days * day_us, 1)) == true);
  }
  const auto facts = journal_facts(folder.file());
  REQUIRE(facts.has_value());
  CHECK((facts->newest_us - facts->oldest_us + day_us / 2) / day_us == 2);
}

TEST_CASE(
    "vacuum gives free pages back and changes no record; while a writer has the file both are refused") {
  const Folder folder;
  write_story(folder.file(), 3000);
  Retention keep;
  keep.queries_us = 3'600'000'000;
  REQUIRE(prune_journal(folder.file(), keep).has_value());
  const auto before = std::filesystem::file_size(folder.file());
  const auto vacuumed = vacuum_journal(folder.file());
  REQUIRE_MESSAGE(vacuumed.has_value(), (vacuumed ? "" : vacuumed.error().message));
  CHECK(vacuumed->before_octets == static_cast<std::int64_t>(before));
  CHECK(vacuumed->octets == static_cast<std::int64_t>(std::filesystem::file_size(folder.file())));
  CHECK(vacuumed->octets < vacuumed->before_octets);
  CHECK((!std::filesystem::exists(folder.file() + "-wal") ||
         std::filesystem::file_size(folder.file() + "-wal") == 0));
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

TEST_CASE("removal that a full disk stops ends with that, also before it can begin, and says what went") {
  const Folder folder;
  {
    const auto journal = must_open(folder.file());
    write_aged(*journal, 9000, 40 * day_us, 1);
  }
  std::filesystem::copy_file(folder.file(), folder.file("old.db"));
  // As a file of version 3 is once it is migrated: nothing is in the catalogue.
  Sql(folder.file("old.db")).rows_now("UPDATE meta SET value = '0' WHERE key = 'listed_upto'");
  Sql(folder.file("old.db")).rows_now("DELETE FROM listed");
  FaultVfs disk;
  constexpr int opening = 4, and_some_steps = 20;  // transactions, each a write of the log
  disk.fail(FaultVfs::Call::write, "old.db-wal", SQLITE_FULL, FaultVfs::for_ever, opening);
  const auto unlisted = prune_journal(folder.file("old.db"), kept_for(30 * day_us));
  REQUIRE(!unlisted.has_value());
  CHECK(unlisted.error().message.find("cannot list") != std::string::npos);
  CHECK(unlisted.error().message.find("disk is full") != std::string::npos);
  CHECK(unlisted.error().message.find("removed") == std::string::npos);
  disk.heal();
  disk.fail(FaultVfs::Call::write, "journal.db-wal", SQLITE_FULL, FaultVfs::for_ever, and_some_steps);
  const auto stopped = prune_journal(folder.file(), kept_for(30 * day_us));
  REQUIRE(!stopped.has_value());
  disk.heal();
  const auto left = std::stoi(Sql(folder.file()).one_now("SELECT count(*) FROM asked"));
  CHECK(left < 9000);
  CHECK(left > 0);
  CHECK(stopped.error().message.find("cannot prune") != std::string::npos);
  CHECK(stopped.error().message.find("disk is full") != std::string::npos);
  CHECK(stopped.error().message.find(std::to_string(9000 - left) + " queries and 0 alerts were removed") !=
        std::string::npos);
  CHECK(prune_journal(folder.file(), kept_for(30 * day_us))->queries == static_cast<std::uint64_t>(left));
  CHECK(prune_journal(folder.file("old.db"), kept_for(30 * day_us))->queries == 9000);
}

TEST_CASE("one removal goes on until nothing is left to go: what its alerts kept, and what was not listed") {
  const Folder folder;
  {
    const auto journal = must_open(folder.file());
    const SandboxId one = *journal->attach(sandbox("one"), now_us() - 50 * day_us);
    write_aged(*journal, 300, 40 * day_us, one, "evil.example");
    const Asked last = aged(*journal, 40 * day_us - 100'000'000, one, "evil.example");
    REQUIRE(write_one(*journal, last) == true);
    AlertRow alert = alert_row(one, last.id);
    alert.zone = "evil.example";
    alert.time_us = last.time_us;
    alert.first_us = last.time_us - 110'000'000;
    alert.last_us = last.time_us;
    journal->alert(alert);
    journal->alert(alert);  // the newest stays, and what it keeps
    alert.sandbox = *journal->attach(sandbox("two"), now_us() - 50 * day_us);
    alert.asked = 0;
    journal->alert(alert);
  }
  std::filesystem::copy_file(folder.file(), folder.file("old.db"));
  const auto pruned = prune_journal(folder.file(), kept_for(30 * day_us, 30 * day_us));
  REQUIRE_MESSAGE(pruned.has_value(), (pruned ? "" : pruned.error().message));
  CHECK(pruned->queries == 301);
  CHECK(pruned->alerts == 2);
  Sql sql(folder.file());
  CHECK(sql.one_now("SELECT (SELECT count(*) FROM asked), (SELECT count(*) FROM alert),"
                    " (SELECT count(*) FROM name), (SELECT count(*) FROM resolved)") == "0|1|0|0");
  CHECK(sql.one_now("SELECT group_concat(name) FROM sandbox") == "two");
  check_sound(folder.file());
  CHECK(prune_journal(folder.file(), kept_for(30 * day_us, 30 * day_us))->queries == 0);
  {
    Sql old(folder.file("old.db"));
    old.rows_now("UPDATE meta SET value = '0' WHERE key = 'listed_upto'");
    old.rows_now("DELETE FROM listed");
  }
  CHECK(prune_journal(folder.file("old.db"), kept_for(30 * day_us, 30 * day_us))->queries == 301);
}

TEST_CASE("one removal takes every name that nobody asks for any more, more than one sweep has room for") {
  const Folder folder(Folder::Where::in_memory);
  {
    const auto journal = must_open(folder.file());
    for (int i = 0; i < 35; ++i) write_aged(*journal, volume(2000), 40 * day_us, 1);
  }
  CHECK(prune_journal(folder.file(), kept_for(30 * day_us))->queries == volume(70'000U));
  CHECK(Sql(folder.file()).one_now("SELECT count(*) FROM name") == "0");
}

TEST_CASE("vacuum beside a reader of the old state gives nothing back, leaves no long log, and says so") {
  const Folder folder;
  OtherProcess reader([&](const Line& line) { return read_old_state(folder.file(), line); });
  write_story(folder.file(), 3000);
  REQUIRE(prune_journal(folder.file(), kept_for(hour_us)).has_value());
  const auto before = std::filesystem::file_size(folder.file());
  reader.line().say(true);
  REQUIRE(reader.line().hear());
  const auto held = vacuum_journal(folder.file());
  REQUIRE(!held.has_value());
  CHECK(held.error().message.find("cannot vacuum journal \"" + folder.file() + "\": a reader ") !=
        std::string::npos);
  CHECK(held.error().message.find("holds the old state; ") != std::string::npos);
  CHECK(held.error().message.find(std::to_string(reader.pid())) != std::string::npos);
  CHECK(std::filesystem::file_size(folder.file()) == before);
  CHECK(std::filesystem::file_size(folder.file() + "-wal") < before / 2);
  CHECK(verdict(folder.file()) == "consistent");
  REQUIRE(reader.join() == 0);
  CHECK(vacuum_journal(folder.file()).has_value());
  CHECK(std::filesystem::file_size(folder.file()) < before);
}

TEST_CASE("a copy has its name when it is whole: until then, and after a kill, it is a part beside it") {
  const Folder folder;
  const std::string copy = folder.file("copy.db"), part = copy + ".part";
  OtherProcess killed([&](const Line& line) {
    return backup_journal(folder.file(), copy,
                          [&](std::int64_t, std::int64_t) {
                            line.say(true);
                            for (;;) ::pause();
                          })
               ? 0
               : 1;
  });
  write_story(folder.file(), 3000);
  killed.line().say(true);
  REQUIRE(killed.line().hear());
  const auto beside = backup_journal(folder.file(), copy);
  REQUIRE(!beside.has_value());
  CHECK(beside.error().message.find("copy.db.part\" is being written by another") != std::string::npos);
  REQUIRE(::kill(killed.pid(), SIGKILL) == 0);
  killed.join();
  CHECK(!std::filesystem::exists(copy));
  CHECK(std::filesystem::exists(part));
  bool early = false;
  const auto done = backup_journal(folder.file(), copy, [&](std::int64_t, std::int64_t) {
    early = early || std::filesystem::exists(copy) || !std::filesystem::exists(part);
  });
  REQUIRE_MESSAGE(done.has_value(), (done ? "" : done.error().message));
  CHECK(!early);
  CHECK(verdict(copy) == "consistent");
  for (const char* suffix : {".part", ".part-journal", ".part-wal", ".part-shm", "-journal", "-wal"})
    CHECK_MESSAGE(!std::filesystem::exists(copy + suffix), suffix);
}

TEST_CASE("a copy that SIGTERM or SIGINT ends leaves nothing, and a signal that is ignored does not end it") {
  const Folder folder;
  const auto backup = [&](int number, void (*action)(int)) {
    return [&folder, number, action](const Line&) {
      ::signal(number, action);
      const auto raise = [number](std::int64_t, std::int64_t) { ::kill(::getpid(), number); };
      return backup_journal(folder.file(), folder.file("copy.db"), raise) ? 0 : 3;
    };
  };
  OtherProcess terminated(backup(SIGTERM, SIG_DFL)), interrupted(backup(SIGINT, SIG_DFL)),
      handled(backup(SIGTERM, [](int) {})), ignored(backup(SIGINT, SIG_IGN));
  write_story(folder.file(), 3000);
  for (const auto& [process, status] : {std::pair{&terminated, -1}, {&interrupted, -1}, {&handled, 3}}) {
    process->line().say(true);
    CHECK(process->join() == status);
    for (const std::string& name : names_in(folder)) CHECK(name.find("copy") == std::string::npos);
  }
  ignored.line().say(true);
  CHECK(ignored.join() == 0);
  CHECK(verdict(folder.file("copy.db")) == "consistent");
}

TEST_CASE("a copy takes nobody's place: neither under its name, which may come late, nor under its part's") {
  const Folder folder;
  write_story(folder.file(), 3000);
  const std::string copy = folder.file("copy.db"), part = copy + ".part";
  const auto put = [](const std::string& path) { std::ofstream(path) << "of somebody"; };
  put(part);
  const auto in_the_way = backup_journal(folder.file(), copy);
  REQUIRE(!in_the_way.has_value());
  CHECK(in_the_way.error().message.find("copy.db.part\" is in the way") != std::string::npos);
  CHECK(contents(part) == "of somebody");
  std::filesystem::remove(part);
  std::filesystem::create_symlink(folder.file("elsewhere"), part);
  CHECK(!backup_journal(folder.file(), copy).has_value());
  CHECK(std::filesystem::is_symlink(part));
  std::filesystem::remove(part);
  const auto late = backup_journal(folder.file(), copy, [&](std::int64_t, std::int64_t) { put(copy); });
  REQUIRE(!late.has_value());
  CHECK(late.error().message.find("copy.db\": File exists") != std::string::npos);
  CHECK(contents(copy) == "of somebody");
  CHECK(!std::filesystem::exists(part));
}

TEST_CASE(
    "what is no journal, or a newer one, is refused by prune and vacuum, and nothing is left beside it") {
  const Folder folder;
  write_story(folder.file("newer.db"), 10);
  Sql(folder.file("newer.db")).rows_now("PRAGMA user_version = 99");
  std::filesystem::remove(folder.file("newer.db.lock"));
  std::ofstream(folder.file("notes.txt"))
      << "of somebody, and longer than the head of a database's first page";
  std::ofstream(folder.file("nothing.db")).close();
  std::filesystem::create_directory(folder.file("folder"));
  const auto before = names_in(folder);
  CHECK(before == std::set<std::string>{"folder", "newer.db", "nothing.db", "notes.txt"});
  for (const auto& [name, why] : {std::pair{"newer.db", "version 99"},
                                  {"notes.txt", "not an SQLite file"},
                                  {"nothing.db", "nothing in it"},
                                  {"folder", "not a regular file"}}) {
    const auto pruned = prune_journal(folder.file(name), kept_for(hour_us));
    REQUIRE(!pruned.has_value());
    CHECK_MESSAGE(tells(pruned.error().message, why), pruned.error().message);
    const auto vacuumed = vacuum_journal(folder.file(name));
    REQUIRE(!vacuumed.has_value());
    CHECK_MESSAGE(tells(vacuumed.error().message, "\"" + folder.file(name) + "\""), vacuumed.error().message);
    CHECK(names_in(folder) == before);
  }
}

TEST_CASE("whoever may not write a journal, or not read it, is told so, and not to stop a Postern") {
  if (::geteuid() != 0) return skipped("becoming another user needs root");
  const Folder folder;
  const std::string closed = folder.file("closed.db"), shown = folder.file("shown.db"),
                    given = folder.file("given.db");
  const auto errors = [](const std::string& path, const std::string& why) {
    const auto pruned = prune_journal(path, kept_for(hour_us));
    const auto vacuumed = vacuum_journal(path);
    if (pruned || vacuumed) return false;
    for (const std::string& message : {pruned.error().message, vacuumed.error().message}) {
      ::dprintf(2, "%s\n", message.c_str());
      if (!tells(message, "\"" + path + "\"") || !tells(message, why) || tells(message, "top it first"))
        return false;
    }
    return true;
  };
  OtherProcess nobody([&](const Line&) {
    if (::setgid(65534) != 0 || ::setuid(65534) != 0) return 2;
    if (!errors(closed, ": Permission denied")) return 3;
    if (!errors(shown, ": Permission denied")) return 4;
    if (!errors(given, "nothing can be written in \"" + folder.path())) return 5;
    const auto facts = journal_facts(closed);
    return !facts && tells(facts.error().message, "\"" + closed + "\"") ? 0 : 6;
  });
  for (const std::string& path : {closed, shown, given}) {
    write_story(path, 10);
    std::filesystem::remove(path + ".lock");
  }
  REQUIRE(::chmod(folder.path().c_str(), 0755) == 0);
  REQUIRE(::chmod(shown.c_str(), 0644) == 0);
  REQUIRE(::chmod(given.c_str(), 0666) == 0);
  nobody.line().say(true);
  CHECK(nobody.join() == 0);
}

TEST_CASE(
    "a journal that was cut to nothing, and whose log has rows, is opened by no reader: the rows stay") {
  const Folder folder;
  {
    const auto journal = must_open(folder.file("whole.db"));
    write_rows(*journal, 20);
    std::filesystem::copy_file(folder.file("whole.db-wal"), folder.file("journal.db-wal"));
  }
  std::ofstream(folder.file()).close();
  const std::string log = contents(folder.file() + "-wal");
  REQUIRE(!log.empty());
  const auto refused = [&](const auto& result) {
    return !result && result.error().message.find("\"" + folder.file() + "\"") != std::string::npos &&
           contents(folder.file() + "-wal") == log;
  };
  CHECK(refused(run_sql(folder.file(), "SELECT 1", 10)));
  std::filesystem::create_symlink(folder.file(), folder.file("link.db"));
  CHECK(!run_sql(folder.file("link.db"), "SELECT 1", 10).has_value());
  CHECK(refused(verify(folder.file())));
  CHECK(refused(journal_facts(folder.file())));
  CHECK(refused(backup_journal(folder.file(), folder.file("copy.db"))));
  CHECK(refused(prune_journal(folder.file(), kept_for(hour_us))));
  CHECK(refused(vacuum_journal(folder.file())));
  CHECK(refused(LogReader::open(folder.file(), {}, false)));
}

TEST_CASE("what an interrupted removal left goes with the next one, by hand and a daemon's") {
  const Folder folder;
  const auto left = [&](const char* what) {
    return Sql(folder.file()).one_now("SELECT count(*) FROM " + std::string(what));
  };
  // As a removal that was ended before its sweep leaves it.
  const auto interrupted = [&] {
    for (const char* suffix : {"", "-wal", "-shm"}) std::filesystem::remove(folder.file() + suffix);
    write_story(folder.file(), 300);
    Sql sql(folder.file());
    for (const char* table : {"listed", "outcome", "asked"})
      sql.rows_now("DELETE FROM " + std::string(table));
  };
  interrupted();
  REQUIRE(left("name") != "0");
  REQUIRE(prune_journal(folder.file(), kept_for(hour_us)).has_value());
  CHECK(left("name") == "0");
  CHECK(left("resolved") == "0");
  interrupted();
  REQUIRE(prune_journal(folder.file(), kept_up_to(1 << 30)).has_value());  // not too large
  CHECK(left("name") == "0");
  interrupted();
  const auto journal = must_open(keeping(folder.file(), kept_for(hour_us)));
  CHECK(eventually(*journal, [&](const auto&) { return left("name") == "0"; }));
}

TEST_CASE("through a symbolic link a journal is looked after as by its own name") {
  const Folder folder, links;
  write_story(folder.file(), 300);
  const std::string link = links.file("link.db");
  std::filesystem::create_symlink(folder.file(), link);
  const auto fine = [](const auto& done) {
    if (!done) MESSAGE(done.error().message);
    return done.has_value();
  };
  CHECK(fine(prune_journal(link, kept_for(hour_us))));
  CHECK(fine(vacuum_journal(link)));
  CHECK(fine(plan_prune(link, kept_for(hour_us))));
  CHECK(fine(backup_journal(link, folder.file("copy.db"))));
  CHECK(names_in(links) == std::set<std::string>{"link.db"});
  CHECK(std::filesystem::is_symlink(link));
  CHECK(verdict(folder.file()) == "consistent");
  const auto journal = must_open(folder.file());
  write_rows(*journal, 10);
  CHECK(journal_facts(link)->log_octets > 0);
  const auto limited = backup_journal(link, folder.file("more.db"), nullptr, 1);
  REQUIRE(!limited.has_value());
  CHECK(tells(limited.error().message, "its log has grown"));
}

TEST_CASE("a journal of any version is counted, and its tables by whatever name they have") {
  const Folder folder;
  for (std::size_t version = 1; version <= migrations().size(); ++version) {
    const std::string path = folder.file("v" + std::to_string(version) + ".db");
    auto connection = Connection::open(path, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE);
    REQUIRE(connection.has_value());
    REQUIRE(migrate(*connection, migrations().first(version)).has_value());
    REQUIRE(
        connection->run("CREATE TABLE \"x\"\" y'z\" (a); INSERT INTO \"x\"\" y'z\" VALUES (1)").has_value());
    const auto facts = journal_facts(path);
    REQUIRE_MESSAGE(facts.has_value(), facts.error().message);
    CHECK(facts->version == static_cast<std::int64_t>(version));
    CHECK(facts->tombstones == 0);
    CHECK(facts->tables.back().name == "x\" y'z");
    CHECK(facts->tables.back().rows == 1);
    CHECK(facts->tables.back().octets != 0);
  }
}

TEST_CASE("a damaged journal is refused by prune and vacuum, and nothing is left beside it") {
  const Folder folder;
  write_story(folder.file(), 300);
  (void)Sql(folder.file()).rows_now("SELECT 1 FROM meta");  // takes the log away when it closes
  {
    std::fstream file(folder.file(), std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(2 * 4096).write(std::string(10 * 4096, '\xff').data(), 10 * 4096);
  }
  std::filesystem::remove(folder.file() + ".lock");
  const std::string before = contents(folder.file());
  REQUIRE(names_in(folder) == std::set<std::string>{"journal.db"});
  const auto pruned = prune_journal(folder.file(), kept_for(hour_us));
  REQUIRE(!pruned.has_value());
  CHECK_MESSAGE(tells(pruned.error().message, "it was left as it is"), pruned.error().message);
  CHECK(names_in(folder) == std::set<std::string>{"journal.db"});
  REQUIRE(!vacuum_journal(folder.file()).has_value());
  CHECK(names_in(folder) == std::set<std::string>{"journal.db"});
  CHECK(contents(folder.file()) == before);
}

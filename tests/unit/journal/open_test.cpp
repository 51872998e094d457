// Opening: what is refused, in which words, and that a refused file is left as it is.
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>

#include "resolver/journal/reader.h"
#include "resolver/journal/schema.h"
#include "tests/support/other_process.h"
#include "tests/unit/journal/support.h"

using namespace postern;
using namespace postern::test;

namespace {

bool says(const std::string& message, const std::string& part) {
  return message.find(part) != std::string::npos;
}

// A journal with one query in it, closed.
void make_journal(const std::string& path) {
  const auto journal = must_open(path);
  const Asked row = asked(journal->reserve(1));
  REQUIRE(write_one(*journal, row) == true);
}

mode_t rights(const std::string& path) {
  struct stat status {};
  REQUIRE(::stat(path.c_str(), &status) == 0);
  return status.st_mode & 07777;
}

// Work for another process: what SQLite's recovery of a log does to others, for a while. The locks are those
// of https://www.sqlite.org/walformat.html#wal_locks: that of the one who is there, and all others.
int recover_log(const std::string& path, const Line& line) {
  const int fd = ::open((path + "-shm").c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0640);
  const auto lock = [&](short kind, off_t first, off_t octets) {
    struct flock range {};
    range.l_type = kind;
    range.l_whence = SEEK_SET;
    range.l_start = first;
    range.l_len = octets;
    return ::fcntl(fd, F_SETLK, &range) == 0;
  };
  line.say(fd >= 0 && ::ftruncate(fd, 32768) == 0 && lock(F_WRLCK, 120, 8) && lock(F_RDLCK, 128, 1));
  std::this_thread::sleep_for(std::chrono::milliseconds(400));
  return 0;
}

}  // namespace

TEST_CASE("a new journal has mode 0640 whatever the umask says, in WAL mode, with its application id") {
  const Folder folder;
  for (const mode_t mask : {0000, 0077}) {
    const std::string path = folder.file("m" + std::to_string(mask));
    const mode_t before = ::umask(mask);
    make_journal(path);
    ::umask(before);
    CHECK(rights(path) == 0640);
    CHECK(rights(path + "-wal") == 0640);
    CHECK(rights(path + "-shm") == 0640);
    Sql sql(path);
    CHECK(sql.one("PRAGMA journal_mode") == "wal");
    CHECK(sql.one("PRAGMA application_id") == "1349481332");
    CHECK(sql.one("PRAGMA integrity_check") == "ok");
    CHECK(
        sql.rows("SELECT name FROM pragma_table_list WHERE schema = 'main' AND type = 'table' AND NOT strict"
                 " AND name NOT LIKE 'sqlite_%' ORDER BY name")
            .empty());
    CHECK(sql.rows("SELECT m.name, c.name FROM sqlite_schema AS m, pragma_table_info(m.name) AS c"
                   " WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite_%' AND NOT c.\"notnull\" AND NOT "
                   "c.pk ORDER BY 1, 2")
              .empty());
  }
}

TEST_CASE("a second writer is refused, told who has it, and let in when the first is gone") {
  const Folder folder;
  auto first = must_open(folder.file());
  const std::string error = error_of_open(at(folder.file()));
  CHECK(says(error, "\"" + folder.file() + "\""));
  CHECK(says(error, "another Postern has it"));
  const Asked row = asked(first->reserve(1));
  CHECK(write_one(*first, row) == true);  // the refused one did no harm
  first.reset();
  CHECK(error_of_open(at(folder.file())).empty());
}

TEST_CASE("a newer version is refused and left as it is; the version of today is not") {
  const Folder folder;
  make_journal(folder.file());
  const auto known = std::to_string(migrations().size()), newer = std::to_string(migrations().size() + 1);
  Sql(folder.file()).rows("PRAGMA user_version = " + newer);
  const std::string before = contents(folder.file());
  const std::string error = error_of_open(at(folder.file()));
  CHECK(says(error, "\"" + folder.file() + "\""));
  CHECK(says(error,
             "version " + newer + ", written by a newer Postern; this one knows up to version " + known));
  CHECK(contents(folder.file()) == before);
  Sql(folder.file()).rows("PRAGMA user_version = " + known);
  CHECK(error_of_open(at(folder.file())).empty());
}

TEST_CASE("what is not a journal is refused and left as it is") {
  const Folder folder;
  const std::string path = folder.file();
  SUBCASE("text") {
    std::ofstream(path) << "these are my notes";
    const std::string error = error_of_open(at(path));
    CHECK(says(error, "\"" + path + "\": it is not an SQLite file"));
    CHECK(contents(path) == "these are my notes");
  }
  SUBCASE("a part of SQLite's first octets") {
    std::ofstream(path) << "SQLite format 3";
    CHECK(says(error_of_open(at(path)), "not an SQLite file"));
  }
  SUBCASE("another program's database, even one without an application id") {
    Sql(path, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE).rows("CREATE TABLE accounts (id INTEGER)");
    const std::string before = contents(path);
    CHECK(says(error_of_open(at(path)), "SQLite file of another program (application id 0)"));
    Sql(path).rows("PRAGMA application_id = 7");
    CHECK(says(error_of_open(at(path)), "application id 7"));
    Sql(path).rows("PRAGMA application_id = 0");
    CHECK(Sql(path).one("SELECT count(*) FROM accounts") == "0");
    CHECK(before.size() == contents(path).size());
  }
  SUBCASE("a folder") {
    std::filesystem::create_directory(path);
    CHECK(says(error_of_open(at(path)), "not a regular file"));
  }
  SUBCASE("a folder that is missing") {
    const std::string below = folder.path() + "/no/journal.db";
    CHECK(says(error_of_open(at(below)),
               "its folder \"" + folder.path() + "/no\" cannot be used: No such file"));
  }
  SUBCASE("a folder that is a file") {
    std::ofstream(folder.path() + "/f") << "x";
    CHECK(says(error_of_open(at(folder.path() + "/f/journal.db")), "cannot open journal"));
  }
}

namespace {

// The one file beside the journal that was set aside.
std::string aside_of(const Folder& folder) {
  std::string found;
  for (const auto& entry : std::filesystem::directory_iterator(folder.path())) {
    const std::string name = entry.path().filename();
    if (!name.starts_with("journal.db.corrupt-") || name.ends_with("-wal")) continue;
    CHECK(!name.ends_with("-shm"));
    CHECK(found.empty());
    found = entry.path();
  }
  return found;
}

void damage(const std::string& path, std::streamoff at, std::size_t octets) {
  std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
  file.seekp(at);
  file << std::string(octets, '\x5a');
}

}  // namespace

TEST_CASE("a damaged journal is set aside as it is, and a new one begun") {
  const Folder folder;
  make_journal(folder.file());
  SUBCASE("its schema") {
    damage(folder.file(), 100, 1000);
  }
  SUBCASE("a page of a table") {
    damage(folder.file(), 8 * 4096, 4096);
  }
  SUBCASE("cut short") {
    std::filesystem::resize_file(folder.file(), 4096 + 100);
  }
  const std::string before = contents(folder.file());
  const auto journal = must_open(folder.file());
  const std::string aside = aside_of(folder);
  REQUIRE(!aside.empty());
  CHECK(contents(aside) == before);
  CHECK(journal->stats().set_aside == aside);
  CHECK(journal->stats().new_files == 1);
  const Asked row = asked(journal->reserve(1));
  CHECK(write_one(*journal, row) == true);
  CHECK(Sql(folder.file()).one("SELECT count(*) FROM on_record") == "1");
}

TEST_CASE("a log that has lost its file is set aside, and not thrown away") {
  const Folder folder;
  OtherProcess victim([&](const Line& line) {
    auto journal = Journal::open(at(folder.file()));
    if (!journal) return 1;
    const Asked row = asked((*journal)->reserve(1));
    line.say(write_one(**journal, row) == true);
    for (;;) ::pause();
  });
  victim.line().say(true);
  REQUIRE(victim.line().hear());
  REQUIRE(::kill(victim.pid(), SIGKILL) == 0);
  victim.join();
  SUBCASE("the file is gone") {
    std::filesystem::remove(folder.file());
  }
  SUBCASE("the file is empty") {
    std::filesystem::resize_file(folder.file(), 0);
  }
  const std::string before = contents(folder.file() + "-wal");
  REQUIRE(before.size() > 4096);
  const auto journal = must_open(folder.file());
  const std::string aside = journal->stats().set_aside;
  CHECK(aside.ends_with(".log"));
  CHECK(contents(aside) == before);
  const Asked row = asked(journal->reserve(1));
  CHECK(write_one(*journal, row) == true);
  CHECK(Sql(folder.file()).one("SELECT count(*) FROM on_record") == "1");
}

TEST_CASE("a damaged journal is refused and left as it is where no new one may take its place") {
  const Folder folder;
  make_journal(folder.file());
  damage(folder.file(), 100, 1000);
  const std::string before = contents(folder.file());
  auto options = at(folder.file());
  options.may_begin_anew = false;
  CHECK(says(error_of_open(options), "malformed"));
  CHECK(contents(folder.file()) == before);
  CHECK(aside_of(folder).empty());
}

TEST_CASE("a journal that was set aside is never written over, and a whole one never set aside") {
  const Folder folder;
  for (int round = 1; round <= 3; ++round) {
    make_journal(folder.file());
    make_journal(folder.file());
    damage(folder.file(), 100, 1000);
  }
  make_journal(folder.file());
  int asides = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder.path()))
    asides += entry.path().filename().string().starts_with("journal.db.corrupt-") &&
              !entry.path().string().ends_with("-wal");
  CHECK(asides == 3);
}

TEST_CASE("what can be read of sandboxes, rules and ledgers goes over into the new journal") {
  const Folder folder;
  {
    const auto journal = must_open(folder.file());
    Sandbox box;
    box.name = "box";
    box.session = "nightly";
    REQUIRE(journal->attach(box, 1).has_value());
    journal->save({"ada", "nightly", 900'000, 0, 1, "octets of a ledger"});
    Asked row = asked(journal->reserve(1));
    row.rule = journal->intern_rule("a rule");
    REQUIRE(write_one(*journal, row) == true);
  }
  const std::string page =
      Sql(folder.file()).one("SELECT (rootpage - 1) * 4096 FROM sqlite_schema WHERE name = 'alert'");
  damage(folder.file(), std::stoll(page), 4096);  // found, although nothing else needs it
  const auto journal = must_open(folder.file());
  Sql sql(folder.file());
  CHECK(sql.one("SELECT sandbox, session, state FROM sandboxes") == "box|nightly|lost");
  CHECK(sql.one("SELECT text FROM rule WHERE id > 0") == "a rule");
  const auto past = journal->past("ada", "nightly");
  REQUIRE(past.has_value());
  CHECK(past->snapshot.octets == "octets of a ledger");
  CHECK(journal->reserve(1) > 900'000);  // or what is charged from now on would look older than the ledger
}

TEST_CASE("a damaged file that is not a journal of ours is refused and left as it is") {
  const Folder folder;
  Sql(folder.file(), SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE).rows("CREATE TABLE accounts (id INTEGER)");
  damage(folder.file(), 100, 1000);
  const std::string before = contents(folder.file());
  CHECK(says(error_of_open(at(folder.file())), "\"" + folder.file() + "\""));
  CHECK(contents(folder.file()) == before);
  CHECK(aside_of(folder).empty());
}

TEST_CASE("a damaged journal in a folder that cannot be written to is refused and left as it is") {
  if (::geteuid() != 0) return skipped("becoming another user needs root");
  const Folder folder;
  make_journal(folder.file());
  damage(folder.file(), 100, 1000);
  for (const char* suffix : {"", "-wal", "-shm", ".lock"})
    REQUIRE(::chown((folder.file() + suffix).c_str(), 65534, 65534) == 0);
  REQUIRE(::chmod(folder.path().c_str(), 0555) == 0);
  const std::string before = contents(folder.file());
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    if (::setgid(65534) != 0 || ::setuid(65534) != 0) ::_exit(2);
    const auto journal = Journal::open(at(folder.file()));
    const bool clear = !journal && says(journal.error().message, "malformed") &&
                       says(journal.error().message, "cannot set journal") &&
                       says(journal.error().message, "Permission denied");
    ::_exit(clear ? 0 : 1);
  }
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  CHECK(status == 0);
  CHECK(contents(folder.file()) == before);
}

TEST_CASE("a file of another user's that cannot be opened is a clear error, and left as it is") {
  if (::geteuid() != 0) return skipped("becoming another user needs root");
  const Folder folder;
  make_journal(folder.file());
  REQUIRE(::chmod(folder.path().c_str(), 0777) == 0);
  std::filesystem::remove(folder.file() + ".lock");  // or that would be what speaks
  const std::string before = contents(folder.file());
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    if (::setgid(65534) != 0 || ::setuid(65534) != 0) ::_exit(2);
    const auto journal = Journal::open(at(folder.file()));
    const bool clear = !journal && says(journal.error().message, "\"" + folder.file() + "\"") &&
                       says(journal.error().message, "Permission denied");
    ::_exit(clear ? 0 : 1);
  }
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  CHECK(status == 0);
  CHECK(contents(folder.file()) == before);
}

TEST_CASE("damage that shows only later fails the rows, and the journal is set aside for a new one") {
  const Folder folder;
  const auto journal = must_open(folder.file());
  Sandbox box;
  box.name = "box";
  REQUIRE(journal->attach(box, 1).has_value());
  const Asked first = asked(journal->reserve(1));
  REQUIRE(write_one(*journal, first) == true);
  const auto log_is_cut = [&](const Journal::Stats&) {
    return std::filesystem::file_size(folder.file() + "-wal") == 0;
  };
  REQUIRE(eventually(*journal, log_is_cut));  // everything is in the file now
  // The table of queries alone: what a new journal carries over can still be read.
  const std::string page =
      Sql(folder.file()).one("SELECT (rootpage - 1) * 4096 FROM sqlite_schema WHERE name = 'asked'");
  damage(folder.file(), std::stoll(page), 4096);
  Sql(folder.file())
      .rows("PRAGMA user_version = 1");  // a change of page 1: the writer forgets what it had read
  const Asked second = asked(journal->reserve(1));
  CHECK(write_one(*journal, second) == false);
  CHECK(!journal->stats().writable);
  REQUIRE(eventually(*journal, [](const Journal::Stats& stats) { return stats.writable; }));
  CHECK(journal->stats().set_aside == aside_of(folder));
  const Asked third = asked(journal->reserve(1));
  CHECK(write_one(*journal, third) == true);
  CHECK(Sql(folder.file()).one("SELECT id, sandbox FROM on_record") == std::to_string(third.id) + "|box");
}

TEST_CASE("an empty file made beforehand becomes a journal") {
  const Folder folder;
  for (const char* suffix : {"", "-wal", "-shm", ".lock"}) std::ofstream(folder.file() + suffix) << "";
  make_journal(folder.file());
  CHECK(Sql(folder.file()).one("SELECT count(*) FROM on_record") == "1");
}

TEST_CASE("migrations bring an old file up, keep its rows, and happen wholly or not at all") {
  const Folder folder;
  make_journal(folder.file());  // version 1
  auto connection = Connection::open(folder.file(), SQLITE_OPEN_READWRITE);
  REQUIRE(connection.has_value());
  REQUIRE(connection->run("PRAGMA user_version = 1").has_value());
  const Migration good[] = {
      migrations()[0],
      {"a second", "CREATE TABLE extra (id INTEGER PRIMARY KEY) STRICT; INSERT INTO extra VALUES (7)"}};
  const Migration bad[] = {good[0], good[1], {"a broken third", "DROP TABLE asked; SELECT nonsense"}};
  const auto failed = migrate(*connection, bad);
  REQUIRE(!failed.has_value());
  CHECK(says(failed.error().message, "cannot migrate from version 2 (a broken third)"));
  CHECK(says(failed.error().message, "nonsense"));
  CHECK(*connection->integer("PRAGMA user_version") == 1);
  CHECK(*connection->integer("SELECT count(*) FROM sqlite_schema WHERE name = 'extra'") == 0);
  CHECK(*connection->integer("SELECT count(*) FROM asked") == 1);

  REQUIRE(migrate(*connection, good).has_value());
  CHECK(*connection->integer("PRAGMA user_version") == 2);
  CHECK(*connection->integer("SELECT id FROM extra") == 7);
  CHECK(*connection->integer("SELECT count(*) FROM asked") == 1);
  REQUIRE(migrate(*connection, good).has_value());                     // nothing left to do
  CHECK(!migrate(*connection, std::span(good).first(1)).has_value());  // the older program

  auto fresh = Connection::open(folder.file("new.db"), SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE);
  REQUIRE(migrate(*fresh, good).has_value());  // from 0 through all
  CHECK(*fresh->integer("SELECT id FROM extra") == 7);
  CHECK(*fresh->integer("PRAGMA application_id") == journal_application_id);
}

TEST_CASE("a writer that starts while somebody's reading recovers a killed one's log waits for that") {
  const Folder folder;
  OtherProcess reader([&](const Line& line) { return recover_log(folder.file(), line); });
  {
    const auto journal = must_open(folder.file());
    const Asked row = asked(journal->reserve(1));
    REQUIRE(write_one(*journal, row) == true);
    for (const char* suffix : {"", "-wal"})  // as a kill leaves them
      std::filesystem::copy_file(folder.file() + suffix, folder.file("kept") + suffix);
  }
  for (const char* suffix : {"", "-wal"})
    std::filesystem::rename(folder.file("kept") + suffix, folder.file() + suffix);
  reader.line().say(true);
  REQUIRE(reader.line().hear());
  CHECK(error_of_open(at(folder.file())) == "");
  CHECK(reader.join() == 0);
  CHECK(Sql(folder.file()).one("SELECT count(*) FROM asked") == "1");
}

TEST_CASE("a file with nothing in it is no journal of no queries to whoever reads it") {
  const Folder folder;
  std::ofstream(folder.file()).close();
  const auto answer = run_sql(folder.file(), "SELECT 1", 1);
  REQUIRE(!answer);
  CHECK(says(answer.error().message, "there is nothing in it; was its log"));
  must_open(folder.file()).reset();
  CHECK(run_sql(folder.file(), "SELECT 1", 1).has_value());
}

TEST_CASE("a journal that was killed beside an early reader is known by its log, and another's file is not") {
  const Folder folder;
  OtherProcess reader([&](const Line& line) { return read_old_state(folder.file(), line); });
  {
    const auto journal = must_open(folder.file());
    reader.line().say(true);
    REQUIRE(reader.line().hear());
    for (int i = 0; i < 500; ++i) {
      const Asked row = asked(journal->reserve(1), "n" + std::to_string(i) + ".example.com");
      REQUIRE(write_one(*journal, row) == true);
    }
    // Beside the reader only what it sees can be folded; the first page has changed since.
    (void)Sql(folder.file()).rows_now("PRAGMA wal_checkpoint(PASSIVE)");
    for (const char* suffix : {"", "-wal"})  // as a kill leaves them
      std::filesystem::copy_file(folder.file() + suffix, folder.file("killed.db") + suffix);
  }
  REQUIRE(reader.join() == 0);
  const std::string file = contents(folder.file("killed.db"));
  REQUIRE(file.size() > 4096);
  REQUIRE(file.substr(68, 4) == std::string(4, '\0'));  // the application id is in the log alone
  const auto ours = check_journal_is_ours(folder.file("killed.db"));
  CHECK_MESSAGE(ours.has_value(), (ours ? "" : ours.error().message));
  CHECK(!std::filesystem::exists(folder.file("killed.db-shm")));
  CHECK(error_of_open(at(folder.file("killed.db"))) == "");
  CHECK(Sql(folder.file("killed.db")).one("SELECT count(*) FROM asked") == "500");

  {
    Sql other(folder.file("other.db"), SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE);
    other.rows_now("PRAGMA journal_mode = WAL");
    other.rows_now("CREATE TABLE t (x)");
    other.rows_now("PRAGMA wal_checkpoint");
    other.rows_now("INSERT INTO t VALUES (1)");
    for (const char* suffix : {"", "-wal"})
      std::filesystem::copy_file(folder.file("other.db") + suffix, folder.file("others.db") + suffix);
  }
  const std::string before = contents(folder.file("others.db")), log = contents(folder.file("others.db-wal"));
  REQUIRE(!log.empty());
  CHECK(!check_journal_is_ours(folder.file("others.db")).has_value());
  CHECK(says(error_of_open(at(folder.file("others.db"))), "another program"));
  CHECK(contents(folder.file("others.db")) == before);
  CHECK(contents(folder.file("others.db-wal")) == log);
}

TEST_CASE("a version below nothing is no journal's") {
  const Folder folder;
  make_journal(folder.file());
  Sql(folder.file()).rows_now("PRAGMA user_version = -1");
  CHECK(says(error_of_open(at(folder.file())), "another program"));
  const auto read = run_sql(folder.file(), "SELECT 1", 1);
  REQUIRE(!read.has_value());
  CHECK(says(read.error().message, "another program"));
}

// The journal's files deleted, moved, replaced or emptied under it: no row is called recorded that nobody can
// find, and it goes on by itself.
#include "resolver/journal/journal_file.h"
#include "tests/unit/journal/seal_support.h"
#include "tests/unit/journal/support.h"

using namespace postern;
using namespace postern::test;

namespace {

struct World {
  Folder folder;
  std::unique_ptr<Journal> journal = must_open(folder.file());
  SandboxId box = 0;
  std::int64_t rule = 0;

  World() {
    Sandbox who;
    who.name = "box";
    who.session = "s";
    box = *journal->attach(who, 1);
    rule = journal->intern_rule("the rule");
    REQUIRE(write("before.example.com") == true);
  }
  std::optional<bool> write(const std::string& text) {
    Asked row = asked(journal->reserve(1), text, box);
    row.rule = rule;
    return write_one(*journal, row);
  }
  bool works_again() {
    return eventually(*journal, [](const Journal::Stats& stats) { return stats.writable; });
  }
  std::vector<std::string> names(const std::string& file = "journal.db") {
    return Sql(folder.file(file)).rows("SELECT name, sandbox, rule FROM on_record ORDER BY id");
  }
  void move(const std::string& from, const std::string& to) {
    std::filesystem::rename(folder.file(from), folder.file(to));
  }
};

constexpr const char* after = "after.example.com|box|the rule";

}  // namespace

TEST_CASE("a journal that is deleted fails the next rows, and a new one knows the sandboxes and rules") {
  World world;
  for (const char* suffix : {"", "-wal", "-shm"}) std::filesystem::remove(world.folder.file() + suffix);
  CHECK(world.write("lost.example.com") == false);
  CHECK(world.journal->stats().last_error.find("deleted or moved away") != std::string::npos);
  REQUIRE(world.works_again());
  CHECK(world.write("after.example.com") == true);
  CHECK(world.names() == std::vector<std::string>{after});
  CHECK(world.journal->stats().new_files == 1);
  CHECK(world.journal->stats().outages == 1);
  Sql sql(world.folder.file());
  CHECK(sql.one("SELECT sandbox, state FROM sandboxes") == "box|attached");
  CHECK(sql.one("SELECT DISTINCT action, reason FROM on_record") == "allowed|default");
  CHECK(sql.one("SELECT refused, answered, why LIKE '%deleted%' FROM gaps") == "1|0|1");
  CHECK(sql.one("PRAGMA integrity_check") == "ok");
}

TEST_CASE("a journal that is moved away keeps all it had, log included, and a new one is begun") {
  World world;
  world.move("journal.db", "old.db");
  CHECK(world.write("lost.example.com") == false);
  REQUIRE(world.works_again());
  CHECK(world.write("after.example.com") == true);
  CHECK(world.names() == std::vector<std::string>{after});
  const auto old_ones = world.names("old.db");
  REQUIRE(!old_ones.empty());
  CHECK(old_ones.front() == "before.example.com|box|the rule");
}

TEST_CASE("nothing is written while another file is in the journal's place; when it is back, all goes on") {
  World world;
  world.move("journal.db", "old.db");
  std::ofstream(world.folder.file("notes")) << "notes";
  world.move("notes", "journal.db");
  CHECK(world.write("lost.example.com") == false);
  CHECK(world.journal->stats().last_error.find("another file was put in its place") != std::string::npos);
  const auto failures = world.journal->stats().failed_commits;
  REQUIRE(eventually(*world.journal, [&](const auto& stats) { return stats.failed_commits > failures + 2; }));
  CHECK(contents(world.folder.file()) == "notes");
  world.move("old.db", "journal.db");
  REQUIRE(world.works_again());
  CHECK(world.write("after.example.com") == true);
  CHECK(world.names().back() == after);
  CHECK(world.names().front() == "before.example.com|box|the rule");
  CHECK(world.journal->stats().new_files == 0);
}

TEST_CASE("another file in the journal's place that goes away leaves room for a new journal") {
  World world;
  std::ofstream(world.folder.file("notes")) << "notes";
  world.move("notes", "journal.db");
  CHECK(world.write("lost.example.com") == false);
  world.move("journal.db", "notes");
  REQUIRE(world.works_again());
  CHECK(world.write("after.example.com") == true);
  CHECK(world.names() == std::vector<std::string>{after});
  CHECK(contents(world.folder.file("notes")) == "notes");
}

TEST_CASE("a log that is deleted is folded into the journal first, and nothing of it is missing") {
  World world;
  std::filesystem::remove(world.folder.file("journal.db-wal"));
  CHECK(world.write("in-the-log.example.com") == false);
  REQUIRE(world.works_again());
  CHECK(world.write("after.example.com") == true);
  const auto names = world.names();
  CHECK(names.front() == "before.example.com|box|the rule");
  CHECK(names.back() == after);
}

TEST_CASE("an idle journal notices by itself that its log's index or its lock is gone") {
  World world;
  for (const char* file : {"journal.db-shm", "journal.db.lock"}) {
    std::filesystem::remove(world.folder.file(file));
    REQUIRE(eventually(*world.journal,
                       [&](const auto&) { return std::filesystem::exists(world.folder.file(file)); }));
    REQUIRE(world.works_again());
  }
  CHECK(world.write("after.example.com") == true);
  CHECK(world.names().size() == 2);
  CHECK(error_of_open(at(world.folder.file())).find("another Postern has it") != std::string::npos);
}

TEST_CASE("a journal that is cut to nothing in its place fails the rows and harms nobody") {
  World world;
  REQUIRE(eventually(*world.journal, [&](const auto&) {
    return std::filesystem::file_size(world.folder.file("journal.db-wal")) == 0;  // all is in the file
  }));
  REQUIRE(world.write("seen.example.com") == true);  // it was looked at with content
  std::filesystem::resize_file(world.folder.file(), 0);
  CHECK(world.write("lost.example.com") == false);
  CHECK(!world.journal->stats().writable);
  world.journal.reset();
  const auto again = must_open(world.folder.file());
  const Asked row = asked(again->reserve(1));
  CHECK(write_one(*again, row) == true);
}

TEST_CASE("a rule that is spoken first when the file is lost costs no more than these rows") {
  for (const char* lost : {"journal.db", "journal.db-wal"}) {
    INFO(lost);
    World world;
    std::filesystem::remove(world.folder.file(lost));
    world.rule = world.journal->intern_rule("a new rule");
    CHECK(world.write("lost.example.com") == false);
    REQUIRE(world.works_again());
    CHECK(world.write("after.example.com") == true);
    CHECK(world.names().back() == "after.example.com|box|a new rule");
    CHECK(Sql(world.folder.file()).one("SELECT count(*) FROM rule WHERE text = 'a new rule'") == "1");
  }
}

TEST_CASE("what was committed to a file that is lost, and carried over, is there once and was done") {
  for (const char* lost : {"journal.db", "journal.db-wal"}) {
    INFO(lost);
    World world;
    std::filesystem::remove(world.folder.file(lost));
    AlertRow alert;
    alert.sandbox = world.box;
    alert.kind = "tunnel";
    alert.evidence = "{}";
    alert.uid = "one";
    world.journal->alert(alert);
    REQUIRE(eventually(*world.journal, [](const auto& stats) { return stats.waiting_alerts == 0; }));
    Sql sql(world.folder.file());
    CHECK(sql.one("SELECT count(*) FROM alert") == "1");
    CHECK(world.journal->stats().committed_alerts == 1);
    REQUIRE(world.works_again());
    std::filesystem::remove(world.folder.file(lost));
    Sandbox other;
    other.name = "other";
    other.session = "s";
    CHECK(world.journal->attach(other, 2).has_value());
    REQUIRE(world.works_again());
    CHECK(Sql(world.folder.file()).one("SELECT count(*) FROM sandbox WHERE name = 'other'") == "1");
    CHECK(world.write("after.example.com") == true);
  }
}

TEST_CASE(
    "a log that is cut under its writer, and a journal cut in two, are set aside; nothing more is lost") {
  for (const bool log : {true, false}) {
    INFO(log);
    World world;
    if (!log)
      REQUIRE(eventually(*world.journal, [&](const auto&) {
        return std::filesystem::file_size(world.folder.file("journal.db-wal")) == 0;  // all is in the file
      }));
    REQUIRE(world.write("seen.example.com") == true);
    const Asked drawn = asked(world.journal->reserve(1), "drawn-before.example.com", world.box);
    const std::string file = world.folder.file(log ? "journal.db-wal" : "journal.db");
    std::filesystem::resize_file(file, log ? 0 : std::filesystem::file_size(file) / 2);
    CHECK(world.write("lost.example.com") == false);
    REQUIRE(world.works_again());
    CHECK(world.write("after.example.com") == true);
    CHECK(write_one(*world.journal, drawn) == true);
    CHECK(world.names().size() == 2);
    CHECK(world.journal->stats().new_files == 1);
    CHECK(world.journal->stats().set_aside.find("journal.db.corrupt-") != std::string::npos);
    Sql sql(world.folder.file());
    CHECK(sql.one("SELECT count(*) FROM rule WHERE text = 'the rule'") == "1");
    CHECK(sql.one("PRAGMA integrity_check") == "ok");
    CHECK(sql.one("SELECT count(*) FROM boot WHERE ended_us = 0") == "1");
    world.journal.reset();
    CHECK(verdict(world.folder.file()) == "consistent");
  }
}

TEST_CASE("an older log that is put in the place of the log is set aside, and takes no row back") {
  World world;
  std::filesystem::copy_file(world.folder.file("journal.db-wal"), world.folder.file("older"));
  REQUIRE(world.write("second.example.com") == true);
  REQUIRE(eventually(*world.journal, [&](const auto&) {
    return std::filesystem::file_size(world.folder.file("journal.db-wal")) == 0;  // all is in the file
  }));
  world.move("older", "journal.db-wal");
  CHECK(world.write("in-the-log.example.com") == false);
  REQUIRE(world.works_again());
  CHECK(world.write("after.example.com") == true);
  const auto names = world.names();
  REQUIRE(names.size() >= 3);
  CHECK(names[0] == "before.example.com|box|the rule");
  CHECK(names[1] == "second.example.com|box|the rule");
  CHECK(names.back() == after);
  std::size_t aside = 0;
  for (const auto& entry : std::filesystem::directory_iterator(world.folder.path()))
    aside += entry.path().string().ends_with(".log");
  CHECK(aside == 1);
}

TEST_CASE("damage that is met when a file is opened again is set aside, too") {
  World world;
  REQUIRE(eventually(*world.journal, [&](const auto&) {
    return std::filesystem::file_size(world.folder.file("journal.db-wal")) == 0;  // all is in the file
  }));
  {
    std::fstream file(world.folder.file(), std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(100);
    file << std::string(1000, '\xff');
  }
  std::filesystem::remove(world.folder.file("journal.db-shm"));
  REQUIRE(eventually(*world.journal, [](const auto& stats) { return stats.new_files == 1; }));
  REQUIRE(world.works_again());
  CHECK(world.write("after.example.com") == true);
  CHECK(world.names().back().starts_with("after.example.com"));
}

TEST_CASE("a file that comes to the path while a new journal is begun there stays as it is") {
  const Folder folder;
  auto lost = JournalFile::open(at(folder.file()));
  REQUIRE(lost.has_value());
  std::filesystem::rename(folder.file(), folder.file("moved.db"));
  std::ofstream(folder.file()) << "notes";
  const auto begun = JournalFile::in_place_of(*lost, 1);
  REQUIRE(!begun.has_value());
  CHECK(begun.error().message.find("another file came to its place") != std::string::npos);
  CHECK(contents(folder.file()) == "notes");
  std::filesystem::remove(folder.file());
  CHECK(JournalFile::in_place_of(*lost, 1).has_value());
}

TEST_CASE("where no new file may take its place, a lost journal stays closed until it is back") {
  const Folder folder;
  auto options = at(folder.file());
  options.may_begin_anew = false;
  const auto journal = must_open(options);
  const auto write = [&] {
    const Asked row = asked(journal->reserve(1));
    return write_one(*journal, row);
  };
  REQUIRE(write() == true);
  for (const char* file : {"journal.db", "journal.db-shm"}) {
    std::filesystem::rename(folder.file(file), folder.file("away"));
    REQUIRE(eventually(*journal, [](const Journal::Stats& stats) { return !stats.writable; }));
    const auto failures = journal->stats().failed_commits;
    CHECK(write() == false);
    REQUIRE(eventually(*journal, [&](const auto& stats) { return stats.failed_commits > failures + 2; }));
    CHECK(!std::filesystem::exists(folder.file(file)));
    CHECK(journal->stats().last_error.find("no other file may take its place") != std::string::npos);
    std::filesystem::rename(folder.file("away"), folder.file(file));
    REQUIRE(eventually(*journal, [](const Journal::Stats& stats) { return stats.writable; }));
    CHECK(write() == true);
  }
  CHECK(Sql(folder.file()).one("SELECT count(*) FROM on_record") == "3");
}

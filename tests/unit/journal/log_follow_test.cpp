// A journal that is followed: what comes when its file is replaced, lost, emptied or cannot be read.
#include "resolver/journal/log_follow.h"

#include "tests/support/fault_vfs.h"
#include "tests/unit/journal/support.h"

using namespace postern;
using namespace postern::test;

namespace {

constexpr std::int64_t then_us = 1'700'000'000'000'000;  // of test::asked
constexpr std::int64_t second_us = 1'000'000;

LogFollower must_follow(const std::string& path) {
  LogFilter filter;
  filter.since_us = then_us;
  auto follower = LogFollower::open(path, filter);
  if (!follower) FAIL(follower.error().message);
  return std::move(*follower);
}

// Everything there is by now: names of queries, `!KIND` for alerts, and what is said in parentheses.
std::string all(LogFollower& follower, std::int64_t now_us = then_us + second_us) {
  std::string out;
  for (;;) {
    const auto news = follower.next(now_us);
    for (const LoggedQuery& query : news.page.queries) out += query.name + " ";
    for (const LoggedAlert& alert : news.page.alerts) out += "!" + alert.kind + " ";
    if (!news.note.empty()) out += "(" + news.note + ") ";
    if (news.page.end) return out;
  }
}

// A row that was refused: it has its outcome at once.
void write_refused(Journal& journal, const std::string& text, std::int64_t time_us = then_us) {
  Asked row = asked(journal.reserve(1), text);
  row.time_us = time_us;
  row.action = Action::block_name;
  row.rcode = 3;
  REQUIRE(write_one(journal, row) == true);
}

std::string waiting(const Folder& folder, const std::string& why) {
  return "(journal \"" + folder.file() + "\" " + why + "; waiting for the next one) ";
}
std::string found(const Folder& folder) {
  return "(following the journal that is at \"" + folder.file() + "\" now) ";
}

}  // namespace

TEST_CASE("a journal that another is renamed over is read to its end, and the other is followed from then") {
  const Folder folder;
  {
    const auto other = must_open(folder.file("other.db"));
    write_refused(*other, "long.ago", then_us - 60 * second_us);
    write_refused(*other, "of.the.other", then_us + 2 * second_us);
  }
  auto journal = must_open(folder.file());
  auto follower = must_follow(folder.file());
  write_refused(*journal, "first.one");
  REQUIRE(write_one(*journal, asked(journal->reserve(1), "without.outcome")) == true);
  CHECK(all(follower) == "first.one ");
  journal.reset();
  std::filesystem::rename(folder.file("other.db"), folder.file());
  CHECK(all(follower) == "without.outcome " + waiting(folder, "was replaced by another file") +
                             found(folder) + "of.the.other ");
  CHECK(all(follower).empty());
}

TEST_CASE("when a writer begins its lost journal anew, its records are followed, and nothing comes twice") {
  const Folder folder;
  const auto journal = must_open(folder.file());
  write_refused(*journal, "before.the.loss");
  AlertRow alert{.time_us = then_us, .kind = "tunnel", .zone = {}, .action = {}, .evidence = "{}"};
  journal->alert(alert);
  REQUIRE(eventually(*journal, [](const auto& stats) { return stats.committed_alerts == 1; }));
  auto follower = must_follow(folder.file());
  const std::int64_t later_us = then_us + 60 * second_us;
  CHECK(all(follower, later_us) == "before.the.loss !tunnel ");
  for (const char* suffix : {"", "-wal", "-shm"}) std::filesystem::remove(folder.file() + suffix);
  CHECK(all(follower, later_us) == waiting(folder, "was deleted or moved away"));
  CHECK(all(follower, later_us).empty());
  CHECK(write_one(*journal, asked(journal->reserve(1), "of.the.loss")) == false);
  REQUIRE(eventually(*journal, [](const auto& stats) { return stats.writable; }));
  write_refused(*journal, "after.the.loss", later_us);
  CHECK(all(follower, later_us) == found(folder) + "after.the.loss ");
}

TEST_CASE("a journal that is cut to nothing in its place is left, and what is begun there is followed") {
  const Folder folder;
  auto journal = must_open(folder.file());
  write_refused(*journal, "first.one");
  journal.reset();
  auto follower = must_follow(folder.file());
  CHECK(all(follower) == "first.one ");
  std::filesystem::resize_file(folder.file(), 512);  // the smallest page: it may be a database
  CHECK(all(follower).find("cut to nothing") == std::string::npos);
  std::filesystem::resize_file(folder.file(), 511);
  CHECK(all(follower) == waiting(folder, "was cut to nothing in its place"));
  std::filesystem::resize_file(folder.file(), 0);
  CHECK(all(follower).empty());
  journal = must_open(folder.file());
  write_refused(*journal, "second.one");
  CHECK(all(follower) == found(folder) + "second.one ");
}

TEST_CASE("a file that has become another journal is read from its begin") {
  const Folder folder;
  const auto journal = must_open(folder.file());
  write_refused(*journal, "first.one");
  auto follower = must_follow(folder.file());
  CHECK(all(follower) == "first.one ");
  Sql(folder.file()).rows_now("UPDATE meta SET value = 'another' WHERE key = 'journal_id'");
  CHECK(all(follower) == waiting(folder, "is another one now, in the same file"));
  CHECK(all(follower) == found(folder) + "first.one ");
}

TEST_CASE("a file that is no journal is waited beside, and after a while that is said, once") {
  const Folder folder;
  must_open(folder.file());
  auto follower = must_follow(folder.file());
  CHECK(all(follower).empty());
  std::filesystem::rename(folder.file(), folder.file("kept.db"));
  std::ofstream(folder.file()) << "notes";
  CHECK(all(follower) == waiting(folder, "was replaced by another file"));
  const std::int64_t first_us = then_us + second_us, told_us = first_us + LogFollower::told_after_us;
  CHECK(all(follower, told_us - 1).empty());
  CHECK(all(follower, told_us).find("; tried again") != std::string::npos);
  CHECK(all(follower, told_us + 1).empty());
  std::filesystem::rename(folder.file("kept.db"), folder.file());
  CHECK(all(follower, told_us + 2) == found(folder));
}

TEST_CASE("what could not be read is said once and read again, and nothing is missing or comes twice") {
  const Folder folder;
  FaultVfs disk;
  const auto journal = must_open(folder.file());
  auto follower = must_follow(folder.file());
  write_refused(*journal, "first.one");
  CHECK(all(follower) == "first.one ");
  REQUIRE(write_one(*journal, asked(journal->reserve(1), "without.outcome")) == true);
  CHECK(all(follower).empty());
  write_refused(*journal, "second.one");
  disk.fail(FaultVfs::Call::read, "-wal", SQLITE_IOERR_READ);
  CHECK(all(follower).find("cannot read journal") != std::string::npos);
  CHECK(all(follower).empty());
  disk.heal();
  CHECK(all(follower) == "second.one ");
  CHECK(all(follower, then_us + 60 * second_us) == "without.outcome ");
}

TEST_CASE("what is left of an old file and cannot be read is said when it is left") {
  const Folder folder;
  FaultVfs disk;
  const auto journal = must_open(folder.file());
  auto follower = must_follow(folder.file());
  write_refused(*journal, "first.one");
  CHECK(all(follower) == "first.one ");
  write_refused(*journal, "second.one");
  disk.fail(FaultVfs::Call::read, "-wal", SQLITE_IOERR_READ);
  std::filesystem::rename(folder.file(), folder.file("kept.db"));
  const std::string said = all(follower);
  CHECK(said.find("was deleted or moved away, and what is left of it is not told: cannot read journal") !=
        std::string::npos);
  CHECK(said.ends_with("; waiting for the next one) "));
}

TEST_CASE("a journal that is begun after the clock was set back is followed from when the old one was seen") {
  const Folder folder;
  auto journal = must_open(folder.file());
  auto follower = must_follow(folder.file());  // since then_us
  const std::int64_t back_us = then_us - 3600 * second_us;
  write_refused(*journal, "first.one", back_us);
  CHECK(all(follower, back_us) == "first.one ");
  journal.reset();
  std::filesystem::remove(folder.file());
  CHECK(all(follower, back_us) == waiting(folder, "was deleted or moved away"));
  journal = must_open(folder.file());
  write_refused(*journal, "long.ago", back_us - 60 * second_us);
  write_refused(*journal, "while.none.was.there", back_us + second_us);
  CHECK(all(follower, back_us + 2 * second_us) == found(folder) + "while.none.was.there ");
  write_refused(*journal, "after", back_us - 60 * second_us);
  CHECK(all(follower, back_us + 2 * second_us) == "after ");
}

// What is on record and not listed yet: which answers lack it, of which file, and what is said of that.
#include "resolver/journal/backlog.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "resolver/journal/journal_file.h"
#include "resolver/journal/reader.h"
#include "tests/unit/journal/support.h"

using namespace postern;
using namespace postern::test;

namespace {

constexpr std::int64_t one_second_us = 1'000'000, just_now_us = 10'000;
constexpr const char* sum_statements[] = {
    "SELECT coalesce(sum(queries), 0) FROM usage",
    "SELECT coalesce(sum(queries), 0) FROM domains",
    "SELECT coalesce(sum(queries), 0) FROM sessions",
};

// A journal of `rows` queries that were asked so long ago, all listed.
void write_aged(const std::string& file, std::int64_t rows, std::int64_t age_us) {
  const std::int64_t now_us = clock_us(CLOCK_REALTIME);
  const auto journal = must_open(file);
  const auto box = journal->attach(
      {.name = "box", .session = "s", .user = "ann", .code_sha256 = "c0de", .labels = {}, .policy = {}},
      now_us - age_us);
  REQUIRE(box.has_value());
  std::deque<Asked> all;
  std::vector<const Asked*> pointers;
  for (std::int64_t i = 0; i < rows; ++i) {
    all.push_back(asked(journal->reserve(1), "www.example.com", *box));
    all.back().time_us = now_us - age_us + i;
    pointers.push_back(&all.back());
  }
  REQUIRE(submit_and_wait(*journal, pointers) == true);
}

// As they are while the writer has not come to list them, or after it was killed.
void unlist(const std::string& file, std::int64_t above = 0) {
  const std::string id = std::to_string(above);
  Sql(file).rows_now("DELETE FROM listed WHERE asked > " + id);
  Sql(file).rows_now("DELETE FROM tally");
  Sql(file).rows_now("UPDATE meta SET value = '" + id + "' WHERE key = 'listed_upto'");
}

// A writer that lives and lists nothing.
FileLock writer_on(const std::string& file) {
  auto lock = FileLock::take(file);
  REQUIRE(lock.has_value());
  return std::move(*lock);
}

std::string told(const std::vector<Lack>& lacks) {
  constexpr const char* whys[] = {"busy", "listing", "nobody", "unknown"};
  std::string out;
  for (const Lack& lack : lacks)
    out += " " + lack.path.substr(lack.path.rfind('/') + 1) + " " + whys[static_cast<int>(lack.why)] + " " +
           std::to_string(lack.queries) + (lack.sums_only ? " sums" : "");
  return out;
}

// "first cell; what it lacks".
std::string answer_and_lack(std::span<const std::string> files, const std::string& sql, bool wait = false) {
  const auto table = run_sql(files, sql, 1, sql_time_limit, wait);
  REQUIRE_MESSAGE(table.has_value(), table.error().message);
  return table->rows.at(0).at(0) + ";" + told(table->lacks);
}
std::string answer_and_lack(const std::string& file, const std::string& sql, bool wait = false) {
  return answer_and_lack({&file, 1}, sql, wait);
}

constexpr const char* count_queries = "SELECT count(*) FROM queries";

}  // namespace

TEST_CASE("a busy writer's last moment is left out, and that is said") {
  const Folder folder;
  const std::string many = folder.file("many.db"), few = folder.file("few.db"), old = folder.file("old.db");
  const std::string ahead = folder.file("ahead.db");
  write_aged(many, 2001, just_now_us);
  write_aged(few, 2000, one_second_us);
  write_aged(old, 2001, 11 * one_second_us);
  write_aged(ahead, 2001, -60 * one_second_us);  // by a clock that was set back since
  for (const std::string& file : {many, few, old, ahead}) unlist(file);
  const FileLock writers[] = {writer_on(many), writer_on(few), writer_on(old), writer_on(ahead)};
  CHECK(answer_and_lack(many, count_queries) == "0; many.db busy -1");
  CHECK(answer_and_lack(few, count_queries) == "2000;");
  CHECK(answer_and_lack(old, count_queries) == "2001;");
  CHECK(answer_and_lack(ahead, count_queries) == "2001;");
}

TEST_CASE("a start after a kill leaves ids out, and is not taken for a busy writer") {
  const Folder folder;
  const std::string file = folder.file("skipped.db");
  write_aged(file, 6, just_now_us);
  unlist(file);
  Sql(file).rows_now("UPDATE asked SET id = id + 65536 WHERE id = (SELECT max(id) FROM asked)");
  const FileLock writer = writer_on(file);
  CHECK(answer_and_lack(file, count_queries) == "6;");
}

TEST_CASE("what reads only sums or addresses tells of a busy writer's last moment, too, or waits for it") {
  const Folder folder;
  const std::string file = folder.file("many.db");
  write_aged(file, 2001, just_now_us);
  unlist(file);
  {
    const FileLock writer = writer_on(file);
    for (const std::string sql :
         {"SELECT 0 FROM (SELECT count(*) FROM usage)", "SELECT 0 FROM (SELECT count(*) FROM domains)",
          "SELECT 0 FROM (SELECT count(*) FROM sessions)", "SELECT count(*) FROM resolutions",
          "SELECT count(*) FROM listed", "SELECT count(*) FROM tally", "SELECT count(*) FROM domain_total",
          "SELECT count(*) FROM sandbox_total", "SELECT count(*) FROM RESOLVED"}) {
      INFO(sql);
      CHECK(answer_and_lack(file, sql) == "0; many.db busy -1 sums");
    }
    for (const std::string sql :
         {"SELECT count(*) > 0 FROM sandboxes", "SELECT count(*) > 0 FROM boots",
          "SELECT count(*) > 0 FROM on_record", "SELECT count(*) > 0 FROM unlisted",
          "SELECT count(*) + 1 FROM alerts", "SELECT count(*) > 0 FROM asked", "SELECT 1"}) {
      INFO(sql);
      CHECK(answer_and_lack(file, sql) == "1;");
    }
  }
  // A writer that does list them, a second later.
  for (const char* sql : sum_statements) {
    const Folder other;
    const auto journal = must_open(other.file());
    const auto box = journal->attach(
        {.name = "box", .session = "s", .user = "ann", .code_sha256 = "c0de", .labels = {}, .policy = {}}, 1);
    std::deque<Asked> all;
    std::vector<const Asked*> pointers;
    for (int i = 0; i < 2001; ++i) {
      all.push_back(asked(journal->reserve(1), "www.example.com", *box));
      all.back().time_us = clock_us(CLOCK_REALTIME);
      pointers.push_back(&all.back());
    }
    REQUIRE(submit_and_wait(*journal, pointers) == true);
    CHECK(answer_and_lack(other.file(), sql, true) == "2001;");
    CHECK(answer_and_lack(other.file(), count_queries, true) == "2001;");
    CHECK(answer_and_lack(other.file(), sql) == "2001;");  // all is listed, though many have asked
  }
}

TEST_CASE("nothing is said of a writer that has listed all, though many were asking just now") {
  const Folder folder;
  const std::string file = folder.file("many.db");
  write_aged(file, 2001, just_now_us);
  const FileLock writer = writer_on(file);
  for (const char* mark : {"2001", "0"}) {  // the mark may be far behind what is listed
    Sql(file).rows_now("UPDATE meta SET value = '" + std::string(mark) + "' WHERE key = 'listed_upto'");
    CHECK(answer_and_lack(file, count_queries) == "2001;");
    CHECK(answer_and_lack(file, sum_statements[0]) == "2001;");
  }
}

TEST_CASE(
    "of a killed writer's file queries has all at once, and of the sums it is said how many they lack") {
  const Folder folder;
  const std::string file = folder.file("killed.db");
  write_aged(file, 2001, just_now_us);
  unlist(file, 1);
  const auto begun = std::chrono::steady_clock::now();
  for (const bool wait : {false, true}) {
    CHECK(answer_and_lack(file, count_queries, wait) == "2001;");
    for (const char* sql : sum_statements)
      CHECK(answer_and_lack(file, sql, wait) == "0; killed.db nobody 2000 sums");
    CHECK(answer_and_lack(file, "SELECT count(*) FROM queries JOIN usage", wait) ==
          "0; killed.db nobody 2000 sums");
  }
  CHECK(std::chrono::steady_clock::now() - begun < std::chrono::seconds(3));  // nobody was waited for
  must_open(file).reset();                                                    // the next writer lists them
  CHECK(answer_and_lack(file, "SELECT count(*) FROM listed") == "2001;");
}

TEST_CASE("of a writer that still lists what it found it is said, also where many are asking") {
  const Folder folder;
  const std::string quiet = folder.file("quiet.db"), busy = folder.file("busy.db");
  write_aged(quiet, 3, 11 * one_second_us);
  write_aged(busy, 2002, just_now_us);
  for (const std::string& file : {quiet, busy}) unlist(file);
  Sql(busy).rows_now("UPDATE asked SET time_us = time_us - 20000000 WHERE id = 1");
  const FileLock writers[] = {writer_on(quiet), writer_on(busy)};
  CHECK(answer_and_lack(quiet, count_queries) == "3;");
  CHECK(answer_and_lack(quiet, sum_statements[0]) == "0; quiet.db listing 3 sums");
  CHECK(answer_and_lack(busy, count_queries) == "0; busy.db listing -1");
  CHECK(answer_and_lack(busy, sum_statements[0]) == "0; busy.db listing -1 sums");
  // What is only a moment old is not worth a word.
  Sql(quiet).rows_now("UPDATE asked SET time_us = " + std::to_string(clock_us(CLOCK_REALTIME)));
  CHECK(answer_and_lack(quiet, sum_statements[0]) == "0;");
}

TEST_CASE("of several journals each is judged for itself") {
  const Folder folder;
  const std::string files[] = {folder.file("fine.db"), folder.file("busy.db"), folder.file("killed.db")};
  for (const std::string& file : files) {
    write_aged(file, 2001, just_now_us);
    if (file != files[0]) unlist(file);
  }
  const FileLock writers[] = {writer_on(files[0]), writer_on(files[1])};
  CHECK(answer_and_lack(files, count_queries) == "4002; busy.db busy -1");
  for (const char* sql : sum_statements) {
    INFO(std::string(sql));
    CHECK(answer_and_lack(files, sql) == "2001; busy.db busy -1 sums killed.db nobody 2001 sums");
  }
  const std::string both = "SELECT count(*) FROM queries WHERE EXISTS (SELECT 1 FROM usage)";
  CHECK(answer_and_lack(files, both) == "4002; busy.db busy -1 killed.db nobody 2001 sums");
  // Waited for in vain: its writer lists nothing.
  CHECK(answer_and_lack(files, both, true) == "6003; busy.db listing 2001 sums killed.db nobody 2001 sums");
  CHECK(answer_and_lack(files, "SELECT count(*) FROM sandboxes") == "3;");
}

TEST_CASE("whether a journal has a writer is seen by its lock, through a link, too, and without one") {
  const Folder folder;
  const std::string file = folder.file(), link = folder.file("link.db");
  must_open(file).reset();
  std::filesystem::create_symlink(file, link);
  CHECK(writer_of(file) == Writer::none);
  {
    const auto journal = must_open(file);
    CHECK(writer_of(file) == Writer::here);
    CHECK(writer_of(link) == Writer::here);
  }
  CHECK(writer_of(file) == Writer::none);
  CHECK(writer_of(link) == Writer::none);
  std::filesystem::remove(file + ".lock");  // a copy has none
  CHECK(writer_of(file) == Writer::none);
  REQUIRE(::mkfifo((file + ".lock").c_str(), 0600) == 0);
  CHECK(writer_of(file) == Writer::none);  // and nobody waits for its other end
  std::filesystem::remove(file + ".lock");
  std::filesystem::create_symlink(link, file + ".lock");
  CHECK(writer_of(file) == Writer::unknown);
}

TEST_CASE("where the lock may not be opened nothing is left out, and it is said that nobody knows") {
  if (::geteuid() != 0) return skipped("becoming another user needs root");
  const Folder folder;
  REQUIRE(::chmod(folder.path().c_str(), 0755) == 0);
  OtherProcess nobody([&](const Line&) {
    if (::setgid(65534) != 0 || ::setuid(65534) != 0) return 2;
    if (writer_of(folder.file()) != Writer::unknown) return 3;
    const auto all = run_sql(folder.file(), count_queries, 1);
    if (!all || all->rows[0][0] != "2001" || !all->lacks.empty()) return 4;
    const auto sums = run_sql(folder.file(), sum_statements[0], 1);
    return sums && told(sums->lacks) == " journal.db unknown 2001 sums" ? 0 : 5;
  });
  write_aged(folder.file(), 2001, just_now_us);
  unlist(folder.file());
  const FileLock writer = writer_on(folder.file());
  REQUIRE(::chmod(folder.file().c_str(), 0644) == 0);
  REQUIRE(::chmod((folder.file() + ".lock").c_str(), 0600) == 0);
  nobody.line().say(true);
  CHECK(nobody.join() == 0);
}

TEST_CASE("who only looks at the lock keeps no writer out, and a writer keeps out at once") {
  const Folder folder;
  must_open(folder.file()).reset();
  const std::string lock = folder.file() + ".lock";
  const int looking = ::open(lock.c_str(), O_RDONLY | O_CLOEXEC);
  REQUIRE(looking >= 0);
  REQUIRE(::flock(looking, LOCK_SH | LOCK_NB) == 0);
  CHECK(writer_of(folder.file()) == Writer::none);  // one who looks is no writer
  std::thread looked([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    ::close(looking);
  });
  auto taken = FileLock::take(folder.file());
  looked.join();
  REQUIRE(taken.has_value());
  const auto begun = std::chrono::steady_clock::now();
  CHECK(!FileLock::take(folder.file()).has_value());
  CHECK(std::chrono::steady_clock::now() - begun < std::chrono::milliseconds(100));
}

// Faults: a full disk, a lock held too long, too much waiting. Rows fail, nothing hangs, and recovery needs
// nobody.
#include <sched.h>
#include <sys/mount.h>

#include <cstring>
#include <future>

#include "tests/unit/journal/support.h"

using namespace postern;
using namespace postern::test;

namespace {

// Writes rows until not one more finds a place; returns how many were committed.
std::size_t fill(Journal& journal) {
  std::size_t committed = 0;
  for (const std::size_t size : {64u, 1u})
    for (int batch = 0;; ++batch) {
      REQUIRE_MESSAGE(batch < 10'000, "the disk never became full");
      std::deque<Asked> rows;
      std::vector<const Asked*> pointers;
      RowId id = journal.reserve(size);
      while (rows.size() < size)
        rows.push_back(asked(id++, "some.long.name.for.filling.the.disk.example.com"));
      for (const Asked& row : rows) pointers.push_back(&row);
      const auto done = submit_and_wait(journal, pointers);
      REQUIRE(done.has_value());
      if (!*done) break;
      committed += rows.size();
    }
  return committed;
}

// Runs `body` where `folder` is a tmpfs of that size: in a thread with a mount namespace of its own, which
// the journal's threads then share.
void on_tmpfs(const Folder& folder, const char* size, const std::function<void()>& body) {
  std::async(std::launch::async, [&] {
    if (::unshare(CLONE_NEWNS) != 0 || ::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
        ::mount("tmpfs", folder.path().c_str(), "tmpfs", 0, size) != 0)
      return skipped(std::string("a small tmpfs needs root: ") + std::strerror(errno));
    body();
    CHECK(::umount2(folder.path().c_str(), MNT_DETACH) == 0);
  }).get();
}

void check_full_then_free(const std::string& path, Journal& journal, const std::function<void()>& make_room) {
  const std::size_t committed = fill(journal);
  CHECK(committed > 0);
  auto stats = journal.stats();
  CHECK(!stats.writable);
  CHECK(stats.failed_commits > 0);
  CHECK(stats.last_error.find("\"" + path + "\"") != std::string::npos);
  CHECK(stats.last_error.find("full") != std::string::npos);
  CHECK(stats.committed_rows == committed);
  CHECK(stats.pending_rows == 0);
  // What was said to be committed is there; what was said to have failed is not.
  CHECK(Sql(path).one("SELECT count(*) FROM asked") == std::to_string(committed));
  const Asked refused = asked(journal.reserve(1));
  CHECK(write_one(journal, refused) == false);  // tried again, failed again
  // Outcomes and alerts wait for better times.
  for (RowId id = 1; id <= 100; ++id) journal.append(Outcome{.asked = id, .data = std::string(4000, 'k')});
  journal.alert(AlertRow{.kind = "kept", .zone = "z", .action = "alert", .evidence = "{}"});
  const auto failures = journal.stats().failed_commits;
  REQUIRE(eventually(journal, [&](const Journal::Stats& now) { return now.failed_commits > failures; }));
  CHECK(journal.stats().pending_outcomes == 100);
  CHECK(journal.stats().lost_outcomes == 0);

  make_room();
  // Without anybody submitting: the journal looks for itself.
  REQUIRE(eventually(journal, [](const Journal::Stats& now) { return now.writable; }));
  const Asked row = asked(journal.reserve(1));
  CHECK(write_one(journal, row) == true);
  CHECK(Sql(path).one("SELECT count(*), min(length(data)) FROM outcome") == "100|4000");
  CHECK(Sql(path).one("SELECT kind FROM alerts") == "kept");
  CHECK(Sql(path).one("PRAGMA integrity_check") == "ok");
}

}  // namespace

TEST_CASE("a file at its limit of pages fails rows, keeps outcomes, and recovers when pages become free") {
  const Folder folder;
  auto options = at(folder.file());
  options.max_pages = 200;
  const auto journal = must_open(options);
  check_full_then_free(folder.file(), *journal, [&] { Sql(folder.file()).rows("DELETE FROM asked"); });
}

TEST_CASE("a full disk fails rows, keeps outcomes, and recovers when there is room") {
  const Folder folder;
  on_tmpfs(folder, "size=2m", [&] {
    const std::string ballast = folder.file("ballast");
    std::ofstream(ballast) << std::string(1 << 20, 'x');
    const auto journal = must_open(folder.file());
    check_full_then_free(folder.file(), *journal, [&] { std::filesystem::remove(ballast); });
  });
}

TEST_CASE("no space at the start is a clear error") {
  const Folder folder;
  on_tmpfs(folder, "size=16k", [&] {
    const std::string error = error_of_open(at(folder.file()));
    CHECK(error.find("\"" + folder.file() + "\"") != std::string::npos);
    INFO(error);
    CHECK((error.find("full") != std::string::npos || error.find("No space") != std::string::npos));
  });
}

TEST_CASE("a lock that another program holds shows as waiting, then fails the rows, then is over") {
  const Folder folder;
  const auto journal = must_open(folder.file());
  Sql blocker(folder.file());
  blocker.rows("BEGIN IMMEDIATE");
  const Asked first = asked(journal->reserve(1)), second = asked(journal->reserve(1));
  std::promise<bool> result;
  REQUIRE(journal->submit({&first}, [&](bool committed) { result.set_value(committed); }));
  CHECK(eventually(*journal, [](const Journal::Stats& stats) { return stats.oldest_pending_us > 1000; }));
  CHECK(journal->stats().pending_rows == 1);
  CHECK(!result.get_future().get());
  CHECK(journal->stats().last_error.find("locked") != std::string::npos);
  CHECK(journal->stats().oldest_pending_us == 0);
  blocker.rows("ROLLBACK");
  CHECK(write_one(*journal, second) == true);
  CHECK(journal->stats().writable);
}

TEST_CASE("rows beyond the limit are refused without a call, and exactly the limit is not") {
  const Folder folder;
  auto options = at(folder.file());
  options.max_pending_rows = 3;
  const auto journal = must_open(options);
  const Asked rows[] = {asked(1), asked(2), asked(3), asked(4)};
  CHECK(!journal->submit({&rows[0], &rows[1], &rows[2], &rows[3]}, [](bool) { FAIL("called"); }));
  Sql blocker(folder.file());
  blocker.rows("BEGIN IMMEDIATE");  // nothing leaves the queue
  std::promise<bool> result;
  CHECK(
      journal->submit({&rows[0], &rows[1], &rows[2]}, [&](bool committed) { result.set_value(committed); }));
  CHECK(!journal->submit({&rows[3]}, [](bool) { FAIL("called"); }));
  CHECK(journal->stats().refused_rows == 5);
  for (int i = 0; i < 5; ++i) journal->append(Outcome{.asked = i, .data = {}});
  CHECK(journal->stats().lost_outcomes == 2);
  blocker.rows("ROLLBACK");
  result.get_future().wait();
  CHECK(write_one(*journal, rows[3]) == true);
}

TEST_CASE(
    "large answers that wait for a stalled disk are kept whole up to a number, and their beginning beyond") {
  const Folder folder;
  const auto journal = must_open(folder.file());
  Sql blocker(folder.file());
  blocker.rows("BEGIN IMMEDIATE");  // nothing leaves the queue
  std::string data;
  while (data.size() < 3000) data += "192.0.2.1 ";
  for (RowId id = 1; id <= 2050; ++id) journal->append(Outcome{.asked = id, .data = data});
  blocker.rows("ROLLBACK");
  REQUIRE(eventually(*journal, [](const Journal::Stats& now) { return now.pending_outcomes == 0; }));
  CHECK(Sql(folder.file())
            .rows("SELECT length(data) > 512, data LIKE '% ...', count(*) FROM outcome GROUP BY 1, 2") ==
        std::vector<std::string>{"0|1|2", "1|0|2048"});
}

TEST_CASE("a sandbox's end that cannot be written now is written later") {
  const Folder folder;
  auto options = at(folder.file());
  const auto journal = must_open(options);
  const auto id = journal->attach(
      Sandbox{.name = "box", .session = {}, .user = {}, .code_sha256 = {}, .labels = {}, .policy = {}}, 1);
  REQUIRE(id.has_value());
  {
    Sql blocker(folder.file());
    blocker.rows("BEGIN IMMEDIATE");
    journal->detach(*id, 2'000'000);
    CHECK(!journal
               ->attach(Sandbox{.name = "late",
                                .session = {},
                                .user = {},
                                .code_sha256 = {},
                                .labels = {},
                                .policy = {}},
                        1)
               .has_value());
    blocker.rows("ROLLBACK");
  }
  REQUIRE(eventually(*journal, [](const Journal::Stats& stats) { return stats.writable; }));
  CHECK(Sql(folder.file()).rows("SELECT sandbox, state FROM sandboxes ORDER BY id") ==
        std::vector<std::string>{"box|detached"});
}

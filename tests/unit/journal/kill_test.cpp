// kill -9: no row that was said to be committed is missing, and the next writer gets in at once.
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <future>
#include <random>
#include <set>

#include "resolver/journal/reader.h"
#include "tests/unit/journal/support.h"

using namespace postern;
using namespace postern::test;

namespace {

// The child: submits batches without end, several in flight, and writes each id to the pipe once it is
// committed.
[[noreturn]] void submit_for_ever(const std::string& path, int pipe, unsigned seed) {
  auto journal = Journal::open(at(path));
  if (!journal) ::_exit(2);
  std::mt19937 random(seed);
  std::mutex mutex;
  std::condition_variable changed;
  int in_flight = 0;
  for (;;) {
    auto rows = std::make_shared<std::vector<Asked>>(1 + random() % 64);
    RowId id = (*journal)->reserve(rows->size());
    std::vector<const Asked*> batch;
    for (Asked& row : *rows) {
      row.id = id++;
      row.name = *Name::parse("n" + std::to_string(row.id) + ".example.com");
      batch.push_back(&row);
    }
    {
      std::unique_lock lock(mutex);
      changed.wait(lock, [&] { return in_flight < 8; });
      ++in_flight;
    }
    const bool taken = (*journal)->submit(std::move(batch), [&, rows](bool committed) {
      if (!committed) ::_exit(3);
      std::vector<RowId> ids;
      for (const Asked& row : *rows) ids.push_back(row.id);
      const auto octets = ids.size() * sizeof(RowId);
      if (::write(pipe, ids.data(), octets) != static_cast<ssize_t>(octets)) ::_exit(4);
      for (const Asked& row : *rows) (*journal)->append(Outcome{.asked = row.id, .data = "192.0.2.1"});
      const std::lock_guard lock(mutex);
      --in_flight;
      changed.notify_one();
    });
    if (!taken) ::_exit(5);
  }
}

}  // namespace

TEST_CASE("kill -9 at any moment loses no row that was said to be committed") {
  const Folder folder;
  std::mt19937 random(7);
  std::set<RowId> promised;
  for (int round = 0; round < 6; ++round) {
    int ends[2];
    REQUIRE(::pipe(ends) == 0);
    const unsigned seed = random();
    const pid_t child = ::fork();
    REQUIRE(child >= 0);
    if (child == 0) {
      ::close(ends[0]);
      submit_for_ever(folder.file(), ends[1], seed);
    }
    ::close(ends[1]);
    std::size_t wanted = 1 + random() % volume(10'000U), here = 0;
    bool killed = false;
    RowId id = 0;
    ssize_t got = 0;
    // Ids are written whole: a batch is smaller than PIPE_BUF.
    while ((got = ::read(ends[0], &id, sizeof id)) == static_cast<ssize_t>(sizeof id)) {
      const bool fresh = promised.insert(id).second;
      if (!fresh) CHECK_MESSAGE(fresh, "id " << id << " was drawn twice");
      if (++here == wanted && !std::exchange(killed, true)) REQUIRE(::kill(child, SIGKILL) == 0);
    }
    ::close(ends[0]);
    int status = 0;
    REQUIRE(::waitpid(child, &status, 0) == child);
    CHECK(WIFSIGNALED(status));
    REQUIRE(here >= wanted);

    // First the analyst, who comes before anybody repaired anything.
    const auto seen = run_sql(folder.file(), "SELECT count(*) FROM queries", 10);
    REQUIRE_MESSAGE(seen.has_value(), seen.error().message);
    CHECK(std::stoull(seen->rows[0][0]) >= promised.size());
    if (round % 3 == 0) must_open(folder.file());  // and closes; the others let the next child find the mess
    Sql sql(folder.file());
    if (round % 3 == 0)
      CHECK(sql.one_now("SELECT count(*) FROM queries") == sql.one("SELECT count(*) FROM asked"));
    std::set<RowId> present;
    for (const auto& row : sql.rows("SELECT id FROM asked ORDER BY id")) present.insert(std::stoll(row));
    std::size_t missing = 0;
    for (const RowId each : promised) missing += present.count(each) == 0;
    CHECK(missing == 0);
    CHECK(sql.rows_now("SELECT id FROM queries WHERE rcode NOT IN ('unknown') OR name <> 'n' || id || "
                       "'.example.com' LIMIT 3")
              .empty());
    CHECK(sql.one("PRAGMA integrity_check") == "ok");
    CHECK(sql.one("SELECT count(*) FROM outcome WHERE asked NOT IN (SELECT id FROM asked)") == "0");
  }
}

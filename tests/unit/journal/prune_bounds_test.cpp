// Retention's bounds: the moment of the cut, what a step may take, what grows beside the queries.
#include "resolver/journal/journal_file.h"
#include "resolver/journal/prune_turn.h"
#include "resolver/journal/pruner.h"
#include "tests/unit/journal/prune_support.h"

using namespace postern;
using namespace postern::test;

namespace {

// The pruner alone over a file, at a time of the test's own; passes until one is over.
struct Alone {
  explicit Alone(const std::string& path, const Retention& keep) : file(*JournalFile::open(at(path))) {
    lister = std::move(*Lister::create(file.connection(), names, file.first_id(), file.boot()));
    while (lister->catching_up()) REQUIRE(lister->step() == SQLITE_OK);
    pruner = std::move(*Pruner::create(file.connection(), nullptr, names, *lister, keep, file.boot()));
  }
  void pass(std::int64_t now_us) {
    for (const auto before = pruner->passes(); pruner->passes() == before;)
      REQUIRE(pruner->step(now_us) == SQLITE_OK);
  }
  JournalFile file;
  NameBook names;
  std::unique_ptr<Lister> lister;
  std::unique_ptr<Pruner> pruner;
};

}  // namespace

TEST_CASE("the cut is at the microsecond: what is as old as may be stays, what is older goes") {
  const Folder folder;
  const std::int64_t now = now_us();
  {
    const auto journal = must_open(folder.file());
    for (const std::int64_t age_us : {day_us + 1, day_us, day_us - 1}) {
      Asked row = asked(journal->reserve(1));
      row.time_us = now - age_us;
      REQUIRE(write_one(*journal, row) == true);
    }
  }
  Alone(folder.file(), kept_for(day_us)).pass(now);
  CHECK(Sql(folder.file()).one("SELECT min(id), count(*) FROM asked") == "2|2");
  // The last minute, likewise: by size all older ones go.
  const Retention keep = kept_up_to(1);
  const std::int64_t youngest = now - day_us + 1 + Retention::youngest_us;
  Alone(folder.file(), keep).pass(youngest - 1);
  CHECK(Sql(folder.file()).one("SELECT min(id), count(*) FROM asked") == "3|1");
  Alone(folder.file(), keep).pass(youngest);
  CHECK(Sql(folder.file()).one("SELECT count(*) FROM asked") == "0");
}

TEST_CASE("of charged rows the last one that a snapshot holds goes, and the next one stays") {
  const Folder folder;
  {
    const auto journal = must_open(folder.file());
    const SandboxId one = *journal->attach(sandbox("one"), now_us() - 40 * day_us);
    write_aged(*journal, 10, 40 * day_us, one, "example.com", 5000);
    journal->save({"u1", "s-one", 7, 0, 1, "ledger"});
    journal->save({"u1", "", 6, 0, 1, "50000"});  // the user's is behind: it decides
    REQUIRE(submit_and_wait(*journal, {}) == true);
  }
  prune(folder.file(), kept_for(30 * day_us));
  CHECK(Sql(folder.file()).one("SELECT min(id), count(*) FROM asked") == "7|4");
}

TEST_CASE("a step is bounded: no transaction removes more than it may") {
  const Folder folder;
  {
    const auto journal = must_open(folder.file());
    write_aged(*journal, 1000, 40 * day_us, 1);
  }
  const Alone alone(folder.file(), kept_for(30 * day_us));
  const auto* pruner = &alone.pruner;
  std::uint64_t before = 0;
  int steps = 0;
  while ((*pruner)->passes() == 0) {
    REQUIRE((*pruner)->step(now_us()) == SQLITE_OK);
    CHECK((*pruner)->removed_queries() - before <= static_cast<std::uint64_t>(Pruner::step_rows));
    before = (*pruner)->removed_queries();
    REQUIRE(++steps < 100);
  }
  CHECK(before == 1000);
  // Nothing that is young enough, and no pass before its time.
  CHECK((*pruner)->due() > Pruner::Clock::now());
}

TEST_CASE("names that nobody asks for twice do not fill a file with their sums") {
  const Folder folder(Folder::Where::in_memory);
  const Retention keep = kept_up_to(1 << 20);
  const auto journal = must_open(keeping(folder.file(), keep));
  const SandboxId one = *journal->attach(sandbox("one"), now_us() - 2 * hour_us);
  for (int i = 0; i < 20; ++i) {
    std::deque<Asked> rows;
    std::vector<const Asked*> batch;
    for (int j = 0; j < 500; ++j) {
      rows.push_back(asked(journal->reserve(1), "d" + std::to_string(i * 500 + j) + ".example", one));
      rows.back().time_us = now_us() - 120'000'000;
      batch.push_back(&rows.back());
    }
    REQUIRE(submit_and_wait(*journal, batch) == true);
  }
  REQUIRE(eventually(*journal, [&](const auto& stats) {
    return stats.pruned_sums > 1000 && stats.used_octets <= keep.octets && stats.waiting_rows == 0;
  }));
  CHECK_FALSE(journal->stats().rest_too_large);
  CHECK(verdict(folder.file()) == "consistent");
}

TEST_CASE("the size takes no sums while it leaves more than a day of queries") {
  const Folder folder(Folder::Where::in_memory);
  const Retention keep = kept_up_to(1 << 20);
  const auto journal = must_open(keeping(folder.file(), keep));
  const SandboxId one = *journal->attach(sandbox("one"), now_us() - 9 * day_us);
  for (int day = 9; day > 1; --day) write_aged(*journal, 1000, day * day_us, one);
  REQUIRE(eventually(*journal, [&](const auto& stats) {
    return stats.pruned_rows > 1000 && stats.used_octets <= keep.octets && stats.waiting_rows == 0;
  }));
  CHECK(journal->stats().pruned_sums == 0);
  CHECK(Sql(folder.file()).one("SELECT sum(queries) FROM usage") == "8000");
}

TEST_CASE("where what must stay is too large by itself, that is said, and is not looked for all the time") {
  const Folder folder;
  write_story(folder.file(), 100);
  const Retention keep = kept_up_to(1);
  Alone alone(folder.file(), keep);
  const std::int64_t then_us = 1'700'000'030'000'000;  // half a minute after the story
  alone.pass(then_us);
  CHECK(alone.pruner->removed_sums() > 0);
  alone.pass(then_us);
  CHECK(alone.pruner->rest_too_large());
  CHECK(alone.pruner->removed_queries() == 0);
  CHECK(alone.pruner->due() > Pruner::Clock::now());
  alone.pass(then_us + 2 * day_us);  // what had to stay need not any more
  CHECK(alone.pruner->removed_queries() > 0);
  CHECK_FALSE(alone.pruner->rest_too_large());
}

TEST_CASE("while the log is longer than its limit no step is taken, and it is looked at a pause later") {
  const Folder folder;
  {
    const auto journal = must_open(folder.file());
    write_aged(*journal, 100, 40 * day_us, 1);
  }
  const Retention keep = kept_for(30 * day_us);
  CommitGate gate;
  const auto in_use = FileInUse::open(keeping(folder.file(), keep), gate);
  REQUIRE(in_use.has_value());
  FileInUse& file = **in_use;
  while (file.lister().catching_up()) REQUIRE(file.lister().step() == SQLITE_OK);
  Sql reader(folder.file());  // of a state before the row below: the log stays as long as this is open
  reader.rows_now("BEGIN");
  reader.rows_now("SELECT count(*) FROM asked");
  REQUIRE(file.connection().exec("INSERT INTO meta (key, value) VALUES ('beside', '')") == SQLITE_OK);
  const std::int64_t octets = file.wal_octets();
  file.checkpointer().committed(octets);
  PruneTurn full(octets, keep), free(octets + 1, keep);
  Journal::Stats stats;
  full.take(file, gate, false, 0);
  full.tell(stats);
  CHECK(stats.pruned_rows == 0);
  CHECK(full.due(file) > PruneTurn::Clock::now());
  CHECK(full.due(file) <= PruneTurn::Clock::now() + PruneTurn::pause);
  free.take(file, gate, false, 0);
  free.tell(stats);
  CHECK(stats.pruned_rows > 0);
}

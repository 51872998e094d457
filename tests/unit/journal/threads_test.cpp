// Several shards at once: every batch is answered once, with what is true.
#include <latch>

#include "resolver/journal/reader.h"
#include "tests/unit/journal/support.h"

using namespace postern;
using namespace postern::test;

TEST_CASE("three shards, a control thread and a reader at once lose and mix nothing") {
  const Folder folder;
  auto options = at(folder.file());
  options.wal_limit_octets = 1 << 20;  // so that checkpoints pause the writer in between
  const auto journal = must_open(options);
  constexpr int shards = 3, batches = 300, rows_each = 16;
  std::atomic<int> answered = 0, failed = 0;
  std::latch done(shards * batches);
  for (int shard = 0; shard < shards; ++shard) {  // as on the path: a sandbox is attached before it asks
    Sandbox who;
    who.name = "shard" + std::to_string(shard);
    REQUIRE(journal->attach(who, 1) == shard + 1);
  }
  std::vector<std::thread> threads;
  for (int shard = 0; shard < shards; ++shard)
    threads.emplace_back([&, shard] {
      for (int b = 0; b < batches; ++b) {
        auto rows = std::make_shared<std::vector<Asked>>(rows_each);
        RowId id = journal->reserve(rows_each);
        std::vector<const Asked*> batch;
        for (Asked& row : *rows) {
          row = asked(id++, "s" + std::to_string(shard) + ".example.com", shard + 1);
          row.rule = journal->intern_rule("rule of shard " + std::to_string(shard) + " batch " +
                                          std::to_string(b % 10));
          batch.push_back(&row);
        }
        const bool taken = journal->submit(std::move(batch), [&, rows](bool committed) {
          ++answered;
          if (!committed) ++failed;
          for (const Asked& row : *rows) journal->append(Outcome{.asked = row.id, .data = "192.0.2.1"});
          done.count_down();
        });
        if (!taken) {
          ++failed;
          done.count_down();
        }
      }
    });
  threads.emplace_back([&] {
    for (int i = 0; i < 20; ++i) {
      const auto id = journal->attach(Sandbox{.name = "box" + std::to_string(i),
                                              .session = {},
                                              .user = {},
                                              .code_sha256 = {},
                                              .labels = {},
                                              .policy = {}},
                                      i + 1);
      if (!id) ++failed;
      journal->alert(AlertRow{.time_us = i,
                              .sandbox = id.value_or(0),
                              .kind = "suspect",
                              .zone = "z",
                              .action = "alert",
                              .evidence = "{}"});
      if (id) journal->detach(*id, i + 2);
      (void)journal->stats();
    }
  });
  threads.emplace_back([&] {
    for (int i = 0; i < 20; ++i)
      if (!run_sql(folder.file(), "SELECT count(*) FROM queries", 1)) ++failed;
  });
  for (auto& thread : threads) thread.join();
  done.wait();
  CHECK(answered == shards * batches);
  CHECK(failed == 0);
  REQUIRE(eventually(*journal, [](const Journal::Stats& stats) { return stats.pending_outcomes == 0; }));
  Sql sql(folder.file());
  CHECK(sql.rows("SELECT name, count(*), count(DISTINCT rule), sum(rule LIKE '%shard ' || substr(name, 2, 1) "
                 "|| ' %'), sum(data = '192.0.2.1')"
                 " FROM queries GROUP BY name ORDER BY name") ==
        std::vector<std::string>{"s0.example.com|4800|10|4800|4800", "s1.example.com|4800|10|4800|4800",
                                 "s2.example.com|4800|10|4800|4800"});
  CHECK(sql.one("SELECT count(*) FROM sandboxes WHERE state = 'detached'") == "20");
  CHECK(sql.one("SELECT count(*) FROM alerts") == "20");
  CHECK(journal->stats().commits > 0);
}

TEST_CASE("the log is folded back and cut when nothing happens, and bounded when much does") {
  const Folder folder;
  auto options = at(folder.file());
  options.wal_limit_octets = 1 << 20;
  const auto journal = must_open(options);
  std::deque<Asked> rows;
  for (int b = 0; b < 1500; ++b) {
    rows.clear();
    std::vector<const Asked*> batch;
    RowId id = journal->reserve(16);
    for (int i = 0; i < 16; ++i) rows.push_back(asked(id++));
    for (const Asked& row : rows) batch.push_back(&row);
    REQUIRE(submit_and_wait(*journal, batch) == true);
  }
  // About 3 pages a transaction: 18 MB of log if it never started over. Twice the limit, and one transaction.
  const std::string log = folder.file() + "-wal";
  CHECK(std::filesystem::file_size(log) < (std::uintmax_t{2} << 20) + 65536);
  CHECK(eventually(*journal, [&](const Journal::Stats&) { return std::filesystem::file_size(log) == 0; }));
  CHECK(eventually(*journal, [](const Journal::Stats& stats) { return stats.wal_octets == 0; }));
  CHECK(journal->stats().checkpoint_failures == 0);
  const Asked row = asked(journal->reserve(1));
  CHECK(write_one(*journal, row) == true);
  CHECK(Sql(folder.file()).one("SELECT count(*) FROM asked") == "24001");
}

TEST_CASE("a reader that holds its snapshot neither stops the writer nor sees what came later") {
  const Folder folder;
  auto options = at(folder.file());
  options.wal_limit_octets = 256 << 10;
  const auto journal = must_open(options);
  const Asked first = asked(journal->reserve(1));
  REQUIRE(write_one(*journal, first) == true);
  Sql reader(folder.file());
  reader.rows("BEGIN");
  CHECK(reader.one("SELECT count(*) FROM asked") == "1");
  for (int i = 0; i < 2000; ++i) {
    const Asked row = asked(journal->reserve(1));
    REQUIRE(write_one(*journal, row) == true);
  }
  CHECK(reader.one("SELECT count(*) FROM asked") == "1");
  reader.rows("COMMIT");
  CHECK(reader.one("SELECT count(*) FROM asked") == "2001");
}

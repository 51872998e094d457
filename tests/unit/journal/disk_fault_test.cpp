// A disk that fails: errors and stalls of every kind of call, a log that cannot start over. Rows fail,
// nothing grows without limit, and when it is over the journal goes on.
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <future>

#include "tests/support/fault_vfs.h"
#include "tests/unit/journal/seal_support.h"

using namespace postern;
using namespace postern::test;

namespace {

using Call = FaultVfs::Call;

std::optional<bool> write(Journal& journal, const std::string& text = "www.example.com") {
  const Asked row = asked(journal.reserve(1), text);
  return write_one(journal, row);
}

bool is_writable(const Journal::Stats& stats) {
  return stats.writable;
}

}  // namespace

TEST_CASE("an error of the disk fails the rows that meet it, no others, and is over when it is over") {
  struct Row {
    Call call;
    const char* file;
    int code;
    const char* said;
  };
  const Row table[] = {
      {Call::write, "-wal", SQLITE_FULL, "full"},
      {Call::write, "-wal", SQLITE_IOERR_WRITE, "I/O"},
      {Call::sync, "-wal", SQLITE_IOERR_FSYNC, "I/O"},
      {Call::shm_lock, "", SQLITE_IOERR_SHMLOCK, "I/O"},
  };
  for (const Row& row : table) {
    CAPTURE(row.code);
    const Folder folder;
    FaultVfs disk;
    auto options = at(folder.file());
    options.sync_full = true;  // or a commit would not sync
    const auto journal = must_open(options);
    REQUIRE(write(*journal, "before.example.com") == true);
    disk.fail(row.call, row.file, row.code);
    for (int i = 0; i < 20; ++i) CHECK(write(*journal, "lost.example.com") == false);
    const auto stats = journal->stats();
    CHECK(!stats.writable);
    CHECK(stats.outages == 1);
    CHECK(stats.outage_since_us > 0);
    CHECK(stats.last_error.find(row.said) != std::string::npos);
    CHECK(stats.pending_rows == 0);
    disk.heal();
    REQUIRE(eventually(*journal, is_writable));
    CHECK(write(*journal, "after.example.com") == true);
    Sql sql(folder.file());
    CHECK(sql.rows("SELECT name FROM on_record ORDER BY id") ==
          std::vector<std::string>{"before.example.com", "after.example.com"});
    CHECK(sql.one("SELECT refused, answered, until_us >= from_us FROM gaps") == "20|0|1");
    CHECK(sql.one("PRAGMA integrity_check") == "ok");
  }
}

TEST_CASE("a single error costs one batch") {
  const Folder folder;
  FaultVfs disk;
  const auto journal = must_open(folder.file());
  for (int after = 0; after < 6; ++after) {
    disk.fail(Call::write, "-wal", SQLITE_IOERR_WRITE, 1, after);
    int failures = 0;
    for (int i = 0; i < 8; ++i) failures += write(*journal) == false;
    CHECK(failures <= 1);
    disk.heal();
    REQUIRE(eventually(*journal, is_writable));
  }
  CHECK(Sql(folder.file()).one("PRAGMA integrity_check") == "ok");
}

TEST_CASE("errors of the disk at any call of a start are clear errors or none, and never a broken file") {
  for (const Call call :
       {Call::open, Call::read, Call::write, Call::truncate, Call::sync, Call::shm_map, Call::shm_lock}) {
    // Under ThreadSanitizer each fourth call, another one for each kind.
    constexpr int calls = 12, each = calls / volume(calls);
    for (int after = static_cast<int>(call) % each; after < calls; after += each) {
      const Folder folder(Folder::Where::in_memory);
      FaultVfs disk;
      disk.fail(call, "", call == Call::open ? SQLITE_CANTOPEN : SQLITE_IOERR, 1, after);
      const std::string error = error_of_open(at(folder.file()));
      if (!error.empty()) CHECK(error.find("\"" + folder.file() + "\"") != std::string::npos);
      disk.heal();
      const auto journal = must_open(folder.file());
      CHECK(write(*journal) == true);
    }
  }
}

TEST_CASE("a stalled disk holds rows up to the limit, then refuses; when it moves again all are written") {
  for (const Call call : {Call::write, Call::sync}) {
    const Folder folder;
    FaultVfs disk;
    auto options = at(folder.file());
    options.sync_full = true;
    options.max_pending_rows = 4;
    const auto journal = must_open(options);
    disk.stall(call, "-wal");
    std::deque<Asked> rows;
    std::vector<std::promise<bool>> results(4);
    for (std::size_t i = 0; i < results.size(); ++i) {
      rows.push_back(asked(journal->reserve(1)));
      REQUIRE(journal->submit({&rows.back()}, [&, i](bool done) { results[i].set_value(done); }));
    }
    REQUIRE(eventually(*journal, [](const auto& stats) { return stats.oldest_pending_us > 2000; }));
    CHECK(!write(*journal).has_value());
    for (std::size_t i = 0; i < Journal::max_waiting_alerts + 3; ++i)
      journal->alert(AlertRow{.kind = "kept", .zone = {}, .action = {}, .evidence = "{}"});
    CHECK(journal->stats().lost_alerts == 3);
    CHECK(journal->stats().pending_rows == 4);
    disk.heal();
    for (auto& result : results) CHECK(result.get_future().get());
    CHECK(write(*journal) == true);
    REQUIRE(eventually(
        *journal, [](const auto& stats) { return stats.committed_alerts == Journal::max_waiting_alerts; }));
    CHECK(Sql(folder.file()).one("SELECT count(*) FROM on_record") == "5");
    // Of the refused row there is a trace.
    CHECK(Sql(folder.file()).one("SELECT sum(refused) FROM gaps") == "1");
  }
}

TEST_CASE("answers without a record are counted, and told in the next gap") {
  const Folder folder;
  FaultVfs disk;
  const auto journal = must_open(folder.file());
  disk.fail(Call::write, "-wal", SQLITE_FULL);
  for (int i = 0; i < 3; ++i) {
    CHECK(write(*journal) == false);
    journal->answered_unrecorded();
  }
  CHECK(journal->stats().answered_unrecorded == 3);
  disk.heal();
  REQUIRE(eventually(*journal, is_writable));
  CHECK(write(*journal) == true);
  CHECK(Sql(folder.file()).one("SELECT refused, answered FROM gaps") == "3|3");
}

TEST_CASE("an outage that Postern does not outlive is on record when it starts again, once") {
  const Folder folder;
  const auto gaps = [&] { return Sql(folder.file()).rows_now("SELECT refused, answered, why FROM gaps"); };
  std::string lock;
  for (const bool killed : {false, true}) {
    CAPTURE(killed);
    const auto until_it_ends = [&] {
      FaultVfs disk;
      auto journal = must_open(folder.file());
      disk.fail(Call::write, "-wal", SQLITE_FULL);
      for (int i = 0; i < 3; ++i) {
        CHECK(write(*journal) == false);
        journal->answered_unrecorded();
      }
      journal->answered_unrecorded();
      while (killed) {  // until the journal's thread has come round
        if (contents(folder.file() + ".lock").find(" 3 4 ") != std::string::npos) ::_exit(0);
        std::this_thread::sleep_for(std::chrono::milliseconds(5));
      }
    };
    if (!killed) {
      until_it_ends();
    } else {
      const pid_t child = ::fork();
      REQUIRE(child >= 0);
      if (child == 0) until_it_ends();
      REQUIRE(::waitpid(child, nullptr, 0) == child);
    }
    lock = contents(folder.file() + ".lock");
    CHECK(gaps().size() == (killed ? 1 : 0));
    for (int start = 0; start < 2; ++start) {
      must_open(folder.file()).reset();
      REQUIRE(gaps().size() == (killed ? 2 : 1));
      CHECK(gaps().back().starts_with("3|4|cannot write journal"));
      CHECK(verdict(folder.file()) == "consistent");
    }
  }
  // Killed between the commit and the note's end: it is on record already.
  std::ofstream(folder.file() + ".lock", std::ios::binary) << lock;
  must_open(folder.file()).reset();
  CHECK(gaps().size() == 2);
  for (const char* bad : {"gap 1 2", "gap a b c d e\n", "garbage", "gap 1 2 3 4 no end"}) {
    std::ofstream(folder.file() + ".lock", std::ios::binary) << bad;
    must_open(folder.file()).reset();
    CHECK(gaps().size() == 2);
  }
}

TEST_CASE("a reader of an old state bounds the log: beyond its ceiling nothing is written until it ends") {
  const Folder folder;
  auto options = at(folder.file());
  options.wal_limit_octets = 256 << 10;
  options.wal_ceiling_octets = 1 << 20;
  OtherProcess reader([&](const Line& line) { return read_old_state(folder.file(), line); });
  const auto journal = must_open(options);
  REQUIRE(write(*journal) == true);
  reader.line().say(true);
  REQUIRE(reader.line().hear());
  bool refused = false;
  for (int batch = 0; batch < 4000 && !refused; ++batch) {
    std::deque<Asked> rows;
    std::vector<const Asked*> pointers;
    for (int i = 0; i < 64; ++i) rows.push_back(asked(journal->reserve(1), "a.rather.long.name.example.com"));
    for (const Asked& row : rows) pointers.push_back(&row);
    refused = submit_and_wait(*journal, pointers) == false;
  }
  CHECK(refused);
  auto stats = journal->stats();
  CHECK(!stats.writable);
  CHECK(stats.wal_held);
  CHECK(stats.wal_reader == reader.pid());
  CHECK(stats.last_error.find("process " + std::to_string(reader.pid()) + " reads an old state") !=
        std::string::npos);
  CHECK(std::filesystem::file_size(folder.file("journal.db-wal")) < (2u << 20));
  REQUIRE(reader.join() == 0);
  REQUIRE(eventually(*journal, is_writable));
  CHECK(write(*journal) == true);
  stats = journal->stats();
  CHECK(!stats.wal_held);
  CHECK(stats.wal_octets < (1u << 20));
}

TEST_CASE("an error of a checkpoint is counted, and harms no row") {
  const Folder folder;
  FaultVfs disk;
  auto options = at(folder.file());
  options.wal_limit_octets = 64 << 10;
  const auto journal = must_open(options);
  disk.fail(Call::sync, "journal.db", SQLITE_IOERR_FSYNC);
  for (int i = 0; i < 200; ++i) REQUIRE(write(*journal) == true);
  REQUIRE(eventually(*journal, [](const auto& stats) { return stats.checkpoint_failures > 0; }));
  disk.heal();
  REQUIRE(eventually(*journal, [](const auto& stats) { return stats.wal_octets == 0; }));
  CHECK(Sql(folder.file()).one("SELECT count(*) FROM on_record") == "200");
}

// The log written in one piece: fewer calls, and whatever fails or is taken back, the file says what SQLite
// says.
#include "resolver/journal/log_gather.h"

#include <cstddef>
#include <filesystem>
#include <fstream>
#include <random>

#include "resolver/journal/sqlite.h"
#include "tests/support/fault_vfs.h"
#include "tests/unit/journal/support.h"

using namespace postern;
using namespace postern::test;

namespace {

constexpr const char* insert_some =
    "INSERT INTO t (v) WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 64)"
    " SELECT randomblob(500) FROM n";

// A cache of ten pages: larger transactions are written to the log before they end, and read back.
Connection open_small(const std::string& path) {
  auto connection = Connection::open(path, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, log_gathering_vfs());
  REQUIRE(connection.has_value());
  for (const char* sql : {"PRAGMA journal_mode = WAL", "PRAGMA synchronous = NORMAL",
                          "PRAGMA cache_size = 10", "PRAGMA wal_autocheckpoint = 0",
                          "CREATE TABLE IF NOT EXISTS t (id INTEGER PRIMARY KEY, v BLOB) STRICT"})
    REQUIRE(connection->exec(sql) == SQLITE_OK);
  return std::move(*connection);
}

// With 64 rows, and a cache of so many pages; the disk counts from now on what is written to the log.
Connection open_counted(const std::string& path, const char* cache, FaultVfs& disk) {
  Connection connection = open_small(path);
  REQUIRE(connection.exec(cache) == SQLITE_OK);
  REQUIRE(connection.exec(insert_some) == SQLITE_OK);
  disk.fail(FaultVfs::Call::write, "-wal", SQLITE_OK);  // and fails nothing
  return connection;
}

// Everything in the file, as somebody else sees it.
std::string content(const std::string& path) {
  auto connection = Connection::open(path, SQLITE_OPEN_READWRITE);
  REQUIRE(connection.has_value());
  sqlite3_db_config(connection->raw(), SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, nullptr);  // spares the disk
  CHECK(*connection->text("PRAGMA integrity_check") == "ok");
  return *connection->text(
      "SELECT count(*) || ' ' || coalesce(sum(id * length(v)), 0) || ' ' ||"
      " coalesce(sum(unicode(substr(hex(v), 3, 1)) * id), 0) FROM t");
}

// The files as a killed process leaves them: the log's index is built anew.
std::string content_after_kill(const std::string& path, const std::string& copy) {
  for (const char* suffix : {"", "-wal"})
    std::filesystem::copy_file(path + suffix, copy + suffix,
                               std::filesystem::copy_options::overwrite_existing);
  std::filesystem::remove(copy + "-shm");
  return content(copy);
}

// A log, written as SQLite does: without SQLite, which gives a transaction up at most errors by itself.
class Log {
 public:
  explicit Log(const std::string& path) : path_(path) {
    sqlite3_vfs* vfs = sqlite3_vfs_find(log_gathering_vfs());
    memory_.resize(static_cast<std::size_t>(vfs->szOsFile) / sizeof(std::max_align_t) + 1);
    const int flags = SQLITE_OPEN_WAL | SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE;
    REQUIRE(vfs->xOpen(vfs, path_.c_str(), file(), flags, nullptr) == SQLITE_OK);
  }
  Log(const Log&) = delete;
  Log& operator=(const Log&) = delete;
  ~Log() { file()->pMethods->xClose(file()); }
  int write(const std::string& octets, std::int64_t at) {
    return file()->pMethods->xWrite(file(), octets.data(), static_cast<int>(octets.size()), at);
  }
  int write_frame(char fill, bool commits, std::int64_t number) {
    std::string header(24, fill);
    header.replace(4, 4, 4, commits ? '\1' : '\0');
    const std::int64_t at = 32 + number * (24 + 4096);
    if (const int code = write(header, at); code != SQLITE_OK) return code;
    return write(std::string(4096, fill), at + 24);
  }
  int read(std::int64_t at) {
    char octet = 0;
    return file()->pMethods->xRead(file(), &octet, 1, at);
  }

 private:
  sqlite3_file* file() { return reinterpret_cast<sqlite3_file*>(memory_.data()); }
  std::string path_;
  std::vector<std::max_align_t> memory_;
};

}  // namespace

TEST_CASE("a transaction's frames go to the log with one call") {
  const Folder folder;
  FaultVfs disk;
  auto connection = open_counted(folder.file(), "PRAGMA cache_size = 100", disk);
  for (std::uint64_t i = 1; i <= 5; ++i) {
    REQUIRE(connection.exec(insert_some) == SQLITE_OK);
    CHECK(disk.failed() == i);
  }
  CHECK(content(folder.file()).starts_with("384 "));
}

TEST_CASE("frames that do not fit together go in pieces") {
  const Folder folder;
  FaultVfs disk;
  auto connection = open_counted(folder.file(), "PRAGMA cache_size = 1000", disk);
  REQUIRE(connection.exec("INSERT INTO t (v) SELECT randomblob(3000) FROM t") == SQLITE_OK);
  CHECK(disk.failed() == 3);  // 64 rows of a page each, and some pages above them: 31 a call
  CHECK(content(folder.file()).starts_with("128 "));
}

TEST_CASE("a commit that cannot be written is an error, nothing of it is there, and the next one is") {
  const Folder folder;
  FaultVfs disk;
  auto connection = open_small(folder.file());
  REQUIRE(connection.exec(insert_some) == SQLITE_OK);
  const std::string before = content(folder.file());
  disk.fail(FaultVfs::Call::write, "-wal", SQLITE_FULL, 1);
  CHECK(connection.exec(insert_some) == SQLITE_FULL);
  CHECK(disk.failed() == 1);
  CHECK(content(folder.file()) == before);
  CHECK(content_after_kill(folder.file(), folder.file("copy.db")) == before);
  REQUIRE(connection.exec(insert_some) == SQLITE_OK);
  CHECK(content(folder.file()).starts_with("128 "));
  CHECK(content_after_kill(folder.file(), folder.file("copy.db")) == content(folder.file()));
}

TEST_CASE(
    "behind frames that were lost nothing is written or read until the log is taken up where they began") {
  const Folder folder;
  FaultVfs disk;
  std::ofstream(folder.file("log.db"));  // whose rights the log gets
  const std::string path = folder.file("log.db-wal");
  Log log(path);
  REQUIRE(log.write(std::string(32, 'h'), 0) == SQLITE_OK);
  REQUIRE(log.write_frame('a', true, 0) == SQLITE_OK);
  REQUIRE(log.write_frame('b', false, 1) == SQLITE_OK);
  REQUIRE(log.write_frame('c', false, 2) == SQLITE_OK);
  CHECK(std::filesystem::file_size(path) == 32 + 4120);
  disk.fail(FaultVfs::Call::write, "-wal", SQLITE_FULL, 1);
  CHECK(log.read(40) == SQLITE_FULL);  // what waits goes first, and cannot
  CHECK(log.read(40) == SQLITE_OK);
  CHECK(log.read(32 + 4120) == SQLITE_FULL);
  CHECK(log.write_frame('d', true, 3) == SQLITE_FULL);
  CHECK(log.write_frame('d', true, 2) == SQLITE_FULL);
  CHECK(std::filesystem::file_size(path) == 32 + 4120);
  CHECK(log.write_frame('e', true, 1) == SQLITE_OK);
  CHECK(log.write_frame('f', true, 2) == SQLITE_OK);
  CHECK(std::filesystem::file_size(path) == 32 + 3 * 4120);
  CHECK(log.read(32 + 2 * 4120) == SQLITE_OK);
}

TEST_CASE("a transaction that lost a part of its frames cannot commit the rest") {
  const Folder folder;
  FaultVfs disk;
  auto connection = open_small(folder.file());
  REQUIRE(connection.exec(insert_some) == SQLITE_OK);
  const std::string before = content(folder.file());
  REQUIRE(connection.exec("BEGIN") == SQLITE_OK);
  // Larger than the cache, it is written before it ends.
  disk.fail(FaultVfs::Call::write, "-wal", SQLITE_IOERR_WRITE, 1);
  int code = SQLITE_OK;
  for (int i = 0; i < 10 && sqlite3_get_autocommit(connection.raw()) == 0; ++i)
    if (const int now = connection.exec(insert_some); now != SQLITE_OK) code = now;
  CHECK(code != SQLITE_OK);
  CHECK(disk.failed() == 1);
  CHECK(connection.exec("COMMIT") != SQLITE_OK);
  if (sqlite3_get_autocommit(connection.raw()) == 0) connection.exec("ROLLBACK");
  CHECK(content(folder.file()) == before);
  CHECK(content_after_kill(folder.file(), folder.file("copy.db")) == before);
}

TEST_CASE("whatever is written, taken back, folded and lost, the file has what was committed") {
  for (const unsigned seed : {1u, 2u, 3u, 4u}) {
    CAPTURE(seed);
    const Folder folder;
    FaultVfs disk;
    auto connection = open_small(folder.file());
    std::mt19937 draw(seed);
    std::string committed = content(folder.file());
    for (int turn = 0; turn < 40; ++turn) {
      REQUIRE(connection.exec("BEGIN IMMEDIATE") == SQLITE_OK);
      const bool faulty = draw() % 4 == 0;
      if (faulty)
        disk.fail(FaultVfs::Call::write, "-wal", SQLITE_IOERR_WRITE, 1, static_cast<int>(draw() % 4));
      for (unsigned steps = draw() % 6 + 1; steps > 0; --steps) {
        const auto dice = draw() % 10;
        connection.exec(dice < 5   ? insert_some
                        : dice < 7 ? "UPDATE t SET v = randomblob(length(v)) WHERE id % 7 = 1"
                        : dice < 8 ? "DELETE FROM t WHERE id % 11 = 3"
                        : dice < 9 ? "SAVEPOINT s; UPDATE t SET v = randomblob(400) WHERE id % 3 = 1;"
                                     " ROLLBACK TO s; RELEASE s"
                                   : "SELECT sum(length(v)) FROM t");
        if (sqlite3_get_autocommit(connection.raw()) != 0) break;  // it was taken back by an error
      }
      const std::string inside =
          sqlite3_get_autocommit(connection.raw()) == 0 ? "in transaction" : "taken back";
      const bool keep = draw() % 3 != 0;
      const int code = inside == "taken back" ? SQLITE_ERROR : connection.exec(keep ? "COMMIT" : "ROLLBACK");
      disk.heal();
      if (sqlite3_get_autocommit(connection.raw()) == 0) REQUIRE(connection.exec("ROLLBACK") == SQLITE_OK);
      const std::string now = content(folder.file());
      if (code != SQLITE_OK || !keep) CHECK(now == committed);
      if (code != SQLITE_OK && !faulty) FAIL("nothing failed, and yet it was not committed");
      committed = now;
      CHECK(*connection.text("PRAGMA integrity_check") == "ok");
      CHECK(content_after_kill(folder.file(), folder.file("copy.db")) == committed);
      if (draw() % 5 == 0)
        REQUIRE(connection.exec(draw() % 2 == 0 ? "PRAGMA wal_checkpoint(RESTART)"
                                                : "PRAGMA wal_checkpoint(TRUNCATE)") == SQLITE_OK);
    }
  }
}

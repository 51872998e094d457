// The journal's file: opening it without surprises, and the boot's row.
#include "resolver/journal/journal_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <ctime>
#include <fstream>

#include "resolver/journal/schema.h"

namespace postern {
namespace {

// How long another program's lock on the file is waited for, before the transaction counts as failed.
constexpr int busy_ms = 250;
// Ids left out after a writer that was killed: it may have drawn so many that it could not commit, but told
// somebody.
constexpr std::int64_t ids_skipped_after_kill = 1 << 16;

// Without /proc, as after chroot, and without being told, it stays empty.
std::string kernel_boot_id() {
  std::ifstream file("/proc/sys/kernel/random/boot_id");
  std::string id;
  std::getline(file, id);
  return id;
}

// Creates the file before SQLite does, so that it never has other rights than 0640.
Result<void> create_file(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0640);
  if (fd < 0) {
    if (errno == EEXIST) return {};
    return failure("cannot create journal \"" + path + "\": " + std::strerror(errno));
  }
  const bool done = ::fchmod(fd, 0640) == 0;  // whatever the umask says
  const int reason = errno;
  ::close(fd);
  if (!done) return failure("cannot create journal \"" + path + "\": " + std::strerror(reason));
  return {};
}

// A file that is not ours must not change: a read-write connection would fold its log back into it.
Result<void> check_without_touching(const std::string& path, std::int64_t newest) {
  if (auto checked = check_journal_magic(path); !checked) return checked;
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0 || status.st_size == 0) return {};
  auto connection = Connection::open(path, SQLITE_OPEN_READONLY);
  if (!connection) return tl::unexpected(connection.error());
  sqlite3_db_config(connection->raw(), SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, nullptr);
  return check_journal_identity(*connection, newest);
}

Result<void> use_wal(Connection& connection) {
  const auto mode = connection.text("PRAGMA journal_mode");
  if (!mode) return tl::unexpected(mode.error());
  if (*mode == "wal") return {};
  // By way of MEMORY, or SQLite would create a rollback journal for the change itself.
  for (const char* pragma : {"PRAGMA page_size = 4096", "PRAGMA journal_mode = MEMORY"})
    if (auto done = connection.run(pragma); !done) return done;
  const auto now = connection.text("PRAGMA journal_mode = WAL");
  if (!now) return tl::unexpected(now.error());
  if (*now != "wal")
    return failure("cannot open journal \"" + connection.path() + "\": its file system does not allow WAL");
  return {};
}

}  // namespace

std::int64_t clock_us(int clock) {
  timespec now{};
  ::clock_gettime(clock, &now);
  return std::int64_t{now.tv_sec} * 1'000'000 + now.tv_nsec / 1000;
}

Result<JournalFile> JournalFile::open(const Journal::Options& options) {
  const auto newest = static_cast<std::int64_t>(migrations().size());
  if (auto checked = check_journal_path(options.path); !checked) return tl::unexpected(checked.error());
  auto lock =
      options.lock >= 0 ? Result<FileLock>(FileLock::adopt(options.lock)) : FileLock::take(options.path);
  if (!lock) return tl::unexpected(lock.error());
  if (auto checked = check_without_touching(options.path, newest); !checked)
    return tl::unexpected(checked.error());
  if (auto created = create_file(options.path); !created) return tl::unexpected(created.error());
  JournalFile file(options, std::move(*lock));
  auto connection = file.connect();
  if (!connection) return tl::unexpected(connection.error());
  file.connection_ = std::move(*connection);
  sqlite3_busy_timeout(file.connection_.raw(), busy_ms);
  if (auto done = use_wal(file.connection_); !done) return tl::unexpected(done.error());
  if (auto done = migrate(file.connection_, migrations()); !done) return tl::unexpected(done.error());
  if (options.sync_full)
    if (auto done = file.connection_.run("PRAGMA synchronous = FULL"); !done)
      return tl::unexpected(done.error());
  if (auto done = file.begin(); !done) return tl::unexpected(done.error());
  if (options.max_pages > 0) {
    const std::string limit = "PRAGMA max_page_count = " + std::to_string(options.max_pages);
    if (auto done = file.connection_.run(limit.c_str()); !done) return tl::unexpected(done.error());
  }
  return file;
}

Result<Connection> JournalFile::connect() const {
  auto connection = Connection::open(options_.path, SQLITE_OPEN_READWRITE);
  if (!connection) return connection;
  int persist = 1;  // -wal and -shm stay: they could not be created again
  sqlite3_file_control(connection->raw(), nullptr, SQLITE_FCNTL_PERSIST_WAL, &persist);
  const std::string wal_limit = "PRAGMA journal_size_limit = " + std::to_string(options_.wal_limit_octets);
  // Foreign keys are declared and not enforced: see migrations.cpp. The cache: the rightmost pages are all a
  // writer needs.
  for (const char* pragma :
       {"PRAGMA temp_store = MEMORY", "PRAGMA foreign_keys = OFF", "PRAGMA wal_autocheckpoint = 0",
        "PRAGMA synchronous = NORMAL", "PRAGMA cache_size = -4096", wal_limit.c_str()})
    if (auto done = connection->run(pragma); !done) return tl::unexpected(done.error());
  return connection;
}

Result<void> JournalFile::begin() {
  if (auto begun = connection_.run("BEGIN IMMEDIATE"); !begun) return begun;
  const auto give_up = [&](Error error) -> Result<void> {
    connection_.exec("ROLLBACK");
    return tl::unexpected(std::move(error));
  };
  if (auto seeded = seed_vocabulary(connection_); !seeded) return give_up(seeded.error());
  const auto highest = connection_.integer(
      "SELECT max((SELECT coalesce(max(id), 0) FROM asked), (SELECT coalesce(max(asked), 0) FROM outcome),"
      " (SELECT coalesce(max(asked), 0) FROM alert), (SELECT coalesce(max(first_asked) - 1, 0) FROM boot),"
      " (SELECT coalesce(max(CAST(value AS INTEGER)), 0) FROM meta WHERE key = 'last_id_drawn'))");
  if (!highest) return give_up(highest.error());
  const auto killed = connection_.integer("SELECT ended_us = 0 FROM boot ORDER BY id DESC LIMIT 1");
  if (!killed) return give_up(killed.error());
  // first_asked is unique: a boot that drew nothing still uses up one id.
  first_id_ = *highest + 1 + (*killed != 0 ? ids_skipped_after_kill : 0);
  auto insert = connection_.prepare(
      "INSERT INTO boot (boot_id, started_us, started_monotonic_us, first_asked, version, ended_us)"
      " VALUES (?1, ?2, ?3, max(?4, (SELECT coalesce(max(first_asked) + 1, 1) FROM boot)), ?5, 0)"
      " RETURNING id, first_asked");
  if (!insert) return give_up(insert.error());
  const std::string boot_id = options_.boot_id.empty() ? kernel_boot_id() : options_.boot_id;
  insert->bind(1, std::string_view(boot_id));
  const std::int64_t wall = clock_us(CLOCK_REALTIME), monotonic = clock_us(CLOCK_BOOTTIME);
  insert->bind(2, wall);
  insert->bind(3, monotonic);
  boot_offset_us_ = wall - monotonic;
  insert->bind(4, first_id_);
  insert->bind(5, std::string_view(POSTERN_VERSION));
  if (insert->step() != SQLITE_ROW) return give_up(connection_.failed("cannot write"));
  boot_ = insert->integer(0);
  first_id_ = insert->integer(1);
  insert->reset();
  if (connection_.exec("COMMIT") != SQLITE_OK) return give_up(connection_.failed("cannot write"));
  return {};
}

void JournalFile::end(RowId last_id_drawn) {
  const std::string sql =
      "BEGIN IMMEDIATE; UPDATE boot SET ended_us = " + std::to_string(clock_us(CLOCK_REALTIME)) +
      " WHERE id = " + std::to_string(boot_) + "; INSERT INTO meta (key, value) VALUES ('last_id_drawn', '" +
      std::to_string(last_id_drawn) + "') ON CONFLICT (key) DO UPDATE SET value = excluded.value; COMMIT";
  // When the disk is full even now, the next writer sees a boot without an end and skips ids: nothing is
  // reused.
  if (connection_.exec(sql.c_str()) != SQLITE_OK) connection_.exec("ROLLBACK");
  sqlite3_wal_checkpoint_v2(connection_.raw(), nullptr, SQLITE_CHECKPOINT_TRUNCATE, nullptr, nullptr);
}

}  // namespace postern

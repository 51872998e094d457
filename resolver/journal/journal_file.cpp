// The journal's file: opening it without surprises, and the boot's row.
#include "resolver/journal/journal_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <ctime>
#include <filesystem>
#include <fstream>

#include <spdlog/spdlog.h>

#include "resolver/journal/carry_over.h"
#include "resolver/journal/log_gather.h"
#include "resolver/journal/schema.h"

namespace postern {
namespace {

// How long another program's lock on the file is waited for, before the transaction counts as failed.
constexpr int busy_ms = 250;
// At the start somebody who reads the file may just be recovering what a kill left in its log: that takes as
// long as to read it, and after one reader comes another.
constexpr int busy_at_start_ms = 5000;
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

// The file's name must survive a power cut as its content does. A folder that cannot be opened cannot be
// synced; SQLite does not mind that either.
void sync_folder(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  const std::string folder = slash == std::string::npos ? "." : slash == 0 ? "/" : path.substr(0, slash);
  const int fd = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return;
  ::fsync(fd);
  ::close(fd);
}

// Creates the file before SQLite does, so that it never has other rights than 0640. True: it was not there.
Result<bool> create_file(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0640);
  if (fd < 0) {
    if (errno == EEXIST) return false;
    return failure("cannot create journal \"" + path + "\": " + std::strerror(errno));
  }
  const bool done = ::fchmod(fd, 0640) == 0;  // whatever the umask says
  const int reason = errno;
  ::close(fd);
  if (!done) return failure("cannot create journal \"" + path + "\": " + std::strerror(reason));
  sync_folder(path);
  return true;
}

ino_t inode_of(const std::string& path) {
  struct stat status {};
  return ::stat(path.c_str(), &status) == 0 ? status.st_ino : 0;
}

// What is at the path, before anything is opened for writing.
enum class Fitness { fit, damaged };

bool is_damage(int code) {
  return (code & 0xff) == SQLITE_CORRUPT || (code & 0xff) == SQLITE_NOTADB;
}

// A file that is not ours must not change: a read-write connection would fold its log back into it.
Result<Fitness> examine(const std::string& path, std::int64_t newest, int patience_ms, std::string& damage) {
  if (auto checked = check_journal_magic(path); !checked) return tl::unexpected(checked.error());
  const bool ours = check_journal_is_ours(path).has_value();
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0 || status.st_size == 0) return Fitness::fit;
  auto connection = Connection::open(path, SQLITE_OPEN_READONLY);
  if (!connection) return tl::unexpected(connection.error());
  sqlite3_db_config(connection->raw(), SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, nullptr);
  sqlite3_busy_timeout(connection->raw(), patience_ms);
  auto checked = check_journal_identity(*connection, newest);
  if (checked) checked = check_journal_health(*connection);
  if (checked) return Fitness::fit;
  // SQLITE_OK: the check itself found it, and no call failed.
  const int code = sqlite3_errcode(connection->raw());
  if (!ours || !(is_damage(code) || is_health_finding(checked.error())))
    return tl::unexpected(checked.error());
  damage = checked.error().message;
  return Fitness::damaged;
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
  JournalFile file(options, std::move(*lock));
  std::string damage;
  const auto fitness = examine(options.path, newest, busy_at_start_ms, damage);
  if (!fitness) return tl::unexpected(fitness.error());
  if (*fitness == Fitness::damaged) {
    if (!options.may_begin_anew) return failure(damage + "; it was left as it is: give another file");
    auto aside = set_aside(options.path);
    if (!aside) return failure(damage + "; and: " + aside.error().message);
    file.aside_ = std::move(*aside);
  }
  std::string log_aside;
  if (log_is_orphaned(options.path)) {
    const std::string what = "journal \"" + options.path + "\" is gone or empty, but its log has rows";
    if (!options.may_begin_anew) return failure(what + "; it was left as it is: give another file");
    auto aside = set_orphaned_log_aside(options.path);
    if (!aside) return tl::unexpected(aside.error());
    log_aside = std::move(*aside);
    spdlog::error("{}: the log was set aside as \"{}\" and a new journal begun", what, log_aside);
  }
  if (auto done = file.prepare(true, busy_at_start_ms); !done) return tl::unexpected(done.error());
  if (!file.aside_.empty()) {
    auto old = Connection::open(file.aside_, SQLITE_OPEN_READONLY);
    const auto hurt = old ? carry_over(*old, file.connection_, true) : tl::unexpected(old.error());
    old = Connection();
    ::unlink((file.aside_ + "-shm").c_str());  // made by reading it, and of no use to anybody
    // The name alone: the process may see the folder under another path than people do (sandbox/cell.h).
    spdlog::error("{}; it was set aside beside it as \"{}\" and a new one begun{}", damage,
                  std::filesystem::path(file.aside_).filename().string(),
                  !hurt       ? ", without its sandboxes, rules and leak ledgers: " + hurt.error().message
                  : *hurt > 0 ? "; of its sandboxes, rules and leak ledgers, some could not be read"
                              : ", with its sandboxes, rules and leak ledgers");
  }
  if (file.aside_.empty()) file.aside_ = std::move(log_aside);
  if (auto done = file.begin(); !done) return tl::unexpected(done.error());
  return file;
}

// Opens or creates the file at the path, as far as any writer needs it; waits that long for others' locks.
Result<void> JournalFile::prepare(bool create, int busy_at_first_ms) {
  if (create)
    if (auto created = create_file(options_.path); !created) return tl::unexpected(created.error());
  auto connection = connect();
  if (!connection) return tl::unexpected(connection.error());
  connection_ = std::move(*connection);
  sqlite3_busy_timeout(connection_.raw(), busy_at_first_ms);
  if (auto done = use_wal(connection_); !done) return done;
  if (auto done = migrate(connection_, migrations()); !done) return done;
  sqlite3_busy_timeout(connection_.raw(), busy_ms);
  // A transaction's frames go to the log when it commits, and not before: log_gather.h keeps them together. A
  // migration may need more than memory has.
  if (auto done = connection_.run("PRAGMA cache_spill = OFF"); !done) return done;
  if (options_.sync_full)
    if (auto done = connection_.run("PRAGMA synchronous = FULL"); !done) return done;
  if (options_.max_pages > 0) {
    const std::string limit = "PRAGMA max_page_count = " + std::to_string(options_.max_pages);
    if (auto done = connection_.run(limit.c_str()); !done) return done;
  }
  return {};
}

Result<JournalFile> JournalFile::in_place_of(JournalFile& lost, RowId next_id, const std::string& aside) {
  Connection damaged;
  if (!aside.empty()) {
    lost.connection_ = Connection();  // in one process, SQLite would share its view of the log
    if (auto opened = Connection::open(aside, SQLITE_OPEN_READONLY)) damaged = std::move(*opened);
  }

  // What the log at the path holds belongs to the lost file, and is folded into it by now: in the new one it
  // would be another file's pages.
  for (const char* suffix : {"-wal", "-shm"})
    if (::unlink((lost.path() + suffix).c_str()) != 0 && errno != ENOENT)
      return failure("cannot begin journal \"" + lost.path() + "\" anew: \"" + lost.path() + suffix +
                     "\" cannot be removed: " + std::strerror(errno));
  auto lock = lost.lock_.again(lost.path());
  if (!lock) return tl::unexpected(lock.error());
  auto created = create_file(lost.path());
  if (!created) return tl::unexpected(created.error());
  if (!*created)
    return failure("cannot begin journal \"" + lost.path() + "\" anew: another file came to its place");
  const ino_t ours = inode_of(lost.path());
  JournalFile file(lost.options_, std::move(*lock));
  const auto give_up = [&](const Error& error) {
    file.connection_ = Connection();
    if (inode_of(lost.path()) == ours)  // or the lost one was moved back meanwhile
      for (const char* suffix : {"", "-wal", "-shm"}) ::unlink((lost.path() + suffix).c_str());
    return tl::unexpected(error);
  };
  if (auto done = file.prepare(false, busy_ms); !done) return give_up(done.error());
  if (auto seeded = seed_vocabulary(file.connection_); !seeded) return give_up(seeded.error());
  file.boot_ = lost.boot_;
  file.boot_first_asked_ = lost.boot_first_asked_;
  file.boot_offset_us_ = lost.boot_offset_us_;
  file.first_id_ = next_id;
  if (auto carried = file.carry_over_from(aside.empty() ? lost.connection_ : damaged, aside); !carried)
    return give_up(carried.error());
  if (!aside.empty()) ::unlink((aside + "-shm").c_str());  // made by reading it, and of no use to anybody
  return file;
}

// What cannot be read of a damaged one is left out, and told; this boot's row is there all the same.
Result<void> JournalFile::carry_over_from(Connection& from, const std::string& aside) {
  Result<std::size_t> hurt = 1;
  if (from.raw() != nullptr) hurt = carry_over(from, connection_, !aside.empty());
  if (!hurt) return tl::unexpected(hurt.error());
  if (*hurt > 0)
    spdlog::error("of what \"{}\" had of sandboxes, rules and leak ledgers, some could not be read", aside);
  if (aside.empty()) return {};
  auto insert = connection_.prepare(
      "INSERT OR IGNORE INTO boot (id, boot_id, started_us, started_monotonic_us, first_asked, version, "
      "ended_us)"
      " VALUES (?1, ?2, ?3, ?4, ?5, ?6, 0)");
  if (!insert) return tl::unexpected(insert.error());
  const std::string boot_id = options_.boot_id.empty() ? kernel_boot_id() : options_.boot_id;
  const std::int64_t monotonic = clock_us(CLOCK_BOOTTIME);
  insert->bind(1, boot_);
  insert->bind(2, std::string_view(boot_id));
  insert->bind(3, monotonic + boot_offset_us_);
  insert->bind(4, monotonic);
  insert->bind(5, boot_first_asked_);  // rows that were drawn before are still to come
  insert->bind(6, std::string_view(POSTERN_VERSION));
  if (insert->run() != SQLITE_OK) return tl::unexpected(connection_.failed("cannot write"));
  return {};
}

bool JournalFile::is_damaged() const {
  std::string damage;
  const auto fitness =
      examine(options_.path, static_cast<std::int64_t>(migrations().size()), busy_ms, damage);
  return fitness && *fitness == Fitness::damaged;
}

Result<void> JournalFile::reopen() {
  connection_ = Connection();
  auto lock = lock_.again(path());
  if (!lock) return tl::unexpected(lock.error());
  lock_ = std::move(*lock);
  auto done = prepare(false, busy_ms);
  if (!done) connection_ = Connection();
  return done;
}

bool JournalFile::fold() {
  int in_log = 0, in_file = 0;
  return sqlite3_wal_checkpoint_v2(connection_.raw(), nullptr, SQLITE_CHECKPOINT_TRUNCATE, &in_log,
                                   &in_file) == SQLITE_OK;
}

Result<Connection> JournalFile::connect() const {
  auto connection = Connection::open(options_.path, SQLITE_OPEN_READWRITE, log_gathering_vfs());
  if (!connection) return connection;
  int persist = 1;  // -wal and -shm stay: they could not be created again
  sqlite3_file_control(connection->raw(), nullptr, SQLITE_FCNTL_PERSIST_WAL, &persist);
  // Only `end` folds the log back on closing: a lost or damaged file is left as it is.
  sqlite3_db_config(connection->raw(), SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, nullptr);
  const std::string wal_limit = "PRAGMA journal_size_limit = " + std::to_string(options_.wal_limit_octets);
  // Foreign keys are declared and not enforced: see migrations.cpp. The cache, 16 MiB: commits need the
  // rightmost pages alone, a step of the lister some 2,000; with 4 MiB a third more octets were read.
  for (const char* pragma :
       {"PRAGMA temp_store = MEMORY", "PRAGMA foreign_keys = OFF", "PRAGMA wal_autocheckpoint = 0",
        "PRAGMA synchronous = NORMAL", "PRAGMA cache_size = -16384", wal_limit.c_str()})
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
      " (SELECT coalesce(max(upto), 0) FROM leak_snapshot),"
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
  first_id_ = boot_first_asked_ = insert->integer(1);
  insert->reset();
  if (connection_.exec("COMMIT") != SQLITE_OK) return give_up(connection_.failed("cannot write"));
  return {};
}

std::string JournalFile::ending(RowId last_id_drawn, std::int64_t ended_us) const {
  return "UPDATE boot SET ended_us = " + std::to_string(ended_us) + " WHERE id = " + std::to_string(boot_) +
         "; INSERT INTO meta (key, value) VALUES ('last_id_drawn', '" + std::to_string(last_id_drawn) +
         "') ON CONFLICT (key) DO UPDATE SET value = excluded.value";
}

void JournalFile::end(RowId last_id_drawn) {
  const std::string sql = "BEGIN IMMEDIATE; " + ending(last_id_drawn, clock_us(CLOCK_REALTIME)) + "; COMMIT";
  // When the disk is full even now, the next writer sees a boot without an end and skips ids: nothing is
  // reused.
  if (connection_.exec(sql.c_str()) != SQLITE_OK) connection_.exec("ROLLBACK");
  fold();
}

}  // namespace postern

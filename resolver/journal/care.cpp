// Looking after a journal's file: statistics, copies, removal, vacuum.
#include "resolver/journal/care.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <thread>

#include "resolver/journal/file_watch.h"
#include "resolver/journal/journal_file.h"
#include "resolver/journal/open_to_read.h"
#include "resolver/journal/sql_name.h"

namespace postern {
namespace {

constexpr int pages_at_once = 32;  // of a copy, between two looks at the log
constexpr std::chrono::milliseconds prune_looked_every{20};
// Commits that fail one after the other, a quarter of a second apart, before a removal is given up: another
// program's lock passes, a full disk does not.
constexpr std::uint64_t failed_commits_at_most = 8;
constexpr int reader_ends_within_ms = 2000;  // how long vacuum waits for a short query

std::int64_t octets_of(const std::string& path) {
  struct stat about {};
  return ::stat(path.c_str(), &about) == 0 ? static_cast<std::int64_t>(about.st_size) : 0;
}

std::string folder_of(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  return slash == std::string::npos ? "." : path.substr(0, slash + 1);
}

// Is it there (none is made for this), without a writer, a journal of a version that we know, and may we
// write it? Nothing is left beside one that is refused. Errors say what to do with one that has a writer.
Result<void> free_to_change(const std::string& path, const std::string& verb) {
  const std::string cannot = "cannot " + verb + " journal \"" + path + "\": ";
  const auto may_write = [](const std::string& which) {
    return ::faccessat(AT_FDCWD, which.c_str(), W_OK, AT_EACCESS) == 0;
  };
  if (::access(path.c_str(), F_OK) != 0) return failure(cannot + std::strerror(errno));
  if (writer_of(path) == Writer::here)
    return failure(cannot + "a Postern has it (\"" + path + ".lock\" is locked)" +
                   (verb == "prune"
                        ? ". A daemon removes what its journal_keep says by itself: change that in its "
                          "configuration and restart it; or stop it first"
                        : ". Stop it first; pages that retention freed are used again without this"));
  if (auto fine = look_at_journal(path); !fine) return fine;
  if (!may_write(path)) return failure(cannot + std::strerror(errno));
  // Its log and its lock are made beside it.
  if (!may_write(folder_of(path)))
    return failure(cannot + "nothing can be written in \"" + folder_of(path) + "\": " + std::strerror(errno));
  return {};
}

// What a removal that failed had done by then; each of its steps is whole.
std::string and_went(const Journal::Stats& stats) {
  if (stats.pruned_rows + stats.pruned_alerts == 0) return "";
  return "; " + std::to_string(stats.pruned_rows) + " queries and " + std::to_string(stats.pruned_alerts) +
         " alerts were removed before that";
}

// Folds the log into the file and empties it, which a reader of an old state prevents.
Result<void> empty_log(Connection& connection, const LogReaders& readers) {
  auto folded = connection.prepare("PRAGMA wal_checkpoint(TRUNCATE)");
  if (!folded) return tl::unexpected(folded.error());
  if (folded->step() != SQLITE_ROW) return tl::unexpected(connection.failed("cannot vacuum"));
  if (folded->integer(0) == 0) return {};
  const pid_t reader = readers.one().value_or(0);
  return failure("cannot vacuum journal \"" + connection.path() + "\": a reader " +
                 (reader != 0 ? "(process " + std::to_string(reader) + ") " : "") +
                 "holds the old state; end it, or wait for its end, and vacuum again");
}

std::int64_t now_of_day() {
  return clock_us(CLOCK_REALTIME);
}

}  // namespace

Result<JournalFacts> journal_facts(const std::string& given) {
  const std::string path = real_path(given);
  auto connection = open_to_read_journal(path);
  if (!connection) return tl::unexpected(connection.error());
  JournalFacts facts;
  auto names = connection->prepare(
      "SELECT name FROM sqlite_schema WHERE type = 'table' AND rootpage > 0 AND name NOT LIKE 'sqlite%'"
      " ORDER BY name");  // a virtual one has no page, and may be of a kind that we do not have
  if (!names) return tl::unexpected(names.error());
  while (names->step() == SQLITE_ROW) facts.tables.push_back({names->text(0), 0, -1});
  names->reset();
  auto octets = connection->prepare(
      "SELECT coalesce(sum(pgsize), 0) FROM dbstat WHERE aggregate = TRUE AND name IN"
      " (SELECT name FROM sqlite_schema WHERE tbl_name = ?1)");  // else this SQLite cannot tell
  bool has_tombstones = false;                                   // version 6 brought them
  for (JournalFacts::Table& table : facts.tables) {
    const auto rows = connection->integer("SELECT count(*) FROM " + sql_name(table.name));
    if (!rows) return tl::unexpected(rows.error());
    table.rows = *rows;
    if (table.name == "seal_tombstone") has_tombstones = true;
    if (!octets) continue;
    octets->bind(1, std::string_view(table.name));
    if (octets->step() == SQLITE_ROW) table.octets = octets->integer(0);
    octets->reset();
  }
  std::int64_t pages = 0, free_pages = 0;
  const auto meta = [](const std::string& key) {
    return "SELECT CAST(value AS INTEGER) FROM meta WHERE key = '" + key + "'";
  };
  const std::pair<std::int64_t*, std::string> numbers[] = {
      {&facts.version, "PRAGMA user_version"},
      {&pages, "PRAGMA page_count"},
      {&free_pages, "PRAGMA freelist_count"},
      {&facts.oldest_us, "SELECT min(time_us) FROM asked"},
      {&facts.newest_us, "SELECT max(time_us) FROM asked"},
      {&facts.tombstones, has_tombstones ? "SELECT count(*) FROM seal_tombstone" : "SELECT 0"},
      {&facts.pruned_until_us, meta("pruned_until_us")},
      {&facts.pruned_at_us, meta("pruned_at_us")},
      {&facts.pruned_rows, meta("pruned_rows")},
      {&facts.keep.queries_us, meta("keep_queries_us")},
      {&facts.keep.alerts_us, meta("keep_alerts_us")},
      {&facts.keep.octets, meta("keep_octets")}};
  for (const auto& [to, sql] : numbers) {
    const auto number = connection->integer(sql);
    if (!number) return tl::unexpected(number.error());
    *to = *number;
  }
  facts.file_octets = pages * JournalFile::page_octets;
  facts.free_octets = free_pages * JournalFile::page_octets;
  facts.used_octets = facts.file_octets - facts.free_octets;
  facts.log_octets = octets_of(path + "-wal");
  return facts;
}

namespace {

// SIGINT, SIGTERM and SIGHUP wait while this lives, unless they are ignored (nohup): what is half done can be
// undone before they are obeyed.
class SignalsWait {
 public:
  SignalsWait() {
    sigemptyset(&ours_);
    for (const int number : {SIGINT, SIGTERM, SIGHUP}) {
      struct sigaction action {};
      if (::sigaction(number, nullptr, &action) == 0 && action.sa_handler != SIG_IGN)
        sigaddset(&ours_, number);
    }
    pthread_sigmask(SIG_BLOCK, &ours_, &before_);
  }
  SignalsWait(const SignalsWait&) = delete;
  SignalsWait& operator=(const SignalsWait&) = delete;
  ~SignalsWait() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }

  bool one_came() const {
    sigset_t came;
    sigpending(&came);
    for (const int number : {SIGINT, SIGTERM, SIGHUP})
      if (sigismember(&ours_, number) == 1 && sigismember(&came, number) == 1) return true;
    return false;
  }

 private:
  sigset_t ours_{}, before_{};
};

// A copy under way: a file beside the name that it gets when it is whole. Locked (flock) while it is written,
// so that one that a kill left is told from one that is being written; that one is removed.
class Part {
 public:
  static Result<Part> begin(const std::string& to) {
    struct stat about {};
    if (::lstat(to.c_str(), &about) == 0) return failure(std::strerror(EEXIST));
    for (int tried = 0; tried < most_tries; ++tried) {
      Part part(to);
      part.fd_ = ::open(part.path_.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0640);
      if (part.fd_ < 0) {
        if (errno != EEXIST) return failure(std::strerror(errno));
        if (auto removed = remove_left(part.path_); !removed) return tl::unexpected(removed.error());
        continue;
      }
      // Another that begins now may have taken it for one that was left.
      if (!is_remote(part.fd_) && ::flock(part.fd_, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK) continue;
      if (!is_at(part.path_, part.fd_)) continue;
      part.made_ = true;
      if (::fchmod(part.fd_, 0640) != 0) return failure(std::strerror(errno));
      return part;
    }
    return failure("\"" + to + suffix + "\" comes again when it is removed");
  }
  Part(Part&& other) noexcept
      : to_(std::move(other.to_)),
        path_(std::move(other.path_)),
        fd_(std::exchange(other.fd_, -1)),
        made_(std::exchange(other.made_, false)) {}
  Part& operator=(Part&&) = delete;
  ~Part() {
    if (made_) remove(path_);
    if (fd_ >= 0) ::close(fd_);
  }

  const std::string& path() const { return path_; }
  // After its last connection was closed: under its name, over nobody's file, to stay there.
  Result<void> put_in_place(const SignalsWait& signals) {
    if (::fsync(fd_) != 0) return failure(std::strerror(errno));
    if (signals.one_came()) return failure("it was interrupted");
    if (!is_at(path_, fd_)) {
      made_ = false;
      return failure("\"" + path_ + "\" was removed or replaced meanwhile");
    }
    if (::renameat2(AT_FDCWD, path_.c_str(), AT_FDCWD, to_.c_str(), RENAME_NOREPLACE) != 0) {
      // A file system that cannot rename so can have a second name.
      if (errno != EINVAL || ::link(path_.c_str(), to_.c_str()) != 0) return failure(std::strerror(errno));
      ::unlink(path_.c_str());
    }
    made_ = false;
    const int folder = ::open(folder_of(to_).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder < 0) return {};  // one that cannot be opened cannot be synced; nor does SQLite mind
    ::fsync(folder);
    ::close(folder);
    return {};
  }

 private:
  static constexpr int most_tries = 3;  // two that begin at once remove one that was left by turns
  static constexpr const char* suffix = ".part";

  explicit Part(const std::string& to) : to_(to), path_(to + suffix) {}
  static Error in_hand(const std::string& path) {
    return Error{"\"" + path +
                 "\" is being written by another, or was left by one on another host: remove it then"};
  }
  // There flock is emulated by, or excludes, the locks that SQLite takes on the same file.
  static bool is_remote(int fd) {
    struct statfs about {};
    if (::fstatfs(fd, &about) != 0) return false;
    const auto magic = static_cast<std::uint32_t>(about.f_type);  // statfs(2): NFS, SMB, CIFS, SMB2
    return magic == 0x6969 || magic == 0x517b || magic == 0xff534d42 || magic == 0xfe534d42;
  }
  static bool is_at(const std::string& path, int fd) {
    struct stat there {
    }, held{};
    return ::lstat(path.c_str(), &there) == 0 && ::fstat(fd, &held) == 0 && there.st_ino == held.st_ino &&
           there.st_dev == held.st_dev;
  }
  static void remove(const std::string& path) {
    for (const char* beside : {"-journal", "-wal", "-shm", ""}) ::unlink((path + beside).c_str());
  }
  static Result<void> remove_left(const std::string& path) {
    const int fd = ::open(path.c_str(), O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0) {
      if (errno == ENOENT) return {};
      return failure("\"" + path + "\" is in the way: " + std::strerror(errno));
    }
    const bool locked =
        ::flock(fd, LOCK_EX | LOCK_NB) != 0;  // or no lock can be had: then whose it is, is open
    const bool left = !locked && is_left(fd) && is_at(path, fd);
    if (left) remove(path);
    ::close(fd);
    if (locked) return tl::unexpected(in_hand(path));
    if (!left) return failure("\"" + path + "\" is in the way, and is no part of a copy");
    return {};
  }
  // Ours, and as a copy begins, whose first page may come last.
  static bool is_left(int fd) {
    struct stat about {};
    if (::fstat(fd, &about) != 0 || !S_ISREG(about.st_mode) || about.st_uid != ::geteuid()) return false;
    char head[16] = {};
    const ssize_t got = ::pread(fd, head, sizeof head, 0);
    const std::string_view read(head, got > 0 ? static_cast<std::size_t>(got) : 0);
    return got == 0 || read == std::string_view("SQLite format 3\0", 16) || read == std::string(16, '\0');
  }

  std::string to_, path_;
  int fd_ = -1;
  bool made_ = false;
};

// Copies one state of the file, as it is when this begins. Empty, or why not.
std::string copy_pages(Connection& from, Connection& to, const std::string& log, const SignalsWait& signals,
                       const CareProgress& progress, std::int64_t log_limit) {
  // What is written meanwhile does not begin the copy anew.
  if (from.exec("BEGIN; SELECT 1 FROM meta LIMIT 1") != SQLITE_OK) return from.error();
  sqlite3_backup* backup = sqlite3_backup_init(to.raw(), "main", from.raw(), "main");
  if (backup == nullptr) return to.error();
  int code = SQLITE_OK;
  std::string why;
  while (why.empty() && (code = sqlite3_backup_step(backup, pages_at_once)) == SQLITE_OK) {
    const std::int64_t all = sqlite3_backup_pagecount(backup);
    if (progress) progress(all - sqlite3_backup_remaining(backup), all);
    if (signals.one_came()) why = "it was interrupted";
    if (octets_of(log) >= log_limit)
      why = "its log has grown to " + std::to_string(log_limit >> 20) +
            " MiB, and cannot start over while this reads; copy it when less is asked, or to a faster disk";
  }
  sqlite3_backup_finish(backup);
  from.exec("ROLLBACK");
  return code != SQLITE_DONE && why.empty() ? sqlite3_errstr(code) : why;
}

}  // namespace

Result<void> backup_journal(const std::string& given, const std::string& to, const CareProgress& progress,
                            std::int64_t log_limit) {
  const std::string path = real_path(given);
  auto from = open_to_read_journal(path);
  if (!from) return tl::unexpected(from.error());
  const std::string cannot = "cannot copy journal \"" + path + "\" to \"" + to + "\": ";
  const SignalsWait signals;  // outlives the part
  auto part = Part::begin(to);
  if (!part) return failure(cannot + part.error().message);
  {
    auto copy = Connection::open(part->path(), SQLITE_OPEN_READWRITE);
    if (!copy) return failure(cannot + copy.error().message);
    const std::string why = copy_pages(*from, *copy, path + "-wal", signals, progress, log_limit);
    if (!why.empty()) return failure(cannot + why);
    // The copy says of itself that it has a log, and so could be read only where an index of that can be
    // made: not on read-only media, nor in a folder of somebody else's. The next writer changes it back.
    if (auto plain = copy->run("PRAGMA journal_mode = DELETE"); !plain)
      return failure(cannot + plain.error().message);
  }
  if (auto put = part->put_in_place(signals); !put) return failure(cannot + put.error().message);
  return {};
}

Result<Pruned> prune_journal(const std::string& given, const Retention& keep, const PruneProgress& progress) {
  const std::string path = real_path(given);
  if (auto free = free_to_change(path, "prune"); !free) return tl::unexpected(free.error());
  Journal::Options options;
  options.path = path;
  options.keep = keep;
  options.keep.in_force = false;
  options.may_begin_anew = false;
  auto journal = Journal::open(options);
  if (!journal) return tl::unexpected(journal.error());
  if (keep.keeps_all()) return Pruned{};
  std::uint64_t seen = 0, failed_before = 0;
  std::string failed;  // since something was removed
  for (;;) {
    const Journal::Stats stats = (*journal)->stats();
    const std::uint64_t removed = stats.pruned_rows + stats.pruned_alerts;
    if (std::exchange(seen, removed) != removed) failed_before = stats.failed_commits;
    if (stats.failed_commits == failed_before)
      failed.clear();
    else if (failed.empty())
      failed = stats.last_error;
    if (stats.failed_commits - failed_before >= failed_commits_at_most || !stats.prune_error.empty())
      return failure((stats.prune_error.empty() ? failed : stats.prune_error) +
                     and_went((*journal)->stats()));  // looked at before the error was
    if (progress) progress(removed, stats.wal_held ? stats.wal_reader : -1);
    if (stats.prune_passes > 0) return Pruned{stats.pruned_rows, stats.pruned_alerts, stats.used_octets};
    std::this_thread::sleep_for(prune_looked_every);
  }
}

Result<PrunePlan> plan_prune(const std::string& given, const Retention& keep) {
  auto connection = open_to_read_journal(real_path(given));
  if (!connection) return tl::unexpected(connection.error());
  PrunePlan plan;
  const auto count = [&](const char* table, std::int64_t kept_us) {
    return kept_us == 0 ? Result<std::int64_t>(0)
                        : connection->integer(std::string("SELECT count(*) FROM ") + table +
                                              " WHERE time_us < " + std::to_string(now_of_day() - kept_us));
  };
  const auto queries = count("asked", keep.queries_us);
  if (!queries) return tl::unexpected(queries.error());
  const auto alerts = count("alert", keep.alerts_us);
  if (!alerts) return tl::unexpected(alerts.error());
  const auto used = connection->integer(
      "SELECT (SELECT page_count FROM pragma_page_count) - (SELECT freelist_count FROM "
      "pragma_freelist_count)");
  if (!used) return tl::unexpected(used.error());
  plan.old_queries = *queries;
  plan.old_alerts = *alerts;
  if (keep.octets > 0)
    plan.octets_over = std::max<std::int64_t>(0, *used * JournalFile::page_octets - keep.octets);
  return plan;
}

Result<Vacuumed> vacuum_journal(const std::string& given) {
  const std::string path = real_path(given);
  if (auto free = free_to_change(path, "vacuum"); !free) return tl::unexpected(free.error());
  const std::int64_t before = octets_of(path) + octets_of(path + "-wal");
  Journal::Options options;
  options.path = path;
  options.keep.in_force = false;
  options.may_begin_anew = false;
  if (auto journal = Journal::open(options); !journal) return tl::unexpected(journal.error());  // a clean end
  auto lock = FileLock::take(path);
  if (!lock) return tl::unexpected(lock.error());
  LogReaders readers;  // outlives the connection
  auto connection = Connection::open(path, SQLITE_OPEN_READWRITE);
  if (!connection) return tl::unexpected(connection.error());
  sqlite3_busy_timeout(connection->raw(), reader_ends_within_ms);
  const auto used = connection->integer(
      "SELECT (SELECT page_count FROM pragma_page_count) - (SELECT freelist_count FROM "
      "pragma_freelist_count)");
  if (!used) return tl::unexpected(used.error());
  readers.watch(path);
  // The boot that has just ended is in the log, so that who reads from before it holds it up. Nothing is
  // written anew beside one: it would be all in the log, and stay there.
  if (auto empty = empty_log(*connection, readers); !empty) return tl::unexpected(empty.error());
  const std::int64_t wanted = 2 * *used * JournalFile::page_octets;
  const std::string folder = folder_of(path);
  struct statvfs room {};
  if (::statvfs(folder.c_str(), &room) != 0)
    return failure("cannot vacuum journal \"" + path + "\": " + std::strerror(errno));
  const auto free_octets =
      static_cast<std::int64_t>(room.f_bavail) * static_cast<std::int64_t>(room.f_frsize);
  if (free_octets < wanted)
    return failure("cannot vacuum journal \"" + path + "\": it takes " + std::to_string(wanted >> 20) +
                   " MiB of free space for a while, and \"" + folder + "\" has " +
                   std::to_string(free_octets >> 20) + " MiB");
  // SQLite would build the copy in /var/tmp, which may be small, or anybody's.
  // https://www.sqlite.org/c3ref/temp_directory.html
  sqlite3_temp_directory = sqlite3_mprintf("%s", folder.c_str());
  const bool done = connection->exec("VACUUM") == SQLITE_OK;
  sqlite3_free(std::exchange(sqlite3_temp_directory, nullptr));
  if (!done) return tl::unexpected(connection->failed("cannot vacuum"));
  if (auto empty = empty_log(*connection, readers); !empty) return tl::unexpected(empty.error());
  return Vacuumed{before, octets_of(path) + octets_of(path + "-wal")};
}

}  // namespace postern

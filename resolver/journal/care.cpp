// Looking after a journal's file: statistics, copies, removal, vacuum.
#include "resolver/journal/care.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <thread>

#include "resolver/journal/journal_file.h"
#include "resolver/journal/open_to_read.h"

namespace postern {
namespace {

constexpr int pages_at_once = 32;  // of a copy, between two looks at the log
constexpr std::chrono::milliseconds prune_looked_every{20};

std::int64_t octets_of(const std::string& path) {
  struct stat about {};
  return ::stat(path.c_str(), &about) == 0 ? static_cast<std::int64_t>(about.st_size) : 0;
}

// Is it there (none is made for this), and without a writer? Errors say what to do with one that has it.
Result<void> free_to_change(const std::string& path, const std::string& verb) {
  if (::access(path.c_str(), F_OK) != 0)
    return failure("cannot " + verb + " journal \"" + path + "\": " + std::strerror(errno));
  if (auto lock = FileLock::take(path); !lock)
    return failure("cannot " + verb + " journal \"" + path + "\": " + lock.error().message +
                   (verb == "prune"
                        ? ". A daemon removes what its journal_keep says by itself: change that in its "
                          "configuration and restart it; or stop it first"
                        : ". Stop it first; pages that retention freed are used again without this"));
  return {};
}

std::int64_t now_of_day() {
  return clock_us(CLOCK_REALTIME);
}

}  // namespace

Result<JournalFacts> journal_facts(const std::string& path) {
  auto connection = open_to_read_journal(path);
  if (!connection) return tl::unexpected(connection.error());
  JournalFacts facts;
  auto names = connection->prepare(
      "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite%' ORDER BY name");
  if (!names) return tl::unexpected(names.error());
  while (names->step() == SQLITE_ROW) facts.tables.push_back({names->text(0), 0, -1});
  names->reset();
  for (JournalFacts::Table& table : facts.tables) {
    const auto rows = connection->integer("SELECT count(*) FROM \"" + table.name + "\"");
    if (!rows) return tl::unexpected(rows.error());
    table.rows = *rows;
    const auto octets = connection->integer(
        "SELECT coalesce(sum(pgsize), 0) FROM dbstat WHERE aggregate = TRUE AND name IN"
        " (SELECT name FROM sqlite_schema WHERE tbl_name = '" +
        table.name + "')");
    if (octets) table.octets = *octets;
  }
  const auto number = [&](const char* sql) { return connection->integer(sql).value_or(0); };
  facts.version = number("PRAGMA user_version");
  facts.file_octets = number("PRAGMA page_count") * JournalFile::page_octets;
  facts.free_octets = number("PRAGMA freelist_count") * JournalFile::page_octets;
  facts.used_octets = facts.file_octets - facts.free_octets;
  facts.log_octets = octets_of(path + "-wal");
  facts.oldest_us = number("SELECT time_us FROM asked ORDER BY id LIMIT 1");
  facts.newest_us = number("SELECT time_us FROM asked ORDER BY id DESC LIMIT 1");
  facts.tombstones = number("SELECT count(*) FROM seal_tombstone");
  const auto meta = [&](const std::string& key) {
    return connection->integer("SELECT CAST(value AS INTEGER) FROM meta WHERE key = '" + key + "'")
        .value_or(0);
  };
  facts.pruned_until_us = meta("pruned_until_us");
  facts.pruned_at_us = meta("pruned_at_us");
  facts.pruned_rows = meta("pruned_rows");
  facts.keep = {meta("keep_queries_us"), meta("keep_alerts_us"), meta("keep_octets")};
  return facts;
}

Result<void> backup_journal(const std::string& path, const std::string& to, const CareProgress& progress,
                            std::int64_t log_limit) {
  auto from = open_to_read_journal(path);
  if (!from) return tl::unexpected(from.error());
  const std::string cannot = "cannot copy journal \"" + path + "\" to \"" + to + "\": ";
  const int made = ::open(to.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0640);
  if (made < 0) return failure(cannot + std::strerror(errno));
  const bool mode = ::fchmod(made, 0640) == 0;
  ::close(made);
  const auto give_up = [&](const std::string& why) -> Result<void> {
    for (const char* suffix : {"", "-journal", "-wal", "-shm"}) ::unlink((to + suffix).c_str());
    return failure(cannot + why);
  };
  if (!mode) return give_up(std::strerror(errno));
  auto copy = Connection::open(to, SQLITE_OPEN_READWRITE);
  if (!copy) return give_up(copy.error().message);
  // One state of the file: what is written meanwhile does not begin the copy anew.
  if (from->exec("BEGIN; SELECT 1 FROM meta LIMIT 1") != SQLITE_OK) return give_up(from->error());
  sqlite3_backup* backup = sqlite3_backup_init(copy->raw(), "main", from->raw(), "main");
  if (backup == nullptr) return give_up(copy->error());
  int code = SQLITE_OK;
  std::string why;
  while ((code = sqlite3_backup_step(backup, pages_at_once)) == SQLITE_OK) {
    const std::int64_t all = sqlite3_backup_pagecount(backup);
    if (progress) progress(all - sqlite3_backup_remaining(backup), all);
    if (octets_of(path + "-wal") < log_limit) continue;
    why = "its log has grown to " + std::to_string(log_limit >> 20) +
          " MiB, and cannot start over while this reads; copy it when less is asked, or to a faster disk";
    break;
  }
  sqlite3_backup_finish(backup);
  from->exec("ROLLBACK");
  if (code != SQLITE_DONE && why.empty()) why = sqlite3_errstr(code);
  if (!why.empty()) {
    copy = Connection();
    return give_up(why);
  }
  // The copy says of itself that it has a log, and so could be read only where an index of that can be made:
  // not on read-only media, nor in a folder of somebody else's. The next writer changes it back.
  if (auto plain = copy->run("PRAGMA journal_mode = DELETE"); !plain) {
    copy = Connection();
    return give_up(plain.error().message);
  }
  copy = Connection();
  const int written = ::open(to.c_str(), O_RDWR | O_CLOEXEC);
  const bool synced = written >= 0 && ::fsync(written) == 0;
  const int error = errno;
  if (written >= 0) ::close(written);
  if (!synced) return give_up(std::strerror(error));
  return {};
}

Result<Pruned> prune_journal(const std::string& path, const Retention& keep) {
  if (auto free = free_to_change(path, "prune"); !free) return tl::unexpected(free.error());
  Journal::Options options;
  options.path = path;
  options.keep = keep;
  options.keep.in_force = false;
  options.may_begin_anew = false;
  auto journal = Journal::open(options);
  if (!journal) return tl::unexpected(journal.error());
  if (keep.keeps_all()) return Pruned{};
  // Two looks without a removal: by age the first pass does, by size the looks go on every second.
  std::uint64_t before = 0, passes = 0;
  for (;;) {
    const Journal::Stats stats = (*journal)->stats();
    if (!stats.prune_error.empty()) return failure(stats.prune_error);
    const bool small = keep.octets == 0 || (stats.used_octets > 0 && stats.used_octets <= keep.octets);
    const bool aged = (keep.queries_us == 0 && keep.alerts_us == 0) || stats.prune_passes > 0;
    const std::uint64_t removed = stats.pruned_rows + stats.pruned_alerts;
    const bool vain = stats.prune_passes > passes && removed == before;  // no more can go
    if (stats.prune_passes > passes) {
      passes = stats.prune_passes;
      before = removed;
    }
    if ((aged && small) || vain) return Pruned{stats.pruned_rows, stats.pruned_alerts, stats.used_octets};
    std::this_thread::sleep_for(prune_looked_every);
  }
}

Result<PrunePlan> plan_prune(const std::string& path, const Retention& keep) {
  auto connection = open_to_read_journal(path);
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

Result<void> vacuum_journal(const std::string& path) {
  if (auto free = free_to_change(path, "vacuum"); !free) return free;
  Journal::Options options;
  options.path = path;
  options.keep.in_force = false;
  options.may_begin_anew = false;
  if (auto journal = Journal::open(options); !journal) return tl::unexpected(journal.error());  // a clean end
  auto lock = FileLock::take(path);
  if (!lock) return tl::unexpected(lock.error());
  auto connection = Connection::open(path, SQLITE_OPEN_READWRITE);
  if (!connection) return tl::unexpected(connection.error());
  const auto used = connection->integer(
      "SELECT (SELECT page_count FROM pragma_page_count) - (SELECT freelist_count FROM "
      "pragma_freelist_count)");
  if (!used) return tl::unexpected(used.error());
  const std::int64_t wanted = 2 * *used * JournalFile::page_octets;
  const std::size_t slash = path.rfind('/');
  const std::string folder = slash == std::string::npos ? "." : path.substr(0, slash + 1);
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
  const auto done = connection->run("VACUUM");
  sqlite3_free(std::exchange(sqlite3_temp_directory, nullptr));
  if (!done) return done;
  return connection->run("PRAGMA wal_checkpoint(TRUNCATE)");
}

}  // namespace postern

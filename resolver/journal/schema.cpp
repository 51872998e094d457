// The journal's schema: checking a file before it is opened, migrating it, seeding the vocabulary.
#include "resolver/journal/schema.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "resolver/journal/open_to_read.h"
#include "resolver/journal/sql_name.h"
#include "rules/vocabulary.h"

namespace postern {
namespace {

// The numbers are in every file ever written: an enumerator may be added at the end, never moved.
static_assert(static_cast<int>(Action::allow) == 0 && static_cast<int>(Action::block_name) == 1 &&
              static_cast<int>(Action::block_data) == 2 && static_cast<int>(Action::local) == 3 &&
              static_cast<int>(Action::refuse) == 4 && static_cast<int>(Action::drop) == 5);
static_assert(static_cast<int>(Reason::rule) == 0 && static_cast<int>(Reason::list) == 1 &&
              static_cast<int>(Reason::policy_default) == 2 && static_cast<int>(Reason::type) == 3 &&
              static_cast<int>(Reason::name_form) == 4 && static_cast<int>(Reason::special_use) == 5 &&
              static_cast<int>(Reason::single_label) == 6 && static_cast<int>(Reason::local_data) == 7 &&
              static_cast<int>(Reason::answer_address) == 8 && static_cast<int>(Reason::answer_target) == 9 &&
              static_cast<int>(Reason::tunnel) == 10 && static_cast<int>(Reason::budget) == 11 &&
              static_cast<int>(Reason::quarantine) == 12 && static_cast<int>(Reason::query_class) == 13 &&
              static_cast<int>(Reason::answer_referral) == 14 && static_cast<int>(Reason::secret) == 15);

constexpr int last_action = static_cast<int>(Action::drop);
// Reasons are looked for a little beyond the last one pinned above, so that one added later is spelled in the
// file, too.
constexpr int reasons_looked_at = 64;

constexpr std::string_view sqlite_magic{"SQLite format 3\0", 16};  // https://www.sqlite.org/fileformat2.html

constexpr std::string_view finding = "\": it is damaged: ";

class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  int get() const { return fd_; }

 private:
  int fd_;
};

constexpr off_t id_at = 68;  // in the first page

std::uint32_t big_endian(const std::uint8_t* octets) {
  return std::uint32_t{octets[0]} << 24 | std::uint32_t{octets[1]} << 16 | std::uint32_t{octets[2]} << 8 |
         octets[3];
}

// The application id of the newest first page in the file's log; 0: there is none. A checkpoint beside an
// early reader folds other pages before that one. Read by hand, since SQLite would make an index beside a
// file that may be another program's. https://www.sqlite.org/fileformat2.html#walformat
std::int32_t id_in_log(const std::string& path) {
  constexpr std::size_t log_head = 32, frame_head = 24;
  const Descriptor log(::open((real_path(path) + "-wal").c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  std::uint8_t head[log_head], frame[frame_head], id[4];
  if (log.get() < 0 || ::pread(log.get(), head, sizeof head, 0) != sizeof head) return 0;
  const std::uint32_t page = big_endian(head + 8);
  if (page < 512 || page > 65536) return 0;
  std::int32_t found = 0;
  for (off_t at = log_head; ::pread(log.get(), frame, sizeof frame, at) == sizeof frame;
       at += frame_head + page) {
    if (std::memcmp(frame + 8, head + 16, 8) != 0) break;  // left from before the log started over
    const off_t id_there = at + static_cast<off_t>(frame_head) + id_at;
    if (big_endian(frame) == 1 && ::pread(log.get(), id, sizeof id, id_there) == sizeof id)
      found = static_cast<std::int32_t>(big_endian(id));
  }
  return found;
}

Error newer(const std::string& path, std::int64_t version, std::int64_t newest) {
  return Error{"cannot open journal \"" + path + "\": its schema is version " + std::to_string(version) +
               ", written by a newer Postern; this one knows up to version " + std::to_string(newest)};
}

}  // namespace

Result<void> check_journal_path(const std::string& path) {
  const auto bad = [&](const std::string& why) {
    return failure("cannot open journal \"" + path + "\": " + why);
  };
  struct stat status {};
  if (::stat(path.c_str(), &status) == 0) {
    if (!S_ISREG(status.st_mode)) return bad("it is not a regular file");
    return {};
  }
  if (errno != ENOENT) return bad(std::strerror(errno));
  const std::size_t slash = path.rfind('/');
  const std::string folder = slash == std::string::npos ? "." : slash == 0 ? "/" : path.substr(0, slash);
  if (::stat(folder.c_str(), &status) != 0)
    return bad("its folder \"" + folder + "\" cannot be used: " + std::strerror(errno));
  if (!S_ISDIR(status.st_mode)) return bad("\"" + folder + "\" is not a folder");
  return {};
}

Result<void> check_journal_magic(const std::string& path) {
  const auto bad = [&](const std::string& why) {
    return failure("cannot open journal \"" + path + "\": " + why);
  };
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (file.get() < 0) {
    if (errno == ENOENT) return {};
    return bad(std::strerror(errno));
  }
  char head[sqlite_magic.size()];
  const ssize_t got = ::pread(file.get(), head, sizeof head, 0);
  if (got < 0) return bad(std::strerror(errno));
  if (got != 0 && std::string_view(head, static_cast<std::size_t>(got)) != sqlite_magic)
    return bad("it is not an SQLite file; it was left as it is");
  return {};
}

Result<void> check_journal_is_ours(const std::string& path) {
  if (auto fine = check_journal_path(path); !fine) return fine;
  if (auto fine = check_journal_magic(path); !fine) return fine;
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (file.get() < 0) return {};  // check_journal_magic has told other errors than "not there"
  constexpr std::size_t first_page = 4096;
  std::uint8_t id[4];
  struct stat status {};
  if (::fstat(file.get(), &status) != 0 || status.st_size == 0) return {};
  const bool read = ::pread(file.get(), id, sizeof id, id_at) == sizeof id;
  const auto number = static_cast<std::int32_t>(big_endian(id));
  const bool young = number == 0 && static_cast<std::size_t>(status.st_size) <= first_page;
  if (read && (number == journal_application_id || young)) return {};
  if (read && number == 0 && id_in_log(path) == journal_application_id) return {};
  return failure("cannot open journal \"" + path +
                 "\": it is another program's database; it was left as it is");
}

Result<void> check_journal_identity(Connection& connection, std::int64_t newest_version) {
  const auto application = connection.integer("PRAGMA application_id");
  if (!application) return tl::unexpected(application.error());
  const auto version = connection.integer("PRAGMA user_version");
  if (!version) return tl::unexpected(version.error());
  const auto tables = connection.integer("SELECT count(*) FROM sqlite_schema");
  if (!tables) return tl::unexpected(tables.error());
  if (*version < 0 ||
      (*application != journal_application_id && (*application != 0 || *version != 0 || *tables != 0)))
    return failure("cannot open journal \"" + connection.path() +
                   "\": it is an SQLite file of another program" + " (application id " +
                   std::to_string(*application) + "); it was left as it is");
  if (*version > newest_version) return tl::unexpected(newer(connection.path(), *version, newest_version));
  return {};
}

Result<void> check_journal_health(Connection& connection) {
  const auto found = [&](const std::string& what) {
    return failure("cannot open journal \"" + connection.path() + std::string(finding) + what);
  };
  const auto page = connection.integer("PRAGMA page_size");
  if (!page) return tl::unexpected(page.error());
  const auto pages = connection.integer("PRAGMA page_count");
  if (!pages) return tl::unexpected(pages.error());
  if (*page * *pages <= checked_whole_octets) {
    const auto said = connection.text("PRAGMA quick_check(1)");
    if (!said) return tl::unexpected(said.error());
    if (*said != "ok") return found(*said);
    return {};
  }
  auto tables = connection.prepare(
      "SELECT name FROM pragma_table_list WHERE schema = 'main' AND type = 'table' AND NOT wr"
      " AND name NOT LIKE 'sqlite_%' ORDER BY name");
  if (!tables) return tl::unexpected(tables.error());
  int code = SQLITE_ROW;
  while ((code = tables->step()) == SQLITE_ROW) {
    const auto newest =
        connection.integer("SELECT count(*) FROM (SELECT * FROM " + sql_name(tables->text(0)) +
                           " ORDER BY rowid DESC LIMIT " + std::to_string(checked_rows) + ")");
    if (!newest) return tl::unexpected(newest.error());
  }
  if (code != SQLITE_DONE) return tl::unexpected(connection.failed("cannot read"));
  return {};
}

bool is_health_finding(const Error& error) {
  return error.message.find(finding) != std::string::npos;
}

Result<void> migrate(Connection& connection, std::span<const Migration> list) {
  const auto newest = static_cast<std::int64_t>(list.size());
  if (auto begun = connection.run("BEGIN IMMEDIATE"); !begun) return begun;
  const auto give_up = [&](Error error) -> Result<void> {
    connection.exec("ROLLBACK");
    return tl::unexpected(std::move(error));
  };
  const auto version = connection.integer("PRAGMA user_version");
  if (!version) return give_up(version.error());
  if (*version > newest) return give_up(newer(connection.path(), *version, newest));
  for (std::int64_t from = *version; from < newest; ++from) {
    const Migration& migration = list[static_cast<std::size_t>(from)];
    if (connection.exec(migration.sql) != SQLITE_OK)
      return give_up(connection.failed("cannot migrate from version " + std::to_string(from) + " (" +
                                       migration.why + ")"));
  }
  const std::string marks = "PRAGMA user_version = " + std::to_string(newest) +
                            "; PRAGMA application_id = " + std::to_string(journal_application_id);
  if (*version != newest && connection.exec(marks.c_str()) != SQLITE_OK)
    return give_up(connection.failed("cannot migrate"));
  if (connection.exec("COMMIT") != SQLITE_OK) return give_up(connection.failed("cannot migrate"));
  return {};
}

Result<void> seed_vocabulary(Connection& connection) {
  const auto seed = [&](const char* sql, int id, std::string_view name) -> Result<void> {
    auto insert = connection.prepare(sql);
    if (!insert) return tl::unexpected(insert.error());
    insert->bind(1, std::int64_t{id});
    insert->bind(2, name);
    if (insert->run() != SQLITE_OK)
      return tl::unexpected(connection.failed("cannot write the vocabulary of"));
    return {};
  };
  for (int id = 0; id <= last_action; ++id)
    if (auto done =
            seed("INSERT OR IGNORE INTO action (id, name) VALUES (?1, ?2)", id, action_text(Action(id)));
        !done)
      return done;
  const std::string_view unknown = reason_text(Reason(255));
  for (int id = 0; id < reasons_looked_at; ++id) {
    const std::string_view name = reason_text(Reason(id));
    if (name == unknown && Reason(id) != Reason::policy_default) continue;
    if (auto done = seed("INSERT OR IGNORE INTO reason (id, name) VALUES (?1, ?2)", id, name); !done)
      return done;
  }
  return {};
}

}  // namespace postern

// Opening a journal's file to read it: as usual, and as one that does not change.
#include "resolver/journal/open_to_read.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>

#include "resolver/journal/carry_over.h"
#include "resolver/journal/schema.h"

namespace postern {
namespace {

constexpr int log_recovered_within_ms = 2000;  // how long a log that is just being recovered is waited for

// A path as a URI of SQLite's: what could end it or be taken for an escape is escaped.
std::string uri_of(const std::string& path, bool immutable) {
  std::string uri = "file:";
  for (const char c : path) {
    constexpr const char* digits = "0123456789abcdef";
    const auto octet = static_cast<unsigned char>(c);
    if (c != '%' && c != '?' && c != '#')
      uri += c;
    else
      (uri += '%').append({digits[octet >> 4], digits[octet & 15]});
  }
  // "file://x" would name a host.
  if (path.starts_with("//")) uri.insert(5, "//");
  return uri + (immutable ? "?immutable=1" : "");
}

Result<Connection> open_as(const std::string& path, const std::string& uri) {
  auto connection = Connection::open(uri, SQLITE_OPEN_READONLY | SQLITE_OPEN_URI);
  if (!connection) {  // errors name the file, as people do
    std::string message = connection.error().message;
    if (const std::size_t at = message.find(uri); at != std::string::npos)
      message.replace(at, uri.size(), path);
    return failure(std::move(message));
  }
  connection->call_it(path);
  sqlite3_db_config(connection->raw(), SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, nullptr);
  sqlite3_busy_timeout(connection->raw(), log_recovered_within_ms);
  // Who gave it to us may have made it by hand: https://www.sqlite.org/security.html
  if (auto set = connection->run("PRAGMA cell_size_check = ON"); !set) return tl::unexpected(set.error());
  return connection;
}

bool may_write(const std::string& folder) {
  return ::faccessat(AT_FDCWD, folder.c_str(), W_OK, AT_EACCESS) == 0;
}

bool has_log(const std::string& path) {
  struct stat about {};
  return ::stat((real_path(path) + "-wal").c_str(), &about) == 0 && about.st_size > 0;
}

// Is it a journal that we know, and is there anything in it?
Result<void> check_content(Connection& connection) {
  if (auto fine = check_journal_identity(connection, static_cast<std::int64_t>(migrations().size())); !fine)
    return fine;
  const auto version = connection.integer("PRAGMA user_version");
  if (!version) return tl::unexpected(version.error());
  if (*version != 0) return {};
  return failure("cannot open journal \"" + connection.path() +
                 "\": there is nothing in it; was its log, \"" + connection.path() +
                 "-wal\", left behind or removed?");
}

}  // namespace

std::string real_path(const std::string& path) {
  std::error_code none;
  const auto real = std::filesystem::canonical(path, none);
  return none ? path : real.string();
}

Result<Connection> open_to_read_journal(const std::string& path, std::string* attached_as) {
  if (::access(path.c_str(), F_OK) != 0)  // SQLite would only say that it cannot
    return failure("cannot open journal \"" + path + "\": " + std::strerror(errno));
  if (auto checked = check_journal_path(path); !checked) return tl::unexpected(checked.error());
  if (log_is_orphaned(real_path(path)))  // SQLite removes the log of a file without a page, also for a reader
    return failure("cannot open journal \"" + path + "\": it is empty, but its log \"" + path +
                   "-wal\" has rows, and would be removed by reading; both were left as they are");
  std::string uri = uri_of(path, false);
  auto connection = open_as(path, uri);
  if (!connection) return connection;
  const int code = connection->exec("SELECT 1 FROM sqlite_schema LIMIT 1") & 0xff;
  const std::size_t slash = path.rfind('/');
  const std::string folder = slash == std::string::npos ? "." : path.substr(0, slash + 1);
  // Whether the file itself may be read is SQLite's to say.
  if ((code == SQLITE_CANTOPEN || code == SQLITE_READONLY) && ::access(path.c_str(), R_OK) == 0 &&
      !may_write(folder)) {
    if (has_log(path))
      return failure(
          "cannot open journal \"" + path + "\": the newest rows are in \"" + path +
          "-wal\", and to read them a file must be made beside it, but nothing can be written in \"" +
          folder +
          "\"; copy both files to a folder that you may write, or ask for a copy made by"
          " `postern journal backup`");
    uri = uri_of(path, true);
    connection = open_as(path, uri);
    if (!connection) return connection;
  }
  if (auto checked = check_content(*connection); !checked) return tl::unexpected(checked.error());
  if (attached_as != nullptr) *attached_as = uri;
  return connection;
}

Result<void> look_at_journal(const std::string& path) {
  if (auto ours = check_journal_is_ours(path); !ours) return ours;
  auto connection = has_log(path) ? open_to_read_journal(path) : open_as(path, uri_of(path, true));
  if (!connection) return tl::unexpected(connection.error());
  if (auto fine = check_content(*connection); !fine) return fine;
  // A writer would find this, too, after it has made its lock and a log.
  if (auto whole = check_journal_health(*connection); !whole)
    return failure(whole.error().message + "; it was left as it is");
  return {};
}

}  // namespace postern

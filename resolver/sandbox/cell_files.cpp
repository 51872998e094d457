// Handing the journal's files to the service user, without being led to anybody else's.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "resolver/sandbox/cell_parts.h"

namespace postern {
namespace {

constexpr mode_t file_mode = 0640;  // the audit group reads
// Set-group-ID: what is made in it later, such as a journal in the place of a damaged one, has its group.
constexpr mode_t folder_mode = 02750;

gid_t group_of(const CellOptions& options) {
  return options.audit_gid.value_or(options.gid);
}

// What SQLite and the writer's lock put beside the journal.
constexpr const char* suffixes[] = {"", "-wal", "-shm", ".lock"};

Result<void> hand_over(const Fd& folder, const std::string& name, const CellOptions& options) {
  const auto bad = [&](const std::string& why) {
    return failure("cannot hand \"" + options.state_folder + "/" + name + "\" to the service user: " + why);
  };
  // O_NONBLOCK: a FIFO would be waited for. O_NOFOLLOW: a symlink fails with ELOOP.
  const Fd file(openat(folder.get(), name.c_str(),
                       O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, file_mode));
  if (!file) {
    if (errno == ELOOP) return bad("it is a symlink");
    if (errno == EISDIR || errno == ENXIO) return bad("it is not a plain file");
    return bad(std::strerror(errno));
  }
  struct stat kind {};
  if (fstat(file.get(), &kind) != 0) return bad(std::strerror(errno));
  if (!S_ISREG(kind.st_mode)) return bad("it is not a plain file");
  if (kind.st_nlink > 1) return bad("it has " + std::to_string(kind.st_nlink) + " names (hard links)");
  if (kind.st_uid != 0 && kind.st_uid != options.uid) {
    return bad("it belongs to user " + std::to_string(kind.st_uid) +
               ", who is neither root nor the service user (" + std::to_string(options.uid) +
               "): give another file for the journal, or change its owner");
  }
  if (fchown(file.get(), options.uid, group_of(options)) != 0) return bad(std::strerror(errno));
  if (fchmod(file.get(), file_mode) != 0) return bad(std::strerror(errno));
  return {};
}

}  // namespace

Result<std::string> journal_name(const CellOptions& options) {
  const auto bad = [&](const char* why) {
    return failure("cannot use journal \"" + options.journal_file + "\" in \"" + options.state_folder +
                   "\": " + why);
  };
  std::string folder = options.state_folder;
  while (folder.size() > 1 && folder.back() == '/') folder.pop_back();
  std::string name = options.journal_file;
  if (name.starts_with(folder + "/")) name.erase(0, folder.size() + 1);
  if (folder == "/" && name.starts_with("/")) name.erase(0, 1);
  if (name.empty() || name == "." || name == "..") return bad("that is not a file's name");
  if (name.find('/') != std::string::npos) return bad("it does not lie in that folder");
  return name;
}

Result<void> hand_over_journal(const Fd& folder, const CellOptions& options, const std::string& name) {
  struct stat kind {};
  if (fstat(folder.get(), &kind) != 0) {
    return failure("cannot look at folder \"" + options.state_folder + "\": " + std::strerror(errno));
  }
  if (options.own_folder && (kind.st_uid == 0 || kind.st_uid == options.uid)) {
    if (fchown(folder.get(), options.uid, group_of(options)) != 0 || fchmod(folder.get(), folder_mode) != 0) {
      return failure("cannot hand folder \"" + options.state_folder +
                     "\" to the service user: " + std::strerror(errno));
    }
  }
  for (const char* suffix : suffixes) {
    if (Result<void> done = hand_over(folder, name + suffix, options); !done) return done;
  }
  return {};
}

}  // namespace postern

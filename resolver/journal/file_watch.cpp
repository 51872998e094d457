// Is the file at the journal's path still the one that is being written: stat, and the locks of others.
#include "resolver/journal/file_watch.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include <spdlog/spdlog.h>

#include "resolver/journal/carry_over.h"

namespace postern {
namespace {

constexpr const char* watched_suffixes[] = {"", "-wal", "-shm", ".lock"};

// The locks of readers in the log's index: https://www.sqlite.org/walformat.html#wal_locks, bytes 123 to 127.
constexpr off_t first_read_lock = 123, read_locks = 5;

}  // namespace

Result<FileWatch> FileWatch::of(const std::string& path) {
  FileWatch watch;
  for (std::size_t i = 0; i < watch.files_.size(); ++i) {
    Identity& file = watch.files_[i];
    file.path = path + watched_suffixes[i];
    struct stat now {};
    if (::stat(file.path.c_str(), &now) != 0)
      return failure("cannot open journal \"" + path + "\": \"" + file.path +
                     "\" is not there: " + std::strerror(errno));
    file.device = now.st_dev;
    file.inode = now.st_ino;
  }
  return watch;
}

FileWatch::State FileWatch::look() {
  return look(2);
}
FileWatch::State FileWatch::look_at_all() {
  return look(files_.size());
}

FileWatch::State FileWatch::look(std::size_t files) {
  for (std::size_t i = 0; i < files; ++i) {
    struct stat now {};
    const bool there = ::stat(files_[i].path.c_str(), &now) == 0;
    if (!there && errno != ENOENT && errno != ENOTDIR) return State::hidden;
    const bool same = there && now.st_dev == files_[i].device && now.st_ino == files_[i].inode;
    if (i == 0) {
      if (!there || (!same && now.st_size == 0)) return State::gone;
      if (!same) return State::replaced;
      if (now.st_size < octets_) return State::cut;
      octets_ = now.st_size;
    } else if (!same) {
      return State::beside;
    }
  }
  return State::in_place;
}

bool FileWatch::is_stranger(std::size_t file, off_t least_octets) const {
  struct stat now {};
  return ::stat(files_[file].path.c_str(), &now) == 0 && now.st_size >= least_octets &&
         (now.st_dev != files_[file].device || now.st_ino != files_[file].inode);
}

bool FileWatch::has_strangers() const {
  return is_stranger(1, 1) || is_stranger(2, 1);
}

Result<void> FileWatch::remove_strangers() const {
  const std::string& path = files_[0].path;
  if (is_stranger(1, 1)) {
    const auto aside = set_orphaned_log_aside(path);
    if (!aside) return tl::unexpected(aside.error());
    spdlog::error("a log beside journal \"{}\" that is not its own was set aside as \"{}\"", path, *aside);
  }
  if (is_stranger(2, 0) && ::unlink(files_[2].path.c_str()) != 0 && errno != ENOENT)
    return failure("\"" + files_[2].path + "\" cannot be removed: " + std::strerror(errno));
  return {};
}

const char* FileWatch::words(State state) {
  switch (state) {
    case State::in_place:
      return "it is in its place";
    case State::gone:
      return "it was deleted or moved away";
    case State::replaced:
      return "another file was put in its place; move that away, or restart Postern to go on in it";
    case State::cut:
      return "it was cut short in its place";
    case State::hidden:
      return "it cannot be looked at: may its folder be searched?";
    case State::beside:
      return "a file beside it (-wal, -shm or .lock) was deleted or replaced";
  }
  return "";
}

void LogReaders::watch(const std::string& journal_path) {
  const std::string path = journal_path + "-shm";
  struct stat held {
  }, there{};
  if (fd_ >= 0 && ::fstat(fd_, &held) == 0 && ::stat(path.c_str(), &there) == 0 &&
      held.st_dev == there.st_dev && held.st_ino == there.st_ino)
    return;
  const int fresh = ::open(path.c_str(), O_RDWR | O_CLOEXEC | O_NOFOLLOW);
  if (fd_ >= 0) ::close(fd_);
  fd_ = fresh;
}

LogReaders::~LogReaders() {
  if (fd_ >= 0) ::close(fd_);
}

std::optional<pid_t> LogReaders::one() const {
  struct flock lock {};
  lock.l_type = F_WRLCK;
  lock.l_whence = SEEK_SET;
  lock.l_start = first_read_lock;
  lock.l_len = read_locks;
  if (fd_ < 0 || ::fcntl(fd_, F_GETLK, &lock) != 0 || lock.l_type == F_UNLCK) return std::nullopt;
  return lock.l_pid;
}

}  // namespace postern

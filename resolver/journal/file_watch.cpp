// Is the file at the journal's path still the one that is being written: stat, and the locks of others.
#include "resolver/journal/file_watch.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

namespace postern {
namespace {

constexpr const char* watched_suffixes[] = {"", "-wal", "-shm", ".lock"};
constexpr off_t least_octets = 512;  // the smallest page that SQLite knows: less is no database

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
    const bool same = there && now.st_dev == files_[i].device && now.st_ino == files_[i].inode;
    if (i == 0) {
      if (!there || (!same && now.st_size == 0)) return State::gone;
      if (!same) return State::replaced;
      if (filled_ && now.st_size < least_octets) return State::emptied;
      filled_ = filled_ || now.st_size >= least_octets;
    } else if (!same) {
      return State::beside;
    }
  }
  return State::in_place;
}

bool FileWatch::has_strangers() const {
  for (std::size_t i = 1; i <= 2; ++i) {
    struct stat now {};
    if (::stat(files_[i].path.c_str(), &now) == 0 && now.st_size > 0 &&
        (now.st_dev != files_[i].device || now.st_ino != files_[i].inode))
      return true;
  }
  return false;
}

const char* FileWatch::words(State state) {
  switch (state) {
    case State::in_place:
      return "it is in its place";
    case State::gone:
      return "it was deleted or moved away";
    case State::replaced:
      return "another file was put in its place; move that away, or restart Postern to go on in it";
    case State::emptied:
      return "it was cut to nothing in its place";
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

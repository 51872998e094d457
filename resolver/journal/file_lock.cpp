// The writer's lock: taking and releasing it.
#include "resolver/journal/file_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace postern {

Result<FileLock> FileLock::take(const std::string& journal_path) {
  const std::string path = journal_path + ".lock";
  // Not through a symbolic link: the folder may belong to a user who is trusted less than we are.
  FileLock lock(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0640));
  if (lock.fd_ < 0)
    return failure("cannot open journal \"" + journal_path + "\": its lock file \"" + path +
                   "\" cannot be opened: " + std::strerror(errno));
  if (::flock(lock.fd_, LOCK_EX | LOCK_NB) != 0) {
    if (errno == EWOULDBLOCK)
      return failure("cannot open journal \"" + journal_path + "\": another Postern has it (\"" + path +
                     "\" is locked); give this one its own file, or hand its sandbox to the running one");
    return failure("cannot open journal \"" + journal_path + "\": cannot lock \"" + path +
                   "\": " + std::strerror(errno));
  }
  return lock;
}

Result<FileLock> FileLock::again(const std::string& journal_path) const {
  struct stat held {
  }, there{};
  if (::fstat(fd_, &held) != 0 || ::stat((journal_path + ".lock").c_str(), &there) != 0 ||
      held.st_dev != there.st_dev || held.st_ino != there.st_ino)
    return take(journal_path);
  const int copy = ::fcntl(fd_, F_DUPFD_CLOEXEC, 3);  // the lock belongs to the open file, not to this number
  if (copy < 0) return failure("cannot open journal \"" + journal_path + "\" again: " + std::strerror(errno));
  return FileLock(copy);
}

FileLock::~FileLock() {
  if (fd_ >= 0) ::close(fd_);
}

}  // namespace postern

// The writer's lock: taking and releasing it.
#include "resolver/journal/file_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <thread>

namespace postern {
namespace {

// A look takes microseconds, or as long as its process is kept from the processor in the midst of it.
constexpr int most_tries = 41;
constexpr std::chrono::milliseconds between_tries{5};

// As flock(2), with LOCK_NB. Where no writer holds the lock but somebody who looks, it is tried again.
int lock_as_writer(int fd) {
  for (int tried = 1;; ++tried) {
    if (::flock(fd, LOCK_EX | LOCK_NB) == 0) return 0;
    if (errno != EWOULDBLOCK || tried == most_tries) return -1;
    if (::flock(fd, LOCK_SH | LOCK_NB) != 0) return -1;  // a writer's
    ::flock(fd, LOCK_UN);
    std::this_thread::sleep_for(between_tries);
  }
}

// Read-only and shared, so that whoever may read the journal can look, also on a medium that nobody can
// write. Nor does opening wait, whatever somebody may have put there.
Writer holder_of(const std::string& lock_path) {
  const int fd = ::open(lock_path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
  if (fd < 0) return errno == ENOENT ? Writer::none : Writer::unknown;
  const int error = ::flock(fd, LOCK_SH | LOCK_NB) == 0 ? 0 : errno;
  ::close(fd);
  if (error == 0) return Writer::none;
  return error == EWOULDBLOCK ? Writer::here : Writer::unknown;
}

}  // namespace

Result<FileLock> FileLock::take(const std::string& journal_path) {
  const std::string path = journal_path + ".lock";
  // Not through a symbolic link: the folder may belong to a user who is trusted less than we are.
  FileLock lock(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0640));
  if (lock.fd_ < 0)
    return failure("cannot open journal \"" + journal_path + "\": its lock file \"" + path +
                   "\" cannot be opened: " + std::strerror(errno));
  if (lock_as_writer(lock.fd_) != 0) {
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

Writer writer_of(const std::string& journal_path) {
  const Writer writer = holder_of(journal_path + ".lock");
  if (writer != Writer::none) return writer;
  // Read through a symbolic link, the writer's lock is beside the file itself.
  const std::unique_ptr<char, decltype(&std::free)> real(::realpath(journal_path.c_str(), nullptr),
                                                         &std::free);
  return real ? holder_of(std::string(real.get()) + ".lock") : Writer::unknown;
}

}  // namespace postern

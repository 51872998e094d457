// The writer's lock: at most one Postern writes a journal.
#pragma once

#include <cstdint>
#include <string>
#include <utility>

#include "rules/result.h"

namespace postern {

// Holds an flock on "PATH.lock". The kernel releases it when the process dies, however it dies, so a stale
// lock cannot exist. Not on the journal itself: closing any descriptor of that file would drop SQLite's own
// POSIX locks. The lock file stays: deleting it would let two writers lock two different files. What is in it
// is an outage's (outage.h).
class FileLock {
 public:
  // Errors: held by another Postern; the folder is missing or not writable. Each names the journal's path.
  // Who only looks whether it is held (writer_of) is waited for, 0.2 s at most.
  static Result<FileLock> take(const std::string& journal_path);
  // One that was taken before a fork: the lock belongs to the open file, which both processes have, and ends
  // with the last of them.
  static FileLock adopt(int fd) { return FileLock(fd); }
  // The same lock once more, for another owner; a new one where the lock file was removed or replaced.
  Result<FileLock> again(const std::string& journal_path) const;
  int descriptor() const { return fd_; }
  FileLock(FileLock&& other) noexcept : fd_(other.fd_) { other.fd_ = -1; }
  FileLock& operator=(FileLock&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~FileLock();

 private:
  explicit FileLock(int fd) : fd_(fd) {}
  int fd_;
};

// Does a Postern write the journal at this moment? Unknown: its lock file may not be opened, or cannot be
// locked. A file without a lock file has no writer: each makes one. Thread: any; waits for nothing.
enum class Writer : std::uint8_t { none, here, unknown };
Writer writer_of(const std::string& journal_path);

}  // namespace postern

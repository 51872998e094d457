// The journal's file: locked, checked, created, migrated, and one boot of a writer in it.
#pragma once

#include <cstdint>

#include "resolver/journal/file_lock.h"
#include "resolver/journal/journal.h"
#include "resolver/journal/sqlite.h"

namespace postern {

std::int64_t clock_us(int clock);  // of clock_gettime, in microseconds

// Holds the writer's lock from `open` on. No file beside the four that may exist beforehand (the journal,
// -wal, -shm, .lock) is ever needed, nor /proc nor /dev: the process may live in a chroot whose folder it
// cannot write to. Thread: one at a time.
class JournalFile {
 public:
  static constexpr std::int64_t page_octets = 4096;

  static Result<JournalFile> open(const Journal::Options& options);

  // A further connection, set up like the first.
  Result<Connection> connect() const;
  Connection& connection() { return connection_; }

  std::int64_t boot() const { return boot_; }                      // this writer's row in `boot`
  std::int64_t boot_offset_us() const { return boot_offset_us_; }  // its wall clock less CLOCK_BOOTTIME
  RowId first_id() const { return first_id_; }  // above every id that the file has seen or may have promised
  // A clean end: notes the last id drawn and folds the log into the file.
  void end(RowId last_id_drawn);

 private:
  JournalFile(const Journal::Options& options, FileLock lock) : options_(options), lock_(std::move(lock)) {}
  Result<void> begin();

  Journal::Options options_;
  FileLock lock_;
  Connection connection_;
  std::int64_t boot_ = 0, boot_offset_us_ = 0;
  RowId first_id_ = 1;
};

}  // namespace postern

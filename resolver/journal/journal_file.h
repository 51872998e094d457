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

  // A damaged one is set aside, and a new one begun (carry_over.h).
  static Result<JournalFile> open(const Journal::Options& options);
  // A new file in the place of `lost`, whose connection still reads it: with the same boot, sandboxes, rules
  // and ledgers. `next_id` is above every id drawn. `aside`: where a damaged one went; `lost` is closed, and
  // what can be read there is carried over. Errors: something is at the path, which stays as it is, or it
  // cannot be made.
  static Result<JournalFile> in_place_of(JournalFile& lost, RowId next_id, const std::string& aside = "");

  // The same file again, after one beside it was lost; every other connection to it is closed already. After
  // an error it is not open.
  Result<void> reopen();
  bool is_open() { return connection_.raw() != nullptr; }
  // Folds the log back into the file, wherever that is by now. False: not all of it, since somebody reads an
  // old state of it, or for an error.
  bool fold();
  // Is what is at the path damaged, so that it may be set aside? Opens it anew.
  bool is_damaged() const;

  // A further connection, set up like the first.
  Result<Connection> connect() const;
  Connection& connection() { return connection_; }
  const std::string& path() const { return options_.path; }
  const std::string& aside() const { return aside_; }  // where a damaged one went; empty: nowhere

  std::int64_t boot() const { return boot_; }                      // this writer's row in `boot`
  std::int64_t boot_offset_us() const { return boot_offset_us_; }  // its wall clock less CLOCK_BOOTTIME
  RowId first_id() const { return first_id_; }  // above every id that the file has seen or may have promised
  // A clean end: notes the last id drawn and folds the log into the file.
  void end(RowId last_id_drawn);
  // What `end` notes, for a transaction of the caller's.
  std::string ending(RowId last_id_drawn, std::int64_t ended_us) const;

 private:
  JournalFile(const Journal::Options& options, FileLock lock) : options_(options), lock_(std::move(lock)) {}
  Result<void> prepare(bool create, int busy_at_first_ms);
  Result<void> begin();
  Result<void> carry_over_from(Connection& from, const std::string& aside);

  Journal::Options options_;
  FileLock lock_;
  Connection connection_;
  std::int64_t boot_ = 0, boot_offset_us_ = 0;
  RowId first_id_ = 1, boot_first_asked_ = 1;
  std::string aside_;
};

}  // namespace postern

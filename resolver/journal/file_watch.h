// Is the file at the journal's path still the one that is being written? Deleted, moved and replaced files
// are noticed before a row in them is called recorded.
#pragma once

#include <sys/types.h>

#include <array>
#include <cstdint>
#include <optional>
#include <string>

#include "rules/result.h"

namespace postern {

// Knows the journal, its -wal, -shm and .lock by device and inode. Nothing is opened: closing a descriptor of
// one of them would drop SQLite's locks. Cost: a stat per file looked at. Thread: one at a time.
class FileWatch {
 public:
  enum class State {
    in_place,
    gone,      // nothing is at the path, or another file without content
    replaced,  // another file is there
    cut,       // it is shorter than it was: SQLite never cuts it while a writer has it
    hidden,    // it cannot be looked at: its folder may not be searched, or the disk fails
    beside,    // the journal is in place, but the log, its index or the writer's lock is not
  };

  FileWatch() = default;
  static Result<FileWatch> of(const std::string& path);

  // The journal and its log: what a commit needs.
  State look();
  // Those, the log's index and the writer's lock.
  State look_at_all();
  // Is there a log or an index with content that is not ours?
  bool has_strangers() const;
  // A log with content that is not ours is renamed (carry_over.h), an index that is not ours removed: who
  // opens the journal would read them as its own. Every connection to it is closed. Errors: the folder cannot
  // be written to.
  Result<void> remove_strangers() const;
  // "it was deleted or moved away"
  static const char* words(State state);

 private:
  struct Identity {
    std::string path;
    dev_t device = 0;
    ino_t inode = 0;
  };
  State look(std::size_t files);
  bool is_stranger(std::size_t file, off_t least_octets) const;
  std::array<Identity, 4> files_;
  off_t octets_ = 0;  // the journal's, when it was looked at last
};

// Which process reads an old state of the journal, and so keeps the log from starting over. Holds a
// descriptor of the -shm file for that, and must outlive every connection to the journal: closing it drops
// their locks.
class LogReaders {
 public:
  LogReaders() = default;
  LogReaders(const LogReaders&) = delete;
  LogReaders& operator=(const LogReaders&) = delete;
  ~LogReaders();

  // Of the journal at that path from now on. When its -shm is another file than before, no connection to the
  // old one is left.
  void watch(const std::string& journal_path);

  // One that is not ours; 0: in a process id namespace that we cannot see. Nothing: there is none.
  std::optional<pid_t> one() const;

 private:
  int fd_ = -1;
};

}  // namespace postern

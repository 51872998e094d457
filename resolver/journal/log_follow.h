// A journal that is followed for as long as somebody listens, also when another file takes its place.
//
// The story: `next` looks where the journal is, by device and inode, before it reads. Deleted, moved away or
// replaced, the old file is read to its end first, since it is still open; cut to nothing, or become another
// journal in its place, there is no more to read. Then it waits for a journal at the path and goes on there,
// with what was asked since the old one was last seen there, less what may have been late. Errors that come
// and go (a file half written, a disk) are told, and what failed is read again.
//
// Thread: one. Memory: LogReader's.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "resolver/journal/log_reader.h"

namespace postern {

class LogFollower {
 public:
  // What stands in the way of opening the next file is told when it has done so for this long: a journal that
  // is just being begun is no journal for a moment.
  static constexpr std::int64_t told_after_us = 3'000'000;

  // Errors: LogReader::open's. A journal that is there at the begin must be one; later ones are waited for.
  static Result<LogFollower> open(const std::string& path, const LogFilter& filter);

  struct News {
    LogReader::Page page;  // its `end`: nothing more for now
    std::string note;      // for people, if not empty
  };
  // What comes next. `now_us`: Unix time.
  News next(std::int64_t now_us);

 private:
  struct Place {  // what is at the path
    dev_t device = 0;
    ino_t inode = 0;
    off_t octets = 0;
    bool is(const Place& other) const { return device == other.device && inode == other.inode; }
  };
  LogFollower(std::string path, LogFilter filter) : path_(std::move(path)), filter_(std::move(filter)) {}

  std::optional<Place> look() const;
  Result<void> begin();
  News read(std::int64_t now_us);
  News read_to_end(const std::string& why);
  News look_for_another(std::int64_t now_us);
  News leave(const std::string& why);
  std::string told_once(const std::string& text);

  std::string path_;
  LogFilter filter_;
  std::unique_ptr<LogReader> reader_;    // null: no journal is at the path
  Place place_;                          // of the one that is read
  bool filled_ = false;                  // it was no empty file, as a new journal is for a while
  std::optional<std::int64_t> seen_us_;  // when it was last read at its place
  std::int64_t error_since_us_ = 0;      // of the next file
  std::string told_;                     // the last error; empty after a page that could be read
};

}  // namespace postern

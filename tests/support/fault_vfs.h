// A disk that does as it is told: SQLite's file system with errors, stalls and power cuts on demand.
//
// A shim over the default VFS (https://www.sqlite.org/vfs.html), and the default itself while it lives, so
// that the journal's own code opens its files through it. Three things can be asked of it: that calls of a
// kind fail, that they stall until they are let go, and what would be on the disk if the power were cut now.
//
// The power cut: what was synced is there. Of what was written since, any part may be there, in any order, in
// whole sectors of 512 octets (SQLite assumes no more of a disk: "powersafe overwrite"). The -shm file is
// memory and is never there.
//
// Thread: any. One at a time in a process. All files opened through it are closed before it ends.
#pragma once

#include <sqlite3.h>

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <random>
#include <string>
#include <string_view>
#include <vector>

namespace postern::test {

class FaultVfs {
 public:
  enum class Call { open, read, write, truncate, sync, shm_map, shm_lock };
  static constexpr int for_ever = -1;

  FaultVfs();
  FaultVfs(const FaultVfs&) = delete;
  FaultVfs& operator=(const FaultVfs&) = delete;
  ~FaultVfs();

  // The next `count` calls of that kind, after the first `after`, on files whose path ends in `suffix`, fail
  // with `code` and do nothing.
  void fail(Call call, std::string suffix, int code, int count = for_ever, int after = 0);
  // They wait until `heal`.
  void stall(Call call, std::string suffix);
  void heal();
  std::uint64_t failed() const;   // calls so far
  std::uint64_t stalled() const;  // calls that wait now

  // What a disk would hold: path -> octets.
  using Disk = std::map<std::string, std::string>;
  // Called before each write, truncation and sync of a file, with what would be there if the power were cut
  // at that moment; `draw` decides what of the unsynced got through.
  using Watcher = std::function<void(const std::function<Disk(std::mt19937& draw)>& cut)>;
  void watch(Watcher watcher);

 private:
  struct Write {
    std::int64_t offset = 0;
    std::string octets;
    bool truncates = false;  // to `offset`
  };
  struct Image {
    std::string synced;
    std::vector<Write> since;
  };
  struct Fault {
    Call call;
    std::string suffix;
    int code = 0, count = 0, after = 0;
    bool stalls = false;
  };
  struct File;
  struct Shim;
  friend struct Shim;

  int meet(Call call, const std::string& path);  // SQLITE_OK: go on
  void before_change();
  Disk cut(std::mt19937& draw) const;
  void opened(const std::string& path);
  void wrote(const std::string& path, Write write);
  void synced(const std::string& path);

  sqlite3_vfs* real_;
  sqlite3_vfs vfs_{};
  mutable std::mutex mutex_;
  std::condition_variable healed_;
  std::vector<Fault> faults_;
  std::uint64_t failed_ = 0, stalled_ = 0, heals_ = 0;
  Watcher watcher_;
  std::map<std::string, Image> images_;  // kept while somebody watches
};

}  // namespace postern::test

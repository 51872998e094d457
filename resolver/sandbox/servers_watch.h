// Follows a resolv.conf: tells when its list of servers has become another one.
//
// Editors, resolvconf, NetworkManager and systemd-resolved replace the file by a rename, or the symlink, or
// what the symlink leads to; so the folder of every link on the way and the file itself are watched
// (inotify), and since a folder can be replaced as well, or something mounted over it, the file is also
// looked at once per tick.
//
// Thread: one. Time: an argument. Memory: two watches for each of at most `most_links` links.
#pragma once

#include <sys/stat.h>
#include <chrono>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "resolver/sandbox/broker.h"

namespace postern {

class ServersWatch {
 public:
  using Clock = std::chrono::steady_clock;
  static constexpr std::size_t most_links = 8;           // the kernel follows 40; two or three are in use
  static constexpr std::size_t most_octets = 64 * 1024;  // of the file; what is beyond is not looked at
  // From the first sign of a change to reading: a writer that truncates and then writes is not read in
  // between.
  static constexpr std::chrono::milliseconds settle{50};

  // `current`: the list that is in use.
  ServersWatch(std::string file, std::vector<Server> current);
  int fd() const { return inotify_.get(); }  // readable: call `noticed`; -1 when inotify is not to be had
  void noticed(Clock::time_point now);       // reads what inotify has to say
  void tick(Clock::time_point now);          // once a second
  std::optional<Clock::time_point> due() const { return due_; }
  // To be called when due: the new list, if it differs and is not empty.
  std::optional<std::vector<Server>> reread(Clock::time_point now);

  static std::vector<Server> read(const std::string& file);

 private:
  void watch();
  std::string file_;
  std::vector<Server> current_;
  Fd inotify_;
  std::vector<int> watches_;
  std::vector<std::string> names_;  // of the links, in their folders
  struct stat seen_ {};
  std::optional<Clock::time_point> due_;
};

}  // namespace postern

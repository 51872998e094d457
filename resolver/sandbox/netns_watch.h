// Which namespaces are attached, and whether they are still somebody's.
//
// Our own sockets keep a namespace alive, so the kernel never says that it is gone. It is called gone when
// the path it was attached by shows it no more, or the process it was attached by has ended, and no other
// process lives in it. A sandbox decides how often its processes end: the walk over /proc is therefore made
// at most once per tick, for all attachments together; and only the second walk in a row that finds nobody
// counts, since a process that forks and ends during a walk can slip past it. A sandbox that hides from both
// loses its nameserver: it fails closed.
//
// Thread: one. Memory: at most `most` attachments, each with at most one pidfd.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "resolver/sandbox/netns.h"

namespace postern {

class NetnsWatch {
 public:
  static constexpr std::size_t most = 16384;            // the design's 5,000 sandboxes, with room
  static constexpr std::chrono::seconds tick_every{1};  // how often paths are looked at
  static constexpr int walks_before_gone = 2;

  bool has_token(std::uint64_t token) const { return attached_.contains(token); }
  bool is_attached(const NetnsId& id) const { return ids_.contains(id); }
  bool full() const { return attached_.size() >= most; }
  void add_path(std::uint64_t token, const NetnsId& id, std::string path);
  void add_process(std::uint64_t token, const NetnsId& id, Fd pidfd);
  int pidfd(std::uint64_t token) const;  // -1: none is held
  void remove(std::uint64_t token);

  void process_ended(std::uint64_t token);  // its pidfd was readable; it is closed here
  bool needs_tick() const { return watched_ > 0; }
  struct Changes {
    std::vector<std::uint64_t> gone;  // removed here
    std::vector<std::uint64_t> held;  // these have a pidfd now
  };
  Changes tick();

 private:
  struct Attached {
    NetnsId id;
    std::string path;  // empty: not (any more) held by a path
    Fd pidfd;
    int empty_walks = 0;
  };
  void insert(std::uint64_t token, Attached attached);
  static bool watched(const Attached& a) { return !a.pidfd; }  // has to be looked at by ticks

  std::map<std::uint64_t, Attached> attached_;
  std::set<NetnsId> ids_;
  std::size_t watched_ = 0;
};

}  // namespace postern

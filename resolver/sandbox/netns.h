// Network namespaces: naming one, opening one, listening inside one, and noticing that one is empty.
//
// Thread: the caller's; `listen_in` moves the calling thread into another namespace and back.
#pragma once

#include <sys/types.h>
#include <compare>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "resolver/sandbox/broker.h"
#include "rules/result.h"

namespace postern {

// What identifies a network namespace as long as it exists; the kernel may give the numbers to another one
// afterwards.
struct NetnsId {
  std::uint64_t dev = 0, ino = 0;
  friend auto operator<=>(const NetnsId&, const NetnsId&) = default;
};

struct Netns {
  Fd fd;
  NetnsId id;
};

// The calling thread's own.
Result<Netns> current_netns();
// The host's as far as it can be told: the caller's and that of process 1 (left out where it may not be
// looked at).
std::vector<NetnsId> host_netns();

// The one of a process, and a pidfd that holds exactly this process (a pid alone may be another's by
// tomorrow).
struct ProcessNetns {
  Netns ns;
  Fd pidfd;
};
Result<ProcessNetns> netns_of_process(pid_t pid);

// The one that is mounted at a path ("/run/netns/NAME") or that "/proc/PID/ns/net" shows. Whatever else
// stands there is not opened (O_PATH), and one text stands for all of it: a resolver that has been taken over
// shall not use the broker to find out which files exist. `why` is for the log.
Result<Netns> netns_at_path(const std::string& path, std::string& why);
// What the path shows now; nothing if it is no namespace any more.
std::optional<NetnsId> netns_id_at_path(const std::string& path);

// Listeners inside `target`; the calling thread is back in `home` afterwards, or the process ends.
Result<Listeners> listen_in(const Netns& target, const Netns& home, std::uint16_t port);

// For each wanted namespace one process that lives in it, by one walk over /proc (some microseconds a
// process). In the order wanted; an empty Fd where there is none. Threads that have a namespace of their own
// are not looked at.
std::vector<Fd> processes_in(const std::vector<NetnsId>& wanted);

}  // namespace postern

// All processes of one sandbox: frozen, let go on, killed. And the control group that makes it exact.
//
// The sandbox is the pid namespace whose first process a pidfd names: `run` makes one for its command, and a
// container's runtime does for its container. Killing that process ends them all, by the kernel's own doing.
// To freeze, the control group (cgroup v2) that `run` made for it where it could; else SIGSTOP to each
// process of the namespace and of those below it, until a walk over /proc finds no further one: a stopped
// process cannot fork. A process that is nobody's first (attached by `--pid` from a shared namespace) is not
// touched: its neighbours may be anybody's.
//
// Thread: any. Nothing is kept between two calls: what there is to know is the kernel's.
#pragma once

#include <sys/types.h>
#include <cstdint>
#include <optional>
#include <string>

#include "resolver/sandbox/broker.h"
#include "rules/result.h"

namespace postern {

// `init`: pidfd of the first process of a pid namespace below ours. Errors: it is none, it has ended, or the
// kernel refuses.
Result<void> act_on_tree(int init, TreeAction action);

// A control group for a command, made below the caller's own; the process that is moved into it takes its
// children along. Removed when this goes and nobody is left in it.
class CommandGroup {
 public:
  // Nothing where there is no cgroup v2, or not for us: then signals do. Removes empty ones beside it that a
  // killed caller has left a minute ago or earlier.
  static std::optional<CommandGroup> make(pid_t process);
  CommandGroup(CommandGroup&& other) noexcept;
  CommandGroup& operator=(CommandGroup&& other) noexcept;
  ~CommandGroup();
  const std::string& path() const { return path_; }

 private:
  explicit CommandGroup(std::string path) : path_(std::move(path)) {}
  std::string path_;
};

}  // namespace postern

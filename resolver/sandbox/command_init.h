// Pid 1 of a sandbox: sets it up, starts the command in it, reaps, and ends as the command ends.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "resolver/sandbox/command_exec.h"
#include "resolver/sandbox/idmap.h"

namespace postern {

struct InitOrders {
  ExecOrders exec;
  std::vector<std::string> hide;
  std::uint16_t listen_port = 53;
};

// What Step::ready carries as text, beside three descriptors: UDP and TCP listener, the command's pidfd.
struct ReadyText {
  std::uint64_t netns_dev = 0, netns_ino = 0;
  bool ipv6 = false;
};  // followed by the program's path

// Runs in the cloned process; `socket` leads to the supervisor.
[[noreturn]] void run_init(const InitOrders& orders, const IdPlan& plan, int socket);

}  // namespace postern

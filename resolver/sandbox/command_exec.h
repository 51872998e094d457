// The last steps before the command: a process gives up its ids, its rights and its descriptors.
#pragma once

#include <string>
#include <vector>

#include "resolver/sandbox/idmap.h"
#include "rules/result.h"

namespace postern {

struct ExecOrders {
  std::vector<std::string> argv;
  std::vector<std::string> environment;  // cleaned already (command_environment)
  std::string folder;                    // the caller's working folder
  std::string
      program_of_caller;  // what the caller would have executed; for the explanation when the command cannot
  bool quiet = false;
};

// The caller's environment without what would lead lookups elsewhere or points at what the sandbox hides:
//   LOCALDOMAIN, RES_OPTIONS, HOSTALIASES   change what a stub resolver asks (resolv.conf(5), hostname(7))
//   XDG_RUNTIME_DIR, DBUS_SESSION_BUS_ADDRESS, DBUS_SYSTEM_BUS_ADDRESS   point below /run
//   SSH_AUTH_SOCK   the caller's keys are not the command's
// Under sudo, HOME, USER and LOGNAME are those of the user that the command runs as.
std::vector<std::string> command_environment(const char* const* environment, const IdPlan& plan);

// In init's child: does all that comes before exec, tells `socket` (Step::unshared, then ::prepared with the
// program's path, or ::error), waits for ::go and executes. Ends with 126 or 127 if that fails, having said
// why on stderr.
[[noreturn]] void become_command(const ExecOrders& orders, const IdPlan& plan, int socket);

}  // namespace postern

// The control loop: broker events and the control socket, on the resolver process's first thread.
//
// The control socket speaks HTTP/1.1 with JSON bodies. Who may connect is the socket file's mode (0660, group
// of the service).
//
//   GET    /v1/sandboxes          all attached ones, with their counters
//   POST   /v1/sandboxes          attach: {"name", "session", "user", "code_sha256", "labels", "policy",
//   "pid" | "netns",
//                                 "policy_yaml", "overlay": {"allow": [], "block": [], "default": ""}}
//   DELETE /v1/sandboxes/NAME     detach; its last counters come back
//   POST   /v1/sandboxes/NAME/thaw  lets a frozen one go on, and its session ask again
//   GET    /v1/status             journal, path, policy
//   POST   /v1/reload             as SIGHUP
//   GET    /v1/leak               the leak budgets of the sessions that are remembered
//   POST   /v1/grants             more for one of them: {"session", "user", "zone", "answers", "octets"}; on
//   record
//
// Errors: {"error": "..."} with 400 (what was asked cannot be), 404, 405, 409 or 413.
#pragma once

#include <chrono>

#include "resolver/resolver.h"

namespace postern {

struct ControlOptions {
  Fd events;                      // of the broker
  Fd listener;                    // control socket, listening; none in `run`
  Fd courier;                     // the courier's channel; none: no webhooks
  std::chrono::seconds drain{3};  // at the end: how long hooks may still take
};

// Runs until the broker says stop or is gone, and ends the resolver.
void control_loop(Resolver& resolver, ControlOptions options);

}  // namespace postern

// Launching the resolver process: fork, cell, resolver, control loop.
#pragma once

#include <sys/types.h>

#include <functional>
#include <string>
#include <vector>

#include "resolver/control/control.h"
#include "resolver/sandbox/broker.h"
#include "resolver/sandbox/cell.h"

namespace postern {

struct LaunchOptions {
  CellOptions cell;
  ResolverOptions resolver;
  Fd control_listener;                           // `serve`
  std::function<Result<void>(Resolver&)> first;  // `run`: attaches its one sandbox
  std::vector<int> keep;                         // descriptors that `first` needs in the child
  Fd courier;                                    // the resolver's end of its channel; none: no webhooks
  bool own_session = false;                      // `run`: Ctrl-C on the terminal is the command's
  std::chrono::seconds drain{3};                 // at the end: how long alert hooks may still take
};

struct Launched {
  pid_t pid = 0;
  Fd ready;  // readable when the resolver serves ("ok") or could not start (why); then at its end
};

// Gives the broker a courier for these webhooks, and the resolver its names and its end of the channel.
// Nothing without webhooks. Errors: no channel, or a secret or certificate cannot be read.
Result<void> add_courier(const std::vector<Webhook>& webhooks, LaunchOptions& launch, BrokerOptions& broker);

// Forks. The child keeps only what it needs, never returns, and ends with status 0 after a clean stop.
Result<Launched> launch_resolver(Broker& broker, LaunchOptions options);

// What came through `ready`: empty when the resolver serves, else why not.
std::string read_ready(const Fd& ready);

// Makes a folder and its parents (mode 0750 for the last). True if the last one was made now.
Result<bool> make_folder(const std::string& path);

}  // namespace postern

// The broker's poll loop: descriptors and what to call when they are ready.
//
// epoll, since a daemon holds a pidfd for each of some thousand sandboxes and poll would walk them all for
// every request. Thread: one. Handlers may add and remove any descriptor, their own too: an event of one that
// was removed, or whose number has since been given to another, is not delivered.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <unordered_map>

#include "resolver/sandbox/broker.h"

namespace postern {

class BrokerLoop {
 public:
  using Clock = std::chrono::steady_clock;
  using Handler = std::function<void()>;
  enum class Want { read, write };

  BrokerLoop();
  // False when the kernel cannot watch it (a plain file is always readable and cannot).
  bool add(int fd, Handler handler, Want want = Want::read);
  void remove(int fd);
  bool watches(int fd) const { return entries_.contains(fd); }
  // Waits for events until `until` (for ever without) and calls the handlers.
  void run_once(std::optional<Clock::time_point> until);

 private:
  struct Entry {
    std::uint32_t generation;
    std::shared_ptr<Handler> handler;
  };
  Fd epoll_;
  std::uint32_t generation_ = 0;
  std::unordered_map<int, Entry> entries_;
};

}  // namespace postern

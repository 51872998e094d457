// The broker's poll loop over epoll.
#include "resolver/sandbox/broker_loop.h"

#include <sys/epoll.h>

#include <algorithm>
#include <array>
#include <cerrno>

namespace postern {
namespace {

constexpr std::size_t events_at_once = 64;  // fetched by one system call; the others wait for the next
constexpr std::chrono::milliseconds longest_wait{60'000};  // epoll counts in an int of milliseconds

}  // namespace

BrokerLoop::BrokerLoop() : epoll_(epoll_create1(EPOLL_CLOEXEC)) {
  POSTERN_CHECK(epoll_);
}

bool BrokerLoop::add(int fd, Handler handler, Want want) {
  epoll_event event{};
  event.events = want == Want::read ? EPOLLIN : EPOLLOUT;  // hang-up and error are always told
  event.data.u64 = (static_cast<std::uint64_t>(++generation_) << 32) | static_cast<std::uint32_t>(fd);
  if (epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) != 0) return false;
  entries_[fd] = {generation_, std::make_shared<Handler>(std::move(handler))};
  return true;
}

void BrokerLoop::remove(int fd) {
  if (entries_.erase(fd) > 0) epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd, nullptr);
}

void BrokerLoop::run_once(std::optional<Clock::time_point> until) {
  int wait = -1;
  if (until) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(*until - Clock::now());
    wait = static_cast<int>(std::clamp(left, std::chrono::milliseconds(0), longest_wait).count());
  }
  std::array<epoll_event, events_at_once> events;
  const int ready = epoll_wait(epoll_.get(), events.data(), static_cast<int>(events.size()), wait);
  POSTERN_CHECK(ready >= 0 || errno == EINTR);
  for (int i = 0; i < ready; ++i) {
    const std::uint64_t data = events[static_cast<std::size_t>(i)].data.u64;
    const auto entry = entries_.find(static_cast<int>(static_cast<std::uint32_t>(data)));
    if (entry == entries_.end() || entry->second.generation != data >> 32) continue;
    const std::shared_ptr<Handler> handler = entry->second.handler;  // it may remove itself while it runs
    (*handler)();
  }
}

}  // namespace postern

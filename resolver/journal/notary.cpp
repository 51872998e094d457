// The notary's thread.
#include "resolver/journal/notary.h"

#include <utility>

namespace postern {

Notary::Notary(Sign sign, std::function<void()> came)
    : sign_(std::move(sign)), came_(std::move(came)), thread_([this] { run(); }) {}

Notary::~Notary() {
  stop();
}

void Notary::offer(const HeadToSign& head) {
  const std::lock_guard lock(mutex_);
  wanted_ = head;
  wake_.notify_one();
}

std::optional<Notary::Answer> Notary::take() {
  const std::lock_guard lock(mutex_);
  return std::exchange(answer_, std::nullopt);
}

bool Notary::has_answer() const {
  const std::lock_guard lock(mutex_);
  return answer_.has_value();
}

void Notary::stop() {
  if (!thread_.joinable()) return;
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    wake_.notify_one();
  }
  thread_.join();
}

Notary::Answer Notary::sign_now(const HeadToSign& head) {
  return {head, sign_(head)};
}

void Notary::run() {
  std::unique_lock lock(mutex_);
  auto not_before = std::chrono::steady_clock::time_point::min();
  for (;;) {
    wake_.wait(lock, [&] { return stopping_ || wanted_; });
    while (!stopping_ && std::chrono::steady_clock::now() < not_before) wake_.wait_until(lock, not_before);
    if (stopping_) return;
    const HeadToSign head = *std::exchange(wanted_, std::nullopt);
    not_before = std::chrono::steady_clock::now() + one_in;
    lock.unlock();
    auto reply = sign_(head);
    lock.lock();
    answer_ = Answer{head, std::move(reply)};
    lock.unlock();
    came_();
    lock.lock();
  }
}

}  // namespace postern

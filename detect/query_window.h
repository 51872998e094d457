// QueryWindow: how many queries the last hour has seen, to a minute. Pure; time is an argument.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>

namespace postern {

class QueryWindow {
 public:
  static constexpr std::chrono::minutes length{60};

  // Counts one more; how many there were in the last hour, with it. A step backwards in time counts as none.
  std::uint64_t add(std::chrono::microseconds now) noexcept {
    const std::int64_t minute = now / std::chrono::minutes(1);
    if (minute >= minute_ + slots) {
      counts_ = {};
      sum_ = 0;
      minute_ = minute;
    }
    while (minute_ < minute) {
      ++minute_;
      sum_ -= counts_[slot()];
      counts_[slot()] = 0;
    }
    ++counts_[slot()];
    return ++sum_;
  }

 private:
  static constexpr std::int64_t slots = length.count();
  std::size_t slot() const noexcept { return static_cast<std::size_t>(minute_ % slots); }
  std::array<std::uint32_t, slots> counts_{};
  std::uint64_t sum_ = 0;
  std::int64_t minute_ = 0;
};

}  // namespace postern

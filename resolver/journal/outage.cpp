// An outage of the journal: telling, counting, recording.
#include "resolver/journal/outage.h"

#include <spdlog/spdlog.h>

#include "resolver/journal/journal_file.h"

namespace postern {
namespace {

constexpr std::string_view insert_gap =
    "INSERT INTO gap (from_us, until_us, refused, answered, why) VALUES (?1, ?2, ?3, ?4, ?5)";
constexpr std::size_t max_why = 512;  // octets of the reason that is recorded

}  // namespace

int write_gap(Connection& connection, const Gap& gap) {
  auto insert = connection.prepare(insert_gap);
  if (!insert) return sqlite3_errcode(connection.raw());
  insert->bind(1, gap.from_us);
  insert->bind(2, gap.until_us);
  insert->bind(3, static_cast<std::int64_t>(gap.refused));
  insert->bind(4, static_cast<std::int64_t>(gap.answered));
  insert->bind(5, std::string_view(gap.why));
  return insert->run();
}

void Outage::failed(std::string_view why) {
  const std::lock_guard lock(mutex_);
  const auto now = std::chrono::steady_clock::now();
  const bool begins = since_us_ == 0;
  if (begins) {
    since_us_ = clock_us(CLOCK_REALTIME);
    ++outages_;
    failures_ = 0;
  }
  ++failures_;
  // A disk that is almost full takes a small batch and refuses the next: that is one story.
  const bool lately = told_at_ != std::chrono::steady_clock::time_point() && now - told_at_ < retold_after;
  if (begins) begin_told_ = !lately;
  if (lately || (!begins && told_ == why)) return;
  told_ = why;
  told_at_ = now;
  spdlog::error("{} the journal cannot be written: {}", begins ? "from now on" : "still", why);
}

void Outage::note(std::string_view why) {
  const std::lock_guard lock(mutex_);
  if (gap_.why.empty()) gap_.why = why.substr(0, max_why);
}

void Outage::over() {
  const std::lock_guard lock(mutex_);
  if (since_us_ == 0) return;
  const double seconds = static_cast<double>(clock_us(CLOCK_REALTIME) - since_us_) / 1e6;
  since_us_ = 0;
  if (!begin_told_) return;
  spdlog::warn("the journal \"{}\" can be written again after {:.1f} s and {} failed tries", path_, seconds,
               failures_);
}

void Outage::gather(std::size_t rows, std::size_t queries) {
  const std::lock_guard lock(mutex_);
  gap_.until_us = clock_us(CLOCK_REALTIME);
  if (!has_gap_) gap_.from_us = since_us_ != 0 ? since_us_.load() : gap_.until_us;
  gap_.refused += rows;
  gap_.answered += queries;
  has_gap_.store(true, std::memory_order_release);
}

Gap Outage::gap() const {
  const std::lock_guard lock(mutex_);
  Gap gap = gap_;
  if (gap.why.empty()) gap.why = "stalled, or too much was waiting";
  return gap;
}

// What came while it was written stays for the next one.
void Outage::recorded(const Gap& gap) {
  const std::lock_guard lock(mutex_);
  gap_.refused -= gap.refused;
  gap_.answered -= gap.answered;
  gap_.from_us = gap.until_us;
  if (gap_.refused == 0 && gap_.answered == 0) {
    gap_ = {};
    has_gap_.store(false, std::memory_order_release);
  }
}

}  // namespace postern

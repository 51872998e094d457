// An outage of the journal: telling, counting, recording.
#include "resolver/journal/outage.h"

#include <fcntl.h>
#include <spdlog/spdlog.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cinttypes>
#include <cstdio>
#include <utility>

#include "resolver/journal/journal_file.h"

namespace postern {
namespace {

constexpr std::string_view insert_gap =
    "INSERT INTO gap (from_us, until_us, refused, answered, why) VALUES (?1, ?2, ?3, ?4, ?5)";
constexpr std::size_t max_why = 512;  // octets of the reason that is recorded

constexpr std::string_view find_gap =
    "SELECT 1 FROM gap WHERE from_us = ?1 AND until_us = ?2 AND refused = ?3 AND answered = ?4 AND why = ?5";

void bind(Statement& statement, const Gap& gap) {
  statement.bind(1, gap.from_us);
  statement.bind(2, gap.until_us);
  statement.bind(3, static_cast<std::int64_t>(gap.refused));
  statement.bind(4, static_cast<std::int64_t>(gap.answered));
  statement.bind(5, std::string_view(gap.why));
}

Gap whole(Gap gap) {
  if (gap.why.empty()) gap.why = "stalled, or too much was waiting";
  return gap;
}

}  // namespace

std::optional<Gap> GapNote::open() {
  close();
  fd_ = ::open(path_.c_str(), O_RDWR | O_CLOEXEC | O_NOFOLLOW);
  if (fd_ < 0) return std::nullopt;
  char text[octets] = {};
  const ssize_t size = ::pread(fd_, text, sizeof text - 1, 0);
  if (size < static_cast<ssize_t>(sizeof text) - 1) {
    char rest[octets] = {};  // written, not fallocated: not every file system can
    const std::size_t at = static_cast<std::size_t>(std::max<ssize_t>(size, 0));
    if (::pwrite(fd_, rest, octets - at, static_cast<off_t>(at)) < 0) close();
  }
  if (size <= 0 || text[0] == '\0') return std::nullopt;
  Gap gap;
  int why = 0;
  const int read = std::sscanf(text, "gap %" SCNd64 " %" SCNd64 " %" SCNu64 " %" SCNu64 " %n", &gap.from_us,
                               &gap.until_us, &gap.refused, &gap.answered, &why);
  const std::string_view line(text);
  if (read != 4 || why == 0 || !line.ends_with('\n')) {
    spdlog::error("what \"{}\" says of an outage before cannot be read, and is not on record", path_);
    return std::nullopt;
  }
  gap.why = line.substr(static_cast<std::size_t>(why), line.size() - static_cast<std::size_t>(why) - 1);
  return gap;
}

void GapNote::put(const Gap& gap) {
  if (!in_place()) open();
  if (fd_ < 0) return;
  char text[octets] = {};
  if (gap.refused != 0 || gap.answered != 0) {
    std::string why = gap.why.substr(0, max_why);
    std::replace(why.begin(), why.end(), '\n', ' ');
    std::snprintf(text, sizeof text, "gap %" PRId64 " %" PRId64 " %" PRIu64 " %" PRIu64 " %s\n", gap.from_us,
                  gap.until_us, gap.refused, gap.answered, why.c_str());
  }
  if (::pwrite(fd_, text, sizeof text, 0) < 0) close();
}

bool GapNote::in_place() const {
  struct stat held {
  }, there{};
  return fd_ >= 0 && ::fstat(fd_, &held) == 0 && ::stat(path_.c_str(), &there) == 0 &&
         held.st_dev == there.st_dev && held.st_ino == there.st_ino;
}

void GapNote::close() {
  if (fd_ >= 0) ::close(std::exchange(fd_, -1));
}

bool has_gap(Connection& connection, const Gap& gap) {
  auto find = connection.prepare(find_gap);
  if (!find) return false;
  bind(*find, gap);
  return find->step() == SQLITE_ROW;
}

int write_gap(Connection& connection, const Gap& gap) {
  auto insert = connection.prepare(insert_gap);
  if (!insert) return sqlite3_errcode(connection.raw());
  bind(*insert, gap);
  return insert->run();
}

void Outage::resume(Connection& connection) {
  const std::lock_guard lock(mutex_);
  auto left = note_.open();
  if (!left) return;
  if (::postern::has_gap(connection, *left)) return note_.put({});  // killed just after it was recorded
  spdlog::warn(
      "before Postern ended, {} rows could not be written and {} queries were answered without one: {}",
      left->refused, left->answered, left->why);
  gap_ = std::move(*left);
  has_gap_.store(true, std::memory_order_release);
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
  note_is_old_.store(true, std::memory_order_release);
}

Gap Outage::gap() const {
  const std::lock_guard lock(mutex_);
  return whole(gap_);
}

// What came while it was written stays for the next one.
void Outage::recorded(const Gap& gap) {
  {
    const std::lock_guard lock(mutex_);
    gap_.refused -= gap.refused;
    gap_.answered -= gap.answered;
    gap_.from_us = gap.until_us;
    if (gap_.refused == 0 && gap_.answered == 0) {
      gap_ = {};
      has_gap_.store(false, std::memory_order_release);
    }
    note_is_old_.store(true, std::memory_order_release);
  }
  keep_note();
}

void Outage::keep_note() {
  if (!note_is_old_.exchange(false, std::memory_order_acq_rel)) return;
  note_.put(gap());
}

}  // namespace postern

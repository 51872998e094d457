// A journal that is followed: what is at its path, what is left of the old file, and when the new one begins.
#include "resolver/journal/log_follow.h"

#include <sys/stat.h>

#include <algorithm>

namespace postern {
namespace {

constexpr off_t least_database_octets = 512;  // the smallest page that SQLite knows

}  // namespace

Result<LogFollower> LogFollower::open(const std::string& path, const LogFilter& filter) {
  LogFollower self(path, filter);
  if (auto begun = self.begin(); !begun) return tl::unexpected(begun.error());
  return self;
}

std::optional<LogFollower::Place> LogFollower::look() const {
  struct stat now {};
  if (::stat(path_.c_str(), &now) != 0) return std::nullopt;
  return Place{now.st_dev, now.st_ino, now.st_size};
}

// The file at the path; whichever it is by the time that it is open.
Result<void> LogFollower::begin() {
  const auto before = look();
  auto reader = LogReader::open(path_, filter_, true);
  if (!reader) return tl::unexpected(reader.error());
  const auto after = look();
  if (!before || !after || !before->is(*after))
    return failure("cannot open journal \"" + path_ + "\": it was replaced meanwhile");
  reader_ = std::move(*reader);
  place_ = *after;
  filled_ = after->octets >= least_database_octets;
  return {};
}

LogFollower::News LogFollower::next(std::int64_t now_us) {
  if (!reader_) return look_for_another(now_us);
  const auto found = look();
  if (!found) return read_to_end("was deleted or moved away");
  if (!found->is(place_)) return read_to_end("was replaced by another file");
  if (filled_ && found->octets < least_database_octets) return leave("was cut to nothing in its place");
  filled_ = filled_ || found->octets >= least_database_octets;
  return read(now_us);
}

LogFollower::News LogFollower::read(std::int64_t now_us) {
  if (const auto another = reader_->is_another(); another && *another)
    return leave("is another one now, in the same file");
  auto page = reader_->next(now_us);
  if (!page) return {{{}, {}, true}, told_once(page.error().message)};
  seen_us_ = now_us;
  told_.clear();
  return {std::move(*page), ""};
}

// What the old file still has, settled or not: nothing is added to it that anybody was answered for.
LogFollower::News LogFollower::read_to_end(const std::string& why) {
  auto page = reader_->next(INT64_MAX);
  if (page && !page->end) return {std::move(*page), ""};
  News news = leave(page ? why : why + ", and what is left of it is not told: " + page.error().message);
  if (page) news.page = std::move(*page);
  news.page.end = false;  // the new one may be there
  return news;
}

LogFollower::News LogFollower::leave(const std::string& why) {
  reader_.reset();
  filled_ = false;
  error_since_us_ = 0;
  told_.clear();
  return {{{}, {}, true}, "journal \"" + path_ + "\" " + why + "; waiting for the next one"};
}

LogFollower::News LogFollower::look_for_another(std::int64_t now_us) {
  News news{{{}, {}, true}, ""};
  if (!look()) return news;
  filter_.past = LogFilter::Past::by_time;  // of this file, what was asked while none was there
  if (seen_us_) {
    const std::int64_t from_us = *seen_us_ - LogReader::settle_us;
    const bool set_back = *seen_us_ < filter_.since_us;  // the clock, after what is wanted was said
    filter_.since_us = set_back ? from_us : std::max(filter_.since_us, from_us);
  }
  if (auto begun = begin(); begun) {
    news.note = "following the journal that is at \"" + path_ + "\" now";
    news.page.end = false;
    told_.clear();
    return news;
  } else if (error_since_us_ == 0 || error_since_us_ > now_us) {
    error_since_us_ = now_us;
  } else if (now_us - error_since_us_ >= told_after_us) {
    news.note = told_once(begun.error().message);
  }
  return news;
}

std::string LogFollower::told_once(const std::string& text) {
  if (text == told_) return "";
  told_ = text;
  return text + "; tried again";
}

}  // namespace postern

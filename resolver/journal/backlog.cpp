// What is not listed yet: waiting for it, leaving it out, saying so.
#include "resolver/journal/backlog.h"

#include <chrono>
#include <thread>

#include "resolver/journal/journal_file.h"
#include "resolver/journal/shadow_views.h"
#include "resolver/journal/unlisted_rows.h"

namespace postern {
namespace {

// Longer than a busy writer's rows wait for the catalogue (lister.h).
constexpr std::chrono::milliseconds listing_patience{5000}, between_looks{10};

using Clock = std::chrono::steady_clock;

Lack::Why why_of(Writer writer) {
  switch (writer) {
    case Writer::here:
      return Lack::Why::still_listing;
    case Writer::none:
      return Lack::Why::nobody_lists;
    default:
      return Lack::Why::not_known;
  }
}

}  // namespace

Backlog::Backlog(Connection& connection, std::span<const std::string> paths)
    : connection_(connection), paths_(paths) {
  for (const std::string& path : paths) files_.push_back({.writer = writer_of(path)});
}

bool Backlog::may_wait() const {
  for (const File& file : files_)
    if (!waited_ && file.writer != Writer::none) return true;
  return false;
}

void Backlog::wait() {
  waited_ = true;
  const auto until = Clock::now() + listing_patience;
  for (std::size_t i = 0; i < files_.size(); ++i) {
    if (files_[i].writer == Writer::none) continue;
    const std::string schema = schema_of_file(i);
    const auto last = connection_.integer("SELECT coalesce(max(id), 0) FROM " + schema + ".asked");
    auto left = connection_.prepare("SELECT EXISTS (SELECT 1 FROM " + schema + ".unlisted WHERE id <= ?1)");
    if (!last || !left) continue;
    left->bind(1, *last);
    for (;;) {
      files_[i].all_listed = left->step() == SQLITE_ROW && left->integer(0) == 0;
      left->reset();
      if (files_[i].all_listed || Clock::now() >= until) break;
      std::this_thread::sleep_for(between_looks);
    }
  }
}

Result<void> Backlog::look() {
  const std::int64_t now_us = clock_us(CLOCK_REALTIME);
  for (std::size_t i = 0; i < files_.size(); ++i) {
    File& file = files_[i];
    file.left_out = file.older = false;
    if (file.all_listed || file.writer != Writer::here) continue;
    const std::string schema = schema_of_file(i);
    const auto older = lacks_older(connection_, schema, now_us - recent_us);
    if (!older) return tl::unexpected(older.error());
    file.older = *older;
    if (waited_) continue;  // in vain: then all is added
    const auto busy = is_busy(connection_, schema, now_us);
    if (!busy) return tl::unexpected(busy.error());
    if (!*busy) continue;
    const auto newest = lacks_newest(connection_, schema);
    if (!newest) return tl::unexpected(newest.error());
    file.left_out = *newest;
  }
  return {};
}

std::vector<std::size_t> Backlog::files_to_add() const {
  std::vector<std::size_t> files;
  for (std::size_t i = 0; i < files_.size(); ++i)
    if (!files_[i].all_listed && !files_[i].left_out) files.push_back(i);
  return files;
}

Result<std::vector<Lack>> Backlog::lacks(const CatalogueReads& reads) {
  std::vector<Lack> lacks;
  for (std::size_t i = 0; i < files_.size(); ++i) {
    const File& file = files_[i];
    if (file.all_listed) continue;
    if (file.left_out) {
      lacks.push_back({paths_[i], file.older ? Lack::Why::still_listing : Lack::Why::many_are_asking, -1,
                       !reads.queries});
      continue;
    }
    // The last moment of a writer's that is not busy is nothing to speak of.
    if (!reads.sums || (file.writer == Writer::here && !file.older && !waited_)) continue;
    const auto rows = unlisted_rows(connection_, schema_of_file(i));
    if (!rows) return tl::unexpected(rows.error());
    if (*rows && (*rows)->ids.empty()) continue;
    lacks.push_back(
        {paths_[i], why_of(file.writer), *rows ? static_cast<std::int64_t>((*rows)->ids.size()) : -1, true});
  }
  return lacks;
}

}  // namespace postern

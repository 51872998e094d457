// Ids that are unique over several files: a table that SQLite can look through from both sides.
//
// With several journals read as one, file number n (the first is 0) has its ids moved up by n * 2^48. Were
// the view to say `id + n * 2^48`, no index would find `id = 7` any more. So it joins this table instead,
// which has a row for every integer: by `raw` it tells `id`, by `id` it tells `raw`, and SQLite picks the
// side it comes from. It is an eponymous-only virtual one (https://www.sqlite.org/vtab.html): it exists on
// one connection alone and leaves nothing in the file.
#pragma once

#include <cstdint>

#include "resolver/journal/sqlite.h"

namespace postern {

// A file would need nine years at a million queries a second to draw as many; and ten files' ids are below
// 2^53, so that tools that hold numbers as doubles keep them exact.
inline constexpr int file_shift = 48;
constexpr std::int64_t shift_of_file(std::size_t file) {
  return static_cast<std::int64_t>(file) << file_shift;
}

// From now on the table `shifted_N (raw, id)` is there, for file number N.
Result<void> offer_shifted_ids(Connection& connection, std::size_t file);

}  // namespace postern

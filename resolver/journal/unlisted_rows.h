// Which rows of `asked` are not in the catalogue yet: the last moment of a busy writer's, or what a killed
// one left.
//
// The view `unlisted` tells the same, with two searches for each row above meta.listed_upto: some 130,000
// rows behind a busy writer. Here the two tables are walked side by side.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "resolver/journal/sqlite.h"

namespace postern {

struct UnlistedRows {
  std::vector<std::int64_t> ids;  // in order
  std::int64_t first_us = 0;      // when the earliest of them was asked; 0: there is none
};

// Rows above the mark that are looked at: 24 octets each while they are. More are there only while a large
// file of an older version is being listed.
inline constexpr std::size_t max_looked_at_unlisted = std::size_t{1} << 20;

// More queries than these within so long a time are a busy writer's, if one lives: it lists them in a moment,
// and to look at each that it has not would cost a question more than its answer.
inline constexpr std::int64_t few_queries = 2000;
inline constexpr std::int64_t recent_us = 10'000'000;

// Were there, of the attached file `schema`, in the time before `now_us` (Unix time)?
Result<bool> is_busy(Connection& connection, const std::string& schema, std::int64_t now_us);

// Is one of the newest rows not listed? At once where it is so; where all are listed, some 131,072 (the mark
// is no further behind, lister.h) are looked at.
Result<bool> lacks_newest(Connection& connection, const std::string& schema);

// Is one of the `few_queries` first rows above the mark not listed, though it was asked before `before_us`?
// The mark follows what is caught up with: what a kill left, or an older version's rows.
Result<bool> lacks_older(Connection& connection, const std::string& schema, std::int64_t before_us);

// Of the attached file `schema` ("main", "j1"), in the transaction under way. Nothing: there are more than
// `max_looked_at_unlisted` rows to look at. A file of a version without a catalogue has none unlisted.
Result<std::optional<UnlistedRows>> unlisted_rows(Connection& connection, const std::string& schema);

}  // namespace postern

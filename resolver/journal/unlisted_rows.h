// Which rows of `asked` are not in the catalogue yet: the last moment of a busy writer's, or what a killed
// one left.
//
// The view `unlisted` tells the same, with two searches for each row above meta.listed_upto: some 130,000
// rows behind a busy writer. Here the two tables are walked side by side, which takes a quarter of the time.
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

// Of the attached file `schema` ("main", "j1"), in the transaction under way. Nothing: there are more than
// `max_looked_at_unlisted` rows to look at. A file of a version without a catalogue has none unlisted.
Result<std::optional<UnlistedRows>> unlisted_rows(Connection& connection, const std::string& schema);

}  // namespace postern

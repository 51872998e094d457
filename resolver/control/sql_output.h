// What `postern sql` prints for programs: a table as JSON, or as CSV.
#pragma once

#include <string>

#include "resolver/journal/reader.h"

namespace postern {

// An array with an object for each row. Numbers are numbers, NULL is null, all else text; an infinity, which
// JSON does not have, is null, too. Octets that are no UTF-8 become U+FFFD.
std::string sql_json(const Table& table);

// A heading, then a line for each row (RFC 4180); NULL is empty.
std::string sql_csv(const Table& table);

// What is said beside it: which file's queries are missing from it, why, and what to do.
std::string lack_note(const Lack& lack);

}  // namespace postern

// Tables and views as they should be: a view that was changed tells lies about records that were not.
#pragma once

#include <functional>
#include <string>

#include "resolver/journal/sqlite.h"

namespace postern {

// Holds the schema and the words for numbers (action, reason, rr_type, rcode) against what the migrations
// make; `found` is told each difference: what ("view queries"), and why. Further tables, views and indexes
// pass: an operator may have made them. A trigger does not: it would change what is written.
Result<void> differing_tables(
    Connection& connection,
    const std::function<void(const std::string& what, const std::string& why)>& found);

}  // namespace postern

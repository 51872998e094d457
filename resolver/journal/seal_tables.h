// Tables and views as they should be: a view that was changed tells lies about records that were not.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "resolver/journal/sqlite.h"

namespace postern {

struct TablesFound {
  std::function<void(const std::string& what, const std::string& why)> difference;  // what: "view queries"
  // A word that this build does not know and a newer one may have written: "reason 16, \"weather\"".
  std::function<void(const std::string& word)> newer;
};

// Holds the schema and the words for numbers (action, reason, rr_type, rcode) against what the migrations
// make. Further tables, views and indexes pass: an operator may have made them. A trigger does not: it would
// change what is written. Nor does a row of the schema that SQLite would not write: it may hide one.
Result<void> differing_tables(Connection& connection, const TablesFound& found);

// The tables that the migrations make, in order of their names.
Result<std::vector<std::string>> own_tables();

}  // namespace postern

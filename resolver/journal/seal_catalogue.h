// What the views find queries by, held against the record: names, domains, the catalogue, totals, indexes.
//
// None of it is sealed itself: it is made from sealed records, so it can be made again and compared. What
// cannot be known any more (the query that showed a domain first is gone, the sums of queries that are gone)
// is let pass; docs/decisions/0008-seal.md lists it.
//
// Cost: some 2 us of the processor a row of `asked` and 3 us a name, and about as much again for the indexes,
// on a connection that only reads. Thread: the caller's.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "resolver/journal/sqlite.h"

namespace postern {

// What verify knows of the sealed record when it comes here.
struct CatalogueFacts {
  // When its writer ended cleanly, all rows up to this one were in the catalogue.
  std::int64_t listed_upto = 0;
  std::int64_t unsealed_before = 0;  // rows up to this one are older than the seals
  // Of a row of `asked` that is not there: may retention have removed it?
  std::function<bool(std::int64_t id)> may_be_gone;
};

struct CatalogueFound {
  // `what`: "asked 7", "name 3", "domain 2", "table name", "the total of domain 2"; `table`: where it is.
  std::function<void(const std::string& what, const std::string& table, std::int64_t id,
                     const std::string& why)>
      difference;
  std::function<void(std::int64_t id)> unlisted;  // a row that may honestly not be in the catalogue yet
};

// Each row of `asked` is listed, under its own name, and nothing else is; each name is spelled backwards as
// it is forwards, and counted for the domain that its first query says; a domain is first asked by the first
// query of it; what is there in the place of a sandbox says nothing; totals are the sums of `tally`.
Result<void> differing_catalogue(Connection& connection, const CatalogueFacts& facts,
                                 const CatalogueFound& found);

// SQLite's integrity check of each table that the migrations make: are rows in order, and does each index say
// what its table says, no less and no more? One difference per table is told. `doing` is told each table
// before.
Result<void> differing_indexes(Connection& connection, const CatalogueFound& found,
                               const std::function<void(const std::string& table)>& doing);

}  // namespace postern

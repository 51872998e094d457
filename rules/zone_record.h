// ZoneRecord: one record of a local zone, read from presentation form.
//
//   OWNER [TTL] [IN] TYPE DATA          RFC 1035 section 5.1: "@" is the zone, a name without a final dot is
//                                       below it, `\DDD` and `\X` are escapes, "..." is one string, ; a
//                                       comment
//
// Types: A, AAAA, CNAME, MX, NS, PTR, SRV, TXT, CAA, SVCB, HTTPS.
#pragma once

#include <string_view>

#include "rules/vocabulary.h"

namespace postern {

// Errors quote what is wrong: an owner outside `zone`, a type or data that cannot be read, data left over.
Result<Record> parse_zone_record(std::string_view line, const Name& zone);

}  // namespace postern

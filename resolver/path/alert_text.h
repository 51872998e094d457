// Alerts and answers as text: what the journal's evidence, the hook's JSON and the data column say.
#pragma once

#include <string>

#include "resolver/path/pipeline.h"

namespace postern {

// The row and the hook's object for a finding about `x`. Evidence is one JSON object; times are Unix
// microseconds and ISO 8601.
Alert make_alert(const Exchange& x, std::string kind, const Finding& finding, const Done& done,
                 std::int64_t unix_us);

// The same for what the meter found. `kind`: "leak" (a budget is spent) or "leak_budget" (it soon is).
Alert make_leak_alert(const Exchange& x, std::string_view kind, const LeakFinding& finding, const Done& done,
                      std::int64_t unix_us);

// The same for a name that holds a secret: nothing in it tells the value. `refused`: queries of the session
// so far.
Alert make_secret_alert(const Exchange& x, const SecretFinding& finding, std::uint64_t refused,
                        const Done& done, std::int64_t unix_us);

// The same for a session that asks too much: `queries` of the last hour, `cap` of them may be.
Alert make_cap_alert(const Exchange& x, std::uint64_t queries, std::uint64_t cap, const Done& done,
                     std::int64_t unix_us);

// Addresses, targets, exchanges and address hints (RFC 9460 section 7.3) of an answer in presentation form,
// space separated, at most `max_outcome_data` octets.
std::string answer_data(const Answer& answer);

}  // namespace postern

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

// Addresses, targets and exchanges of an answer in presentation form, space separated, at most
// `max_answer_data` octets; what is cut ends with " ...". An answer has at most 65,535 octets: all addresses
// of any fit, 4,095 of IPv4 (16 octets each here) or 2,340 of IPv6 (40).
inline constexpr std::size_t max_answer_data = 96 << 10;
std::string answer_data(const Answer& answer);

// The same for a question that joined another under way, cut likewise: that one has the whole on record, and
// a sandbox that asks 500 times at once for a large answer, which costs it one, does not fill the journal.
inline constexpr std::size_t max_joined_data = 512;
std::string joined_data(const std::string& data);

}  // namespace postern

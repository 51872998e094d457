// Alerts and answers as text: what the journal's evidence, the hook's JSON and the data column say.
#pragma once

#include <string>

#include "resolver/path/pipeline.h"

namespace postern {

// The row and the hook's object for a finding about `x`. Evidence is one JSON object; times are Unix
// microseconds and ISO 8601.
Alert make_alert(const Exchange& x, std::string kind, const Finding& finding, std::string action,
                 std::int64_t unix_us);

// The same for what the meter found. `kind`: "leak" (a budget is spent) or "leak_budget" (it soon is).
Alert make_leak_alert(const Exchange& x, std::string_view kind, const LeakFinding& finding,
                      const std::string& action, std::int64_t unix_us);

// Addresses, targets and exchanges of an answer in presentation form, space separated, at most 512 octets.
std::string answer_data(const Answer& answer);

}  // namespace postern

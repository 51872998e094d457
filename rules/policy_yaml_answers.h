// What a policy file says of answers: reads `answers` into a PolicySpec. Internal to rules/.
#pragma once

#include "rules/yaml_complaint.h"

namespace postern {

struct PolicySpec;

// A map of `allow`, ranges with or without names, and `nat64`, prefixes.
Result<void> read_answers(const YamlComplaint& file, const YamlNode& value, PolicySpec& spec);
// Whether the limits still hold with what `include` has taken in; the error is about `included`.
Result<void> check_answers(const YamlComplaint& file, const YamlNode& included, const PolicySpec& spec);

}  // namespace postern

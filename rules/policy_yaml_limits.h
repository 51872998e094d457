// What a policy of a file may hold, where `include` can bring it over the limit. Internal to rules/.
#pragma once

#include <cstddef>

#include "rules/yaml_complaint.h"

namespace postern {

struct PolicySpec;

inline constexpr std::size_t max_rules =
    100'000;  // per policy: each costs about 400 octets; more than that is a list
inline constexpr std::size_t max_expressions =
    200;                                      // per policy: each may take megabytes, and be asked for a name
inline constexpr std::size_t max_lists = 32;  // per policy: each is asked for each name

// Whether the limits hold for all together: what was taken in keeps each by itself. The error is about
// `included`.
Result<void> check_included(const YamlComplaint& file, const YamlNode& included, const PolicySpec& spec);

}  // namespace postern

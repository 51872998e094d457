// The zones of a policy file: reads `zones` and `forward` into a PolicySpec. Internal to rules/.
#pragma once

#include "rules/yaml_complaint.h"

namespace postern {

struct PolicySpec;

// A map of names to lists of records (zone_record.h). A zone of the same name that was inherited gives way.
Result<void> read_zones(const YamlComplaint& file, const YamlNode& value, PolicySpec& spec);
// A map of names to groups of upstreams; which groups there are is for the daemon's configuration to say.
Result<void> read_forwards(const YamlComplaint& file, const YamlNode& value, PolicySpec& spec);
// What only shows when all of the policy's zones, hosts and forwards are known.
Result<void> check_zones(const YamlComplaint& file, const YamlNode& policy, const PolicySpec& spec);

}  // namespace postern

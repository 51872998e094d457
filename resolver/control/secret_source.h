// Where the values of secrets come from: the caller's environment and files, never a command line.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "detect/secret.h"

namespace postern {

// One value for each variable, labelled with its name, and for each file, labelled with its base name (what a
// label may not hold becomes '_'), without the line ends behind the text. Errors quote the variable or file,
// never the value: not set, not readable, and all that SecretSet refuses for its size.
Result<std::vector<SecretValue>> read_secrets(const std::vector<std::string>& variables,
                                              const std::vector<std::string>& files);

// The member "secrets" of a request to attach: hex, since a value need not be text.
nlohmann::ordered_json secrets_json(const std::vector<SecretValue>& secrets);

}  // namespace postern

// What makes a posted alert believable: HMAC-SHA256 over its id, its time and its body, as Standard Webhooks
// has it.
//
// https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md: the fields
// webhook-id, webhook-timestamp (Unix seconds, of this attempt) and webhook-signature, which is "v1," and the
// base64 of HMAC-SHA256(key, id + "." + timestamp + "." + body). Libraries that verify it exist for many
// languages; docs/OPERATING.md has the few lines of Python that do without.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "rules/result.h"

namespace postern {

// Octets that a key must have and may have: less can be guessed; Standard Webhooks asks for 24 to 64.
inline constexpr std::size_t min_key = 24, max_key = 1024;

// The key in a secret file's text: "whsec_" and base64, or else the text itself, without white space at its
// end. Errors say what is wrong and never quote it.
Result<std::string> key_of_secret(std::string_view text);

// The value of webhook-signature. `unix_s`: of webhook-timestamp.
std::string webhook_signature(std::string_view key, std::string_view id, std::int64_t unix_s,
                              std::string_view body);

}  // namespace postern

// An alert's JSON object without what is not to be told: for exports and for hooks.
//
// Pure: text from values.
#pragma once

#include <string>
#include <string_view>

#include "rules/redaction.h"

namespace postern {

// Evidence without names, and under `Redaction::all` without who asked. What is not a JSON object: "{}".
std::string redacted_evidence(std::string_view evidence, Redaction level);

// A hook's object: names go but for the zone ("*.example.com" stands for the one that was asked last), and
// under `Redaction::all` a mark under `key`, "user-9f86d081884c7d65", stands for each of sandbox, session and
// user: equal for equal texts under one key, and without the key nobody can try which text it is. What is not
// a JSON object: "{}".
std::string redacted_alert(std::string_view object, Redaction level, std::string_view key);

}  // namespace postern

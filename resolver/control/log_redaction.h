// What a redacted record still tells of names and of rules.
//
// Pure: text from values.
#pragma once

#include <string>
#include <string_view>

#include "rules/redaction.h"

namespace postern {

// What is public of a registered domain, as the journal has it: "example.com" is. Below a top-level domain in
// no list of suffixes nobody has registered anything and each label is the sandbox's own word: "", but for
// special-use ones ("local"). What is no name: "".
std::string public_domain(const std::string& registered_domain);

// "*.example.com": that there was more than the public domain, not what; "*." without one.
std::string below_hidden(const std::string& name, const std::string& domain);

// A rule's text with its place and verb, and with its pattern only if that says no more than `domain`, the
// public domain of the query; of an address class without the address. A policy's or list's file goes too
// under `Redaction::all`. A text in none of the forms that rules have: "(left out)".
std::string redacted_rule(std::string_view rule, const std::string& domain, Redaction level);

}  // namespace postern

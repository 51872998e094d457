// What `postern explain` and `postern policy` print: texts and JSON made from values; reads no file, prints
// nothing.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "rules/explain.h"

namespace postern {

// The reply that a client gets for a query, as the path would write it (Pipeline::compose).
struct ExpectedReply {
  bool from_upstream = false;  // then the rest is empty
  bool none = false;           // no reply: likewise
  int rcode = 0;
  std::vector<Record> answer;
  std::optional<Record> soa;  // authority of a negative answer; only its owner and TTL are told
  Ede ede = Ede::none;        // sent to clients that use EDNS
  std::string ede_text;
};
ExpectedReply expected_reply(const Policy& policy, const Explanation& explanation);

// One line, nothing that a terminal obeys: files and policies may hold anything.
std::string one_line_of(std::string text);

// Several lines; `source` is the policy's file, empty for the built-in policies.
std::string explain_text(const Policy& policy, const Explanation& explanation, const std::string& source);
std::string explain_json(const Policy& policy, const Explanation& explanation, const std::string& source);

// "p.yaml: ok, 2 policies", a line for each, and notes on rules that never decide.
std::string check_text(const PolicySet& policies, const std::string& file);

// Each expectation that fails, with its place and what spoke, and a last line with the counts.
std::string test_text(const TestReport& report, const std::string& file);

// The name as a person types it. Errors quote it: a pattern, a URL, a port, white space, no name.
Result<Name> parse_asked_name(const std::string& text);
// One name a line; `#` begins a comment. Errors: "FILE:LINE: ...", more than a million names.
Result<std::vector<Name>> parse_name_list(const std::string& text, const std::string& file);
// The line that an error "FILE:LINE:COLUMN: ..." is about, with a mark under the column; empty if it has no
// place.
std::string excerpt(const std::string& text, const std::string& file, const std::string& message);

}  // namespace postern

// `postern sql` without a statement: statements from standard input, one after the other.
#pragma once

#include <functional>
#include <string>
#include <vector>

namespace postern {

// Hands each statement to `run` (it prints what comes of it and returns an exit status). From a terminal
// there is a prompt, with lines that can be edited and called back (libedit), `.views`, `.quit` and no end at
// an error; from a file or a pipe the first that fails is the last, and its status is returned. Errors: more
// than Statements::max_octets without an end.
int sql_prompt(const std::vector<std::string>& dbs, const std::function<int(const std::string&)>& run);

}  // namespace postern

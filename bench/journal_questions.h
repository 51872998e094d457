// The cookbook's questions on a large generated journal, while it is written to.
#pragma once

#include <cstddef>
#include <string>

namespace postern::bench {

enum class Kept { no, yes };  // is the file left for whoever wants to look at it?
enum class Asking { nothing, the_cookbook };

// Writes `rows` queries to a new journal at `path` (what that costs is printed, and where the octets went),
// then times each statement of docs/COOKBOOK.md, if asked to. False: something failed; it was said.
bool ask_questions(const std::string& path, std::size_t rows, Kept kept = Kept::no,
                   Asking asking = Asking::the_cookbook);

}  // namespace postern::bench

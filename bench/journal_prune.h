// How long commits wait while retention works.
#pragma once

#include <cstddef>
#include <string>

namespace postern::bench {

// Fills a new journal at `path` with `rows` queries of two hours ago, then writes to it as a busy daemon
// does, without retention and then with an hour's. False: something failed; it was said.
bool measure_pruning(const std::string& path, std::size_t rows);

}  // namespace postern::bench

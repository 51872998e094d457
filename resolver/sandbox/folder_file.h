// A plain file below a folder: how lists are opened, by the broker and by whoever checks what it would say.
#pragma once

#include <string>

#include "resolver/sandbox/broker.h"

namespace postern {

// For reading, without waiting: a plain file at `path` below `root`, which neither `..` nor a symlink leads
// out of. Errors quote both: not there, leads out, no plain file, over wire::max_list octets.
Result<Fd> open_list_below(const std::string& root, const std::string& path);

}  // namespace postern

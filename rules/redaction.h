// How much of a record leaves the journal: in exports, and in what hooks are told.
#pragma once

#include <cstdint>
#include <string_view>

#include "rules/result.h"

namespace postern {

enum class Redaction : std::uint8_t {
  none,
  names,  // without what names say below the registered domain, and without what came down
  all,    // that, and who asked: marks stand for sandboxes, sessions and users; code hashes and labels go
};

// "none", "names", "all". Errors quote another one.
Result<Redaction> redaction_of(std::string_view text);

}  // namespace postern

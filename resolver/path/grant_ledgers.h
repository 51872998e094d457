// Which ledgers a grant to a zone is for. Pure; any thread.
#pragma once

#include "rules/name.h"
#include "rules/public_suffix.h"
#include "rules/result.h"

namespace postern {

struct GrantLedgers {
  Name zone, parent;  // often the same name: a zone's ledger and a parent's have accounts of their own
};

// The ledgers of `zone` and of its parent, as the list in force cuts what is asked below it. Errors: nothing
// that is asked below `zone` is charged to a ledger of that name, and which one it is charged to instead.
Result<GrantLedgers> ledgers_of_grant(const SuffixList& list, const Name& zone);

}  // namespace postern

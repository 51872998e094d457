// Names in Unicode: to A-labels (libidn2; its only owner).
#pragma once

#include <string>
#include <string_view>

#include "rules/result.h"

namespace postern {

// The name in A-labels ("xn--..."), by UTS 46, non-transitional, as browsers look names up. The text is
// UTF-8, with dots of any script; ASCII is folded to lower case. Errors quote the text: not UTF-8, code
// points that IDNA does not permit, over 1,024 octets.
Result<std::string> to_a_labels(std::string_view text);

}  // namespace postern

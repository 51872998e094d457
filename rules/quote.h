// Quoting: how an offending value stands in a one-line error message.
#pragma once

#include <string>
#include <string_view>

namespace postern {

// The value in double quotes on one line: control characters and octets outside ASCII as \xHH, quotes and
// backslashes escaped, cut after 100 octets.
std::string quoted(std::string_view value);

}  // namespace postern

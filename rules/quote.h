// Quoting: how an offending value stands in a one-line error message.
#pragma once

#include <string>
#include <string_view>

namespace postern {

// The value in double quotes on one line: control characters and octets outside ASCII as \xHH, quotes and
// backslashes escaped, cut after 100 octets.
std::string quoted(std::string_view value);
// Text with control characters and octets outside ASCII as \xHH, and nothing else changed: for a line that
// people read of a file that others may have written.
std::string printable(std::string_view text);
// Where <iomanip> is seen, a call with a string would otherwise find std::quoted, which fits better.
inline std::string quoted(const std::string& value) {
  return quoted(std::string_view(value));
}
inline std::string quoted(std::string& value) {
  return quoted(std::string_view(value));
}

}  // namespace postern

// Small files read and written whole: /proc entries, /etc tables.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "rules/result.h"

namespace postern {

// More than any table read here needs; a larger file is an error.
inline constexpr std::size_t max_small_file = 1 << 20;

Result<std::string> read_small_file(const std::string& path);
// One write(2), as id maps demand; the file must exist.
Result<void> write_small_file(const std::string& path, std::string_view text);
// Creates or replaces the file, with exactly this mode.
Result<void> create_file(const std::string& path, std::string_view text, unsigned mode);

// The first line without its newline; empty if it cannot be read. For sysctls.
std::string sysctl_value(const std::string& path);

}  // namespace postern

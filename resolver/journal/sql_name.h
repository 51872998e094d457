// A name as it stands in a statement.
#pragma once

#include <string>
#include <string_view>

namespace postern {

// Quoted, so that what a file calls its tables, views and columns is never taken for more than a name.
inline std::string sql_name(std::string_view name) {
  std::string out = "\"";
  for (const char c : name) out += c == '"' ? std::string("\"\"") : std::string(1, c);
  return out + "\"";
}

}  // namespace postern

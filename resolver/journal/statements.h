// SQL text as it comes, line by line, cut into statements.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace postern {

class Statements {
 public:
  static constexpr std::size_t max_octets = 65'536;  // of what is waiting; keep to it before adding more

  void add(std::string_view text) { waiting_ += text; }

  // The next statement that a semicolon ends (one within quotes or a comment ends none), without what stands
  // before it: white space, comments and semicolons. Nothing: none is complete.
  std::optional<std::string> next();

  // What is left, with no semicolon at its end; empty if that is white space and comments.
  std::string rest();

  std::size_t octets() const { return waiting_.size(); }

 private:
  std::string waiting_;
};

}  // namespace postern

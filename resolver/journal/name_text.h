// Names as the journal stores them: presentation text, written without allocating.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "rules/name.h"

namespace postern {

// The same text as Name::text() (a test holds them together), and where the registered domain begins in it.
// Memory: its own buffer, overwritten by the next `set`.
class NameText {
 public:
  // `registered_labels`: how many labels of the name make its registered domain; 0: none is known.
  void set(const Name& name, std::size_t registered_labels) noexcept;
  std::string_view text() const noexcept { return {buffer_.data(), size_}; }
  // Counted from 1, for SQL's substr(name, registered_at); one past the end when there is none. The text is
  // ASCII, so SQLite's characters are octets.
  std::int64_t registered_at() const noexcept { return registered_at_; }

 private:
  static constexpr std::size_t max_text = 4 * Name::max_octets;  // each octet as \DDD
  std::array<char, max_text> buffer_;
  std::size_t size_ = 0;
  std::int64_t registered_at_ = 1;
};

// Is the dot at `at` of such a text a border of labels? After an odd number of backslashes it belongs to one.
bool is_border(std::string_view text, std::size_t at) noexcept;
// Of two such texts: is the name the domain or below it?
bool at_or_below(std::string_view name, std::string_view domain) noexcept;

// The labels of such a text from the right, each with a dot after it: "www.example.com" is "com.example.www."
// A range of these is a name and all that is below it. Of the root: nothing.
std::string reversed_labels(std::string_view text);

}  // namespace postern

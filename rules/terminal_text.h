// What a terminal may print: texts that untrusted code or a caller chose, made harmless and put into columns.
//
// Control characters command a terminal: C0, DEL and C1, the latter in UTF-8 or, to terminals that take them
// so, as bare octets. Bidirectional controls (Unicode's Bidi_Control) show a text in another order than it
// has. What is not UTF-8 each terminal reads in its own way.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace postern {

// Each of those characters, and each octet that is not UTF-8, as `?`. A text that stays as it is may be
// printed.
std::string fit_for_terminal(std::string_view text);
// Their octets as \xHH, as in rules/quote.h, and all else as it is: for a message that quotes something.
std::string escaped(std::string_view message);

// Of a text that may be printed. One column for each character, which is right for what is stored here.
std::size_t columns_of(std::string_view text);
std::string in_columns(std::string text, std::size_t columns);      // with spaces behind it, if it is shorter
std::string cut_to_columns(std::string text, std::size_t columns);  // with an ellipsis, if it is longer

}  // namespace postern

// May a sandbox be attached under the words that its caller gave? They go on record, and before people.
#pragma once

#include "rules/result.h"
#include "rules/vocabulary.h"

namespace postern {

inline constexpr std::size_t max_sandbox_word = 128;  // octets of a name, a session, a user, a label's two
inline constexpr std::size_t max_labels = 32;         // of a sandbox

// Errors quote the word: too long, or not fit for a terminal (rules/terminal_text.h); an empty name or label,
// a name with spaces or slashes; a code hash that is none; too many labels.
Result<void> check_sandbox(const Sandbox& who);

}  // namespace postern

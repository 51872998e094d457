// The levels of redaction by their words.
#include "rules/redaction.h"

#include "rules/quote.h"

namespace postern {

Result<Redaction> redaction_of(std::string_view text) {
  if (text == "none") return Redaction::none;
  if (text == "names") return Redaction::names;
  if (text == "all") return Redaction::all;
  return failure("what is redacted is none, names or all, not " + quoted(text));
}

}  // namespace postern

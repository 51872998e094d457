// May a sandbox be attached under the words that its caller gave?
#include "rules/sandbox_check.h"

#include "rules/quote.h"
#include "rules/terminal_text.h"

namespace postern {
namespace {

bool usable(const std::string& word) {
  return word.size() <= max_sandbox_word && fit_for_terminal(word) == word;
}

}  // namespace

Result<void> check_sandbox(const Sandbox& who) {
  const auto bad = [](const std::string& what, const std::string& value) {
    return failure("cannot attach: the " + what + " " + quoted(value) + " is not usable");
  };
  if (who.name.empty() || !usable(who.name) || who.name.find_first_of(" /") != std::string::npos)
    return bad("name", who.name);
  if (!usable(who.session)) return bad("session", who.session);
  if (!usable(who.user)) return bad("user", who.user);
  const bool hex = who.code_sha256.find_first_not_of("0123456789abcdef") == std::string::npos;
  if (!hex || (!who.code_sha256.empty() && who.code_sha256.size() != 64))
    return failure("cannot attach: the code hash " + quoted(who.code_sha256) +
                   " is not 64 digits of lower-case hex");
  if (who.labels.size() > max_labels)
    return failure("cannot attach: more than " + std::to_string(max_labels) + " labels");
  for (const auto& [key, value] : who.labels) {
    if (key.empty() || !usable(key)) return bad("label", key);
    if (!usable(value)) return bad("value of label " + quoted(key), value);
  }
  return {};
}

}  // namespace postern

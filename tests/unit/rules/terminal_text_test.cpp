// Texts for terminals: what is let through, and its neighbours that are not.
#include "rules/terminal_text.h"

#include <doctest/doctest.h>

#include <map>
#include <utility>

#include "rules/sandbox_check.h"

using namespace postern;

TEST_CASE(
    "what commands a terminal, reorders text or is not UTF-8 is a question mark, by escapes in errors") {
  const struct {
    const char *text, *fit, *shown;
  } rows[] = {
      {"plain ?~", "plain ?~", "plain ?~"},
      {"a\x1f\x7f\n", "a???", "a\\x1f\\x7f\\x0a"},
      {"\u0080\u009f\u00a0", "??\u00a0", "\\xc2\\x80\\xc2\\x9f\u00a0"},
      {"\x9b"
       "3",
       "?3", "\\x9b3"},
      {"\u061b\u061c\u200d\u200e\u200f\u2010", "\u061b?\u200d??\u2010",
       "\u061b\\xd8\\x9c\u200d\\xe2\\x80\\x8e\\xe2\\x80\\x8f\u2010"},
      {"\u2029\u202a\u202e\u202f", "\u2029??\u202f", "\u2029\\xe2\\x80\\xaa\\xe2\\x80\\xae\u202f"},
      {"\u2065\u2066\u2069\u206a", "\u2065??\u206a", "\u2065\\xe2\\x81\\xa6\\xe2\\x81\\xa9\u206a"},
      {"größe 東 \U0001f600", "größe 東 \U0001f600", "größe 東 \U0001f600"},
      {"\xc2", "?", "\\xc2"},                                                          // cut off
      {"\xc1\x9b", "??", "\\xc1\\x9b"},                                                // longer than needed
      {"\xe0\x82\x9b", "???", "\\xe0\\x82\\x9b"},                                      // the same
      {"\xf0\x80\x82\x9b", "????", "\\xf0\\x80\\x82\\x9b"},                            // the same
      {"\xed\x9f\xbf\xed\xa0\x80", "\xed\x9f\xbf???", "\xed\x9f\xbf\\xed\\xa0\\x80"},  // a surrogate
      {"\xf4\x8f\xbf\xbf\xf4\x90\x80\x80", "\xf4\x8f\xbf\xbf????",
       "\xf4\x8f\xbf\xbf\\xf4\\x90\\x80\\x80"},  // the last, and behind it
      {"\xe2\x82z", "??z", "\\xe2\\x82z"},
  };
  for (const auto& [text, fit, shown] : rows) {
    INFO(shown);
    CHECK(fit_for_terminal(text) == fit);
    CHECK(escaped(text) == shown);
  }
}

TEST_CASE("columns are counted, filled and cut by characters") {
  CHECK(columns_of("größe") == 5);
  CHECK(in_columns("größe", 6) == "größe ");
  CHECK(in_columns("größe", 5) == "größe");
  CHECK(cut_to_columns("größe", 5) == "größe");
  CHECK(cut_to_columns("größe", 4) == "grö…");
  CHECK(cut_to_columns("größe", 3) == "gr…");
  CHECK(cut_to_columns("größe", 1) == "…");
}

TEST_CASE("a sandbox is not attached under words that command a terminal, and the error quotes them") {
  const auto error = [](const std::string& name, const std::string& session = "",
                        const std::string& user = "", const std::map<std::string, std::string>& labels = {}) {
    Sandbox who;
    who.name = name;
    who.session = session;
    who.user = user;
    who.labels = labels;
    const auto checked = check_sandbox(who);
    return checked ? "" : checked.error().message;
  };
  CHECK(error("büx", "ä b", "ö", {{"ü", "東"}}) == "");
  for (const auto& [word, shown] : {std::pair("\x1b[31mred", "\"\\x1b[31mred\""),
                                    {"\u009b31m", "\"\\xc2\\x9b31m\""},
                                    {"\u202ex", "\"\\xe2\\x80\\xaex\""},
                                    {"\xff", "\"\\xff\""}}) {
    const std::string end = std::string(" ") + shown + " is not usable";
    CHECK(error(word) == "cannot attach: the name" + end);
    CHECK(error("box", word) == "cannot attach: the session" + end);
    CHECK(error("box", "", word) == "cannot attach: the user" + end);
    CHECK(error("box", "", "", {{word, "v"}}) == "cannot attach: the label" + end);
    CHECK(error("box", "", "", {{"k", word}}) == "cannot attach: the value of label \"k\"" + end);
  }
  for (const char* name : {"", "a b", "a/b"}) CHECK(error(name) != "");
  CHECK(error("box", "", std::string(128, 'u')) == "");
  CHECK(error("box", "", std::string(129, 'u')) != "");
  CHECK(error("box", "", "", {{"", "v"}}) != "");
}

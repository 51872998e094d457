// What verbs print for people: nothing that a terminal obeys, columns that stay in line.
#include <doctest/doctest.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <iostream>
#include <sstream>

#include "resolver/control/command_line.h"
#include "resolver/control/commands.h"
#include "resolver/control/log_format.h"

using namespace postern;

namespace {

std::string table_of(const std::vector<std::string>& columns,
                     const std::vector<std::vector<std::string>>& rows) {
  std::ostringstream out;
  std::streambuf* const before = std::cout.rdbuf(out.rdbuf());
  print_table(columns, rows);
  std::cout.rdbuf(before);
  return out.str();
}

template <class Verb>
std::string complaint_of(Verb&& verb) {
  std::ostringstream out;
  std::streambuf* const before = std::cerr.rdbuf(out.rdbuf());
  CHECK(verb() == status_failed);
  std::cerr.rdbuf(before);
  return out.str();
}

}  // namespace

TEST_CASE("in a table what commands a terminal is a question mark, in its heading too") {
  CHECK(table_of({"a\x9b", "b"}, {{"\u009b31mX",
                                   "\x9b"
                                   "31mA"},
                                  {"\u202eabc", "\x1b[0m"}}) ==
        "a?     b\n"
        "?31mX  ?31mA\n"
        "?abc   ?[0m\n");
}

TEST_CASE("a column is as wide as its characters, not as their octets") {
  CHECK(table_of({"größe", "n"}, {{"é", "1"}, {"abcdef", "2"}}) ==
        "größe   n\n"
        "é       1\n"
        "abcdef  2\n");
}

TEST_CASE("in a log for people what commands a terminal is a question mark, and columns stay in line") {
  LoggedQuery query;
  query.type = "A";
  query.action = "allowed";
  query.rcode = "NOERROR";
  query.name = "x.example";
  const auto line = [&](const char* sandbox) {
    query.sandbox = sandbox;
    return text_log(false)->line(query);
  };
  const std::string plain = line("abc");
  const auto with = [&](const char* shown) {
    std::string text = plain;
    return text.replace(text.find("abc"), 3, shown);
  };
  CHECK(line("\u009bm\x9b") == with("?m?"));
  CHECK(line("\u2066m\u202e") == with("?m?"));
  CHECK(line("büö") == with("büö"));
  LoggedAlert odd;  // of a file from elsewhere, which may hold anything
  for (std::string* const text :
       {&odd.sandbox, &odd.session, &odd.kind, &odd.zone, &odd.action, &odd.severity})
    *text = "\x1b";
  const std::string shown = text_log(false)->line(odd);
  CHECK(std::count(shown.begin(), shown.end(), '?') == 6);
  CHECK(shown.find('\x1b') == std::string::npos);
}

TEST_CASE("an error shows what commands a terminal by escapes") {
  CHECK(complaint_of([] { return complain("no \"\x1b[31m\u009bü\x9b\""); }) ==
        "postern: no \"\\x1b[31m\\xc2\\x9bü\\x9b\"\n");
}

TEST_CASE("what is not UTF-8 is refused before JSON would change it") {
  AttachFlags flags;
  flags.control = "/nonexistent/control.sock";
  flags.name = "box";
  flags.labels = {"k=\xff"};
  CHECK(complaint_of([&] { return attach_verb(flags); }) ==
        "postern: cannot attach: the value of label \"k\" \"\\xff\" is not usable\n");
}

TEST_CASE("sql prints JSON or CSV, not both") {
  CLI::App app;
  const CommandLine command_line(app);
  CHECK_THROWS_AS(app.parse("sql --json --csv --db /nonexistent/journal.db 'SELECT 1'"), CLI::ExcludesError);
}

// Lines cut into SQL statements.
#include "resolver/journal/statements.h"

#include <doctest/doctest.h>

#include <vector>

using namespace postern;

namespace {

std::vector<std::string> cut(Statements& statements, std::string_view text) {
  statements.add(text);
  std::vector<std::string> made;
  while (auto statement = statements.next()) made.push_back(*statement);
  return made;
}

}  // namespace

TEST_CASE("a statement ends at its semicolon, and not at one within quotes or a comment") {
  const struct {
    const char* text;
    std::vector<std::string> statements;
    const char* rest;
  } cases[] = {
      {"", {}, ""},
      {" \n;;\n", {}, ""},
      {"SELECT 1", {}, "SELECT 1"},
      {"SELECT 1;", {"SELECT 1;"}, ""},
      {"SELECT 1; SELECT 2;\nSELECT 3", {"SELECT 1;", "SELECT 2;"}, "SELECT 3"},
      {"SELECT ';';", {"SELECT ';';"}, ""},
      {"SELECT 'it''s; so';SELECT \"a;b\", [c;d], `e;f`;",
       {"SELECT 'it''s; so';", "SELECT \"a;b\", [c;d], `e;f`;"},
       ""},
      {"-- first; second\nSELECT 1;", {"SELECT 1;"}, ""},
      {"/* a; b */ SELECT /* c; */ 1; -- the end", {"SELECT /* c; */ 1;"}, ""},
      {"SELECT 1 -- ; \n;", {"SELECT 1 -- ; \n;"}, ""},
      {"/* open; SELECT 1;", {}, "/* open; SELECT 1;"},
      {"SELECT 'open; SELECT 1;", {}, "SELECT 'open; SELECT 1;"},
  };
  for (const auto& one : cases) {
    CAPTURE(one.text);
    Statements statements;
    CHECK(cut(statements, one.text) == one.statements);
    CHECK(statements.rest() == one.rest);
    CHECK(statements.rest().empty());
    // The same in pieces of an octet.
    std::vector<std::string> made;
    for (const char* at = one.text; *at != 0; ++at)
      for (std::string& statement : cut(statements, {at, 1})) made.push_back(std::move(statement));
    CHECK(made == one.statements);
    CHECK(statements.rest() == one.rest);
  }
}

TEST_CASE("a line completes what the lines before it began") {
  Statements statements;
  CHECK(cut(statements, "SELECT name\n").empty());
  CHECK(cut(statements, "FROM queries\n").empty());
  CHECK(cut(statements, "LIMIT 1; SELECT\n") ==
        std::vector<std::string>{"SELECT name\nFROM queries\nLIMIT 1;"});
  CHECK(statements.octets() == 7);
}

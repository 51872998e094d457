// Patterns: what the three forms match, and which texts are refused with a useful sentence.
#include "rules/pattern.h"

#include "support.h"

using namespace postern;
using postern::test::name;

namespace {

Pattern pattern(const char* text, PublicSuffixWildcards wildcards = PublicSuffixWildcards::refused) {
  const auto parsed = Pattern::parse(text, wildcards);
  REQUIRE_MESSAGE(parsed.has_value(), (parsed ? "" : parsed.error().message));
  return *parsed;
}

std::string pattern_error(std::string_view text) {
  const auto parsed = Pattern::parse(text);
  return parsed ? "no error: " + parsed->text() : parsed.error().message;
}

}  // namespace

TEST_CASE("the three forms differ at the apex and below it") {
  const struct {
    const char *pattern, *name;
    bool matches;
  } rows[] = {
      {"example.com", "example.com", true},
      {"example.com", "www.example.com", false},
      {"example.com", "com", false},
      {"*.example.com", "example.com", false},
      {"*.example.com", "www.example.com", true},
      {"*.example.com", "a.b.c.example.com", true},
      {"*.example.com", "wwwexample.com", false},
      {"*.example.com", "www.example.net", false},
      {"**.example.com", "example.com", true},
      {"**.example.com", "www.example.com", true},
      {"**.example.com", "notexample.com", false},
      {"WWW.Example.COM", "www.example.com", true},
      {"example.com.", "example.com", true},
      {"_dmarc.example.com", "_dmarc.example.com", true},
      // The octets of the suffix, but beginning inside a label.
      {"*.example.com", "\\007example\\003com", false},
      {"*.example.com", "x\\007example.com", false},
  };
  for (const auto& row : rows) {
    CAPTURE(std::string(row.pattern));
    CAPTURE(std::string(row.name));
    CHECK(pattern(row.pattern).matches(name(row.name)) == row.matches);
  }
}

TEST_CASE("everything is `*` without the root and `**` with it") {
  const Pattern star = pattern("*", PublicSuffixWildcards::allowed);
  const Pattern stars = pattern("**", PublicSuffixWildcards::allowed);
  CHECK(star.matches(name("com")));
  CHECK_FALSE(star.matches(name(".")));
  CHECK(stars.matches(name(".")));
  CHECK(star.text() == "*");
  CHECK(stars.text() == "**");
}

TEST_CASE("a pattern prints as something that reads back as itself") {
  for (const char* text : {"example.com", "*.example.com", "**.example.com", ".", "a\\046b.example.com"})
    CHECK(pattern(text).text() == std::string(text));
  // A label that is an asterisk is no wildcard, and must not look like one.
  CHECK(pattern("\\042.example.com").scope == Pattern::Scope::exact);
  CHECK(pattern("\\042.example.com").text() == "\\042.example.com");
  CHECK_FALSE(pattern("\\042.example.com").matches(name("www.example.com")));
  CHECK(pattern("**.A\\.b\\000.example.com").text() == "**.a\\046b\\000.example.com");
}

TEST_CASE("wildcards over a public suffix are errors unless asked for") {
  for (const char* text :
       {"*", "**", "*.", "*.com", "**.com", "*.co.uk", "**.github.io", "*.unknown-tld", "*.ck"}) {
    CAPTURE(std::string(text));
    CHECK_FALSE(Pattern::parse(text).has_value());
  }
  CHECK(pattern_error("*.co.uk") ==
        "cannot read pattern \"*.co.uk\": it covers the public suffix \"co.uk\"; set allow_public_suffix: "
        "true if that is meant");
  CHECK(pattern_error("*") ==
        "cannot read pattern \"*\": it covers every name; set allow_public_suffix: true if that is meant");
  for (const char* text : {"*.com", "**.co.uk", "*.github.io"})
    CHECK(Pattern::parse(text, PublicSuffixWildcards::allowed).has_value());
  SUBCASE("the neighbours are fine: one label more, an exact suffix, a special-use zone") {
    for (const char* text : {"*.example.com", "**.bbc.co.uk", "**.user.github.io", "com", "co.uk", "*.www.ck",
                             "**.internal", "*.local", "**.home.arpa", "**.10.in-addr.arpa", "*.corp"}) {
      CAPTURE(std::string(text));
      CHECK_MESSAGE(Pattern::parse(text).has_value(), pattern_error(text));
    }
  }
}

TEST_CASE("a text that is no pattern is quoted and explained") {
  const struct {
    const char *text, *why;
  } rows[] = {
      {"", "it is empty"},
      {"*.*.example.com", "`*` may only stand in front, as `*.` or `**.`"},
      {"www.*.com", "`*` may only stand in front, as `*.` or `**.`"},
      {"*example.com", "`*` may only stand in front, as `*.` or `**.`"},
      {"***.example.com", "`*` may only stand in front, as `*.` or `**.`"},
      {"**.", "nothing follows the wildcard; `*` alone means every name"},
      {"a..example.com", "a label is empty"},
      {".example.com", "a label is empty"},
      {"https://example.com/", "it is a name, without port or scheme"},
      {"example.com/x", "it is a name, not a URL, path or regular expression"},
      {"example.com:443", "it is a name, without port or scheme"},
      {"example com", "it holds white space"},
      {"b\xc3\xbc"
       "cher.example",
       "names in Unicode are not read; write the A-label (xn--...)"},
      {"exa!mple.com",
       "only letters, digits, hyphen, underscore and dots stand for themselves; escape others as \\DDD"},
      {"a\\25.example.com", "an escape needs three digits"},
      {"a\\",
       "only letters, digits, hyphen, underscore and dots stand for themselves; escape others as \\DDD"},
  };
  for (const auto& row : rows) {
    CAPTURE(std::string(row.text));
    const std::string message = pattern_error(row.text);
    CHECK_MESSAGE(message.find("cannot read pattern \"") == 0, message);
    CHECK_MESSAGE(message.ends_with(std::string("\": ") + row.why), message);
  }
  CHECK(pattern_error(std::string(64, 'a') + ".example.com").ends_with("a label is longer than 63 octets"));
  CHECK(pattern_error(std::string("a\nb.example.com")).find('\n') == std::string::npos);
}

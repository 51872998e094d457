// The policy file: what is refused, where, and in which words.
#include <string>

#include "support.h"

using namespace postern;
using postern::test::error_of;

TEST_CASE("a mistake is told with file, line, column and value") {
  const struct {
    const char* yaml;
    const char* error;
  } rows[] = {
      {"default: deny\n", "p.yaml:1:10: default is allow or block, here is \"deny\""},
      {"default: Block", "p.yaml:1:10: default is allow or block, here is \"Block\""},
      {"default: [block]", "p.yaml:1:10: default is a single value, here is a list"},
      {"default:\n", "p.yaml:1:1: default is a single value, here is nothing"},
      {"allow:\n  - ok.example\n  - '*.com'\n",
       "p.yaml:3:5: cannot read pattern \"*.com\": it covers the public suffix \"com\"; set "
       "allow_public_suffix: true if that is meant"},
      {"allow: example.com", "p.yaml:1:8: allow is a list, here is a single value \"example.com\""},
      {"block: [a.example, {b: c}]", "p.yaml:1:20: a pattern is a single value, here is a map"},
      {"block:\n- a..example\n", "p.yaml:2:3: cannot read pattern \"a..example\": a label is empty"},
      {"block: ['']", "p.yaml:1:9: cannot read pattern \"\": it is empty"},
      {"blokc: [a.example]",
       "p.yaml:1:1: unknown key \"blokc\" in a policy; known are extends, include, default, allow, block, "
       "observe, mode, types, names, single_labels, allow_public_suffix, explain, answers, hosts, zones, "
       "forward, lists, on_tunnel, "
       "alert_on_first_query, profile, budgets, on_budget, on_secret, on_cap or expect"},
      {"mode: watch", "p.yaml:1:7: mode is enforce or observe, here is \"watch\""},
      {"observe: ['*.com']",
       "p.yaml:1:11: cannot read pattern \"*.com\": it covers the public suffix \"com\"; set "
       "allow_public_suffix: true if that is meant"},
      {"expect: [a.example]", "p.yaml:1:9: expect is a map, here is a list"},
      {"expect: {deny: []}", "p.yaml:1:10: unknown key \"deny\" in expect; known are allow and block"},
      {"expect: {allow: a.example}",
       "p.yaml:1:17: expect: allow is a list, here is a single value \"a.example\""},
      {"expect: {block: [[a.example]]}", "p.yaml:1:18: an expectation is a single value, here is a list"},
      {"expect: {allow: [a.example, '**.b.example']}",
       "p.yaml:1:29: an expectation is about one name, here is the pattern \"**.b.example\""},
      {"expect: {allow: [a.example AAAAA]}", "p.yaml:1:18: unknown type \"AAAAA\" in \"a.example AAAAA\""},
      {"expect: {allow: ['a.example ']}", "p.yaml:1:18: unknown type \"\" in \"a.example \""},
      {"default: allow\nexplain: true\ndefault: block\n", "p.yaml:3:1: duplicate key \"default\""},
      {"hosts: {a.example: 10.0.0.1, a.example: 10.0.0.2}", "p.yaml:1:30: duplicate key \"a.example\""},
      {"hosts: {a.example: 10.0.0.1, A.example.: 10.0.0.2}",
       "p.yaml:1:30: duplicate hosts entry \"A.example.\""},
      {"hosts: {a.example: 10.0.0.256}", "p.yaml:1:20: not an IPv4 or IPv6 address: \"10.0.0.256\""},
      {"hosts: {'*.example.com': 10.0.0.1}",
       "p.yaml:1:9: a hosts entry is for one name, here is the pattern \"*.example.com\""},
      {"hosts: {.: 10.0.0.1}", "p.yaml:1:9: the root cannot be a hosts entry"},
      {"hosts: [a.example]", "p.yaml:1:8: hosts is a map, here is a list"},
      {"types: all", "p.yaml:1:8: types is a list of types, or any, here is \"all\""},
      {"types: [A, AAAAA]", "p.yaml:1:12: unknown type \"AAAAA\""},
      {"types: [A, NULL]",
       "p.yaml:1:12: a type is missing here; the type NULL needs quotes, or YAML reads it as nothing"},
      {"types: [OPT]", "p.yaml:1:9: type \"OPT\" is not a question that can be asked"},
      {"types: [TYPE65536]", "p.yaml:1:9: unknown type \"TYPE65536\""},
      {"names: anything", "p.yaml:1:8: names is host or any, here is \"anything\""},
      {"single_labels: yes", "p.yaml:1:16: single_labels is local or forward, here is \"yes\""},
      {"explain: yes", "p.yaml:1:10: explain is false or true, here is \"yes\""},
      {"on_tunnel: refuse",
       "p.yaml:1:12: on_tunnel is alert, block-zone, quarantine, freeze or kill, here is \"refuse\""},
      {"profile: huge", "p.yaml:1:10: profile is code, browse or strict, here is \"huge\""},
      {"allow_public_suffix: 1", "p.yaml:1:22: allow_public_suffix is false or true, here is \"1\""},
      {"answers: [10.0.0.0/8]", "p.yaml:1:10: answers is a map, here is a list"},
      {"answers: {deny: []}", "p.yaml:1:11: unknown key \"deny\" in answers; known are allow and nat64"},
      {"answers: {allow: [10.0.0.1/8]}",
       "p.yaml:1:19: cannot read address range \"10.0.0.1/8\": it has bits outside its prefix"},
      {"answers: {allow: [{name: a.example}]}", "p.yaml:1:19: an answer exception has a name and a range"},
      {"answers: {allow: [{name: a.example, rang: 10.0.0.0/8}]}",
       "p.yaml:1:37: unknown key \"rang\" in an answer exception; known are name and range"},
      {"policies: {a: {default: block}, a: {default: allow}}", "p.yaml:1:33: duplicate key \"a\""},
      {"policies: {a: {default: block}}\ndefault: allow\n",
       "p.yaml:2:1: unknown key \"default\" beside policies: it belongs to one of them, below its name"},
      {"policies: [a]", "p.yaml:1:11: policies is a map, here is a list"},
      {"policies: {a: block}", "p.yaml:1:15: policy a is a map, here is a single value \"block\""},
      {"policies: {a b: {}}",
       "p.yaml:1:12: a policy's name has 1 to 64 letters, digits, hyphens, underscores and dots, here is \"a "
       "b\""},
      {"policies: {deny-all: {default: allow}}",
       "p.yaml:1:12: policy \"deny-all\" is built in and cannot be changed; extend it"},
      {"policies: {a: {extends: nobody}}", "p.yaml:1:25: extends \"nobody\": there is no such policy"},
      {"policies: {a: {extends: b}, b: {extends: a}}", "p.yaml:1:42: extends \"a\" goes round in a circle"},
      {"policies: {a: {extends: a}}", "p.yaml:1:25: extends \"a\" goes round in a circle"},
      {"extends: default", "p.yaml:1:10: extends \"default\" goes round in a circle"},

      {"", "p.yaml:1:1: it is empty"},
      {"# only a comment\n", "p.yaml:1:1: it is empty"},
      {"- a\n", "p.yaml:1:1: a policy file is a map, here is a list"},
      {"just text", "p.yaml:1:1: a policy file is a map, here is a single value \"just text\""},
      {"allow:\n  - *.example.com\n",
       "p.yaml:2:5: an unquoted * begins a YAML alias; put the pattern in quotes"},
      {"allow: [**.example.com]\n",
       "p.yaml:1:9: an unquoted * begins a YAML alias; put the pattern in quotes"},
      {"allow: [*]\n", "p.yaml:1:9: an unquoted * begins a YAML alias; put the pattern in quotes"},
      {"a: &x 1\nb: *x\n", "p.yaml:1:4: anchors are not read here"},
      {"default: !!str allow", "p.yaml:1:10: tags are not read here: \"tag:yaml.org,2002:str\""},
      {"default: allow\n---\ndefault: block\n", "p.yaml:3:1: a second document begins here; one is expected"},
      {"? [a]\n: b\n", "p.yaml:1:3: a key must be plain text, not a list"},
      {"default: allow\nblock: [a\n", nullptr},
      {"default: allow\n\tblock: []\n", nullptr},
      {"{", nullptr},
      {"\"", nullptr},
      {std::string_view("default: allow\nx\0y", 18).data(), nullptr},
  };
  for (const auto& row : rows) {
    CAPTURE(std::string(row.yaml));
    const std::string error = error_of(row.yaml);
    if (row.error != nullptr) CHECK(error == std::string(row.error));
    CHECK(error.find("p.yaml:") == 0);
    CHECK(error.find('\n') == std::string::npos);
  }
}

TEST_CASE("what is not text is refused at the octet that shows it") {
  CHECK(error_of(std::string_view("default: allow\nx\0y", 18)) ==
        "p.yaml:2:2: not a text file: it holds a control character \"\\x00\"");
  CHECK(error_of("block: [\x1b[31m]") ==
        "p.yaml:1:9: not a text file: it holds a control character \"\\x1b\"");
  CHECK(error_of("\xff\xfe"
                 "d\0") == "p.yaml:1:1: not a text file: it holds an octet that is not UTF-8 \"\\xff\"");
  CHECK(error_of("# \xc3\xa4\xc3\n") ==
        "p.yaml:1:4: not a text file: it holds an octet that is not UTF-8 \"\\xc3\"");
  CHECK(error_of("block: ['b\xc3\xbc"
                 "cher.example']")
            .find("p.yaml:1:9: cannot read pattern \"b\\xc3\\xbccher.example\": names in Unicode") == 0);
  CHECK(PolicySet::parse("# \xc3\xa4\r\ndefault: block\r\n", "p.yaml").has_value());
  CHECK(PolicySet::parse("\xef\xbb\xbf"
                         "default: block\n",
                         "p.yaml")
            .has_value());
}

TEST_CASE("bombs are refused quickly") {
  SUBCASE("deep nesting") {
    CHECK(error_of(std::string(100'000, '[')).find("p.yaml:1:") == 0);
    CHECK(error_of("hosts: " + std::string(20, '[') + std::string(20, ']')) ==
          "p.yaml:1:23: it nests deeper than 16 levels");
    std::string deep = "a:";
    for (int i = 1; i < 30; ++i) deep += "\n" + std::string(static_cast<std::size_t>(i), ' ') + "a:";
    CHECK(error_of(deep).find("it nests deeper than 16 levels") != std::string::npos);
  }
  SUBCASE("anchors that multiply") {
    CHECK(error_of("a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]\n") == "p.yaml:1:4: anchors are not read here");
  }
  SUBCASE("size") {
    const std::size_t limit = 4 << 20;
    const std::string head = "default: block\n#";
    CHECK(PolicySet::parse(head + std::string(limit - head.size(), 'x'), "p.yaml").has_value());
    CHECK(error_of(head + std::string(limit + 1 - head.size(), 'x')) ==
          "p.yaml:1:1: it has 4194305 octets; the limit is 4194304");
  }
  SUBCASE("policies that copy a large one") {
    std::string yaml = "policies:\n  big:\n    block:\n";
    for (int i = 0; i < 40'000; ++i) yaml += "    - n" + std::to_string(i) + ".example.com\n";
    for (int i = 0; i < 30; ++i) yaml += "  p" + std::to_string(i) + ": {extends: big}\n";
    CHECK(error_of(yaml).find(
              "the file's policies hold more than 300000 rules, inherited ones counted again") !=
          std::string::npos);
  }
  SUBCASE("a long chain of extends") {
    std::string yaml = "policies:\n  p0: {default: block}\n";
    for (int i = 1; i < 40; ++i)
      yaml += "  p" + std::to_string(i) + ": {extends: p" + std::to_string(i - 1) + "}\n";
    CHECK(PolicySet::parse(yaml, "p.yaml").has_value());  // each is read when its base is done
    std::string backwards = "policies:\n";
    for (int i = 0; i < 20; ++i)
      backwards += "  p" + std::to_string(i) + ": {extends: p" + std::to_string(i + 1) + "}\n";
    backwards += "  p20: {default: block}\n";
    CHECK(error_of(backwards).find("extends goes more than 8 policies deep") != std::string::npos);
  }
  SUBCASE("too many policies and too many rules") {
    std::string many = "policies:\n";
    for (int i = 0; i < 65; ++i) many += "  p" + std::to_string(i) + ": {}\n";
    CHECK(error_of(many).find("it holds more than 64 policies") != std::string::npos);
    std::string rules = "block:\n";
    for (int i = 0; i < 100'001; ++i) rules += "- a" + std::to_string(i) + ".example\n";
    CHECK(error_of(rules).find("p.yaml:100002:3: a policy holds at most 100000 rules") == 0);
  }
}

TEST_CASE("a file name stays on one line too") {
  const auto set = PolicySet::parse("default: x", "a\nb");
  CHECK(set.error().message.find("a b:1:10: ") == 0);
}

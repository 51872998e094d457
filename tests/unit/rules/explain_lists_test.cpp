// Policies compared name by name, through their lists: what counts is the verdict.
#include <map>

#include "rules/explain.h"
#include "rules/list.h"
#include "rules/list_text.h"
#include "support.h"

using namespace postern;
using postern::test::name;

namespace {

using Texts = std::map<std::string, std::string>;

// The same text is the same object, as the command line has it.
ListSource lists_of(const Texts& texts) {
  auto known = std::make_shared<std::map<std::string, std::shared_ptr<const List>>>();
  return [texts, known](const ListRequest& request) -> Result<std::shared_ptr<const List>> {
    ListOptions options;
    options.file = request.file;
    options.subdomains = request.subdomains;
    const ListMeaning meaning = request.allows ? ListMeaning::allows : ListMeaning::as_written;
    const std::string& text = texts.at(request.file);
    auto& list = (*known)[text + (request.allows ? "+" : "-") + (request.subdomains ? "+" : "-")];
    if (list == nullptr) list = List::build(text, options, meaning).value();
    return list;
  };
}

PolicyDiff compared(const char* before, const char* after, const Texts& texts,
                    const std::vector<Type>& types = {type::A}) {
  const ListSource source = lists_of(texts);
  const auto a = PolicySet::parse(before, "a.yaml", source), b = PolicySet::parse(after, "b.yaml", source);
  REQUIRE_MESSAGE(a.has_value(), (a ? "" : a.error().message));
  REQUIRE_MESSAGE(b.has_value(), (b ? "" : b.error().message));
  return diff_policies(*(*a)->find(""), *(*b)->find(""), {}, types);
}

std::string changes(const char* before, const char* after, const Texts& texts,
                    const std::vector<Type>& types = {type::A}) {
  const PolicyDiff diff = compared(before, after, texts, types);
  std::string out;
  for (const ChangedName& one : diff.names)
    out += (out.empty() ? "" : " | ") + one.query.name.text() + " " + type_text(one.query.type) + " " +
           one.before + " > " + one.after;
  return out;
}

}  // namespace

TEST_CASE("a difference between lists is found by their names, in both directions") {
  const Texts texts{{"old", "ads.example\ngone.example\n"}, {"new", "ads.example\nmore.example\n"}};
  CHECK(changes("lists: [old]", "lists: [new]", texts) ==
        "gone.example A empty > allowed | more.example A allowed > empty");
  CHECK(changes("default: block\nlists: [{file: old, action: allow}]",
                "default: block\nlists: [{file: new, action: allow}]",
                texts) == "gone.example A allowed > NXDOMAIN | more.example A NXDOMAIN > allowed");
  const PolicyDiff diff = compared("lists: [old]", "lists: [new]", texts);
  REQUIRE(diff.names.size() == 2);
  CHECK(diff.names[0].rule_before == "a.yaml:1:9 list old: block");
  CHECK(diff.names[0].rule_after == "no rule: default allow");
}

TEST_CASE("what a name's verdict comes from is no difference") {
  const Texts texts{{"one", "a.example\n"}, {"two", "b.example\n"}, {"both", "b.example\na.example\n"}};
  CHECK(changes("lists: [one, two]", "lists: [both]", texts) == "");
  CHECK(changes("lists: [one, two]", "lists: [two, one]", texts) == "");
  CHECK(changes("lists: [one]", "block: [a.example]", texts) == "");
  // An allow of another list does not lift a block.
  CHECK(changes("lists: [one]", "lists: [one, {file: both, action: allow}]", texts) == "");
}

TEST_CASE("a name in two lists that both differ is told once") {
  const Texts texts{{"one", "a.example\n"}, {"two", "a.example\n**.a.example\n"}};
  CHECK(changes("{}", "lists: [one, two]", texts) == "a.example A allowed > NXDOMAIN");
}

TEST_CASE("a wildcard is tried below its name, and told of only where the name says something else") {
  const Texts texts{{"exact", "a.example\n"}, {"below", "*.a.example\n"}, {"deep", "**.a.example\n"}};
  CHECK(changes("{}", "lists: [deep]", texts) == "a.example A allowed > NXDOMAIN");
  CHECK(changes("{}", "lists: [below]", texts) == "anything.a.example A allowed > NXDOMAIN");
  CHECK(changes("lists: [exact]", "lists: [deep]", texts) ==
        "a.example A empty > NXDOMAIN | anything.a.example A allowed > NXDOMAIN");
  CHECK(changes("lists: [exact]", "lists: [{file: exact, subdomains: true}]", texts) ==
        "a.example A empty > NXDOMAIN | anything.a.example A allowed > NXDOMAIN");
}

TEST_CASE(
    "a list that both have is gone through where a rule above it has changed, and not where nothing has") {
  const Texts texts{{"ads", "x.ads.example\nother.example\n"}};
  CHECK(changes("lists: [ads]", "{lists: [ads], allow: ['**.ads.example']}", texts) ==
        "example A local NXDOMAIN > local, empty | x.ads.example A empty > allowed");
  CHECK(changes("lists: [ads]", "{lists: [{file: ads, observe: true}]}", texts) ==
        "x.ads.example A empty > allowed (would block) | other.example A empty > allowed (would block)");
  const std::size_t without = compared("{}", "{}", texts).asked;
  CHECK(compared("lists: [ads]", "lists: [ads]", texts).asked == without);
  CHECK(compared("lists: [ads]", "{lists: [ads], on_cap: freeze}", texts).asked == without + 2);
}

TEST_CASE("a line about some types is asked for with those") {
  const Texts texts{{"typed", "||a.example^$dnstype=AAAA\n"},
                    {"others", "||a.example^$dnstype=~A\n"},
                    {"held", "||a.example^$denyallow=b.a.example\n"},
                    {"plain", "||a.example^\n"},
                    {"records", "192.0.2.1 db.example\n2001:db8::1 db.example\n0.0.0.0 ads.example\n"}};
  CHECK(changes("{}", "lists: [typed]", texts) == "a.example AAAA allowed > empty");
  CHECK(changes("{}", "lists: [others]", texts) == "a.example AAAA allowed > empty");
  CHECK(changes("{}", "lists: [typed]", texts, {type::A, type::AAAA}) == "a.example AAAA allowed > empty");
  CHECK(changes("lists: [plain]", "lists: [held]", texts) ==
        "a.example A NXDOMAIN > empty | b.a.example A NXDOMAIN > allowed");
  CHECK(changes("{}", "lists: [records]", texts, {type::AAAA}) ==
        "ads.example AAAA allowed > empty | db.example A allowed > local 192.0.2.1 | "
        "db.example AAAA allowed > local 2001:db8::1");
}

TEST_CASE("changed names are sorted by their labels from the right, whatever octets those hold") {
  ChangedNames names;
  const ChangedNames::Text one = names.text("one"), two = names.text("two");
  CHECK(one != two);
  CHECK(names.text("one") == one);
  const char* const sorted[] = {".",     "a",       "b.a",        "\\001.b.a", "\\002.b.a",
                                "z.b.a", "\\000.a", "\\000c.a",   "\\001.a",   "\\001\\000.a",
                                "ba.a",  "aa",      "b.\\255\\.a"};
  std::vector<std::string> texts(std::begin(sorted), std::end(sorted));
  std::vector<Name> in;
  for (const std::string& text : texts) in.push_back(name(text));
  for (std::size_t i = in.size(); i-- > 0;) names.add({in[i], type::TXT}, {one, two, two, one});
  for (const Name& again : in) names.add({again, type::A}, {two, one, one, two});
  names.add({in[3], type::A}, {one, one, one, one});
  names.sort();
  REQUIRE(names.size() == 2 * in.size());
  std::vector<Name> out;
  for (std::size_t i = 0; i < names.size(); i += 2) {
    CHECK(names[i].query.name == names[i + 1].query.name);
    CHECK(names[i].query.type == type::A);
    CHECK(names[i + 1].query.type == type::TXT);
    out.push_back(names[i].query.name);
  }
  std::sort(in.begin(), in.end(), [](const Name& a, const Name& b) {
    const auto labels = [](Name name) {
      std::vector<std::string> all;
      for (; !name.is_root(); name = name.parent()) all.insert(all.begin(), std::string(name.first_label()));
      return all;
    };
    return labels(a) < labels(b);
  });
  CHECK(out == in);
  CHECK(names[0].before == "two");
  CHECK(names[0].rule_after == "two");
  REQUIRE(names.counts().size() == 2);
  CHECK(names.counts()[0].names == in.size());
  CHECK(names.counts()[0].before == "one");
}

TEST_CASE("a list gives back every line that it was made of") {
  ListOptions options;
  options.file = "l";
  std::string text;
  std::map<std::string, std::uint32_t> expected;
  std::uint32_t number = 0;
  const auto line = [&](const std::string& one) {
    text += one + "\n";
    expected[one] = ++number;
  };
  for (int i = 0; i < 3000; ++i)
    line((i % 3 == 0   ? "*."
          : i % 3 == 1 ? ""
                       : "**.") +
         std::string("n") + std::to_string(i) + (i % 2 == 0 ? ".example" : ".co.uk"));
  line("*.xn--mnchen-3ya.de");
  line("single");
  const auto list = List::build(text, options).value();
  std::map<std::string, std::uint32_t> met;
  list->each_line([&](const List::Line& one) {
    CHECK(one.action == ListAction::block);
    CHECK(one.detail == nullptr);
    met[Pattern{one.scope, one.name}.text()] = one.number;
  });
  CHECK(met == expected);

  options.file = "r";
  const auto records = List::build("192.0.2.1 db.example\n", options).value();
  std::size_t lines = 0;
  records->each_line([&](const List::Line& one) {  // not the marks on the names above it
    ++lines;
    CHECK(one.name == name("db.example"));
    REQUIRE(one.detail != nullptr);
    CHECK(one.detail->local.answer.size() == 1);
  });
  CHECK(lines == 1);
}

// What `postern policy diff` prints, and which lists it reads once.
#include "resolver/control/policy_diff.h"

#include <doctest/doctest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "resolver/control/list_source.h"
#include "rules/list.h"
#include "rules/list_text.h"

using namespace postern;
namespace fs = std::filesystem;

namespace {

std::shared_ptr<const PolicySet> policies(std::string_view yaml, const std::string& file = "p.yaml",
                                          const ListSource& lists = {}) {
  const auto set = PolicySet::parse(yaml, file, lists);
  REQUIRE_MESSAGE(set.has_value(), (set ? "" : set.error().message));
  return *set;
}

// A list of this text, whatever file is named.
ListSource list_of(const std::string& text) {
  return [text](const ListRequest& request) {
    ListOptions options;
    options.file = request.file;
    return List::build(text, options, ListMeaning::as_written);
  };
}

FileDiff diff(const PolicySet& before, const PolicySet& after, const std::vector<Name>& more = {}) {
  auto made = diff_sets(before, after, "", more, {type::A});
  REQUIRE(made.has_value());
  return std::move(*made);
}

std::string diff_text(const FileDiff& diff, DiffExtent extent = DiffExtent::first) {
  std::ostringstream out;
  tell_diff(out, diff, "a.yaml", "b.yaml", extent);
  return out.str();
}

std::string told_json(const FileDiff& diff) {
  std::ostringstream out;
  tell_diff_json(out, diff);
  return out.str();
}

bool speaks_of(const std::string& text, std::string_view part) {
  return text.find(part) != std::string::npos;
}

// A folder with a policy over a list.
struct PolicyFolder {
  explicit PolicyFolder(const std::string& list) {
    std::string made = (fs::temp_directory_path() / "postern-diff-XXXXXX").string();
    REQUIRE(::mkdtemp(made.data()) != nullptr);
    folder = made;
    std::ofstream(folder / "l.txt") << list;
  }
  ~PolicyFolder() {
    std::error_code ignored;
    fs::remove_all(folder, ignored);
  }
  std::shared_ptr<const List> load(ListsByContent& lists, const std::string& yaml) const {
    const auto set = policies(yaml, folder / "p.yaml", lists_beside(folder / "p.yaml", &lists));
    return set->find("")->outline().lists.at(0).list;
  }
  fs::path folder;
};

}  // namespace

TEST_CASE("two files are compared policy by policy") {
  const auto before = policies("policies: {default: {block: ['**.a.example']}, old: {}}", "a.yaml");
  const auto after = policies("policies: {default: {default: block}, new: {}}", "b.yaml");
  const FileDiff changes = diff(*before, *after);
  CHECK_FALSE(changes.is_empty());
  CHECK(diff_text(changes) ==
        "policy default: 1 of 4 questions answered differently\n"
        "  anything.example A: allowed -> NXDOMAIN\n"
        "    before  no rule: default allow\n"
        "    after   b.yaml:1:31 default block\n"
        "  setting default: allow -> block\n"
        "policy old: only in a.yaml\n"
        "policy new: only in b.yaml\n");
  CHECK(told_json(changes) ==
        "{\"policy\":\"default\",\"name\":\"anything.example\",\"type\":\"A\",\"before\":\"allowed\","
        "\"after\":\"NXDOMAIN\",\"rule_before\":\"no rule: default allow\",\"rule_after\":\"b.yaml:1:31 "
        "default block\"}\n"
        "{\"policy\":\"default\",\"setting\":\"default\",\"before\":\"allow\",\"after\":\"block\"}\n"
        "{\"policy\":\"default\",\"asked\":4,\"names\":1,\"names_not_kept\":0,\"ranges\":0,\"settings\":1}\n"
        "{\"policy\":\"old\",\"only_in\":\"before\"}\n"
        "{\"policy\":\"new\",\"only_in\":\"after\"}\n");
  const auto same = diff_sets(*before, *before, "default", {}, {type::A});
  REQUIRE(same.has_value());
  CHECK(same->is_empty());
  CHECK(diff_text(*same) == "policy default: no difference in 4 questions\n");
  CHECK(diff_text(diff(*PolicySet::builtin(), *PolicySet::builtin())) ==
        "neither file has a policy of its own\n");
  const auto unknown = diff_sets(*before, *after, "odl", {}, {type::A});
  REQUIRE_FALSE(unknown.has_value());
  CHECK(unknown.error().message == "cannot compare policy \"odl\": neither file has it");
}

TEST_CASE("a hundred names are shown, what is beyond is counted by what became of it, and each on request") {
  std::string list;
  for (int i = 0; i < 101; ++i) list += "n" + std::to_string(i) + ".example.org\n";
  const auto none = policies("{}"), hundred_and_one = policies("lists: [l]", "p.yaml", list_of(list));
  const FileDiff changes = diff(*none, *hundred_and_one);
  const std::string text = diff_text(changes);
  CHECK(
      text.starts_with("policy default: 101 of 102 questions answered differently\n"
                       "  in all 101: allowed -> empty\n"
                       "  n0.example.org A: allowed -> empty\n"
                       "    before  no rule: default allow\n"
                       "    after   p.yaml:1:9 list l: block\n"
                       "  n1.example.org A: "));
  CHECK(speaks_of(text, "  and 1 more; --all shows each\n"));
  CHECK_FALSE(speaks_of(text, "n99.example.org"));
  const std::string all = diff_text(changes, DiffExtent::all);
  CHECK(speaks_of(all, "  n99.example.org A: allowed -> empty\n"));
  CHECK_FALSE(speaks_of(all, " more"));
  CHECK_FALSE(speaks_of(all, "in all"));
  const std::string lines = told_json(changes);
  CHECK(std::count(lines.begin(), lines.end(), '\n') == 101 + 1 + 1);  // the names, `lists`, the counts

  const auto hundred = policies("lists: [l]", "p.yaml", list_of(list.substr(0, list.rfind("n100"))));
  CHECK_FALSE(speaks_of(diff_text(diff(*none, *hundred)), " more"));
}

TEST_CASE("address ranges of lists are compared by what they do to an answer") {
  const std::string soa = "$TTL 60\n@ SOA a. b. 1 2 3 4 5\n";
  const auto old = policies("lists: [l]", "p.yaml",
                            list_of(soa + "24.0.1.8.8.rpz-ip CNAME .\n32.1.2.8.8.rpz-ip CNAME .\n"));
  const auto now = policies(
      "lists: [l]", "p.yaml",
      list_of(soa + "24.0.1.8.8.rpz-ip CNAME *.\n32.1.2.8.8.rpz-ip A 9.9.1.1\n32.1.3.8.8.rpz-ip CNAME .\n"));
  CHECK(diff_text(diff(*old, *now)) ==
        "policy default: 0 of 6 questions answered differently\n"
        "  2 address ranges of lists judged differently in answers\n"
        "  8.8.2.1: refused -> replaced\n"
        "    before  p.yaml:1:9 list l: block\n"
        "    after   p.yaml:1:9 list l: local data\n"
        "  8.8.3.1: passes -> refused\n"
        "    after   p.yaml:1:9 list l: block\n");
  CHECK(speaks_of(told_json(diff(*old, *now)),
                  "{\"policy\":\"default\",\"range\":\"8.8.3.1\",\"before\":\"passes\","));
}

TEST_CASE("files that hold the same, read the same way, are one list") {
  const PolicyFolder one("ads.example\n"), same("ads.example\n"), other("bds.example\n");
  ListsByContent lists;
  const auto first = one.load(lists, "lists: [l.txt]");
  CHECK(first == same.load(lists, "lists: [l.txt]"));
  CHECK(first != other.load(lists, "lists: [l.txt]"));
  CHECK(first != same.load(lists, "lists: [{file: l.txt, subdomains: true}]"));
  CHECK(first != same.load(lists, "lists: [{file: l.txt, action: allow}]"));
}

// Lists in a policy: where they stand among rules and each other, what they say of answers, how they are
// named.
#include <map>

#include "rules/explain.h"
#include "rules/list.h"
#include "rules/list_text.h"
#include "support.h"

using namespace postern;
using postern::test::decide;
using postern::test::name;
using postern::test::told;

namespace {

// Files by name, read as the resolver reads them.
ListSource files(std::map<std::string, std::string> texts) {
  return [texts = std::move(texts)](const ListRequest& request) -> Result<std::shared_ptr<const List>> {
    const auto at = texts.find(request.file);
    if (at == texts.end()) return failure("cannot read list \"" + request.file + "\": it is not there");
    ListOptions options;
    options.file = request.file;
    options.format = request.format;
    options.subdomains = request.subdomains;
    options.allow_public_suffix = request.allow_public_suffix;
    return List::build(at->second, options, request.allows ? ListMeaning::allows : ListMeaning::as_written);
  };
}

const std::map<std::string, std::string>& texts() {
  static const std::map<std::string, std::string> all{
      {"block", "www.bad.example\n**.worse.example\nboth.example\n"},
      {"below", "*.www.bad.example\n"},
      {"open", "www.good.example\nboth.example\nimportant.example\n"},
      {"ads",
       "||ads.example^\n@@||ok.ads.example^\n||important.example^$important\n@@||bad.example^\n"
       "||typed.example^$dnstype=TXT\n||most.example^$denyallow=free.most.example\n"},
      {"trusted", "@@||both.example^$important\n||trusted.example^\n"},
      {"rpz",
       "$TTL 60\n@ SOA a. b. 1 2 3 4 5\nnx.example CNAME .\npair.example CNAME .\n*.pair.example CNAME "
       ".\nempty.example CNAME *.\ndrop.example CNAME "
       "rpz-drop.\nown.example A 192.0.2.7\n24.0.113.0.203.rpz-ip CNAME .\n24.0.51.51.51.rpz-ip CNAME .\n"},
      {"answers",
       "$TTL 60\n@ SOA a. b. 1 2 3 4 5\nwww.shop.example.com A 198.51.100.7\n*.wild.example A "
       "198.51.100.8\n"},
      {"images", "img.cdn.example.com\n*.deep.cdn2.example.com\n"},
      {"lifted", "||cdn.example.com^\n@@||img.cdn.example.com^\n"},
      {"only6", "|only6.example.com^$dnstype=AAAA\n|not4.example.com^$dnstype=~A\n"},
      {"special", "db.internal\nlocalhost\nplain\n"},
      {"walled",
       "$TTL 60\n@ SOA a. b. 1 2 3 4 5\n24.0.1.8.8.rpz-ip A 9.9.1.1\n25.0.1.8.8.rpz-ip CNAME .\n"
       "32.1.1.8.8.rpz-ip CNAME rpz-passthru.\n25.0.3.8.8.rpz-ip CNAME *.\n119.8000.zz.8844.2001.rpz-ip AAAA "
       "2001:4860::1\n"
       "32.0.0.0.10.rpz-ip A 9.9.1.1\n"},
      {"wide", "$TTL 60\n@ SOA a. b. 1 2 3 4 5\n8.0.0.0.8.rpz-ip A 9.9.1.2\n"},
  };
  return all;
}

std::shared_ptr<const Policy> policy_with_lists(const std::string& yaml) {
  const auto set = PolicySet::parse(yaml, "p.yaml", files(texts()));
  REQUIRE_MESSAGE(set.has_value(), (set ? "" : set.error().message));
  return (*set)->find("");
}

std::string error_with_lists(const std::string& yaml) {
  const auto set = PolicySet::parse(yaml, "p.yaml", files(texts()));
  return set ? "no error" : set.error().message;
}

}  // namespace

TEST_CASE("inline rules come before lists, lists before the default") {
  const struct {
    const char* why;
    const char* yaml;
    const char* name;
    const char* told;
  } rows[] = {
      {"a list blocks", "lists: [block]", "www.bad.example", "NODATA list"},
      {"not what is beside it", "lists: [block]", "ww.bad.example", "allow default"},
      {"not what is below an exact name", "lists: [block]", "x.www.bad.example", "allow default"},
      {"any depth where it says so", "lists: [block]", "a.b.worse.example", "NXDOMAIN list"},
      {"plain names with what is below", "lists: [{file: block, subdomains: true}]", "x.www.bad.example",
       "NXDOMAIN list"},
      {"an inline allow wins", "{lists: [block], allow: [www.bad.example]}", "www.bad.example", "allow rule"},
      {"however far up it stands", "{lists: [block], allow: ['**.bad.example']}", "www.bad.example",
       "allow rule"},
      {"also `*`", "{lists: [block], allow: ['*'], allow_public_suffix: true}", "www.bad.example",
       "allow rule"},
      {"also an expression", "{lists: [block], allow: ['/bad/']}", "www.bad.example", "allow rule"},
      {"a list before the default", "{default: block, lists: [{file: open, action: allow}]}",
       "www.good.example", "allow list"},
      {"the default for the rest", "{default: block, lists: [{file: open, action: allow}]}",
       "ftp.good.example", "NXDOMAIN default"},
      {"above what a list allows NXDOMAIN would deny it",
       "{default: block, lists: [{file: open, action: allow}]}", "good.example", "NODATA default"},
      {"and not above what it does not", "{default: block, lists: [{file: block}]}", "bad.example",
       "NXDOMAIN default"},
      {"an inline block wins", "{lists: [{file: open, action: allow}], block: ['*.good.example']}",
       "www.good.example", "NXDOMAIN rule"},
      {"a special name wins", "{lists: [{file: special, action: allow}]}", "db.internal",
       "local NXDOMAIN special_use"},
      {"so does a single label", "{lists: [{file: special, action: allow}]}", "plain",
       "local NXDOMAIN single_label"},
      {"a hosts entry wins", "{lists: [block], hosts: {www.bad.example: 10.0.0.1}}", "www.bad.example",
       "local data local_data"},

      {"block over allow", "lists: [{file: open, action: allow}, block]", "both.example", "NODATA list"},
      {"in whatever order", "lists: [block, {file: open, action: allow}]", "both.example", "NODATA list"},
      {"important allow over block", "lists: [block, {file: trusted, action: allow}]", "both.example",
       "allow list"},
      {"important block over important allow is a block", "lists: [ads, {file: open, action: allow}]",
       "important.example", "NXDOMAIN list"},
      {"an exception lifts its own list's block", "lists: [ads]", "ok.ads.example", "allow default"},
      {"which NXDOMAIN for the name above would undo", "lists: [ads]", "ads.example", "NODATA list"},
      {"and for its sibling would not", "lists: [ads]", "no.ads.example", "NXDOMAIN list"},
      {"and opens nothing", "{default: block, lists: [ads]}", "ok.ads.example", "NXDOMAIN default"},
      {"nor lifts another list's", "lists: [block, ads]", "www.bad.example", "NODATA list"},
      {"but in a list that allows it allows", "{default: block, lists: [{file: ads, action: allow}]}",
       "ok.ads.example", "allow list"},
      {"only these types", "lists: [ads]", "typed.example", "allow default"},
      {"all but these names", "lists: [ads]", "x.most.example", "NXDOMAIN list"},
      {"all but these names", "lists: [ads]", "x.free.most.example", "allow default"},
      {"which NXDOMAIN above them would undo", "lists: [ads]", "most.example", "NODATA list"},

      {"RPZ NXDOMAIN", "{default: block, lists: [rpz]}", "nx.example", "NXDOMAIN list"},
      {"which would deny the names below, if they are open", "lists: [rpz]", "nx.example", "NODATA list"},
      {"RPZ has both in two records", "lists: [rpz]", "pair.example", "NXDOMAIN list"},
      {"also from two lists", "lists: [block, below]", "www.bad.example", "NXDOMAIN list"},
      {"below it an exception further up counts for its own list", "lists: [below, ads]", "x.www.bad.example",
       "NXDOMAIN list"},
      {"RPZ NODATA", "lists: [rpz]", "empty.example", "NODATA list"},
      {"RPZ DROP", "lists: [rpz]", "drop.example", "no reply list"},
      {"RPZ local data", "lists: [rpz]", "own.example", "local data list"},

      {"observed", "lists: [{file: block, observe: true}]", "www.bad.example", "allow list"},
      {"observing blocks, not allows",
       "{mode: observe, default: block, lists: [block, {file: open, action: allow}]}", "both.example",
       "allow list"},
  };
  for (const auto& row : rows) {
    CAPTURE(row.why);
    CAPTURE(row.yaml);
    CAPTURE(row.name);
    const auto one = policy_with_lists(row.yaml);
    CHECK(decide(*one, row.name) == row.told);
    (void)one->explain({name(row.name), type::A});  // checks itself against the verdict
  }
}

TEST_CASE("a refused name stands above or beside what is allowed, and NXDOMAIN would deny that too") {
  const struct {
    const char* why;
    const char* yaml;
    const char* name;
    const char* told;
    Type type = type::A;
  } rows[] = {
      {"a list answers a name below", "{default: block, lists: [answers]}", "shop.example.com",
       "NODATA default"},
      {"however far", "{default: block, lists: [answers]}", "example.com", "NODATA default"},
      {"up to its top-level domain", "{default: block, lists: [answers]}", "com",
       "local NODATA single_label"},
      {"and up to that of what a list allows", "{default: block, lists: [{file: images, action: allow}]}",
       "com", "local NODATA single_label"},
      {"and no other", "{default: block, lists: [{file: images, action: allow}]}", "org",
       "local NXDOMAIN single_label"},
      {"not beside it", "{default: block, lists: [answers]}", "shop2.example.com", "NXDOMAIN default"},
      {"not below it", "{default: block, lists: [answers]}", "x.www.shop.example.com", "NXDOMAIN default"},
      {"a list answers all names below", "{default: block, lists: [answers]}", "wild.example",
       "NODATA default"},
      {"a rule blocks above it", "{default: block, lists: [answers], block: [shop.example.com]}",
       "shop.example.com", "NODATA rule"},
      {"an exception of a list that blocks opens nothing", "{default: block, lists: [ads]}", "bad.example",
       "NXDOMAIN default"},

      {"a rule blocks above what a list allows",
       "{default: block, lists: [{file: images, action: allow}], block: [cdn.example.com]}",
       "cdn.example.com", "NODATA rule"},
      {"above all that it allows",
       "{default: block, lists: [{file: images, action: allow}], block: [deep.cdn2.example.com]}",
       "deep.cdn2.example.com", "NODATA rule"},
      {"not beside it", "{default: block, lists: [{file: images, action: allow}], block: [cdn3.example.com]}",
       "cdn3.example.com", "NXDOMAIN rule"},
      {"a rule that blocks those below, too, leaves nothing",
       "{default: block, lists: [{file: images, action: allow}], block: ['**.cdn.example.com']}",
       "cdn.example.com", "NXDOMAIN rule"},
      {"a rule blocks above what its own list lifts", "{lists: [lifted], block: [cdn.example.com]}",
       "cdn.example.com", "NODATA rule"},

      {"other types are allowed", "{default: block, lists: [{file: only6, action: allow}]}",
       "only6.example.com", "NODATA default"},
      {"this one is", "{default: block, lists: [{file: only6, action: allow}]}", "only6.example.com",
       "allow list", type::AAAA},
      {"all others are", "{default: block, lists: [{file: only6, action: allow}]}", "not4.example.com",
       "NODATA default"},
      {"not of a name below", "{default: block, lists: [{file: only6, action: allow}]}",
       "x.only6.example.com", "NXDOMAIN default"},
  };
  for (const auto& row : rows) {
    CAPTURE(row.why);
    CAPTURE(row.yaml);
    CAPTURE(row.name);
    const auto one = policy_with_lists(row.yaml);
    CHECK(decide(*one, row.name, row.type) == row.told);
    (void)one->explain({name(row.name), row.type});
  }
}

TEST_CASE("what an observed list would answer itself goes on record, too") {
  const auto one = policy_with_lists("lists: [{file: answers, observe: true}]");
  const Query asked{name("www.shop.example.com"), type::A};
  const Verdict verdict = one->decide(asked);
  CHECK(verdict.action == Action::allow);
  CHECK(verdict.observed);
  CHECK(verdict.reason == Reason::list);
  CHECK(one->rule_text(verdict.rule) == "would block: p.yaml:1:9 list answers: local data");
  CHECK(one->explain(asked).rule == "would block: p.yaml:1:9 list answers: local data (line 3)");
  CHECK_FALSE(one->decide({name("shop.example.com"), type::A}).observed);
  // Local data of the policy itself is no observation.
  const auto host = policy_with_lists("{mode: observe, default: block, hosts: {a.example: 10.0.0.1}}");
  CHECK_FALSE(host->decide({name("a.example"), type::A}).observed);
}

TEST_CASE("a name that only a list permits must still have a permitted form and type") {
  const auto one = policy_with_lists("{default: block, lists: [{file: open, action: allow}]}");
  CHECK(decide(*one, "www.good.example", type::NULL_) == "NODATA type");
  CHECK(decide(*policy_with_lists("lists: [ads]"), "typed.example", type::TXT) ==
        "NODATA list");  // it has an address
}

TEST_CASE("a rule's text names the list, an explanation also the line") {
  const auto one = policy_with_lists("{lists: [ads, block], allow: ['**.most.example']}");
  CHECK(postern::test::rule_for(*one, "www.bad.example") == "p.yaml:1:15 list block: block");
  const Explanation told = one->explain({name("www.bad.example"), type::A});
  CHECK(told.rule == "p.yaml:1:15 list block: block (line 1)");
  const Explanation allowed = one->explain({name("x.most.example"), type::A});
  REQUIRE(allowed.overruled.size() == 2);
  CHECK(allowed.overruled[0].rule == "p.yaml:1:10 list ads: block (line 6)");
  CHECK(allowed.overruled[0].why == "inline rules come before lists");
  const auto observed = policy_with_lists("lists: [{file: block, observe: true}]");
  CHECK(postern::test::rule_for(*observed, "www.bad.example") == "would block: p.yaml:1:9 list block: block");
  CHECK(observed->decide({name("www.bad.example"), type::A}).observed);
}

TEST_CASE("targets in answers fall to lists, and addresses to rpz-ip, except where an exception names them") {
  const auto answer_with = [](const Record& record) {
    Answer answer;
    answer.answer.push_back(record);
    return answer;
  };
  const Query asked{name("www.example.org"), type::A};
  const auto bad = policy_with_lists("lists: [block]");
  const Name worse = name("x.worse.example");
  const std::vector<std::uint8_t> target(worse.wire().begin(), worse.wire().end());
  const AnswerVerdict alias = bad->inspect(asked, answer_with({asked.name, type::CNAME, 60, target}));
  CHECK_FALSE(alias.pass);
  CHECK(alias.reason == Reason::answer_target);
  CHECK(bad->rule_text(alias.rule) == "p.yaml:1:9 list block: block");

  const auto address = [&](std::uint8_t a, std::uint8_t b, std::uint8_t c, std::uint8_t d) {
    return answer_with({asked.name, type::A, 60, {a, b, c, d}});
  };
  const auto ranges = policy_with_lists("lists: [rpz]");
  CHECK(ranges->inspect(asked, address(51, 51, 50, 255)).pass);
  const AnswerVerdict inside = ranges->inspect(asked, address(51, 51, 51, 0));
  CHECK_FALSE(inside.pass);
  CHECK(inside.reason == Reason::answer_address);
  CHECK_FALSE(ranges->inspect(asked, address(51, 51, 51, 255)).pass);
  CHECK(ranges->inspect(asked, address(51, 51, 52, 0)).pass);
  const auto excepted = policy_with_lists("{lists: [rpz], answers: {allow: [51.51.51.7]}}");
  CHECK(excepted->inspect(asked, address(51, 51, 51, 7)).pass);
  CHECK_FALSE(excepted->inspect(asked, address(51, 51, 51, 8)).pass);
}

TEST_CASE("rpz-ip with records: the first list, then the longest prefix, then the lowest address replaces") {
  // An answer of these addresses, judged: "pass", the rule, and the last octet of what replaces it.
  const auto judged = [](const Policy& policy, std::initializer_list<const char*> addresses,
                         Type type = type::A) {
    Answer answer;
    for (const char* text : addresses) {
      const Address address = *Address::parse(text);
      const auto octets = address.octets();
      answer.answer.push_back({name("www.example.org"),
                               address.v6 ? type::AAAA : type::A,
                               60,
                               {octets.begin(), octets.begin() + (address.v6 ? 16 : 4)}});
    }
    const AnswerVerdict verdict = policy.inspect({name("www.example.org"), type}, answer);
    std::string out(verdict.pass ? "pass" : policy.rule_text(verdict.rule));
    if (verdict.observed) out += " observed " + std::string(policy.rule_text(verdict.rule));
    if (verdict.local != nullptr)
      out += " " + std::to_string(verdict.local->answer.at(0).rdata.back()) + " for record " +
             std::to_string(verdict.record);
    return out;
  };
  const auto walled = policy_with_lists("lists: [walled]");
  CHECK(judged(*walled, {"8.8.0.255"}) == "pass");
  CHECK(judged(*walled, {"8.8.1.128"}) == "p.yaml:1:9 list walled: local data 1 for record 0");
  CHECK(judged(*walled, {"8.8.1.255", "8.8.0.1"}) == "p.yaml:1:9 list walled: local data 1 for record 0");
  CHECK(judged(*walled, {"8.8.2.0"}) == "pass");
  CHECK(judged(*walled, {"8.8.1.127"}) == "p.yaml:1:9 list walled: block");
  CHECK(judged(*walled, {"8.8.1.128", "8.8.1.127"}) == "p.yaml:1:9 list walled: block");
  CHECK(judged(*walled, {"8.8.1.128"}, type::AAAA) == "p.yaml:1:9 list walled: no data");
  CHECK(judged(*walled, {"8.8.3.1", "8.8.1.127"}) == "p.yaml:1:9 list walled: block");
  CHECK(judged(*walled, {"8.8.3.1", "8.8.1.128"}) == "p.yaml:1:9 list walled: no data");
  // An exception lifts what the list says of that address, not of the answer.
  CHECK(judged(*walled, {"8.8.1.1"}) == "pass");
  CHECK(judged(*walled, {"8.8.1.1", "8.8.1.128"}) == "p.yaml:1:9 list walled: local data 1 for record 1");
  // 24 bits of IPv4 are 120 of an IPv4-mapped address.
  CHECK(judged(*walled, {"2001:8844::8000", "8.8.1.128"}) ==
        "p.yaml:1:9 list walled: local data 1 for record 1");
  // Built-in classes come first, whatever stands in front.
  CHECK(judged(*walled, {"10.0.0.0"}).starts_with("answer address is private"));
  CHECK(judged(*walled, {"8.8.1.128", "10.9.9.9"}).starts_with("answer address is private"));

  const auto both = policy_with_lists("lists: [wide, walled]");
  CHECK(judged(*both, {"8.8.1.127"}) == "p.yaml:1:9 list wide: local data 2 for record 0");
  CHECK(judged(*both, {"8.8.1.1"}) == "p.yaml:1:9 list wide: local data 2 for record 0");
  CHECK(judged(*both, {"8.255.255.255", "8.0.0.0"}) == "p.yaml:1:9 list wide: local data 2 for record 0");
  const auto turned = policy_with_lists("lists: [walled, wide]");
  CHECK(judged(*turned, {"8.8.1.1"}) == "p.yaml:1:17 list wide: local data 2 for record 0");
  CHECK(judged(*turned, {"9.0.0.0"}) == "pass");
  const auto excepted = policy_with_lists("{lists: [wide], answers: {allow: [8.0.0.0/9]}}");
  CHECK(judged(*excepted, {"8.127.255.255"}) == "pass");
  CHECK(judged(*excepted, {"8.128.0.0"}) == "p.yaml:1:10 list wide: local data 2 for record 0");
  const auto observed = policy_with_lists("lists: [{file: wide, observe: true}]");
  CHECK(judged(*observed, {"8.8.8.8"}) == "pass observed would block: p.yaml:1:9 list wide: local data");
}

TEST_CASE("an outline counts a list's entries and what was skipped, a list is read once") {
  int reads = 0;
  const ListSource counted = [&](const ListRequest& request) {
    ++reads;
    return files(texts())(request);
  };
  const auto set = PolicySet::parse("policies: {a: {lists: [ads, block]}, b: {extends: a, lists: [ads]}}",
                                    "p.yaml", counted);
  REQUIRE(set.has_value());
  CHECK(reads == 2);
  const PolicyOutline outline = (*set)->find("b")->outline();
  REQUIRE(outline.lists.size() == 3);
  CHECK(outline.lists[0].list->report().entries == 6);
}

TEST_CASE("a mistake about a list is told with its place") {
  CHECK(error_with_lists("lists: block") == "p.yaml:1:8: lists is a list, here is a single value \"block\"");
  CHECK(error_with_lists("lists: [none]") == "p.yaml:1:9: cannot read list \"none\": it is not there");
  CHECK(error_with_lists("lists: [{format: rpz}]") == "p.yaml:1:9: a list has a file");
  CHECK(error_with_lists("lists: [{file: block, format: zip}]") ==
        "p.yaml:1:31: format is domains, hosts, adblock or rpz, here is \"zip\"");
  CHECK(error_with_lists("lists: [{file: block, acton: allow}]") ==
        "p.yaml:1:23: unknown key \"acton\" in a list; known are file, format, action, subdomains, "
        "allow_public_suffix or observe");
  CHECK(error_with_lists("lists: [{file: block, action: allow, observe: true}]") ==
        "p.yaml:1:9: a list that allows has nothing to observe");
  CHECK(PolicySet::parse("lists: [block]", "p.yaml").error().message ==
        "p.yaml:1:9: no list can be read here: \"block\"");
  std::string many = "lists: [block";
  for (int i = 1; i < 32; ++i) many += ", block";
  CHECK(error_with_lists(many + "]") == "no error");
  CHECK(error_with_lists(many + ", block]").ends_with("a policy uses at most 32 lists"));
}

// List: what one list says of a query, by the rules of its own format.
#include "rules/list.h"

#include <random>

#include "support.h"

using namespace postern;
using postern::test::name;

namespace {

struct Written {
  std::string pattern;
  ListAction action = ListAction::block;
  bool important = false;
  ListDetail detail = {};
  bool has_detail = false;
};

ListDetail for_types(std::vector<Type> types, bool excluded = false) {
  ListDetail detail;
  detail.types = std::move(types);
  detail.types_excluded = excluded;
  return detail;
}
ListDetail except(std::initializer_list<const char*> names) {
  ListDetail detail;
  for (const char* one : names) detail.except.push_back(name(one));
  return detail;
}
ListDetail records(std::initializer_list<Record> some) {
  ListDetail detail;
  detail.local.answer = some;
  return detail;
}
Record address_record(std::uint8_t last) {
  return {Name{}, type::A, 60, {10, 0, 0, last}};
}

std::shared_ptr<const List> list(ListFormat format, const std::vector<Written>& entries,
                                 const std::vector<ListRange>& ranges = {}) {
  ListBuilder builder;
  std::uint32_t line = 0;
  for (const Written& one : entries) {
    const auto pattern = Pattern::parse(one.pattern, PublicSuffixWildcards::allowed);
    REQUIRE(pattern.has_value());
    builder.entry({pattern->base, pattern->scope, one.action, one.important, ++line},
                  one.has_detail ? &one.detail : nullptr);
  }
  for (const ListRange& range : ranges) builder.range(range, nullptr);
  ListReport report;
  report.format = format;
  report.entries = entries.size();
  report.ranges = ranges.size();
  const auto made = builder.finish(std::move(report));
  REQUIRE(made.has_value());
  return *made;
}

// "silent", "block 3", "local 1 important": action and line of the entry that decided.
std::string judged(const List& list, std::string_view text, Type type = type::A) {
  const ListFinding finding = list.judge({name(text), type});
  if (!finding.spoke) return "silent";
  static constexpr const char* words[] = {"block", "no_data", "drop", "allow", "local"};
  CHECK((finding.local != nullptr) == (finding.action == ListAction::local));
  if (finding.local != nullptr) CHECK(!finding.local->answer.empty());
  return words[static_cast<int>(finding.action)] + (" " + std::to_string(finding.line)) +
         (finding.important ? " important" : "");
}

bool opens_beneath(const List& list, std::string_view text) {
  return list.judge({name(text), type::A}).allowed_beneath;
}

}  // namespace

TEST_CASE("a list without entries is silent") {
  const auto empty = list(ListFormat::domains, {});
  CHECK(judged(*empty, "example.com") == "silent");
  CHECK(judged(*empty, ".") == "silent");
  CHECK(empty->range_for(*Address::parse("10.0.0.1")) == nullptr);
  CHECK(!empty->has_ranges());
}

TEST_CASE("the entry that decides is the most specific one") {
  const auto made =
      list(ListFormat::domains, {{"**.example.com"}, {"ads.example.com"}, {"*.ads.example.com"}});
  CHECK(judged(*made, "example.com") == "block 1");
  CHECK(judged(*made, "www.example.com") == "block 1");
  CHECK(judged(*made, "ads.example.com") == "block 2");
  CHECK(judged(*made, "x.ads.example.com") == "block 3");
  CHECK(judged(*made, "example.org") == "silent");
  const ListFinding finding = made->judge({name("a.b.ads.example.com"), type::A});
  CHECK(finding.depth == 3);
  CHECK(finding.scope == Pattern::Scope::below);
}

TEST_CASE("adblock: an exception lifts a block, however specific; important beats all that is not") {
  const auto made = list(ListFormat::adblock, {{"**.a.example"},
                                               {"**.deep.a.example"},
                                               {"**.a.example", ListAction::allow},
                                               {"**.b.example", ListAction::block, true},
                                               {"**.x.b.example", ListAction::allow},
                                               {"**.c.example", ListAction::block, true},
                                               {"**.c.example", ListAction::allow, true},
                                               {"**.d.example", ListAction::allow, true},
                                               {"**.d.example"}});
  CHECK(judged(*made, "a.example") == "allow 3");
  CHECK(judged(*made, "deep.a.example") == "allow 3");
  CHECK(judged(*made, "b.example") == "block 4 important");
  CHECK(judged(*made, "x.b.example") == "block 4 important");
  CHECK(judged(*made, "c.example") == "allow 7 important");
  CHECK(judged(*made, "d.example") == "allow 8 important");
}

TEST_CASE("RPZ: the exact name beats a wildcard, the longer wildcard the shorter, whatever they say") {
  const auto made = list(ListFormat::rpz, {{"*.example.com"},
                                           {"www.example.com", ListAction::allow},
                                           {"*.www.example.com", ListAction::no_data},
                                           {"ok.www.example.com", ListAction::drop},
                                           {"*.example.org", ListAction::allow},
                                           {"bad.example.org"},
                                           {"*.bad.example.org"}});
  CHECK(judged(*made, "example.com") == "silent");
  CHECK(judged(*made, "a.example.com") == "block 1");
  CHECK(judged(*made, "www.example.com") == "allow 2");
  CHECK(judged(*made, "a.www.example.com") == "no_data 3");
  CHECK(judged(*made, "ok.www.example.com") == "drop 4");
  CHECK(judged(*made, "a.example.org") == "allow 5");
  CHECK(judged(*made, "bad.example.org") == "block 6");
  CHECK(judged(*made, "x.bad.example.org") == "block 7");
}

TEST_CASE("$dnstype: an entry for other types is not there") {
  const auto made =
      list(ListFormat::adblock,
           {{"**.a.example", ListAction::block, false, for_types({type::AAAA, type::HTTPS}), true},
            {"**.b.example", ListAction::block, false, for_types({type::A}, true), true},
            {"**.c.example"},
            {"**.c.example", ListAction::allow, false, for_types({type::TXT}), true}});
  CHECK(judged(*made, "a.example", type::A) == "silent");
  CHECK(judged(*made, "a.example", type::AAAA) == "block 1");
  CHECK(judged(*made, "x.a.example", type::HTTPS) == "block 1");
  CHECK(judged(*made, "b.example", type::A) == "silent");
  CHECK(judged(*made, "b.example", type::AAAA) == "block 2");
  CHECK(judged(*made, "c.example", type::A) == "block 3");
  CHECK(judged(*made, "c.example", type::TXT) == "allow 4");
}

TEST_CASE("$denyallow: an entry is not about the names it leaves out, nor what is below them") {
  const auto made =
      list(ListFormat::adblock,
           {{"**.example", ListAction::block, false, except({"good.example", "fine.x.example"}), true}});
  CHECK(judged(*made, "bad.example") == "block 1");
  CHECK(judged(*made, "good.example") == "silent");
  CHECK(judged(*made, "www.good.example") == "silent");
  CHECK(judged(*made, "notgood.example") == "block 1");
  CHECK(judged(*made, "x.example") == "block 1");
  CHECK(judged(*made, "a.fine.x.example") == "silent");
}

TEST_CASE("records are answered for their own types; another type finds none") {
  Record text{Name{}, type::TXT, 60, {1, 'x'}};
  const auto made = list(
      ListFormat::rpz,
      {{"a.example", ListAction::local, false, records({address_record(1), text, address_record(2)}), true},
       {"b.example", ListAction::local, false,
        records({{Name{}, type::CNAME, 60, {1, 'c', 0}}, address_record(3)}), true},
       {"c.example", ListAction::local}});
  CHECK(judged(*made, "a.example") == "local 1");
  CHECK(made->judge({name("a.example"), type::A}).local->answer.size() == 2);
  CHECK(made->judge({name("a.example"), type::TXT}).local->answer.size() == 1);
  CHECK(judged(*made, "a.example", type::AAAA) == "no_data 1");
  for (const Type type : {type::A, type::AAAA, type::CNAME}) {
    const ListFinding finding = made->judge({name("b.example"), type});
    REQUIRE(finding.local != nullptr);
    REQUIRE(finding.local->answer.size() == 1);
    CHECK(finding.local->answer[0].type == type::CNAME);
  }
  CHECK(judged(*made, "c.example") == "no_data 3");
}

TEST_CASE("at the same name a block beats records, and records in front of a wildcard stand") {
  const auto made = list(ListFormat::hosts,
                         {{"a.example", ListAction::local, false, records({address_record(1)}), true},
                          {"a.example"},
                          {"**.example.org"},
                          {"db.example.org", ListAction::local, false, records({address_record(2)}), true}});
  CHECK(judged(*made, "a.example") == "block 2");
  CHECK(judged(*made, "db.example.org") == "local 4");
}

TEST_CASE("what is allowed strictly below a name is known, with its neighbours") {
  const auto made = list(ListFormat::adblock,
                         {{"**.example.com"},
                          {"ok.deep.example.com", ListAction::allow},
                          {"*.wild.example.org", ListAction::allow},
                          {"db.example.net", ListAction::local, false, records({address_record(1)}), true}});
  for (const char* above : {"deep.example.com", "example.com", "com", ".", "wild.example.org", "example.org",
                            "org", "x.wild.example.org", "a.b.wild.example.org", "example.net"}) {
    CAPTURE(above);
    CHECK(opens_beneath(*made, above));
  }
  for (const char* other : {"ok.deep.example.com", "x.ok.deep.example.com", "eep.example.com",
                            "x.deep.example.com", "wildx.example.org", "db.example.net", "b.example.net"}) {
    CAPTURE(other);
    CHECK(!opens_beneath(*made, other));
  }
}

TEST_CASE("a list that allows: blocks and exceptions open names, the rest counts for nothing") {
  ListBuilder builder(ListMeaning::allows);
  const ListDetail some = records({address_record(1)});
  builder.entry({name("a.example"), Pattern::Scope::at_or_below, ListAction::block, false, 1}, nullptr);
  builder.entry({name("b.example"), Pattern::Scope::exact, ListAction::allow, false, 2}, nullptr);
  builder.entry({name("c.example"), Pattern::Scope::exact, ListAction::local, false, 3}, &some);
  builder.entry({name("d.example"), Pattern::Scope::exact, ListAction::no_data, false, 4}, nullptr);
  builder.range({*AddressRange::parse("10.0.0.0/8"), ListAction::block, 5}, nullptr);
  ListReport report;
  report.entries = 4;
  report.ranges = 1;
  const auto made = builder.finish(report);
  REQUIRE(made.has_value());
  CHECK(judged(**made, "x.a.example") == "allow 1");
  CHECK(judged(**made, "b.example") == "allow 2");
  CHECK(judged(**made, "c.example") == "silent");
  CHECK(judged(**made, "d.example") == "allow 4");
  CHECK(opens_beneath(**made, "example"));
  CHECK(!(*made)->has_ranges());
  CHECK((*made)->report().entries == 3);
  CHECK((*made)->report().ranges == 0);
  CHECK((*made)->report().skipped_lines() == 2);
}

TEST_CASE("ranges: the longest that holds the address, at its edges") {
  const auto range = [](const char* text, ListAction action, std::uint32_t line) {
    const auto parsed = AddressRange::parse(text);
    REQUIRE(parsed.has_value());
    return ListRange{*parsed, action, line};
  };
  const auto made =
      list(ListFormat::rpz, {},
           {range("10.0.0.0/8", ListAction::block, 1), range("10.1.0.0/16", ListAction::allow, 2),
            range("10.1.255.255/32", ListAction::drop, 3), range("10.1.0.0/24", ListAction::block, 4),
            range("255.255.255.0/24", ListAction::block, 5), range("fd00::/8", ListAction::block, 6),
            range("fdff:ffff:ffff:ffff::/64", ListAction::drop, 7), range("ffff::/16", ListAction::block, 8),
            range("9.9.9.9", ListAction::allow, 9), range("9.9.9.9", ListAction::block, 10)});
  const auto line_of = [&](const char* text) {
    const ListRange* const found = made->range_for(*Address::parse(text));
    return found == nullptr ? 0 : found->line;
  };
  CHECK(line_of("9.255.255.255") == 0);
  CHECK(line_of("10.0.0.0") == 1);
  CHECK(line_of("10.0.255.255") == 1);
  CHECK(line_of("10.1.0.0") == 4);
  CHECK(line_of("10.1.0.255") == 4);
  CHECK(line_of("10.1.1.0") == 2);
  CHECK(line_of("10.1.255.254") == 2);
  CHECK(line_of("10.1.255.255") == 3);
  CHECK(line_of("10.2.0.0") == 1);
  CHECK(line_of("10.255.255.255") == 1);
  CHECK(line_of("11.0.0.0") == 0);
  CHECK(line_of("255.255.255.255") == 5);
  CHECK(line_of("::") == 0);
  CHECK(line_of("fcff:ffff:ffff:ffff:ffff:ffff:ffff:ffff") == 0);
  CHECK(line_of("fd00::") == 6);
  CHECK(line_of("fdff:ffff:ffff:fffe:ffff:ffff:ffff:ffff") == 6);
  CHECK(line_of("fdff:ffff:ffff:ffff::") == 7);
  CHECK(line_of("fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff") == 7);
  CHECK(line_of("fe00::") == 0);
  CHECK(line_of("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff") == 8);
  CHECK(line_of("9.9.9.9") == 10);  // a tie blocks
  CHECK(line_of("9.9.9.8") == 0);
  CHECK(line_of("9.9.9.10") == 0);
  const auto all = list(ListFormat::rpz, {},
                        {range("0.0.0.0/0", ListAction::block, 1), range("::/0", ListAction::drop, 2)});
  CHECK(all->range_for(*Address::parse("255.255.255.255"))->line == 1);
  CHECK(all->range_for(*Address::parse("::"))->line == 2);
}

TEST_CASE("ranges with records: those of the type, an alias for every type, else no data; a tie blocks") {
  ListBuilder builder;
  const ListDetail v4 = records({address_record(1), address_record(2)});
  const ListDetail alias = records({{Name{}, type::CNAME, 60, {0}}});
  const auto add = [&](const char* text, ListAction action, const ListDetail* detail) {
    builder.range({*AddressRange::parse(text), action, 1}, detail);
  };
  add("8.8.0.0/16", ListAction::local, &v4);
  add("8.8.8.0/24", ListAction::local, &alias);
  add("9.9.9.9", ListAction::local, &v4);
  add("9.9.9.9", ListAction::block, nullptr);
  add("9.9.9.8", ListAction::local, nullptr);  // records that nobody gave
  ListReport report;
  report.ranges = 5;
  const auto made = builder.finish(report);
  REQUIRE(made.has_value());
  const auto said = [&](const char* text, Type type) {
    const RangeFinding found = (*made)->judge_address(*Address::parse(text), type);
    if (found.range == nullptr) return std::string("silent");
    CHECK((found.action == ListAction::local) == (found.local != nullptr));
    if (found.local != nullptr) return "local " + std::to_string(found.local->answer.size());
    return std::string(found.action == ListAction::no_data ? "no data" : "block");
  };
  CHECK(said("8.8.255.255", type::A) == "local 2");
  CHECK(said("8.8.255.255", type::AAAA) == "no data");
  CHECK(said("8.8.8.255", type::AAAA) == "local 1");
  CHECK(said("8.9.0.0", type::A) == "silent");
  CHECK(said("9.9.9.9", type::A) == "block");
  CHECK(said("9.9.9.8", type::A) == "no data");
}

TEST_CASE("ranges agree with a slow search on random ones") {
  std::mt19937_64 random(5);
  std::vector<ListRange> ranges;
  const auto random_address = [&](bool v6) {
    Address address{v6, v6 ? random() & 0xff00000000000003 : 0,
                    random() & (v6 ? 0xff00000000000003 : 0xff0000ff)};
    if (random() % 8 == 0) address.low = v6 ? ~std::uint64_t{0} : 0xffffffff;
    return address;
  };
  for (std::uint32_t i = 1; i <= 300; ++i) {
    const bool v6 = i % 2 == 0;
    ListRange range{
        {random_address(v6), static_cast<std::uint8_t>(random() % (v6 ? 129 : 33))}, ListAction::block, i};
    const Address base = range.range.base;  // clear what is outside of the prefix
    const unsigned spare = (v6 ? 128u : 32u) - range.range.length;
    range.range.base.low = spare >= 64 ? 0 : base.low >> spare << spare;
    if (spare > 64) range.range.base.high = spare == 128 ? 0 : base.high >> (spare - 64) << (spare - 64);
    ranges.push_back(range);
  }
  const auto made = list(ListFormat::rpz, {}, ranges);
  std::size_t held = 0;
  for (int i = 0; i < 20000; ++i) {
    const Address asked = random_address(random() % 2 == 0);
    const ListRange* best = nullptr;
    for (const ListRange& range : ranges)
      if (range.range.holds(asked) && (best == nullptr || range.range.length > best->range.length))
        best = &range;
    const ListRange* const found = made->range_for(asked);
    REQUIRE((found == nullptr) == (best == nullptr));
    if (found == nullptr) continue;
    ++held;
    REQUIRE(found->range.length == best->range.length);
    REQUIRE(found->range.base == best->range.base);
  }
  CHECK(held > 1000);
}

TEST_CASE("a list whose entries do not all fit is refused: without some it would block less") {
  const auto crowded = [](std::uint32_t entries) {
    ListBuilder builder;
    for (std::uint32_t i = 0; i < entries; ++i) {
      ListDetail detail = for_types({static_cast<Type>(i + 1)});
      builder.entry({name("a.example"), Pattern::Scope::exact, ListAction::block, false, i + 1}, &detail);
    }
    ListReport report;
    report.entries = entries;
    const auto made = builder.finish(report);
    return made ? std::to_string((*made)->report().entries) : made.error().message;
  };
  CHECK(crowded(NameSet::most_of_a_name) == "32");
  CHECK(crowded(NameSet::most_of_a_name + 1) ==
        "it has more than 32 entries for one name that differ in types, exceptions or records");

  // Each detail is a string of 64 KiB and about 50 octets more; 256 of them are 16 MiB.
  const auto with_details = [](std::uint32_t details, bool of_a_range) {
    ListBuilder builder;
    for (std::uint32_t i = 0; i < details; ++i) {
      std::vector<std::uint8_t> rdata(65535);
      rdata[0] = static_cast<std::uint8_t>(i);
      rdata[1] = static_cast<std::uint8_t>(i >> 8);
      const ListDetail detail = records({{Name{}, type::TXT, 60, std::move(rdata)}});
      if (of_a_range && i + 1 == details)
        builder.range({*AddressRange::parse("9.9.9.9"), ListAction::local, i + 1}, &detail);
      else
        builder.entry({name("n" + std::to_string(i) + ".example"), Pattern::Scope::exact, ListAction::local,
                       false, i + 1},
                      &detail);
    }
    const auto made = builder.finish({});
    return made ? std::string("made") : made.error().message;
  };
  CHECK(with_details(255, false) == "made");
  CHECK(with_details(256, false) == "line 256: its types, exceptions and records take more than 16 MiB");
  CHECK(with_details(255, true) == "made");
  CHECK(with_details(256, true) == "line 256: its types, exceptions and records take more than 16 MiB");
}

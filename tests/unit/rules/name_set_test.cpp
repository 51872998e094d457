// NameSet: against a slow model on random names, and at the edges of what a name may be.
#include "rules/name_set.h"

#include <algorithm>
#include <map>
#include <random>
#include <vector>

#include "rules/name_set_builder.h"
#include "rules/name_set_walk.h"
#include "support.h"

using namespace postern;
using postern::test::name;

namespace {

struct SetEntry {
  Pattern pattern;
  NameSet::Kind kind = 0;
  std::uint32_t line = 0;
  auto key() const { return std::tuple(pattern.base.text(), pattern.scope, kind); }
};

// (labels of the entry, scope, kind, line)
using SetHit = std::tuple<std::size_t, Pattern::Scope, unsigned, std::uint32_t>;

std::vector<SetHit> hits(const NameSet& set, const Name& asked) {
  std::vector<SetHit> found;
  set.walk(asked, [&](const NameSet::Entry& entry) {
    found.emplace_back(entry.depth, entry.scope, entry.kind, set.line(entry.index));
  });
  CHECK(std::is_sorted(found.begin(), found.end(),
                       [](const SetHit& a, const SetHit& b) { return std::get<0>(a) < std::get<0>(b); }));
  std::sort(found.begin(), found.end());
  return found;
}

std::vector<SetHit> expected_hits(const std::vector<SetEntry>& model, const Name& asked) {
  std::vector<SetHit> found;
  for (const SetEntry& entry : model)
    if (entry.pattern.matches(asked))
      found.emplace_back(entry.pattern.base.labels(), entry.pattern.scope, entry.kind, entry.line);
  std::sort(found.begin(), found.end());
  return found;
}

NameSetBuilder::Built built(const std::vector<SetEntry>& entries) {
  NameSetBuilder builder;
  for (const SetEntry& entry : entries)
    builder.add(entry.pattern.base, entry.pattern.scope, entry.kind, entry.line);
  Result<NameSetBuilder::Built> result = builder.build();
  REQUIRE(result.has_value());
  return std::move(*result);
}

// Names that meet: few letters, few labels; and now and then any octets, 127 labels or 255 octets.
Name random_set_name(std::mt19937& random) {
  std::vector<std::uint8_t> wire;
  const unsigned shape = random() % 16;
  const std::size_t labels = shape == 0 ? 127 : shape == 1 ? random() % 128 : random() % 6;
  const std::size_t longest = shape == 0 ? 1 : shape <= 2 ? 63 : 2;
  for (std::size_t i = 0; i < labels; ++i) {
    const std::size_t length = 1 + random() % longest;
    if (wire.size() + length + 2 > Name::max_octets) break;
    wire.push_back(static_cast<std::uint8_t>(length));
    for (std::size_t k = 0; k < length; ++k)
      wire.push_back(static_cast<std::uint8_t>(shape <= 2 ? random() % 256 : 'a' + random() % 2));
  }
  wire.push_back(0);
  const auto made = Name::from_wire(wire);
  REQUIRE(made.has_value());
  return *made;
}

Name child(const Name& parent, std::string_view label) {
  std::vector<std::uint8_t> wire{static_cast<std::uint8_t>(label.size())};
  wire.insert(wire.end(), label.begin(), label.end());
  wire.insert(wire.end(), parent.wire().begin(), parent.wire().end());
  const auto made = Name::from_wire(wire);
  return made ? *made : parent;
}

constexpr Pattern::Scope set_scopes[] = {Pattern::Scope::exact, Pattern::Scope::below,
                                         Pattern::Scope::at_or_below};

}  // namespace

TEST_CASE("an empty set holds nothing") {
  CHECK(hits(NameSet{}, name("example.com")).empty());
  const NameSet set = built({}).set;
  CHECK(set.empty());
  CHECK(hits(set, Name{}).empty());
  CHECK(hits(set, name("example.com")).empty());
  CHECK(set.line(0) == 0);
}

TEST_CASE("one name is found where its scope reaches, and nowhere else") {
  for (const Pattern::Scope scope : set_scopes) {
    const Pattern pattern{scope, name("ads.example.com")};
    const NameSet set = built({{pattern, 5, 17}}).set;
    CHECK(set.size() == 1);
    for (const char* text : {"ads.example.com", "x.ads.example.com", "a.b.c.ads.example.com",
                             "bads.example.com", "ads.example.co", "ads.example.comm", "example.com", "com",
                             ".", "ads.example.com.x", "adsexample.com", "ads-example.com"}) {
      CAPTURE(text);
      const std::vector<SetHit> found = hits(set, name(text));
      REQUIRE(found.size() == (pattern.matches(name(text)) ? 1u : 0u));
      if (!found.empty()) CHECK(found[0] == SetHit{3, scope, 5, 17});
    }
  }
}

TEST_CASE("the root as an entry reaches every name") {
  const NameSet set =
      built({{{Pattern::Scope::below, Name{}}, 1, 1}, {{Pattern::Scope::exact, Name{}}, 2, 2}}).set;
  CHECK(hits(set, Name{}) == std::vector<SetHit>{{0, Pattern::Scope::exact, 2, 2}});
  CHECK(hits(set, name("com")) == std::vector<SetHit>{{0, Pattern::Scope::below, 1, 1}});
  CHECK(hits(set, name("a.b.c")) == std::vector<SetHit>{{0, Pattern::Scope::below, 1, 1}});
}

TEST_CASE("a dot inside a label is no boundary") {
  const NameSet set = built({{{Pattern::Scope::at_or_below, name("a.b")}, 0, 1}}).set;
  CHECK(hits(set, name("a.b")).size() == 1);
  CHECK(hits(set, name("a\\.b")).empty());
  CHECK(hits(set, name("x\\001a.b")).empty());  // ends in the octets of a.b, inside a label
}

TEST_CASE("a name of 255 octets and one of 127 labels are entries like others") {
  std::string longest, deepest;
  for (int i = 0; i < 3; ++i) longest += std::string(63, static_cast<char>('a' + i)) + ".";
  longest += std::string(61, 'd');
  for (int i = 0; i < 127; ++i) deepest += "a.";
  const Name long_name = name(longest), deep_name = name(deepest);
  CHECK(long_name.size() == 255);
  CHECK(deep_name.labels() == 127);
  const NameSet set = built({{{Pattern::Scope::exact, long_name}, 1, 1},
                             {{Pattern::Scope::exact, deep_name}, 2, 2},
                             {{Pattern::Scope::below, deep_name.parent()}, 3, 70000}})
                          .set;
  CHECK(hits(set, long_name) == std::vector<SetHit>{{4, Pattern::Scope::exact, 1, 1}});
  CHECK(hits(set, long_name.parent()).empty());
  CHECK(hits(set, deep_name) ==
        std::vector<SetHit>{{126, Pattern::Scope::below, 3, 70000}, {127, Pattern::Scope::exact, 2, 2}});
  CHECK(hits(set, deep_name.parent()).empty());
}

TEST_CASE("equal entries are one, with the first line; other kinds and scopes stay") {
  const Pattern exact{Pattern::Scope::exact, name("a.example")},
      both{Pattern::Scope::at_or_below, name("a.example")};
  const NameSetBuilder::Built made =
      built({{exact, 1, 10}, {exact, 1, 11}, {exact, 2, 12}, {both, 1, 13}, {exact, 1, 14}});
  CHECK(made.repeated == 2);
  CHECK(made.set.size() == 3);
  CHECK(hits(made.set, name("a.example")) == std::vector<SetHit>{{2, Pattern::Scope::exact, 1, 10},
                                                                 {2, Pattern::Scope::exact, 2, 12},
                                                                 {2, Pattern::Scope::at_or_below, 1, 13}});
}

TEST_CASE("one name's entries are bounded, and an extra keeps equal ones apart") {
  NameSetBuilder builder;
  const Name crowded = name("crowded.example");
  for (std::uint32_t i = 0; i < NameSet::most_of_a_name + 3; ++i)
    builder.add(crowded, Pattern::Scope::exact, 0, i + 1, i + 1);
  builder.add(crowded, Pattern::Scope::exact, 0, 99, 1);  // like the first
  builder.add(name("other.example"), Pattern::Scope::exact, 0, 100, 7);
  Result<NameSetBuilder::Built> made = builder.build();
  REQUIRE(made.has_value());
  CHECK(made->crowded == 3);
  CHECK(made->repeated == 1);
  CHECK(hits(made->set, crowded).size() == NameSet::most_of_a_name);
  CHECK(made->extras.size() == NameSet::most_of_a_name + 1);
  CHECK(std::is_sorted(made->extras.begin(), made->extras.end()));
  for (const auto& [index, extra] : made->extras)
    CHECK(made->set.line(index) == (extra == 7 && made->set.line(index) == 100 ? 100 : extra));
}

TEST_CASE("a set agrees with a slow model on random names") {
  std::mt19937 random(20);
  for (const std::size_t count : {1, 2, 3, 10, 100, 1000}) {
    std::map<decltype(SetEntry{}.key()), SetEntry> distinct;
    std::vector<SetEntry> all;
    for (std::uint32_t i = 0; i < count; ++i) {
      SetEntry entry{{set_scopes[random() % 3], random_set_name(random)},
                     static_cast<NameSet::Kind>(random() % 8),
                     static_cast<std::uint32_t>(random() >> random() % 32)};
      if (all.size() % 7 == 3) entry.pattern.base = child(all[random() % all.size()].pattern.base, "n");
      all.push_back(entry);
    }
    const NameSetBuilder::Built made = built(all);
    std::vector<SetEntry> model;
    for (const SetEntry& entry : all)
      if (distinct.emplace(entry.key(), entry).second) model.push_back(entry);
    CHECK(made.crowded == 0);
    CHECK(made.set.size() == model.size());
    CHECK(made.repeated == all.size() - model.size());
    std::size_t found = 0;
    for (int i = 0; i < 2000; ++i) {
      Name asked = random_set_name(random);
      if (i % 2 == 0) asked = all[random() % all.size()].pattern.base;
      if (i % 4 == 0) asked = child(asked, "n");
      const std::vector<SetHit> expected = expected_hits(model, asked);
      found += expected.size();
      if (hits(made.set, asked) != expected) FAIL(asked.text());
    }
    CHECK(found > 400);  // the names do meet
  }
}

TEST_CASE("tails that many names share, with one octet and with two") {
  std::vector<SetEntry> model;
  std::mt19937 random(4);
  for (std::uint32_t zone = 0; zone < 400; ++zone)
    for (std::uint32_t host = 0; host < 20; ++host)
      model.push_back({{set_scopes[host % 3], name("h" + std::to_string(host) + ".zone" +
                                                   std::to_string(zone) + ".hosting.example")},
                       static_cast<NameSet::Kind>(zone % 3),
                       zone * 20 + host + 1});
  const NameSet set = built(model).set;
  CHECK(set.octets() < model.size() * 20);  // the zones' names are not there 20 times
  for (const SetEntry& entry : model) {
    const Name below = child(entry.pattern.base, "x");
    CHECK(hits(set, entry.pattern.base).size() == (entry.pattern.scope == Pattern::Scope::below ? 0u : 1u));
    CHECK(hits(set, below).size() == (entry.pattern.scope == Pattern::Scope::exact ? 0u : 1u));
    if (!hits(set, below).empty()) CHECK(std::get<3>(hits(set, below)[0]) == entry.line);
  }
  CHECK(hits(set, name("h20.zone1.hosting.example")).empty());
  CHECK(hits(set, name("zone1.hosting.example")).empty());
}

TEST_CASE("two sets of the same names have different keys, and say the same") {
  const Pattern pattern{Pattern::Scope::exact, name("a.example")};
  const NameSet one = built({{pattern, 1, 1}}).set, two = built({{pattern, 1, 1}}).set;
  CHECK(!std::equal(one.block().begin(), one.block().end(), two.block().begin(), two.block().end()));
  CHECK(hits(one, name("a.example")) == hits(two, name("a.example")));
}

namespace {

// Words of the directory for which `claim` holds.
template <class Claim>
std::size_t words_of(const NameSet& set, Claim claim) {
  name_set::Header header;
  std::memcpy(&header, set.block().data(), sizeof header);
  const std::uint8_t* const words = set.block().data() + name_set::layout_of(header).directory;
  std::size_t count = 0;
  for (std::size_t i = 0; i < header.buckets; ++i)
    count += claim(name_set::eight_octets(words + i * 8)) ? 1 : 0;
  return count;
}

}  // namespace

TEST_CASE("a record is found also where its bucket has more than its word can say") {
  NameSetBuilder builder({0x9e3779b97f4a7c15, 6});
  std::mt19937 random(9);
  const auto some_name = [&](std::uint32_t number) {
    const char* const parent = number % 7 == 0 ? ".longer-than-sixteen-octets.example" : ".example";
    return name("n" + std::to_string(number) + ".x" + std::to_string(random()) + parent);
  };
  std::vector<Name> names;
  for (std::uint32_t i = 0; i < 6000; ++i) {
    names.push_back(some_name(i));
    builder.add(names.back(), Pattern::Scope::exact, 1, i + 1);
  }
  const auto made = builder.build();
  REQUIRE(made.has_value());
  const NameSet& set = made->set;
  CHECK(words_of(set, [](std::uint64_t word) {
          return name_set::last_lane_of(word) == name_set::more_records;
        }) > 50);
  std::size_t wrong = 0;
  for (std::uint32_t i = 0; i < names.size(); ++i)
    wrong +=
        hits(set, names[i]) != std::vector<SetHit>{{names[i].labels(), Pattern::Scope::exact, 1u, i + 1}};
  CHECK(wrong == 0);
  for (std::uint32_t i = 6000; i < 20'000; ++i) wrong += hits(set, some_name(i)).size();
  CHECK(wrong == 0);
}

TEST_CASE("a record is found also where its group is too large for a word to say where its bucket begins") {
  // Names of 250 octets in all kinds and scopes, chosen so that they meet in one group: two are enough.
  const NameSetBuilder::Keys keys{0x9e3779b97f4a7c15, 7};
  constexpr std::size_t wanted = 12, tags = 3 * NameSet::most_kinds;
  constexpr std::size_t buckets = wanted * tags / name_set::records_a_bucket + 1;
  const std::string filler(60, 'f');
  std::vector<Name> names;
  for (std::uint32_t i = 0; names.size() < wanted; ++i) {
    const Name one =
        name("n" + std::to_string(i) + "." + filler + "." + filler + "." + filler + "." + filler);
    std::uint64_t hash = keys.second;
    for (std::size_t labels = 1; labels <= one.labels(); ++labels) {
      std::array<std::uint8_t, Name::max_octets + name_set::slack> octets{};
      const Name suffix = one.suffix(labels);
      std::copy(suffix.wire().begin(), suffix.wire().end(), octets.begin());
      hash = name_set::extend(hash, octets.data(), keys.first);
    }
    if (name_set::bucket_of(hash, buckets) / name_set::anchor_buckets == 1) names.push_back(one);
  }
  NameSetBuilder builder(keys);
  for (std::uint32_t i = 0; i < names.size(); ++i)
    for (unsigned tag = 0; tag < tags; ++tag)
      builder.add(names[i], static_cast<Pattern::Scope>(tag % 3), static_cast<NameSet::Kind>(tag / 3), i + 1);
  const auto made = builder.build();
  REQUIRE(made.has_value());
  const std::size_t too_far = words_of(made->set, [](std::uint64_t word) {
    return name_set::distance_of(word) == name_set::too_far && word >> name_set::first_lane_bit != 0;
  });
  CHECK(too_far >= 4);
  for (std::size_t i = 0; i < names.size(); ++i) {
    const std::vector<SetHit> found = hits(made->set, names[i]);
    CHECK(found.size() == 2u * NameSet::most_kinds);
    for (const SetHit& hit : found) CHECK(std::get<3>(hit) == i + 1);
    CHECK(hits(made->set, child(names[i], "x")).size() == 2u * NameSet::most_kinds);
  }
}

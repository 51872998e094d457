// Name: limits, escapes, wire form, and the traps of comparing suffixes.
#include "rules/name.h"

#include <random>
#include <vector>

#include "support.h"

using namespace postern;
using postern::test::name;

namespace {

std::string label(std::size_t length) {
  return std::string(length, 'a');
}
std::string text_of_wire_size(
    std::size_t octets) {  // 63+1 three times is 192; the rest in one or two labels; the root's zero
  std::string text = label(63) + "." + label(63) + "." + label(63);
  const std::size_t rest = octets - 1 - 192;
  return text + "." + label(rest - 1);
}
bool fails(std::string_view text) {
  return !Name::parse(text).has_value();
}

}  // namespace

TEST_CASE("a label has at most 63 octets") {
  CHECK(Name::parse(label(63)).has_value());
  CHECK(fails(label(64)));
  CHECK(fails(label(64) + "."));
  CHECK(fails("x." + label(64) + ".example"));
  CHECK(fails(label(300)));
}

TEST_CASE("a name has at most 255 octets in wire form") {
  const std::string longest = text_of_wire_size(255);
  CHECK(name(longest).size() == 255);
  CHECK(name(longest + ".").size() == 255);
  CHECK(name(longest).text() == longest);
  CHECK(fails(text_of_wire_size(256)));
  CHECK(fails(text_of_wire_size(256) + "."));
  std::string ones = "a";
  for (int i = 1; i < 127; ++i) ones += ".a";
  CHECK(name(ones).size() == 255);
  CHECK(name(ones).labels() == 127);
  CHECK(fails(ones + ".a"));
}

TEST_CASE("text with empty labels is refused and the root is a dot") {
  CHECK(name(".").is_root());
  CHECK(name(".").labels() == 0);
  CHECK(name(".").text() == ".");
  CHECK(name(".").parent().is_root());
  for (const char* text : {"", "..", ".a", "a..b", "a.."}) CHECK_MESSAGE(fails(text), text);
  CHECK(Name::parse("a..b").error().message == "cannot read domain name \"a..b\": a label is empty");
}

TEST_CASE("escapes stand for one octet and come back escaped") {
  CHECK(name("a\\.b.example").labels() == 2);
  CHECK(name("a\\.b.example").first_label() == "a.b");
  CHECK(name("a\\046b.example") == name("a\\.b.example"));
  CHECK(name("a\\.b.example").text() == "a\\.b.example");
  CHECK(name("\\000\\255.example").text() == "\\000\\255.example");
  CHECK(name("\\065.example") == name("a.example"));  // an escaped capital is a letter too
  CHECK(name("a\\ b").text() == "a\\032b");
  for (const char* text : {"\\", "a\\", "a\\2", "a\\25", "a\\256", "a\\25x.example"})
    CHECK_MESSAGE(fails(text), text);
}

TEST_CASE("case is folded for ASCII only") {
  CHECK(name("WwW.ExAmPlE.CoM") == name("www.example.com"));
  CHECK(name("WwW.ExAmPlE.CoM").hash() == name("www.example.com").hash());
  CHECK_FALSE(name("\\196.example") == name("\\228.example"));
  CHECK_FALSE(name("@.example") == name("`.example"));  // neighbours of A..Z
  CHECK_FALSE(name("[.example") == name("{.example"));
}

TEST_CASE("from_wire reads one name and says how much it took") {
  const std::vector<std::uint8_t> wire{3, 'W', 'w', 'w', 2, 'd', 'e', 0, 9, 9};
  const auto read = Name::from_wire(wire);
  REQUIRE(read.has_value());
  CHECK(read->text() == "www.de");
  CHECK(read->size() == 8);
  CHECK(Name::from_wire(std::vector<std::uint8_t>{0})->is_root());
}

TEST_CASE("from_wire refuses what is cut off, compressed or too long") {
  using Octets = std::vector<std::uint8_t>;
  CHECK_FALSE(Name::from_wire(Octets{}).has_value());
  CHECK_FALSE(Name::from_wire(Octets{1}).has_value());
  CHECK_FALSE(Name::from_wire(Octets{1, 'a'}).has_value());
  CHECK_FALSE(Name::from_wire(Octets{2, 'a', 0}).has_value());
  CHECK_FALSE(Name::from_wire(Octets{0xc0, 0}).has_value());
  CHECK_FALSE(Name::from_wire(Octets{1, 'a', 0xc0, 0}).has_value());
  CHECK_FALSE(Name::from_wire(Octets{64, 'a', 0}).has_value());
  const auto chain = [](std::initializer_list<std::size_t> lengths) {
    Octets wire;
    for (const std::size_t length : lengths) {
      wire.push_back(static_cast<std::uint8_t>(length));
      wire.insert(wire.end(), length, 'a');
    }
    wire.push_back(0);
    return wire;
  };
  CHECK(chain({63, 63, 63, 61}).size() == 255);
  CHECK(Name::from_wire(chain({63, 63, 63, 61})).has_value());
  CHECK_FALSE(Name::from_wire(chain({63, 63, 63, 62})).has_value());
  CHECK_FALSE(Name::from_wire(chain({63, 63, 63, 63, 63})).has_value());
}

TEST_CASE("at_or_below compares labels, not octets") {
  CHECK(name("www.example.com").at_or_below(name("example.com")));
  CHECK(name("example.com").at_or_below(name("example.com")));
  CHECK_FALSE(name("example.com").below(name("example.com")));
  CHECK(name("www.example.com").below(name("example.com")));
  CHECK(name("example.com").below(name(".")));
  CHECK_FALSE(name("com").at_or_below(name("example.com")));
  CHECK_FALSE(name("badexample.com").at_or_below(name("example.com")));
  // One label whose octets are those of "example.com" in wire form: the suffix matches octet by octet.
  CHECK_FALSE(name("x\\007example\\003com").at_or_below(name("example.com")));
  CHECK_FALSE(name("x\\007example.com").at_or_below(name("example.com")));
}

TEST_CASE("suffix and parent cut at labels") {
  const Name full = name("a.b.example.com");
  CHECK(full.suffix(2) == name("example.com"));
  CHECK(full.suffix(0).is_root());
  CHECK(full.suffix(4) == full);
  CHECK(full.suffix(99) == full);
  CHECK(full.parent() == name("b.example.com"));
  CHECK(full.first_label() == "a");
}

TEST_CASE("a plain name is read eight octets at a time into what parse() makes of it, and nothing else is") {
  std::mt19937 random(7);
  constexpr std::string_view plain = "abcxyzABCXYZ0189-_";
  constexpr std::string_view neighbours = "@[`{/:,^ \\\n\x01\x7f\x80\xff";  // beside what is plain, and worse
  std::size_t taken = 0, refused = 0;
  for (int i = 0; i < 40'000; ++i) {
    const std::size_t size = random() % 4 != 0 ? random() % 40 : random() % 260;
    const unsigned dots = 2 + random() % 100;
    std::string text;
    for (std::size_t k = 0; k < size; ++k)
      text += random() % dots == 0 ? '.' : plain[random() % plain.size()];
    const bool odd = !text.empty() && random() % 4 == 0;
    if (odd) text[random() % text.size()] = neighbours[random() % neighbours.size()];
    const Result<Name> expected = Name::parse(text);
    const bool is_plain =
        !odd && expected.has_value() && text.back() != '.' && text.size() <= Name::longest_host_text;
    Name read = name("before.example");
    // A copy of its own, so that a look beside it is one outside of memory.
    const std::vector<char> exact(text.begin(), text.end());
    const bool was_read = read.assign_host({exact.data(), exact.size()});
    if (was_read != is_plain || read != (is_plain ? *expected : Name{})) FAIL_CHECK(text);
    ++(was_read ? taken : refused);
  }
  CHECK(taken > 5'000);
  CHECK(refused > 5'000);
}

TEST_CASE("a plain name at the borders of a label, of a word and of what is read at once") {
  for (const std::size_t size : {1, 7, 8, 9, 62, 63}) {
    Name read;
    REQUIRE(read.assign_host(std::string(size, 'a')));
    CHECK(read.first_label().size() == size);
    REQUIRE(read.assign_host(std::string(size, 'a') + ".B"));
    CHECK(read == name(std::string(size, 'a') + ".b"));
  }
  Name read;
  for (const char* text : {"", ".", "a.", ".a", "a..b", "a b", "a\\.b"}) CHECK_FALSE(read.assign_host(text));
  CHECK_FALSE(read.assign_host(std::string(64, 'a')));
  CHECK_FALSE(read.assign_host(std::string(64, 'a') + ".b"));
  CHECK_FALSE(read.assign_host("b." + std::string(64, 'a')));
  std::string longest;
  while (longest.size() < Name::longest_host_text) longest += longest.size() % 60 == 59 ? '.' : 'a';
  longest.back() = 'a';
  REQUIRE(read.assign_host(longest));
  CHECK(read.text() == longest);
  CHECK_FALSE(read.assign_host(longest + "a"));
}

// Secrets: every encoding of a value is found in a name, and what is no secret is not.
#include "detect/secret_watch.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <random>

#include "rules/hex.h"

using namespace postern;

namespace {

const std::shared_ptr<const Model>& model() {
  static const std::shared_ptr<const Model> one = Model::builtin();
  return one;
}

constexpr const char* value =
    "Tr0ub4dor&3-Zx9/qW+k";  // 20 octets, as the rows below were made with other tools

std::shared_ptr<const SecretSet> set_of(std::vector<SecretValue> values) {
  auto set = SecretSet::make(std::move(values), "test key", *model());
  REQUIRE_MESSAGE(set.has_value(), set.error().message);
  return *set;
}
SecretWatch watch_for(const std::string& octets) {
  return SecretWatch(set_of({{"KEY", octets}}));
}

// `text` in labels of at most `size` octets, below evil.example.
Name named(const std::string& text, std::size_t size = 63, const std::string& zone = "evil.example") {
  std::vector<std::uint8_t> wire;
  for (std::size_t at = 0; at < text.size(); at += size) {
    const std::string label = text.substr(at, size);
    wire.push_back(static_cast<std::uint8_t>(label.size()));
    wire.insert(wire.end(), label.begin(), label.end());
  }
  const Name below = Name::parse(zone).value();
  wire.insert(wire.end(), below.wire().begin(), below.wire().end());
  const auto name = Name::from_wire(wire);
  REQUIRE(name.has_value());
  return *name;
}

struct Spelling {
  const char* what;
  SecretEncoding encoding;
  bool backwards;
  const char* text;
};
// From Python's base64, urllib.parse and int.from_bytes. "at 2": two other octets stand before the value.
const Spelling rows[] = {
    {"as it is", SecretEncoding::plain, false, "Tr0ub4dor&3-Zx9/qW+k"},
    {"without its marks", SecretEncoding::plain, false, "tr0ub4dor3zx9qwk"},
    {"reversed", SecretEncoding::plain, true, "k+Wq/9xZ-3&rod4bu0rT"},
    {"hex", SecretEncoding::hex, false, "547230756234646f7226332d5a78392f71572b6b"},
    {"HEX", SecretEncoding::hex, false, "547230756234646F7226332D5A78392F71572B6B"},
    {"hex of the value reversed", SecretEncoding::hex, true, "6b2b57712f39785a2d3326726f64346275307254"},
    {"hex, reversed", SecretEncoding::hex, true, "b6b27517f29387a5d2336227f646432657032745"},
    {"percent", SecretEncoding::percent, false, "Tr0ub4dor%263-Zx9%2FqW%2Bk"},
    {"percent, every octet: hex between marks", SecretEncoding::hex, false,
     "%54%72%30%75%62%34%64%6f%72%26%33"},
    {"decimal, three digits each", SecretEncoding::decimal, false,
     "084114048117098052100111114038051045090120057047113087043107"},
    {"decimal with hyphens", SecretEncoding::decimal, false,
     "84-114-48-117-98-52-100-111-114-38-51-45-90-120-57-47-113-87-43-107"},
    {"one number", SecretEncoding::number, false, "482101731035133045409537863589849842194694220651"},
    {"base32 at 0", SecretEncoding::base32, false, "KRZDA5LCGRSG64RGGMWVU6BZF5YVOK3L"},
    {"base32 at 1", SecretEncoding::base32, false, "PBKHEMDVMI2GI33SEYZS2WTYHEXXCVZLNM"},
    {"base32 at 2", SecretEncoding::base32, false, "PB4VI4RQOVRDIZDPOITDGLK2PA4S64KXFNVQ"},
    {"base32 at 3", SecretEncoding::base32, false, "PB4XUVDSGB2WENDEN5ZCMMZNLJ4DSL3RK4VWW"},
    {"base32 at 4", SecretEncoding::base32, false, "PB4XU52UOIYHKYRUMRXXEJRTFVNHQOJPOFLSW2Y"},
    {"base32 of the value reversed", SecretEncoding::base32, true, "NMVVO4JPHF4FULJTEZZG6ZBUMJ2TA4SU"},
    {"base32hex at 0", SecretEncoding::base32hex, false, "AHP30TB26HI6USH66CMLKU1P5TOLEARB"},
    {"base32hex at 1", SecretEncoding::base32hex, false, "F1A74C3LC8Q68RRI4OPIQMJO74NN2LPBDC"},
    {"base32hex at 2", SecretEncoding::base32hex, false, "F1SL8SHGELH38P3FE8J36BAQF0SIUSAN5DLG"},
    {"base32hex at 3", SecretEncoding::base32hex, false, "F1SNKL3I61QM4D34DTP2CCPDB9S3IBRHASLMM"},
    {"base32hex at 4", SecretEncoding::base32hex, false, "F1SNKTQKE8O7AOHKCHNN49HJ5LD7GE9FE5BIMQO"},
    {"base64 at 0", SecretEncoding::base64, false, "VHIwdWI0ZG9yJjMtWng5L3FXK2s"},
    {"base64 at 1", SecretEncoding::base64, false, "eFRyMHViNGRvciYzLVp4OS9xVytr"},
    {"base64 at 2", SecretEncoding::base64, false, "eHlUcjB1YjRkb3ImMy1aeDkvcVcraw"},
    {"base64 of the value reversed", SecretEncoding::base64, true, "aytXcS85eFotMyZyb2Q0YnUwclQ="},
    {"base64, reversed", SecretEncoding::base64, true, "s2KXF3L5gnWtMjJy9GZ0IWdwIHV"},
};

// Eleven letters that are no hex digits, others for each number.
std::string changing_letters(std::size_t number) {
  std::mt19937 dice(static_cast<unsigned>(number));
  std::string letters;
  while (letters.size() < 11) letters += static_cast<char>('g' + dice() % 20);
  return letters;
}

}  // namespace

TEST_CASE("every encoding of a value is found in one name, whatever the length of its labels") {
  const SecretWatch watch = watch_for(value);
  for (const Spelling& row : rows) {
    CAPTURE(row.what);
    for (const std::size_t size : {63u, 20u, 7u, 1u}) {
      const auto found = watch.look(named(row.text, size), 2);
      REQUIRE(found.has_value());
      CHECK(found->label == "KEY");
      CHECK(encoding_text(found->encoding) == encoding_text(row.encoding));
      CHECK(found->backwards == row.backwards);
      CHECK_FALSE(found->split);
      CHECK(found->clean_labels == 2);
      CHECK(found->length <= std::string(row.text).size());
    }
    CHECK(watch.look(named(std::string("id7") + row.text + "zz"), 2).has_value());
  }
}

TEST_CASE("a value that spells an alphabet is found to its last digit") {
  struct Alphabet {
    SecretEncoding encoding;
    const char* octets;  // in hex: what Python's base64 decodes `digits` to
    const char* digits;  // RFC 4648
    std::size_t length;  // marks apart
  };
  const Alphabet alphabets[] = {
      {SecretEncoding::hex, "0123456789abcdef", "0123456789abcdef", 16},
      {SecretEncoding::base32, "00443214c74254b635cf84653a56d7c675be77df", "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567",
       32},
      {SecretEncoding::base32hex, "00443214c74254b635cf84653a56d7c675be77df",
       "0123456789ABCDEFGHIJKLMNOPQRSTUV", 32},
      {SecretEncoding::base64,
       "00108310518720928b30d38f41149351559761969b71d79f8218a39259a7a29a"
       "abb2dbafc31cb3d35db7e39ebbf3dfbf",
       "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789", 62},
  };
  for (const Alphabet& one : alphabets) {
    CAPTURE(one.digits);
    std::vector<std::uint8_t> octets(std::string_view(one.octets).size() / 2);
    REQUIRE(read_hex(one.octets, octets));
    const SecretWatch watch = watch_for(std::string(octets.begin(), octets.end()));
    const auto found = watch.look(named(one.digits, 20), 2);
    REQUIRE(found.has_value());
    CHECK(encoding_text(found->encoding) == encoding_text(one.encoding));
    CHECK(found->length == one.length);
  }
}

TEST_CASE("labels in the reverse order are read that way too") {
  const std::string hex = "547230756234646f7226332d5a78392f71572b6b";
  std::string name;
  for (std::size_t at = hex.size(); at > 0; at -= 4) name += hex.substr(at - 4, 4) + ".";
  CHECK(watch_for(value).look(Name::parse(name + "evil.example").value(), 2).has_value());
}

TEST_CASE("a part of a value is found from 48 bits on, and not one character sooner") {
  const SecretWatch watch = watch_for(value);
  const std::string hex = "547230756234646f7226332d5a78392f71572b6b";
  for (const std::size_t from : {0u, 1u, 9u, 27u}) {
    CAPTURE(from);
    std::size_t shortest = 1;
    while (shortest + from < hex.size() && !watch.look(named(hex.substr(from, shortest)), 2)) ++shortest;
    const auto found = watch.look(named(hex.substr(from, shortest)), 2);
    REQUIRE(found.has_value());
    CHECK(found->bits >= SecretSet::match_bits);
    CHECK(found->bits < SecretSet::match_bits + 4);  // a hex digit says at most four
    CHECK(shortest >= 12);
    CHECK(shortest <= 16);  // digits are cheaper where the model expects them
    CHECK(found->length == shortest);
    CHECK_FALSE(watch.look(named(hex.substr(from, shortest - 1)), 2).has_value());
  }
}

TEST_CASE("a value of ordinary words is found as a whole; its words are not") {
  const SecretWatch watch = watch_for("db-password.production");
  CHECK(watch.look(named("db-password-production"), 2).has_value());
  CHECK_FALSE(watch.look(named("password"), 2).has_value());
  CHECK_FALSE(watch.look(named("production"), 2).has_value());
  CHECK_FALSE(watch.look(Name::parse("password.producer.example.com").value(), 2).has_value());
  const SecretWatch shortest = watch_for("password");
  CHECK(shortest.look(named("my-password-7"), 2).has_value());
  CHECK(shortest.look(named("my-passwor-d"), 2).has_value());
  CHECK_FALSE(shortest.look(named("passwor"), 2).has_value());
}

TEST_CASE("a secret in the zone itself is found, and says how much of the name is clean") {
  const SecretWatch watch = watch_for("hunter2hunter2");
  CHECK(watch.look(Name::parse("hunter2hunter2.com").value(), 2).value().clean_labels == 1);
  const auto deep = watch.look(Name::parse("www.hunter2hunter2.co.uk").value(), 3).value();
  CHECK(deep.clean_labels == 2);
  CHECK(deep.position == 5);
  CHECK(watch.look(Name::parse("hunter2.hunter2.example.com").value(), 2).value().clean_labels == 2);
}

TEST_CASE("octets that are no text are found as hex and as they are") {
  std::string octets;
  for (int i = 0; i < 32; ++i) octets += static_cast<char>(i * 37 + 129);
  const SecretWatch watch = watch_for(octets);
  std::string hex;
  for (const char c : octets) {
    hex += "0123456789abcdef"[static_cast<std::uint8_t>(c) >> 4];
    hex += "0123456789abcdef"[static_cast<std::uint8_t>(c) & 15];
  }
  CHECK(watch.look(named(hex), 2).has_value());
  CHECK(watch.look(named(octets), 2).has_value());
  CHECK(watch.look(named(hex.substr(20, 16), 5), 2).has_value());
}

TEST_CASE("pieces that are too short by themselves are found together, in each order and with counters") {
  const std::string hex = "547230756234646f7226332d5a78392f71572b6b";
  struct Way {
    const char* what;
    std::string (*spell)(const std::string& piece, std::size_t number);
  };
  const Way ways[] = {
      {"a piece a name", [](const std::string& piece, std::size_t) { return piece; }},
      {"a counter in a label before it",
       [](const std::string& piece, std::size_t n) { return std::to_string(n) + "." + piece; }},
      {"a counter in a label behind it",
       [](const std::string& piece, std::size_t n) { return piece + "." + std::to_string(n); }},
      {"a counter and a hyphen",
       [](const std::string& piece, std::size_t n) { return std::to_string(n) + "-" + piece; }},
      {"a counter of two digits",
       [](const std::string& piece, std::size_t n) { return std::to_string(10 + n) + piece; }},
      {"marks and a counter, each in a run of its own",
       [](const std::string& piece, std::size_t n) { return "a-b-c-d-" + std::to_string(n) + "-" + piece; }},
      {"a counter and a session's mark",
       [](const std::string& piece, std::size_t n) { return std::to_string(n) + "." + piece + ".s1"; }},
      {"a longer mark before it", [](const std::string& piece, std::size_t) { return "session42." + piece; }},
      {"a longer mark behind it", [](const std::string& piece, std::size_t) { return piece + ".session42"; }},
      {"a counter of the piece's length",
       [](const std::string& piece, std::size_t n) {
         return std::string(piece.size() - 1, '0') + static_cast<char>('0' + n % 10) + "." + piece;
       }},
      {"letters that change, behind it",
       [](const std::string& piece, std::size_t n) { return piece + "." + changing_letters(n); }},
      {"letters that change, before it and behind it",
       [](const std::string& piece, std::size_t n) {
         return changing_letters(n) + "." + piece + "." + changing_letters(n + 50);
       }},
      {"the piece in two labels, letters that change before them and behind them",
       [](const std::string& piece, std::size_t n) {
         return changing_letters(n) + "." + piece.substr(0, 2) + "." + piece.substr(2) + "." +
                changing_letters(n + 50);
       }},
      {"the piece in two labels and a longer mark",
       [](const std::string& piece, std::size_t) {
         return piece.substr(0, 2) + "." + piece.substr(2) + ".session42";
       }},
      {"a longer mark and the piece in two labels",
       [](const std::string& piece, std::size_t) {
         return "session42." + piece.substr(0, 2) + "." + piece.substr(2);
       }},
      {"a longer mark and a hyphen",
       [](const std::string& piece, std::size_t) { return "session42-" + piece; }},
      {"a hyphen and letters that change",
       [](const std::string& piece, std::size_t n) { return piece + "-" + changing_letters(n); }},
      {"between hyphens, letters that change on both sides",
       [](const std::string& piece, std::size_t n) {
         return changing_letters(n) + "-" + piece + "-" + changing_letters(n + 50);
       }},
  };
  for (const Way& way : ways)
    for (const bool last_first : {false, true})
      for (const std::size_t size : {4u, 5u, 8u, 10u}) {
        CAPTURE(way.what);
        CAPTURE(last_first);
        CAPTURE(size);
        SecretWatch watch = watch_for(value);
        std::vector<std::string> pieces;
        for (std::size_t at = 0; at < hex.size(); at += size) pieces.push_back(hex.substr(at, size));
        if (last_first) std::reverse(pieces.begin(), pieces.end());
        std::size_t told = 0, said = 0;
        for (std::size_t i = 0; i < pieces.size(); ++i) {
          const Name name = Name::parse(way.spell(pieces[i], i) + ".evil.example").value();
          CHECK_FALSE(watch.look(name, 2).has_value());
          const auto found = watch.observe(name, 2);
          watch.observe(name, 2);  // AAAA
          if (!found) {
            said += pieces[i].size();
            continue;
          }
          ++told;
          CHECK(found->split);
          CHECK(found->clean_labels == 2);
        }
        CHECK(told > 0);
        CHECK(said <= std::max<std::size_t>(16, 2 * size));  // digits that got through before it was seen
      }
}

TEST_CASE("a mark that comes later does not hide what the names before it said") {
  for (const char* mark : {".session42424242", "-session42424242"}) {
    SecretWatch watch = watch_for(value);
    CHECK_FALSE(watch.observe(Name::parse("5472307562.evil.example").value(), 2));
    CHECK(watch.observe(Name::parse("34646f7226" + std::string(mark) + ".evil.example").value(), 2));
    CHECK_FALSE(watch.observe(Name::parse("www.evil.example").value(), 2));
    CHECK_FALSE(watch.observe(Name::parse("332d5a7839.evil.example").value(), 2));
    CHECK(watch.observe(
        Name::parse("session42424242" + std::string(1, mark[0]) + "2f71572b6b.evil.example").value(), 2));
  }
}

TEST_CASE("pieces in different zones are not joined, those directly below a suffix are") {
  const std::string hex = "547230756234646f7226332d5a78392f71572b6b";
  SecretWatch watch = watch_for(value);
  for (std::size_t at = 0; at < 24; at += 6)
    CHECK_FALSE(watch.observe(named(hex.substr(at, 6), 63, "zone" + std::to_string(at) + ".example"), 2));
  bool found = false;
  for (std::size_t at = 0; at < 24; at += 6)
    found = watch.observe(Name::parse("x" + hex.substr(at, 6) + ".com").value(), 2).has_value() || found;
  CHECK(found);
}

TEST_CASE("what follows a secret in its zone is not refused for what was said before") {
  SecretWatch watch = watch_for(value);
  CHECK(watch.observe(named("547230756234646f7226332d5a78392f71572b6b"), 2).has_value());
  for (const char* name : {"www.evil.example", "mail.evil.example", "cdn-7.evil.example", "evil.example"})
    CHECK_FALSE(watch.observe(Name::parse(name).value(), 2).has_value());
}

TEST_CASE("zones beyond the limit push out the quietest, and memory stays bounded") {
  SecretWatch watch = watch_for(value);
  for (int i = 0; i < 1000; ++i)
    watch.observe(Name::parse("a.zone" + std::to_string(i) + ".example").value(), 2);
  CHECK(watch.zones() == SecretWatch::max_zones);
  CHECK(watch.memory_octets() <= SecretWatch::max_zones * 1400);
}

TEST_CASE("values that cannot be watched for are refused with their label and without their octets") {
  const auto error = [](std::vector<SecretValue> values) {
    const auto set = SecretSet::make(std::move(values), "", *model());
    REQUIRE_FALSE(set.has_value());
    return set.error().message;
  };
  CHECK(
      error({{"PIN", "1234567"}}) ==
      "cannot watch for the secret \"PIN\": it has 7 octets, dots apart; at least 8 are needed, or ordinary "
      "names would hold it");
  CHECK(error({{"PIN", "1.2.3.4.5.6.7"}}).find("7 octets") != std::string::npos);
  CHECK(error({{"BIG", std::string(4097, 'x')}}).find("4097 octets, at most 4096") != std::string::npos);
  CHECK(error({{"bad label", "12345678"}}).find("label must be") != std::string::npos);
  CHECK(error({{"", "12345678"}}).find("label must be") != std::string::npos);
  std::vector<SecretValue> many, large;
  for (int i = 0; i < 65; ++i) many.push_back({"L" + std::to_string(i), "12345678" + std::to_string(i)});
  CHECK(error(many).find("65 secrets") != std::string::npos);
  many.pop_back();
  CHECK(SecretSet::make(many, "", *model()).has_value());
  for (int i = 0; i < 3; ++i)
    large.push_back({"L" + std::to_string(i), std::string(3000, static_cast<char>('a' + i))});
  CHECK(error(large).find("9000 octets") != std::string::npos);
  CHECK(SecretSet::make({{"PIN", "12345678"}}, "", *model()).has_value());
}

TEST_CASE("fingerprints tell values apart, depend on the key, and are not the value") {
  const auto of = [](const std::string& octets, const std::string& key) {
    const SecretWatch watch(*SecretSet::make({{"KEY", octets}}, key, *model()));
    return watch.look(named(octets), 2).value().fingerprint;
  };
  CHECK(of("correct-horse", "k1") == of("correct-horse", "k1"));
  CHECK(of("correct-horse", "k1") != of("correct-horse", "k2"));
  CHECK(of("correct-horse", "k1") != of("correct-house", "k1"));
  CHECK(of("correct-horse", "k1").size() == 16);
}

TEST_CASE("a value of one repeated octet costs neither its square in time nor the index") {
  const SecretWatch watch = watch_for(std::string(4096, 'a'));
  CHECK(watch.look(named(std::string(230, 'a'), 60), 2).has_value());
  CHECK_FALSE(watch.look(named("aaaaaaaa"), 2).has_value());
  CHECK(watch.secrets()->memory_octets() < 24u << 20);
}

TEST_CASE("the index of as many octets as a session may have stays within what the header says") {
  std::mt19937_64 dice(3);
  std::vector<SecretValue> values;
  for (int i = 0; i < 64; ++i) {
    std::string octets(128, ' ');
    for (char& c : octets) c = static_cast<char>(dice());
    values.push_back({"K" + std::to_string(i), octets});
  }
  const auto set = set_of(values);
  CHECK(set->memory_octets() < 24u << 20);
  const SecretWatch watch(set);
  for (const SecretValue& one : values) {
    std::string hex;
    for (const char c : one.octets.substr(40, 12)) {
      hex += "0123456789abcdef"[static_cast<std::uint8_t>(c) >> 4];
      hex += "0123456789abcdef"[static_cast<std::uint8_t>(c) & 15];
    }
    CHECK(watch.look(named(hex), 2).value().label == one.label);
  }
  MESSAGE("index of 8 KiB of secrets: " << set->memory_octets() / 1024 << " KiB");
}

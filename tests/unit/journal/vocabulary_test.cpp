// The file's own vocabulary agrees with the program's, and names are written as everybody else writes them.
#include <random>

#include "resolver/journal/name_text.h"
#include "tests/unit/journal/support.h"

using namespace postern;
using namespace postern::test;

TEST_CASE("types, rcodes, actions and reasons are spelled as the program spells them") {
  const Folder folder;
  const auto journal = must_open(folder.file());
  Sql sql(folder.file());
  std::vector<std::string> types(65536);
  for (const auto& row : sql.rows("SELECT id || ' ' || name FROM rr_type ORDER BY id"))
    types[std::stoul(row)] = row.substr(row.find(' ') + 1);
  for (unsigned number = 0; number < 65536; ++number) {
    const std::string text = type_text(static_cast<Type>(number));
    if (!text.starts_with("TYPE") && types[number] != text) CHECK(types[number] == text);
  }
  CHECK(types[28] == "AAAA");
  for (const auto& row : sql.rows("SELECT id || ' ' || name FROM rcode WHERE id >= 0 ORDER BY id"))
    CHECK(row.substr(row.find(' ') + 1) == rcode_text(std::stoi(row)));
  CHECK(sql.rows("SELECT name FROM action ORDER BY id") ==
        std::vector<std::string>{"allowed", "blocked", "blocked", "local", "refused", "dropped"});
  const auto reasons = sql.rows("SELECT id || ' ' || name FROM reason ORDER BY id");
  CHECK(reasons.size() >= 14);
  for (const auto& row : reasons) CHECK(row.substr(row.find(' ') + 1) == reason_text(Reason(std::stoi(row))));
}

TEST_CASE("a name's text is Name::text(), and its registered domain begins where it should") {
  NameText text;
  text.set(name("a.b.example.com"), 2);
  CHECK(text.text() == "a.b.example.com");
  CHECK(text.registered_at() == 5);  // substr counts from 1
  text.set(name("a.b.example.com"), 4);
  CHECK(text.registered_at() == 1);
  text.set(name("a.b.example.com"), 9);  // more than there are: all
  CHECK(text.registered_at() == 1);
  text.set(name("a.b.example.com"), 0);  // unknown: nothing
  CHECK(text.registered_at() == 16);
  text.set(Name(), 0);
  CHECK(text.text() == ".");
  CHECK(text.registered_at() == 1);
  text.set(name("x\\.y.example.com"), 2);
  CHECK(text.text() == "x\\.y.example.com");
  CHECK(text.registered_at() == 6);

  std::mt19937 random(3);
  for (int i = 0; i < 20'000; ++i) {
    std::vector<std::uint8_t> wire;
    while (wire.size() < 180) {
      const std::size_t size = 1 + random() % 63;
      wire.push_back(static_cast<std::uint8_t>(size));
      for (std::size_t j = 0; j < size; ++j) wire.push_back(static_cast<std::uint8_t>(random()));
      if (random() % 3 == 0) break;
    }
    wire.push_back(0);
    const auto any = Name::from_wire(wire);
    REQUIRE(any.has_value());
    const std::size_t labels = random() % 6;
    text.set(*any, labels);
    if (text.text() != any->text()) REQUIRE(text.text() == any->text());
    const std::string domain(text.text().substr(static_cast<std::size_t>(text.registered_at()) - 1));
    const std::string expected = labels == 0 ? "" : any->suffix(labels).text();
    if (domain != expected) REQUIRE(domain == expected);
  }
}

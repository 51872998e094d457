// Ledgers: limits to the last millibit, grants, warnings, profiles; and the exact set of names.
#include <doctest/doctest.h>

#include "detect/ledger.h"
#include "detect/ledger_names.h"

using namespace postern;

TEST_CASE("a ledger bears exactly its budget and not a millibit more") {
  Ledger ledger(48);
  CHECK(ledger.limit() == 48 * 8000);
  CHECK(ledger.bears(48 * 8000));
  CHECK_FALSE(ledger.bears(48 * 8000 + 1));
  ledger.charge(48 * 8000);
  CHECK(ledger.bears(0));
  CHECK_FALSE(ledger.bears(1));
  ledger.grant(1);
  CHECK(ledger.bears(8000));
  CHECK_FALSE(ledger.bears(8001));
}

TEST_CASE("a lowered budget does not forget what was used") {
  Ledger ledger(100);
  ledger.charge(100 * 8000);
  ledger.set_budget(10);
  CHECK(ledger.used() == 100 * 8000);
  CHECK_FALSE(ledger.bears(0));
}

TEST_CASE("a warning is due once at 50 and once at 80 percent") {
  Ledger ledger(100);  // 800,000 millibits
  CHECK(ledger.crosses(399999) == 0);
  CHECK(ledger.crosses(400000) == 50);
  CHECK(ledger.crosses(640000) == 80);  // both at once: the graver one
  ledger.charge(400000);
  CHECK(ledger.crosses(1) == 0);
  CHECK(ledger.crosses(239999) == 0);
  CHECK(ledger.crosses(240000) == 80);
  ledger.charge(240000);
  CHECK(ledger.crosses(100000) == 0);
}

TEST_CASE("profiles are code, browse and strict; another name is quoted") {
  REQUIRE(profile("code"));
  CHECK(profile("code")->zone == 256);
  CHECK(profile("code")->parent == 1024);
  CHECK(profile("code")->session == 2048);
  CHECK(profile("browse")->session == 16384);
  CHECK(profile("strict")->zone == 48);
  CHECK(profile("strict")->session == 512);
  REQUIRE_FALSE(profile("Code"));
  CHECK(profile("Code").error().message.find("\"Code\"") != std::string::npos);
}

TEST_CASE("the name table tells apart what differs in one octet, and keeps its ids while it grows") {
  NameTable table;
  CHECK_FALSE(table.find("\0"));
  CHECK(table.memory() == 0);
  std::vector<Name> names;
  for (int i = 0; i < 5000; ++i) names.push_back(*Name::parse("n" + std::to_string(i) + ".example.com"));
  for (std::size_t i = 0; i < names.size(); ++i) CHECK(table.insert(NameTable::octets(names[i])) == i);
  for (std::size_t i = 0; i < names.size(); ++i) CHECK(table.find(NameTable::octets(names[i])) == i);
  CHECK_FALSE(table.find(NameTable::octets(*Name::parse("n5000.example.com"))));
  CHECK_FALSE(table.find(NameTable::octets(*Name::parse("n1.example.co"))));
  CHECK_FALSE(table.find(NameTable::octets(Name{})));
}

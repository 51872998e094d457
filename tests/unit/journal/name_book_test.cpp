// The name book: what it was told last it says, of short and long names, and the memory it takes has an end.
#include "resolver/journal/name_book.h"

#include <doctest/doctest.h>

using namespace postern;

namespace {

std::string name_number(std::int64_t i) {
  return "host-" + std::to_string(i) + ".example.com";
}

}  // namespace

TEST_CASE("a name is found by its whole text, whether or not it fits beside its numbers") {
  NameBook book;
  CHECK(book.find("www.example.com").id == 0);
  for (std::size_t size = 1; size <= 1016; ++size)  // 254 octets, each as \DDD
    book.add(std::string(size, 'a'), {static_cast<std::int64_t>(size), 7});
  for (std::size_t size = 1; size <= 1016; ++size) {
    CHECK(book.find(std::string(size, 'a')).id == static_cast<std::int64_t>(size));
    CHECK(book.find(std::string(size - 1, 'a') + "b").id == 0);
  }
  CHECK(book.find("a").domain == 7);
  CHECK(book.find(std::string(1017, 'a')).id == 0);
  CHECK(book.find("").id == 0);
}

TEST_CASE("what is said of a name again takes the place of what was said before") {
  NameBook book;
  const std::string long_name = std::string(100, 'x') + ".example";
  for (const std::string& name : {std::string("www.example.com"), long_name}) {
    book.add(name, {1, 2});
    book.add(name, {3, 4});
    CHECK(book.find(name).id == 3);
    CHECK(book.find(name).domain == 4);
    book.forget(name);
    CHECK(book.find(name).id == 0);
    book.add(name, {5, 6});
    CHECK(book.find(name).id == 5);
  }
}

TEST_CASE("a forgotten name does not hide those that stand behind it") {
  NameBook book;
  constexpr std::int64_t count = 20'000;
  for (std::int64_t i = 1; i <= count; ++i) book.add(name_number(i), {i, i});
  for (std::int64_t i = 1; i <= count; i += 2) book.forget(name_number(i));
  std::int64_t wrong = 0;
  for (std::int64_t i = 1; i <= count; ++i) wrong += book.find(name_number(i)).id != (i % 2 == 0 ? i : 0);
  CHECK(wrong == 0);
}

TEST_CASE("names in use stay, and the others go when there are too many") {
  NameBook book;
  constexpr auto full = static_cast<std::int64_t>(NameBook::max_young);
  book.add("kept.example", {1, 1});
  const std::string kept_long = std::string(60, 'k') + ".example";
  book.add(kept_long, {2, 2});
  for (std::int64_t i = 3; i <= full; ++i) book.add(name_number(i), {i, i});
  CHECK(book.find(name_number(3)).id == 3);  // all fit
  for (std::int64_t round = 1; round <= 4; ++round) {
    for (std::int64_t i = 1; i < full; ++i) {
      book.add(name_number(round * full + i), {round * full + i, 1});
      if (i == full / 2) {
        CHECK(book.find("kept.example").id == 1);
        CHECK(book.find(kept_long).id == 2);
      }
    }
  }
  CHECK(book.find("kept.example").id == 1);
  CHECK(book.find(kept_long).id == 2);
  CHECK(book.find(name_number(3)).id == 0);
  CHECK(book.find(name_number(4 * full + 5)).id == 4 * full + 5);
  book.clear();
  CHECK(book.find("kept.example").id == 0);
}

TEST_CASE("a removed name in the older half is forgotten, too") {
  NameBook book;
  constexpr auto full = static_cast<std::int64_t>(NameBook::max_young);
  book.add("gone.example", {1, 1});
  for (std::int64_t i = 2; i <= full + 1; ++i) book.add(name_number(i), {i, i});
  book.forget("gone.example");
  CHECK(book.find("gone.example").id == 0);
  CHECK(book.find(name_number(2)).id == 2);  // in the older half still
}

// An answer as the journal's text: all its addresses, and a mark where something was left out.
#include <doctest/doctest.h>

#include <algorithm>

#include "resolver/path/alert_text.h"

using namespace postern;

namespace {

// Addresses whose text is as long as any.
Answer answer_of(std::size_t records, Type type) {
  Answer answer;
  for (std::size_t i = 0; i < records; ++i) {
    Record record;
    record.type = type;
    record.rdata.assign(type == type::A ? 4 : 16, 0xfe);
    record.rdata[2] = static_cast<std::uint8_t>(100 + i / 100 % 100);
    record.rdata[3] = static_cast<std::uint8_t>(100 + i % 100);
    answer.answer.push_back(std::move(record));
  }
  return answer;
}

long words(const std::string& data) {
  return data.empty() ? 0 : 1 + std::count(data.begin(), data.end(), ' ');
}

}  // namespace

TEST_CASE("all addresses that fit into an answer are in its text, one more octet than fits is marked") {
  const std::string two_hundred = answer_data(answer_of(200, type::A));
  CHECK(words(two_hundred) == 200);
  CHECK(!two_hundred.ends_with("..."));
  constexpr std::size_t message = 65'535, header = 12 + 5;  // a header and the shortest question
  for (const auto& [type, octets] : {std::pair(type::A, 16U), std::pair(type::AAAA, 28U)}) {
    const std::size_t records = (message - header) / octets;
    const std::string data = answer_data(answer_of(records, type));
    CHECK(words(data) == static_cast<long>(records));
    CHECK(!data.ends_with("..."));
  }
  const std::string cut = answer_data(answer_of(max_outcome_data / 16 + 1, type::A));
  CHECK(cut.size() <= max_outcome_data);
  CHECK(cut.size() > max_outcome_data - 64);
  CHECK(cut.ends_with(" ..."));
  CHECK(answer_data(answer_of(0, type::A)).empty());
}

TEST_CASE("the address hints of a service are in its text, and those of malformed parameters are not") {
  Answer answer;
  Record& record = answer.answer.emplace_back();
  for (const Type service : {type::HTTPS, type::SVCB}) {
    record.type = service;
    record.rdata = {0, 1, 3, 'c', 'd', 'n', 4, 't', 'e', 's', 't', 0};
    const auto put = [&](std::initializer_list<int> octets) {
      for (const int octet : octets) record.rdata.push_back(static_cast<std::uint8_t>(octet));
    };
    put({0, 4, 0, 8, 192, 0, 2, 1, 192, 0, 2, 2});
    put({0, 6, 0, 16, 0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7});
    CHECK(answer_data(answer) == "cdn.test 192.0.2.1 192.0.2.2 2001:db8::7");
    record.rdata.push_back(0);
    CHECK(answer_data(answer) == "cdn.test");
  }
}

TEST_CASE("a text that is cut ends at a word, with a mark, within its octets") {
  const auto cut = [](std::string data) {
    cut_outcome_data(data, short_outcome_data);
    return data;
  };
  CHECK(cut("").empty());
  CHECK(cut("192.0.2.1 cdn.example.net") == "192.0.2.1 cdn.example.net");
  const std::string word(short_outcome_data / 2 - 1, 'x');
  const std::string fits = word + " " + word + "y";
  REQUIRE(fits.size() == short_outcome_data);
  CHECK(cut(fits) == fits);
  CHECK(cut(fits + "z") == word + " ...");
  CHECK(cut(std::string(short_outcome_data + 1, 'x')) == " ...");
  const std::string addresses = cut(answer_data(answer_of(200, type::A)));
  CHECK(addresses.size() <= short_outcome_data);
  CHECK(addresses.ends_with(" ..."));
  CHECK(words(addresses) > 30);
}

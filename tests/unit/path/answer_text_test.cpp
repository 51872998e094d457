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
  const std::string cut = answer_data(answer_of(max_answer_data / 16 + 1, type::A));
  CHECK(cut.size() <= max_answer_data);
  CHECK(cut.size() > max_answer_data - 64);
  CHECK(cut.ends_with(" ..."));
  CHECK(answer_data(answer_of(0, type::A)).empty());
}

TEST_CASE(
    "the text of an answer to a question that joined another is the whole, or its beginning with a mark") {
  CHECK(joined_data("").empty());
  CHECK(joined_data("192.0.2.1 cdn.example.net") == "192.0.2.1 cdn.example.net");
  const std::string word(max_joined_data / 2 - 1, 'x');
  const std::string fits = word + " " + word + "y";
  REQUIRE(fits.size() == max_joined_data);
  CHECK(joined_data(fits) == fits);
  CHECK(joined_data(fits + "z") == word + " ...");
  CHECK(joined_data(std::string(max_joined_data + 1, 'x')) == " ...");
  const std::string cut = joined_data(answer_data(answer_of(200, type::A)));
  CHECK(cut.size() <= max_joined_data);
  CHECK(cut.ends_with(" ..."));
  CHECK(words(cut) > 30);
}

// The character model: every row is a prefix code, states follow their contexts, broken tables are refused.
#include <doctest/doctest.h>

#include <cmath>

#include "detect/model.h"

using namespace postern;

namespace {

double row_sum(const Model& model, Model::State state) {
  double sum = 0;
  for (std::size_t s = 0; s < model.symbols(); ++s)
    sum += std::exp2(-(model.price(state, static_cast<Model::Symbol>(s)) / 1000.0));
  return sum;
}

double worst_row(const Model& model) {
  double worst = 0;
  for (std::size_t s = 0; s < model.states(); ++s)
    worst = std::max(worst, row_sum(model, static_cast<Model::State>(s)));
  return worst;
}

}  // namespace

TEST_CASE("log2_up is never below the logarithm and at most 0.007 bits above it") {
  CHECK(log2_up(0) == 0);
  CHECK(log2_up(1) == 0);
  CHECK(log2_up(2) == 1000);
  CHECK(log2_up(1u << 31) == 31000);
  CHECK(log2_up(0xffffffffu) == 32000);
  std::uint32_t n = 3;
  for (int i = 0; i < 200000; ++i, n = n < 70000 ? n + 1 : n * 5 / 4 + 1) {
    const double exact = std::log2(static_cast<double>(n)) * 1000;
    if (log2_up(n) < exact || log2_up(n) > exact + 7)
      FAIL("log2_up(" << n << ") is " << log2_up(n) << ", log2 is " << exact);
    if (n > 0xc0000000u) break;
  }
}

TEST_CASE("level characters are printable, distinct and read back") {
  for (int level = 0; level <= Model::max_level; ++level) {
    const char c = Model::level_char(level);
    CHECK((c > 32 && c < 127 && c != '"' && c != '\\'));
    CHECK(Model::char_level(c) == level);
  }
}

TEST_CASE("in every row of the built-in model the sum of 2^-price is at most 1, and hardly less") {
  const auto model = Model::builtin();
  CHECK(model->states() > 1000);
  CHECK(worst_row(*model) <= 1.0);
  double least = 2;
  for (std::size_t s = 0; s < model->states(); ++s)
    least = std::min(least, row_sum(*model, static_cast<Model::State>(s)));
  CHECK(least > 0.9);  // else the table wastes bits
}

TEST_CASE("a price made an eighth of a bit too cheap in any row is noticed") {
  auto rows = Model::builtin_rows();
  const std::size_t which[] = {0, rows.size() / 2, rows.size() - 1};
  for (const std::size_t at : which) {
    auto faulty = rows;
    auto cheapest = std::min_element(faulty[at].prices.begin(), faulty[at].prices.end());
    *cheapest = Model::level_char(Model::char_level(*cheapest) - 1);
    CHECK(worst_row(*Model::build(Model::builtin_alphabet(), faulty)) > 1.0);
  }
}

TEST_CASE("a state is the longest context that the text ends with") {
  const std::string price(4, Model::level_char(16));
  const auto model = Model::build("ab", {{"", price}, {"a", price}, {"ba", price}, {"..", price}});
  REQUIRE(model);
  const auto a = model->symbol('a'), b = model->symbol('b');
  CHECK(model->start() == 3);
  CHECK(model->next(model->start(), a) == 1);  // "..a" ends with "a"
  CHECK(model->next(0, b) == 0);               // no context ends with b
  CHECK(model->next(model->start(), model->stop()) == 3);
  CHECK(model->symbol('c') == model->escape());
  CHECK(model->symbol('.') == model->escape());  // a dot inside a label is not a stop
}

TEST_CASE("broken tables are refused with the context that is wrong") {
  const std::string price(4, Model::level_char(16));
  CHECK_FALSE(Model::build("ab", {}));
  CHECK_FALSE(Model::build("ab", {{"a", price}}));
  CHECK_FALSE(Model::build("", {{"", "##"}}));
  const auto twice = Model::build("ab", {{"", price}, {"a", price}, {"a", price}});
  REQUIRE_FALSE(twice);
  CHECK(twice.error().message.find("\"a\"") != std::string::npos);
  const auto cut = Model::build("ab", {{"", price}, {"b", price.substr(1)}});
  REQUIRE_FALSE(cut);
  CHECK(cut.error().message.find("\"b\"") != std::string::npos);
}

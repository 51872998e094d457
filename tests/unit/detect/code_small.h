// A code small enough to enumerate: three letters, short labels, with every part of the real one.
#pragma once

#include <cmath>
#include <functional>
#include <string>
#include <vector>

#include "detect/meter.h"

namespace postern::small {

inline double mass(Millibits price) {
  return std::exp2(-static_cast<double>(price) / 1000.0);
}

// Letters a and b; c is outside the alphabet. Rows: {a, b, stop, escape}, in eighths of a bit.
inline std::vector<Model::Row> rows() {
  const auto row = [](std::string context, int a, int b, int stop, int escape) {
    return Model::Row{
        std::move(context),
        {Model::level_char(a), Model::level_char(b), Model::level_char(stop), Model::level_char(escape)}};
  };
  return {row("", 28, 28, 3, 40), row("a", 32, 32, 2, 44), row("b", 32, 32, 2, 44), row(".", 9, 9, 80, 32),
          row("..", 8, 9, 80, 36)};
}

inline CodeTables tables(std::vector<Model::Row> model_rows = rows()) {
  CodeTables tables;
  tables.model = std::make_shared<const Model>(*Model::build("ab", model_rows));
  tables.max_label = 2;
  tables.plain = {{"a", "a", false}, {"ab", "ab", true}, {"abc", "abc", true}};
  for (std::size_t d = 0; d < CodeTables::depths; ++d)
    for (std::size_t b = 0; b < CodeTables::buckets; ++b)
      tables.shape.push_back(d == 0   ? CodeTables::Shape{130, 3600}
                             : d == 1 ? CodeTables::Shape{500, 1900}
                             : d == 2 ? CodeTables::Shape{4000, 120}
                                      : CodeTables::Shape{4000, 100});
  tables.classes.assign(CodeTables::kinds, {150, 7000, 6500, 5000, 7000});
  const CodeTables real = CodeTables::builtin();
  tables.session = real.session;
  tables.zone = real.zone;
  tables.types = real.types;
  tables.digits = "bc";  // what counts as a number here
  tables.number_length = {500, 2800, 2800};
  tables.number_like = real.number_like;
  return tables;
}

// Calls `each` for every name of up to `labels` labels of up to `length` octets out of "abc", the root
// included.
inline void every_name(std::size_t labels, std::size_t length, const std::function<void(const Name&)>& each) {
  std::vector<std::string> all{""}, words;
  for (std::size_t n = 1; n <= length; ++n) {
    std::vector<std::string> longer;
    for (const auto& word : all)
      if (word.size() == n - 1)
        for (const char c : {'a', 'b', 'c'}) longer.push_back(word + c);
    all.insert(all.end(), longer.begin(), longer.end());
  }
  words.assign(all.begin() + 1, all.end());
  const std::function<void(const std::string&, std::size_t)> extend = [&](const std::string& text,
                                                                          std::size_t left) {
    each(*Name::parse(text));
    if (left == 0) return;
    for (const auto& word : words) extend(text == "." ? word : word + "." + text, left - 1);
  };
  extend(".", labels);
}

}  // namespace postern::small

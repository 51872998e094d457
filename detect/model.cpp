// The character model: from rows to an automaton.
#include "detect/model.h"

#include <unordered_map>

namespace postern {
namespace {

struct BuiltinRow {
  const char* context;
  const char* prices;
};
constexpr BuiltinRow builtin_table[] = {
#include "detect/model_table.inc"
};

}  // namespace

Result<Model> Model::build(std::string_view alphabet, const std::vector<Row>& rows) {
  constexpr std::size_t max_rows = 65535;  // a state is 16 bits
  if (alphabet.empty() || alphabet.size() > 200)
    return failure("cannot build model: alphabet \"" + std::string(alphabet) + "\"");
  if (rows.empty() || rows.size() > max_rows)
    return failure("cannot build model: " + std::to_string(rows.size()) + " rows");
  Model model;
  model.alphabet_ = alphabet;
  model.symbols_ = alphabet.size() + 2;
  model.states_ = rows.size();
  model.symbol_of_.fill(model.escape());
  for (std::size_t i = 0; i < alphabet.size(); ++i)
    model.symbol_of_[static_cast<std::uint8_t>(alphabet[i])] = static_cast<Symbol>(i);

  std::unordered_map<std::string, State> state_of;
  for (std::size_t i = 0; i < rows.size(); ++i)
    if (!state_of.emplace(rows[i].context, static_cast<State>(i)).second)
      return failure("cannot build model: context \"" + rows[i].context + "\" twice");
  if (!state_of.contains("")) return failure("cannot build model: no row for the empty context");
  const auto longest_suffix = [&](std::string text) {
    for (;; text.erase(0, 1))
      if (const auto found = state_of.find(text); found != state_of.end()) return found->second;
  };

  model.cells_.resize(model.states_ * model.symbols_);
  for (std::size_t i = 0; i < rows.size(); ++i) {
    if (rows[i].prices.size() != model.symbols_)
      return failure("cannot build model: context \"" + rows[i].context + "\" has " +
                     std::to_string(rows[i].prices.size()) + " prices");
    for (std::size_t s = 0; s < model.symbols_; ++s) {
      const int level = char_level(rows[i].prices[s]);
      if (level < 0 || level > max_level)
        return failure("cannot build model: price in context \"" + rows[i].context + "\"");
      const char letter = s < alphabet.size() ? alphabet[s] : s == model.stop() ? '.' : '*';
      const std::uint32_t next = model.row_of(longest_suffix(rows[i].context + letter));
      model.cells_[i * model.symbols_ + s] = next << level_bits | static_cast<std::uint32_t>(level);
    }
  }
  model.start_ = longest_suffix("..");  // two stops never follow each other inside a name
  return model;
}

std::vector<Model::Row> Model::builtin_rows() {
  std::vector<Row> rows;
  for (const BuiltinRow& row : builtin_table) rows.push_back({row.context, row.prices});
  return rows;
}

std::string_view Model::builtin_alphabet() {
  return "abcdefghijklmnopqrstuvwxyz0123456789-_";
}

std::shared_ptr<const Model> Model::builtin() {
  auto model = build(builtin_alphabet(), builtin_rows());
  POSTERN_CHECK(model.has_value());  // the table is ours
  return std::make_shared<const Model>(std::move(*model));
}

}  // namespace postern

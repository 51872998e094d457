// The character model: what the next letter of a name costs, given the letters before it.
//
// A context tree written out as an automaton: a state is the longest known context that ends at this point;
// each state has one row of prices, one per symbol, and one successor per symbol. A price is a whole number
// of eighths of a bit, rounded so that in every row the sum of 2^-price is at most 1 (tested for every row):
// a row is a prefix code. Names are read label by label from the right ("com", "example", "www"), each label
// from its left, each closed by the stop symbol.
//
// The built-in table (model_table.inc) is written by bench/train_model.cpp from a list of names that occur in
// public traffic; docs/LEAK-METER.md says how large it is, what it costs per character, and why it is not
// larger.
//
// Pure. Thread: any, immutable. Memory: 4 octets x symbols x contexts (about 320 KB), one per process.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "detect/code_log2.h"
#include "rules/result.h"

namespace postern {

class Model {
 public:
  using State = std::uint16_t;
  using Symbol = std::uint8_t;

  // The price step of the tables: an eighth of a bit, one printable character per price.
  static constexpr Millibits step = 125;
  static constexpr int max_level = 90;  // 11.25 bits: the dearest symbol of a row
  static constexpr char level_char(int level) {
    return static_cast<char>(level + 35 + (level >= 57 ? 1 : 0));
  }
  static constexpr int char_level(char c) { return c - 35 - (c > '\\' ? 1 : 0); }

  // One context: its text, oldest symbol first ('.' is the stop, '*' an octet outside the alphabet), and its
  // prices as level characters, in the order of the alphabet, then stop, then escape.
  struct Row {
    std::string context;
    std::string prices;
  };

  // `alphabet`: the octets that have a symbol of their own; neither '.' nor '*'. `rows` must hold the empty
  // context. Errors name the row. The sums are *not* checked here, so that a test can plant a fault.
  static Result<Model> build(std::string_view alphabet, const std::vector<Row>& rows);
  static std::shared_ptr<const Model> builtin();
  static std::vector<Row> builtin_rows();
  static std::string_view builtin_alphabet();

  std::size_t symbols() const noexcept { return symbols_; }  // with stop and escape
  std::size_t states() const noexcept { return states_; }
  Symbol stop() const noexcept { return static_cast<Symbol>(symbols_ - 2); }
  Symbol escape() const noexcept { return static_cast<Symbol>(symbols_ - 1); }
  Symbol symbol(std::uint8_t octet) const noexcept { return symbol_of_[octet]; }
  char octet(Symbol symbol) const noexcept { return alphabet_[symbol]; }  // of a symbol below stop()

  State start() const noexcept { return start_; }
  Millibits price(State state, Symbol symbol) const noexcept {
    return (row(state)[symbol] & level_mask) * step;
  }
  State next(State state, Symbol symbol) const noexcept {
    return static_cast<State>((row(state)[symbol] >> level_bits) / symbols_);
  }

  // The same for whoever walks many letters: a cell holds its price as a level in the low bits and above them
  // where the next state's row begins, so that a letter is one load and one addition.
  static constexpr unsigned level_bits = 8;
  static constexpr std::uint32_t level_mask = (1u << level_bits) - 1;
  const std::uint32_t* cells() const noexcept { return cells_.data(); }
  std::uint32_t row_of(State state) const noexcept { return static_cast<std::uint32_t>(state * symbols_); }

 private:
  const std::uint32_t* row(State state) const noexcept { return cells_.data() + state * symbols_; }
  Model() = default;
  std::string alphabet_;
  std::array<Symbol, 256> symbol_of_{};
  std::size_t symbols_ = 0, states_ = 0;
  State start_ = 0;
  std::vector<std::uint32_t> cells_;
};

}  // namespace postern

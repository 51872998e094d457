// The name code: a public prefix code for names and types. What a name costs is the length of its codeword.
//
// The grammar, as a decoder reads it. A name is read label by label from the right:
//   name  := { more label } end          more/end: `shape`, by depth and by a hash of the label just read
//   label := class body                  class: `classes`, by the kind of the label just read
//   body  := gram:  letters and stop     `Model` (model.h); a letter outside its alphabet is escape + 8 bits
//          | plain: length, digits       one of `plain` (hex, base32, ...): log2(max_label) + length x
//          log2(base) | again: digits               the last label's length and its smallest class from hex
//          up
//   type  := symbol [16 bits]            `types`, by what was asked for that name already
// Every choice is paid for, every row of every table is a prefix code of its own (sum of 2^-price at most 1),
// hence the whole is one: the sum of 2^-price over all names is at most 1 (Kraft), also for the names below a
// given zone, since the price is a sum over labels and what was read before is known to the decoder. Tested
// by enumeration and by a decoder.
//
// A name may have several codewords (as letters, as hex); it is charged the shortest that a label by label
// choice finds.
//
// Pure; nothing allocates. Thread: any, immutable.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "detect/code_log2.h"
#include "detect/model.h"
#include "rules/vocabulary.h"

namespace postern {

// How many bits one alphabet's digit takes; a label all of whose octets are in `octets` may be said this way.
struct PlainClass {
  std::string name;
  std::string octets;
  bool again = true;  // may be continued by `again`
};

// Which part of the mixture a query is said by. The selector's price depends on the ledger (session and
// parent, or zone).
enum class Component : std::uint8_t {
  end,
  refresh,
  known,
  recent,
  repeat,
  old_zone,
  fresh,
  sibling,
  numbered
};
inline constexpr std::size_t component_count = 9;
using ComponentPrices = std::array<Millibits, component_count>;

// What is known of a name's earlier queries when its type is said; `fresh_again`: nothing, but its zone has
// been asked; `past_a`: only A, and the name was said as a repetition or a refresh, not as a recent one. A
// program that wants both addresses asks for them at once.
enum class TypeContext : std::uint8_t {
  fresh,
  fresh_arpa,
  fresh_again,
  seen_a,
  seen_aaaa,
  seen_both,
  seen_other,
  past_a
};
inline constexpr std::size_t type_context_count = 8;
// 12 types by name, "other" followed by 16 bits, and "the same as the last one asked in this zone".
inline constexpr std::size_t type_symbol_count = 14;
inline constexpr std::size_t type_other = 12, type_same = 13;
using TypePrices = std::array<std::array<Millibits, type_symbol_count>, type_context_count>;

// All prices. A value, so that a test can build a small code, or plant a fault in this one.
struct CodeTables {
  static constexpr std::size_t depths = 6;     // 0..4 labels read, and 5 or more
  static constexpr std::size_t buckets = 256;  // of the last label's hash
  static constexpr std::size_t kinds = 8;      // of the last label, see label_kind
  struct Shape {
    Millibits more, end;
  };
  std::shared_ptr<const Model> model;
  std::size_t max_label = Name::max_label;
  std::vector<PlainClass> plain;
  std::vector<Shape> shape;                     // depths x buckets
  std::vector<std::vector<Millibits>> classes;  // kinds x (gram, plain..., again)
  ComponentPrices session{}, zone{};
  TypePrices types{};
  // Numbered names (numbered.h). Which recent name: [0] the newest, [1 + slot] one of all; how many digits:
  // [0] as many as before, [k] k; what is a digit.
  std::vector<Millibits> number_like, number_length;
  std::string digits;

  static CodeTables builtin();
};

// One symbol of a codeword, for those who want to see it said: tests code it arithmetically and read it back.
struct CodedSymbol {
  enum class Table : std::uint8_t {
    shape,
    label_class,
    length,
    digit,
    gram,
    octet,
    component,
    index,
    type,
    type_value,
    number_like,
    number_length
  };
  Table table;
  std::uint32_t context;  // shape: depth * buckets + bucket; label_class: kind; digit: plain class; gram:
                          // state; index: how many
  std::uint32_t symbol;   // type: also in `context` TypeContext; component: `context` 0 session, 1 zone
  Millibits price;
};
using Codeword = std::vector<CodedSymbol>;

// Prices of a name's labels, cumulated from the right.
struct LabelPrices {
  std::size_t labels = 0;
  std::array<Millibits, 129> upto;  // [k]: the rightmost k labels, without the choice that follows them
  Millibits total = 0;              // the whole name, with its end
  // The part to the left of the rightmost `count` labels, with the end.
  Millibits below(std::size_t count) const { return total - upto[count < labels ? count : labels]; }
};

class NameCode {
 public:
  explicit NameCode(CodeTables tables);
  static std::shared_ptr<const NameCode> builtin();

  const CodeTables& tables() const noexcept { return tables_; }

  // About 5 ns a character. With `said`, the codeword of the labels left of the rightmost `from` is appended
  // to it.
  void price(const Name& name, LabelPrices& prices, Codeword* said = nullptr, std::size_t from = 0) const;

  static std::uint16_t type_symbol(Type type) noexcept;  // 0..11, or 12 for the others
  // `asked`: bit 1 << type_symbol for each type asked for the name, 0: none; `zone_asked`: another name of
  // the zone was.
  static TypeContext type_context(std::uint16_t asked, bool arpa, bool zone_asked) noexcept;
  // The same for a name that is said as a repetition or a refresh.
  static TypeContext past(TypeContext context) noexcept {
    return context == TypeContext::seen_a ? TypeContext::past_a : context;
  }
  // `last`: the type last asked in the zone, where the context is `fresh_again`.
  Millibits type_price(Type type, TypeContext context, Type last, Codeword* said = nullptr) const noexcept;

  // How many symbols a table has in a context, and what each costs; for tests and for the coder.
  std::vector<Millibits> row(CodedSymbol::Table table, std::uint32_t context) const;

  // What the decoder knows of the label it has just read.
  struct Read {
    std::uint32_t kind = 0;  // 0: nothing read yet
    std::uint32_t bucket = 0;
    std::size_t length = 0;
    int again = -1;  // the plain class `again` stands for; -1: none
  };
  Read read(std::string_view label) const noexcept;

 private:
  struct Octet {
    std::uint16_t member = 0;  // bit c: a digit of plain class c
    Model::Symbol symbol = 0;
    std::uint8_t flags = 0;  // letter, decimal, ... (code.cpp)
  };
  Read read_as(std::uint8_t flags, std::uint16_t member, std::uint32_t hash,
               std::size_t length) const noexcept;

  CodeTables tables_;
  std::array<Octet, 256> octets_{};
  std::uint16_t may_repeat_ = 0;  // bit c: plain class c may be continued by `again`
  std::vector<Millibits> digit_;  // price of one digit of class c
  Millibits length_ = 0;
};

}  // namespace postern

// A real arithmetic coder over the meter's own tables: what the charges promise, done.
//
// A range coder with 64 bits of range and 32-bit frequencies: a price of p millibits becomes floor(2^32 *
// 2^(-p/1000)) parts of 2^32. It loses at most 2^-24 of the range per symbol, a ten-millionth of a bit.
#pragma once

#include <cmath>
#include <cstdint>
#include <optional>
#include <vector>

#include "detect/meter.h"

namespace postern::coder {

__extension__ typedef unsigned __int128 u128;

constexpr std::uint64_t whole = 1ull << 32;

inline std::uint64_t frequency(Millibits price) {
  return static_cast<std::uint64_t>(
      std::floor(std::exp2l(32.0L - static_cast<long double>(price) / 1000.0L)));
}

// A row as parts of 2^32. Nothing if it is not a prefix code: its parts do not fit.
struct Parts {
  std::vector<std::uint64_t> start;  // one more than symbols
};
inline std::optional<Parts> parts_of(const std::vector<Millibits>& row) {
  Parts parts;
  std::uint64_t sum = 0;
  for (const Millibits price : row) {
    parts.start.push_back(sum);
    sum += frequency(price);
  }
  parts.start.push_back(sum);
  if (sum > whole) return std::nullopt;
  return parts;
}

class Encoder {
 public:
  void put(const Parts& parts, std::size_t symbol) {
    const std::uint64_t r = range_ >> 32;
    const std::uint64_t before = low_;
    low_ += r * parts.start[symbol];
    if (low_ < before) carry();
    range_ = r * (parts.start[symbol + 1] - parts.start[symbol]);
    while (range_ < (1ull << 56)) {
      out_.push_back(static_cast<std::uint8_t>(low_ >> 56));
      low_ <<= 8;
      range_ <<= 8;
    }
  }
  // Closes with as few bits as tell the interval apart; the length in bits.
  std::size_t finish() {
    for (unsigned k = 0; k <= 64; ++k) {
      const u128 unit = u128{1} << (64 - k);
      const u128 value = (u128{low_} + unit - 1) / unit * unit;
      if (value + unit > u128{low_} + range_) continue;
      if (value >> 64) carry();
      const auto bits = static_cast<std::uint64_t>(value);
      const std::size_t length = out_.size() * 8 + k;
      for (int i = 7; i >= 0; --i) out_.push_back(static_cast<std::uint8_t>(bits >> (8 * i)));
      out_.resize((length + 7) / 8);
      return length;
    }
    return out_.size() * 8 + 65;
  }
  const std::vector<std::uint8_t>& octets() const { return out_; }

 private:
  void carry() {
    for (std::size_t i = out_.size(); i-- > 0;)
      if (++out_[i] != 0) return;
  }
  std::vector<std::uint8_t> out_;
  std::uint64_t low_ = 0, range_ = ~0ull;
};

class Decoder {
 public:
  explicit Decoder(std::vector<std::uint8_t> octets) : in_(std::move(octets)) {
    for (int i = 0; i < 8; ++i) value_ = value_ << 8 | next();
  }
  std::optional<std::size_t> get(const Parts& parts) {
    const std::uint64_t r = range_ >> 32;
    const std::uint64_t target = value_ / r;
    std::size_t symbol = 0;
    const std::size_t symbols = parts.start.size() - 1;
    while (symbol < symbols && parts.start[symbol + 1] <= target) ++symbol;
    if (symbol == symbols) return std::nullopt;
    value_ -= r * parts.start[symbol];
    range_ = r * (parts.start[symbol + 1] - parts.start[symbol]);
    while (range_ < (1ull << 56)) {
      value_ = value_ << 8 | next();
      range_ <<= 8;
    }
    return symbol;
  }

 private:
  std::uint8_t next() { return at_ < in_.size() ? in_[at_++] : 0; }
  std::vector<std::uint8_t> in_;
  std::size_t at_ = 0;
  std::uint64_t value_ = 0, range_ = ~0ull;
};

// Reads queries back, written from the grammar in detect/code.h and not from the code that prices. It keeps a
// meter of its own, to know what the sender's history was.
class QueryReader {
 public:
  using Table = CodedSymbol::Table;
  QueryReader(std::vector<std::uint8_t> octets, const NameCode& code)
      : decoder_(std::move(octets)), code_(code) {}

  struct Result {
    bool ended = false, broken = false;
    Query query;
  };
  // `zone_of`: the registrable domain, by the rules that the sender uses.
  Result next(const SessionMeter& history, Name (*zone_of)(const Name&)) {
    Result result;
    const auto component = symbol(Table::component, 0);
    switch (static_cast<Component>(component)) {
      case Component::end:
        result.ended = true;
        return result;
      case Component::fresh:
        result.query.name = name({});
        break;
      case Component::old_zone: {
        const auto zone =
            history.zone_table().at(static_cast<NameTable::Id>(index(history.zone_table().size())));
        result.query.name = name(labels_of(of_wire(zone)));
        break;
      }
      case Component::sibling: {
        const auto id = history.recent()[index(SessionMeter::recent_names)];
        if (id >= history.name_table().size())
          broken_ = true;
        else
          result.query.name = name(labels_of(of_wire(history.name_table().at(id)).parent()));
        break;
      }
      case Component::numbered: {
        const std::size_t like = symbol(Table::number_like, 0);
        const auto id = like == 0 ? static_cast<NameTable::Id>(history.name_table().size() - 1)
                                  : history.recent()[like - 1];
        if (id >= history.name_table().size())
          broken_ = true;
        else
          result.query.name = with_number(of_wire(history.name_table().at(id)));
        break;
      }
      case Component::repeat:
        result.query.name =
            of_wire(history.name_table().at(static_cast<NameTable::Id>(index(history.name_table().size()))));
        break;
      case Component::recent: {
        const auto id = history.recent()[index(SessionMeter::recent_names)];
        if (id >= history.name_table().size())
          broken_ = true;
        else
          result.query.name = of_wire(history.name_table().at(id));
        break;
      }
      case Component::known:
        result.query.name =
            of_wire(history.known().table().at(static_cast<NameTable::Id>(index(history.known().size()))));
        break;
      default:
        broken_ = true;
    }
    const auto id = history.name_table().find(NameTable::octets(result.query.name));
    const bool arpa = result.query.name.suffix(1) == *Name::parse("arpa");
    const auto last = history.last_type(arpa ? *Name::parse("arpa") : zone_of(result.query.name));
    auto context = NameCode::type_context(id ? history.asked(*id) : std::uint16_t{0}, arpa, last.has_value());
    if (component == static_cast<std::size_t>(Component::repeat) && context == TypeContext::seen_a)
      context = TypeContext::past_a;
    constexpr Type types[] = {1, 28, 65, 12, 16, 33, 15, 5, 2, 6, 64, 257};
    const auto type = symbol(Table::type, static_cast<std::uint32_t>(context));
    if (type == 13)
      result.query.type = last.value_or(0);
    else
      result.query.type = type < 12 ? types[type] : static_cast<Type>(symbol(Table::type_value, 0));
    result.broken = broken_;
    return result;
  }

 private:
  std::size_t symbol(Table table, std::uint32_t context) {
    const auto parts = parts_of(code_.row(table, context));
    const auto found = parts ? decoder_.get(*parts) : std::nullopt;
    if (!found) broken_ = true;
    return found.value_or(0);
  }
  std::size_t index(std::size_t count) { return symbol(Table::index, static_cast<std::uint32_t>(count)); }

  static Name of_wire(std::string_view wire) {
    return *Name::from_wire({reinterpret_cast<const std::uint8_t*>(wire.data()), wire.size()});
  }
  static std::vector<std::string> labels_of(const Name& name) {  // from the right
    std::vector<std::string> labels;
    for (Name rest = name; !rest.is_root(); rest = rest.parent())
      labels.insert(labels.begin(), std::string(rest.first_label()));
    return labels;
  }

  // `like` with one of its first label's numbers replaced by the one that is read.
  Name with_number(const Name& like) {
    const CodeTables& tables = code_.tables();
    std::vector<std::string> pieces{""};  // by turns what is no number and what is one
    for (const char c : like.first_label()) {
      const bool digit = tables.digits.find(c) != std::string::npos;
      if (digit != (pieces.size() % 2 == 0)) pieces.emplace_back();
      pieces.back() += c;
    }
    const std::size_t runs = pieces.size() / 2;
    if (runs == 0) {
      broken_ = true;
      return {};
    }
    std::string& number = pieces[2 * index(runs) + 1];
    const std::size_t told = symbol(Table::number_length, 0), length = told == 0 ? number.size() : told;
    number.clear();
    for (std::size_t i = 0; i < length && !broken_; ++i) number += tables.digits[index(tables.digits.size())];
    std::string label;
    for (const std::string& piece : pieces) label += piece;
    std::vector<std::uint8_t> wire{static_cast<std::uint8_t>(label.size())};
    wire.insert(wire.end(), label.begin(), label.end());
    const Name rest = like.parent();
    wire.insert(wire.end(), rest.wire().begin(), rest.wire().end());
    const auto name = Name::from_wire(wire);
    if (!name) broken_ = true;
    return name.value_or(Name{});
  }

  Name name(std::vector<std::string> labels) {
    const CodeTables& tables = code_.tables();
    const Model& model = *tables.model;
    Model::State state = model.start();
    NameCode::Read last;
    for (const std::string& label : labels) {
      for (const char c : label) state = model.next(state, model.symbol(static_cast<std::uint8_t>(c)));
      state = model.next(state, model.stop());
      last = code_.read(label);
    }
    while (!broken_ && labels.size() < 128) {
      const std::size_t depth = std::min<std::size_t>(labels.size(), CodeTables::depths - 1);
      if (symbol(Table::shape, static_cast<std::uint32_t>(depth * CodeTables::buckets + last.bucket)) == 1)
        break;
      const std::size_t plain = tables.plain.size();
      const std::size_t which = symbol(Table::label_class, last.kind);
      std::string label;
      if (which == 0) {
        Model::State s = state;
        while (!broken_ && label.size() < 64) {
          const auto letter = static_cast<Model::Symbol>(symbol(Table::gram, s));
          s = model.next(s, letter);
          if (letter == model.stop()) break;
          label +=
              letter == model.escape() ? static_cast<char>(symbol(Table::octet, 0)) : model.octet(letter);
        }
      } else {
        const std::size_t digits = which == plain + 1 ? static_cast<std::size_t>(last.again) : which - 1;
        const std::size_t length = which == plain + 1 ? last.length : symbol(Table::length, 0) + 1;
        if (digits >= plain) broken_ = true;
        for (std::size_t i = 0; i < length && !broken_; ++i)
          label += tables.plain[digits].octets[symbol(Table::digit, static_cast<std::uint32_t>(digits))];
      }
      for (const char c : label) state = model.next(state, model.symbol(static_cast<std::uint8_t>(c)));
      state = model.next(state, model.stop());
      last = code_.read(label);
      labels.push_back(label);
    }
    std::vector<std::uint8_t> wire;
    for (auto at = labels.rbegin(); at != labels.rend(); ++at) {
      wire.push_back(static_cast<std::uint8_t>(at->size()));
      wire.insert(wire.end(), at->begin(), at->end());
    }
    wire.push_back(0);
    const auto name = Name::from_wire(wire);
    if (!name) broken_ = true;
    return name.value_or(Name{});
  }

  Decoder decoder_;
  const NameCode& code_;
  bool broken_ = false;
};

}  // namespace postern::coder

// The name code: pricing a name label by label, and the fixed tables.
#include "detect/code.h"

#include <algorithm>
#include <bit>

namespace postern {
namespace {

using Table = CodedSymbol::Table;

struct ShapeRow {
  const char* more;  // one level character per bucket
  const char* end;
};
#include "detect/code_table.inc"

constexpr std::array<Type, type_other> named_types{type::A,   type::AAAA, type::HTTPS, type::PTR,
                                                   type::TXT, type::SRV,  type::MX,    type::CNAME,
                                                   type::NS,  type::SOA,  type::SVCB,  type::CAA};

constexpr std::uint16_t bit(std::size_t symbol) {
  return static_cast<std::uint16_t>(1u << symbol);
}

constexpr Millibits never = 30000;  // not used in this place
constexpr std::uint16_t all_classes = 0xffff;
constexpr std::uint32_t fnv_start = 2166136261u, fnv_prime = 16777619u;  // FNV-1a

enum OctetFlag : std::uint8_t { letter = 1, decimal = 2, beyond_f = 4, other = 8 };

constexpr std::array<std::uint8_t, 256> octet_flags = [] {
  std::array<std::uint8_t, 256> flags{};
  for (unsigned c = 0; c < 256; ++c) {
    if (c >= 'a' && c <= 'f')
      flags[c] = letter;
    else if (c >= 'g' && c <= 'z')
      flags[c] = letter | beyond_f;
    else if (c >= '0' && c <= '9')
      flags[c] = decimal;
    else
      flags[c] = other;
  }
  return flags;
}();

}  // namespace

CodeTables CodeTables::builtin() {
  CodeTables tables;
  tables.model = Model::builtin();
  std::string octets, high = "abcdefghijklmnopqrstuvwxyz0123456789-_";
  for (int c = 0; c < 256; ++c) octets += static_cast<char>(c);
  high += octets.substr(128);  // tunnels that use all octets keep to these
  tables.plain = {{"decimal", "0123456789", false},
                  {"hex", "0123456789abcdef", true},
                  {"base32", "abcdefghijklmnopqrstuvwxyz234567", true},
                  {"base36", "abcdefghijklmnopqrstuvwxyz0123456789", true},
                  {"base64", "abcdefghijklmnopqrstuvwxyz0123456789-_+/=",
                   true},  // case does not travel: 41 digits are left
                  {"high", high, true},
                  {"octets", octets, true}};
  for (const ShapeRow& row : shape_table)
    for (std::size_t b = 0; b < buckets; ++b)
      tables.shape.push_back({static_cast<Millibits>(Model::char_level(row.more[b])) * Model::step,
                              static_cast<Millibits>(Model::char_level(row.end[b])) * Model::step});
  for (const char* row : class_table) {
    tables.classes.emplace_back();
    for (const char* at = row; *at != 0; ++at)
      tables.classes.back().push_back(static_cast<Millibits>(Model::char_level(*at)) * Model::step);
  }
  // Selectors: {end, refresh, known, recent, repeat, old_zone, fresh, sibling, numbered}. What an ordinary
  // program does most is cheap: ask another name of a zone it uses, ask a recent name again. The rest follows
  // from Kraft's sum, which a test checks. The last, numbered, takes what the others leave.
  tables.session = {8000, 6000, 2600, 2200, 3200, 2600, 3000, 2600, 4900};
  tables.zone = {8000, 6000, 3200, 2200, 3200, never, 1700, 2200, 5700};  // no zones below a zone's ledger
  tables.digits = "0123456789";
  // A program goes through a pool host by host: some 45 of 100 follow the newest name, and 19 of 20 numbers
  // are as long as the one before (of the 111 numbered names in that half of the recordings by which prices
  // are chosen).
  tables.number_like.assign(1 + 16, 900 + log2_up(16));
  tables.number_like[0] = 1150;
  tables.number_length.assign(1 + 10, 3000 + log2_up(10));
  tables.number_length[0] = 200;
  // Types: {A, AAAA, HTTPS, PTR, TXT, SRV, MX, CNAME, NS, SOA, SVCB, CAA, other, same as last}.
  tables.types = {{
      {1000, 2500, 3000, 5000, 5000, 5000, 5000, 6000, 6000, 6000, 7000, 7000, 7000, never},  // fresh
      {5000, 6000, 6500, 300, 6500, 6500, 6500, 6500, 6500, 6500, 6500, 6500, 6500, never},   // fresh_arpa
      {2000, 3000, 4500, 6500, 6500, 6500, 6500, 6500, 6500, 7500, 7500, 7500, 7500, 1100},   // fresh_again
      {1700, 1000, 4000, 7000, 7000, 7000, 7000, 7000, 7000, 7000, 7000, 7000, 7000, never},  // seen_a
      {1000, 2000, 3500, 7000, 7000, 7000, 7000, 7000, 7000, 7000, 7000, 7000, 7000, never},  // seen_aaaa
      {1200, 1200, 5000, 7000, 7000, 7000, 7000, 7000, 7000, 7000, 7000, 7000, 7000, never},  // seen_both
      {2000, 2000, 2000, 4000, 4000, 6200, 6200, 6200, 6200, 6200, 6200, 6200, 6200, never},  // seen_other
      {300, 3000, 6000, 8000, 8000, 8000, 8000, 8000, 8000, 8000, 8000, 8000, 8000, never},   // past_a
  }};
  return tables;
}

NameCode::NameCode(CodeTables tables) : tables_(std::move(tables)) {
  POSTERN_CHECK(tables_.plain.size() < 16);  // a bit each
  POSTERN_CHECK(tables_.shape.size() == CodeTables::depths * CodeTables::buckets);
  POSTERN_CHECK(tables_.classes.size() == CodeTables::kinds);
  for (const auto& row : tables_.classes) POSTERN_CHECK(row.size() == tables_.plain.size() + 2);
  for (std::size_t c = 0; c < octets_.size(); ++c) {
    octets_[c].symbol = tables_.model->symbol(static_cast<std::uint8_t>(c));
    octets_[c].flags = octet_flags[c];
  }
  for (std::size_t c = 0; c < tables_.plain.size(); ++c) {
    for (const char octet : tables_.plain[c].octets)
      octets_[static_cast<std::uint8_t>(octet)].member |= bit(c);
    if (tables_.plain[c].again) may_repeat_ |= bit(c);
    digit_.push_back(log2_up(static_cast<std::uint32_t>(tables_.plain[c].octets.size())));
  }
  length_ = log2_up(static_cast<std::uint32_t>(tables_.max_label));
}

std::shared_ptr<const NameCode> NameCode::builtin() {
  return std::make_shared<const NameCode>(CodeTables::builtin());
}

// Kinds: 1 letters, 2 digits, 3 hex with a digit, 4 letters and digits (short), 5 the same (long), 6 anything
// else (short), 7 the same (long). Long labels of random digits come in rows, short ones are names with a
// number.
NameCode::Read NameCode::read_as(std::uint8_t flags, std::uint16_t member, std::uint32_t hash,
                                 std::size_t length) const noexcept {
  constexpr std::size_t long_label = 16;
  Read read;
  if (flags & other)
    read.kind = length < long_label ? 6 : 7;
  else if (!(flags & decimal))
    read.kind = 1;
  else if (!(flags & letter))
    read.kind = 2;
  else if (!(flags & beyond_f))
    read.kind = 3;
  else
    read.kind = length < long_label ? 4 : 5;
  read.bucket = (hash ^ (hash >> 15)) % CodeTables::buckets;
  read.length = length;
  const auto classes = static_cast<std::uint16_t>(member & may_repeat_);
  if (classes != 0) read.again = std::countr_zero(classes);
  return read;
}

NameCode::Read NameCode::read(std::string_view label) const noexcept {
  std::uint8_t flags = 0;
  std::uint16_t member = all_classes;
  std::uint32_t hash = fnv_start;
  for (const char c : label) {
    const Octet& octet = octets_[static_cast<std::uint8_t>(c)];
    flags |= octet.flags;
    member &= octet.member;
    hash = (hash ^ static_cast<std::uint8_t>(c)) * fnv_prime;
  }
  return read_as(flags, member, hash, label.size());
}

void NameCode::price(const Name& name, LabelPrices& prices, Codeword* said, std::size_t from) const {
  const auto wire = name.wire();
  std::array<std::uint8_t, 128> offset;
  std::size_t labels = 0;
  for (std::size_t at = 0; wire[at] != 0; at += wire[at] + 1u)
    offset[labels++] = static_cast<std::uint8_t>(at);
  prices.labels = labels;

  const Model& model = *tables_.model;
  const std::size_t plain_count = tables_.plain.size();
  const auto every_plain = static_cast<std::uint16_t>((1u << plain_count) - 1);
  const std::size_t again = plain_count + 1;  // its place in a row of `classes`
  const std::uint32_t* const cells = model.cells();
  const Model::Symbol escape = model.escape();
  std::uint32_t row = model.row_of(model.start());
  Read last;
  Millibits sum = 0;
  prices.upto[0] = 0;
  for (std::size_t k = 0; k < labels; ++k) {
    const std::size_t at = offset[labels - 1 - k];
    const std::string_view label(reinterpret_cast<const char*>(wire.data()) + at + 1, wire[at]);
    const std::uint32_t context =
        static_cast<std::uint32_t>(std::min(k, CodeTables::depths - 1) * CodeTables::buckets + last.bucket);
    const Millibits more = tables_.shape[context].more;
    const auto& selector = tables_.classes[last.kind];

    const std::uint32_t before = row;
    std::uint16_t member = all_classes;
    std::uint8_t flags = 0;
    std::uint32_t hash = fnv_start;
    Millibits levels = 0, escapes = 0;
    for (const char c : label) {
      const Octet& octet = octets_[static_cast<std::uint8_t>(c)];
      const std::uint32_t cell = cells[row + octet.symbol];
      levels += cell & Model::level_mask;
      row = cell >> Model::level_bits;
      escapes += octet.symbol == escape ? 1 : 0;
      member &= octet.member;
      flags |= octet.flags;
      hash = (hash ^ static_cast<std::uint8_t>(c)) * fnv_prime;
    }
    const std::uint32_t stop = cells[row + model.stop()];
    row = stop >> Model::level_bits;
    const Millibits gram = (levels + (stop & Model::level_mask)) * Model::step + escapes * 8 * one_bit;

    std::size_t best = 0;
    Millibits best_price = selector[0] + gram;
    const auto length = static_cast<Millibits>(label.size());
    if (label.size() <= tables_.max_label) {
      for (std::uint16_t fit = member & every_plain; fit != 0;
           fit = static_cast<std::uint16_t>(fit & (fit - 1))) {
        const auto c = static_cast<std::size_t>(std::countr_zero(fit));
        const Millibits cost = selector[c + 1] + length_ + length * digit_[c];
        if (cost < best_price) best_price = cost, best = c + 1;
      }
    }
    if (last.again >= 0 && last.length == label.size() &&
        (member & bit(static_cast<std::size_t>(last.again)))) {
      const Millibits cost = selector[again] + length * digit_[static_cast<std::size_t>(last.again)];
      if (cost < best_price) best_price = cost, best = again;
    }

    if (said != nullptr && k >= from) {
      said->push_back({Table::shape, context, 0, more});
      said->push_back({Table::label_class, last.kind, static_cast<std::uint32_t>(best), selector[best]});
      if (best == 0) {
        auto s = static_cast<Model::State>(before / model.symbols());
        for (const char c : label) {
          const auto octet = static_cast<std::uint8_t>(c);
          const Model::Symbol symbol = model.symbol(octet);
          said->push_back({Table::gram, s, symbol, model.price(s, symbol)});
          if (symbol == model.escape()) said->push_back({Table::octet, 0, octet, 8 * one_bit});
          s = model.next(s, symbol);
        }
        said->push_back({Table::gram, s, model.stop(), model.price(s, model.stop())});
      } else {
        const std::size_t c = best == again ? static_cast<std::size_t>(last.again) : best - 1;
        if (best != again)
          said->push_back({Table::length, 0, static_cast<std::uint32_t>(label.size() - 1), length_});
        for (const char octet : label)
          said->push_back({Table::digit, static_cast<std::uint32_t>(c),
                           static_cast<std::uint32_t>(tables_.plain[c].octets.find(octet)), digit_[c]});
      }
    }
    sum += more + best_price;
    prices.upto[k + 1] = sum;
    last = read_as(flags, member, hash, label.size());
  }
  const std::uint32_t context = static_cast<std::uint32_t>(
      std::min(labels, CodeTables::depths - 1) * CodeTables::buckets + last.bucket);
  prices.total = sum + tables_.shape[context].end;
  if (said != nullptr) said->push_back({Table::shape, context, 1, tables_.shape[context].end});
}

std::uint16_t NameCode::type_symbol(Type type) noexcept {
  for (std::size_t i = 0; i < named_types.size(); ++i)
    if (named_types[i] == type) return static_cast<std::uint16_t>(i);
  return type_other;
}

TypeContext NameCode::type_context(std::uint16_t asked, bool arpa, bool zone_asked) noexcept {
  if (asked == 0)
    return arpa ? TypeContext::fresh_arpa : zone_asked ? TypeContext::fresh_again : TypeContext::fresh;
  const bool a = asked & bit(0), aaaa = asked & bit(1);
  if (a && aaaa) return TypeContext::seen_both;
  if (asked == bit(0)) return TypeContext::seen_a;
  if (asked == bit(1)) return TypeContext::seen_aaaa;
  return TypeContext::seen_other;
}

Millibits NameCode::type_price(Type type, TypeContext context, Type last, Codeword* said) const noexcept {
  const auto& row = tables_.types[static_cast<std::size_t>(context)];
  std::size_t symbol = type_symbol(type);
  const auto full = [&](std::size_t which) { return row[which] + (which == type_other ? 16 * one_bit : 0); };
  if (context == TypeContext::fresh_again && type == last && full(type_same) < full(symbol))
    symbol = type_same;
  if (said != nullptr) {
    said->push_back(
        {Table::type, static_cast<std::uint32_t>(context), static_cast<std::uint32_t>(symbol), row[symbol]});
    if (symbol == type_other) said->push_back({Table::type_value, 0, type, 16 * one_bit});
  }
  return full(symbol);
}

std::vector<Millibits> NameCode::row(CodedSymbol::Table table, std::uint32_t context) const {
  const auto uniform = [](std::size_t n, Millibits price) { return std::vector<Millibits>(n, price); };
  switch (table) {
    case Table::shape:
      return {tables_.shape[context].more, tables_.shape[context].end};
    case Table::label_class:
      return tables_.classes[context];
    case Table::length:
      return uniform(tables_.max_label, length_);
    case Table::digit:
      return uniform(tables_.plain[context].octets.size(), digit_[context]);
    case Table::gram: {
      std::vector<Millibits> row;
      for (std::size_t s = 0; s < tables_.model->symbols(); ++s)
        row.push_back(
            tables_.model->price(static_cast<Model::State>(context), static_cast<Model::Symbol>(s)));
      return row;
    }
    case Table::octet:
      return uniform(256, 8 * one_bit);
    case Table::component: {
      const auto& prices = context == 0 ? tables_.session : tables_.zone;
      return {prices.begin(), prices.end()};
    }
    case Table::index:
      return uniform(context, log2_up(context));
    case Table::type:
      return {tables_.types[context].begin(), tables_.types[context].end()};
    case Table::type_value:
      return uniform(65536, 16 * one_bit);
    case Table::number_like:
      return tables_.number_like;
    case Table::number_length:
      return tables_.number_length;
  }
  return {};
}

}  // namespace postern

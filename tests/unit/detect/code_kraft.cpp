// The code by enumeration: over all names, and over all next queries after a history, the sum of 2^-charge is
// at most 1. And the checker can fail: planted faults exceed 1.
#include <doctest/doctest.h>

#include <map>

#include "code_small.h"
#include "rules/public_suffix.h"

using namespace postern;
using small::mass;

namespace {

// All names of up to 4 labels of up to 3 octets; what is longer only adds to a true sum, so a sum above 1 is
// a proof.
double sum_of_names(const CodeTables& tables) {
  const NameCode code(tables);
  double sum = 0;
  LabelPrices prices;
  small::every_name(3, 3, [&](const Name& name) {
    code.price(name, prices);
    sum += mass(prices.total);
  });
  return sum;
}

// Only one class may be used.
CodeTables alone(std::size_t which) {
  CodeTables tables = small::tables();
  for (auto& row : tables.classes) {
    row.assign(row.size(), 60000);
    row[which] = 0;
  }
  return tables;
}

}  // namespace

TEST_CASE("names: each class alone, and the mixture, sum to at most 1") {
  CHECK(sum_of_names(alone(0)) <= 1.0);
  CHECK(sum_of_names(alone(0)) > 0.6);
  CHECK(sum_of_names(alone(2)) <= 1.0);
  CHECK(sum_of_names(alone(3)) <= 1.0);
  CHECK(sum_of_names(alone(3)) > 0.8);
  CHECK(sum_of_names(small::tables()) <= 1.0);
  CHECK(sum_of_names(small::tables()) > 0.5);
}

TEST_CASE("names: a price too cheap, or a selector forgotten, makes the sum exceed 1") {
  auto rows = small::rows();
  rows[4].prices[0] = Model::level_char(2);  // the first letter of a name: a quarter of a bit instead of one
  rows[1].prices[2] = Model::level_char(1);
  rows[2].prices[2] = Model::level_char(1);
  CodeTables cheap = small::tables(rows);
  for (auto& row : cheap.classes) row = {0, 60000, 60000, 60000, 60000};
  CHECK(sum_of_names(cheap) > 1.0);

  CodeTables free_choice = small::tables();
  for (auto& row : free_choice.classes) row.assign(row.size(), 0);
  CHECK(sum_of_names(free_choice) > 1.0);

  CodeTables free_end = small::tables();
  for (auto& cell : free_end.shape) cell.end = 0;
  CHECK(sum_of_names(free_end) > 1.0);
}

TEST_CASE("names below a zone sum to at most 1 for its reader") {
  const NameCode code(small::tables());
  for (const char* text : {"a", "b.a", "cc.b", "aa.ab.b"}) {
    const Name zone = *Name::parse(text);
    double sum = 0;
    LabelPrices prices;
    small::every_name(2, 3, [&](const Name& left) {
      const Name name = left.is_root() ? zone : *Name::parse(left.text() + "." + zone.text());
      code.price(name, prices);
      sum += mass(prices.below(zone.labels()));
    });
    CHECK(sum <= 1.0);
    CHECK(sum > 0.2);
  }
}

namespace {

constexpr Type named_types[] = {1, 28, 65, 12, 16, 33, 15, 5, 2, 6, 64, 257};
constexpr Type unnamed = 10;  // stands for 65536 - 12 types of one price

// In this little internet the registrable domain has two labels; under "b" the registry's own rule says one.
Ask small_ask(const Query& query) {
  const std::size_t labels = query.name.labels();
  const bool private_rule = query.name.suffix(1) == *Name::parse("b");
  return {&query, std::min<std::size_t>(labels, 2), std::min<std::size_t>(labels, private_rule ? 1 : 2)};
}

SessionMeter small_meter(const CodeTables& tables) {
  Budgets budgets;
  budgets.zone = budgets.known_zone = budgets.parent = budgets.session = Budgets::unlimited;
  const std::vector<Name> exact{*Name::parse("c.c.a"), *Name::parse("ba.a.cc"), *Name::parse("c.b.b"),
                                *Name::parse("cc.bc.b")};
  return {budgets, std::make_shared<const NameCode>(tables),
          std::make_shared<const KnownNames>(exact, false)};
}

// Forwards names of seven zones, some often, some by several types. They hold the dear letter c, so that most
// of what a fresh name could be is still unsaid afterwards and the sums stay near their bound.
void live(SessionMeter& meter, std::size_t events) {
  const char* names[] = {"cc.c.a",  "bc.c.a",  "c.c.a",   "c.b.c",    "bc.b.c",  "cc.c.b",   "bc.c.b",
                         "ca.c.b",  "ac.cb.b", "cb.cb.b", "ccc.cb.b", "ca.cc.a", "bcc.cc.a", "c.cc.a",
                         "ba.a.cc", "ac.a.cc", "cb.a.cc", "c.b.b",    "bc.b.b",  "cca.c.b"};
  std::uint32_t dice = 12345;
  for (std::size_t i = 0; i < events; ++i) {
    dice = dice * 1664525u + 1013904223u;
    const Query query{*Name::parse(names[(dice >> 16) % (sizeof names / sizeof *names)]),
                      named_types[(dice >> 8) % 3]};
    REQUIRE(meter.admit(small_ask(query)).admitted);
  }
}

// The sum over every query of any name in `zone` that the view's reader could see next. A codeword is the
// name's part and the type's. How a new name is said does not depend on the type, whose part depends on the
// context alone, so it is summed once for each; a name that was asked before is tried with each type.
double sum_of_next(const SessionMeter& meter, const CodeTables& tables, SessionMeter::View view,
                   const Name& zone) {
  const NameCode code(tables);
  std::map<std::pair<std::uint32_t, Type>, double> types;
  double sum = 0;
  small::every_name(3, 3, [&](const Name& name) {
    if (!name.at_or_below(zone)) return;
    const auto price_of = [&](Type type) {
      const Query query{name, type};
      Millibits price = 0;
      for (const CodedSymbol& symbol : meter.say(small_ask(query), view)) price += symbol.price;
      return price;
    };
    if (meter.name_table().find(NameTable::octets(name))) {
      for (const Type type : named_types) sum += mass(price_of(type));
      sum += (65536 - 12) * mass(price_of(unnamed));
      return;
    }
    const Query query{name, type::A};
    Millibits price = 0;
    std::uint32_t context = 0;
    for (const CodedSymbol& symbol : meter.say(small_ask(query), view))
      if (symbol.table == CodedSymbol::Table::type)
        context = symbol.context;
      else
        price += symbol.price;
    const Type last = meter.last_type(name.suffix(small_ask(query).registered_labels)).value_or(0);
    auto found = types.find({context, last});
    if (found == types.end()) {
      double all = 0;
      for (const Type type : named_types)
        all += mass(code.type_price(type, static_cast<TypeContext>(context), last));
      all += (65536 - 12) * mass(code.type_price(unnamed, static_cast<TypeContext>(context), last));
      found = types.emplace(std::pair{context, last}, all).first;
    }
    sum += mass(price) * found->second;
  });
  return sum;
}

double with_end_and_refresh(double sum, const ComponentPrices& selector) {
  // All refreshes together: names x types x lengths are three prefix codes after one selector, at most 1 in
  // sum.
  return sum + mass(selector[static_cast<std::size_t>(Component::end)]) +
         mass(selector[static_cast<std::size_t>(Component::refresh)]);
}

}  // namespace

TEST_CASE("next queries: the sum is at most 1 for the session, after histories of no, one and seven zones") {
  const CodeTables tables = small::tables();
  for (const std::size_t events : {0u, 1u, 8u, 60u}) {
    SessionMeter meter = small_meter(tables);
    live(meter, events);
    if (events == 60) CHECK(meter.zone_table().size() >= 7);
    const double sum = with_end_and_refresh(sum_of_next(meter, tables, SessionMeter::View::session, Name{}),
                                            small::tables().session);
    INFO("after " << events << " forwards the sum is " << sum);
    CHECK(sum <= 1.0);
    if (events == 60) CHECK(sum > 0.5);
  }
}

TEST_CASE("next queries: the sum is at most 1 for each zone's and each parent's reader") {
  const CodeTables tables = small::tables();
  SessionMeter meter = small_meter(tables);
  live(meter, 60);
  for (const char* zone : {"c.a", "b.c", "c.b", "cb.b", "cc.a", "a.cc", "b.b"}) {
    INFO(zone);
    CHECK(with_end_and_refresh(sum_of_next(meter, tables, SessionMeter::View::zone, *Name::parse(zone)),
                               small::tables().zone) <= 1.0);
  }
  CHECK(with_end_and_refresh(sum_of_next(meter, tables, SessionMeter::View::parent, *Name::parse("b")),
                             small::tables().session) <= 1.0);
}

TEST_CASE("next queries: any forgotten selector makes the session's sum exceed 1") {
  for (const Component part : {Component::repeat, Component::old_zone, Component::fresh}) {
    CodeTables faulty = small::tables();
    // Siblings say again what old zones say; without them the other parts' sums stand near their bound.
    faulty.session[static_cast<std::size_t>(Component::sibling)] = 30000;
    faulty.session[static_cast<std::size_t>(part)] = 0;
    SessionMeter meter = small_meter(faulty);
    live(meter, 60);
    INFO("component " << static_cast<int>(part));
    CHECK(sum_of_next(meter, faulty, SessionMeter::View::session, Name{}) > 1.0);
  }
  CodeTables free_types = small::tables();
  for (auto& row : free_types.types) row.fill(0);
  SessionMeter meter = small_meter(free_types);
  live(meter, 60);
  CHECK(sum_of_next(meter, free_types, SessionMeter::View::session, Name{}) > 1.0);
}

TEST_CASE(
    "next queries: recent names with other numbers sum to at most 1, and not if a part of them is free") {
  const auto sum_with = [](const auto& change) {
    CodeTables tables = small::tables();
    tables.session.fill(60000);
    tables.session[static_cast<std::size_t>(Component::numbered)] = 0;
    change(tables);
    SessionMeter meter = small_meter(tables);
    live(meter, 60);
    return sum_of_next(meter, tables, SessionMeter::View::session, Name{});
  };
  const double sum = sum_with([](CodeTables&) {});
  CHECK(sum <= 1.0);
  CHECK(sum > 0.3);
  CHECK(sum_with([](CodeTables& tables) { tables.number_length.assign(3, 0); }) > 1.0);
}

TEST_CASE("repetitions priced by their own zone's count would exceed 1: which zone is information too") {
  SessionMeter meter = small_meter(small::tables());
  live(meter, 60);
  double sum = 0;
  const Millibits selector = small::tables().session[static_cast<std::size_t>(Component::repeat)];
  std::size_t zones = 0;
  for (NameTable::Id zone = 0; zone < meter.zone_table().size(); ++zone, ++zones) {
    const auto wire = meter.zone_table().at(zone);
    const Query query{*Name::from_wire({reinterpret_cast<const std::uint8_t*>(wire.data()), wire.size()}), 1};
    const auto names = meter.seen(small_ask(query), SessionMeter::View::zone).names;
    sum += names * mass(selector + log2_up(names));
  }
  CHECK(zones >= 5);
  CHECK(sum / mass(selector) >
        3.0);  // a mixture with this part would hold at three bits of selector until eight zones
  double right = 0;
  for (std::size_t i = 0; i < meter.names(); ++i)
    right += mass(log2_up(static_cast<std::uint32_t>(meter.names())));
  CHECK(right <= 1.0);
}

TEST_CASE("the built-in tables: every row of every table is a prefix code, and a cheaper entry is noticed") {
  const auto code = NameCode::builtin();
  const CodeTables& tables = code->tables();
  using Table = CodedSymbol::Table;
  const auto sum = [](const std::vector<Millibits>& row) {
    double total = 0;
    for (const Millibits price : row) total += mass(price);
    return total;
  };
  const auto check = [&](Table table, std::uint32_t context) {
    const auto row = code->row(table, context);
    REQUIRE_FALSE(row.empty());
    if (sum(row) > 1.0)
      FAIL("table " << static_cast<int>(table) << " context " << context << " sums to " << sum(row));
  };
  for (std::uint32_t c = 0; c < tables.shape.size(); ++c) check(Table::shape, c);
  for (std::uint32_t c = 0; c < tables.classes.size(); ++c) check(Table::label_class, c);
  for (std::uint32_t c = 0; c < tables.plain.size(); ++c) check(Table::digit, c);
  for (std::uint32_t c = 0; c < type_context_count; ++c) check(Table::type, c);
  for (const std::uint32_t c : {0u, 1u}) check(Table::component, c);
  for (const std::uint32_t c : {1u, 2u, 3u, 63u, 64u, 1000u, 65537u}) check(Table::index, c);
  check(Table::length, 0);
  check(Table::number_like, 0);
  check(Table::number_length, 0);
  check(Table::octet, 0);
  check(Table::type_value, 0);
  for (std::uint32_t c = 0; c < type_context_count; ++c) {
    auto row = code->row(Table::type, c);
    *std::min_element(row.begin(), row.end()) = 0;
    CHECK(sum(row) > 1.0);
  }
  for (const std::uint32_t c : {0u, 1u})
    for (std::size_t part = 0; part < component_count; ++part) {
      auto row = code->row(Table::component, c);
      row[part] = 0;
      CHECK(sum(row) > 1.0);
    }
}

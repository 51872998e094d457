// The charges are real: an arithmetic coder on the same tables writes whole sessions in no more bits than
// were charged, plus 2, and a decoder that knows only the grammar reads them back.
#include <doctest/doctest.h>

#include <fstream>

#include "code_coder.h"
#include "code_small.h"
#include "meter_names.h"

using namespace postern;

namespace {

struct Outcome {
  bool fits = true, decoded = true;
  double bits = 0, said = 0, charged = 0;
  std::size_t queries = 0;
};

// Writes `queries` as the session's reader would have to be told, then reads them back.
Outcome round_trip(const std::vector<Query>& queries, SessionMeter sender, SessionMeter receiver,
                   const NameCode& code) {
  Outcome outcome;
  coder::Encoder encoder;
  const auto put = [&](CodedSymbol::Table table, std::uint32_t context, std::uint32_t symbol,
                       Millibits price) {
    const auto row = code.row(table, context);
    const auto parts = coder::parts_of(row);
    if (!parts || row.at(symbol) != price)
      outcome.fits = false;
    else
      encoder.put(*parts, symbol);
    outcome.said += price / 1000.0;
  };
  for (const Query& query : queries) {
    const Ask ask = sample::ask_of(query);
    for (const CodedSymbol& symbol : sender.say(ask, SessionMeter::View::session))
      put(symbol.table, symbol.context, symbol.symbol, symbol.price);
    const Admission admission = sender.admit(ask);
    REQUIRE(admission.admitted);
    outcome.charged += admission.charge.bits();
    ++outcome.queries;
    if (!outcome.fits) return outcome;
  }
  const Millibits end = code.tables().session[0];
  put(CodedSymbol::Table::component, 0, 0, end);
  outcome.charged += end / 1000.0;
  outcome.bits = static_cast<double>(encoder.finish());
  CHECK(outcome.charged == doctest::Approx(static_cast<double>(sender.session().used()) / 1000));

  coder::QueryReader reader(encoder.octets(), code);
  for (const Query& query : queries) {
    const auto read = reader.next(receiver, registered_domain);
    if (read.broken || read.ended || !(read.query.name == query.name) || read.query.type != query.type) {
      outcome.decoded = false;
      return outcome;
    }
    receiver.admit(sample::ask_of(read.query));
  }
  outcome.decoded = reader.next(receiver, registered_domain).ended;
  return outcome;
}

Outcome round_trip(const std::vector<Query>& queries) {
  const SessionMeter meter = sample::meter_with(sample::unlimited());
  static const auto code = NameCode::builtin();
  return round_trip(queries, meter, meter, *code);
}

void check(const Outcome& outcome) {
  INFO("coded " << outcome.bits << ", said " << outcome.said << ", charged " << outcome.charged
                << " bits for " << outcome.queries << " queries");
  CHECK(outcome.fits);
  CHECK(outcome.bits <= outcome.charged + 2);
  CHECK(outcome.bits <= outcome.said + 2);  // also without the 8 bits that a moment costs at least
  CHECK(outcome.decoded);
}

constexpr Type types[] = {1, 28, 65, 16, 15, 12, 33, 10, 257, 65399};

}  // namespace

TEST_CASE(
    "ordinary names, asked again and again by several types, are coded within their charge and read back") {
  std::vector<Query> queries;
  sample::Dice dice(1);
  for (int i = 0; i < 600; ++i) {
    const auto& names = sample::ordinary();
    queries.push_back(
        {*Name::parse(names[dice() % names.size()]), types[dice() % 10 < 7 ? dice() % 2 : dice() % 10]});
  }
  check(round_trip(queries));
}

TEST_CASE(
    "random digits, words, octets and labels of every length are coded within their charge and read back") {
  std::vector<Query> queries;
  sample::Dice dice(2);
  for (int i = 0; i < 400; ++i) {
    std::string text;
    switch (dice() % 6) {
      case 0:
        text =
            sample::digits(dice, sample::hex, 1 + dice() % 63) + "." + sample::digits(dice, sample::hex, 63);
        break;
      case 1:
        text = sample::digits(dice, sample::base32, 1 + dice() % 63);
        break;
      case 2:
        text = sample::digits(dice, sample::decimal, 1 + dice() % 63);
        break;
      case 3:
        text = sample::words()[dice() % 2048] + "-" + sample::words()[dice() % 2048];
        break;
      case 4:
        text = sample::digits(dice, sample::base36, 2);
        break;
      default: {
        std::string name;
        for (std::size_t n = 1 + dice() % 40; n > 0; --n) {
          const std::string number = std::to_string(dice() % 256);
          name += "\\" + std::string(3 - number.size(), '0') + number;
        }
        text = name;
      }
    }
    const auto name = Name::parse(text + (dice() % 3 == 0   ? ".t.example.com"
                                          : dice() % 2 == 0 ? ".example.org"
                                                            : ".a-b.github.io"));
    REQUIRE(name);
    queries.push_back({*name, types[dice() % 10]});
  }
  check(round_trip(queries));
}

TEST_CASE(
    "hosts that development tools ask, and their neighbours, are coded within their charge and read back") {
  std::ifstream in(POSTERN_SOURCE_DIR "/detect/known_hosts.inc");
  std::vector<Query> queries;
  for (std::string line; std::getline(in, line);) {
    if (line.starts_with("//")) continue;
    for (std::size_t from = 0; (from = line.find('"', from)) != std::string::npos; ++from) {
      const std::size_t to = line.find('"', from + 1);
      REQUIRE(to != std::string::npos);
      const std::string host = line.substr(from + 1, to - from - 1);
      for (const std::string& text : {host, "mirror." + host}) {  // a listed name, and one that is not
        queries.push_back({*Name::parse(text), type::A});
        queries.push_back({*Name::parse(text), type::AAAA});
      }
      from = to;
    }
  }
  CHECK(queries.size() > 1000);
  check(round_trip(queries));
}

TEST_CASE(
    "pools of numbered hosts are coded within their charge and read back, and a number is cheap to say") {
  std::vector<Query> queries;
  sample::Dice dice(3);
  const auto ask = [&](const std::string& text) { queries.push_back({*Name::parse(text), type::A}); };
  for (int i = 0; i < 200; ++i) {
    const auto number = [&](std::size_t longest) {
      return sample::digits(dice, sample::decimal, 1 + dice() % longest);
    };
    switch (dice() % 6) {
      case 0:
        ask("cache" + number(4) + ".example.com");
        break;
      case 1:
        ask("edge" + number(2) + "-fra" + number(2) + ".example.com");
        break;
      case 2:
        ask(number(14) + ".pool.example.org");  // longer than a length can be told: only as long as before
        break;
      case 3:
        ask(number(3) + ".example.com");
        break;
      case 4:
        ask("cache" + number(4) + ".a-b.github.io");
        break;
      default:
        ask("n" + number(1) + "x" + number(1) + "y" + number(1) + ".example.net");
    }
  }
  check(round_trip(queries));

  SessionMeter meter = sample::meter_with(sample::unlimited());
  const auto charge = [&](const char* text) {
    const Query query{*Name::parse(text), type::A};
    return meter.admit(sample::ask_of(query)).charge;
  };
  CHECK(charge("cache305.example.com").part != Component::numbered);
  const Charge next = charge("cache317.example.com");
  CHECK(next.part == Component::numbered);
  CHECK(next.zone < 22 * one_bit);  // selector 5.7, which one 4, three digits 10, length and type 1.6
  CHECK(charge("cache317.example.org").part != Component::numbered);  // another zone
  CHECK(charge("cachet317.example.com").part != Component::numbered);
}

TEST_CASE("a number is found where two labels differ in nothing else") {
  const auto of = [](std::string_view label, std::string_view like) {
    return numbered_like(label, like, "0123456789", 10);
  };
  const auto found = of("a12-b9", "a12-b7");
  REQUIRE(found);
  CHECK(found->run == 1);
  CHECK(found->runs == 2);
  CHECK(found->number == "9");
  CHECK(found->same_length);
  CHECK(of("a7", "a12")->number == "7");
  CHECK_FALSE(of("a7", "a12")->same_length);
  CHECK(of("7", "12")->number == "7");
  CHECK(of("a0012", "a12")->number == "0012");
  CHECK(of("a12x3", "a1x3")->number == "12");
  CHECK(of("a1x3", "a12x3")->run == 0);
  CHECK(of("x1y", "x22y")->number == "1");
  CHECK_FALSE(of("x1z1y", "x1y"));
  CHECK_FALSE(of("a1b", "a1b1"));
  CHECK(of("x1234567890", "x1")->number.size() == 10);
  CHECK_FALSE(of("x12345678901", "x1"));
  CHECK(of("x12345678901", "x00000000000")->same_length);
  CHECK_FALSE(of("a", "a12"));
  CHECK_FALSE(of("a1b", "a12"));
  CHECK_FALSE(of("ab12", "a12"));
  CHECK_FALSE(of("a12", "a"));
  CHECK_FALSE(of("a1-b1", "a2-b2"));
  CHECK_FALSE(of("", "a12"));
}

TEST_CASE("with a price planted too cheap the coder's parts do not fit; with a selector forgotten, neither") {
  std::vector<Query> queries;
  for (const auto& text : sample::ordinary()) queries.push_back({*Name::parse(text), type::A});
  const auto try_with = [&](const CodeTables& tables) {
    const auto code = std::make_shared<const NameCode>(tables);
    const SessionMeter meter(sample::unlimited(), code, KnownNames::builtin());
    return round_trip(queries, meter, meter, *code);
  };
  check(try_with(CodeTables::builtin()));

  auto rows = Model::builtin_rows();
  for (auto& row : rows) row.prices[0] = Model::level_char(0);  // the letter a for nothing
  CodeTables cheap = CodeTables::builtin();
  cheap.model = std::make_shared<const Model>(*Model::build(Model::builtin_alphabet(), rows));
  CHECK_FALSE(try_with(cheap).fits);

  CodeTables forgotten = CodeTables::builtin();
  forgotten.session[static_cast<std::size_t>(Component::fresh)] = 0;
  CHECK_FALSE(try_with(forgotten).fits);

  queries = {{*Name::parse("cache1.example.com"), type::A}, {*Name::parse("cache2.example.com"), type::A}};
  CodeTables lengths = CodeTables::builtin();
  lengths.number_length[0] = 0;
  CHECK_FALSE(try_with(lengths).fits);
}

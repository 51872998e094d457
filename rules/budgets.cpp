// Budgets: profiles, and amounts as text.
#include "rules/budgets.h"

#include <algorithm>
#include <array>
#include <charconv>

#include "rules/quote.h"

namespace postern {
namespace {

struct Unit {
  std::string_view text;
  std::uint64_t bits;
};
constexpr std::array<Unit, 7> units{{{"", 8},
                                     {"B", 8},
                                     {"KiB", 8ull << 10},
                                     {"MiB", 8ull << 20},
                                     {"GiB", 8ull << 30},
                                     {"bit", 1},
                                     {"bits", 1}}};

}  // namespace

Result<Budgets> profile(std::string_view name) {
  Budgets budgets;  // `code`: a coding agent's work, unattended
  if (name == "code") return budgets;
  if (name == "browse") {  // a browser: many zones, each with little; CDN parents carry many sites
    budgets.known_zone = 4096;
    budgets.parent = 4096;
    budgets.arpa = 512;
    budgets.session = 16384;
    budgets.answers = 64 << 20;
    budgets.queries = 50'000;
    return budgets;
  }
  if (name == "strict") {  // less than two 32-byte keys to a zone
    budgets.zone = 48;
    budgets.known_zone = 256;
    budgets.parent = 96;
    budgets.arpa = 48;
    budgets.session = 512;
    budgets.answers = 4 << 20;
    budgets.single_name_bits = 300;
    budgets.queries = 2'000;
    return budgets;
  }
  return failure("cannot choose budgets: profile \"" + std::string(name) +
                 "\" is none of code, browse, strict");
}

bool Budgets::is_open() const noexcept {
  return std::min({zone, known_zone, parent, arpa, session, sandbox, user}) >= unlimited;
}

Budgets Budgets::after_days(std::uint64_t days) const noexcept {
  Budgets more = *this;
  const std::uint64_t added = refill > 0 && days > unlimited / refill ? unlimited : refill * days;
  for (std::uint64_t Budgets::*one :
       {&Budgets::zone, &Budgets::known_zone, &Budgets::parent, &Budgets::arpa, &Budgets::session})
    more.*one = added > unlimited - std::min(more.*one, unlimited) ? unlimited : more.*one + added;
  if (refill > 0 && answers > 0)
    more.answers = days >= unlimited / answers ? unlimited : answers + answers * days;
  return more;
}

std::span<const BudgetKey> budget_keys() {
  static constexpr std::array<BudgetKey, 8> keys{{{"zone", &Budgets::zone},
                                                  {"known_zone", &Budgets::known_zone},
                                                  {"parent", &Budgets::parent},
                                                  {"arpa", &Budgets::arpa},
                                                  {"session", &Budgets::session},
                                                  {"answers", &Budgets::answers},
                                                  {"sandbox", &Budgets::sandbox},
                                                  {"user", &Budgets::user}}};
  return keys;
}

Result<std::uint64_t> parse_amount(std::string_view text) {
  const auto bad = [&](const std::string& why) {
    return failure("not an amount: " + quoted(text) + " (" + why + ")");
  };
  if (text == "unlimited") return unlimited_bits;
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error == std::errc::result_out_of_range) return bad("at most 1024 GiB, or unlimited");
  if (error != std::errc{}) return bad("such as 256, 256 B, 2 KiB, 600 bits or unlimited");
  std::string_view rest = text.substr(static_cast<std::size_t>(end - text.data()));
  if (rest.starts_with(' ') && rest.size() > 1) rest.remove_prefix(1);
  const auto unit =
      std::find_if(units.begin(), units.end(), [&](const Unit& one) { return one.text == rest; });
  if (unit == units.end()) return bad("the units are B, KiB, MiB, GiB and bits");
  constexpr std::uint64_t most = 8ull << 40;  // 1024 GiB: far beyond any purpose, and far below `unlimited`
  if (number > most / unit->bits) return bad("at most 1024 GiB, or unlimited");
  return number * unit->bits;
}

Result<std::uint64_t> parse_count(std::string_view text) {
  if (text == "unlimited") return unlimited_bits;
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  constexpr std::uint64_t most =
      1'000'000'000;  // an hour's at a million a second would be less than four of these
  if (error != std::errc{} || end != text.data() + text.size() || number == 0 || number > most)
    return failure("not a count: " + quoted(text) + " (such as 10000, at most 1000000000, or unlimited)");
  return number;
}

std::string amount_text(std::uint64_t bits) {
  if (bits >= unlimited_bits) return "unlimited";
  if (bits % 8 != 0) return std::to_string(bits) + " bits";
  for (const std::size_t large : {4, 3, 2})
    if (bits >= units[large].bits && bits % units[large].bits == 0)
      return std::to_string(bits / units[large].bits) + " " + std::string(units[large].text);
  return std::to_string(bits / 8) + " B";
}

}  // namespace postern

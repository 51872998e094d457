// Ages and sizes as people write them, for what a journal keeps.
#include <charconv>
#include <cstdio>
#include <iterator>
#include <span>

#include "resolver/control/config.h"

namespace postern {
namespace {

struct AmountUnit {
  std::string_view word;
  std::int64_t worth;
};

// "COUNT UNIT" with or without a space, at most `most` in all. Nothing if it is no such text.
Result<std::int64_t> count_of_units(std::string_view text, std::span<const AmountUnit> units,
                                    std::int64_t most, const std::string& bad) {
  std::int64_t count = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), count);
  std::string_view rest(end, static_cast<std::size_t>(text.data() + text.size() - end));
  if (error == std::errc() && text[0] != '-') {
    while (!rest.empty() && rest[0] == ' ') rest.remove_prefix(1);
    for (const AmountUnit& unit : units)
      if (rest == unit.word && count > 0 && count <= most / unit.worth) return count * unit.worth;
  }
  return failure(bad + ", not \"" + std::string(text.substr(0, 100)) + "\"");
}

}  // namespace

Result<std::int64_t> parse_age(std::string_view text) {
  if (text == "forever") return 0;
  constexpr std::int64_t second = 1'000'000, longest = 36'500LL * 86'400 * second;  // a hundred years
  constexpr AmountUnit units[] = {{"s", second},
                                  {"m", 60 * second},
                                  {"h", 3600 * second},
                                  {"d", 86'400 * second},
                                  {"w", 604'800 * second}};
  return count_of_units(text, units, longest, "an age must be such as 12h, 30d, 8w or forever");
}

Result<std::int64_t> parse_file_size(std::string_view text) {
  if (text == "unlimited") return 0;
  constexpr std::int64_t one = 1;
  // SQLite's files end at 281 TB.
  constexpr AmountUnit units[] = {
      {"B", one}, {"KiB", one << 10}, {"MiB", one << 20}, {"GiB", one << 30}, {"TiB", one << 40}};
  return count_of_units(text, units, one << 48, "a size must be such as 500MiB, 20GiB or unlimited");
}

std::string age_text(std::int64_t age_us) {
  if (age_us == 0) return "forever";
  constexpr AmountUnit units[] = {{"d", 86'400}, {"h", 3600}, {"m", 60}};
  const std::int64_t seconds = age_us / 1'000'000;
  for (const AmountUnit& unit : units)
    if (seconds % unit.worth == 0) return std::to_string(seconds / unit.worth) + std::string(unit.word);
  return std::to_string(seconds) + "s";
}

std::string size_text(std::int64_t octets) {
  constexpr const char* units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
  double amount = static_cast<double>(octets);
  std::size_t unit = 0;
  while (amount >= 1024 && unit + 1 < std::size(units)) {
    amount /= 1024;
    ++unit;
  }
  char text[32];
  std::snprintf(text, sizeof text, unit == 0 ? "%.0f %s" : "%.1f %s", amount, units[unit]);
  return text;
}

std::string keep_text(const Retention& keep) {
  return "queries " + age_text(keep.queries_us) + ", alerts " + age_text(keep.alerts_us) + ", size " +
         (keep.octets == 0 ? "unlimited" : size_text(keep.octets));
}

Result<void> check_retention(const Retention& keep) {
  if (keep.queries_us != 0 && keep.queries_us < Retention::least_queries_us)
    return failure("queries must be kept for an hour at least");
  if (keep.alerts_us != 0 && keep.alerts_us < Retention::least_alerts_us)
    return failure("alerts must be kept for seven days at least: hooks may be told of them for three");
  if (keep.octets != 0 && keep.octets < Retention::least_octets)
    return failure("the size must be 16MiB at least");
  if (keep.alerts_us != 0 && keep.queries_us != 0 && keep.alerts_us < keep.queries_us)
    return failure("alerts must be kept as long as queries at least: they are what queries are kept for");
  return {};
}

}  // namespace postern

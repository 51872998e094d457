// Moments: as people write them, and as text.
#include <charconv>
#include <cmath>
#include <ctime>
#include <optional>

#include "resolver/control/log_format.h"
#include "rules/quote.h"

namespace postern {
namespace {

constexpr std::int64_t second_us = 1'000'000;

// Reads exactly `digits` digits off the front.
bool take(std::string_view& text, std::size_t digits, int& value) {
  if (text.size() < digits) return false;
  const auto [end, error] = std::from_chars(text.data(), text.data() + digits, value);
  if (error != std::errc() || end != text.data() + digits || text[0] == '-') return false;
  text.remove_prefix(digits);
  return true;
}

bool skip(std::string_view& text, char c) {
  if (text.empty() || text[0] != c) return false;
  text.remove_prefix(1);
  return true;
}

// "15m": a count and one of s, m, h, d, w. Nothing if it is no such text.
std::optional<std::int64_t> parse_ago(std::string_view text) {
  skip(text, '-');
  std::int64_t count = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), count);
  const std::string_view unit(end, static_cast<std::size_t>(text.data() + text.size() - end));
  if (error != std::errc() || unit.size() != 1 || text[0] == '-') return std::nullopt;
  constexpr std::int64_t longest = 100 * 365 * 86400LL;  // a hundred years ago there was no DNS
  const std::int64_t seconds = unit == "s"   ? 1
                               : unit == "m" ? 60
                               : unit == "h" ? 3600
                               : unit == "d" ? 86400
                               : unit == "w" ? 7 * 86400
                                             : 0;
  if (seconds == 0 || count > longest / seconds) return std::nullopt;
  return count * seconds * second_us;
}

std::optional<std::int64_t> parse_date(std::string_view text) {
  std::tm parts{};
  int year = 0, month = 0;
  if (!take(text, 4, year) || !skip(text, '-') || !take(text, 2, month) || !skip(text, '-') ||
      !take(text, 2, parts.tm_mday))
    return std::nullopt;
  std::int64_t fraction_us = 0, offset = 0;
  if (skip(text, 'T') || skip(text, ' ')) {
    if (!take(text, 2, parts.tm_hour) || !skip(text, ':') || !take(text, 2, parts.tm_min))
      return std::nullopt;
    if (skip(text, ':')) {
      if (!take(text, 2, parts.tm_sec)) return std::nullopt;
      if (skip(text, '.')) {
        std::int64_t unit = second_us;
        int digit = 0;
        if (text.empty() || !take(text, 1, digit)) return std::nullopt;
        do fraction_us += digit * (unit /= 10);
        while (take(text, 1, digit));
      }
    }
    if (!text.empty() && (text[0] == '+' || text[0] == '-')) {
      const int sign = text[0] == '-' ? -1 : 1;
      text.remove_prefix(1);
      int hours = 0, minutes = 0;
      if (!take(text, 2, hours)) return std::nullopt;
      skip(text, ':');
      if (!take(text, 2, minutes) || hours > 14 || minutes > 59) return std::nullopt;
      offset = sign * (hours * 3600 + minutes * 60);
    } else {
      skip(text, 'Z');
    }
  }
  if (!text.empty() || month < 1 || month > 12 || parts.tm_mday < 1 || parts.tm_hour > 23 ||
      parts.tm_min > 59 || parts.tm_sec > 60)
    return std::nullopt;
  parts.tm_year = year - 1900;
  parts.tm_mon = month - 1;
  const int day = parts.tm_mday, second = parts.tm_sec;
  const std::time_t seconds = timegm(&parts);
  if (parts.tm_mday != day && second < 60) return std::nullopt;  // the 30th of February
  return (static_cast<std::int64_t>(seconds) - offset) * second_us + fraction_us;
}

}  // namespace

std::string iso_text(std::int64_t unix_us) {
  const std::int64_t micro = ((unix_us % second_us) + second_us) % second_us;
  const auto seconds = static_cast<std::time_t>((unix_us - micro) / second_us);
  std::tm broken{};
  gmtime_r(&seconds, &broken);
  char text[48];
  const std::size_t size = std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &broken);
  std::snprintf(text + size, sizeof text - size, ".%06dZ", static_cast<int>(micro));
  return text;
}

Result<std::int64_t> parse_moment(std::string_view text, std::int64_t now_us) {
  if (const auto ago = parse_ago(text)) return now_us - *ago;
  if (const auto date = parse_date(text)) return *date;
  double seconds = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), seconds);
  // From 2001 to the year 3000: a year, 20261122, milliseconds and microseconds are not taken for seconds.
  constexpr double earliest = 1'000'000'000, latest = 32'503'680'000;
  if (error == std::errc() && end == text.data() + text.size() && seconds >= earliest && seconds < latest)
    return static_cast<std::int64_t>(std::llround(seconds * second_us));
  return failure(
      "a time is 2026-11-22, 2026-11-22T10:00:00Z, seconds since 1970 (ten digits), or 15m, 2h, 3d ago; "
      "not " +
      quoted(text));
}

}  // namespace postern

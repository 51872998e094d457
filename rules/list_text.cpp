// Lists as a whole: what no list can be, and which reader takes the rest.
#include "rules/list_text.h"

#include <algorithm>
#include <array>
#include <utility>

#include "rules/gunzip.h"
#include "rules/list_reading.h"
#include "rules/quote.h"

namespace postern {
namespace {

constexpr std::array<std::pair<ListFormat, std::string_view>, 4> format_names{{
    {ListFormat::domains, "domains"},
    {ListFormat::hosts, "hosts"},
    {ListFormat::adblock, "adblock"},
    {ListFormat::rpz, "rpz"},
}};

// Why the text cannot be a list in any format, or nothing.
std::string not_a_list(std::string_view text, const ListOptions& options) {
  if (text.empty()) return "1: the file is empty";
  if (text.size() > options.most_octets)
    return "1: it has " + std::to_string(text.size()) + " octets, and a list at most " +
           std::to_string(options.most_octets);
  if (is_gzip(text)) return "1: it is compressed twice";
  if (text.starts_with("\xff\xfe") || text.starts_with("\xfe\xff")) return "1: it is UTF-16, not UTF-8";
  const std::size_t nul = text.find('\0');
  if (nul == std::string_view::npos) return "";
  const std::string_view before = text.substr(0, nul);
  const auto line = 1 + std::count(before.begin(), before.end(), '\n');
  const std::size_t begin = before.rfind('\n') == std::string_view::npos ? 0 : before.rfind('\n') + 1;
  constexpr std::size_t shown = 40;  // octets around the NUL: enough to find it
  const std::size_t from = std::max(begin, nul > shown ? nul - shown : 0);
  return std::to_string(line) + ": " + quoted(text.substr(from, nul - from + 1)) +
         " holds a NUL: it is not text";
}

}  // namespace

Result<ListReport> read_list(std::string_view text, const ListOptions& options, ListSink& sink) {
  if (const std::string why = not_a_list(text, options); !why.empty())
    return failure("cannot read list " + options.file + ":" + why);
  if (text.starts_with("\xef\xbb\xbf")) text.remove_prefix(3);  // a byte order mark
  const ListFormat format = options.format ? *options.format : detect_list_format(text);
  ListReading reading(text, options, sink);
  switch (format) {
    case ListFormat::domains:
      read_domains(reading);
      break;
    case ListFormat::hosts:
      read_hosts(reading);
      break;
    case ListFormat::adblock:
      read_adblock(reading);
      break;
    case ListFormat::rpz:
      read_rpz(reading);
      break;
  }
  return reading.finish(format);
}

std::string_view list_format_text(ListFormat format) noexcept {
  for (const auto& [value, name] : format_names)
    if (value == format) return name;
  return "domains";
}

std::optional<ListFormat> list_format_from_text(std::string_view text) noexcept {
  for (const auto& [value, name] : format_names)
    if (name == text) return value;
  return std::nullopt;
}

}  // namespace postern

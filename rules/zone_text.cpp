// Zone files: words, times, names, and record data.
#include "rules/zone_text.h"

#include <charconv>
#include <string>

#include "rules/address.h"
#include "rules/list_reading.h"
#include "rules/svcb.h"
#include "rules/svcb_text.h"

namespace postern {
namespace {

using Rdata = std::vector<std::uint8_t>;

bool ends_word(char c) {
  return is_list_space(c) || c == ';' || c == '(' || c == ')' || c == '"';
}

bool add_number(Rdata& out, std::string_view word, std::uint32_t most, int octets) {
  std::uint32_t value = 0;
  const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), value);
  if (word.empty() || error != std::errc{} || end != word.data() + word.size() || value > most) return false;
  for (int i = octets - 1; i >= 0; --i) out.push_back(static_cast<std::uint8_t>(value >> (8 * i)));
  return true;
}

bool add_name(Rdata& out, std::string_view word, const Name* origin) {
  const std::optional<Name> name = zone_name(word, origin);
  if (!name) return false;
  const auto wire = name->wire();
  out.insert(out.end(), wire.begin(), wire.end());
  return true;
}

bool add_string(Rdata& out,
                std::string_view word) {  // RFC 1035 section 3.3: a length octet, then at most 255
  const std::size_t length_at = out.size();
  out.push_back(0);
  if (!append_unescaped(out, word) || out.size() - length_at > 256) return false;
  out[length_at] = static_cast<std::uint8_t>(out.size() - length_at - 1);
  return true;
}

bool add_hex(Rdata& out, std::string_view word) {
  if (word.size() % 2 != 0) return false;
  for (std::size_t i = 0; i < word.size(); i += 2) {
    unsigned value = 0;
    const auto [end, error] = std::from_chars(word.data() + i, word.data() + i + 2, value, 16);
    if (error != std::errc{} || end != word.data() + i + 2) return false;
    out.push_back(static_cast<std::uint8_t>(value));
  }
  return true;
}

// RFC 3597 section 5: \# LENGTH HEX...
bool add_unknown(Rdata& out, std::span<const ZoneWord> words) {
  Rdata length;
  if (words.size() < 2 || !add_number(length, words[1].text, 65535, 2)) return false;
  for (const ZoneWord& word : words.subspan(2))
    if (!add_hex(out, word.text)) return false;
  return out.size() == (std::size_t{length[0]} << 8 | length[1]);
}

// `key="value"` was cut at the quote.
bool add_parameters(Rdata& out, std::span<const ZoneWord> words) {
  std::vector<std::string> whole;
  for (const ZoneWord& word : words) {
    if (word.quoted && !whole.empty() && whole.back().ends_with('='))
      whole.back() += word.text;
    else
      whole.emplace_back(word.text);
  }
  const Result<Rdata> read =
      read_service_parameters(std::vector<std::string_view>(whole.begin(), whole.end()));
  if (!read) return false;
  out.insert(out.end(), read->begin(), read->end());
  return true;
}

bool add_address(Rdata& out, std::string_view word, bool v6) {
  const std::optional<Address> address = Address::parse(word);
  if (!address || address->v6 != v6) return false;
  const auto octets = address->octets();
  out.insert(out.end(), octets.begin(), octets.begin() + (v6 ? 16 : 4));
  return true;
}

}  // namespace

bool append_unescaped(Rdata& out, std::string_view word) {
  for (std::size_t i = 0; i < word.size(); ++i) {
    if (word[i] != '\\') {
      out.push_back(static_cast<std::uint8_t>(word[i]));
      continue;
    }
    if (i + 1 == word.size()) return false;
    if (word[i + 1] < '0' || word[i + 1] > '9') {
      out.push_back(static_cast<std::uint8_t>(word[++i]));
      continue;
    }
    if (i + 3 >= word.size() || !add_number(out, word.substr(i + 1, 3), 255, 1)) return false;
    i += 3;
  }
  return true;
}

bool cut_zone_line(std::string_view line, std::vector<ZoneWord>& words, int& depth) {
  for (std::size_t at = 0; at < line.size();) {
    const char c = line[at];
    if (is_list_space(c)) {
      ++at;
    } else if (c == ';') {
      return true;
    } else if (c == '(') {
      ++depth;
      ++at;
    } else if (c == ')') {
      if (--depth < 0) return false;
      ++at;
    } else {
      const bool quoted = c == '"';
      const std::size_t begin = quoted ? at + 1 : at;
      std::size_t end = begin;
      while (end < line.size() && !(quoted ? line[end] == '"' : ends_word(line[end])))
        end += line[end] == '\\' && end + 1 < line.size() ? 2 : 1;
      if (quoted && end >= line.size()) return false;
      words.push_back({line.substr(begin, end - begin), quoted});
      at = quoted ? end + 1 : end;
    }
  }
  return true;
}

std::optional<std::uint32_t> zone_time(std::string_view word) noexcept {
  constexpr std::uint64_t most = 0x7fffffff;
  if (word.empty()) return std::nullopt;
  std::uint64_t sum = 0;
  while (!word.empty()) {
    std::uint32_t value = 0;
    const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), value);
    if (error != std::errc{}) return std::nullopt;
    word.remove_prefix(static_cast<std::size_t>(end - word.data()));
    std::uint64_t unit = 1;
    if (!word.empty()) {
      switch (word.front() | 0x20) {
        case 's':
          unit = 1;
          break;
        case 'm':
          unit = 60;
          break;
        case 'h':
          unit = 3600;
          break;
        case 'd':
          unit = 86400;
          break;
        case 'w':
          unit = 604800;
          break;
        default:
          return std::nullopt;
      }
      word.remove_prefix(1);
    }
    sum += value * unit;
    if (sum > most) return std::nullopt;
  }
  return static_cast<std::uint32_t>(sum);
}

std::optional<Name> zone_name(std::string_view word, const Name* origin) {
  if (word == "@") return origin != nullptr ? std::optional(*origin) : std::nullopt;
  Name name;
  if (word.empty() || read_zone_name(word, name)) return std::nullopt;
  // A final dot may be an escaped one, inside the last label: "a\." but not "a\\.".
  std::size_t backslashes = 0;
  while (backslashes + 1 < word.size() && word[word.size() - 2 - backslashes] == '\\') ++backslashes;
  if (word.back() == '.' && backslashes % 2 == 0) return name;
  if (origin == nullptr) return std::nullopt;
  if (origin->is_root()) return name;
  Rdata wire(name.wire().begin(), name.wire().end() - 1);
  wire.insert(wire.end(), origin->wire().begin(), origin->wire().end());
  return Name::from_wire(wire);
}

ZoneData zone_data(Type type, std::span<const ZoneWord> words, const Name* origin) {
  ZoneData data;
  Rdata& out = data.rdata;
  const auto word = [&](std::size_t i) { return words[i].text; };
  const auto finish = [&](bool good) {
    if (!good || out.size() > 65535) data.problem = ZoneData::Problem::data;
    return data;
  };
  const bool unknown_form = !words.empty() && !words[0].quoted && word(0) == "\\#";
  if (unknown_form && (type == type::A || type == type::AAAA))
    return finish(add_unknown(out, words) && out.size() == (type == type::A ? 4 : 16));
  if (unknown_form && (type == type::SVCB || type == type::HTTPS))
    return finish(add_unknown(out, words) && parse_service_binding(out).has_value());
  if (!unknown_form) {
    switch (type) {
      case type::A:
      case type::AAAA:
        return finish(words.size() == 1 && add_address(out, word(0), type == type::AAAA));
      case type::CNAME:
      case type::PTR:
        return finish(words.size() == 1 && add_name(out, word(0), origin));
      case type::MX:
        return finish(words.size() == 2 && add_number(out, word(0), 65535, 2) &&
                      add_name(out, word(1), origin));
      case type::SRV:
        return finish(words.size() == 4 && add_number(out, word(0), 65535, 2) &&
                      add_number(out, word(1), 65535, 2) && add_number(out, word(2), 65535, 2) &&
                      add_name(out, word(3), origin));
      case type::CAA:
        return finish(words.size() == 3 && add_number(out, word(0), 255, 1) && !word(1).empty() &&
                      add_string(out, word(1)) && append_unescaped(out, word(2)));
      case type::TXT: {
        for (const ZoneWord& string : words)
          if (!add_string(out, string.text)) return finish(false);
        return finish(!words.empty());
      }
      case type::SVCB:
      case type::HTTPS:
        return finish(words.size() >= 2 && add_number(out, word(0), 65535, 2) &&
                      add_name(out, word(1), origin) && add_parameters(out, words.subspan(2)) &&
                      parse_service_binding(out).has_value());
      default:
        break;
    }
  }
  data.problem = ZoneData::Problem::type;
  return data;
}

}  // namespace postern

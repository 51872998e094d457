// Names in lists: reading them fast, with a cause where it is not one.
#include "rules/idn.h"
#include "rules/list_reading.h"

namespace postern {
namespace {

// A plain name's octets, folded; 0: not one of them. 1: needs another look.
constexpr std::uint8_t needs_a_look = 1;
using CharacterTable = std::array<std::uint8_t, 256>;

constexpr CharacterTable host_characters = [] {
  CharacterTable table{};
  for (unsigned c = 'a'; c <= 'z'; ++c) table[c] = table[c - 32] = static_cast<std::uint8_t>(c);
  for (unsigned c = '0'; c <= '9'; ++c) table[c] = static_cast<std::uint8_t>(c);
  table['-'] = '-';
  table['_'] = '_';
  for (unsigned c = 0x80; c <= 0xff; ++c) table[c] = needs_a_look;
  return table;
}();

constexpr CharacterTable zone_characters = [] {
  CharacterTable table{};
  for (unsigned c = 0x21; c <= 0x7e; ++c) table[c] = fold(static_cast<std::uint8_t>(c));
  table['\\'] = needs_a_look;
  for (unsigned c = 0x80; c <= 0xff; ++c) table[c] = needs_a_look;
  table['.'] = 0;
  return table;
}();

// Writes the wire form in one pass, and says why the text has none: what read_plain_list_name leaves.
std::optional<Skip> read_by(const CharacterTable& characters, std::string_view text, Name& out,
                            std::optional<Skip> (*another_look)(std::string_view text, Name& out)) {
  if (text.size() > 1 && text.back() == '.' && text[text.size() - 2] != '\\') text.remove_suffix(1);
  std::array<std::uint8_t, Name::max_octets> wire;
  std::size_t length_at = 0;  // where the current label's length octet stands
  std::size_t end = 1;        // one past the last octet written
  bool too_long = false;
  for (const char c : text) {
    const std::uint8_t octet = characters[static_cast<unsigned char>(c)];
    if (octet > needs_a_look) [[likely]] {
      if (end < Name::max_octets - 1) [[likely]]
        wire[end++] = octet;
      else
        too_long = true;
      continue;
    }
    if (c == '.') {
      const std::size_t length = end - length_at - 1;
      if (length == 0) return Skip::empty_label;
      if (length > Name::max_label) return Skip::label_too_long;
      wire[length_at] = static_cast<std::uint8_t>(length);
      length_at = end;
      if (end < Name::max_octets - 1)
        ++end;
      else
        too_long = true;
      continue;
    }
    if (octet == needs_a_look) return another_look(text, out);
    return Skip::characters;
  }
  const std::size_t length = end - length_at - 1;
  if (too_long) return Skip::name_too_long;
  if (length == 0) return Skip::empty_label;
  if (length > Name::max_label) return Skip::label_too_long;
  wire[length_at] = static_cast<std::uint8_t>(length);
  wire[end++] = 0;
  if (!out.assign_wire({wire.data(), end})) return Skip::name_too_long;
  return std::nullopt;
}

// Unicode, once: what it becomes must be plain.
std::optional<Skip> read_unicode(std::string_view text, Name& out) {
  const Result<std::string> ascii = to_a_labels(text);
  if (!ascii) return Skip::no_a_label;
  return read_by(host_characters, *ascii, out,
                 [](std::string_view, Name&) -> std::optional<Skip> { return Skip::no_a_label; });
}

std::optional<Skip> read_escaped(std::string_view text, Name& out) {
  for (const char c : text)
    if (static_cast<unsigned char>(c) >= 0x80) return read_unicode(text, out);
  const Result<Name> name = Name::parse(text);
  if (!name) return Skip::characters;
  out = *name;
  return std::nullopt;
}

// What a text that is not a name was meant to be, for the cause.
Skip better_cause(std::string_view text, Skip skip) {
  if (HostsLines::address(text.substr(0, text.find('/')))) return Skip::address;
  if (skip != Skip::characters) return skip;
  if (text.find("//") != std::string_view::npos || text.find('/') != std::string_view::npos) return Skip::url;
  return text.find('*') != std::string_view::npos ? Skip::wildcard_inside : skip;
}

}  // namespace

bool read_plain_list_name(std::string_view text, Name& out) noexcept {
  if (!out.assign_host(text)) return false;
  return text.back() < '0' || text.back() > '9';  // as below
}

std::optional<Skip> read_list_name(std::string_view text, Name& out) {
  if (read_plain_list_name(text, out)) return std::nullopt;
  if (const std::optional<Skip> skip = read_by(host_characters, text, out, read_unicode))
    return better_cause(text, *skip);
  // A top-level domain is never a number (RFC 3696 section 2), so only a final digit asks for a closer look.
  const char last = text.back() == '.' ? text[text.size() - 2] : text.back();
  if (last >= '0' && last <= '9' &&
      HostsLines::address(text.back() == '.' ? text.substr(0, text.size() - 1) : text))
    return Skip::address;
  return std::nullopt;
}

std::optional<Skip> read_zone_name(std::string_view text, Name& out) {
  if (text == ".") {
    out = Name{};
    return std::nullopt;
  }
  return read_by(zone_characters, text, out, read_escaped);
}

bool is_machine_name(const Name& name) noexcept {
  const std::string_view first = name.first_label();
  if (first.empty() || (first[0] != 'l' && first[0] != 'b' && first[0] != 'i')) return false;
  const auto wire = name.wire();
  const std::string_view rest(reinterpret_cast<const char*>(wire.data()) + 1 + first.size(),
                              name.size() - 1 - first.size());
  using namespace std::string_view_literals;
  if (rest == "\0"sv)
    return first == "localhost" || first == "localhost4" || first == "localhost6" || first == "local" ||
           first == "broadcasthost" || first == "ip6-localhost" || first == "ip6-loopback" ||
           first == "ip6-localnet" || first == "ip6-mcastprefix" || first == "ip6-allnodes" ||
           first == "ip6-allrouters" || first == "ip6-allhosts";
  return (first == "localhost" && rest == "\013localdomain\0"sv) ||
         (first == "localhost4" && rest == "\014localdomain4\0"sv) ||
         (first == "localhost6" && rest == "\014localdomain6\0"sv);
}

}  // namespace postern

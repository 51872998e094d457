// SvcParams: from words to the wire.
#include "rules/svcb_text.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <map>
#include <optional>
#include <string>

#include "rules/address.h"
#include "rules/quote.h"
#include "rules/zone_text.h"

namespace postern {
namespace {

using ParameterValue = std::vector<std::uint8_t>;

// Those of RFC 9460 section 14.3.2 that local data has use for. `ech` (base64) and others go as keyNNNNN.
constexpr std::uint16_t mandatory = 0, alpn = 1, no_default_alpn = 2, port = 3, ipv4hint = 4, ipv6hint = 6;
struct KnownKey {
  std::string_view name;
  std::uint16_t number;
};
constexpr std::array<KnownKey, 6> known_keys{{{"mandatory", mandatory},
                                              {"alpn", alpn},
                                              {"no-default-alpn", no_default_alpn},
                                              {"port", port},
                                              {"ipv4hint", ipv4hint},
                                              {"ipv6hint", ipv6hint}}};

std::optional<std::uint16_t> decimal(std::string_view text) {
  std::uint16_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty() || error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

std::optional<std::uint16_t> key_number(std::string_view name) {
  for (const KnownKey& known : known_keys)
    if (known.name == name) return known.number;
  constexpr std::string_view unnamed = "key";
  if (!name.starts_with(unnamed)) return std::nullopt;
  return decimal(name.substr(unnamed.size()));
}

Result<std::uint16_t> read_key(std::string_view name) {
  if (const std::optional<std::uint16_t> number = key_number(name)) return *number;
  return failure("unknown parameter " + quoted(name) +
                 "; known are mandatory, alpn, no-default-alpn, port, ipv4hint, ipv6hint and keyNNNNN");
}

void append_number(ParameterValue& out, std::size_t value) {
  out.push_back(static_cast<std::uint8_t>(value >> 8));
  out.push_back(static_cast<std::uint8_t>(value));
}

// A list between commas; a comma or backslash of an item has a backslash in front (appendix A.1).
std::vector<std::string> items_of(std::string_view value) {
  std::vector<std::string> items(1);
  for (std::size_t at = 0; at < value.size(); ++at) {
    if (value[at] == ',')
      items.emplace_back();
    else
      items.back() += value[at] == '\\' && at + 1 < value.size() ? value[++at] : value[at];
  }
  return items;
}

// `written` is only quoted, in errors.
Result<ParameterValue> read_value(std::uint16_t key, std::string_view value, std::string_view written) {
  ParameterValue out;
  switch (key) {
    case mandatory: {
      std::vector<std::uint16_t> keys;
      for (const std::string& name : items_of(value)) {
        const Result<std::uint16_t> one = read_key(name);
        if (!one) return tl::unexpected(one.error());
        keys.push_back(*one);
      }
      std::sort(keys.begin(), keys.end());
      for (const std::uint16_t one : keys) append_number(out, one);
      return out;
    }
    case alpn:
      for (const std::string& protocol : items_of(value)) {
        if (protocol.empty() || protocol.size() > 255)
          return failure("alpn lists protocols, here is " + quoted(written));
        out.push_back(static_cast<std::uint8_t>(protocol.size()));
        out.insert(out.end(), protocol.begin(), protocol.end());
      }
      return out;
    case port: {
      const std::optional<std::uint16_t> number = decimal(value);
      if (!number) return failure("the port is a number from 0 to 65535, here is " + quoted(written));
      append_number(out, *number);
      return out;
    }
    case ipv4hint:
    case ipv6hint: {
      const bool v6 = key == ipv6hint;
      for (const std::string& one : items_of(value)) {
        const std::optional<Address> address = Address::parse(one);
        if (!address || address->v6 != v6)
          return failure(std::string("not an IPv") + (v6 ? "6" : "4") + " address: " + quoted(one));
        const std::array<std::uint8_t, 16> octets = address->octets();
        out.insert(out.end(), octets.begin(), octets.begin() + (v6 ? 16 : 4));
      }
      return out;
    }
    default:
      out.assign(value.begin(), value.end());
      return out;
  }
}

}  // namespace

Result<std::vector<std::uint8_t>> read_service_parameters(std::span<const std::string_view> words) {
  constexpr std::size_t longest = 65535;  // octets of a value, and of all
  std::map<std::uint16_t, ParameterValue> values;
  for (const std::string_view word : words) {
    const std::size_t equals = word.find('=');
    const std::string_view name = word.substr(0, equals);
    const std::string_view written = equals == std::string_view::npos ? "" : word.substr(equals + 1);
    const Result<std::uint16_t> key = read_key(name);
    if (!key) return tl::unexpected(key.error());
    if (values.contains(*key)) return failure("parameter " + quoted(name) + " is given twice");
    if (*key == no_default_alpn && equals != std::string_view::npos)
      return failure("no-default-alpn has no value, here is " + quoted(written));
    ParameterValue plain;
    if (!append_unescaped(plain, written))
      return failure("an escape is \\DDD or \\X, here is " + quoted(written));
    const Result<ParameterValue> value =
        read_value(*key, {reinterpret_cast<const char*>(plain.data()), plain.size()}, written);
    if (!value) return tl::unexpected(value.error());
    if (value->size() > longest) return failure("parameter " + quoted(name) + " has over 65535 octets");
    values[*key] = *value;
  }
  std::vector<std::uint8_t> out;
  for (const auto& [key, value] : values) {
    append_number(out, key);
    append_number(out, value.size());
    out.insert(out.end(), value.begin(), value.end());
  }
  return out;
}

}  // namespace postern

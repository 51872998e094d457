// SVCB and HTTPS RDATA: the strict reader of RFC 9460 section 2.2 and 7.
#include "rules/svcb.h"

#include <bitset>

namespace postern {
namespace {

using Octets = std::span<const std::uint8_t>;

// SvcParamKeys of RFC 9460 section 14.3.2.
constexpr std::uint16_t key_mandatory = 0, key_alpn = 1, key_no_default_alpn = 2, key_port = 3,
                        key_ipv4hint = 4, key_ipv6hint = 6, key_invalid = 65535;

std::uint16_t number(Octets octets, std::size_t at) noexcept {
  return static_cast<std::uint16_t>(octets[at] << 8 | octets[at + 1]);
}

// A list of non-empty, length-prefixed strings that fills the value exactly (section 7.1.1).
bool is_alpn_list(Octets value) noexcept {
  std::size_t at = 0;
  while (at < value.size()) {
    if (value[at] == 0) return false;
    at += 1u + value[at];
  }
  return at == value.size() && at != 0;
}

}  // namespace

std::optional<ServiceBinding> parse_service_binding(Octets rdata) noexcept {
  if (rdata.size() < 3) return std::nullopt;
  ServiceBinding out;
  out.priority = number(rdata, 0);
  const std::optional<Name> target = Name::from_wire(rdata.subspan(2));
  if (!target) return std::nullopt;
  out.target = *target;

  constexpr std::size_t known_keys = 7;  // bits for the keys that others refer to
  std::bitset<known_keys> seen;
  Octets mandatory;
  std::int32_t last_key = -1;
  Octets rest = rdata.subspan(2 + target->size());
  Octets all = rest;
  while (!rest.empty()) {
    if (rest.size() < 4) return std::nullopt;
    const std::uint16_t key = number(rest, 0);
    const std::size_t length = number(rest, 2);
    if (key <= last_key || key == key_invalid || rest.size() < 4 + length) return std::nullopt;
    last_key = key;
    const Octets value = rest.subspan(4, length);
    rest = rest.subspan(4 + length);
    if (key < known_keys) seen.set(key);
    switch (key) {
      case key_mandatory:
        if (length == 0 || length % 2 != 0) return std::nullopt;
        mandatory = value;
        break;
      case key_alpn:
        if (!is_alpn_list(value)) return std::nullopt;
        break;
      case key_no_default_alpn:
        if (length != 0) return std::nullopt;
        break;
      case key_port:
        if (length != 2) return std::nullopt;
        break;
      case key_ipv4hint:
        if (length == 0 || length % 4 != 0) return std::nullopt;
        out.ipv4_hints = value;
        break;
      case key_ipv6hint:
        if (length == 0 || length % 16 != 0) return std::nullopt;
        out.ipv6_hints = value;
        break;
      default:
        break;
    }
  }
  if (seen[key_no_default_alpn] && !seen[key_alpn]) return std::nullopt;
  // Section 8: the mandatory list is strictly ascending, does not hold itself, and each of its keys is there.
  // Both lists ascend, so one walk over the parameters finds them all.
  std::int32_t last_mandatory = key_mandatory;
  Octets params = all;
  for (std::size_t i = 0; i < mandatory.size(); i += 2) {
    const std::uint16_t wanted = number(mandatory, i);
    if (wanted <= last_mandatory) return std::nullopt;
    last_mandatory = wanted;
    while (!params.empty() && number(params, 0) < wanted) params = params.subspan(4u + number(params, 2));
    if (params.empty() || number(params, 0) != wanted) return std::nullopt;
  }
  return out;
}

}  // namespace postern

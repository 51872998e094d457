// Special names: the table, each row with its source, and the answers.
#include "rules/special.h"

#include <algorithm>

#include "rules/result.h"

namespace postern {
namespace {

using enum SpecialKind;

constexpr auto names = std::to_array<SpecialName>({
    {"localhost", loopback, "special name **.localhost (RFC 6761)"},
    {"invalid", absent, "special name **.invalid (RFC 6761)"},
    {"test", absent, "special name **.test (RFC 6761)"},
    {"onion", absent, "special name **.onion (RFC 7686)"},
    {"alt", absent, "special name **.alt (RFC 9476)"},
    {"local", absent, "special name **.local (RFC 6762)"},
    // Names that private networks use: ICANN reserved `internal`; the others are RFC 6762 appendix G.
    {"internal", absent, "internal name **.internal (RFC 6762 appendix G)"},
    {"intranet", absent, "internal name **.intranet (RFC 6762 appendix G)"},
    {"private", absent, "internal name **.private (RFC 6762 appendix G)"},
    {"corp", absent, "internal name **.corp (RFC 6762 appendix G)"},
    {"home", absent, "internal name **.home (RFC 6762 appendix G)"},
    {"lan", absent, "internal name **.lan (RFC 6762 appendix G)"},
    {"localdomain", absent,
     "internal name **.localdomain (what Unix systems call a domain that nobody named)"},
    {"home.arpa", empty_zone, "special name **.home.arpa (RFC 8375)"},
    {"service.arpa", empty_zone, "special name **.service.arpa (RFC 9665)"},

    // Names by which clients find a resolver other than this one.
    {"use-application-dns.net", absent,
     "special name **.use-application-dns.net (the canary that keeps browsers off DoH)"},
    {"resolver.arpa", no_data, "special name **.resolver.arpa (RFC 9462)"},
    {"mask.icloud.com", absent, "special name **.mask.icloud.com (iCloud Private Relay)"},
    {"mask-h2.icloud.com", absent, "special name **.mask-h2.icloud.com (iCloud Private Relay)"},

    // Cloud metadata services by name. Their addresses are in address.cpp.
    {"metadata.google.internal", cloud_metadata,
     "cloud metadata name **.metadata.google.internal (Google Cloud)"},
    {"metadata.goog", cloud_metadata, "cloud metadata name **.metadata.goog (Google Cloud)"},
    {"metadata", cloud_metadata, "cloud metadata name **.metadata (Google Cloud)"},
    {"instance-data", cloud_metadata, "cloud metadata name **.instance-data (AWS)"},
    {"instance-data.ec2.internal", cloud_metadata, "cloud metadata name **.instance-data.ec2.internal (AWS)"},
    {"metadata.tencentyun.com", cloud_metadata,
     "cloud metadata name **.metadata.tencentyun.com (Tencent Cloud)"},
    {"metadata.packet.net", cloud_metadata, "cloud metadata name **.metadata.packet.net (Equinix Metal)"},
    {"metadata.platformequinix.com", cloud_metadata,
     "cloud metadata name **.metadata.platformequinix.com (Equinix Metal)"},

    // RFC 6303 section 4.1 and 4.2: private and special IPv4 addresses, reversed.
    {"1.0.0.127.in-addr.arpa", loopback_name, "special name 1.0.0.127.in-addr.arpa (RFC 6303)"},
    {"0.in-addr.arpa", empty_zone, "special name **.0.in-addr.arpa (RFC 6303)"},
    {"10.in-addr.arpa", empty_zone, "special name **.10.in-addr.arpa (RFC 6303)"},
    {"127.in-addr.arpa", empty_zone, "special name **.127.in-addr.arpa (RFC 6303)"},
    {"254.169.in-addr.arpa", empty_zone, "special name **.254.169.in-addr.arpa (RFC 6303)"},
    {"2.0.192.in-addr.arpa", empty_zone, "special name **.2.0.192.in-addr.arpa (RFC 6303)"},
    {"100.51.198.in-addr.arpa", empty_zone, "special name **.100.51.198.in-addr.arpa (RFC 6303)"},
    {"113.0.203.in-addr.arpa", empty_zone, "special name **.113.0.203.in-addr.arpa (RFC 6303)"},
    {"255.255.255.255.in-addr.arpa", empty_zone, "special name 255.255.255.255.in-addr.arpa (RFC 6303)"},
    {"168.192.in-addr.arpa", empty_zone, "special name **.168.192.in-addr.arpa (RFC 6303)"},
    {"16.172.in-addr.arpa", empty_zone, "special name **.16.172.in-addr.arpa (RFC 6303)"},
    {"17.172.in-addr.arpa", empty_zone, "special name **.17.172.in-addr.arpa (RFC 6303)"},
    {"18.172.in-addr.arpa", empty_zone, "special name **.18.172.in-addr.arpa (RFC 6303)"},
    {"19.172.in-addr.arpa", empty_zone, "special name **.19.172.in-addr.arpa (RFC 6303)"},
    {"20.172.in-addr.arpa", empty_zone, "special name **.20.172.in-addr.arpa (RFC 6303)"},
    {"21.172.in-addr.arpa", empty_zone, "special name **.21.172.in-addr.arpa (RFC 6303)"},
    {"22.172.in-addr.arpa", empty_zone, "special name **.22.172.in-addr.arpa (RFC 6303)"},
    {"23.172.in-addr.arpa", empty_zone, "special name **.23.172.in-addr.arpa (RFC 6303)"},
    {"24.172.in-addr.arpa", empty_zone, "special name **.24.172.in-addr.arpa (RFC 6303)"},
    {"25.172.in-addr.arpa", empty_zone, "special name **.25.172.in-addr.arpa (RFC 6303)"},
    {"26.172.in-addr.arpa", empty_zone, "special name **.26.172.in-addr.arpa (RFC 6303)"},
    {"27.172.in-addr.arpa", empty_zone, "special name **.27.172.in-addr.arpa (RFC 6303)"},
    {"28.172.in-addr.arpa", empty_zone, "special name **.28.172.in-addr.arpa (RFC 6303)"},
    {"29.172.in-addr.arpa", empty_zone, "special name **.29.172.in-addr.arpa (RFC 6303)"},
    {"30.172.in-addr.arpa", empty_zone, "special name **.30.172.in-addr.arpa (RFC 6303)"},
    {"31.172.in-addr.arpa", empty_zone, "special name **.31.172.in-addr.arpa (RFC 6303)"},

    // RFC 6303 section 4.3 to 4.6: unspecified, loopback, unique-local, link-local
    // and documentation IPv6 addresses.
    {"0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.ip6.arpa", empty_zone,
     "special name ::, reversed (RFC 6303)"},
    {"1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.ip6.arpa", loopback_name,
     "special name ::1, reversed (RFC 6303)"},
    {"d.f.ip6.arpa", empty_zone, "special name **.d.f.ip6.arpa (RFC 6303)"},
    {"8.e.f.ip6.arpa", empty_zone, "special name **.8.e.f.ip6.arpa (RFC 6303)"},
    {"9.e.f.ip6.arpa", empty_zone, "special name **.9.e.f.ip6.arpa (RFC 6303)"},
    {"a.e.f.ip6.arpa", empty_zone, "special name **.a.e.f.ip6.arpa (RFC 6303)"},
    {"b.e.f.ip6.arpa", empty_zone, "special name **.b.e.f.ip6.arpa (RFC 6303)"},
    {"8.b.d.0.1.0.0.2.ip6.arpa", empty_zone, "special name **.8.b.d.0.1.0.0.2.ip6.arpa (RFC 6303)"},
});

// RFC 7793: 100.64.0.0/10 reversed is 64 zones; they are made, not written, and share one text.
constexpr std::string_view shared_space_text = "special name: 100.64.0.0/10, reversed (RFC 7793)";
constexpr auto shared_space = [] {
  struct Zones {
    std::array<std::array<char, 20>, 64> text{};
    std::array<std::uint8_t, 64> size{};
  } zones;
  constexpr std::string_view tail = ".100.in-addr.arpa";
  for (unsigned octet = 64; octet < 128; ++octet) {
    auto& text = zones.text[octet - 64];
    std::uint8_t at = 0;
    if (octet >= 100) text[at++] = '1';
    text[at++] = static_cast<char>('0' + octet / 10 % 10);
    text[at++] = static_cast<char>('0' + octet % 10);
    for (const char c : tail) text[at++] = c;
    zones.size[octet - 64] = at;
  }
  return zones;
}();

constexpr auto table = [] {
  std::array<SpecialName, names.size() + 64> all{};
  std::copy(names.begin(), names.end(), all.begin());
  for (std::size_t i = 0; i < 64; ++i)
    all[names.size() + i] = {
        {shared_space.text[i].data(), shared_space.size[i]}, empty_zone, shared_space_text};
  return all;
}();

// RFC 1035 section 3.3.13, with the contents that RFC 6303 section 3 proposes.
std::vector<std::uint8_t> soa_rdata(const Name& zone) {
  std::vector<std::uint8_t> out;
  const auto add = [&](std::span<const std::uint8_t> octets) {
    out.insert(out.end(), octets.begin(), octets.end());
  };
  const auto add_number = [&](std::uint32_t value) {
    for (int shift = 24; shift >= 0; shift -= 8) out.push_back(static_cast<std::uint8_t>(value >> shift));
  };
  const Result<Name> contact = Name::parse("nobody.invalid");
  POSTERN_CHECK(contact.has_value());
  add(zone.wire());
  add(contact->wire());
  for (const std::uint32_t value : {1u, 3600u, 1200u, 604800u, local_ttl}) add_number(value);
  return out;
}

Record record(Type type, std::vector<std::uint8_t> rdata) {
  return {Name{}, type, local_ttl, std::move(rdata)};
}

}  // namespace

std::span<const SpecialName> special_names() noexcept {
  return table;
}

bool is_special_use(const Name& name) {
  const std::string text = name.text();
  return std::any_of(table.begin(), table.end(), [&](const SpecialName& special) {
    if (!text.ends_with(special.zone)) return false;
    if (text.size() == special.zone.size()) return true;
    const std::size_t dot = text.size() - special.zone.size() - 1;
    return text[dot] == '.' && (dot == 0 || text[dot - 1] != '\\');  // an escaped dot is inside a label
  });
}

Record local_soa(const Name& zone) {
  return {zone, type::SOA, local_ttl, soa_rdata(zone)};
}

SpecialAnswers::SpecialAnswers(const Name& zone) {
  absent.rcode = static_cast<int>(Rcode::nxdomain);
  absent.authority.push_back(local_soa(zone));
  no_data.authority.push_back(local_soa(zone));
}

LoopbackAnswers::LoopbackAnswers() {
  const Result<Name> localhost = Name::parse("localhost");
  POSTERN_CHECK(localhost.has_value());
  std::vector<std::uint8_t> loopback6(16, 0);
  loopback6.back() = 1;
  v4.answer.push_back(record(type::A, {127, 0, 0, 1}));
  v6.answer.push_back(record(type::AAAA, std::move(loopback6)));
  name.answer.push_back(record(type::PTR, {localhost->wire().begin(), localhost->wire().end()}));
}

BuiltinAnswers::BuiltinAnswers() : root(Name{}) {
  for (const SpecialName& name : special_names()) {
    const Result<Name> zone = Name::parse(name.zone);
    POSTERN_CHECK(zone.has_value());
    special.emplace_back(*zone);
  }
}

}  // namespace postern

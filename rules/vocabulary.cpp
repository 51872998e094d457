// The words' spellings: types, rcodes, actions and reasons as text.
#include "rules/vocabulary.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <utility>

namespace postern {
namespace {

// IANA "Domain Name System (DNS) Parameters", the types a resolver meets.
constexpr std::array<std::pair<Type, std::string_view>, 47> type_names{{
    {1, "A"},           {2, "NS"},     {5, "CNAME"},   {6, "SOA"},     {10, "NULL"},  {12, "PTR"},
    {13, "HINFO"},      {15, "MX"},    {16, "TXT"},    {17, "RP"},     {18, "AFSDB"}, {24, "SIG"},
    {25, "KEY"},        {28, "AAAA"},  {29, "LOC"},    {33, "SRV"},    {35, "NAPTR"}, {36, "KX"},
    {37, "CERT"},       {39, "DNAME"}, {41, "OPT"},    {42, "APL"},    {43, "DS"},    {44, "SSHFP"},
    {45, "IPSECKEY"},   {46, "RRSIG"}, {47, "NSEC"},   {48, "DNSKEY"}, {49, "DHCID"}, {50, "NSEC3"},
    {51, "NSEC3PARAM"}, {52, "TLSA"},  {53, "SMIMEA"}, {55, "HIP"},    {59, "CDS"},   {60, "CDNSKEY"},
    {61, "OPENPGPKEY"}, {62, "CSYNC"}, {63, "ZONEMD"}, {64, "SVCB"},   {65, "HTTPS"}, {249, "TKEY"},
    {250, "TSIG"},      {251, "IXFR"}, {252, "AXFR"},  {255, "ANY"},   {257, "CAA"},
}};

}  // namespace

std::string type_text(Type type) {
  for (const auto& [number, name] : type_names)
    if (number == type) return std::string(name);
  return "TYPE" + std::to_string(type);
}

std::optional<Type> type_from_text(std::string_view text) {
  std::string upper(text);
  std::transform(upper.begin(), upper.end(), upper.begin(), [](unsigned char c) { return std::toupper(c); });
  for (const auto& [number, name] : type_names)
    if (name == upper) return number;
  if (upper.starts_with("TYPE")) {
    unsigned value = 0;
    const auto [end, error] = std::from_chars(upper.data() + 4, upper.data() + upper.size(), value);
    if (error == std::errc{} && end == upper.data() + upper.size() && value <= 0xffff)
      return static_cast<Type>(value);
  }
  return std::nullopt;
}

std::string rcode_text(int rcode) {
  constexpr std::array<std::string_view, 11> names{"NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN",
                                                   "NOTIMP",  "REFUSED", "YXDOMAIN", "YXRRSET",
                                                   "NXRRSET", "NOTAUTH", "NOTZONE"};
  if (rcode >= 0 && static_cast<std::size_t>(rcode) < names.size())
    return std::string(names[static_cast<std::size_t>(rcode)]);
  return "RCODE" + std::to_string(rcode);
}

std::string session_text(const Sandbox& sandbox) {
  return sandbox.session.empty() ? sandbox.user + "/" + sandbox.code_sha256 : sandbox.session;
}

std::string_view action_text(Action action) {
  switch (action) {
    case Action::allow:
      return "allowed";
    case Action::block_name:
    case Action::block_data:
      return "blocked";
    case Action::local:
      return "local";
    case Action::refuse:
      return "refused";
    case Action::drop:
      return "dropped";
  }
  return "blocked";
}

std::string_view reason_text(Reason reason) {
  switch (reason) {
    case Reason::rule:
      return "rule";
    case Reason::list:
      return "list";
    case Reason::policy_default:
      return "default";
    case Reason::type:
      return "type";
    case Reason::name_form:
      return "name_form";
    case Reason::special_use:
      return "special_use";
    case Reason::single_label:
      return "single_label";
    case Reason::local_data:
      return "local_data";
    case Reason::answer_address:
      return "answer_address";
    case Reason::answer_target:
      return "answer_target";
    case Reason::tunnel:
      return "tunnel";
    case Reason::budget:
      return "budget";
    case Reason::quarantine:
      return "quarantine";
    case Reason::query_class:
      return "query_class";
    case Reason::answer_referral:
      return "answer_referral";
    case Reason::secret:
      return "secret";
  }
  return "default";
}

}  // namespace postern

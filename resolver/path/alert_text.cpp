// Alerts and answers as text.
#include "resolver/path/alert_text.h"

#include <arpa/inet.h>

#include <algorithm>
#include <ctime>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>

#include "rules/svcb.h"

namespace postern {
namespace {

// Names in an alert: enough to see the encoding, and few enough that a hook's object stays at some kilobytes.
constexpr std::size_t shown_names = 8;

std::string iso_time(std::int64_t unix_us) {
  const std::time_t seconds = static_cast<std::time_t>(unix_us / 1'000'000);
  std::tm broken{};
  gmtime_r(&seconds, &broken);
  char text[40];
  std::size_t size = std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &broken);
  size += static_cast<std::size_t>(
      std::snprintf(text + size, sizeof text - size, ".%06dZ", static_cast<int>(unix_us % 1'000'000)));
  return std::string(text, size);
}

// How bad, and which techniques of MITRE ATT&CK it is a sign of (docs/OPERATING.md explains both): T1048.003
// exfiltration over an unencrypted non-C2 protocol, T1071.004 application layer protocol: DNS, T1572 protocol
// tunneling.
struct Meaning {
  std::string_view kind, severity, attack;
};
constexpr Meaning meanings[] = {
    {"tunnel", "high", "T1071.004 T1572"}, {"leak", "high", "T1048.003"},
    {"suspect", "medium", "T1071.004"},    {"leak_budget", "low", "T1048.003"},
    {"secret", "critical", "T1048.003"},   {"query_cap", "high", "T1071.004"},
    {"bytes_cap", "high", "T1071.004"},    {"first_query", "low", ""},
};

Meaning meaning_of(std::string_view kind) {
  for (const Meaning& one : meanings)
    if (one.kind == kind) return one;
  return {kind, "low", ""};
}

nlohmann::ordered_json words(std::string_view text) {
  nlohmann::ordered_json list = nlohmann::ordered_json::array();
  while (!text.empty()) {
    const std::size_t space = std::min(text.find(' '), text.size());
    list.push_back(text.substr(0, space));
    text.remove_prefix(std::min(space + 1, text.size()));
  }
  return list;
}

// What was asked of the zone lately, with what it cost, and since when: the last names, the one that tipped
// it at the end. Without a zone: of the session.
void add_history(const Exchange& x, const std::string& zone, Alert& alert, nlohmann::ordered_json& evidence) {
  const SessionState& session = *x.sandbox->session;
  const auto parsed = zone.empty() ? std::nullopt : std::optional(Name::parse(zone));
  const Name* within = parsed && *parsed ? &**parsed : nullptr;
  std::vector<RecentNames::Asked> names = session.recent.in(within, shown_names);
  const Type type = x.question.query.type;
  std::erase_if(names, [&](const auto& one) { return one.name == x.row.name && one.type == type; });
  if (names.size() == shown_names) names.erase(names.begin());
  names.push_back({x.row.name, type, alert.row.time_us, x.row.charge_millibits});
  nlohmann::ordered_json shown = nlohmann::ordered_json::array();
  for (const RecentNames::Asked& one : names)
    shown.push_back({{"name", one.name.text()},
                     {"type", type_text(one.type)},
                     {"time", iso_time(one.time_us)},
                     {"charge_bits", one.charge_millibits / 1000.0}});
  alert.row.first_us = session.recent.first_us(within, alert.row.time_us);
  alert.row.last_us = alert.row.time_us;
  evidence["first"] = iso_time(alert.row.first_us);
  evidence["last"] = iso_time(alert.row.last_us);
  evidence["names"] = std::move(shown);
  evidence["session_charged_bits"] = static_cast<double>(session.meter.session().used()) / 1000;
  if (within == nullptr) return;
  for (const SessionMeter::ZoneUse& use : session.meter.zones())
    if (!use.is_parent && use.zone == *within) evidence["zone_charged_bits"] = use.used_bits;
}

// The row and the hook's object around `evidence`.
Alert alert_with(const Exchange& x, const std::string& kind, const std::string& zone, double score,
                 const Done& done, std::int64_t unix_us, nlohmann::ordered_json evidence) {
  const Sandbox& who = x.sandbox->who;
  Alert alert;
  alert.row.time_us = unix_us;
  alert.row.sandbox = x.sandbox->row;
  alert.row.kind = kind;
  alert.row.zone = zone;
  alert.row.score = score;
  alert.row.action = done.action;
  if (!done.wanted.empty()) {
    evidence["action_wanted"] = done.wanted;
    evidence["action_error"] = done.why_not;
  }
  add_history(x, zone, alert, evidence);
  alert.row.evidence = evidence.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
  alert.row.asked = x.row.id;
  const Meaning meaning = meaning_of(kind);
  alert.row.severity = meaning.severity;
  alert.row.attack = meaning.attack;

  nlohmann::ordered_json object = {{"time", iso_time(unix_us)},
                                   {"kind", kind},
                                   {"severity", meaning.severity},
                                   {"attack", words(meaning.attack)},
                                   {"sandbox", who.name},
                                   {"session", who.session},
                                   {"user", who.user},
                                   {"code_sha256", who.code_sha256},
                                   {"labels", who.labels},
                                   {"policy", x.policy->name()},
                                   {"zone", zone},
                                   {"action", done.action}};
  object.update(evidence);
  alert.row.message = object.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
  return alert;
}

}  // namespace

Alert make_alert(const Exchange& x, std::string kind, const Finding& finding, const Done& done,
                 std::int64_t unix_us) {
  const Query& query = x.question.query;
  const std::string zone = finding.session_wide ? "" : x.row.name.suffix(x.row.registered_labels).text();
  nlohmann::ordered_json why = nlohmann::ordered_json::array();
  for (const Contribution& part : finding.why)
    why.push_back({{"feature", part.feature}, {"value", part.value}, {"weight", part.weight}});
  return alert_with(x, kind, zone, finding.score, done, unix_us,
                    {{"name", x.row.name.text()},
                     {"type", type_text(query.type)},
                     {"score", finding.score},
                     {"level", level_text(finding.level)},
                     {"session_wide", finding.session_wide},
                     {"why", why}});
}

Alert make_leak_alert(const Exchange& x, std::string_view kind, const LeakFinding& finding, const Done& done,
                      std::int64_t unix_us) {
  const Query& query = x.question.query;
  return alert_with(x, std::string(kind), finding.zone, x.row.score, done, unix_us,
                    {{"name", query.name.text()},
                     {"type", type_text(query.type)},
                     {"score", x.row.score},
                     {"ledger", ledger_text(finding.ledger)},
                     {"percent", finding.percent},
                     {"used_bits", finding.used_bits},
                     {"budget_bits", finding.budget_bits},
                     {"refused", finding.refused}});
}

Alert make_secret_alert(const Exchange& x, const SecretFinding& finding, std::uint64_t refused,
                        const Done& done, std::int64_t unix_us) {
  return alert_with(x, "secret", x.row.name.suffix(x.row.registered_labels).text(), x.row.score, done,
                    unix_us,
                    {{"name", x.row.name.text()},
                     {"type", type_text(x.question.query.type)},
                     {"score", x.row.score},
                     {"secret", finding.label},
                     {"fingerprint", finding.fingerprint},
                     {"encoding", encoding_text(finding.encoding)},
                     {"backwards", finding.backwards},
                     {"split", finding.split},
                     {"characters", finding.length},
                     {"position", finding.position},
                     {"name_octets", x.question.query.name.size()},
                     {"refused", refused}});
}

Alert make_cap_alert(const Exchange& x, std::uint64_t queries, std::uint64_t cap, const Done& done,
                     std::int64_t unix_us) {
  return alert_with(x, "query_cap", "", x.row.score, done, unix_us,
                    {{"name", x.row.name.text()},
                     {"type", type_text(x.question.query.type)},
                     {"score", x.row.score},
                     {"queries", queries},
                     {"cap", cap},
                     {"minutes", QueryWindow::length.count()}});
}

std::string answer_data(const Answer& answer) {
  std::string data;
  const auto put = [&](const std::string& text) {
    if (data.size() > max_outcome_data) return;
    if (!data.empty()) data += ' ';
    data += text;
  };
  const auto put_addresses = [&](int family, std::span<const std::uint8_t> octets) {
    const std::size_t size = family == AF_INET ? 4 : 16;
    char text[INET6_ADDRSTRLEN];
    for (; octets.size() >= size; octets = octets.subspan(size))
      put(inet_ntop(family, octets.data(), text, sizeof text));
  };
  for (const Record& record : answer.answer) {
    const std::span<const std::uint8_t> rdata = record.rdata;
    if (record.type == type::A && rdata.size() == 4) {
      put_addresses(AF_INET, rdata);
    } else if (record.type == type::AAAA && rdata.size() == 16) {
      put_addresses(AF_INET6, rdata);
    } else {
      const bool service = record.type == type::SVCB || record.type == type::HTTPS;
      std::size_t skip = 0;  // octets before the target name
      if (record.type == type::MX || service) skip = 2;
      if (record.type == type::SRV) skip = 6;
      const bool named = skip > 0 || record.type == type::CNAME || record.type == type::DNAME ||
                         record.type == type::NS || record.type == type::PTR;
      if (!named || rdata.size() <= skip) continue;
      if (const auto target = Name::from_wire(rdata.subspan(skip))) put(target->text());
      const auto binding = service ? parse_service_binding(rdata) : std::nullopt;
      if (!binding) continue;
      put_addresses(AF_INET, binding->ipv4_hints);
      put_addresses(AF_INET6, binding->ipv6_hints);
    }
  }
  cut_outcome_data(data, max_outcome_data);
  return data;
}

}  // namespace postern

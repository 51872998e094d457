// Alerts and answers as text.
#include "resolver/path/alert_text.h"

#include <arpa/inet.h>

#include <algorithm>
#include <ctime>
#include <nlohmann/json.hpp>

namespace postern {
namespace {

constexpr std::size_t max_data_octets = 512;

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
    {"tunnel", "high", "T1071.004 T1572"}, {"leak", "high", "T1048.003"}, {"suspect", "medium", "T1071.004"},
    {"leak_budget", "low", "T1048.003"},   {"secret", "critical", "T1048.003"},
    {"query_cap", "high", "T1071.004"},    {"bytes_cap", "high", "T1071.004"},
    {"first_query", "low", ""},
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

// The row and the hook's object around `evidence`.
Alert alert_with(const Exchange& x, const std::string& kind, const std::string& zone, double score,
                 const std::string& action, std::int64_t unix_us, const nlohmann::ordered_json& evidence) {
  const Sandbox& who = x.sandbox->who;
  Alert alert;
  alert.row.time_us = unix_us;
  alert.row.sandbox = x.sandbox->row;
  alert.row.kind = kind;
  alert.row.zone = zone;
  alert.row.score = score;
  alert.row.action = action;
  alert.row.evidence = evidence.dump();
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
                                   {"action", action}};
  object.update(evidence);
  alert.row.message = object.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
  return alert;
}

}  // namespace

Alert make_alert(const Exchange& x, std::string kind, const Finding& finding, std::string action,
                 std::int64_t unix_us) {
  const Query& query = x.question.query;
  const std::string zone = finding.session_wide ? "" : x.row.name.suffix(x.row.registered_labels).text();
  nlohmann::ordered_json why = nlohmann::ordered_json::array();
  for (const Contribution& part : finding.why)
    why.push_back({{"feature", part.feature}, {"value", part.value}, {"weight", part.weight}});
  return alert_with(x, kind, zone, finding.score, action, unix_us,
                    {{"name", x.row.name.text()},
                     {"type", type_text(query.type)},
                     {"score", finding.score},
                     {"level", level_text(finding.level)},
                     {"session_wide", finding.session_wide},
                     {"why", why}});
}

Alert make_leak_alert(const Exchange& x, std::string_view kind, const LeakFinding& finding,
                      const std::string& action, std::int64_t unix_us) {
  const Query& query = x.question.query;
  return alert_with(x, std::string(kind), finding.zone, x.row.score, action, unix_us,
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
                        const std::string& action, std::int64_t unix_us) {
  return alert_with(x, "secret", x.row.name.suffix(x.row.registered_labels).text(), x.row.score, action,
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

Alert make_cap_alert(const Exchange& x, std::uint64_t queries, std::uint64_t cap, const std::string& action,
                     std::int64_t unix_us) {
  return alert_with(x, "query_cap", "", x.row.score, action, unix_us,
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
    if (data.size() + text.size() + 1 > max_data_octets) return;
    if (!data.empty()) data += ' ';
    data += text;
  };
  for (const Record& record : answer.answer) {
    char text[INET6_ADDRSTRLEN];
    if (record.type == type::A && record.rdata.size() == 4) {
      put(inet_ntop(AF_INET, record.rdata.data(), text, sizeof text));
    } else if (record.type == type::AAAA && record.rdata.size() == 16) {
      put(inet_ntop(AF_INET6, record.rdata.data(), text, sizeof text));
    } else {
      std::size_t skip = 0;  // octets before the target name
      if (record.type == type::MX || record.type == type::SVCB || record.type == type::HTTPS) skip = 2;
      if (record.type == type::SRV) skip = 6;
      const bool named = skip > 0 || record.type == type::CNAME || record.type == type::DNAME ||
                         record.type == type::NS || record.type == type::PTR;
      if (!named || record.rdata.size() <= skip) continue;
      if (const auto target = Name::from_wire(std::span(record.rdata).subspan(skip))) put(target->text());
    }
  }
  return data;
}

}  // namespace postern

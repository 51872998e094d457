// The journal in the Elastic Common Schema, version 8.11: one document a line.
#include <arpa/inet.h>

#include <nlohmann/json.hpp>

#include "resolver/control/log_format.h"

namespace postern {
namespace {

using Json = nlohmann::ordered_json;

constexpr const char* ecs_version = "8.11.0";

bool is_address(const std::string& text) {
  unsigned char octets[16];
  return inet_pton(AF_INET, text.c_str(), octets) == 1 || inet_pton(AF_INET6, text.c_str(), octets) == 1;
}

// As the detection rules of Elastic Security number them; 0 where it is not known.
int severity_number(const std::string& severity) {
  static constexpr std::pair<const char*, int> known[] = {
      {"low", 21}, {"medium", 47}, {"high", 73}, {"critical", 99}};
  for (const auto& [text, number] : known)
    if (severity == text) return number;
  return 0;
}

Json document(std::int64_t time_us, const char* dataset, const std::string& id, const std::string& user,
              const std::string& code_sha256) {
  Json out = {
      {"@timestamp", iso_text(time_us)},
      {"ecs", {{"version", ecs_version}}},
      {"observer",
       {{"vendor", "Postern"}, {"product", "Postern"}, {"type", "dns"}, {"version", POSTERN_VERSION}}},
      {"event", {{"id", id}, {"module", "postern"}, {"dataset", dataset}}}};
  if (!user.empty()) out["user"]["name"] = user;
  if (!code_sha256.empty()) out["process"]["hash"]["sha256"] = code_sha256;
  return out;
}

class EcsLog final : public LogFormat {
 public:
  std::string line(const LoggedQuery& query) const override {
    Json out = document(query.time_us, "postern.queries", row_uid(query.journal, "queries", query.id),
                        query.user, query.code_sha256);
    Json& event = out["event"];
    const bool refused = query.refused();
    const bool answered = query.rcode != "unknown";
    event["kind"] = "event";
    event["category"] = {"network"};
    event["type"] = {"protocol", refused ? "denied" : "allowed"};
    event["action"] = query.action;
    event["outcome"] = !answered ? "unknown" : query.rcode == "SERVFAIL" ? "failure" : "success";
    if (query.upstream_us >= 0) event["duration"] = query.upstream_us * 1000;  // nanoseconds
    Json& dns = out["dns"];
    dns["type"] = answered ? "answer" : "query";
    dns["op_code"] = "QUERY";
    dns["question"] = {
        {"name", query.name}, {"type", query.type}, {"registered_domain", query.registered_domain}};
    if (query.is_of_class_in()) dns["question"]["class"] = "IN";
    if (query.name.size() > query.registered_domain.size() && !query.registered_domain.empty())
      dns["question"]["subdomain"] =
          query.name.substr(0, query.name.size() - query.registered_domain.size() - 1);
    if (answered) dns["response_code"] = query.rcode;
    Json answers = Json::array(), addresses = Json::array();
    for_each_word(query.data, [&](const std::string& word) {
      answers.push_back({{"data", word}});
      if (is_address(word)) addresses.push_back(word);
    });
    if (!answers.empty()) dns["answers"] = std::move(answers);
    if (!addresses.empty()) dns["resolved_ip"] = std::move(addresses);
    out["network"] = {{"protocol", "dns"}, {"transport", query.transport}, {"direction", "egress"}};
    if (!query.rule.empty()) out["rule"] = {{"name", query.rule}, {"ruleset", query.policy}};
    out["postern"] = {{"sandbox", query.sandbox}, {"session", query.session},
                      {"policy", query.policy},   {"reason", query.reason},
                      {"cached", query.cached},   {"refresh", query.refresh},
                      {"score", query.score},     {"charge_bits", query.charge_bits}};
    if (query.monotonic_us >= 0) out["postern"]["monotonic_us"] = query.monotonic_us;
    if (!query.boot_id.empty()) out["postern"]["boot_id"] = query.boot_id;
    if (query.ede >= 0) out["postern"]["extended_dns_error"] = query.ede;
    return text(out);
  }

  std::string line(const LoggedAlert& alert) const override {
    Json out = document(alert.time_us, "postern.alerts",
                        alert.uid.empty() ? row_uid(alert.journal, "alerts", alert.id) : alert.uid,
                        alert.user, alert.code_sha256);
    Json& event = out["event"];
    event["kind"] = "alert";
    event["category"] = {"intrusion_detection"};
    event["type"] = {alert.refused() ? "denied" : "info"};
    event["action"] = alert.action;
    event["severity"] = severity_number(alert.severity);
    event["risk_score"] = alert.score * 100;
    out["rule"] = {{"name", alert.kind}};
    Json whole = Json::array(), parts = Json::array();
    for_each_word(alert.attack, [&](const std::string& id) {
      whole.push_back(id.substr(0, id.find('.')));
      if (id.find('.') != std::string::npos) parts.push_back(id);
    });
    if (!whole.empty()) out["threat"] = {{"framework", "MITRE ATT&CK"}, {"technique", {{"id", whole}}}};
    if (!parts.empty()) out["threat"]["technique"]["subtechnique"]["id"] = parts;
    if (!alert.query_name.empty()) out["dns"]["question"]["name"] = alert.query_name;
    if (!alert.query_registered_domain.empty())
      out["dns"]["question"]["registered_domain"] = alert.query_registered_domain;
    Json evidence = Json::parse(alert.evidence, nullptr, false);
    if (!evidence.is_object()) evidence = Json::object();
    out["postern"] = {{"sandbox", alert.sandbox}, {"session", alert.session}, {"kind", alert.kind},
                      {"zone", alert.zone},       {"score", alert.score},     {"evidence", evidence}};
    if (alert.query_id > 0) out["postern"]["query_id"] = alert.query_id;
    return text(out);
  }

 private:
  static std::string text(const Json& out) {
    return out.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
  }
};

}  // namespace

std::unique_ptr<LogFormat> ecs_log() {
  return std::make_unique<EcsLog>();
}

}  // namespace postern

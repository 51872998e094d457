// The journal in the Open Cybersecurity Schema Framework, version 1.4.0 (schema.ocsf.io): a query is a DNS
// Activity (4003) with the profile security_control, an alert a Detection Finding (2004).
#include <nlohmann/json.hpp>

#include "resolver/control/log_format.h"
#include "rules/vocabulary.h"

namespace postern {
namespace {

using Json = nlohmann::ordered_json;

constexpr const char* ocsf_version = "1.4.0";            // the first with `policy` and `is_alert`
constexpr int activity_query = 1, activity_traffic = 6;  // of DNS Activity
constexpr int severity_informational = 1, severity_low = 2;

struct Caption {
  int id;
  const char* caption;
};

Caption severity_of(const std::string& severity) {
  static constexpr std::pair<const char*, Caption> known[] = {{"low", {severity_low, "Low"}},
                                                              {"medium", {3, "Medium"}},
                                                              {"high", {4, "High"}},
                                                              {"critical", {5, "Critical"}}};
  for (const auto& [text, caption] : known)
    if (severity == text) return caption;
  return {0, "Unknown"};
}

// One object of `finding_info.attacks` each: "T1048.003" is a part of the technique "T1048".
Json attacks_of(const std::string& ids) {
  Json attacks = Json::array();
  for_each_word(ids, [&](const std::string& id) {
    Json attack = {{"technique", {{"uid", id.substr(0, id.find('.'))}}}};
    if (id.find('.') != std::string::npos) attack["sub_technique"] = {{"uid", id}};
    attacks.push_back(std::move(attack));
  });
  return attacks;
}

// rcode_id and its caption; what the class has no id for is 99.
Caption rcode_of(const std::string& rcode) {
  static constexpr std::pair<const char*, Caption> known[] = {
      {"NOERROR", {0, "NoError"}},   {"FORMERR", {1, "FormError"}}, {"SERVFAIL", {2, "ServError"}},
      {"NXDOMAIN", {3, "NXDomain"}}, {"NOTIMP", {4, "NotImp"}},     {"REFUSED", {5, "Refused"}},
      {"YXDOMAIN", {6, "YXDomain"}}, {"YXRRSET", {7, "YXRRSet"}},   {"NXRRSET", {8, "NXRRSet"}},
      {"NOTAUTH", {9, "NotAuth"}},   {"NOTZONE", {10, "NotZone"}}};
  for (const auto& [text, caption] : known)
    if (rcode == text) return caption;
  return {99, "Other"};
}

// disposition_id of the profile security_control.
Caption disposition_of(const std::string& action) {
  if (action == "allowed" || action == "local") return {1, "Allowed"};
  if (action == "dropped") return {6, "Dropped"};
  return {2, "Blocked"};
}

Json event(int category, const char* category_name, int class_uid, const char* class_name, Caption activity,
           Caption severity, std::int64_t time_us, const char* log_name, const std::string& uid) {
  return {{"activity_id", activity.id},
          {"activity_name", activity.caption},
          {"category_uid", category},
          {"category_name", category_name},
          {"class_uid", class_uid},
          {"class_name", class_name},
          {"type_uid", class_uid * 100 + activity.id},
          {"type_name", std::string(class_name) + ": " + activity.caption},
          {"severity_id", severity.id},
          {"severity", severity.caption},
          {"time", time_us / 1000},  // timestamp_t: milliseconds
          {"metadata",
           {{"version", ocsf_version},
            {"product", {{"name", "Postern"}, {"vendor_name", "Postern"}, {"version", POSTERN_VERSION}}},
            {"profiles", {"security_control"}},
            {"log_name", log_name},
            {"uid", uid}}}};
}

std::string dumped(const Json& object) {
  return object.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
}

class OcsfLog final : public LogFormat {
 public:
  std::string line(const LoggedQuery& query) const override {
    const bool answered = query.rcode != "unknown";
    const Caption activity =
        answered ? Caption{activity_traffic, "Traffic"} : Caption{activity_query, "Query"};
    const Caption severity =
        query.refused() ? Caption{severity_low, "Low"} : Caption{severity_informational, "Informational"};
    Json out = event(4, "Network Activity", 4003, "DNS Activity", activity, severity, query.time_us,
                     "queries", row_uid(query.journal, "queries", query.id));
    out["query"] = {{"hostname", query.name}, {"type", query.type}, {"opcode_id", 0}};
    if (query.is_of_class_in()) out["query"]["class"] = "IN";
    out["query_time"] = query.time_us / 1000;
    if (answered) {
      const Caption rcode = rcode_of(query.rcode);
      out["rcode_id"] = rcode.id;
      out["rcode"] = rcode.id == 99 ? query.rcode : rcode.caption;
    }
    if (query.upstream_us >= 0) {
      out["response_time"] = (query.time_us + query.upstream_us) / 1000;
      out["duration"] = query.upstream_us / 1000;
    }
    Json answers = Json::array();
    for_each_word(query.data, [&](const std::string& word) { answers.push_back({{"rdata", word}}); });
    if (!answers.empty()) out["answers"] = std::move(answers);
    out["src_endpoint"] = {{"name", query.sandbox}};
    out["dst_endpoint"] = {{"svc_name", "postern"}, {"port", 53}};
    out["connection_info"] = {{"direction_id", 2},  // outbound
                              {"protocol_name", query.transport},
                              {"protocol_num", query.transport == "tcp" ? 6 : 17}};
    const bool refused = query.refused();
    out["action_id"] = refused ? 2 : 1;
    out["action"] = refused ? "Denied" : "Allowed";
    const Caption disposition = disposition_of(query.action);
    out["disposition_id"] = disposition.id;
    out["disposition"] = disposition.caption;
    if (!query.rule.empty()) out["firewall_rule"] = {{"name", query.rule}};
    if (!query.policy.empty()) out["policy"] = {{"name", query.policy}};
    out["unmapped"] = {{"session", query.session},
                       {"user", query.user},
                       {"code_sha256", query.code_sha256},
                       {"registered_domain", query.registered_domain},
                       {"reason", query.reason},
                       {"cached", query.cached},
                       {"refresh", query.refresh},
                       {"charge_bits", query.charge_bits},
                       {"score", query.score},
                       {"time_us", query.time_us}};
    if (query.monotonic_us >= 0) out["unmapped"]["monotonic_us"] = query.monotonic_us;
    if (!query.boot_id.empty()) out["unmapped"]["boot_id"] = query.boot_id;
    if (query.ede >= 0) out["unmapped"]["extended_dns_error"] = query.ede;
    return dumped(out);
  }

  std::string line(const LoggedAlert& alert) const override {
    const std::string uid = row_uid(alert.journal, "alerts", alert.id);
    Json out = event(2, "Findings", 2004, "Detection Finding", {1, "Create"}, severity_of(alert.severity),
                     alert.time_us, "alerts", uid);
    Json evidence = Json::parse(alert.evidence, nullptr, false);
    if (!evidence.is_object()) evidence = Json::object();
    const std::string about = alert.zone.empty() ? "the session as a whole" : alert.zone;
    out["finding_info"] = {{"uid", alert.uid.empty() ? uid : alert.uid},
                           {"title", alert.kind + ": " + about},
                           {"types", {alert.kind}},
                           {"created_time", alert.time_us / 1000}};
    if (alert.first_us > 0) out["finding_info"]["first_seen_time"] = alert.first_us / 1000;
    if (alert.last_us > 0) out["finding_info"]["last_seen_time"] = alert.last_us / 1000;
    if (Json attacks = attacks_of(alert.attack); !attacks.empty())
      out["finding_info"]["attacks"] = std::move(attacks);
    out["is_alert"] = true;
    out["status_id"] = 1;
    out["status"] = "New";
    Json artifact = {{"data", evidence}};
    if (!alert.query_name.empty()) {
      artifact["query"] = {{"hostname", alert.query_name}};
      if (evidence.contains("type")) artifact["query"]["type"] = evidence["type"];
    }
    out["evidences"] = {artifact};
    const Caption action = alert.refused()              ? Caption{2, "Denied"}
                           : alert.query_action.empty() ? Caption{0, "Unknown"}
                                                        : Caption{1, "Allowed"};
    out["action_id"] = action.id;
    out["action"] = action.caption;
    const Caption disposition = alert.action == "quarantine" ? Caption{3, "Quarantined"}
                                : alert.acted()              ? Caption{2, "Blocked"}
                                : alert.refused()            ? disposition_of(alert.query_action)
                                                             : Caption{19, "Alert"};
    out["disposition_id"] = disposition.id;
    out["disposition"] = disposition.caption;
    out["unmapped"] = {
        {"sandbox", alert.sandbox},         {"session", alert.session},   {"user", alert.user},
        {"code_sha256", alert.code_sha256}, {"zone", alert.zone},         {"score", alert.score},
        {"postern_action", alert.action},   {"query_id", alert.query_id}, {"time_us", alert.time_us}};
    return dumped(out);
  }
};

}  // namespace

std::unique_ptr<LogFormat> ocsf_log() {
  return std::make_unique<OcsfLog>();
}

}  // namespace postern

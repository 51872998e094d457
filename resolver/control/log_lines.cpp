// The journal for people and for jq: aligned lines, and JSON with the views' columns.
#include <cmath>
#include <nlohmann/json.hpp>
#include <optional>

#include "resolver/control/log_format.h"
#include "rules/terminal_text.h"

namespace postern {
namespace {

using Json = nlohmann::ordered_json;

constexpr const char *red = "\033[31m", *yellow = "\033[33m", *dim = "\033[2m", *plain = "\033[0m";

class TextLog final : public LogFormat {
 public:
  explicit TextLog(bool colour) : colour_(colour) {}

  std::string line(const LoggedQuery& query) const override {
    std::string out = begin(query.time_us, query.sandbox);
    const std::string verdict = query.refresh ? "refresh" : query.cached ? "cached" : query.action;
    out += coloured(query.refused() ? red : "", in_columns(fit_for_terminal(verdict), 8)) + "  " +
           in_columns(fit_for_terminal(query.type), 5) + "  " + in_columns(fit_for_terminal(query.name), 32) +
           "  " + fit_for_terminal(query.rcode);
    std::string more;
    if (!query.data.empty()) more += "  " + fit_for_terminal(query.data);
    if (!query.rule.empty()) more += "  " + fit_for_terminal(query.rule);
    if (query.refused() && query.rule.empty()) more += "  " + fit_for_terminal(query.reason);
    std::string small;
    if (query.upstream_us >= 0)
      small += (small.empty() ? "" : ", ") + number(query.upstream_us / 1000.0, "ms");
    if (query.charge_bits > 0) small += (small.empty() ? "" : ", ") + number(query.charge_bits, "bits");
    if (!small.empty()) more += "  " + coloured(dim, small);
    return out + more + "\n";
  }

  std::string line(const LoggedAlert& alert) const override {
    std::string out = begin(alert.time_us, alert.sandbox) + coloured(yellow, "ALERT") + "     " +
                      fit_for_terminal(alert.kind);
    if (!alert.zone.empty()) out += "  " + fit_for_terminal(alert.zone);
    char score[16];
    std::snprintf(score, sizeof score, "%.2f", alert.score);
    if (!alert.severity.empty()) out += "  " + fit_for_terminal(alert.severity);
    return out + "  score " + score + "  " + fit_for_terminal(alert.action) + "  " +
           coloured(dim, "session " + fit_for_terminal(alert.session)) + "\n";
  }

 private:
  std::string begin(std::int64_t time_us, const std::string& sandbox) const {
    std::string time = iso_text(time_us);
    time.replace(time.size() - 4, 3, "");  // milliseconds are enough to read
    return coloured(dim, time) + "  " + in_columns(fit_for_terminal(sandbox), 12) + "  ";
  }
  static std::string number(double value, const char* unit) {
    char text[40];
    std::snprintf(text, sizeof text, "%.1f %s", value, unit);
    return text;
  }
  std::string coloured(const char* colour, const std::string& text) const {
    return colour_ && *colour != 0 ? colour + text + plain : text;
  }
  bool colour_;
};

class JsonLog final : public LogFormat {
 public:
  std::string line(const LoggedQuery& query) const override {
    Json row = {{"record", "query"},
                {"id", query.id},
                {"time", iso_text(query.time_us)},
                {"time_us", query.time_us},
                {"sandbox", query.sandbox},
                {"session", query.session},
                {"user", query.user},
                {"code_sha256", query.code_sha256},
                {"name", query.name},
                {"name_reversed", query.name_reversed},
                {"registered_domain", query.registered_domain},
                {"newly_observed_domain", known(query.newly_observed_domain)},
                {"type", query.type},
                {"action", query.action},
                {"reason", query.reason},
                {"rule", query.rule},
                {"rcode", query.rcode},
                {"ede", known(query.ede)},
                {"cached", query.cached},
                {"refresh", query.refresh},
                {"upstream_us", known(query.upstream_us)},
                {"score", query.score},
                {"charge_bits", query.charge_bits},
                {"answers", known(query.answers)},
                {"data", query.data},
                {"policy", query.policy},
                {"transport", query.transport},
                {"monotonic_us", known(query.monotonic_us)},
                {"boot_id", known(query.boot_id)},
                {"process", known(query.process)},
                {"code_line", known(query.code_line)}};
    return text(row);
  }
  std::string line(const LoggedAlert& alert) const override {
    Json evidence = Json::parse(alert.evidence, nullptr, false);
    if (evidence.is_discarded()) evidence = alert.evidence;
    Json row = {{"record", "alert"},
                {"id", alert.id},
                {"time", iso_text(alert.time_us)},
                {"time_us", alert.time_us},
                {"sandbox", alert.sandbox},
                {"session", alert.session},
                {"user", alert.user},
                {"code_sha256", alert.code_sha256},
                {"kind", alert.kind},
                {"zone", alert.zone},
                {"score", alert.score},
                {"action", alert.action},
                {"query_id", alert.query_id > 0 ? Json(alert.query_id) : Json()},
                {"query_name", alert.query_name},
                {"uid", alert.uid},
                {"severity", alert.severity},
                {"attack", alert.attack},
                {"first_us", alert.first_us},
                {"last_us", alert.last_us},
                {"evidence", std::move(evidence)}};
    return text(row);
  }

 private:
  static Json known(std::int64_t value) { return value >= 0 ? Json(value) : Json(); }
  static Json known(std::optional<bool> value) { return value ? Json(*value) : Json(); }
  static Json known(const std::string& text) { return text.empty() ? Json() : Json(text); }
  static std::string text(const Json& row) {
    return row.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
  }
};

}  // namespace

std::unique_ptr<LogFormat> text_log(bool colour) {
  return std::make_unique<TextLog>(colour);
}
std::unique_ptr<LogFormat> json_log() {
  return std::make_unique<JsonLog>();
}

}  // namespace postern

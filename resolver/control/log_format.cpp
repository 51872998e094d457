// Log formats by name, and what an export leaves out.
#include "resolver/control/log_format.h"

#include "resolver/control/alert_redaction.h"
#include "resolver/control/log_redaction.h"
#include "rules/quote.h"

namespace postern {

Result<std::unique_ptr<LogFormat>> log_format(std::string_view name, bool colour) {
  if (name == "text") return text_log(colour);
  if (name == "json") return json_log();
  if (name == "ocsf") return ocsf_log();
  if (name == "ecs") return ecs_log();
  if (name == "zeek") return zeek_log();
  return failure("a format is text, json, ocsf, ecs or zeek, not " + quoted(name));
}

std::string row_uid(const std::string& journal, const char* view, std::int64_t id) {
  return (journal.empty() ? "" : journal + "-") + view + "-" + std::to_string(id);
}

// "user-1" for the first user met, and so on: the same text, the same number, within one output.
void Redactor::pseudonym(const char* kind, std::string& text) {
  if (text.empty()) return;
  const std::string prefix = std::string(kind) + "-";
  auto& known = known_[prefix + text];
  if (known.empty()) known = prefix + std::to_string(known_.size());
  text = known;
}

void Redactor::redact(LoggedQuery& query) {
  if (level_ == Redaction::none) return;
  const std::string domain = public_domain(query.registered_domain);
  query.name = below_hidden(query.name, domain);
  query.registered_domain = domain;
  query.rule = redacted_rule(query.rule, domain, level_);
  query.name_reversed.clear();
  query.data.clear();
  if (level_ != Redaction::all) return;
  pseudonym("sandbox", query.sandbox);
  pseudonym("session", query.session);
  pseudonym("user", query.user);
  query.code_sha256.clear();
  query.process.clear();
  query.code_line.clear();
}

void Redactor::redact(LoggedAlert& alert) {
  if (level_ == Redaction::none) return;
  const std::string domain = public_domain(alert.zone);
  alert.query_name = alert.zone.empty() || alert.query_name.empty() ? "" : "*." + domain;
  alert.query_registered_domain =
      alert.query_name.empty() ? "" : public_domain(alert.query_registered_domain);
  if (!alert.zone.empty()) alert.zone = domain.empty() ? "." : domain;
  alert.evidence = redacted_evidence(alert.evidence, level_);
  if (level_ != Redaction::all) return;
  pseudonym("sandbox", alert.sandbox);
  pseudonym("session", alert.session);
  pseudonym("user", alert.user);
  alert.code_sha256.clear();
}

}  // namespace postern

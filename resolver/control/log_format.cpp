// Log formats by name, and what an export leaves out.
#include "resolver/control/log_format.h"

#include <nlohmann/json.hpp>

#include "rules/quote.h"

namespace postern {
namespace {

// "*.example.com": that there was more, not what.
std::string below_hidden(const std::string& name, const std::string& registered_domain) {
  return name == registered_domain ? name : "*." + registered_domain;
}

// Evidence keeps counts and scores; names in it are texts below these keys.
void strip_names(nlohmann::ordered_json& value) {
  if (value.is_array())
    for (auto& one : value) strip_names(one);
  if (!value.is_object()) return;
  for (const char* key : {"name", "names", "first_name", "last_name"}) value.erase(key);
  for (auto& one : value) strip_names(one);
}

}  // namespace

Result<std::unique_ptr<LogFormat>> log_format(std::string_view name, bool colour) {
  if (name == "text") return text_log(colour);
  if (name == "json") return json_log();
  if (name == "ocsf") return ocsf_log();
  if (name == "ecs") return ecs_log();
  if (name == "zeek") return zeek_log();
  return failure("a format is text, json, ocsf, ecs or zeek, not " + quoted(name));
}

Result<Redaction> redaction_of(std::string_view text) {
  if (text == "none") return Redaction::none;
  if (text == "names") return Redaction::names;
  if (text == "all") return Redaction::all;
  return failure("what is redacted is none, names or all, not " + quoted(text));
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
  query.name = below_hidden(query.name, query.registered_domain);
  query.data.clear();
  if (level_ != Redaction::all) return;
  pseudonym("sandbox", query.sandbox);
  pseudonym("session", query.session);
  pseudonym("user", query.user);
  query.code_sha256.clear();
}

void Redactor::redact(LoggedAlert& alert) {
  if (level_ == Redaction::none) return;
  alert.query_name = alert.zone.empty() || alert.query_name.empty() ? "" : "*." + alert.zone;
  auto evidence = nlohmann::ordered_json::parse(alert.evidence, nullptr, false);
  if (evidence.is_discarded()) evidence = nlohmann::ordered_json::object();
  strip_names(evidence);
  if (level_ == Redaction::all) {
    for (const char* key : {"sandbox", "session", "user", "code_sha256", "labels"}) evidence.erase(key);
    pseudonym("sandbox", alert.sandbox);
    pseudonym("session", alert.session);
    pseudonym("user", alert.user);
    alert.code_sha256.clear();
  }
  alert.evidence = evidence.dump();
}

}  // namespace postern

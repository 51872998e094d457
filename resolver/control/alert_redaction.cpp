// Taking keys out of an alert's object, and marks for who asked.
#include "resolver/control/alert_redaction.h"

#include <nlohmann/json.hpp>
#include <span>

#include "resolver/control/log_redaction.h"
#include "rules/digest.h"
#include "rules/hex.h"

namespace postern {
namespace {

using AlertObject = nlohmann::ordered_json;

constexpr std::size_t mark_octets = 8;  // two of 2^32 users would share one

AlertObject object_of(std::string_view text) {
  AlertObject object = AlertObject::parse(text, nullptr, false);
  return object.is_object() ? object : AlertObject::object();
}

std::string object_text(const AlertObject& object) {
  return object.dump(-1, ' ', false, AlertObject::error_handler_t::replace);
}

// Counts and scores stay; names are the texts below these keys.
void strip_names(AlertObject& value) {
  if (value.is_array())
    for (auto& one : value) strip_names(one);
  if (!value.is_object()) return;
  for (const char* key : {"name", "names", "first_name", "last_name"}) value.erase(key);
  for (auto& one : value) strip_names(one);
}

// The same text under another word has another mark. The key is at both ends, so that nobody can add to what
// was digested.
std::string mark(const char* word, const std::string& text, std::string_view key) {
  std::string both(key);
  both += word;
  both += '\0';
  both += text;
  both += key;
  const Digest digest = sha256({reinterpret_cast<const std::uint8_t*>(both.data()), both.size()});
  return std::string(word) + "-" + hex_text(std::span(digest).first(mark_octets));
}

}  // namespace

std::string redacted_evidence(std::string_view evidence, Redaction level) {
  if (level == Redaction::none) return std::string(evidence);
  AlertObject object = object_of(evidence);
  strip_names(object);
  if (level == Redaction::all)
    for (const char* key : {"sandbox", "session", "user", "code_sha256", "labels"}) object.erase(key);
  return object_text(object);
}

std::string redacted_alert(std::string_view text, Redaction level, std::string_view key) {
  if (level == Redaction::none) return std::string(text);
  AlertObject object = object_of(text);
  const auto word = [&](const char* name) {
    const auto found = object.find(name);
    return found != object.end() && found->is_string() ? found->get<std::string>() : std::string();
  };
  const std::string zone = word("zone"), asked = word("name");
  strip_names(object);
  const std::string domain = public_domain(zone);
  if (!zone.empty()) object["zone"] = domain.empty() ? "." : domain;
  if (!zone.empty() && !asked.empty()) object["name"] = below_hidden(asked, domain);
  if (level == Redaction::all) {
    for (const char* who : {"sandbox", "session", "user"})
      if (const std::string said = word(who); !said.empty()) object[who] = mark(who, said, key);
    for (const char* gone : {"code_sha256", "labels"}) object.erase(gone);
  }
  return object_text(object);
}

}  // namespace postern

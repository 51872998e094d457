// The control API: what each method and path does.
#include "resolver/control/api.h"

#include <algorithm>
#include <limits>
#include <nlohmann/json.hpp>

#include "resolver/control/report_json.h"

namespace postern {
namespace {

using Json = nlohmann::ordered_json;

std::string text(const Json& json) {
  return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

ApiReply error(unsigned status, const std::string& message) {
  return {status, text({{"error", message}})};
}

// Members that are there must be of their kind, and no others may be: a misspelt "polcy" must not mean
// "default".
class Reader {
 public:
  explicit Reader(const Json& object) : object_(object) {}
  std::string string(const char* key) { return get<std::string>(key, Json::value_t::string, "a string"); }
  std::vector<std::string> strings(const char* key) {
    std::vector<std::string> all;
    const Json* value = member(key);
    if (value == nullptr) return all;
    if (!value->is_array()) return wrong(key, "an array of strings"), all;
    for (const Json& one : *value) {
      if (!one.is_string()) return wrong(key, "an array of strings"), all;
      all.push_back(one.get<std::string>());
    }
    return all;
  }
  std::map<std::string, std::string> labels(const char* key) {
    std::map<std::string, std::string> all;
    const Json* value = member(key);
    if (value == nullptr) return all;
    if (!value->is_object()) return wrong(key, "an object of strings"), all;
    for (const auto& [name, one] : value->items()) {
      if (!one.is_string()) return wrong(key, "an object of strings"), all;
      all[name] = one.get<std::string>();
    }
    return all;
  }
  pid_t pid(const char* key) {
    const Json* value = member(key);
    if (value == nullptr) return 0;
    if (!value->is_number_integer()) return wrong(key, "a process id"), 0;
    const auto number = value->get<std::int64_t>();
    if (number <= 0 || number > std::numeric_limits<pid_t>::max()) return wrong(key, "a process id"), 0;
    return static_cast<pid_t>(number);
  }
  std::uint64_t count(const char* key) {
    const Json* value = member(key);
    if (value == nullptr) return 0;
    if (!value->is_number_unsigned()) return wrong(key, "a count"), 0;
    return value->get<std::uint64_t>();
  }
  bool boolean(const char* key, bool otherwise) {
    const Json* value = member(key);
    if (value == nullptr) return otherwise;
    if (!value->is_boolean()) return wrong(key, "true or false"), otherwise;
    return value->get<bool>();
  }
  const Json* object(const char* key) {
    const Json* value = member(key);
    if (value != nullptr && !value->is_object()) wrong(key, "an object");
    return value != nullptr && value->is_object() ? value : nullptr;
  }
  std::vector<Json> objects(const char* key) {
    const Json* value = member(key);
    if (value == nullptr) return {};
    if (!value->is_array() ||
        !std::all_of(value->begin(), value->end(), [](const Json& one) { return one.is_object(); }))
      return wrong(key, "an array of objects"), std::vector<Json>{};
    return {value->begin(), value->end()};
  }
  // Empty when all was well.
  std::string finish() {
    if (error_.empty())
      for (const auto& [key, value] : object_.items())
        if (!seen_.contains(key)) error_ = "unknown member \"" + key + "\"";
    return error_;
  }

 private:
  const Json* member(const char* key) {
    seen_.insert(key);
    const auto at = object_.find(key);
    return at == object_.end() || at->is_null() ? nullptr : &*at;
  }
  template <class Value>
  Value get(const char* key, Json::value_t kind, const char* called) {
    const Json* value = member(key);
    if (value == nullptr) return {};
    if (value->type() != kind) return wrong(key, called), Value{};
    return value->get<Value>();
  }
  void wrong(const char* key, const char* called) {
    if (error_.empty()) error_ = "member \"" + std::string(key) + "\" must be " + called;
  }
  const Json& object_;
  std::unordered_set<std::string> seen_;
  std::string error_;
};

// "secrets": [{"label", "value" or "hex"}]. Errors name the label and never the value.
Result<std::vector<SecretValue>> read_secrets(Reader& reader) {
  std::vector<SecretValue> all;
  for (const Json& one : reader.objects("secrets")) {
    Reader inner(one);
    SecretValue secret{inner.string("label"), inner.string("value")};
    const std::string hex = inner.string("hex");
    if (const std::string wrong = inner.finish(); !wrong.empty()) return failure("secrets: " + wrong);
    if (secret.octets.empty() == hex.empty())
      return failure("secrets: \"" + secret.label + "\" needs either a value or hex");
    for (std::size_t i = 0; i < hex.size(); i += 2) {
      const auto digit = [&](std::size_t at) {
        return at < hex.size() ? std::string_view("0123456789abcdef").find(hex[at]) : std::string_view::npos;
      };
      if (digit(i) > 15 || digit(i + 1) > 15)
        return failure("secrets: \"" + secret.label + "\" is not lower-case hex");
      secret.octets += static_cast<char>(digit(i) << 4 | digit(i + 1));
    }
    all.push_back(std::move(secret));
  }
  return all;
}

ApiReply attach(Resolver& resolver, const std::string& body) {
  const Json json = Json::parse(body, nullptr, false);
  if (!json.is_object()) return error(400, "cannot attach: the body is not a JSON object");
  Reader reader(json);
  AttachRequest request;
  request.who.name = reader.string("name");
  request.who.session = reader.string("session");
  request.who.user = reader.string("user");
  request.who.code_sha256 = reader.string("code_sha256");
  request.who.labels = reader.labels("labels");
  request.who.policy = reader.string("policy");
  request.pid = reader.pid("pid");
  request.netns_path = reader.string("netns");
  request.policy_yaml = reader.string("policy_yaml");
  request.policy_name = reader.string("policy_name");
  if (const Json* overlay = reader.object("overlay")) {
    Reader inner(*overlay);
    PolicySet::Overlay rules;
    rules.allow = inner.strings("allow");
    rules.block = inner.strings("block");
    rules.default_action = inner.string("default");
    rules.include = inner.strings("include");
    if (const std::string wrong = inner.finish(); !wrong.empty())
      return error(400, "cannot attach: overlay: " + wrong);
    request.overlay = std::move(rules);
  }
  if (auto secrets = read_secrets(reader); !secrets)
    return error(400, "cannot attach: " + secrets.error().message);
  else
    request.secrets = std::move(*secrets);
  request.who.record_protected =
      reader.boolean("record_protected", true);  // `run` knows whether its command shares its uid
  if (const std::string wrong = reader.finish(); !wrong.empty()) return error(400, "cannot attach: " + wrong);
  const std::string name = request.who.name;
  if (auto attached = resolver.attach(std::move(request)); !attached)
    return error(409, attached.error().message);
  return {201, text({{"name", name}})};
}

ApiReply grant(Resolver& resolver, const std::string& body) {
  const Json json = Json::parse(body, nullptr, false);
  if (!json.is_object()) return error(400, "cannot grant: the body is not a JSON object");
  Reader reader(json);
  LeakGrant wanted;
  wanted.session = reader.string("session");
  wanted.user = reader.string("user");
  wanted.zone = reader.string("zone");
  wanted.octets = reader.count("octets");
  const bool answers = reader.boolean("answers", false);
  if (const std::string wrong = reader.finish(); !wrong.empty()) return error(400, "cannot grant: " + wrong);
  if (answers && !wanted.zone.empty())
    return error(400, "cannot grant: \"answers\" and \"zone\" \"" + wanted.zone + "\" are two grants");
  if (wanted.zone == LeakGrant::for_answers) return error(400, "cannot grant: give \"answers\": true");
  if (answers) wanted.zone = LeakGrant::for_answers;
  constexpr std::uint64_t most = 1ull << 40;  // as in a policy
  if (wanted.octets > most) return error(400, "cannot grant more than 1024 GiB");
  const auto granted = resolver.grant(std::move(wanted));
  if (!granted) return error(409, granted.error().message);
  return {200, text({{"id", granted->id},
                     {"session", granted->session},
                     {"user", granted->user},
                     {"zone", granted->zone},
                     {"octets", granted->octets}})};
}

}  // namespace

ApiReply answer_api(Resolver& resolver, std::string_view method, std::string_view target,
                    const std::string& body) {
  constexpr std::string_view sandboxes = "/v1/sandboxes";
  if (target == sandboxes) {
    if (method == "POST") return attach(resolver, body);
    if (method != "GET") return error(405, "only GET and POST here");
    Json all = Json::array();
    for (const SandboxReport& report : resolver.sandboxes()) all.push_back(to_json(report));
    return {200, text(all)};
  }
  if (target.starts_with(sandboxes) && target.size() > sandboxes.size() && target[sandboxes.size()] == '/') {
    std::string name(target.substr(sandboxes.size() + 1));
    if (constexpr std::string_view thaw = "/thaw"; name.ends_with(thaw)) {
      if (method != "POST") return error(405, "only POST here");
      name.resize(name.size() - thaw.size());
      if (auto thawed = resolver.thaw(name); !thawed) return error(409, thawed.error().message);
      return {200, text({{"name", name}})};
    }
    if (method != "DELETE") return error(405, "only DELETE here");
    auto gone = resolver.detach(name);
    if (!gone) return error(404, gone.error().message);
    return {200, text(to_json(*gone))};
  }
  if (target == "/metrics") {
    if (method != "GET") return error(405, "only GET here");
    return {200, resolver.metrics(), "text/plain; version=0.0.4; charset=utf-8"};
  }
  if (target == "/v1/status")
    return method == "GET" ? ApiReply{200, resolver.status_json()} : error(405, "only GET here");
  if (target == "/v1/leak") {
    if (method != "GET") return error(405, "only GET here");
    Json all = Json::array();
    for (const Pipeline::SessionLeak& leak : resolver.leaks()) all.push_back(to_json(leak));
    return {200, text(all)};
  }
  if (target == "/v1/grants") return method == "POST" ? grant(resolver, body) : error(405, "only POST here");
  if (target == "/v1/reload") {
    if (method != "POST") return error(405, "only POST here");
    if (auto loaded = resolver.reload(); !loaded) return error(400, loaded.error().message);
    return {200, text(Json::object())};
  }
  return error(404, "there is no \"" + std::string(target.substr(0, 200)) + "\"");
}

}  // namespace postern

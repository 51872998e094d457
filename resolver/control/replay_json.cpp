// Recordings as Zeek's dns.log in JSON, one object a line.
#include <charconv>
#include <cstdlib>
#include <ctime>
#include <nlohmann/json.hpp>

#include "resolver/control/replay_reader.h"

namespace postern {
namespace {

using JsonBase = nlohmann::json_sax<nlohmann::json>;

// The few members that matter, taken while the line is parsed: building the whole object would cost several
// times as much. `id` may be nested ({"id": {"orig_h": ...}}).
class ZeekMembers final : public JsonBase {
 public:
  std::string time_text, client, name, type_name, rcode_name;
  double time = -1;
  std::int64_t port = 0, query_class = 1, type = -1, rcode = -1;

  void clear() {
    time_text.clear();
    client.clear();
    name.clear();
    type_name.clear();
    rcode_name.clear();
    time = -1;
    port = 0;
    query_class = 1;
    type = rcode = -1;
    key_.clear();
    depth_ = 0;
    in_id_ = false;
  }

  bool null() override { return true; }
  bool boolean(bool) override { return true; }
  bool number_integer(number_integer_t value) override { return number(static_cast<double>(value), value); }
  bool number_unsigned(number_unsigned_t value) override {
    return number(static_cast<double>(value), static_cast<std::int64_t>(value & INT64_MAX));
  }
  bool number_float(number_float_t value, const string_t&) override {
    return number(value, value >= -1 && value < 70000 ? static_cast<std::int64_t>(value) : -1);
  }
  bool string(string_t& value) override {
    if (at("ts")) time_text = value;
    if (at("id.orig_h") || at_id("orig_h")) client = value;
    if (at("query")) name = value;
    if (at("qtype_name")) type_name = value;
    if (at("rcode_name")) rcode_name = value;
    return true;
  }
  bool binary(binary_t&) override { return true; }
  bool start_object(std::size_t) override {
    if (depth_ == 1 && key_ == "id") in_id_ = true;
    return ++depth_ <= max_depth;
  }
  bool key(string_t& value) override {
    key_ = value;
    return true;
  }
  bool end_object() override {
    if (--depth_ == 1) in_id_ = false;
    key_.clear();
    return true;
  }
  bool start_array(std::size_t) override { return ++depth_ <= max_depth; }
  bool end_array() override {
    --depth_;
    key_.clear();
    return true;
  }
  bool parse_error(std::size_t, const std::string&, const nlohmann::detail::exception&) override {
    return false;
  }

 private:
  static constexpr int max_depth = 16;  // Zeek's own log has at most 2

  bool at(const char* name_at) const { return depth_ == 1 && key_ == name_at; }
  bool at_id(const char* name_at) const { return depth_ == 2 && in_id_ && key_ == name_at; }
  bool number(double value, std::int64_t whole) {
    if (at("ts")) time = value;
    if (at("id.resp_p") || at_id("resp_p")) port = whole;
    if (at("qclass")) query_class = whole;
    if (at("qtype")) type = whole;
    if (at("rcode")) rcode = whole;
    return true;
  }

  std::string key_;
  int depth_ = 0;
  bool in_id_ = false;
};

// Zeek writes seconds, milliseconds (JSON::TS_MILLIS) or "2018-03-24T17:15:20.865716Z" (JSON::TS_ISO8601).
std::optional<std::chrono::microseconds> json_time(const ZeekMembers& members) {
  constexpr double beyond_seconds = 1e11;  // the year 5138; as milliseconds, 1973
  if (members.time_text.empty())
    return recording::from_seconds(members.time > beyond_seconds ? members.time / 1000 : members.time);
  std::tm broken{};
  const char* rest = strptime(members.time_text.c_str(), "%Y-%m-%dT%H:%M:%S", &broken);
  if (rest == nullptr) return std::nullopt;
  double fraction = 0;
  if (*rest == '.') {
    const char* end = members.time_text.c_str() + members.time_text.size();
    const auto [after, error] = std::from_chars(rest, end, fraction, std::chars_format::fixed);
    if (error != std::errc()) return std::nullopt;
    rest = after;
  }
  if (std::string_view(rest) != "Z" && *rest != '\0') return std::nullopt;
  return recording::from_seconds(static_cast<double>(timegm(&broken)) + fraction);
}

class JsonReader final : public RecordingReader {
 public:
  JsonReader(recording::Source source, const std::string& file, Skipped& skipped)
      : RecordingReader(std::move(source), file, skipped), lines_(*source_) {}
  std::string_view format() const noexcept override { return "Zeek JSON"; }

  Result<bool> next(RecordedQuery& query) override {
    for (;;) {
      const auto line = lines_.next();
      if (!line) return tl::unexpected(line.error());
      if (line->number == 0) return false;
      if (!line->text.empty() && read(*line, query)) return true;
    }
  }

 private:
  bool read(const LineReader::Line& line, RecordedQuery& query) {
    const auto bad = [&](std::string_view cause, std::string_view value) {
      skipped_.fault(cause, file_, line.number, value);
      return false;
    };
    if (line.too_long) return bad("line: longer than 65,536 octets", line.text);
    members_.clear();
    if (!nlohmann::json::sax_parse(line.text, &members_)) return bad("line: no JSON object", line.text);
    if (members_.client.empty() && members_.name.empty())
      return bad("line: neither \"id.orig_h\" nor \"query\"", line.text);
    const auto pass = [&](std::string_view cause) {
      skipped_.other(cause);
      return false;
    };
    if (recording::is_other_protocol(static_cast<std::uint32_t>(members_.port)))
      return pass("multicast DNS, LLMNR or NetBIOS");
    if (members_.name.empty() || (members_.type < 0 && members_.type_name.empty()))
      return pass("no question recorded");
    if (members_.query_class != 1) return pass("class other than IN");
    const auto time = json_time(members_);
    if (!time) return bad("time: neither seconds nor ISO 8601", line.text);
    query.query.type = static_cast<Type>(members_.type);
    if (members_.type < 0 || members_.type > 65535) {
      const auto type = recording::parse_recorded_type(members_.type_name);
      if (!type) return bad("type: not known", members_.type_name);
      query.query.type = *type;
    }
    query.time = *time;
    query.client = members_.client;
    query.rcode = members_.rcode >= 0 && members_.rcode < 4096
                      ? static_cast<int>(members_.rcode)
                      : recording::parse_recorded_rcode(members_.rcode_name);
    return recording::read_name(recording::unescape_zeek(members_.name), query.query.name, file_, line.number,
                                skipped_);
  }

  LineReader lines_;
  ZeekMembers members_;
};

}  // namespace

namespace recording {

Reader open_json(Source source, const std::string& file, Skipped& skipped) {
  return std::make_unique<JsonReader>(std::move(source), file, skipped);
}

}  // namespace recording

}  // namespace postern

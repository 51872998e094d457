// Recordings: which reader a file needs, and what the readers share.
#include "resolver/control/replay_reader.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "rules/quote.h"

namespace postern {
namespace {

// The first octets that are looked at: Zeek's header has some ten lines of a few hundred octets.
constexpr std::size_t looked_at = 1 << 14;

bool is_pcap(std::string_view beginning) {
  for (const std::string_view magic :
       {"\xa1\xb2\xc3\xd4", "\xd4\xc3\xb2\xa1", "\xa1\xb2\x3c\x4d", "\x4d\x3c\xb2\xa1", "\x0a\x0d\x0d\x0a"})
    if (beginning.starts_with(magic)) return true;
  return false;
}

}  // namespace

Skipped::Cause& Skipped::cause(std::string_view text, Kind kind) {
  for (Cause& one : causes_)
    if (one.text == text) return one;
  if (causes_.size() >= max_causes) return causes_.back();
  causes_.push_back({causes_.size() + 1 == max_causes ? "other causes" : std::string(text), kind, 0, {}});
  return causes_.back();
}

void Skipped::fault(std::string_view text, const std::string& file, std::uint64_t place,
                    std::string_view value) {
  Cause& one = cause(text, Kind::fault);
  ++one.count;
  ++faults_;
  if (one.first.size() < quoted)
    one.first.push_back(file + ":" + std::to_string(place) + ": " + postern::quoted(value));
}

void Skipped::other(std::string_view text) {
  ++cause(text, Kind::other).count;
}

Result<std::unique_ptr<RecordingReader>> open_recording(std::unique_ptr<OctetSource> source,
                                                        const std::string& file, Skipped& skipped) {
  auto peeked = std::make_unique<PeekedSource>(std::move(source));
  const auto beginning = peeked->peek(looked_at);
  if (!beginning) return tl::unexpected(beginning.error());
  const std::string_view text = *beginning;
  if (text.empty()) return failure("cannot replay " + quoted(file) + ": it is empty");
  if (is_pcap(text)) return recording::open_pcap(std::move(peeked), file, skipped);
  const std::size_t first = text.find_first_not_of(" \t\r\n");
  if (first != std::string_view::npos && text[first] == '{')
    return recording::open_json(std::move(peeked), file, skipped);
  if (text.starts_with("#separator") || text.find("#fields") != std::string_view::npos)
    return recording::open_zeek(std::move(peeked), file, skipped);
  if (recording::looks_like_lines(text)) return recording::open_lines(std::move(peeked), file, skipped);
  return failure("cannot replay " + quoted(file) +
                 ": it is neither pcap, pcapng, Zeek's dns.log nor lines of \"ts client qname qtype\"; it "
                 "begins with " +
                 quoted(text.substr(0, std::min<std::size_t>(40, text.find('\n')))));
}

namespace recording {

std::optional<std::chrono::microseconds> from_seconds(double seconds) {
  constexpr double year_9999 = 253'402'300'800;
  if (!std::isfinite(seconds) || seconds < 0 || seconds > year_9999) return std::nullopt;
  return std::chrono::microseconds(std::llround(seconds * 1e6));
}

std::optional<std::chrono::microseconds> parse_seconds(std::string_view text) {
  double seconds = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), seconds);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return from_seconds(seconds);
}

std::optional<Type> parse_recorded_type(std::string_view text) {
  if (text == "*") return type::ANY;
  std::uint16_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error == std::errc() && end == text.data() + text.size()) return number;
  return type_from_text(text);
}

std::string unescape_zeek(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    unsigned octet = 0;
    if (text[i] == '\\' && i + 3 < text.size() && text[i + 1] == 'x' &&
        std::from_chars(text.data() + i + 2, text.data() + i + 4, octet, 16).ptr == text.data() + i + 4) {
      char escaped[4];
      out.append(escaped, write_decimal_escape(escaped, static_cast<std::uint8_t>(octet)));
      i += 3;
    } else {
      out += text[i];
    }
  }
  return out;
}

int parse_recorded_rcode(std::string_view text) {
  for (int rcode = 0; rcode < 16; ++rcode)
    if (rcode_text(rcode) == text) return rcode;
  int number = -1;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  return error == std::errc() && end == text.data() + text.size() && number >= 0 && number < 4096 ? number
                                                                                                  : -1;
}

bool read_name(std::string_view text, Name& name, const std::string& file, std::uint64_t place,
               Skipped& skipped) {
  const auto parsed = Name::parse(text);
  if (parsed) {
    name = *parsed;
    return true;
  }
  // The error quotes the value; as a cause only what is wrong with it counts.
  const std::string& message = parsed.error().message;
  const std::size_t why = message.rfind("\": ");
  skipped.fault("name: " + (why == std::string::npos ? message : message.substr(why + 3)), file, place, text);
  return false;
}

void split(std::string_view line, char separator, std::vector<std::string_view>& fields) {
  fields.clear();
  for (std::size_t from = 0;;) {
    const std::size_t at = line.find(separator, from);
    fields.push_back(line.substr(from, at - from));
    if (at == std::string_view::npos) return;
    from = at + 1;
  }
}

bool is_other_protocol(std::uint32_t port) noexcept {
  return port == 5353 || port == 5355 || port == 137;
}

}  // namespace recording

}  // namespace postern

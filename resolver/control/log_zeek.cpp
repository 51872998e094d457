// The journal as Zeek's dns.log: tab-separated, with its header. What Zeek's base log has no column for
// stands at the end, as its own extensions do.
#include "resolver/control/log_format.h"
#include "rules/vocabulary.h"

namespace postern {
namespace {

// The columns of Zeek's DNS::Info that are logged (docs.zeek.org, base/protocols/dns/main.zeek), then ours.
constexpr std::pair<const char*, const char*> columns[] = {{"ts", "time"},
                                                           {"uid", "string"},
                                                           {"id.orig_h", "addr"},
                                                           {"id.orig_p", "port"},
                                                           {"id.resp_h", "addr"},
                                                           {"id.resp_p", "port"},
                                                           {"proto", "enum"},
                                                           {"trans_id", "count"},
                                                           {"rtt", "interval"},
                                                           {"query", "string"},
                                                           {"qclass", "count"},
                                                           {"qclass_name", "string"},
                                                           {"qtype", "count"},
                                                           {"qtype_name", "string"},
                                                           {"rcode", "count"},
                                                           {"rcode_name", "string"},
                                                           {"AA", "bool"},
                                                           {"TC", "bool"},
                                                           {"RD", "bool"},
                                                           {"RA", "bool"},
                                                           {"Z", "count"},
                                                           {"answers", "vector[string]"},
                                                           {"TTLs", "vector[interval]"},
                                                           {"rejected", "bool"},
                                                           {"sandbox", "string"},
                                                           {"session", "string"},
                                                           {"user", "string"},
                                                           {"action", "string"},
                                                           {"rule", "string"}};

constexpr const char* unset = "-";

int rcode_number(const std::string& text) {
  for (int rcode = 0; rcode <= 15; ++rcode)
    if (rcode_text(rcode) == text) return rcode;
  return -1;
}

// A string field: control characters, the backslash and what would read as a separator become \xHH. Of a
// name's own escapes, \DDD and \X (RFC 1035), the octet is meant.
std::string field(const std::string& text, bool name = false) {
  if (text.empty()) return unset;
  std::string out;
  const auto octet = [&](unsigned value) {
    char escaped[8];
    std::snprintf(escaped, sizeof escaped, "\\x%02x", value & 0xff);
    out += escaped;
  };
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto c = static_cast<unsigned char>(text[i]);
    if (name && c == '\\' && i + 1 < text.size()) {
      const auto digit = [&](std::size_t at) {
        return at < text.size() && text[at] >= '0' && text[at] <= '9';
      };
      if (digit(i + 1) && digit(i + 2) && digit(i + 3)) {
        octet(
            static_cast<unsigned>((text[i + 1] - '0') * 100 + (text[i + 2] - '0') * 10 + text[i + 3] - '0'));
        i += 3;
      } else {
        octet(static_cast<unsigned char>(text[++i]));
      }
    } else if (c < 0x20 || c == 0x7f || c == '\\') {
      octet(c);
    } else {
      out += static_cast<char>(c);
    }
  }
  return out == unset ? "\\x2d" : out;
}

std::string seconds(std::int64_t us) {
  char text[40];
  std::snprintf(text, sizeof text, "%lld.%06lld", static_cast<long long>(us / 1'000'000),
                static_cast<long long>(us % 1'000'000));
  return text;
}

class ZeekLog final : public LogFormat {
 public:
  std::string head(std::int64_t now_us) const override {
    std::string fields = "#fields", types = "#types";
    for (const auto& [name, type] : columns) {
      fields += std::string("\t") + name;
      types += std::string("\t") + type;
    }
    std::string opened = iso_text(now_us).substr(0, 19);
    for (char& c : opened)
      if (c == 'T' || c == ':') c = '-';
    return "#separator "
           "\\x09\n#set_separator\t,\n#empty_field\t(empty)\n#unset_field\t-\n#path\tdns\n#open\t" +
           opened + "\n" + fields + "\n" + types + "\n";
  }

  std::string line(const LoggedQuery& query) const override {
    const int rcode = rcode_number(query.rcode);
    const auto type = type_from_text(query.type);
    std::string answers;
    for_each_word(query.data, [&](const std::string& word) {
      std::string one = field(word, true);
      for (std::size_t at = 0; (at = one.find(',', at)) != std::string::npos;) one.replace(at, 1, "\\x2c");
      answers += (answers.empty() ? "" : ",") + one;
    });
    const std::string cells[] = {seconds(query.time_us),
                                 "P" + std::to_string(query.id),
                                 unset,  // the sandbox says who; its addresses are its own
                                 unset,
                                 unset,
                                 "53",
                                 field(query.transport),
                                 unset,
                                 query.upstream_us >= 0 ? seconds(query.upstream_us) : unset,
                                 field(query.name, true),
                                 query.is_of_class_in() ? "1" : unset,
                                 query.is_of_class_in() ? "C_INTERNET" : unset,
                                 type ? std::to_string(*type) : unset,
                                 field(query.type),
                                 rcode >= 0 ? std::to_string(rcode) : unset,
                                 rcode >= 0 ? query.rcode : unset,
                                 unset,  // the flags of messages are not on record
                                 unset,
                                 unset,
                                 unset,
                                 unset,
                                 answers.empty() ? unset : answers,
                                 unset,
                                 query.refused() ? "T" : "F",
                                 field(query.sandbox),
                                 field(query.session),
                                 field(query.user),
                                 field(query.action),
                                 field(query.rule)};
    static_assert(std::size(cells) == std::size(columns));
    std::string out;
    for (const std::string& cell : cells) out += (out.empty() ? "" : "\t") + cell;
    return out + "\n";
  }

  std::string line(const LoggedAlert&) const override { return {}; }
};

}  // namespace

std::unique_ptr<LogFormat> zeek_log() {
  return std::make_unique<ZeekLog>();
}

}  // namespace postern

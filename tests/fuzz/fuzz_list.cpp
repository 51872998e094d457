// Fuzz target: lists in every format, and gzip. Whatever the text, reading ends with a report that adds up or
// a one-line error, and each entry is one that can be written and read back.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "rules/gunzip.h"
#include "rules/list_text.h"
#include "rules/svcb.h"

namespace {

using namespace postern;

void require(bool claim) {
  if (!claim) std::abort();
}

class CheckingSink final : public ListSink {
 public:
  std::uint64_t entries = 0, ranges = 0;

  void entry(const ListEntry& entry, const ListDetail* detail) override {
    ++entries;
    require(entry.line > 0);
    const auto again = Name::parse(entry.name.text());
    require(again && *again == entry.name);
    require(entry.action == ListAction::local || detail == nullptr || detail->local.answer.empty());
    if (detail == nullptr) return;
    require(!detail->types_excluded || !detail->types.empty());
    require(detail->local.rcode == 0 && detail->local.authority.empty());
    for (const Record& record : detail->local.answer) check(record);
  }
  void range(const ListRange& range, const ListDetail* detail) override {
    ++ranges;
    require(range.line > 0);
    require(range.action == ListAction::local || detail == nullptr || detail->local.answer.empty());
    if (detail != nullptr)
      for (const Record& record : detail->local.answer) check(record);
    const auto again = AddressRange::parse(range.range.text());
    require(again && again->base == range.range.base && again->length == range.range.length);
  }

 private:
  // Names in RDATA are whole and uncompressed, and nothing follows them.
  static void check(const Record& record) {
    require(record.owner.is_root() && record.rdata.size() <= 65535);
    const std::span<const std::uint8_t> rdata(record.rdata);
    const auto is_name_after = [&](std::size_t octets) {
      if (rdata.size() < octets) return false;
      const auto name = Name::from_wire(rdata.subspan(octets));
      return name && octets + name->size() == rdata.size();
    };
    switch (record.type) {
      case type::A:
        return require(rdata.size() == 4);
      case type::AAAA:
        return require(rdata.size() == 16);
      case type::CNAME:
      case type::PTR:
        return require(is_name_after(0));
      case type::MX:
        return require(is_name_after(2));
      case type::SRV:
        return require(is_name_after(6));
      case type::SVCB:
      case type::HTTPS:
        return require(parse_service_binding(rdata).has_value());
      case type::TXT: {
        std::size_t at = 0;
        while (at < rdata.size()) at += rdata[at] + 1u;
        return require(at == rdata.size() && at > 0);
      }
      default:
        return require(record.type == type::CAA);
    }
  }
};

void read(std::string_view text, std::optional<ListFormat> format, bool wide) {
  ListOptions options;
  options.file = "f";
  options.format = format;
  options.subdomains = options.allow_public_suffix = wide;
  options.most_line_octets = 1000;
  options.most_local_records = 50;
  options.most_entries = 10000;
  CheckingSink sink;
  const Result<ListReport> report = read_list(text, options, sink);
  if (!report) {
    require(report.error().message.starts_with("cannot read list f:"));
    require(report.error().message.find('\n') == std::string::npos);
    return;
  }
  require(report->entries == sink.entries && report->ranges == sink.ranges);
  require(!format || report->format == *format);
  require(report->blank + report->skipped_lines() <= report->lines);
  for (const SkippedLines& skipped : report->skipped) {
    require(skipped.lines > 0 && !skipped.first.empty());
    require(skipped.first.size() <= SkippedLines::quoted_lines && skipped.first.size() <= skipped.lines);
    for (const std::string& line : skipped.first)
      require(line.starts_with("f:") && line.find('\n') == std::string::npos && line.size() < 500);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  read(text, std::nullopt, false);
  for (const ListFormat format :
       {ListFormat::domains, ListFormat::hosts, ListFormat::adblock, ListFormat::rpz})
    read(text, format, true);

  constexpr std::size_t most = 1 << 20;
  const auto whole = gunzip(text, most);
  require(!whole || whole->size() <= most);
  if (is_gzip(text)) {  // in pieces the same comes out
    Gunzip stream(most);
    std::string out;
    bool good = true;
    for (std::size_t at = 0; at < size && good; at += 13)
      good = stream.feed(text.substr(at, 13), out).has_value();
    good = good && stream.finish().has_value();
    require(good == whole.has_value() && (!good || out == *whole) && out.size() <= most);
  }
  return 0;
}

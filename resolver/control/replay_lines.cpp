// Recordings as lines of `ts client qname qtype [rcode]`, tab separated, with an optional header line.
//
// The header begins with `#` and names the columns, in any order; without one they stand as above. A first
// column called seq... is a sequence number, taken as seconds.
#include <algorithm>
#include <array>

#include "resolver/control/replay_reader.h"

namespace postern {
namespace {

constexpr std::size_t absent = ~std::size_t{0};

struct LineColumns {
  std::size_t time = 0, client = 1, name = 2, type = 3, rcode = 4;

  // From a header's names; nothing if one of the first four is missing.
  static std::optional<LineColumns> of(std::string_view header) {
    header.remove_prefix(header.starts_with("#") ? 1 : 0);
    std::vector<std::string_view> names;
    recording::split(header, '\t', names);
    LineColumns columns{absent, absent, absent, absent, absent};
    for (std::size_t i = 0; i < names.size(); ++i) {
      std::string_view name = names[i];
      while (name.starts_with(" ")) name.remove_prefix(1);
      if (name == "ts" || name == "time" || name.starts_with("seq")) columns.time = i;
      if (name == "client") columns.client = i;
      if (name == "qname") columns.name = i;
      if (name == "qtype") columns.type = i;
      if (name == "rcode") columns.rcode = i;
    }
    if (std::max({columns.time, columns.client, columns.name, columns.type}) == absent) return std::nullopt;
    return columns;
  }
  std::size_t least() const { return std::max({time, client, name, type}) + 1; }
};

class LinesReader final : public RecordingReader {
 public:
  LinesReader(recording::Source source, const std::string& file, Skipped& skipped)
      : RecordingReader(std::move(source), file, skipped), lines_(*source_) {}
  std::string_view format() const noexcept override { return "lines"; }

  Result<bool> next(RecordedQuery& query) override {
    for (;;) {
      const auto line = lines_.next();
      if (!line) return tl::unexpected(line.error());
      if (line->number == 0) return false;
      if (read(*line, query)) return true;
    }
  }

 private:
  bool read(const LineReader::Line& line, RecordedQuery& query) {
    const std::string_view text = line.text;
    if (text.empty()) return false;
    if (text[0] == '#') {
      if (const auto columns = LineColumns::of(text)) columns_ = *columns;
      return false;
    }
    const auto bad = [&](std::string_view cause, std::string_view value) {
      skipped_.fault(cause, file_, line.number, value);
      return false;
    };
    if (line.too_long) return bad("line: longer than 65,536 octets", text);
    recording::split(text, '\t', fields_);
    if (fields_.size() < columns_.least()) return bad("line: too few columns", text);
    const auto time = recording::parse_seconds(fields_[columns_.time]);
    if (!time) return bad("time: no number of seconds", fields_[columns_.time]);
    query.time = *time;
    query.client = fields_[columns_.client];
    if (!recording::read_name(fields_[columns_.name], query.query.name, file_, line.number, skipped_))
      return false;
    const std::string_view type_field = fields_[columns_.type];
    query.query.type = type::A;
    if (type_field == "-" || type_field.empty()) {
      skipped_.other("type not recorded: taken as A");
    } else {
      const auto type = recording::parse_recorded_type(type_field);
      if (!type) return bad("type: not known", type_field);
      query.query.type = *type;
    }
    query.rcode =
        columns_.rcode < fields_.size() ? recording::parse_recorded_rcode(fields_[columns_.rcode]) : -1;
    return true;
  }

  LineReader lines_;
  LineColumns columns_;
  std::vector<std::string_view> fields_;
};

}  // namespace

namespace recording {

bool looks_like_lines(std::string_view beginning) {
  std::vector<std::string_view> lines, fields;
  split(beginning, '\n', lines);
  for (std::string_view line : lines) {
    while (line.ends_with("\r")) line.remove_suffix(1);
    if (line.empty()) continue;
    if (line[0] == '#') {
      if (LineColumns::of(line)) return true;
      continue;
    }
    split(line, '\t', fields);
    return fields.size() >= 4 && parse_seconds(fields[0]).has_value();
  }
  return false;
}

Reader open_lines(Source source, const std::string& file, Skipped& skipped) {
  return std::make_unique<LinesReader>(std::move(source), file, skipped);
}

}  // namespace recording

}  // namespace postern

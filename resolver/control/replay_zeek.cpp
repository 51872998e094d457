// Recordings as Zeek's dns.log in tab-separated values: the header says which columns there are, in any
// order.
#include <algorithm>
#include <charconv>

#include "resolver/control/replay_reader.h"
#include "rules/quote.h"

namespace postern {
namespace {

class ZeekReader final : public RecordingReader {
 public:
  ZeekReader(recording::Source source, const std::string& file, Skipped& skipped)
      : RecordingReader(std::move(source), file, skipped), lines_(*source_) {}
  std::string_view format() const noexcept override { return "Zeek"; }

  Result<bool> next(RecordedQuery& query) override {
    for (;;) {
      const auto line = lines_.next();
      if (!line) return tl::unexpected(line.error());
      if (line->number == 0) {
        if (time_ == absent_column)
          return failure("cannot replay " + quoted(file_) + ": it is a Zeek log without a #fields line");
        return false;
      }
      if (line->text.starts_with("#")) {
        if (auto good = header(line->text); !good) return tl::unexpected(good.error());
      } else if (!line->text.empty() && read(*line, query)) {
        return true;
      }
    }
  }

 private:
  static constexpr std::size_t absent_column = ~std::size_t{0};

  Result<void> header(std::string_view text) {
    if (text.starts_with("#separator ")) {
      text.remove_prefix(11);
      unsigned octet = 0;
      if (text.size() == 1) separator_ = text[0];
      if (text.starts_with("\\x") &&
          std::from_chars(text.data() + 2, text.data() + text.size(), octet, 16).ec == std::errc() &&
          octet < 128)
        separator_ = static_cast<char>(octet);
      return {};
    }
    recording::split(text, separator_, fields_);
    const std::string_view key = fields_[0];
    if (key == "#unset_field" && fields_.size() > 1) unset_ = fields_[1];
    if (key == "#path" && fields_.size() > 1 && fields_[1] != "dns")
      return failure("cannot replay " + quoted(file_) + ": it is Zeek's log of " + quoted(fields_[1]) +
                     ", not of \"dns\"");
    if (key != "#fields") return {};
    const auto column = [&](std::string_view name) {
      const auto at = std::find(fields_.begin() + 1, fields_.end(), name);
      return at == fields_.end() ? absent_column : static_cast<std::size_t>(at - fields_.begin() - 1);
    };
    time_ = column("ts");
    client_ = column("id.orig_h");
    sandbox_ = column("sandbox");  // `postern log --format zeek`: it has no addresses
    port_ = column("id.resp_p");
    name_ = column("query");
    class_ = column("qclass");
    type_ = column("qtype");
    type_name_ = column("qtype_name");
    rcode_ = column("rcode");
    for (const auto& [at, name] : {std::pair{time_, "ts"}, {client_, "id.orig_h"}, {name_, "query"}})
      if (at == absent_column)
        return failure("cannot replay " + quoted(file_) + ": its #fields line has no column \"" + name +
                       "\"");
    if (type_ == absent_column && type_name_ == absent_column)
      return failure("cannot replay " + quoted(file_) +
                     ": its #fields line has neither \"qtype\" nor \"qtype_name\"");
    return {};
  }

  // A column's value; empty where it is absent or unset.
  std::string_view field(std::size_t column) const {
    return column < fields_.size() && fields_[column] != unset_ ? fields_[column] : std::string_view();
  }

  bool read(const LineReader::Line& line, RecordedQuery& query) {
    const auto bad = [&](std::string_view cause, std::string_view value) {
      skipped_.fault(cause, file_, line.number, value);
      return false;
    };
    if (line.too_long) return bad("line: longer than 65,536 octets", line.text);
    if (time_ == absent_column) return bad("line: before the #fields line", line.text);
    recording::split(line.text, separator_, fields_);
    if (fields_.size() <= std::max({time_, client_, name_})) return bad("line: too few columns", line.text);
    std::uint32_t port = 0;
    if (const std::string_view text = field(port_); !text.empty())
      std::from_chars(text.data(), text.data() + text.size(), port);
    if (recording::is_other_protocol(port)) {
      skipped_.other("multicast DNS, LLMNR or NetBIOS");
      return false;
    }
    const std::string_view type_text = field(type_).empty() ? field(type_name_) : field(type_);
    if (field(name_).empty() || type_text.empty()) {
      skipped_.other("no question recorded");
      return false;
    }
    if (const std::string_view query_class = field(class_); !query_class.empty() && query_class != "1") {
      skipped_.other("class other than IN");
      return false;
    }
    const auto time = recording::parse_seconds(field(time_));
    if (!time) return bad("time: no number of seconds", field(time_));
    const auto type = recording::parse_recorded_type(type_text);
    if (!type) return bad("type: not known", type_text);
    query.time = *time;
    query.client = field(client_).empty() ? field(sandbox_) : field(client_);
    query.query.type = *type;
    query.rcode = recording::parse_recorded_rcode(field(rcode_));
    const std::string_view name = field(name_);
    if (name.find("\\x") == std::string_view::npos)
      return recording::read_name(name, query.query.name, file_, line.number, skipped_);
    return recording::read_name(recording::unescape_zeek(name), query.query.name, file_, line.number,
                                skipped_);
  }

  LineReader lines_;
  char separator_ = '\t';
  std::string unset_ = "-";
  std::size_t time_ = absent_column, client_ = absent_column, sandbox_ = absent_column, port_ = absent_column,
              name_ = absent_column, class_ = absent_column, type_ = absent_column,
              type_name_ = absent_column, rcode_ = absent_column;
  std::vector<std::string_view> fields_;
};

}  // namespace

namespace recording {

Reader open_zeek(Source source, const std::string& file, Skipped& skipped) {
  return std::make_unique<ZeekReader>(std::move(source), file, skipped);
}

}  // namespace recording

}  // namespace postern

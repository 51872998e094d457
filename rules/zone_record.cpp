// ZoneRecord: the words of a line, and the data of each type.
#include "rules/zone_record.h"

#include <algorithm>
#include <charconv>

#include "rules/address.h"
#include "rules/quote.h"
#include "rules/special.h"
#include "rules/svcb.h"
#include "rules/svcb_text.h"

namespace postern {
namespace {

using Data = std::vector<std::uint8_t>;

constexpr std::uint32_t longest_ttl = 86400;  // seconds; the cache keeps nothing longer either
constexpr std::size_t longest_string = 255;   // octets of one string (RFC 1035 section 3.3)
constexpr std::size_t longest_data = 4096;    // octets; an answer must fit a message with its neighbours

// A word as it stands in the line, escapes and all; of a quoted one what is between the quotes.
struct Word {
  std::string text;
  bool is_quoted = false;
};

Result<std::vector<Word>> split_words(std::string_view line) {
  std::vector<Word> words;
  for (std::size_t at = 0; at < line.size();) {
    const char c = line[at];
    if (c == ' ' || c == '\t') {
      ++at;
      continue;
    }
    if (c == ';') break;
    if (c == '(' || c == ')') return failure("a record is on one line; parentheses are not read here");
    Word word;
    word.is_quoted = c == '"';
    if (word.is_quoted) ++at;
    const std::string_view ends = word.is_quoted ? "\"" : " \t;";
    bool escaped_end = false;
    while (at < line.size() && ends.find(line[at]) == std::string_view::npos) {
      // key="value with spaces", as SVCB has it
      if (!word.is_quoted && line[at] == '"') return failure("a quote stands inside a word");
      if (line[at] == '\\') {
        word.text += line[at++];
        if (at == line.size()) escaped_end = true;
      }
      if (at < line.size()) word.text += line[at++];
    }
    if (escaped_end) return failure("a backslash ends the line");
    if (word.is_quoted) {
      if (at == line.size()) return failure("the closing quote is missing");
      ++at;
    }
    words.push_back(std::move(word));
  }
  return words;
}

Result<Data> unescape(std::string_view text) {
  Data out;
  for (std::size_t at = 0; at < text.size(); ++at) {
    if (text[at] != '\\') {
      out.push_back(static_cast<std::uint8_t>(text[at]));
      continue;
    }
    const std::string_view digits = text.substr(at + 1, 3);
    const bool is_number = digits.size() == 3 && std::all_of(digits.begin(), digits.end(),
                                                             [](char c) { return c >= '0' && c <= '9'; });
    unsigned value = 0;
    if (is_number) std::from_chars(digits.data(), digits.data() + 3, value);
    if (is_number && value > 255) return failure("there is no octet " + quoted(text.substr(at, 4)));
    if (!is_number && (digits.empty() || (digits[0] >= '0' && digits[0] <= '9')))
      return failure("an escape is \\DDD or \\X, here is " + quoted(text.substr(at, 4)));
    out.push_back(is_number ? static_cast<std::uint8_t>(value) : static_cast<std::uint8_t>(digits[0]));
    at += is_number ? 3 : 1;
  }
  return out;
}

// Takes the words of the data one by one and appends their wire form.
class DataReader {
 public:
  DataReader(std::span<const Word> words, const Name& zone) : words_(words), zone_(zone) {}

  std::size_t left() const { return words_.size(); }

  Result<std::string> word(const char* what) {
    if (words_.empty()) return failure(std::string(what) + " is missing");
    std::string text = words_.front().text;
    words_ = words_.subspan(1);
    return text;
  }
  Result<void> number(const char* what, std::uint32_t largest, int width) {
    const Result<std::string> text = word(what);
    if (!text) return tl::unexpected(text.error());
    std::uint32_t value = 0;
    const auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), value);
    if (error != std::errc{} || end != text->data() + text->size() || value > largest)
      return failure(std::string(what) + " is a number from 0 to " + std::to_string(largest) + ", here is " +
                     quoted(*text));
    for (int shift = (width - 1) * 8; shift >= 0; shift -= 8)
      data.push_back(static_cast<std::uint8_t>(value >> shift));
    return {};
  }
  Result<void> name(const char* what);
  Result<void> address(bool v6) {
    const Result<std::string> text = word("the address");
    if (!text) return tl::unexpected(text.error());
    const std::optional<Address> parsed = Address::parse(*text);
    if (!parsed || parsed->v6 != v6)
      return failure(std::string("not an IPv") + (v6 ? "6" : "4") + " address: " + quoted(*text));
    const std::array<std::uint8_t, 16> octets = parsed->octets();
    data.insert(data.end(), octets.begin(), octets.begin() + (v6 ? 16 : 4));
    return {};
  }
  Result<void> string(const char* what) {
    const Result<std::string> text = word(what);
    if (!text) return tl::unexpected(text.error());
    const Result<Data> octets = unescape(*text);
    if (!octets) return tl::unexpected(octets.error());
    if (octets->size() > longest_string)
      return failure(std::string(what) + " has over 255 octets: " + quoted(*text));
    data.push_back(static_cast<std::uint8_t>(octets->size()));
    data.insert(data.end(), octets->begin(), octets->end());
    return {};
  }
  Result<void> caa();
  Result<void> parameters();

  Data data;

 private:
  std::span<const Word> words_;
  const Name& zone_;
};

// "@", "www", "www.example.com."
Result<Name> name_in(std::string_view text, const Name& zone) {
  if (text == "@") return zone;
  std::size_t backslashes = 0;
  while (backslashes + 1 < text.size() && text[text.size() - 2 - backslashes] == '\\') ++backslashes;
  const bool is_complete = text.ends_with('.') && backslashes % 2 == 0;
  if (is_complete) return Name::parse(text);
  if (text.empty()) return failure("a name is missing");
  return Name::parse(std::string(text) + "." + zone.text());
}

Result<void> DataReader::name(const char* what) {
  const Result<std::string> text = word(what);
  if (!text) return tl::unexpected(text.error());
  const Result<Name> parsed = name_in(*text, zone_);
  if (!parsed) return tl::unexpected(parsed.error());
  data.insert(data.end(), parsed->wire().begin(), parsed->wire().end());
  return {};
}

// RFC 8659 section 4.1: flags, a tag, and a value of any length.
Result<void> DataReader::caa() {
  if (auto ok = number("the flags", 255, 1); !ok) return ok;
  const Result<std::string> tag = word("the tag");
  if (!tag) return tl::unexpected(tag.error());
  const bool plain = !tag->empty() && tag->size() <= 15 && std::all_of(tag->begin(), tag->end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
  });
  if (!plain) return failure("a CAA tag has 1 to 15 letters and digits, here is " + quoted(*tag));
  data.push_back(static_cast<std::uint8_t>(tag->size()));
  data.insert(data.end(), tag->begin(), tag->end());
  const Result<std::string> text = word("the value");
  if (!text) return tl::unexpected(text.error());
  const Result<Data> value = unescape(*text);
  if (!value) return tl::unexpected(value.error());
  data.insert(data.end(), value->begin(), value->end());
  return {};
}

Result<void> DataReader::parameters() {
  std::vector<std::string_view> words;
  for (; left() > 0; words_ = words_.subspan(1)) words.push_back(words_.front().text);
  const Result<Data> read = read_service_parameters(words);
  if (!read) return tl::unexpected(read.error());
  data.insert(data.end(), read->begin(), read->end());
  if (!parse_service_binding(data)) return failure("the parameters do not go together (RFC 9460)");
  return {};
}

Result<void> read_data(Type type, DataReader& from) {
  const auto all = [](std::initializer_list<Result<void>> steps) -> Result<void> {
    for (const Result<void>& step : steps)
      if (!step) return step;
    return {};
  };
  switch (type) {
    case type::A:
      return from.address(false);
    case type::AAAA:
      return from.address(true);
    case type::CNAME:
    case type::NS:
    case type::PTR:
      return from.name("the target");
    case type::MX:
      return all({from.number("the preference", 65535, 2), from.name("the target")});
    case type::SRV:
      return all({from.number("the priority", 65535, 2), from.number("the weight", 65535, 2),
                  from.number("the port", 65535, 2), from.name("the target")});
    case type::TXT:
      do {
        if (auto ok = from.string("the text"); !ok) return ok;
      } while (from.left() > 0);
      return {};
    case type::CAA:
      return from.caa();
    case type::SVCB:
    case type::HTTPS:
      return all({from.number("the priority", 65535, 2), from.name("the target"), from.parameters()});
    default:
      return failure("type " + quoted(type_text(type)) +
                     " is not served; A, AAAA, CNAME, MX, NS, PTR, SRV, TXT, CAA, SVCB and HTTPS are");
  }
}

}  // namespace

Result<Record> parse_zone_record(std::string_view line, const Name& zone) {
  const auto bad = [&](const std::string& why) {
    return failure("cannot read record " + quoted(line) + ": " + why);
  };
  const Result<std::vector<Word>> words = split_words(line);
  if (!words) return bad(words.error().message);
  std::span<const Word> rest(*words);
  if (rest.size() < 3) return bad("a record is OWNER [TTL] TYPE DATA");
  Record record;
  record.ttl = local_ttl;
  const Result<Name> owner = name_in(rest[0].text, zone);
  if (!owner) return bad(owner.error().message);
  if (!owner->at_or_below(zone)) return bad("its owner is not in the zone " + quoted(zone.text()));
  record.owner = *owner;
  rest = rest.subspan(1);
  const std::string& ttl = rest[0].text;
  if (!ttl.empty() && std::all_of(ttl.begin(), ttl.end(), [](char c) { return c >= '0' && c <= '9'; })) {
    const auto [end, error] = std::from_chars(ttl.data(), ttl.data() + ttl.size(), record.ttl);
    if (error != std::errc{} || record.ttl > longest_ttl)
      return bad("the TTL is 0 to " + std::to_string(longest_ttl) + " seconds, here is " + quoted(ttl));
    rest = rest.subspan(1);
  }
  if (!rest.empty() && (rest[0].text == "IN" || rest[0].text == "in")) rest = rest.subspan(1);
  if (rest.empty()) return bad("the type is missing");
  const auto type = rest[0].text.size() <= 32 ? type_from_text(rest[0].text) : std::nullopt;
  if (!type) return bad("unknown type " + quoted(rest[0].text));
  record.type = *type;
  DataReader data(rest.subspan(1), zone);
  if (const Result<void> read = read_data(*type, data); !read) return bad(read.error().message);
  if (data.left() > 0) return bad("there is more than the data: " + quoted(*data.word("what follows")));
  if (data.data.size() > longest_data) return bad("its data has over 4096 octets");
  record.rdata = std::move(data.data);
  return record;
}

}  // namespace postern

// Encoders and their decoders: digits, words, zones, known names, types.
#include "encoders.h"

#include <algorithm>
#include <array>
#include <bit>

namespace postern::encoders {
namespace {

// The splitmix64 step: enough to fill a secret, and the same everywhere.
std::uint64_t mixed(std::uint64_t x) {
  x += 0x9e3779b97f4a7c15;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
  x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
  return x ^ (x >> 31);
}

// As many digits as asked for, most significant first.
std::string in_base(std::uint64_t value, const std::string& alphabet, unsigned count) {
  std::string out(count, alphabet[0]);
  for (unsigned i = count; i-- > 0; value /= alphabet.size()) out[i] = alphabet[value % alphabet.size()];
  return out;
}

bool from_base(std::string_view text, const std::string& alphabet, std::uint64_t& value) {
  value = 0;
  for (const char c : text) {
    const std::size_t digit = alphabet.find(c);
    if (digit == std::string::npos) return false;
    value = value * alphabet.size() + digit;
  }
  return true;
}

// The labels left of the rightmost `keep`, first to last.
std::vector<std::string> labels_before(const Name& name, std::size_t keep) {
  std::vector<std::string> out;
  for (Name rest = name; rest.labels() > keep; rest = rest.parent()) out.emplace_back(rest.first_label());
  return out;
}

Name parsed(const std::string& text) {
  const auto name = Name::parse(text);
  POSTERN_CHECK(name.has_value());  // encoders make names that exist
  return *name;
}

// Digits are coded in groups that a 64-bit number holds: hex exactly, decimal 18 digits for 59 bits.
class Digits final : public Encoder {
 public:
  Digits(std::string title, std::string alphabet, unsigned count, unsigned label_count,
         const std::string& zone)
      : title_(std::move(title)), alphabet_(std::move(alphabet)), zone_(parsed(zone)) {
    for (unsigned label = 0; label < label_count; ++label)
      for (unsigned left = count; left > 0;) {
        const unsigned most = most_digits();
        const unsigned group = std::min(left, most);
        groups_.push_back({label, group, whole_bits(group)});
        left -= group;
      }
  }
  std::string title() const override { return title_; }
  std::vector<unsigned> shape() const override {
    std::vector<unsigned> out;
    for (const Group& group : groups_) out.push_back(group.bits);
    return out;
  }
  Query encode(const Piece& piece) const override {
    std::string text;
    for (std::size_t i = 0; i < groups_.size(); ++i) {
      if (i > 0 && groups_[i].label != groups_[i - 1].label) text += '.';
      text += in_base(piece.groups[i].value, alphabet_, groups_[i].digits);
    }
    return {parsed(text + "." + zone_.text()), type::A};
  }
  Piece decode(const Query& query) const override {
    Piece piece;
    if (!query.name.below(zone_)) return piece;
    const auto labels = labels_before(query.name, zone_.labels());
    std::size_t at = 0;
    for (std::size_t i = 0; i < groups_.size(); ++i) {
      const Group& group = groups_[i];
      if (i == 0 || group.label != groups_[i - 1].label) at = 0;
      std::uint64_t value = 0;
      if (group.label >= labels.size() || at + group.digits > labels[group.label].size() ||
          !from_base(std::string_view(labels[group.label]).substr(at, group.digits), alphabet_, value))
        return {};
      at += group.digits;
      piece.groups.push_back({value, group.bits});
    }
    return piece;
  }

 private:
  struct Group {
    unsigned label, digits, bits;
  };
  // Whole bits that `count` digits hold: the largest b with 2^b <= base^count.
  unsigned whole_bits(unsigned count) const {
    __extension__ using Wide = unsigned __int128;
    Wide power = 1;
    for (unsigned i = 0; i < count; ++i) power *= alphabet_.size();
    unsigned bits = 0;
    while (bits < 64 && Wide{1} << (bits + 1) <= power) ++bits;
    return bits;
  }
  unsigned most_digits() const {
    const auto width = static_cast<unsigned>(std::bit_width(alphabet_.size() - 1));
    return std::max(1u, 63 / width);
  }

  std::string title_, alphabet_;
  Name zone_;
  std::vector<Group> groups_;
};

class Words final : public Encoder {
 public:
  Words(unsigned count, std::string between, const std::string& zone)
      : count_(count), between_(std::move(between)), zone_(parsed(zone)) {}
  std::string title() const override {
    return std::to_string(count_) + (count_ == 1 ? " dictionary word" : " dictionary words") +
           (count_ == 1       ? ""
            : between_ == "." ? ", a label each"
                              : ", one label");
  }
  std::vector<unsigned> shape() const override { return std::vector<unsigned>(count_, 11); }
  Query encode(const Piece& piece) const override {
    std::string text;
    for (unsigned i = 0; i < count_; ++i)
      text += (i == 0 ? "" : between_) + word_list()[piece.groups[i].value];
    return {parsed(text + "." + zone_.text()), type::A};
  }
  Piece decode(const Query& query) const override {
    Piece piece;
    if (!query.name.below(zone_)) return piece;
    std::string text;
    for (const std::string& label : labels_before(query.name, zone_.labels()))
      text += (text.empty() ? "" : ".") + label;
    for (std::size_t from = 0; from <= text.size();) {
      const std::size_t to = std::min(text.find(between_, from), text.size());
      const auto& list = word_list();
      const auto found = std::find(list.begin(), list.end(), text.substr(from, to - from));
      if (found == list.end()) return {};
      piece.groups.push_back({static_cast<std::uint64_t>(found - list.begin()), 11});
      from = to + between_.size();
    }
    if (piece.groups.size() != count_) return {};
    return piece;
  }

 private:
  unsigned count_;
  std::string between_;
  Name zone_;
};

constexpr const char* base32_alphabet = "abcdefghijklmnopqrstuvwxyz234567";

class PrivateSuffixes final : public Encoder {
 public:
  explicit PrivateSuffixes(bool one_parent) : one_parent_(one_parent) {}
  std::string title() const override {
    return one_parent_ ? "a zone each below one private suffix" : "a zone each below eight private suffixes";
  }
  std::vector<unsigned> shape() const override { return {50, one_parent_ ? 0u : 3u}; }
  Query encode(const Piece& piece) const override {
    return {
        parsed(in_base(piece.groups[0].value, base32_alphabet, 10) + "." + suffixes[piece.groups[1].value]),
        type::A};
  }
  Piece decode(const Query& query) const override {
    for (std::size_t i = 0; i < suffixes.size(); ++i) {
      const Name suffix = parsed(suffixes[i]);
      std::uint64_t value = 0;
      if (query.name.below(suffix) && query.name.labels() == suffix.labels() + 1 &&
          from_base(query.name.first_label(), base32_alphabet, value))
        return {{{value, 50}, {i, one_parent_ ? 0u : 3u}}};
    }
    return {};
  }
  Held held() const override { return one_parent_ ? Held::parent : Held::session; }

 private:
  static constexpr std::array<const char*, 8> suffixes{"cloudfront.net", "github.io",    "herokuapp.com",
                                                       "netlify.app",    "blogspot.com", "web.app",
                                                       "vercel.app",     "gitlab.io"};
  bool one_parent_;
};

class ChosenNames final : public Encoder {
 public:
  ChosenNames(std::string title, std::vector<Name> names, Held held)
      : title_(std::move(title)), names_(std::move(names)), held_(held) {
    POSTERN_CHECK(names_.size() >= 64);
    names_.resize(64);
  }
  std::string title() const override { return title_; }
  std::vector<unsigned> shape() const override { return {6}; }
  Query encode(const Piece& piece) const override { return {names_[piece.groups[0].value], type::A}; }
  Piece decode(const Query& query) const override {
    const auto found = std::find(names_.begin(), names_.end(), query.name);
    if (found == names_.end()) return {};
    return {{{static_cast<std::uint64_t>(found - names_.begin()), 6}}};
  }
  Held held() const override { return held_; }

 private:
  std::string title_;
  std::vector<Name> names_;
  Held held_;
};

class Types final : public Encoder {
 public:
  explicit Types(const std::string& zone) : name_(parsed("www." + zone)) {}
  std::string title() const override { return "the type alone, one name"; }
  std::vector<unsigned> shape() const override { return {3}; }
  Query encode(const Piece& piece) const override { return {name_, kinds[piece.groups[0].value]}; }
  Piece decode(const Query& query) const override {
    const auto found = std::find(kinds.begin(), kinds.end(), query.type);
    if (found == kinds.end() || query.name != name_) return {};
    return {{{static_cast<std::uint64_t>(found - kinds.begin()), 3}}};
  }

 private:
  static constexpr std::array<Type, 8> kinds{type::A,  type::AAAA, type::MX,    type::TXT,
                                             type::NS, type::SOA,  type::HTTPS, type::CAA};
  Name name_;
};

// Sixty-four zones in place of one: zN-ZONE.
class Spread final : public Encoder {
 public:
  Spread(Pointer of, const std::string& zone) : of_(std::move(of)), zone_(parsed(zone)) {}
  std::string title() const override { return of_->title() + ", spread over 64 zones"; }
  std::vector<unsigned> shape() const override {
    std::vector<unsigned> out = of_->shape();
    out.push_back(6);
    return out;
  }
  Query encode(const Piece& piece) const override {
    Query query = of_->encode(piece);
    std::string left;
    for (const std::string& label : labels_before(query.name, zone_.labels())) left += label + ".";
    query.name = parsed(left + "z" + std::to_string(piece.groups.back().value) + "-" + zone_.text());
    return query;
  }
  Piece decode(const Query& query) const override {
    const Name zone = query.name.suffix(zone_.labels());
    const std::string text = zone.text();
    const std::size_t dash = text.find('-');
    if (text[0] != 'z' || dash == std::string::npos || text.substr(dash + 1) != zone_.text()) return {};
    std::string left;
    for (const std::string& label : labels_before(query.name, zone_.labels())) left += label + ".";
    Piece piece = of_->decode({parsed(left + zone_.text()), query.type});
    if (!piece.groups.empty()) piece.groups.push_back({std::stoull(text.substr(1, dash - 1)), 6});
    return piece;
  }
  Held held() const override { return Held::session; }

 private:
  Pointer of_;
  Name zone_;
};

}  // namespace

bool Secret::bit(std::size_t at) const {
  return mixed(seed_ * 0x100000001b3 + at / 64) >> (63 - at % 64) & 1;
}

std::uint64_t Secret::bits(std::size_t at, unsigned count) const {
  std::uint64_t value = 0;
  for (unsigned i = 0; i < count; ++i) value = value << 1 | (bit(at + i) ? 1u : 0u);
  return value;
}

const std::vector<std::string>& word_list() {
  static const std::vector<std::string> list = [] {
    const std::string consonants = "bdfgklmnprstvz", vowels = "aeiou";
    std::vector<std::string> out;
    std::uint64_t state = 7;
    const auto draw = [&](std::size_t below) {
      return static_cast<std::size_t>((state = mixed(state)) % below);
    };
    while (out.size() < 2048) {
      std::string word;
      for (std::size_t i = 0, syllables = 2 + draw(2); i < syllables; ++i) {
        word += consonants[draw(consonants.size())];
        word += vowels[draw(vowels.size())];
      }
      if (std::find(out.begin(), out.end(), word) == out.end()) out.push_back(word);
    }
    return out;
  }();
  return list;
}

Pointer digits(const std::string& title, const std::string& alphabet, unsigned count, unsigned labels,
               const std::string& zone) {
  return std::make_shared<Digits>(title, alphabet, count, labels, zone);
}
Pointer words(unsigned count, const std::string& between, const std::string& zone) {
  return std::make_shared<Words>(count, between, zone);
}
Pointer private_suffixes(bool one_parent) {
  return std::make_shared<PrivateSuffixes>(one_parent);
}
Pointer chosen_names(const std::string& title, std::vector<Name> names, Encoder::Held held) {
  return std::make_shared<ChosenNames>(title, std::move(names), held);
}
Pointer types(const std::string& zone) {
  return std::make_shared<Types>(zone);
}
Pointer spread(Pointer of, const std::string& zone) {
  return std::make_shared<Spread>(std::move(of), zone);
}

std::vector<Pointer> all(const std::vector<Name>& known) {
  const std::string hex = "0123456789abcdef", decimal = "0123456789",
                    base36 = "abcdefghijklmnopqrstuvwxyz0123456789";
  const std::string zone = "example.com";
  std::vector<Name> own;
  for (int i = 0; i < 64; ++i) own.push_back(parsed("n" + std::to_string(i) + "." + zone));
  return {digits("hex, 32 digits", hex, 32, 1, zone),
          digits("hex, 8 digits", hex, 8, 1, zone),
          digits("base32, 50 characters", base32_alphabet, 50, 1, zone),
          digits("base32, 8 characters", base32_alphabet, 8, 1, zone),
          digits("base36, 24 characters", base36, 24, 1, zone),
          digits("decimal, 36 digits", decimal, 36, 1, zone),
          digits("decimal, 9 digits", decimal, 9, 1, zone),
          words(1, "-", zone),
          words(4, "-", zone),
          words(5, ".", zone),
          digits("two-character labels, 10 of them", base36, 2, 10, zone),
          digits("a two-character label", base36, 2, 1, zone),
          digits("a one-character label", base36, 1, 1, zone),
          private_suffixes(true),
          private_suffixes(false),
          chosen_names("repeat only, 64 known names", known, Encoder::Held::session),
          chosen_names("repeat only, 64 names of one zone", own, Encoder::Held::zone),
          types(zone),
          spread(digits("hex, 30 digits", hex, 30, 1, zone), zone),
          spread(digits("base32, 8 characters", base32_alphabet, 8, 1, zone), zone),
          spread(words(2, "-", zone), zone)};
}

Query Sender::next() {
  Piece piece;
  last_ = at_;
  for (const unsigned bits : encoder_->shape()) {
    piece.groups.push_back({secret_.bits(at_, bits), bits});
    at_ += bits;
  }
  return encoder_->encode(piece);
}

void Sender::arrived(const Query& forwarded) {
  const Piece piece = encoder_->decode(forwarded);
  std::size_t at = last_;
  for (const Piece::Group& group : piece.groups) {
    if (group.value != secret_.bits(at, group.bits)) {
      ++wrong_;
      return;
    }
    at += group.bits;
  }
  if (at != at_) ++wrong_;
  decoded_ += at - last_;
}

}  // namespace postern::encoders

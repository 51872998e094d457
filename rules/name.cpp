// Name: parsing, printing and walking of domain names.
#include "rules/name.h"

#include <sys/random.h>

#include <bit>

namespace postern {
namespace {

std::uint64_t draw_key() noexcept {
  std::uint64_t key = 0;
  if (getrandom(&key, sizeof key, 0) != sizeof key)
    key = 0x9e3779b97f4a7c15;  // only before the pool is ready
  return key | 1;
}

std::uint64_t mix(std::uint64_t a, std::uint64_t b) noexcept {
  __extension__ using Wide = unsigned __int128;
  const Wide product = static_cast<Wide>(a) * b;
  return static_cast<std::uint64_t>(product) ^ static_cast<std::uint64_t>(product >> 64);
}

// Eight octets at once. Each function takes octets below 128 and answers with bit 7 of each octet.
constexpr std::uint64_t each_octet(unsigned octet) noexcept {
  return octet * 0x0101010101010101u;
}
constexpr std::uint64_t between(std::uint64_t octets, char first, char last) noexcept {
  return (octets + each_octet(0x80u - static_cast<unsigned char>(first))) &
         ~(octets + each_octet(0x7fu - static_cast<unsigned char>(last))) & each_octet(0x80);
}
// Those bits, gathered: bit i for the octet at i.
constexpr std::uint64_t gathered(std::uint64_t bits) noexcept {
  return ((bits >> 7) * 0x0102040810204080u) >> 56;
}

}  // namespace

std::size_t hash_octets(const std::uint8_t* octets, std::size_t size) noexcept {
  static const std::uint64_t key = draw_key();
  std::uint64_t state = key ^ size;
  std::size_t at = 0;
  for (; at + 8 <= size; at += 8) {
    std::uint64_t word;
    std::memcpy(&word, octets + at, 8);
    state = mix(state ^ word, key ^ 0xa0761d6478bd642f);
  }
  std::uint64_t word = 0;
  std::memcpy(&word, octets + at, size - at);
  return mix(state ^ word, key ^ 0xe7037ed1a0b428db);
}

Result<Name> Name::parse(std::string_view text) {
  const auto bad = [&](const char* why) {
    constexpr std::size_t shown = 300;  // an error message is read by people
    return failure("cannot read domain name \"" + std::string(text.substr(0, shown)) + "\": " + why);
  };
  if (text.empty()) return bad("it is empty");
  Name name;
  if (text == ".") return name;
  std::size_t length_at = 0;  // where the current label's length octet stands
  std::size_t end = 1;        // one past the last octet written
  const auto close_label = [&]() -> const char* {
    const std::size_t length = end - length_at - 1;
    if (length == 0) return "a label is empty";
    if (length > max_label) return "a label is longer than 63 octets";
    name.octets_[length_at] = static_cast<std::uint8_t>(length);
    return nullptr;
  };
  for (std::size_t i = 0; i < text.size(); ++i) {
    std::uint8_t octet = static_cast<std::uint8_t>(text[i]);
    if (octet == '.') {
      if (const char* why = close_label()) return bad(why);
      if (i + 1 == text.size()) {  // the final dot
        length_at = end;
        break;
      }
      length_at = end;
      if (++end >= max_octets) return bad("it is longer than 255 octets");
      continue;
    }
    if (octet == '\\') {
      const auto digit = [&](std::size_t at) {
        return at < text.size() && text[at] >= '0' && text[at] <= '9';
      };
      if (digit(i + 1)) {
        if (!digit(i + 2) || !digit(i + 3)) return bad("an escape needs three digits");
        const int value = (text[i + 1] - '0') * 100 + (text[i + 2] - '0') * 10 + (text[i + 3] - '0');
        if (value > 255) return bad("an escape is over 255");
        octet = static_cast<std::uint8_t>(value);
        i += 3;
      } else if (i + 1 < text.size()) {
        octet = static_cast<std::uint8_t>(text[++i]);
      } else {
        return bad("it ends in a backslash");
      }
    }
    if (end >= max_octets - 1) return bad("it is longer than 255 octets");
    name.octets_[end++] = fold(octet);
  }
  if (length_at != end) {
    if (const char* why = close_label()) return bad(why);
  }
  if (end >= max_octets) return bad("it is longer than 255 octets");
  name.octets_[end] = 0;
  name.size_ = static_cast<std::uint8_t>(end + 1);
  return name;
}

bool Name::assign_wire(std::span<const std::uint8_t> wire) noexcept {
  std::size_t at = 0;
  for (;;) {
    if (at >= wire.size()) return false;
    const std::size_t length = wire[at];
    if (length > max_label) return false;  // compression pointers and reserved types
    if (at + 1 + length >= max_octets + (length == 0 ? 1 : 0)) return false;
    if (length == 0) break;
    at += 1 + length;
  }
  size_ = static_cast<std::uint8_t>(at + 1);
  for (std::size_t i = 0; i <= at; ++i) octets_[i] = fold(wire[i]);  // lengths are below 'A'
  return true;
}

bool Name::assign_host(std::string_view text) noexcept {
  static_assert(std::endian::native == std::endian::little);  // the first octet is the lowest
  constexpr std::size_t step = 8;
  static_assert(1 + (longest_host_text + step - 1) / step * step <= max_octets);
  const auto refuse = [this] {
    size_ = 1;
    octets_[0] = 0;
    return false;
  };
  const std::size_t size = text.size();
  if (size - 1 >= longest_host_text) return refuse();  // also an empty one
  std::array<std::uint64_t, (longest_host_text + 63) / 64> dots;
  dots[0] = 0;
  std::uint64_t odd = 0;
  for (std::size_t at = 0; at < size; at += step) {
    // What stands after the end are letters.
    std::uint64_t octets = each_octet('a');
    if (at + step <= size) {
      std::memcpy(&octets, text.data() + at, step);
    } else if (size >= step) {
      std::uint64_t last;
      std::memcpy(&last, text.data() + size - step, step);
      const std::size_t missing = 8 * (at + step - size);
      octets = last >> missing | octets << (64 - missing);
    } else {
      std::memcpy(&octets, text.data(), size);
    }
    odd |= octets & each_octet(0x80);
    octets &= each_octet(0x7f);
    octets |= between(octets, 'A', 'Z') >> 2;  // RFC 4343
    const std::uint64_t dot = between(octets, '.', '.');
    odd |= each_octet(0x80) & ~(between(octets, 'a', 'z') | between(octets, '0', '9') | dot |
                                between(octets, '-', '-') | between(octets, '_', '_'));
    std::memcpy(octets_.data() + 1 + at, &octets, step);
    if (at % 64 == 0) dots[at / 64] = 0;
    dots[at / 64] |= gathered(dot) << at % 64;
  }
  if (odd != 0) return refuse();
  std::size_t begin = 0;  // of the label, in the text; its length octet stands there in the wire form
  for (std::size_t word = 0; word * 64 < size; ++word) {
    for (std::uint64_t left = dots[word]; left != 0; left &= left - 1) {
      const std::size_t dot = word * 64 + static_cast<std::size_t>(std::countr_zero(left));
      if (dot - begin - 1 >= max_label) return refuse();
      octets_[begin] = static_cast<std::uint8_t>(dot - begin);
      begin = dot + 1;
    }
  }
  if (size - begin - 1 >= max_label) return refuse();
  octets_[begin] = static_cast<std::uint8_t>(size - begin);
  octets_[size + 1] = 0;
  size_ = static_cast<std::uint8_t>(size + 2);
  return true;
}

std::optional<Name> Name::from_wire(std::span<const std::uint8_t> wire) noexcept {
  std::optional<Name> name(std::in_place);
  if (!name->assign_wire(wire)) name.reset();
  return name;
}

std::size_t Name::labels() const noexcept {
  std::size_t count = 0;
  for (std::size_t at = 0; octets_[at] != 0; at += octets_[at] + 1u) ++count;
  return count;
}

Name Name::tail(std::size_t offset) const noexcept {
  Name name;
  name.size_ = static_cast<std::uint8_t>(size_ - offset);
  std::memcpy(name.octets_.data(), octets_.data() + offset, name.size_);
  return name;
}

Name Name::suffix(std::size_t count) const noexcept {
  const std::size_t have = labels();
  std::size_t at = 0;
  for (std::size_t skip = have > count ? have - count : 0; skip > 0; --skip) at += octets_[at] + 1u;
  return tail(at);
}

bool Name::at_or_below(const Name& ancestor) const noexcept {
  if (size_ < ancestor.size_) return false;
  const std::size_t offset = size_ - ancestor.size_;
  if (std::memcmp(octets_.data() + offset, ancestor.octets_.data(), ancestor.size_) != 0) return false;
  std::size_t at = 0;  // equal octets may still begin inside a label
  while (at < offset) at += octets_[at] + 1u;
  return at == offset;
}

char* write_decimal_escape(char* out, std::uint8_t octet) noexcept {
  *out++ = '\\';
  *out++ = static_cast<char>('0' + octet / 100);
  *out++ = static_cast<char>('0' + octet / 10 % 10);
  *out++ = static_cast<char>('0' + octet % 10);
  return out;
}

char* write_octet(char* out, std::uint8_t octet) noexcept {
  if (octet <= 0x20 || octet >= 0x7f) return write_decimal_escape(out, octet);
  if (octet == '.' || octet == '\\' || octet == '"') *out++ = '\\';
  *out++ = static_cast<char>(octet);
  return out;
}

std::string Name::text() const {
  if (is_root()) return ".";
  std::string out;
  out.reserve(size_);
  for (std::size_t at = 0; octets_[at] != 0; at += octets_[at] + 1u) {
    if (at != 0) out += '.';
    for (std::size_t i = at + 1; i <= at + octets_[at]; ++i) {
      char spelled[4];
      out.append(spelled, write_octet(spelled, octets_[i]));
    }
  }
  return out;
}

}  // namespace postern

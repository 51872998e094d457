// What list.cpp, its builder and its image share: the kinds of entries, the order of addresses, details as
// octets.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <tuple>

#include "rules/list_entry.h"
#include "rules/name_set.h"

namespace postern {

// The 6 bits that a list keeps of an entry in its NameSet.
namespace list_kind {
inline constexpr NameSet::Kind action_bits = 7, important = 8, has_detail = 16;
// No entry of the file: something strictly below this name is allowed, or has records (ListAction::local
// stands beside it then).
inline constexpr NameSet::Kind beneath = 32;

constexpr NameSet::Kind of(ListAction action) noexcept {
  return static_cast<NameSet::Kind>(action);
}
// An image may hold bits that no builder writes: those block.
constexpr ListAction action_of(NameSet::Kind kind) noexcept {
  const unsigned value = kind & action_bits;
  return value <= static_cast<unsigned>(ListAction::local) ? static_cast<ListAction>(value)
                                                           : ListAction::block;
}
}  // namespace list_kind

// IPv4 before IPv6, then by number.
constexpr auto address_order(const Address& address) noexcept {
  return std::tuple(address.v6, address.high, address.low);
}

// Numbers, names and texts as octets, low octet first; and back, never past the end.
class OctetWriter {
 public:
  explicit OctetWriter(std::string& out) : out_(out) {}
  void number(std::uint64_t value, std::size_t octets) {
    for (; octets > 0; --octets, value >>= 8) out_ += static_cast<char>(value & 0xff);
  }
  void octets(std::span<const std::uint8_t> some) {
    out_.append(reinterpret_cast<const char*>(some.data()), some.size());
  }
  void name(const Name& name) { octets(name.wire()); }
  void text(std::string_view text) {
    number(text.size(), 4);
    out_ += text;
  }

 private:
  std::string& out_;
};

class OctetReader {
 public:
  explicit OctetReader(std::span<const std::uint8_t> in) : in_(in) {}
  bool good() const noexcept {
    return good_;
  }  // false: something was cut off; what was read since is 0 or empty
  bool at_end() const noexcept { return in_.empty(); }
  std::uint64_t number(std::size_t octets);
  // A count of things that take at least `octets_each`; more than there is room for is not good.
  std::size_t count(std::size_t octets_each);
  std::span<const std::uint8_t> octets(std::size_t size);
  Name name();
  std::string text();

 private:
  std::span<const std::uint8_t> in_;
  bool good_ = true;
};

void write_detail(OctetWriter& out, const ListDetail& detail);
ListDetail read_detail(OctetReader& in);

}  // namespace postern

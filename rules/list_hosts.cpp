// Hosts files: an address and the names that have it; 0.0.0.0 and the like block.
#include "rules/list_reading.h"
#include "rules/special.h"

namespace postern {
namespace {

// The addresses that lead nowhere but to the asking machine: every hosts list blocks with one of them.
bool address_blocks(const Address& address) {
  if (address.v6) return address.high == 0 && address.low <= 1;  // :: and ::1
  return address.low == 0 || address.low == 0x7f000001;
}

}  // namespace

std::optional<Address> HostsLines::address(std::string_view word) noexcept {
  if (word == "0") return Address{};
  // A zone index ("fe80::1%lo0") says which interface, not which address.
  const std::size_t percent = word.find('%');
  if (percent != std::string_view::npos) {
    const std::optional<Address> address = Address::parse(word.substr(0, percent));
    return address && address->v6 ? address : std::nullopt;
  }
  return Address::parse(word);
}

void HostsLines::read_name(std::string_view word) {
  ListEntry& draft = reading_.draft();
  if (const std::optional<Skip> skip = read_list_name(word, draft.name)) return reading_.skip(*skip);
  if (is_machine_name(draft.name)) return reading_.skip(Skip::machine_name);
  draft.important = false;
  draft.scope = Pattern::Scope::exact;
  if (blocks_) {
    draft.action = ListAction::block;
    reading_.widen();
    return reading_.emit();
  }
  const std::array<std::uint8_t, 16> octets = address_.octets();
  Record record{Name{}, address_.v6 ? type::AAAA : type::A, local_ttl, {}};
  record.rdata.assign(octets.begin(), octets.begin() + (address_.v6 ? 16 : 4));
  reading_.add_local(reading_.number(), reading_.line(), std::move(record));
}

void HostsLines::read(std::string_view line) {
  line = trimmed(line.substr(0, line.find('#')));  // hosts(5): anywhere
  const std::string_view word = take_word(line);
  if (word != last_ || last_.empty()) {
    const std::optional<Address> address = HostsLines::address(word);
    if (!address) return reading_.skip(Skip::no_address);
    last_ = word;
    address_ = *address;
    blocks_ = address_blocks(address_);
  }
  if (line.empty()) return reading_.skip(Skip::no_name);
  while (!line.empty()) read_name(take_word(line));
}

void read_hosts(ListReading& reading) {
  HostsLines lines(reading);
  while (reading.next()) {
    const std::string_view line = trimmed(reading.line());
    if (line.empty() || line[0] == '#' || line[0] == '!' || line[0] == ';') {
      reading.blank();
    } else {
      lines.read(line);
    }
  }
}

}  // namespace postern

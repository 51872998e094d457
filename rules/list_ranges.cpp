// The addresses and the details of a list, made ready to be asked.
#include <algorithm>
#include <optional>

#include "rules/list.h"
#include "rules/list_parts.h"

namespace postern {
namespace {

// The address after the range's last one; for IPv4 that may be 2^32. Nothing after the last IPv6 address.
std::optional<Address> address_after(const AddressRange& range) noexcept {
  Address next = range.base;
  const unsigned spare = (range.base.v6 ? 128u : 32u) - range.length;
  if (spare >= 128) return std::nullopt;
  const std::uint64_t step = std::uint64_t{1} << spare % 64;
  bool carry = true;
  if (spare < 64) carry = (next.low += step) < step;
  if (carry) next.high += spare < 64 ? 1 : step;
  if (carry && next.high == 0) return std::nullopt;
  return next;
}

// Bits outside of the prefix count for nothing.
AddressRange without_spare_bits(AddressRange range) noexcept {
  const unsigned width = range.base.v6 ? 128 : 32;
  range.length = static_cast<std::uint8_t>(std::min<unsigned>(range.length, width));
  const unsigned spare = width - range.length;
  if (!range.base.v6) range.base.low &= 0xffffffff;
  if (!range.base.v6) range.base.high = 0;
  range.base.low = spare >= 64 ? 0 : range.base.low >> spare << spare;
  if (spare > 64) range.base.high = spare >= 128 ? 0 : range.base.high >> (spare - 64) << (spare - 64);
  return range;
}

}  // namespace

void List::prepare(std::vector<ListDetail> details) {
  details_.reserve(details.size());
  for (ListDetail& written : details) {
    Detail detail;
    const std::vector<Record>& records = written.local.answer;
    const bool alias = std::any_of(records.begin(), records.end(),
                                   [](const Record& record) { return record.type == type::CNAME; });
    for (const Record& record : records) {
      if (alias && record.type != type::CNAME) continue;  // RFC 1034 section 3.6.2: an alias has nothing else
      auto answer = std::find_if(detail.answers.begin(), detail.answers.end(),
                                 [&](const auto& one) { return one.first == record.type; });
      if (answer == detail.answers.end()) {
        Answer of_this_type{written.local.rcode, {}, written.local.authority};
        answer = detail.answers.emplace(answer, record.type, std::move(of_this_type));
      } else if (alias) {
        continue;  // nor is it two
      }
      answer->second.answer.push_back(record);
    }
    detail.written = std::move(written);
    details_.push_back(std::move(detail));
  }

  // Longer ranges lie inside shorter ones: with each, the addresses up to its end are its own.
  for (ListRange& range : ranges_) range.range = without_spare_bits(range.range);
  const auto strength = [](ListAction action) {  // a tie blocks
    return action == ListAction::allow ? 2 : action == ListAction::local ? 1 : 0;
  };
  std::stable_sort(ranges_.begin(), ranges_.end(), [&](const ListRange& a, const ListRange& b) {
    return std::tuple(address_order(a.range.base), a.range.length, strength(a.action)) <
           std::tuple(address_order(b.range.base), b.range.length, strength(b.action));
  });
  constexpr std::uint32_t none = 0xffffffff;
  std::vector<std::uint32_t> open;  // ranges around the current address, the longest last
  const auto begin_segment = [&](const Address& from, std::uint32_t range) {
    if (!segments_.empty() && segments_.back().from == from)
      segments_.back().range = range;
    else
      segments_.push_back({from, range});
  };
  const auto close_until = [&](const Address* at) {  // null: the end of all addresses
    while (!open.empty()) {
      const AddressRange& inner = ranges_[open.back()].range;
      if (at != nullptr && inner.holds(*at)) break;
      open.pop_back();
      if (const std::optional<Address> next = address_after(inner))
        begin_segment(*next, open.empty() ? none : open.back());
    }
  };
  for (std::uint32_t i = 0; i < ranges_.size(); ++i) {
    const AddressRange& range = ranges_[i].range;
    if (i != 0 && ranges_[i - 1].range.base == range.base && ranges_[i - 1].range.length == range.length)
      continue;
    close_until(&range.base);
    begin_segment(range.base, i);
    open.push_back(i);
  }
  close_until(nullptr);
  segments_.shrink_to_fit();
}

}  // namespace postern

// Fuzz target: images of lists. Whatever the octets, also under a checksum that fits them, there is an error
// or a list that can be asked; and what was read is written and read again the same.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>

#include "rules/list.h"
#include "rules/list_image.h"

namespace {

using namespace postern;

SharedOctets exact_copy(const std::uint8_t* data, std::size_t size) {
  auto* const copy = new std::uint8_t[size];  // of this size: a read past it is seen
  if (size != 0) std::memcpy(copy, data, size);
  return {std::shared_ptr<const std::uint8_t[]>(copy), size};
}

// What its lines say, added up so that their order does not matter.
std::uint64_t sum_of_lines(const List& list) {
  std::uint64_t sum = 0;
  list.each_line([&](const List::Line& line) {
    const auto again = Name::from_wire(line.name.wire());
    if (!again || !(*again == line.name)) std::abort();
    std::uint64_t one = line.number * 64 + static_cast<std::uint64_t>(line.scope) * 8 +
                        static_cast<std::uint64_t>(line.action);
    for (const std::uint8_t octet : line.name.wire()) one = one * 31 + octet;
    if (line.detail != nullptr) one += 1 + line.detail->types.size() + line.detail->local.answer.size();
    sum += one;
  });
  return sum;
}

struct Asked {
  ListFinding finding;
  bool range = false;
};

Asked ask(const List& list, const Query& query, const Address& address) {
  return {list.judge(query), list.range_for(address) != nullptr};
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  (void)ListImage::read_header({data, size});
  (void)ListImage::read(exact_copy(data, size));  // nearly always a wrong checksum

  std::vector<std::uint8_t> sealed(data, data + size);
  ListImage::seal(sealed);
  const auto list = ListImage::read(exact_copy(sealed.data(), sealed.size()));
  if (!list) return 0;
  const auto again = ListImage::read([&] {
    const std::vector<std::uint8_t> image = ListImage::write(**list, {});
    return exact_copy(image.data(), image.size());
  }());
  if (!again) std::abort();
  if (sum_of_lines(**list) != sum_of_lines(**again)) std::abort();
  Query query;
  for (std::size_t at = 0; at < size && at < 4096;
       at += 1 + at / 16) {  // names and addresses that the image holds
    if (const auto name = Name::from_wire({data + at, size - at})) query.name = *name;
    query.type = static_cast<Type>(at % 70);
    Address address{at % 2 == 0, 0, 0};
    if (at + 16 <= size) {
      std::memcpy(&address.high, data + at, 8);
      std::memcpy(&address.low, data + at + 8, 8);
    }
    if (!address.v6) address.high = 0, address.low &= 0xffffffff;
    const Asked one = ask(**list, query, address), other = ask(**again, query, address);
    if (one.finding.spoke != other.finding.spoke || one.finding.action != other.finding.action ||
        one.finding.line != other.finding.line || one.range != other.range)
      std::abort();
    if ((one.finding.local != nullptr) != (one.finding.spoke && one.finding.action == ListAction::local))
      std::abort();
  }
  return 0;
}

// Images of lists: writing them, and reading octets that may be anything.
#include "rules/list_image.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstring>

#include "rules/list_parts.h"
#include "rules/list_text.h"
#include "rules/public_suffix.h"

namespace postern {
namespace {

constexpr std::array<char, 8> image_magic{'P', 'o', 's', 't', 'L', 'i', 's', 't'};
constexpr std::uint32_t image_version =
    4;  // one more with every change of the format, also of NameSet's block
constexpr std::uint32_t byte_order = 0x01020304;

// The first octets. What the checksum covers begins after it.
struct Head {
  std::array<char, 8> magic = image_magic;
  std::uint32_t order = byte_order, version = image_version;
  ChecksumKey key{};
  Checksum sum{};
  std::uint64_t octets = 0;
  std::uint64_t set_octets = 0;  // of the NameSet's block, which follows the head; then everything else
  SourceStamp source;
  Digest source_digest{}, recipe{};
  std::int64_t made_ns = 0;
};
constexpr std::size_t covered_from = offsetof(Head, octets);
static_assert(sizeof(Head) % 8 == 0);  // the block's alignment

tl::unexpected<Error> image_failure(const std::string& why) {
  return failure("cannot read the image of a list: " + why);
}

Result<Head> read_head(std::span<const std::uint8_t> octets) {
  Head head;
  if (octets.size() < sizeof head)
    return image_failure("it has " + std::to_string(octets.size()) + " octets");
  std::memcpy(&head, octets.data(), sizeof head);
  if (head.magic != image_magic) return image_failure("it does not begin like one");
  if (head.order != byte_order || head.version != image_version)
    return image_failure("it is of version " + std::to_string(head.version) + ", this program writes " +
                         std::to_string(image_version));
  return head;
}

void write_address(OctetWriter& out, const Address& address) {
  out.number(address.v6 ? 1 : 0, 1);
  out.number(address.high, 8);
  out.number(address.low, 8);
}

Address read_address(OctetReader& in) {
  Address address;
  address.v6 = in.number(1) != 0;
  address.high = in.number(8);
  address.low = in.number(8);
  return address;
}

void write_report(OctetWriter& out, const ListReport& report) {
  out.number(static_cast<std::uint64_t>(report.format), 1);
  for (const std::uint64_t count : {report.lines, report.blank, report.entries, report.ranges})
    out.number(count, 8);
  out.number(report.skipped.size(), 4);
  for (const SkippedLines& skipped : report.skipped) {
    out.text(skipped.cause);
    out.number(skipped.lines, 8);
    out.number(skipped.first.size(), 4);
    for (const std::string& line : skipped.first) out.text(line);
  }
}

ListReport read_report(OctetReader& in) {
  ListReport report;
  report.format = static_cast<ListFormat>(in.number(1) & 3);
  for (std::uint64_t* const count : {&report.lines, &report.blank, &report.entries, &report.ranges})
    *count = in.number(8);
  constexpr std::size_t least_octets = 4 + 8 + 4;  // of a cause
  report.skipped.resize(in.count(least_octets));
  for (SkippedLines& skipped : report.skipped) {
    skipped.cause = in.text();
    skipped.lines = in.number(8);
    skipped.first.resize(in.count(4));
    for (std::string& line : skipped.first) line = in.text();
  }
  return report;
}

}  // namespace

Digest recipe_of(const ListOptions& options, ListMeaning meaning) {
  std::string text = POSTERN_VERSION;
  // One more whenever the same file becomes another list.
  constexpr std::uint64_t reading_revision = 2;
  OctetWriter out(text);
  out.number(reading_revision, 4);
  out.text(options.file);
  out.number(options.format ? static_cast<std::uint64_t>(*options.format) + 1 : 0, 1);
  out.number(static_cast<std::uint64_t>(meaning), 1);
  out.number(options.subdomains ? 1 : 0, 1);
  out.number(options.allow_public_suffix ? 1 : 0, 1);
  out.number(options.most_octets, 8);
  out.number(options.most_line_octets, 8);
  out.number(options.most_entries, 8);
  out.number(options.most_local_records, 8);
  out.text(PublicSuffixes::version());
  return sha256({reinterpret_cast<const std::uint8_t*>(text.data()), text.size()});
}

void ListImage::seal(std::span<std::uint8_t> image) {
  if (image.size() < sizeof(Head)) return;
  ChecksumKey key;
  std::memcpy(&key, image.data() + offsetof(Head, key), sizeof key);
  const Checksum sum = checksum(key, image.subspan(covered_from));
  std::memcpy(image.data() + offsetof(Head, sum), &sum, sizeof sum);
}

std::vector<std::uint8_t> ListImage::write(const List& list, ImageHeader header) {
  std::string rest;
  OctetWriter out(rest);
  write_report(out, list.report_);
  out.number(list.details_.size(), 4);
  for (const List::Detail& detail : list.details_) write_detail(out, detail.written);
  out.number(list.extras_.size(), 4);
  for (const auto& [index, place] : list.extras_) {
    out.number(index, 4);
    out.number(place, 4);
  }
  out.number(list.ranges_.size(), 4);
  for (const ListRange& range : list.ranges_) {
    write_address(out, range.range.base);
    out.number(range.range.length, 1);
    out.number(static_cast<std::uint64_t>(range.action), 1);
    out.number(range.line, 4);
    out.number(range.detail, 4);
  }

  const std::span<const std::uint8_t> block = list.names_.block();
  Head head;
  head.key = draw_checksum_key();
  head.octets = sizeof head + block.size() + rest.size();
  head.set_octets = block.size();
  head.source = header.source;
  head.source_digest = header.source_digest;
  head.recipe = header.recipe;
  head.made_ns = header.made_ns;
  std::vector<std::uint8_t> image(head.octets);
  std::memcpy(image.data(), &head, sizeof head);
  std::copy(block.begin(), block.end(), image.begin() + sizeof head);
  std::copy(rest.begin(), rest.end(), image.end() - static_cast<std::ptrdiff_t>(rest.size()));
  seal(image);
  return image;
}

Result<ImageHeader> ListImage::read_header(std::span<const std::uint8_t> octets) {
  const Result<Head> head = read_head(octets);
  if (!head) return tl::unexpected(head.error());
  return ImageHeader{head->source, head->source_digest, head->recipe, head->made_ns, head->octets};
}

Result<std::shared_ptr<const List>> ListImage::read(SharedOctets octets) {
  const std::span<const std::uint8_t> all = octets.all();
  const Result<Head> head = read_head(all);
  if (!head) return tl::unexpected(head.error());
  if (head->octets != all.size())
    return image_failure("it has " + std::to_string(all.size()) + " octets of " +
                         std::to_string(head->octets));
  if (checksum(head->key, all.subspan(covered_from)) != head->sum)
    return image_failure("its checksum is wrong");
  if (head->set_octets > all.size() - sizeof(Head)) return image_failure("its parts are larger than it is");

  const std::shared_ptr<List> list(new List);
  if (head->set_octets != 0) {
    Result<NameSet> set = NameSet::from_block(octets.data, all.subspan(sizeof(Head), head->set_octets));
    if (!set) return tl::unexpected(set.error());
    list->names_ = std::move(*set);
  }
  OctetReader in(all.subspan(sizeof(Head) + head->set_octets));
  list->report_ = read_report(in);
  std::vector<ListDetail> details;
  for (std::size_t left = in.count(1); left > 0 && in.good(); --left) details.push_back(read_detail(in));
  constexpr std::size_t extra_octets = 8, range_octets = 17 + 1 + 1 + 4 + 4;
  list->extras_.resize(in.count(extra_octets));
  for (auto& [index, place] : list->extras_) {
    index = static_cast<std::uint32_t>(in.number(4));
    place = static_cast<std::uint32_t>(in.number(4));
    if (place < 1 || place > details.size()) return image_failure("an entry's detail is not there");
  }
  for (std::size_t i = 1; i < list->extras_.size(); ++i)
    if (list->extras_[i].first <= list->extras_[i - 1].first)
      return image_failure("details are out of order");
  list->ranges_.resize(in.count(range_octets));
  for (ListRange& range : list->ranges_) {
    range.range.base = read_address(in);
    range.range.length = static_cast<std::uint8_t>(in.number(1));
    range.action = list_kind::action_of(static_cast<NameSet::Kind>(in.number(1)));
    range.line = static_cast<std::uint32_t>(in.number(4));
    range.detail = static_cast<std::uint32_t>(in.number(4));
    if (range.detail > details.size()) return image_failure("a range's records are not there");
  }
  if (!in.good() || !in.at_end()) return image_failure("what is beside the names is cut off");
  list->prepare(std::move(details));
  return list;
}

}  // namespace postern

// The image of a list: what a list compiles to, for a cache file, so that a start need not read a million
// names again.
//
// An image is a head of fixed size, the list's NameSet as it stands in memory, and the little that is beside
// it. It is in the byte order and layout of the machine that wrote it; another machine's or version's is
// refused, not converted. Loading is a checksum over all octets and a look at every offset; the set then
// lives in the octets that were read.
//
// An image says which source it was made of: the file's size, its times, where it is and what it held, and
// with which options (`recipe`). Who may write an image decides what the list says: whether a file's owner is
// trusted is the caller's question (resolver/control/list_file.h). Here: octets of whatever origin give a
// list or an error, never a read outside of them.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "rules/digest.h"
#include "rules/list.h"

namespace postern {

// A file at one moment. Times are nanoseconds since 1970.
struct SourceStamp {
  std::uint64_t size = 0;
  std::int64_t mtime_ns = 0;  // whoever owns the file may set it
  std::int64_t ctime_ns = 0;  // set by the kernel at every change
  std::uint64_t device = 0, inode = 0;
  friend bool operator==(const SourceStamp&, const SourceStamp&) = default;
};

struct ImageHeader {
  SourceStamp source;
  Digest source_digest{};    // SHA-256 of the file's octets
  Digest recipe{};           // recipe_of
  std::int64_t made_ns = 0;  // when the source was read
  std::uint64_t octets = 0;  // of the image

  bool matches(std::uint64_t source_size, std::int64_t mtime_ns) const noexcept {
    return source.size == source_size && source.mtime_ns == mtime_ns;
  }
};

// What, besides the file, an image depends on: the options, the public suffixes, this program's version.
Digest recipe_of(const ListOptions& options, ListMeaning meaning = ListMeaning::as_written);

class ListImage {
 public:
  // `header.octets` is filled in.
  static std::vector<std::uint8_t> write(const List& list, ImageHeader header);
  // The head alone, of an image or of what begins like one. Errors: too short, not an image, of another
  // version or byte order.
  static Result<ImageHeader> read_header(std::span<const std::uint8_t> octets);
  // Errors: those of read_header, a wrong size, a wrong checksum, and whatever does not fit together.
  static Result<std::shared_ptr<const List>> read(SharedOctets octets);
  // Makes the checksum fit what the image holds. Part of `write`; tests damage images with it.
  static void seal(std::span<std::uint8_t> image);
};

}  // namespace postern

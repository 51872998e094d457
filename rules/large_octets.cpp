// Memory for blocks of megabytes: asking the system for large pages.
#include "rules/large_octets.h"

#include <sys/mman.h>

#include <new>

namespace postern {
namespace {

constexpr std::size_t small_page = 4096, large_page = std::size_t{2} << 20;
// Below, the heap's memory: what alignment takes would be a large part of it.
constexpr std::size_t least_octets = 2 * large_page;

constexpr std::size_t rounded_up(std::size_t size, std::size_t step) noexcept {
  return (size + step - 1) / step * step;
}

}  // namespace

std::shared_ptr<std::uint8_t[]> large_octets(std::size_t size) {
  if (size < least_octets) return std::shared_ptr<std::uint8_t[]>(new std::uint8_t[size]);
  const std::size_t octets = rounded_up(size, large_page), reserved = octets + large_page;
  void* const memory =
      ::mmap(nullptr, reserved, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) throw std::bad_alloc();
  auto* const first = static_cast<std::uint8_t*>(memory);
  const auto address = reinterpret_cast<std::uintptr_t>(first);
  const std::size_t before = rounded_up(address, large_page) - address;
  std::uint8_t* const begin = first + before;
  if (before != 0) ::munmap(first, before);
  if (before != large_page) ::munmap(begin + octets, large_page - before);
  // Only a wish: an old kernel, or one that was told not to, says no.
  (void)::madvise(begin, octets, MADV_HUGEPAGE);
  return {begin, [octets](std::uint8_t* at) { ::munmap(at, octets); }};
}

void give_back_after(const std::shared_ptr<std::uint8_t[]>& octets, std::size_t used,
                     std::size_t size) noexcept {
  if (size < least_octets) return;
  const std::size_t from = rounded_up(used, small_page), to = rounded_up(size, large_page);
  // First no large pages any more there, or the system might make one of what is left.
  const std::size_t large_from = used / large_page * large_page;
  (void)::madvise(octets.get() + large_from, to - large_from, MADV_NOHUGEPAGE);
  if (from < to) (void)::madvise(octets.get() + from, to - from, MADV_DONTNEED);
}

}  // namespace postern

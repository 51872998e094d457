// Large blocks of memory: where they begin, and what giving back leaves.
#include "rules/large_octets.h"

#include <algorithm>

#include "support.h"

using namespace postern;

TEST_CASE("a large block begins at a large page, a small one anywhere") {
  constexpr std::size_t megabyte = std::size_t{1} << 20;
  for (const std::size_t size : {4 * megabyte, 4 * megabyte + 1, 7 * megabyte + 5}) {
    const auto octets = large_octets(size);
    CHECK(reinterpret_cast<std::uintptr_t>(octets.get()) % (2 * megabyte) == 0);
    std::fill_n(octets.get(), size, std::uint8_t{7});
    CHECK(std::count(octets.get(), octets.get() + size, 7) == static_cast<std::ptrdiff_t>(size));
  }
  const auto small = large_octets(4 * megabyte - 1);
  std::fill_n(small.get(), 4 * megabyte - 1, std::uint8_t{7});
  CHECK(large_octets(0) != nullptr);
}

TEST_CASE("what is given back is gone, and not an octet before it") {
  constexpr std::size_t size = 9'000'001;
  for (const std::size_t used : {std::size_t{0}, std::size_t{4096}, std::size_t{5'000'000}, size}) {
    const auto octets = large_octets(size);
    std::fill_n(octets.get(), size, std::uint8_t{7});
    give_back_after(octets, used, size);
    CHECK(std::count(octets.get(), octets.get() + used, 7) == static_cast<std::ptrdiff_t>(used));
    const std::size_t gone = std::min(size, (used + 4095) / 4096 * 4096);  // whole pages go
    CHECK(std::count(octets.get() + gone, octets.get() + size, 0) ==
          static_cast<std::ptrdiff_t>(size - gone));
    octets[size - 1] = 1;  // and may be written again
  }
  const auto small = large_octets(100);
  std::fill_n(small.get(), 100, std::uint8_t{7});
  give_back_after(small, 10, 100);  // too small to be worth it
  CHECK(std::count(small.get(), small.get() + 100, 7) == 100);
}

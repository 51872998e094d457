// Logarithms in millibits, rounded up, from a table: the meter's arithmetic is integer additions.
#pragma once

#include <array>
#include <bit>
#include <cstdint>

namespace postern {

// A thousandth of a bit. Every price is rounded *up* to one, so that 2^-price never exceeds the probability
// it stands for: rounding can make the meter stricter, never looser.
using Millibits = std::uint32_t;
inline constexpr Millibits one_bit = 1000;

namespace log2_detail {

// table[m] = ceil(1000 * log2(1 + m/256)), by repeated squaring, at compile time.
constexpr std::array<std::uint16_t, 257> make_table() {
  std::array<std::uint16_t, 257> table{};
  for (unsigned m = 1; m < 256; ++m) {
    double x = 1.0 + m / 256.0, bit = 1.0, sum = 0.0;
    for (int i = 0; i < 40; ++i) {
      x *= x;
      bit /= 2;
      if (x >= 2) {
        x /= 2;
        sum += bit;
      }
    }
    const double scaled = (sum + 2 * bit) * 1000;  // what 40 squarings may have left out
    const auto whole = static_cast<std::uint16_t>(scaled);
    table[m] = static_cast<std::uint16_t>(whole < scaled ? whole + 1 : whole);
  }
  table[256] = 1000;
  return table;
}
inline constexpr std::array<std::uint16_t, 257> table = make_table();

}  // namespace log2_detail

// At least log2(n) and at most 0.007 bits more; n = 0 counts as 1.
constexpr Millibits log2_up(std::uint32_t n) noexcept {
  if (n <= 1) return 0;
  const int exponent = 31 - std::countl_zero(n);
  const std::uint32_t fraction = (n << (31 - exponent)) & 0x7fffffffu;
  const std::uint32_t index = (fraction >> 23) + ((fraction & 0x7fffffu) != 0 ? 1 : 0);
  return static_cast<Millibits>(exponent) * one_bit + log2_detail::table[index];
}

}  // namespace postern

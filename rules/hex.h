// Octets as hexadecimal digits, and back.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace postern {

std::string hex_text(std::span<const std::uint8_t> octets);  // lower case
// Fills `into`; false: not exactly its digits, lower case.
bool read_hex(std::string_view text, std::span<std::uint8_t> into);

}  // namespace postern

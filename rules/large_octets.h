// Memory for blocks of megabytes, on large pages where the system has them: a lookup in a list of a million
// names then waits less for the processor to find its pages, and filling the block takes a tenth of the page
// faults.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

namespace postern {

// `size` octets that are not set. From some megabytes on they begin at a multiple of the large page and are
// zero; a system without large pages gives small ones. Throws std::bad_alloc.
std::shared_ptr<std::uint8_t[]> large_octets(std::size_t size);

// Gives memory behind the first `used` of those `size` octets back to the system. They may be written again.
void give_back_after(const std::shared_ptr<std::uint8_t[]>& octets, std::size_t used,
                     std::size_t size) noexcept;

}  // namespace postern

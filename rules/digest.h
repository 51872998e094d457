// Digests of octets (libcrypto): what a file held, and whether an image is whole.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>

namespace postern {

using Digest = std::array<std::uint8_t, 32>;
// SHA-256. About 1.8 GB/s where the processor has instructions for it.
Digest sha256(std::span<const std::uint8_t> octets);

// SHA-256 in pieces, and of one message after another: about 60 ns a message less than a context of its own.
class Sha256 {
 public:
  Sha256();
  Sha256(Sha256&& other) noexcept;
  Sha256& operator=(Sha256&& other) noexcept;
  ~Sha256();
  void add(std::span<const std::uint8_t> octets);
  void add(std::string_view octets);
  Digest finish();  // of what was added; the next message begins
 private:
  struct Context;
  std::unique_ptr<Context> context_;
};

// A 128-bit checksum: GMAC (NIST SP 800-38D), four times as fast as SHA-256. With a key that was drawn at
// random, octets that were changed by accident pass with probability 2^-100. It is no signature: the key
// stands in the same file, so whoever may write the file may also make it fit.
using ChecksumKey = std::array<std::uint8_t, 16>;
using Checksum = std::array<std::uint8_t, 16>;
ChecksumKey draw_checksum_key() noexcept;
Checksum checksum(const ChecksumKey& key, std::span<const std::uint8_t> octets);

}  // namespace postern

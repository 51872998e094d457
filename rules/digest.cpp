// Digests by libcrypto.
#include "rules/digest.h"

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <sys/random.h>

#include <algorithm>
#include <memory>

#include "rules/result.h"

namespace postern {

Digest sha256(std::span<const std::uint8_t> octets) {
  Digest digest;
  unsigned size = 0;
  POSTERN_CHECK(EVP_Digest(octets.data(), octets.size(), digest.data(), &size, EVP_sha256(), nullptr) == 1);
  POSTERN_CHECK(size == digest.size());
  return digest;
}

struct Sha256::Context {
  std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> raw{EVP_MD_CTX_new(), EVP_MD_CTX_free};
};

Sha256::Sha256() : context_(std::make_unique<Context>()) {
  POSTERN_CHECK(context_->raw && EVP_DigestInit_ex2(context_->raw.get(), EVP_sha256(), nullptr) == 1);
}
Sha256::Sha256(Sha256&& other) noexcept = default;
Sha256& Sha256::operator=(Sha256&& other) noexcept = default;
Sha256::~Sha256() = default;

void Sha256::add(std::span<const std::uint8_t> octets) {
  POSTERN_CHECK(EVP_DigestUpdate(context_->raw.get(), octets.data(), octets.size()) == 1);
}

void Sha256::add(std::string_view octets) {
  POSTERN_CHECK(EVP_DigestUpdate(context_->raw.get(), octets.data(), octets.size()) == 1);
}

Digest Sha256::finish() {
  Digest digest;
  unsigned size = 0;
  EVP_MD_CTX* const raw = context_->raw.get();
  POSTERN_CHECK(EVP_DigestFinal_ex(raw, digest.data(), &size) == 1 && size == digest.size());
  POSTERN_CHECK(EVP_DigestInit_ex2(raw, nullptr, nullptr) == 1);  // the same algorithm, fetched once
  return digest;
}

ChecksumKey draw_checksum_key() noexcept {
  ChecksumKey key;
  if (getrandom(key.data(), key.size(), 0) != static_cast<ssize_t>(key.size()))
    key = {0x24, 0x3f, 0x6a, 0x88};  // only before the pool is ready; accidents do not know it either
  return key;
}

Checksum checksum(const ChecksumKey& key, std::span<const std::uint8_t> octets) {
  const std::unique_ptr<EVP_MAC, decltype(&EVP_MAC_free)> mac(EVP_MAC_fetch(nullptr, "GMAC", nullptr),
                                                              EVP_MAC_free);
  POSTERN_CHECK(mac != nullptr);
  const std::unique_ptr<EVP_MAC_CTX, decltype(&EVP_MAC_CTX_free)> context(EVP_MAC_CTX_new(mac.get()),
                                                                          EVP_MAC_CTX_free);
  POSTERN_CHECK(context != nullptr);
  char cipher[] = "AES-128-GCM";
  std::array<std::uint8_t, 12> nonce{};  // each key is used once
  const OSSL_PARAM parameters[] = {
      OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_CIPHER, cipher, 0),
      OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_IV, nonce.data(), nonce.size()),
      OSSL_PARAM_construct_end(),
  };
  POSTERN_CHECK(EVP_MAC_init(context.get(), key.data(), key.size(), parameters) == 1);
  // The cipher's counter of octets is an int.
  constexpr std::size_t piece = std::size_t{1} << 30;
  for (std::size_t at = 0; at < octets.size(); at += piece) {
    const std::size_t size = std::min(piece, octets.size() - at);
    POSTERN_CHECK(EVP_MAC_update(context.get(), octets.data() + at, size) == 1);
  }
  Checksum sum;
  std::size_t size = 0;
  POSTERN_CHECK(EVP_MAC_final(context.get(), sum.data(), &size, sum.size()) == 1 && size == sum.size());
  return sum;
}

}  // namespace postern

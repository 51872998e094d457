// A signer in the test, as the broker would be, and journals that it has signed.
#pragma once

#include <openssl/evp.h>

#include "resolver/journal/notary.h"
#include "tests/unit/journal/seal_support.h"

namespace postern::test {

// Signs what it is asked, as the broker does: a number once.
class TestSigner {
 public:
  TestSigner() : key_(EVP_PKEY_Q_keygen(nullptr, nullptr, "ED25519"), EVP_PKEY_free) {
    std::size_t size = public_.size();
    REQUIRE(EVP_PKEY_get_raw_public_key(key_.get(), public_.data(), &size) == 1);
  }
  const PublicKey& key() const { return public_; }
  std::vector<SignedHead> heads() const {
    const std::lock_guard lock(mutex_);
    return heads_;
  }
  SignedHead sign(SignedHead head) const {
    const std::string text = text_to_sign(head);
    std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context(EVP_MD_CTX_new(), EVP_MD_CTX_free);
    std::size_t size = head.signature.size();
    REQUIRE(EVP_DigestSignInit(context.get(), nullptr, nullptr, nullptr, key_.get()) == 1);
    REQUIRE(EVP_DigestSign(context.get(), head.signature.data(), &size,
                           reinterpret_cast<const std::uint8_t*>(text.data()), text.size()) == 1);
    return head;
  }
  Notary::Sign function() {
    return [this](const HeadToSign& wanted) -> Result<SignedHead> {
      const std::lock_guard lock(mutex_);
      if (refuse_) return failure("cannot sign: the test does not want to");
      if (!heads_.empty() && wanted.block <= heads_.back().block) return heads_.back();
      const auto counter = static_cast<std::int64_t>(heads_.size()) + 1;
      heads_.push_back(sign({wanted.journal,
                             wanted.block,
                             wanted.records,
                             wanted.head,
                             counter,
                             1'700'000'000'000'000 + counter,
                             public_,
                             {}}));
      return heads_.back();
    };
  }
  void refuse(bool whether) {
    const std::lock_guard lock(mutex_);
    refuse_ = whether;
  }

 private:
  std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)> key_;
  PublicKey public_{};
  mutable std::mutex mutex_;
  std::vector<SignedHead> heads_;
  bool refuse_ = false;
};

inline void write_signed(const std::string& path, TestSigner& signer, std::size_t rows) {
  auto options = at(path);
  options.sign = signer.function();
  const auto journal = must_open(options);
  write_rows(*journal, rows);
}

inline VerifyOptions with(const std::vector<SignedHead>& heads) {
  VerifyOptions options;
  options.with_heads = true;
  options.heads = heads;
  return options;
}
inline VerifyOptions with_key(const PublicKey& key) {
  VerifyOptions options;
  options.key = key;
  return options;
}

}  // namespace postern::test

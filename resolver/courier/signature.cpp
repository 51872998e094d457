// Signing: libcrypto's HMAC and base64.
#include "resolver/courier/signature.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <vector>

namespace postern {
namespace {

std::string base64(const unsigned char* octets, std::size_t size) {
  std::string text(4 * ((size + 2) / 3) + 1, '\0');  // and the zero that it writes
  const int written =
      EVP_EncodeBlock(reinterpret_cast<unsigned char*>(text.data()), octets, static_cast<int>(size));
  text.resize(static_cast<std::size_t>(written));
  return text;
}

}  // namespace

Result<std::string> key_of_secret(std::string_view text) {
  constexpr std::string_view prefix = "whsec_", white = " \t\r\n";
  text = text.substr(0, text.find_last_not_of(white) + 1);
  std::string key(text);
  if (text.starts_with(prefix)) {
    text.remove_prefix(prefix.size());
    std::vector<unsigned char> octets(text.size() / 4 * 3 + 3);
    const int size = text.size() % 4 != 0
                         ? -1
                         : EVP_DecodeBlock(octets.data(), reinterpret_cast<const unsigned char*>(text.data()),
                                           static_cast<int>(text.size()));
    if (size < 0) return failure("what follows whsec_ is no base64");
    key.assign(octets.begin(), octets.begin() + size);
    for (std::size_t i = text.size(); i > 0 && text[i - 1] == '='; --i) key.pop_back();
  }
  if (key.size() < min_key || key.size() > max_key)
    return failure("the key has " + std::to_string(key.size()) + " octets; 24 to 1024 are good");
  return key;
}

std::string webhook_signature(std::string_view key, std::string_view id, std::int64_t unix_s,
                              std::string_view body) {
  std::string signed_text(id);
  signed_text += "." + std::to_string(unix_s) + ".";
  signed_text += body;
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned size = 0;
  const void* done =
      HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()),
           reinterpret_cast<const unsigned char*>(signed_text.data()), signed_text.size(), digest, &size);
  POSTERN_CHECK(done != nullptr);
  return "v1," + base64(digest, size);
}

}  // namespace postern

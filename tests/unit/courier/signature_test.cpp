// Signatures against vectors from elsewhere, and against openssl's own command.
#include "resolver/courier/signature.h"

#include <doctest/doctest.h>

#include <array>
#include <cstdio>
#include <string>

using namespace postern;

namespace {

// What a command prints, without its last line's end.
std::string output_of(const std::string& command) {
  std::string text;
  FILE* pipe = popen(command.c_str(), "r");
  REQUIRE(pipe != nullptr);
  std::array<char, 256> part{};
  while (fgets(part.data(), part.size(), pipe) != nullptr) text += part.data();
  REQUIRE(pclose(pipe) == 0);
  while (!text.empty() && text.back() == '\n') text.pop_back();
  return text;
}

std::string hex(const std::string& octets) {
  std::string text;
  char two[3];
  for (const char c : octets) {
    std::snprintf(two, sizeof two, "%02x", static_cast<unsigned char>(c));
    text += two;
  }
  return text;
}

}  // namespace

TEST_CASE("the published example of Standard Webhooks is signed as its libraries sign it") {
  const auto key = key_of_secret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n");
  REQUIRE(key.has_value());
  CHECK(key->size() == 24);
  CHECK(webhook_signature(*key, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, R"({"test": 2432232314})") ==
        "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
}

TEST_CASE("openssl comes to the same signature") {
  const std::string key = "0123456789abcdef0123456789abcdef", id = "al_00ff",
                    body = R"({"id":"al_00ff","zone":"b\u00fccher.example"})";
  const std::string digest = output_of("printf '%s' '" + id + ".1700000000." + body +
                                       "' | openssl dgst -sha256 -mac HMAC -macopt hexkey:" + hex(key) +
                                       " -binary | openssl base64 -A");
  CHECK(webhook_signature(key, id, 1700000000, body) == "v1," + digest);
  CHECK(webhook_signature(key, id, 1700000001, body) != "v1," + digest);
  CHECK(webhook_signature(key, id + "0", 1700000000, body) != "v1," + digest);
  CHECK(webhook_signature(key, id, 1700000000, body + " ") != "v1," + digest);
}

TEST_CASE("a secret is base64 after whsec_, else the text itself without white space at its end") {
  CHECK(*key_of_secret("0123456789abcdef01234567") == "0123456789abcdef01234567");
  CHECK(*key_of_secret("0123456789abcdef01234567 \r\n") == "0123456789abcdef01234567");
  CHECK(*key_of_secret(" 0123456789abcdef0123456") == " 0123456789abcdef0123456");
  CHECK(*key_of_secret("whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODk=") == "0123456789abcdef0123456789");
  CHECK(*key_of_secret("whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3OA==") == "0123456789abcdef012345678");
}

TEST_CASE("a secret that is too short, too long or no base64 is refused, and never quoted") {
  for (const std::string& text :
       {std::string(), std::string("\n"), std::string(min_key - 1, 'q'), std::string(max_key + 1, 'q'),
        std::string("whsec_"), std::string("whsec_qqqq"),
        std::string("whsec_qqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqq"),
        std::string("whsec_qqqqqqqqqqqqqqqq!qqqqqqqqqqqqqqqqqqqqqqq")}) {
    INFO(text);
    const auto key = key_of_secret(text);
    REQUIRE_FALSE(key.has_value());
    CHECK(key.error().message.find("qqq") == std::string::npos);
  }
  CHECK(key_of_secret(std::string(min_key, 'q')).has_value());
  CHECK(key_of_secret(std::string(max_key, 'q')).has_value());
}

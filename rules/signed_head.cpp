// A signed head: its one spelling, and whether its signature fits.
#include "rules/signed_head.h"

#include <openssl/evp.h>

#include <charconv>
#include <chrono>
#include <cstdio>
#include <memory>

#include "rules/hex.h"

namespace postern {
namespace {

constexpr std::string_view head_begins = "{\"postern\":\"head\",\"version\":1,\"journal\":\"";
constexpr std::int64_t us_per_second = 1'000'000, last_second = 253'402'300'799;  // of the year 9999

// Takes apart a text of which every octet is known but the values.
class Pieces {
 public:
  explicit Pieces(std::string_view text) : rest_(text) {}
  bool exactly(std::string_view expected) {
    if (!rest_.starts_with(expected)) return false;
    rest_.remove_prefix(expected.size());
    return true;
  }
  bool hex(std::span<std::uint8_t> into) {
    if (rest_.size() < 2 * into.size() || !read_hex(rest_.substr(0, 2 * into.size()), into)) return false;
    rest_.remove_prefix(2 * into.size());
    return true;
  }
  bool number(std::int64_t& value) {  // not negative, no leading zero: one spelling
    const auto [end, error] = std::from_chars(rest_.data(), rest_.data() + rest_.size(), value);
    const auto size = static_cast<std::size_t>(end - rest_.data());
    if (error != std::errc() || value < 0 || (size > 1 && rest_[0] == '0') || rest_[0] == '-') return false;
    rest_.remove_prefix(size);
    return true;
  }
  bool time(std::int64_t& value) {
    constexpr std::size_t size = sizeof "2026-01-31T09:30:00.000000Z" - 1;
    if (rest_.size() < size || !read_iso_time(rest_.substr(0, size), value)) return false;
    rest_.remove_prefix(size);
    return true;
  }
  std::string_view rest() const { return rest_; }

 private:
  std::string_view rest_;
};

}  // namespace

std::string text_to_sign(const SignedHead& head) {
  return std::string(head_begins) + hex_text(head.journal) + "\",\"block\":" + std::to_string(head.block) +
         ",\"records\":" + std::to_string(head.records) + ",\"head\":\"" + hex_text(head.head) +
         "\",\"counter\":" + std::to_string(head.counter) + ",\"time\":\"" + iso_time(head.time_us) +
         "\",\"key\":\"" + hex_text(head.key) + "\"";
}

std::string line_of(const SignedHead& head) {
  return text_to_sign(head) + ",\"signature\":\"" + hex_text(head.signature) + "\"}";
}

Result<SignedHead> read_signed_head(std::string_view line) {
  const std::size_t begin = line.find(head_begins);
  const auto bad = [&](const std::string& why) { return failure("cannot read a signed head: " + why); };
  if (begin == std::string_view::npos) return bad("there is none in the line");
  Pieces pieces(line.substr(begin));
  SignedHead head;
  const bool read =
      pieces.exactly(head_begins) && pieces.hex(head.journal) && pieces.exactly("\",\"block\":") &&
      pieces.number(head.block) && pieces.exactly(",\"records\":") && pieces.number(head.records) &&
      pieces.exactly(",\"head\":\"") && pieces.hex(head.head) && pieces.exactly("\",\"counter\":") &&
      pieces.number(head.counter) && pieces.exactly(",\"time\":\"") && pieces.time(head.time_us) &&
      pieces.exactly("\",\"key\":\"") && pieces.hex(head.key) && pieces.exactly("\",\"signature\":\"") &&
      pieces.hex(head.signature) && pieces.exactly("\"}");
  const std::string_view rest = pieces.rest();
  if (!read)
    return bad("it is not as Postern writes it, from \"" + std::string(rest.substr(0, 32)) + "\" on");
  if (rest.find_first_not_of(" \t\r\n") != std::string_view::npos)
    return bad("something follows it: \"" + std::string(rest.substr(0, 32)) + "\"");
  return head;
}

bool signature_fits(const SignedHead& head) {
  const std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)> key(
      EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, nullptr, head.key.data(), head.key.size()),
      EVP_PKEY_free);
  const std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context(EVP_MD_CTX_new(), EVP_MD_CTX_free);
  if (!key || !context) return false;
  if (EVP_DigestVerifyInit(context.get(), nullptr, nullptr, nullptr, key.get()) != 1) return false;
  const std::string text = text_to_sign(head);
  return EVP_DigestVerify(context.get(), head.signature.data(), head.signature.size(),
                          reinterpret_cast<const std::uint8_t*>(text.data()), text.size()) == 1;
}

std::string fingerprint(const PublicKey& key) {
  const Digest digest = sha256(key);
  return hex_text(std::span(digest).first(16));
}

std::string iso_time(std::int64_t time_us) {
  using namespace std::chrono;
  const auto at = sys_time<microseconds>(microseconds(time_us));
  const auto day = floor<days>(at);
  const year_month_day date(day);
  const hh_mm_ss time(at - day);
  char text[64];
  std::snprintf(text, sizeof text, "%04d-%02u-%02uT%02d:%02d:%02d.%06dZ", static_cast<int>(date.year()),
                static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()),
                static_cast<int>(time.hours().count()), static_cast<int>(time.minutes().count()),
                static_cast<int>(time.seconds().count()), static_cast<int>(time.subseconds().count()));
  return text;
}

bool read_iso_time(std::string_view text, std::int64_t& time_us) {
  // By trying: the values, then whether they are spelled like that.
  constexpr std::string_view form = "dddd-dd-ddTdd:dd:dd.ddddddZ";
  if (text.size() != form.size()) return false;
  const auto number = [&](std::size_t at, std::size_t size) {
    int value = 0;
    std::from_chars(text.data() + at, text.data() + at + size, value);
    return value;
  };
  for (std::size_t i = 0; i < form.size(); ++i)
    if (form[i] == 'd' ? text[i] < '0' || text[i] > '9' : text[i] != form[i]) return false;
  using namespace std::chrono;
  const year_month_day date(year(number(0, 4)), month(static_cast<unsigned>(number(5, 2))),
                            day(static_cast<unsigned>(number(8, 2))));
  if (!date.ok() || number(11, 2) > 23 || number(14, 2) > 59 || number(17, 2) > 59) return false;
  const auto seconds = sys_days(date).time_since_epoch() / std::chrono::seconds(1) + number(11, 2) * 3600 +
                       number(14, 2) * 60 + number(17, 2);
  if (seconds < 0 || seconds > last_second) return false;
  time_us = seconds * us_per_second + number(20, 6);
  return true;
}

}  // namespace postern

// Gunzip: whole and in pieces, several members, damage, and the limit on what comes out.
#include "rules/gunzip.h"

#include "support.h"

using namespace postern;

namespace {

// "a.example\nb.example\n", "c.example\n" and 65,540 zeros, each a gzip member.
constexpr std::uint8_t member_ab[] = {
    0x1f, 0x8b, 0x08, 0x00, 0x00, 0x00, 0x00, 0x00, 0x02, 0x03, 0x4b, 0xd4, 0x4b, 0xad, 0x48, 0xcc,
    0x2d, 0xc8, 0x49, 0xe5, 0x4a, 0x82, 0xb3, 0x00, 0x43, 0x96, 0xb1, 0xdb, 0x14, 0x00, 0x00, 0x00,
};
constexpr std::uint8_t member_c[] = {
    0x1f, 0x8b, 0x08, 0x00, 0x00, 0x00, 0x00, 0x00, 0x02, 0x03, 0x4b, 0xd6, 0x4b, 0xad, 0x48,
    0xcc, 0x2d, 0xc8, 0x49, 0xe5, 0x02, 0x00, 0x80, 0x35, 0x42, 0xa4, 0x0a, 0x00, 0x00, 0x00,
};
constexpr std::uint8_t member_zeros[] = {
    0x1f, 0x8b, 0x08, 0x00, 0x00, 0x00, 0x00, 0x00, 0x02, 0x03, 0xed, 0xc1, 0x31, 0x01, 0x00, 0x00, 0x00,
    0xc2, 0xa0, 0xf5, 0x4f, 0xed, 0x61, 0x0d, 0xa0, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    0x00, 0x00, 0x00, 0xe0, 0x06, 0x05, 0x74, 0x26, 0xed, 0x04, 0x00, 0x01, 0x00,
};

template <std::size_t size>
std::string octets(const std::uint8_t (&member)[size]) {
  return {reinterpret_cast<const char*>(member), size};
}

const std::string ab = octets(member_ab), c = octets(member_c), zeros = octets(member_zeros);

// All of `data`, `step` octets at a time; the text, or the error.
std::string in_pieces(const std::string& data, std::size_t step, std::uint64_t most) {
  Gunzip stream(most);
  std::string out;
  for (std::size_t at = 0; at < data.size(); at += step)
    if (const auto fed = stream.feed(std::string_view(data).substr(at, step), out); !fed)
      return fed.error().message;
  const auto ended = stream.finish();
  return ended ? out : ended.error().message;
}

}  // namespace

TEST_CASE("gzip is told by its magic number") {
  CHECK(is_gzip(ab));
  CHECK(is_gzip("\x1f\x8b\x08"));
  CHECK_FALSE(is_gzip("\x1f\x8b"));
  CHECK_FALSE(is_gzip("\x1f\x8b\x07"));
  CHECK_FALSE(is_gzip("a.example"));
  CHECK_FALSE(is_gzip(""));
}

TEST_CASE("gzip data reads the same whole and in pieces of any size") {
  const struct {
    std::string data, text;
  } rows[] = {
      {ab, "a.example\nb.example\n"},
      {ab + c, "a.example\nb.example\nc.example\n"},
      {ab + zeros + c, "a.example\nb.example\n" + std::string(65540, '\0') + "c.example\n"},
      {ab + std::string(512, '\0'), "a.example\nb.example\n"},  // padded, as on tapes
      {ab.substr(0, ab.size() - 1), "cannot decompress: the data is cut off"},
      {ab.substr(0, 5), "cannot decompress: the data is cut off"},
      {ab + c.substr(0, 4), "cannot decompress: the data is cut off"},
      {ab + "x", "cannot decompress: something other than gzip follows the data"},
      {ab + std::string(3, '\0') + "x", "cannot decompress: something other than gzip follows the data"},
      {ab + std::string(3, '\0') + c, "cannot decompress: something other than gzip follows the data"},
      {ab.substr(0, ab.size() - 8) + "????" + ab.substr(ab.size() - 4),
       "cannot decompress: damaged data, incorrect data check"},
      {ab.substr(0, ab.size() - 4) + "????", "cannot decompress: damaged data, incorrect length check"},
  };
  for (const auto& row : rows) {
    CAPTURE(row.data.size());
    const auto whole = gunzip(row.data, 1 << 20);
    CHECK((whole ? *whole : whole.error().message) == row.text);
    for (const std::size_t step : {1, 2, 7, 64, 1000}) {
      CAPTURE(step);
      CHECK(in_pieces(row.data, step, 1 << 20) == row.text);
    }
  }
}

TEST_CASE("what is not gzip is an error, and so is nothing") {
  CHECK(gunzip("a.example", 100).error().message == "cannot decompress: it is not gzip");
  CHECK(gunzip("", 100).error().message == "cannot decompress: it is not gzip");
  CHECK(Gunzip(100).finish().error().message == "cannot decompress: there is no data");
}

TEST_CASE("more than the limit is an error, exactly the limit is not") {
  CHECK(gunzip(zeros, 65540)->size() == 65540);
  CHECK(gunzip(zeros, 65539).error().message == "cannot decompress: more than 65539 octets come out");
  CHECK(gunzip(ab + c, 30)->size() == 30);
  CHECK(gunzip(ab + c, 29).error().message == "cannot decompress: more than 29 octets come out");
  CHECK(in_pieces(ab + c, 1, 29) == "cannot decompress: more than 29 octets come out");
  // What came out until then stays within the limit, and the error stays.
  Gunzip stream(1000);
  std::string out;
  CHECK_FALSE(stream.feed(zeros, out));
  CHECK(out.size() == 1000);
  CHECK_FALSE(stream.feed(zeros, out));
  CHECK(out.size() == 1000);
  CHECK_FALSE(stream.finish());
}

TEST_CASE("an input that is used up may still have output to give") {
  // All of it comes with the piece that it is in, however little room was made at first.
  Gunzip stream(1 << 20);
  std::string out;
  REQUIRE(stream.feed(std::string_view(zeros).substr(0, zeros.size() - 8), out));  // without the check sum
  CHECK(out == std::string(65540, '\0'));
}

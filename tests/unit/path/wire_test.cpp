// The wire's corners that scenarios cannot reach easily: sizes, spellings, what goes upstream.
#include <doctest/doctest.h>

#include "resolver/path/wire.h"

using namespace postern;
using Octets = std::vector<std::uint8_t>;

namespace {

Octets query_for(const Name& name, bool edns = false, std::uint16_t size = 1232) {
  Octets message;
  message.reserve(300);
  for (const int octet : {0x12, 0x34, 0x01, 0x10, 0, 1, 0, 0, 0, 0, 0, edns ? 1 : 0})
    message.push_back(static_cast<std::uint8_t>(octet));
  for (const std::uint8_t octet : name.wire()) message.push_back(octet);
  for (const int octet : {0, 1, 0, 1}) message.push_back(static_cast<std::uint8_t>(octet));
  if (edns)
    for (const int octet : {0, 0, 41, size >> 8, size & 255, 0, 0, 0x80, 0, 0, 0})
      message.push_back(static_cast<std::uint8_t>(octet));
  return message;
}

wire::Question parsed(const Octets& message) {
  wire::Question question;
  REQUIRE(wire::parse_query(message, question) == wire::Parsed::ok);
  return question;
}

}  // namespace

TEST_CASE("a query at every length from nothing to whole is never read past its end") {
  const Octets whole = query_for(*Name::parse("www.example.com"), true);
  for (std::size_t size = 0; size < whole.size(); ++size) {
    const Octets part(whole.begin(),
                      whole.begin() + static_cast<long>(size));  // its own allocation: ASan sees the end
    wire::Question question;
    CHECK(wire::parse_query(part, question) == (size < 4 ? wire::Parsed::drop : wire::Parsed::formerr));
  }
  wire::Question question;
  CHECK(wire::parse_query(whole, question) == wire::Parsed::ok);
}

TEST_CASE("the announced size is held between 512 and 1232 octets") {
  const Name name = *Name::parse("a.example");
  CHECK(parsed(query_for(name)).udp_size == 512);
  CHECK(parsed(query_for(name, true, 511)).udp_size == 512);
  CHECK(parsed(query_for(name, true, 513)).udp_size == 513);
  CHECK(parsed(query_for(name, true, 1233)).udp_size == 1232);
}

TEST_CASE("a refusal carries a SOA of the parent, five seconds, and the reason for clients with EDNS") {
  const wire::Question question = parsed(query_for(*Name::parse("x.evil.example"), true));
  Octets out;
  wire::write_negative(question, Rcode::nxdomain, {Ede::blocked, "a rule"}, out);
  CHECK((out[3] & 15) == 3);
  CHECK((out[3] & 0x10) == 0x10);  // CD is echoed
  const auto read = wire::parse_answer(out, out, true);
  REQUIRE(read.match == wire::Match::answer);
  REQUIRE(read.answer.authority.size() == 1);
  CHECK(read.answer.authority[0].owner == *Name::parse("evil.example"));
  CHECK(read.answer.authority[0].ttl == 5);
  const std::string tail(out.end() - 6, out.end());
  CHECK(tail == "a rule");
  Octets plain;
  wire::write_negative(parsed(query_for(*Name::parse("x.evil.example"))), Rcode::nxdomain,
                       {Ede::blocked, "a rule"}, plain);
  CHECK(plain.size() == out.size() - 11 - 4 - 2 - 6);
}

TEST_CASE("the longest name with the longest reason still fits one datagram") {
  std::string text;
  for (int i = 0; i < 3; ++i) text += std::string(63, 'a') + ".";
  const Name name = *Name::parse(text + std::string(61, 'b'));
  CHECK(name.size() == 255);
  Octets out;
  wire::write_negative(parsed(query_for(name, true)), Rcode::nxdomain, {Ede::blocked, std::string(1000, 'x')},
                       out);
  CHECK(out.size() < wire::udp_octets);
}

TEST_CASE("what goes upstream is header, question and one OPT, with the case bits on letters only") {
  const Query query{*Name::parse("a-1.bc"), type::AAAA};
  const std::uint8_t bits[] = {0x06};  // the second and third letter
  const Octets message = wire::build_upstream_query(query, 0xbeef, bits);
  const Octets want{0xbe, 0xef, 0x01, 0x00, 0, 1, 0, 0, 0,  0, 0,    1, 3, 'a', '-', '1', 2, 'B',
                    'C',  0,    0,    28,   0, 1, 0, 0, 41, 4, 0xd0, 0, 0, 0,   0,   0,   0};
  CHECK(message == want);
}

TEST_CASE("an upstream's answer must repeat the question") {
  const Query query{*Name::parse("www.example.com"), type::A};
  const std::uint8_t bits[] = {0xff, 0xff};
  const Octets sent = wire::build_upstream_query(query, 7, bits);
  Octets reply(sent.begin(), sent.end() - 11);
  reply[2] = 0x81;
  reply[11] = 0;
  CHECK(wire::parse_answer(reply, sent, true).match == wire::Match::answer);
  Octets other = reply;
  other[13] ^= 32;
  CHECK(wire::parse_answer(other, sent, true).match == wire::Match::case_differs);
  CHECK(wire::parse_answer(other, sent, false).match == wire::Match::answer);
  other[13] = 'q';
  CHECK(wire::parse_answer(other, sent, true).match == wire::Match::not_ours);
  other = reply;
  other[reply.size() - 3] = 28;  // another type
  CHECK(wire::parse_answer(other, sent, false).match == wire::Match::not_ours);
  other = reply;
  other[2] = 0x01;  // no response
  CHECK(wire::parse_answer(other, sent, true).match == wire::Match::not_ours);
  other = reply;
  other[2] |= 2;
  CHECK(wire::parse_answer(other, sent, true).match == wire::Match::truncated);
  other = reply;
  other[7] = 1;  // an answer that is not there
  CHECK(wire::parse_answer(other, sent, true).match == wire::Match::malformed);
}

TEST_CASE("records survive the way through rendering and back") {
  const Query query{*Name::parse("www.example.com"), type::MX};
  Answer answer;
  Record mx;
  mx.owner = query.name;
  mx.type = type::MX;
  mx.ttl = 300;
  mx.rdata = {0, 10};
  const Name exchange = *Name::parse("mail.example.com");
  mx.rdata.insert(mx.rdata.end(), exchange.wire().begin(), exchange.wire().end());
  answer.answer.push_back(mx);
  const auto rendered = wire::render(query, answer);
  REQUIRE(rendered);
  CHECK(rendered->ttl_offsets.size() == 1);
  CHECK(rendered->min_ttl == 300);
  const Answer again = wire::reread(*rendered);
  REQUIRE(again.answer.size() == 1);
  CHECK(again.answer[0].rdata == mx.rdata);
  CHECK(again.answer[0].owner == mx.owner);
}

TEST_CASE("of an answer as large as a message can be no record is left out") {
  const Query query{*Name::parse("www.example.com"), type::A};
  const std::uint8_t bits[] = {0xff, 0xff};
  const Octets sent = wire::build_upstream_query(query, 7, bits);
  constexpr std::size_t message = 65'535, record_octets = 16;
  const std::size_t records = (message - (sent.size() - 11)) / record_octets;
  Octets reply(sent.begin(), sent.end() - 11);
  reply[2] = 0x81;
  reply[6] = static_cast<std::uint8_t>(records >> 8);
  reply[7] = static_cast<std::uint8_t>(records);
  reply[11] = 0;
  for (std::size_t i = 0; i < records; ++i)
    for (const std::size_t octet :
         {0xc0UL, 12UL, 0UL, 1UL, 0UL, 1UL, 0UL, 0UL, 1UL, 0UL, 0UL, 4UL, 192UL, 0UL, i >> 8, i & 255})
      reply.push_back(static_cast<std::uint8_t>(octet));
  REQUIRE(records == 4093);
  const wire::UpstreamMessage read = wire::parse_answer(reply, sent, true);
  REQUIRE(read.match == wire::Match::answer);
  CHECK(read.answer.answer.size() == records);
  const auto rendered = wire::render(query, read.answer);
  REQUIRE(rendered);
  CHECK(rendered->answers == records);
  CHECK(wire::reread(*rendered).answer.size() == records);
}

TEST_CASE("a record whose rdata is not its type's form is not rendered") {
  const Query query{*Name::parse("www.example.com"), type::A};
  Answer answer;
  answer.answer.push_back({query.name, type::A, 60, {1, 2, 3}});
  CHECK(!wire::render(query, answer));
}

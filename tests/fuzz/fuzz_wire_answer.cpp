// Fuzz: what an upstream may send, from the question we sent to the reply a client would get. The first octet
// says how long the question's name is taken to be; the message follows.
#include <algorithm>

#include "resolver/path/cache.h"
#include "resolver/path/chain.h"
#include "resolver/path/wire.h"
#include "rules/policy.h"

using namespace postern;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const auto policies = PolicySet::builtin();
  if (size < wire::header_octets + 5) return 0;
  // The sent query is the message's own first part, so that the question matches and the rest of the way is
  // reached.
  const auto name = Name::from_wire({data + wire::header_octets, size - wire::header_octets});
  if (!name || wire::header_octets + name->size() + 4 > size) return 0;
  const Query query{*name, static_cast<Type>(data[wire::header_octets + name->size()] << 8 |
                                             data[wire::header_octets + name->size() + 1])};
  wire::UpstreamMessage message = wire::parse_answer({data, size}, {data, size}, true);
  if (message.match != wire::Match::answer) return 0;
  keep_chain(query, message.answer);
  for (const Record& record : message.answer.answer) POSTERN_CHECK(record.rdata.size() <= 0xffff);
  const auto keep = settle_ttls(message.answer);
  (void)policies->find("")->inspect(query, message.answer);
  if (keep == std::chrono::seconds(0)) return 0;
  const auto rendered = wire::render(query, message.answer);
  if (!rendered) return 0;
  const Answer again = wire::reread(*rendered);
  POSTERN_CHECK(again.answer.size() == message.answer.answer.size());
  wire::Question question;
  question.query = query;
  question.has_question = true;
  question.edns = true;
  std::copy_n(data + wire::header_octets, name->size(), question.spelling);
  std::vector<std::uint8_t> out;
  wire::write_rendered(question, *rendered, 1u << 31, {}, out);
  for (const std::uint16_t at : rendered->ttl_offsets) POSTERN_CHECK(at + 4u <= out.size());
  wire::truncate(question, out);
  POSTERN_CHECK(out.size() <= question.udp_size);
  return 0;
}

// Fuzz: what a sandbox may send. Whatever was parsed must be answerable, and every reply must be a response
// to it.
#include "resolver/path/wire.h"

using namespace postern;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  wire::Question question;
  const wire::Parsed parsed = wire::parse_query({data, size}, question);
  if (parsed == wire::Parsed::drop) return 0;
  std::vector<std::uint8_t> out;
  const auto check = [&] {
    POSTERN_CHECK(out.size() >= wire::header_octets && out[0] == data[0] && out[1] == data[1] &&
                  (out[2] & 0x80));
    if (question.has_question)
      POSTERN_CHECK(out.size() >= wire::header_octets + question.query.name.size() + 4);
  };
  wire::write_empty(question, parsed == wire::Parsed::formerr ? 1 : 16, {Ede::other, "text"}, out);
  check();
  if (parsed != wire::Parsed::ok) return 0;
  wire::write_negative(question, Rcode::nxdomain,
                       {Ede::blocked, std::string_view(reinterpret_cast<const char*>(data), size)}, out);
  check();
  // A negative reply is a message that the other parser understands, with one SOA at or above the name.
  const auto read = wire::parse_answer(out, out, true);
  POSTERN_CHECK(read.match == wire::Match::answer && read.answer.authority.size() == 1);
  POSTERN_CHECK(question.query.name.at_or_below(read.answer.authority[0].owner));
  wire::truncate(question, out);
  POSTERN_CHECK(out.size() <= question.udp_size);
  // What goes upstream is parsed back to the same question and nothing else.
  const auto upstream = wire::build_upstream_query(question.query, question.id, {data, size});
  wire::Question again;
  POSTERN_CHECK(wire::parse_query(upstream, again) == wire::Parsed::ok &&
                again.query.name == question.query.name && again.query.type == question.query.type &&
                again.udp_size == wire::udp_octets);
  return 0;
}

// The wire, sandbox side: parses queries and writes replies without allocation or library.
#include <algorithm>
#include <cstring>

#include "resolver/path/wire.h"

namespace postern::wire {
namespace {

constexpr std::uint16_t flag_qr = 0x8000, flag_tc = 0x0200, flag_rd = 0x0100, flag_ra = 0x0080,
                        flag_cd = 0x0010;
constexpr std::uint16_t opcode_mask = 0x7800;
constexpr std::uint32_t edns_do = 0x8000;
constexpr std::size_t opt_octets = 11;    // root owner, type, class, ttl, rdlength
constexpr std::uint16_t option_ede = 15;  // RFC 8914
constexpr std::size_t max_additional =
    16;  // records behind the question that are walked over; more is not a stub's query

std::uint16_t get16(Octets from, std::size_t at) {
  return static_cast<std::uint16_t>(from[at] << 8 | from[at + 1]);
}
void put16(std::vector<std::uint8_t>& out, unsigned value) {
  out.push_back(static_cast<std::uint8_t>(value >> 8));
  out.push_back(static_cast<std::uint8_t>(value));
}
void put32(std::vector<std::uint8_t>& out, std::uint32_t value) {
  put16(out, value >> 16);
  put16(out, value & 0xffff);
}
void set16(std::vector<std::uint8_t>& out, std::size_t at, unsigned value) {
  out[at] = static_cast<std::uint8_t>(value >> 8);
  out[at + 1] = static_cast<std::uint8_t>(value);
}
void put_octets(std::vector<std::uint8_t>& out, const void* from, std::size_t size) {
  const auto* octets = static_cast<const std::uint8_t*>(from);
  out.insert(out.end(), octets, octets + size);
}

// Past the name at `at`, compressed or not; 0 if it does not end inside the message.
std::size_t skip_name(Octets message, std::size_t at) {
  while (at < message.size()) {
    const std::uint8_t length = message[at];
    if (length >= 0xc0) return at + 2 <= message.size() ? at + 2 : 0;
    if (length > Name::max_label) return 0;
    at += 1u + length;
    if (length == 0) return at;
  }
  return 0;
}

// The OPT's options must fill its rdata exactly; what they say is of no interest: nothing of it goes on.
bool options_fit(Octets rdata) {
  while (!rdata.empty()) {
    if (rdata.size() < 4) return false;
    const std::size_t size = 4u + get16(rdata, 2);
    if (size > rdata.size()) return false;
    rdata = rdata.subspan(size);
  }
  return true;
}

void put_header(const Question& question, int rcode, unsigned flags, std::vector<std::uint8_t>& out) {
  out.clear();
  put16(out, question.id);
  put16(out, flag_qr | flag_ra | (question.flags & (opcode_mask | flag_rd | flag_cd)) | flags |
                 static_cast<unsigned>(rcode & 15));
  put16(out, question.has_question ? 1 : 0);
  put16(out, 0);
  put16(out, 0);
  put16(out, 0);
}

void put_question(const Question& question, std::vector<std::uint8_t>& out) {
  if (!question.has_question) return;
  put_octets(out, question.spelling, question.query.name.size());
  put16(out, question.query.type);
  put16(out, question.query_class);
}

void put_opt(const Question& question, int rcode, Extra extra, std::vector<std::uint8_t>& out) {
  if (!question.edns) return;
  out.push_back(0);
  put16(out, type::OPT);
  put16(out, udp_octets);
  put32(out, static_cast<std::uint32_t>(rcode >> 4) << 24 |
                 (question.dnssec_ok ? edns_do : 0));  // DO is copied (RFC 3225)
  const std::string_view text = extra.text.substr(0, ede_text_octets);
  put16(out, extra.ede == Ede::none ? 0 : 6 + static_cast<unsigned>(text.size()));
  if (extra.ede != Ede::none) {
    put16(out, option_ede);
    put16(out, 2 + static_cast<unsigned>(text.size()));
    put16(out, static_cast<unsigned>(extra.ede));
    put_octets(out, text.data(), text.size());
  }
  set16(out, 10, get16(out, 10) + 1u);
}

}  // namespace

Parsed parse_query(Octets message, Question& question) noexcept {
  question.has_question = false;
  question.edns = question.dnssec_ok = false;
  question.udp_size = plain_udp_octets;
  question.query_class = class_in;
  if (message.size() < 4) return Parsed::drop;
  question.id = get16(message, 0);
  question.flags = get16(message, 2);
  if (question.flags & flag_qr) return Parsed::drop;
  if (question.flags & opcode_mask) return Parsed::notimp;
  if (message.size() < header_octets || get16(message, 4) != 1) return Parsed::formerr;
  if (get16(message, 6) != 0 || get16(message, 8) != 0) return Parsed::formerr;  // a query has no answers
  const auto name = Name::from_wire(message.subspan(header_octets));
  if (!name) return Parsed::formerr;
  std::size_t at = header_octets + name->size();
  if (at + 4 > message.size()) return Parsed::formerr;
  question.query.name = *name;
  std::memcpy(question.spelling, message.data() + header_octets, name->size());
  question.query.type = get16(message, at);
  question.query_class = get16(message, at + 2);
  question.has_question = true;
  at += 4;

  const std::size_t additional = get16(message, 10);
  if (additional > max_additional) return Parsed::formerr;
  bool bad_version = false;
  for (std::size_t i = 0; i < additional; ++i) {
    const std::size_t owner = at;
    at = skip_name(message, at);
    if (at == 0 || at + 10 > message.size()) return Parsed::formerr;
    const std::size_t rdlength = get16(message, at + 8);
    if (at + 10 + rdlength > message.size()) return Parsed::formerr;
    if (get16(message, at) == type::OPT) {
      if (question.edns || at != owner + 1)
        return Parsed::formerr;  // one OPT, owned by the root (RFC 6891 section 6.1.1)
      if (!options_fit(message.subspan(at + 10, rdlength))) return Parsed::formerr;
      question.edns = true;
      question.udp_size =
          std::clamp(get16(message, at + 2), static_cast<std::uint16_t>(plain_udp_octets), udp_octets);
      question.dnssec_ok = message[at + 6] & 0x80;
      bad_version = message[at + 5] != 0;
    }
    at += 10 + rdlength;
  }
  return bad_version ? Parsed::badvers : Parsed::ok;
}

void write_empty(const Question& question, int rcode, Extra extra, std::vector<std::uint8_t>& out) {
  put_header(question, rcode, 0, out);
  put_question(question, out);
  put_opt(question, rcode, extra, out);
}

void write_negative(const Question& question, Rcode rcode, Extra extra, std::vector<std::uint8_t>& out) {
  static constexpr std::uint8_t mname[] = "\7postern\7invalid";  // with its final zero: the root
  put_header(question, static_cast<int>(rcode), 0, out);
  put_question(question, out);
  const Name& name = question.query.name;
  const std::size_t parent = header_octets + (name.is_root() ? 0u : 1u + name.first_label().size());
  put16(out, 0xc000u | static_cast<unsigned>(parent));
  put16(out, type::SOA);
  put16(out, class_in);
  put32(out, refusal_ttl);
  put16(out, sizeof mname + 2 + 20);
  const std::size_t mname_at = out.size();
  put_octets(out, mname, sizeof mname);
  put16(out, 0xc000u | static_cast<unsigned>(mname_at));  // RNAME: the same
  put32(out, 1);                                          // serial
  put32(out, 3600);                                       // refresh
  put32(out, 600);                                        // retry
  put32(out, 86400);                                      // expire
  put32(out, refusal_ttl);
  set16(out, 8, 1);
  put_opt(question, static_cast<int>(rcode), extra, out);
}

void write_rendered(const Question& question, const Rendered& rendered, std::uint32_t age, Extra extra,
                    std::vector<std::uint8_t>& out) {
  out.assign(rendered.message.begin(), rendered.message.end());
  set16(out, 0, question.id);
  set16(out, 2,
        flag_qr | flag_ra | (question.flags & (flag_rd | flag_cd)) |
            static_cast<unsigned>(rendered.rcode & 15));
  std::memcpy(out.data() + header_octets, question.spelling, question.query.name.size());
  for (const std::uint16_t at : rendered.ttl_offsets) {
    const std::uint32_t ttl = static_cast<std::uint32_t>(get16(out, at)) << 16 | get16(out, at + 2u);
    const std::uint32_t left = ttl > age ? ttl - age : 1;
    set16(out, at, left >> 16);
    set16(out, at + 2u, left & 0xffff);
  }
  put_opt(question, rendered.rcode, extra, out);
}

bool truncate(const Question& question, std::vector<std::uint8_t>& out) {
  if (out.size() <= question.udp_size) return false;
  const int rcode = out[3] & 15;
  put_header(question, rcode, flag_tc, out);
  put_question(question, out);
  put_opt(question, rcode, {}, out);
  return true;
}

std::vector<std::uint8_t> build_upstream_query(const Query& query, std::uint16_t id,
                                               std::span<const std::uint8_t> case_bits) {
  std::vector<std::uint8_t> out;
  out.reserve(header_octets + query.name.size() + 4 + opt_octets);
  put16(out, id);
  put16(out, flag_rd);
  put16(out, 1);
  put16(out, 0);
  put16(out, 0);
  put16(out, 1);
  std::size_t letter = 0;
  for (const std::uint8_t octet : query.name.wire()) {  // label lengths are below 'a'
    const bool is_letter = octet >= 'a' && octet <= 'z';
    const bool upper =
        is_letter && letter / 8 < case_bits.size() && (case_bits[letter / 8] >> (letter % 8) & 1);
    letter += is_letter;
    out.push_back(upper ? static_cast<std::uint8_t>(octet - 32) : octet);
  }
  put16(out, query.type);
  put16(out, class_in);
  out.push_back(0);
  put16(out, type::OPT);
  put16(out, udp_octets);
  put32(out, 0);
  put16(out, 0);
  return out;
}

}  // namespace postern::wire

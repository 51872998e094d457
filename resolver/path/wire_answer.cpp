// The wire, upstream side: ldns parses answers and renders them. The only file that knows ldns.
#include <algorithm>
#include <cstring>
#include <memory>

#define HAVE_STDBOOL_H 1  // else ldns.h makes `true` an int
#include <ldns/ldns.h>

#include "resolver/path/wire.h"

namespace postern::wire {
namespace {

struct Free {
  void operator()(ldns_pkt* packet) const { ldns_pkt_free(packet); }
  void operator()(ldns_rr* record) const { ldns_rr_free(record); }
  void operator()(ldns_buffer* buffer) const { ldns_buffer_free(buffer); }
};
template <class T>
using Owned = std::unique_ptr<T, Free>;

// A first size, which grows: freeing 64 KiB makes malloc tidy up all its lists, each time.
constexpr std::size_t usual_octets = 2048;
constexpr std::uint32_t max_ttl = 0x7fffffff;  // RFC 2181 section 8: above it a TTL reads as 0

unsigned get16(Octets from, std::size_t at) {
  return static_cast<unsigned>(from[at] << 8 | from[at + 1]);
}

// One record of class IN as a value; false for another class (it is left out) or octets that are no record.
bool to_record(const ldns_rr* from, ldns_buffer* scratch, Record& to) {
  if (ldns_rr_get_class(from) != LDNS_RR_CLASS_IN || ldns_rr_owner(from) == nullptr) return false;
  const ldns_rdf* owner = ldns_rr_owner(from);
  const auto name = Name::from_wire({ldns_rdf_data(owner), ldns_rdf_size(owner)});
  if (!name) return false;
  to.owner = *name;
  to.type = static_cast<Type>(ldns_rr_get_type(from));
  to.ttl = ldns_rr_ttl(from) > max_ttl ? 0 : ldns_rr_ttl(from);
  to.rdata.clear();
  for (std::size_t i = 0; i < ldns_rr_rd_count(from); ++i) {
    ldns_buffer_clear(scratch);
    if (ldns_rdf2buffer_wire(scratch, ldns_rr_rdf(from, i)) != LDNS_STATUS_OK) return false;
    to.rdata.insert(to.rdata.end(), ldns_buffer_begin(scratch), ldns_buffer_current(scratch));
  }
  return true;
}

void read_section(const ldns_rr_list* list, ldns_buffer* scratch, std::vector<Record>& to) {
  const std::size_t count = ldns_rr_list_rr_count(list);  // of 11 octets at least each: 5,956 at most
  to.reserve(count);
  for (std::size_t i = 0; i < count; ++i) {
    Record record;
    if (to_record(ldns_rr_list_rr(list, i), scratch, record)) to.push_back(std::move(record));
  }
}

Owned<ldns_rr> from_record(const Record& record) {
  std::vector<std::uint8_t> octets(record.owner.wire().begin(), record.owner.wire().end());
  const auto put = [&](std::uint32_t value, int width) {
    for (int shift = (width - 1) * 8; shift >= 0; shift -= 8)
      octets.push_back(static_cast<std::uint8_t>(value >> shift));
  };
  if (record.rdata.size() > 0xffff) return nullptr;
  put(record.type, 2);
  put(class_in, 2);
  put(record.ttl, 4);
  put(static_cast<std::uint32_t>(record.rdata.size()), 2);
  octets.insert(octets.end(), record.rdata.begin(), record.rdata.end());
  ldns_rr* made = nullptr;
  std::size_t at = 0;
  if (ldns_wire2rr(&made, octets.data(), octets.size(), &at, LDNS_SECTION_ANSWER) != LDNS_STATUS_OK)
    return nullptr;
  return Owned<ldns_rr>(made);
}

// Past a name in a message that ldns has just rendered.
std::size_t skip_name(Octets message, std::size_t at) {
  while (at < message.size() && message[at] != 0) {
    if (message[at] >= 0xc0) return at + 2;
    at += 1u + message[at];
  }
  return at + 1;
}

// 0: the same octets; 1: the same but for case; 2: another question.
int compare_questions(Octets got, Octets sent) {
  std::size_t end = header_octets;
  while (end < sent.size() && sent[end] != 0) end += 1u + sent[end];
  end += 5;  // the root, type, class
  if (end > sent.size() || end > got.size()) return 2;
  if (std::memcmp(got.data() + header_octets, sent.data() + header_octets, end - header_octets) == 0)
    return 0;
  for (std::size_t i = header_octets; i < end; ++i) {
    const bool in_name = i < end - 4;
    if (in_name ? fold(got[i]) != fold(sent[i]) : got[i] != sent[i]) return 2;
  }
  return 1;
}

}  // namespace

UpstreamMessage parse_answer(Octets message, Octets sent, bool check_case) {
  UpstreamMessage result;
  if (message.size() < header_octets) return result;
  result.match = Match::not_ours;
  if (get16(message, 0) != get16(sent, 0) || !(message[2] & 0x80) || (message[2] & 0x78)) return result;
  const int rcode = message[3] & 15;
  const unsigned questions = get16(message, 4);
  if (questions == 0 && rcode != 0 && rcode != 3) {  // some servers leave the question out when they refuse
    result.match = Match::answer;
    result.answer.rcode = rcode;
    return result;
  }
  if (questions != 1) return result;
  const int differs = compare_questions(message, sent);
  if (differs == 2) return result;
  if (differs == 1 && check_case) {
    result.match = Match::case_differs;
    return result;
  }
  if (message[2] & 0x02) {
    result.match = Match::truncated;
    return result;
  }
  result.match = Match::malformed;
  ldns_pkt* parsed = nullptr;
  if (ldns_wire2pkt(&parsed, message.data(), message.size()) != LDNS_STATUS_OK) return result;
  const Owned<ldns_pkt> packet(parsed);
  const Owned<ldns_buffer> scratch(ldns_buffer_new(usual_octets));
  if (!scratch) return result;
  read_section(ldns_pkt_answer(packet.get()), scratch.get(), result.answer.answer);
  read_section(ldns_pkt_authority(packet.get()), scratch.get(), result.answer.authority);
  result.answer.rcode = rcode;
  result.match = Match::answer;
  return result;
}

Result<Rendered> render(const Query& query, const Answer& answer) {
  const auto bad = [&](const char* why) {
    return failure("cannot render the answer for \"" + query.name.text() + "\" " + type_text(query.type) +
                   ": " + why);
  };
  const Owned<ldns_pkt> packet(ldns_pkt_new());
  if (!packet) return bad("out of memory");
  ldns_rr* question = ldns_rr_new();
  ldns_rdf* owner = ldns_rdf_new_frm_data(LDNS_RDF_TYPE_DNAME, query.name.size(), query.name.wire().data());
  if (question == nullptr || owner == nullptr) return bad("out of memory");
  ldns_rr_set_owner(question, owner);
  ldns_rr_set_type(question, static_cast<ldns_rr_type>(query.type));
  ldns_rr_set_class(question, LDNS_RR_CLASS_IN);
  ldns_rr_set_question(question, true);
  ldns_pkt_push_rr(packet.get(), LDNS_SECTION_QUESTION, question);
  const auto push = [&](const std::vector<Record>& records, ldns_pkt_section section) {
    for (const Record& record : records) {
      Owned<ldns_rr> rr = from_record(record);
      if (!rr) return false;
      ldns_pkt_push_rr(packet.get(), section, rr.release());
    }
    return true;
  };
  if (!push(answer.answer, LDNS_SECTION_ANSWER) || !push(answer.authority, LDNS_SECTION_AUTHORITY))
    return bad("a record is not of its type's form");
  const Owned<ldns_buffer> out(ldns_buffer_new(usual_octets));
  if (!out || ldns_pkt2buffer_wire(out.get(), packet.get()) != LDNS_STATUS_OK)
    return bad("it does not fit a message");
  const std::uint8_t* octets = ldns_buffer_begin(out.get());
  const std::size_t size = ldns_buffer_position(out.get());

  Rendered rendered;
  rendered.message.assign(octets, octets + size);
  rendered.answers = static_cast<std::uint16_t>(answer.answer.size());
  rendered.rcode = answer.rcode;
  std::size_t at = header_octets + query.name.size() + 4;
  const std::size_t records = answer.answer.size() + answer.authority.size();
  for (std::size_t i = 0; i < records; ++i) {
    at = skip_name(rendered.message, at);
    if (at + 10 > size) return bad("a record was cut off");
    rendered.ttl_offsets.push_back(static_cast<std::uint16_t>(at + 4));
    const std::uint32_t ttl = get16(rendered.message, at + 4) << 16 | get16(rendered.message, at + 6);
    rendered.min_ttl = i == 0 ? ttl : std::min(rendered.min_ttl, ttl);
    at += 10 + get16(rendered.message, at + 8);
  }
  if (at != size || size > 0xffff) return bad("it does not fit a message");
  return rendered;
}

Answer reread(const Rendered& rendered) {
  Answer answer;
  answer.rcode = rendered.rcode;
  ldns_pkt* parsed = nullptr;
  if (ldns_wire2pkt(&parsed, rendered.message.data(), rendered.message.size()) != LDNS_STATUS_OK)
    return answer;
  const Owned<ldns_pkt> packet(parsed);
  const Owned<ldns_buffer> scratch(ldns_buffer_new(usual_octets));
  if (!scratch) return answer;
  read_section(ldns_pkt_answer(packet.get()), scratch.get(), answer.answer);
  read_section(ldns_pkt_authority(packet.get()), scratch.get(), answer.authority);
  return answer;
}

}  // namespace postern::wire

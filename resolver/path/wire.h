// The wire: DNS messages in and out. Two halves:
//
//   wire_query.cpp   what sandboxes send and what they get back; no allocation, no library, so that a cache
//   hit stays cheap wire_answer.cpp  what upstreams send: ldns parses and renders it (its only owner)
//
// A query is parsed strictly into a `Question`; a reply is written from values, never by editing what the
// client sent. The only octets of the client that come back are its question, in its own spelling.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "rules/vocabulary.h"

namespace postern::wire {

using Octets = std::span<const std::uint8_t>;

inline constexpr std::size_t header_octets = 12;
inline constexpr std::uint16_t udp_octets = 1232;     // what we send and announce (DNS flag day 2020)
inline constexpr std::size_t plain_udp_octets = 512;  // without EDNS (RFC 1035 section 4.2.1)
inline constexpr std::size_t max_query_octets =
    4096;  // a larger query is refused unread: 255 of name, the rest options
inline constexpr std::uint32_t refusal_ttl =
    5;  // seconds; a refusal is forgotten as soon as policy may have changed
inline constexpr std::size_t ede_text_octets = 160;  // of EXTRA-TEXT

// How far a query was understood.
enum class Parsed : std::uint8_t {
  ok,
  drop,  // not a query (QR set) or too short to hold an id and flags: never answered, or two resolvers would
         // talk for ever
  formerr,  // QDCOUNT other than 1, bad name, bad sections
  notimp,   // opcode other than QUERY
  badvers,  // EDNS version above 0 (RFC 6891)
};

// A query as the path needs it.
struct Question {
  std::uint16_t id = 0;
  std::uint16_t flags = 0;  // as received: RD and CD are echoed
  Query query;
  std::uint16_t query_class = class_in;
  bool edns = false;
  bool dnssec_ok = false;
  std::uint16_t udp_size = plain_udp_octets;  // what the client can take over UDP
  bool has_question = false;                  // the name below is there to be echoed, also with formerr
  std::uint8_t
      spelling[Name::max_octets];  // the client's own letters, in wire form; query.name.size() octets
};

Parsed parse_query(Octets message, Question& question) noexcept;

// What goes beside the answer.
struct Extra {
  Ede ede = Ede::none;
  std::string_view text;  // cut at ede_text_octets; sent only to a client that sent EDNS
};

// A reply without records: REFUSED, SERVFAIL, FORMERR, NOTIMP, BADVERS (rcode 16).
void write_empty(const Question& question, int rcode, Extra extra, std::vector<std::uint8_t>& out);
// NXDOMAIN or NODATA made here: a SOA whose owner is the name's parent (RFC 2308; TTL and minimum 5 s).
void write_negative(const Question& question, Rcode rcode, Extra extra, std::vector<std::uint8_t>& out);

// A rendered answer, ready to be copied: header, lower-case question, records; no OPT. TTLs stand at the
// offsets.
struct Rendered {
  std::vector<std::uint8_t> message;
  std::vector<std::uint16_t> ttl_offsets;
  std::uint16_t answers = 0;
  std::uint32_t min_ttl = 0;  // seconds, over all records; 0 if there are none
  int rcode = 0;
};
// Copies `rendered` for this client: id, flags, spelling, TTLs made `age` seconds less (not below 1), OPT.
void write_rendered(const Question& question, const Rendered& rendered, std::uint32_t age, Extra extra,
                    std::vector<std::uint8_t>& out);
// Over UDP: if `out` is over the client's size, replaces it by header, question and OPT with TC set. True if
// it did.
bool truncate(const Question& question, std::vector<std::uint8_t>& out);

// The query for an upstream, built anew (promise 3): id, RD, one question spelled with `case_bits` (bit i
// flips the i-th letter), class IN, one OPT of 1232 octets. Nothing else.
std::vector<std::uint8_t> build_upstream_query(const Query& query, std::uint16_t id,
                                               std::span<const std::uint8_t> case_bits);

// What an upstream's message is, compared with the query that it claims to answer.
enum class Match : std::uint8_t {
  answer,
  truncated,     // TC: ask again over TCP
  case_differs,  // the question came back in another spelling: forged, or a server that folds case; ask again
                 // over TCP
  not_ours,      // another id, question, opcode, or not a response
  malformed,
};
struct UpstreamMessage {
  Match match = Match::malformed;
  Answer answer;  // names in rdata uncompressed, owners in lower case
};
// `check_case`: over UDP. Never throws; a message ldns cannot read is `malformed`.
UpstreamMessage parse_answer(Octets message, Octets sent, bool check_case);

// Renders records (compressed) behind the question `query`. Fails when it would be over 65,535 octets or
// rdata is not its type's form.
Result<Rendered> render(const Query& query, const Answer& answer);
// The records of a rendered message again, for inspection under a new policy.
Answer reread(const Rendered& rendered);

}  // namespace postern::wire

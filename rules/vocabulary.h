// The words every part speaks: types, queries, records, answers, sandboxes, verdicts. Values only.
//
// Words as in RFC 9499. A sandbox asks, policy decides, the meter charges, the detector scores, the verdict
// is final, the journal remembers.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "rules/name.h"

namespace postern {

// RR types and QTYPEs by their IANA numbers; any 16-bit value may occur.
using Type = std::uint16_t;
namespace type {
inline constexpr Type A = 1, NS = 2, CNAME = 5, SOA = 6, NULL_ = 10, PTR = 12, MX = 15, TXT = 16, KEY = 25,
                      AAAA = 28, SRV = 33, NAPTR = 35, DNAME = 39, OPT = 41, DS = 43, RRSIG = 46, DNSKEY = 48,
                      SVCB = 64, HTTPS = 65, IXFR = 251, AXFR = 252, ANY = 255, CAA = 257, PRIVATE = 65399;
}
std::string type_text(Type type);                           // "AAAA", or "TYPE65280" (RFC 3597)
std::optional<Type> type_from_text(std::string_view text);  // either spelling, any case

// Response codes of the header (RFC 1035, RFC 6895); values above 15 need EDNS and do not occur here.
enum class Rcode : std::uint8_t {
  noerror = 0,
  formerr = 1,
  servfail = 2,
  nxdomain = 3,
  notimp = 4,
  refused = 5
};
std::string rcode_text(int rcode);  // "NOERROR", "NXDOMAIN", ..., "RCODE11"

// Extended DNS Error codes used here (RFC 8914).
enum class Ede : std::int16_t {
  none = -1,
  other = 0,
  stale = 3,
  blocked = 15,
  filtered = 17,
  no_reachable_authority = 22,
  network_error = 23
};

inline constexpr std::uint16_t class_in = 1;

struct Query {
  Name name;
  Type type = type::A;
};

// One RR of an answer: names inside `rdata` are uncompressed.
struct Record {
  Name owner;
  Type type = 0;
  std::uint32_t ttl = 0;  // seconds
  std::vector<std::uint8_t> rdata;
};

// What an upstream said, or what policy answers by itself.
struct Answer {
  int rcode = 0;
  std::vector<Record> answer;
  std::vector<Record> authority;
};

// Who asks. Fixed from attach to detach; the socket a query arrives on is the sandbox.
struct Sandbox {
  std::string name;     // unique among the attached ones
  std::string session;  // empty: "user/code_sha256" stands for it
  std::string user;
  std::string code_sha256;  // hex, or empty when unknown
  std::map<std::string, std::string> labels;
  std::string policy;            // the named policy it is under; empty: "default"
  bool record_protected = true;  // false: the command shares Postern's uid and could alter the record
};

// The session's name on record: its own, or what stands for it.
std::string session_text(const Sandbox& sandbox);

enum class Action : std::uint8_t {
  allow,       // may be answered from the cache or forwarded
  block_name,  // NXDOMAIN
  block_data,  // NODATA
  local,       // Postern answers by itself; nothing leaves
  refuse,      // REFUSED: not for this resolver (class other than IN)
  drop,        // no reply at all (RPZ DROP)
};

enum class Reason : std::uint8_t {
  rule,             // an inline rule spoke
  list,             // an entry of a list
  policy_default,   // nothing spoke
  type,             // this type is not permitted
  name_form,        // octets that host names do not have, or over a limit
  special_use,      // RFC 6761, RFC 6303, or a name that would lead clients around Postern
  single_label,     // a name without a dot is local
  local_data,       // hosts entries and zones of the policy
  answer_address,   // the answer held an address of a refused class
  answer_target,    // the answer's CNAME, DNAME or SVCB target is blocked
  tunnel,           // this zone is blocked for the session: the detector's verdict
  budget,           // the leak budget is spent
  quarantine,       // the session may not ask any more
  query_class,      // class other than IN
  answer_referral,  // the default refuses, but an SRV, MX, SVCB or HTTPS answer has named it to this sandbox
  secret,           // the name holds a secret of the session
};
std::string_view action_text(
    Action action);  // what the journal says: "allowed", "blocked", "local", "refused", "dropped"
std::string_view reason_text(Reason reason);  // "rule", "default", ...

// Which rule spoke: an index into the policy's own table, 0 when none did. `Policy::rule_text` prints it.
using RuleId = std::uint32_t;

struct Verdict {
  Action action = Action::block_name;  // fail closed
  Reason reason = Reason::policy_default;
  RuleId rule = 0;
  // With Action::local: what to answer; lives as long as the policy. It serves many names, so records in its
  // *answer* section that are owned by the root are meant for the name that was asked: put that name there.
  // Authority is sent as it stands.
  const Answer* local = nullptr;
  // True: nothing is refused, but `reason` and `rule` say what would have been (`mode: observe`, `observe:`).
  bool observed = false;
  // With Action::allow: which of the policy's groups of upstreams is asked (Policy::upstream_group); 0: the
  // usual.
  std::uint16_t route = 0;
};

}  // namespace postern

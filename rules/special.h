// Special names: those that policy answers by itself.
//
// They are not in the public DNS, or would lead clients around Postern, or to a cloud's credentials.
// A special name acts like a built-in rule at its zone. An inline rule at the zone or below it takes
// over for the names that it matches (`allow: ["**.internal"]`); a rule further up does not.
// `example`, `example.com` and their kin are *not* special here: RFC 6761 section 6.5 tells resolvers
// to treat them like any other name.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "rules/vocabulary.h"

namespace postern {

enum class SpecialKind : std::uint8_t {
  absent,          // NXDOMAIN for the zone and all below it
  empty_zone,      // the zone exists and is empty: NODATA at its apex, NXDOMAIN below (RFC 6303)
  no_data,         // NODATA for the zone and all below it
  loopback,        // A 127.0.0.1 and AAAA ::1 for the zone and all below it
  loopback_name,   // PTR localhost at the apex, NXDOMAIN below
  cloud_metadata,  // blocked like a rule's name: it is never innocent
};

struct SpecialName {
  std::string_view zone;
  SpecialKind kind;
  std::string_view what;  // "special name **.onion (RFC 7686)": what rule_text says
};
std::span<const SpecialName> special_names() noexcept;

// True for a name at or below a zone of the table. Builds text: not for the path.
bool is_special_use(const Name& name);

// Seconds. Short, so that a changed policy is seen soon and a name that comes to life is found (promise 5).
inline constexpr std::uint32_t local_ttl = 5;

// The SOA record of a local answer (RFC 2308): owner `zone`, TTL and minimum local_ttl.
Record local_soa(const Name& zone);

// The answers for one zone, made once. Owners in `answer` sections are the root: the
// path puts the query's name there.
struct SpecialAnswers {
  explicit SpecialAnswers(const Name& zone);
  Answer absent;   // NXDOMAIN
  Answer no_data;  // NOERROR, nothing
};
struct LoopbackAnswers {
  LoopbackAnswers();
  Answer v4, v6, name;
};
// All of them; shared by the policies of a set, immutable.
struct BuiltinAnswers {
  BuiltinAnswers();
  std::vector<SpecialAnswers> special;  // by index in special_names()
  SpecialAnswers root;                  // for single labels: the SOA's owner must be an ancestor
  LoopbackAnswers loopback;
};

}  // namespace postern

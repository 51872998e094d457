// The answer's own chain: unrelated records never reach a client or the cache.
#include "resolver/path/chain.h"

#include <algorithm>

namespace postern {
namespace {

constexpr std::size_t max_steps = 16;  // real chains have up to about 8

}  // namespace

void keep_chain(const Query& query, Answer& answer) {
  std::vector<Record> kept;
  Name at = query.name;
  bool reached = false;
  const bool alias_is_answer = query.type == type::CNAME || query.type == type::ANY;
  for (std::size_t step = 0; step < max_steps && !reached; ++step) {
    for (Record& record : answer.answer) {
      const bool wanted =
          record.type == query.type || (query.type == type::ANY && record.type != type::RRSIG);
      if (wanted && record.owner == at) {
        kept.push_back(std::move(record));
        record.type = 0;  // moved out
        reached = true;
      }
    }
    if (reached || alias_is_answer) break;
    const Record* alias = nullptr;
    for (Record& record : answer.answer) {
      if (record.type == type::DNAME && at.below(record.owner)) {
        kept.push_back(std::move(record));  // the CNAME made from it follows
        record.type = 0;
      }
    }
    for (Record& record : answer.answer) {
      if (record.type == type::CNAME && record.owner == at) {
        kept.push_back(std::move(record));
        record.type = 0;
        alias = &kept.back();
        break;  // a name has one CNAME (RFC 2181 section 10.1)
      }
    }
    const auto target = alias != nullptr ? Name::from_wire(alias->rdata) : std::nullopt;
    if (!target) break;
    at = *target;
  }
  answer.answer = std::move(kept);
  std::vector<Record> authority;
  const bool negative = answer.rcode == 3 || !reached;
  if (negative) {
    const auto soa = std::find_if(
        answer.authority.begin(), answer.authority.end(),
        [&](const Record& record) { return record.type == type::SOA && at.at_or_below(record.owner); });
    if (soa != answer.authority.end()) authority.push_back(std::move(*soa));
  }
  answer.authority = std::move(authority);
}

}  // namespace postern

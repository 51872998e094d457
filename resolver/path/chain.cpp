// The answer's own chain: unrelated records never reach a client or the cache.
#include "resolver/path/chain.h"

#include <algorithm>
#include <optional>

namespace postern {
namespace {

constexpr std::size_t max_steps = 16;  // real chains have up to about 8

// Whether a DNAME makes `from` an alias of `to` (RFC 6672 section 2.2).
bool leads(const Record& dname, const Name& from, const Name& to) {
  if (!from.below(dname.owner)) return false;
  const std::optional<Name> target = Name::from_wire(dname.rdata);
  const std::size_t kept_octets = from.size() - dname.owner.size();  // of the labels that stay
  return target && to.size() == kept_octets + target->size() && to.at_or_below(*target) &&
         std::equal(to.wire().begin(), to.wire().begin() + static_cast<std::ptrdiff_t>(kept_octets),
                    from.wire().begin());
}

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
    const auto alias = std::find_if(answer.answer.begin(), answer.answer.end(), [&](const Record& record) {
      return record.type == type::CNAME && record.owner == at;  // a name has one (RFC 2181 section 10.1)
    });
    if (alias == answer.answer.end()) break;
    const auto target = Name::from_wire(alias->rdata);
    for (Record& record : answer.answer) {
      if (record.type == type::DNAME && target && leads(record, at, *target)) {
        kept.push_back(std::move(record));  // the alias made from it follows
        record.type = 0;
      }
    }
    kept.push_back(std::move(*alias));
    alias->type = 0;
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

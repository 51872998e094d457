// List: what one list says of a name or an address.
#include "rules/list.h"

#include <algorithm>
#include <tuple>

#include "rules/list_parts.h"
#include "rules/name_set_walk.h"

namespace postern {
namespace {

// What an entry says, ready to be compared with another of the same list.
struct Candidate {
  ListAction action = ListAction::block;
  bool important = false;
  NameSet::Entry entry;
  const Answer* local = nullptr;

  bool lifts() const noexcept { return action == ListAction::allow; }
  // Of two entries of the same list, which blocks more: blocks beat records, and those an exception.
  int severity() const noexcept {
    switch (action) {
      case ListAction::block:
        return 4;
      case ListAction::drop:
        return 3;
      case ListAction::no_data:
        return 2;
      case ListAction::local:
        return 1;
      case ListAction::allow:
        break;
    }
    return 0;
  }
  auto place() const noexcept { return std::tuple(entry.depth, entry.scope == Pattern::Scope::exact); }
};

bool applies(const ListDetail& detail, const Query& query) noexcept {
  if (!detail.types.empty()) {
    const bool named = std::find(detail.types.begin(), detail.types.end(), query.type) != detail.types.end();
    if (named == detail.types_excluded) return false;
  }
  return std::none_of(detail.except.begin(), detail.except.end(),
                      [&](const Name& name) { return query.name.at_or_below(name); });
}

bool beats(const Candidate& one, const Candidate& other, ListFormat format) noexcept {
  if (format == ListFormat::rpz)
    return std::tuple(one.place(), one.severity()) > std::tuple(other.place(), other.severity());
  return std::tuple(one.important, one.lifts(), one.place(), one.severity()) >
         std::tuple(other.important, other.lifts(), other.place(), other.severity());
}

}  // namespace

const Answer* List::Detail::answer_for(Type type) const noexcept {
  const auto answer = std::find_if(answers.begin(), answers.end(), [&](const auto& one) {
    return one.first == type || one.first == type::CNAME;
  });
  return answer == answers.end() ? nullptr : &answer->second;
}

const List::Detail* List::detail_of(std::uint32_t index) const noexcept {
  const auto found = std::lower_bound(extras_.begin(), extras_.end(), std::pair{index, 0u});
  if (found == extras_.end() || found->first != index || found->second > details_.size()) return nullptr;
  return &details_[found->second - 1];
}

bool List::is_mark(NameSet::Kind kind) noexcept {
  return (kind & list_kind::beneath) != 0;
}

List::Line List::line_of(const Name& name, const NameSet::Entry& entry) const noexcept {
  const Detail* const detail = (entry.kind & list_kind::has_detail) != 0 ? detail_of(entry.index) : nullptr;
  return {name, entry.scope, list_kind::action_of(entry.kind), names_.line(entry.index),
          detail != nullptr ? &detail->written : nullptr};
}

ListFinding List::judge(const Query& query) const noexcept {
  ListFinding finding;
  Candidate best;
  names_.walk(query.name, [&](const NameSet::Entry& entry) {
    const ListAction written = list_kind::action_of(entry.kind);
    if (entry.kind & list_kind::beneath) {
      finding.allowed_beneath = true;
      finding.records_beneath |= written == ListAction::local;
      return;
    }
    const bool opens = written == ListAction::allow || written == ListAction::local;
    if (opens && entry.scope != Pattern::Scope::exact) {
      finding.allowed_beneath = true;
      finding.records_beneath |= written == ListAction::local;
    }
    Candidate candidate{written, (entry.kind & list_kind::important) != 0, entry, nullptr};
    if (candidate.action == ListAction::local)
      candidate.action = ListAction::no_data;  // until records are found
    if (entry.kind & list_kind::has_detail) {
      const Detail* const detail = detail_of(entry.index);
      if (detail == nullptr) return;
      const ListDetail& limits = detail->written;
      if (!applies(limits, query)) {
        if (opens && !limits.types.empty()) finding.allowed_beneath = true;  // the name, for other types
        return;
      }
      // Where it says nothing of other types, or of names below, NXDOMAIN would.
      if (!limits.types.empty() || std::any_of(limits.except.begin(), limits.except.end(),
                                               [&](const Name& one) { return one.below(query.name); }))
        finding.allowed_beneath = true;
      if (written == ListAction::local) {
        candidate.local = detail->answer_for(query.type);
        if (candidate.local != nullptr) candidate.action = ListAction::local;
      }
    }
    if (finding.spoke && !beats(candidate, best, report_.format)) return;
    finding.spoke = true;
    best = candidate;
  });
  if (!finding.spoke) return finding;
  finding.action = best.action;
  finding.important = best.important;
  finding.scope = best.entry.scope;
  finding.depth = best.entry.depth;
  finding.line = names_.line(best.entry.index);
  finding.local = best.local;
  return finding;
}

const ListRange* List::range_for(const Address& address) const noexcept {
  const auto after = std::upper_bound(segments_.begin(), segments_.end(), address,
                                      [](const Address& asked, const Segment& segment) {
                                        return address_order(asked) < address_order(segment.from);
                                      });
  if (after == segments_.begin()) return nullptr;
  const Segment& segment = *(after - 1);
  if (segment.from.v6 != address.v6 || segment.range >= ranges_.size()) return nullptr;
  return &ranges_[segment.range];
}

RangeFinding List::judge_address(const Address& address, Type type) const noexcept {
  RangeFinding finding;
  finding.range = range_for(address);
  if (finding.range == nullptr) return finding;
  finding.action = finding.range->action;
  if (finding.action != ListAction::local) return finding;
  const std::size_t detail = finding.range->detail;
  if (detail != 0 && detail <= details_.size()) finding.local = details_[detail - 1].answer_for(type);
  if (finding.local == nullptr) finding.action = ListAction::no_data;
  return finding;
}

std::size_t List::octets() const noexcept {
  std::size_t sum = sizeof *this + names_.octets() + extras_.capacity() * sizeof extras_[0] +
                    ranges_.capacity() * sizeof ranges_[0] + segments_.capacity() * sizeof segments_[0] +
                    details_.capacity() * sizeof details_[0];
  for (const Detail& detail : details_) {
    sum += detail.written.except.capacity() * sizeof(Name) +
           detail.answers.capacity() * sizeof detail.answers[0];
    for (const auto& [type, answer] : detail.answers) sum += 2 * answer.answer.capacity() * sizeof(Record);
  }
  return sum;
}

}  // namespace postern

// ListBuilder: what is done with each entry as it is read, and how a list is made of them.
#include <algorithm>
#include <unordered_map>
#include <unordered_set>

#include "rules/list.h"
#include "rules/list_parts.h"
#include "rules/name_set_builder.h"

namespace postern {
namespace {

// Octets that the distinct details of a list may have: each record and each excepted name costs some hundred
// octets of memory, and a list could hold nothing else.
constexpr std::size_t most_detail_octets = 16 << 20;
// Ranges of a list: a search takes longer with their logarithm, memory grows with their number.
constexpr std::size_t most_ranges = 1'000'000;

std::string octets_of(const ListDetail& detail) {
  std::string octets;
  OctetWriter out(octets);
  write_detail(out, detail);
  return octets;
}

std::string wire_of(const Name& name) {
  return {name.wire().begin(), name.wire().end()};
}

std::string details_take_too_much() {
  return "its types, exceptions and records take more than " + std::to_string(most_detail_octets >> 20) +
         " MiB";
}

void add_skipped(ListReport& report, const std::string& cause, std::size_t lines) {
  if (lines == 0) return;
  SkippedLines skipped;
  skipped.cause = cause;
  skipped.lines = lines;
  report.skipped.push_back(std::move(skipped));
  std::stable_sort(report.skipped.begin(), report.skipped.end(),
                   [](const SkippedLines& a, const SkippedLines& b) { return a.lines > b.lines; });
}

}  // namespace

struct ListBuilder::State {
  // Details are kept once. Returns the place in `details` + 1, or 0 where there is no more room.
  std::uint32_t intern(const ListDetail& detail) {
    std::string octets = octets_of(detail);
    if (const auto found = known.find(octets); found != known.end()) return found->second;
    if (detail_octets + octets.size() > most_detail_octets) return 0;
    detail_octets += octets.size();
    details.push_back(detail);
    known.emplace(std::move(octets), static_cast<std::uint32_t>(details.size()));
    return static_cast<std::uint32_t>(details.size());
  }

  // NXDOMAIN for a name above this one would deny it: a mark on each of them, of its own for what is allowed
  // and for what has records: a list that blocks allows nothing, but its records are answered.
  void mark_above(const Name& name, Pattern::Scope scope, ListAction action) {
    const bool records = action == ListAction::local;
    const NameSet::Kind mark = list_kind::beneath | list_kind::of(records ? ListAction::local : ListAction{});
    std::unordered_set<std::string>& marked = records ? marked_records : marked_allowed;
    Name above = name;
    if (scope == Pattern::Scope::exact) {
      if (name.is_root()) return;
      above = name.parent();
    }
    while (marked.insert(wire_of(above)).second) {
      names.add(above, Pattern::Scope::exact, mark, 0);
      if (above.is_root()) break;
      above = above.parent();
    }
  }

  NameSetBuilder names;
  std::vector<ListDetail> details;                       // an entry's extra in `names` is its place + 1
  std::unordered_map<std::string, std::uint32_t> known;  // octets -> that; so equal ones are kept once
  std::unordered_set<std::string> marked_allowed, marked_records;
  std::vector<ListRange> ranges;
  std::size_t detail_octets = 0;
  std::size_t no_name = 0, range_of_allows = 0;
  // The first line that went past a limit, and which. To leave it out would block less than the list says.
  std::uint32_t excess_line = 0;
  std::string excess;
  void refuse(std::uint32_t line, std::string why) {
    if (excess.empty()) excess_line = line, excess = std::move(why);
  }
};

ListBuilder::ListBuilder(ListMeaning meaning) : meaning_(meaning), state_(std::make_unique<State>()) {}
ListBuilder::~ListBuilder() = default;

void ListBuilder::entry(const ListEntry& entry, const ListDetail* detail) {
  State& state = *state_;
  ListAction action = entry.action;
  if (meaning_ == ListMeaning::allows) {
    if (action == ListAction::local) {
      ++state.no_name;
      return;
    }
    action = ListAction::allow;
  }
  NameSet::Kind kind = list_kind::of(action);
  if (entry.important) kind |= list_kind::important;
  const bool has_records = detail != nullptr && !detail->local.answer.empty();
  if (action == ListAction::allow || (action == ListAction::local && has_records))
    state.mark_above(entry.name, entry.scope, action);
  if (detail == nullptr) {
    state.names.add(entry.name, entry.scope, kind, entry.line);
    return;
  }
  const std::uint32_t place = state.intern(*detail);
  if (place == 0) return state.refuse(entry.line, details_take_too_much());
  state.names.add(entry.name, entry.scope, kind | list_kind::has_detail, entry.line, place);
}

void ListBuilder::range(const ListRange& range, const ListDetail* detail) {
  State& state = *state_;
  if (meaning_ == ListMeaning::allows) {
    ++state.range_of_allows;
    return;
  }
  if (state.ranges.size() >= most_ranges)
    return state.refuse(range.line, "it has more than " + std::to_string(most_ranges) + " ranges");
  const std::uint32_t place = detail != nullptr ? state.intern(*detail) : 0;
  if (detail != nullptr && place == 0) return state.refuse(range.line, details_take_too_much());
  state.ranges.push_back(range);
  state.ranges.back().detail = place;
}

Result<std::shared_ptr<const List>> ListBuilder::finish(ListReport report) {
  State& state = *state_;
  if (!state.excess.empty())
    return failure("line " + std::to_string(state.excess_line) + ": " + state.excess);
  Result<NameSetBuilder::Built> built = state.names.build();
  if (!built) return tl::unexpected(built.error());
  if (built->crowded > 0)
    return failure("it has more than " + std::to_string(NameSet::most_of_a_name) +
                   " entries for one name that differ in types, exceptions or records");
  const std::shared_ptr<List> list(new List);
  list->names_ = std::move(built->set);
  list->extras_ = std::move(built->extras);
  list->ranges_ = std::move(state.ranges);

  list->extras_.shrink_to_fit();
  list->prepare(std::move(state.details));

  report.entries -= std::min<std::uint64_t>(report.entries, state.no_name);
  report.ranges -= std::min<std::uint64_t>(report.ranges, state.range_of_allows);
  add_skipped(report, "records in a list that allows", state.no_name);
  add_skipped(report, "a range in a list that allows", state.range_of_allows);
  list->report_ = std::move(report);
  state_ = std::make_unique<State>();
  return list;
}

}  // namespace postern

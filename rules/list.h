// List: one list of names that somebody else keeps, ready to be asked. Immutable; any thread.
//
// The story: `read_list` (list_text.h) reads a file of whatever format and hands its entries to a
// `ListBuilder`, which sorts them into a NameSet (name_set.h) and puts what only few entries have (types,
// exceptions, records) beside it. `judge` asks the list alone; how lists stand among each other and to inline
// rules is the policy's matter. list_image.h keeps a list in a cache file. All lists of a policy are swapped
// by a pointer.
//
// Within one list:
//   RPZ      the exact name beats a wildcard, the longer wildcard the shorter, whatever they want done
//   others   `important` beats what is not; then an exception lifts blocks; then the longer name beats the
//   shorter
//            and the exact pattern the wildcard; then a block beats records
// An entry whose $dnstype leaves out the query's type, or whose $denyallow holds its name, is not there.
//
// Memory: the set, about 25 octets an entry, and for entries with details 8 octets and each distinct detail
// once.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "rules/list_entry.h"
#include "rules/name_set.h"

namespace postern {

struct ListOptions;  // list_text.h

// `action: allow` in a policy: whatever the file would block or allow is allowed; what it answers itself
// counts for nothing.
enum class ListMeaning : std::uint8_t { as_written, allows };

// What a list says of a query.
struct ListFinding {
  bool spoke = false;  // false: the rest says nothing, except allowed_beneath
  ListAction action = ListAction::block;
  bool important = false;
  Pattern::Scope scope = Pattern::Scope::exact;  // of the entry that decided
  std::uint8_t depth = 0;                        // labels of its name: query.name.suffix(depth)
  std::uint32_t line = 0;
  // With ListAction::local: the records for the query's type, as Verdict::local wants them; lives as long as
  // the list. Never empty: a name with records of other types only has ListAction::no_data.
  const Answer* local = nullptr;
  // The list allows a name strictly below this one, or has records there: NXDOMAIN would deny that too
  // (RFC 8020); or an entry leaves out other types of this name, or names below, or allows only other types.
  // May be true where an entry that is stronger blocks that name after all.
  bool allowed_beneath = false;
  bool records_beneath = false;  // of these: it has records there
};

// What a list says of an address in an answer.
struct RangeFinding {
  const ListRange* range = nullptr;  // null: nothing
  // The range's; but a range with records of other types only has ListAction::no_data.
  ListAction action = ListAction::block;
  const Answer* local = nullptr;  // with ListAction::local: as in ListFinding
};

class List {
 public:
  // Reads a whole file (plain or gzip). Errors: those of read_list, and more entries than a set can hold;
  // they quote the file's name as `options` has it.
  static Result<std::shared_ptr<const List>> build(std::string_view text, const ListOptions& options,
                                                   ListMeaning meaning = ListMeaning::as_written);

  // Total; allocates nothing.
  ListFinding judge(const Query& query) const noexcept;
  // The longest range that holds this address, as it stands (an address inside another is the caller's
  // matter: see meanings() in address.h); null if there is none. A binary search.
  const ListRange* range_for(const Address& address) const noexcept;
  // That range, and what it means for an answer to a question of `type`.
  RangeFinding judge_address(const Address& address, Type type) const noexcept;
  bool has_ranges() const noexcept { return !ranges_.empty(); }

  // An entry of the file. Name and detail are gone after the visit.
  struct Line {
    const Name& name;
    Pattern::Scope scope;
    ListAction action;
    std::uint32_t number;      // of the line
    const ListDetail* detail;  // null: none
  };
  // Calls visit(const Line&) for every entry, in no order; not for the path. Allocates nothing.
  template <class Visit>
  void each_line(Visit&& visit) const {
    names_.each([&](const Name& name, const NameSet::Entry& entry) {
      if (is_mark(entry.kind)) return;
      visit(line_of(name, entry));
    });
  }
  // Its address ranges, and what they want done.
  std::span<const ListRange> ranges() const noexcept { return ranges_; }

  const ListReport& report() const noexcept { return report_; }
  std::size_t octets() const noexcept;  // of memory, about

 private:
  friend class ListBuilder;
  friend class ListImage;  // list_image.h

  // A detail, and the answers that can be made of it.
  struct Detail {
    ListDetail written;
    std::vector<std::pair<Type, Answer>> answers;  // by type; empty if there are no records
    // The records for a question of `type`; null if there are none. An alias stands for every type.
    const Answer* answer_for(Type type) const noexcept;
  };
  // Of the addresses from `from` on, up to the next segment: which range; none if it is over.
  struct Segment {
    Address from;
    std::uint32_t range;
  };

  List() = default;
  const Detail* detail_of(std::uint32_t index) const noexcept;
  static bool is_mark(NameSet::Kind kind) noexcept;  // no line of the file
  Line line_of(const Name& name, const NameSet::Entry& entry) const noexcept;
  void prepare(std::vector<ListDetail> details);  // details_, and segments_ of ranges_

  NameSet names_;
  std::vector<std::pair<std::uint32_t, std::uint32_t>>
      extras_;  // (index in names_, place in details_ + 1), by index
  std::vector<Detail> details_;
  std::vector<ListRange> ranges_;
  std::vector<Segment> segments_;  // IPv4 before IPv6, ascending
  ListReport report_;
};

// Where the entries of one list are gathered, in any order.
class ListBuilder final : public ListSink {
 public:
  explicit ListBuilder(ListMeaning meaning = ListMeaning::as_written);
  ~ListBuilder() override;
  void entry(const ListEntry& entry, const ListDetail* detail) override;
  void range(const ListRange& range, const ListDetail* detail) override;
  // `report` is what read_list said; entries that are left out here are added to its skipped lines. Ends the
  // builder.
  Result<std::shared_ptr<const List>> finish(ListReport report);

 private:
  struct State;
  ListMeaning meaning_;
  std::unique_ptr<State> state_;
};

}  // namespace postern

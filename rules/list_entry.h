// The words of lists: what one line of a list says, in whatever format it was written.
//
// Lists are files of names that somebody else keeps: plain domains, hosts files, the DNS part of adblock
// syntax, RPZ zones (docs/RULES.md). `read_list` (list_text.h) turns text into entries; `List` (list.h) holds
// a million of them and is asked by the policy.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "rules/address.h"
#include "rules/pattern.h"
#include "rules/vocabulary.h"

namespace postern {

enum class ListFormat : std::uint8_t { domains, hosts, adblock, rpz };

// What an entry wants done. RPZ has a word for each; other formats use block, allow and local.
enum class ListAction : std::uint8_t {
  block,    // NXDOMAIN
  no_data,  // RPZ NODATA (CNAME *.)
  drop,     // RPZ DROP (CNAME rpz-drop.): no reply
  allow,    // adblock @@, RPZ PASSTHRU: lifts what the same list would block
  local,    // RPZ local data, hosts lines with an address of their own: answered with ListDetail::local
};

// What only few entries have.
struct ListDetail {
  std::vector<Type> types;      // $dnstype: the entry is about these types only; empty: about all
  bool types_excluded = false;  // $dnstype=~A: about all but these
  std::vector<Name> except;     // $denyallow: not about these names and what is below them
  Answer local;                 // records; owned by the root where they are meant for the name that was asked
};

struct ListEntry {
  Name name;
  Pattern::Scope scope = Pattern::Scope::exact;
  ListAction action = ListAction::block;
  bool important = false;  // adblock $important
  std::uint32_t line = 0;  // of the file, from 1
};

// RPZ rpz-ip: an answer that holds an address of this range.
struct ListRange {
  AddressRange range;
  ListAction action = ListAction::block;
  std::uint32_t line = 0;
  std::uint32_t detail = 0;  // in a List: the place of its records + 1, with ListAction::local; else 0
};

// Lines that were not used, by cause.
struct SkippedLines {
  static constexpr std::size_t quoted_lines = 3;  // of a cause: enough to see what is meant

  std::string cause;  // "unknown modifier", "a label of over 63 octets", ...
  std::uint64_t lines = 0;
  std::vector<std::string> first;  // "ads.txt:17: \"||x^$popup\""
};

// What became of a file.
struct ListReport {
  ListFormat format = ListFormat::domains;
  std::uint64_t lines = 0, blank = 0;  // blank: empty lines, comments, headers
  std::uint64_t entries = 0, ranges = 0;
  std::vector<SkippedLines> skipped;  // most lines first

  std::uint64_t skipped_lines() const noexcept {
    std::uint64_t sum = 0;
    for (const SkippedLines& cause : skipped) sum += cause.lines;
    return sum;
  }
};

// Where entries go as they are read. `detail` is null where there is none, and is gone after the call.
class ListSink {
 public:
  virtual ~ListSink() = default;
  virtual void entry(const ListEntry& entry, const ListDetail* detail) = 0;
  virtual void range(const ListRange& range, const ListDetail* detail) = 0;
};

}  // namespace postern

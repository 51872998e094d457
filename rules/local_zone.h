// LocalZones: the zones that a policy answers by itself, as an authoritative server would.
//
// A name of a zone gets its records; a name that exists without such records gets NODATA, one that does not
// exist NXDOMAIN, both with the zone's SOA; `*.NAME` stands for the names below NAME that nothing else is
// known of, up to the closest name that exists (RFC 4592); a CNAME is followed through all local zones. A
// name belongs to the deepest zone at or above it.
//
// Built once: every answer that can be given is made then, so that asking allocates nothing. Thread: any.
// Memory: about twice the records, and for each CNAME an answer for each type that the zones have.
#pragma once

#include <map>
#include <optional>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "rules/vocabulary.h"

namespace postern {

// A zone as it was written. `text` is what rule_text says of it.
struct ZoneSpec {
  Name apex;
  std::vector<Record> records;
  std::string text;
};

class LocalZones {
 public:
  static constexpr std::size_t max_alias_steps = 8;  // of a chain of CNAMEs; stubs follow no more either

  LocalZones() = default;
  // `hosts`: A and AAAA records that stand beside the zones and that their CNAMEs may lead to. `elsewhere`:
  // names of which others know more (forwarded zones), so that what is above them exists. The zones must be
  // in order
  // (`fault`); their apexes differ and are not the root.
  LocalZones(std::span<const ZoneSpec> zones, std::span<const Record> hosts, std::span<const Name> elsewhere);

  // The first thing that is wrong with zones, beyond what a single record can show; nothing if they are in
  // order: a CNAME beside other data or at a zone's name, a CNAME out of the zones, in a circle or over
  // max_alias_steps, NS below a zone's name, a record that lies in a deeper zone or a forwarded one.
  static std::optional<std::string> fault(std::span<const ZoneSpec> zones, std::span<const Record> hosts,
                                          std::span<const Name> elsewhere);

  // The answer for a name at or below zone `index`. In its answer section, records that are owned by the root
  // are meant for the name that was asked (Verdict::local).
  const Answer& answer(std::size_t index, const Query& query) const noexcept;

 private:
  struct Node {
    std::uint32_t zone = 0;
    std::uint32_t wildcard = 0;  // index + 1 of the node `*.NAME`
    bool is_wildcard = false;
    std::vector<Record> records;
    std::vector<std::pair<Type, Answer>> answers;
    Answer all, other;  // for ANY (RFC 8482 lets us send what there is), and for types that are not here
  };
  struct Zone {
    Name apex;
    Answer absent, no_data;
  };

  std::uint32_t add_node(const Name& name, std::uint32_t zone);
  std::optional<std::uint32_t> zone_of(const Name& name) const;
  const Node* find(std::uint32_t zone, const Name& name) const noexcept;
  void collect(const Node& node, const Name& owner, Type type, std::size_t steps, Answer& out) const;

  std::vector<Zone> zones_;
  std::vector<Node> nodes_;
  std::unordered_map<Name, std::uint32_t, NameHash> index_;
};

}  // namespace postern

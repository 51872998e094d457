// Which ledgers a grant to a zone is for: asked of the list by a name below it.
#include "resolver/path/grant_ledgers.h"

#include <string>
#include <vector>

namespace postern {
namespace {

// A label that no list names, so that only wildcards meet it.
constexpr std::uint8_t some_label[] = {3, 'n', 'o', 0};

std::optional<Name> name_below(const Name& zone) {
  std::vector<std::uint8_t> wire(std::begin(some_label), std::end(some_label));
  wire.insert(wire.end(), zone.wire().begin(), zone.wire().end());
  return Name::from_wire(wire);
}

}  // namespace

Result<GrantLedgers> ledgers_of_grant(const SuffixList& list, const Name& zone) {
  const std::size_t labels = zone.labels();
  const auto bad = [&](const std::string& why) {
    return failure("zone \"" + zone.text() + "\" has no ledger of its own: " + why);
  };
  if (labels > 0 && zone.suffix(1).text() == "arpa") {  // as the meter has it (detect/meter.cpp)
    if (labels == 1) return GrantLedgers{zone, zone};
    return bad("all reverse lookups are charged to \"arpa\"");
  }
  const auto below = name_below(zone);
  if (!below) return bad("no name fits below it");
  const LedgerCut cut = list.ledger_cut(*below);
  if (cut.zone == labels || cut.parent == labels) return GrantLedgers{zone, below->suffix(cut.parent)};
  if (cut.zone == 0)
    return bad(
        "its top-level domain is in no public suffix list, and all such names are "
        "charged to \".\"");
  if (cut.zone < labels) return bad("it is charged to \"" + below->suffix(cut.zone).text() + "\"");
  std::string why = "it is a public suffix, and each domain below it is charged to one of that domain's name";
  if (cut.parent < labels) why += "; all of them to the parent \"" + below->suffix(cut.parent).text() + "\"";
  return bad(why);
}

}  // namespace postern

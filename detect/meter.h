// The leak meter: how many bits a session can have told the world through the names it asked for. A front
// door of detect/.
//
// The story: before a query goes upstream, `admit` prices it with one fixed, public prefix code (code.h)
// given everything that was forwarded before. Whatever the sender does, at most 2^B different sequences cost
// B bits or less (docs/DETECTION.md has the proof), so a session that may spend B bits can tell at most B
// bits. Four ledgers are charged for one query (ledger.h): its zone with what the name says below the zone,
// the zone's parent by the ICANN rules, reverse lookups together, and the session with the whole name; a
// sandbox's and a user's ledger can be hung above. If one of them cannot bear its charge, the query is
// refused and none is charged.
//
// A query is said in the cheapest of seven ways: as a *known* name, as one of the *recent* names, as a
// *repetition* of any name of the session, as a recent name with another *number*, as a *sibling* of a recent
// name (its last labels, then letters), as a name in an *old zone*, or *fresh*, letter by letter. Each pays
// for the selector, then for the type. A forward costs at least `least_forward`, whatever its name: its
// moment may say something too.
//
// Read next: code.h (the grammar), model.h (letters), ledger.h (budgets), meter_known.h, meter_grants.cpp
// (an operator's), meter_snapshot.cpp (restart).
//
// Pure: no clock. Thread: one (the session's shard). Memory: 60 to 300 octets per forward that asked for a
// new name, and the session's budget bounds their number (`code`: 2,048, so 0.2 MB at worst); nothing before
// the first. Invariants: used <= limit in every ledger, unless a budget was lowered after it was spent; a
// refused query changes nothing.
#pragma once

#include <array>
#include <map>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "detect/code.h"
#include "detect/ledger.h"
#include "detect/ledger_names.h"
#include "detect/meter_known.h"
#include "detect/numbered.h"

namespace postern {

// A query as the meter sees it. The label counts are those of rules/public_suffix.h (LedgerCut): of the
// registrable domain by the private rules and by the ICANN rules; the latter never more. 0 and 0: its
// top-level domain is in no list, and all such names share the root's ledgers.
struct Ask {
  const Query* query = nullptr;
  std::size_t registered_labels = 0;
  std::size_t icann_labels = 0;
  // The operator lets anything be told to this zone: it is charged to the session and what is above, but not
  // to zone, parent and arpa, and may be as long as it likes.
  bool exempt = false;
};

// What one forward costs in each ledger, in millibits.
struct Charge {
  Millibits session = 0;              // the whole name
  Millibits parent = 0;               // the part below the ICANN domain; 0 where that is the zone
  Millibits zone = 0;                 // the part below the zone
  Component part = Component::fresh;  // how the session's ledger was told
  double bits() const { return session / 1000.0; }
};

struct Admission {
  bool admitted = false;
  Charge charge;
  LedgerKind refused_by = LedgerKind::none;
  double used_bits = 0, budget_bits = 0;  // of the ledger that refused
  // The ledgers that this charge carried over 50 or 80 percent: told once, here.
  struct Warning {
    LedgerKind ledger = LedgerKind::none;
    int percent = 0;                        // 50 or 80
    double used_bits = 0, budget_bits = 0;  // after this charge
  };
  std::array<Warning, 6> warnings{};
  std::size_t warning_count = 0;
};

// Ledgers above the session's, owned by the caller, on the same thread. A null pointer: none.
struct OuterLedgers {
  Ledger* sandbox = nullptr;
  Ledger* user = nullptr;
};

class SessionMeter {
 public:
  // A client chose this moment: 8 bits at least, so that a budget of n octets is also a limit of n forwards.
  static constexpr Millibits least_forward = 8 * one_bit;
  // Names that can be asked again at 4 bits: a program's A and AAAA, and the few hosts it works with.
  static constexpr std::size_t recent_names = 16;
  // Also where a budget is unlimited (replay): beyond this a new name is refused.
  static constexpr std::size_t max_names = 1u << 20;
  // Names of zones and parents that a session was granted something for: an operator's work, 0.2 MB at worst.
  static constexpr std::size_t max_granted = 1024;

  SessionMeter(const Budgets& budgets, std::shared_ptr<const NameCode> code,
               std::shared_ptr<const KnownNames> known);

  // What the query would cost now. About 0.3 us for a new name, 0.1 us for a known or repeated one.
  Charge price(const Ask& ask) const;
  // Charges it, or refuses it. Call it once for each query that is about to go upstream because the client
  // asked.
  Admission admit(const Ask& ask, OuterLedgers outer = {});
  // Postern asks again by itself, at the end of a TTL, because the name is in use: neither name nor moment is
  // the client's choice, only how often. The n-th refresh in a row costs 2 bits if n is a power of two
  // (Elias' gamma code), the first one also says the name; the others are free. Refused: stop refreshing. A
  // forward by `admit` ends the row.
  Admission admit_refresh(const Ask& ask, OuterLedgers outer = {});
  // Octets of an answer that came down. When their budget is spent, `admit` refuses. 80 or 50 if these
  // crossed that percentage of it, else 0.
  int received(std::uint64_t octets) {
    const int percent = answers_.crosses(octets * Ledger::per_octet);
    answers_.charge(octets * Ledger::per_octet);
    return percent;
  }

  // After a restart: what the journal says was forwarded, in order, on top of a snapshot. Never refuses.
  // `committed` is the session charge on record; where the history that made it is gone, it counts in full.
  void replay(const Ask& ask, Millibits committed);
  void replay_refresh(const Ask& ask);

  // Everything but code and known names, as octets; and back, into a meter that is still empty. Errors say
  // what is wrong with it.
  std::string snapshot() const;
  Result<void> restore(std::string_view octets);

  // An operator's decisions: so many octets more for the session's ledger; for what comes down; for one zone
  // and its parent. The last are kept by name and hold, too, for ledgers that open later. False: no room, and
  // nothing was granted.
  void grant(std::uint64_t octets) { session_.grant(octets); }
  void grant_answers(std::uint64_t octets) { answers_.grant(octets); }
  bool grant_zone(const Name& zone, const Name& parent, std::uint64_t octets);
  bool has_room_for_grant(const Name& zone, const Name& parent) const;
  // A reloaded policy. What was used stays used.
  void set_policy(const Budgets& budgets, std::shared_ptr<const KnownNames> known);

  struct ZoneUse {
    Name zone;
    bool is_parent = false;
    double used_bits = 0, budget_bits = 0;
    std::uint32_t names = 0;
  };
  std::vector<ZoneUse> zones()
      const;  // zones, then parents that have more than one zone below; in order of appearance; then zones
              // that were granted something and are not open yet
  const Ledger& session() const noexcept { return session_; }
  const Ledger& answers() const noexcept { return answers_; }
  std::size_t names() const noexcept { return names_.size(); }
  std::size_t memory() const noexcept;  // octets, about

  // The codeword behind a price: what a ledger's reader would have to be told. For tests; `least_forward` is
  // not in it.
  enum class View : std::uint8_t { session, parent, zone };
  Codeword say(const Ask& ask, View view) const;
  // What the decoder of a view needs to read an index: how many names and zones it has seen.
  struct Seen {
    std::uint32_t names = 0, zones = 0;
  };
  Seen seen(const Ask& ask, View view) const;
  const NameTable& name_table() const noexcept { return names_; }
  const NameTable& zone_table() const noexcept { return zones_; }
  const std::array<NameTable::Id, recent_names>& recent() const noexcept { return recent_; }
  const KnownNames& known() const noexcept { return *known_; }
  // The type last asked for an unlisted name of the zone; nothing if there was none.
  std::optional<Type> last_type(const Name& zone) const;
  std::uint16_t asked(NameTable::Id name) const { return name_entries_[name].asked; }

 private:
  struct NameEntry {
    std::uint16_t asked = 0;  // types, one bit per type symbol
    bool unlisted = false;    // was charged as a name nobody listed: the parent's reader may know it
  };
  struct ZoneEntry {
    Ledger unlisted, all;  // names nobody listed; all names
    std::uint32_t names = 0, unlisted_names = 0;
    Type last_type = 0;  // of the last unlisted name, if there was one
  };
  struct ParentEntry {
    Ledger ledger;
    std::uint32_t names = 0, zones = 0;
  };
  struct Granted {  // octets, to a zone's and to a parent's ledger of one name
    std::uint64_t zone = 0, parent = 0;
  };
  static constexpr NameTable::Id nobody = ~NameTable::Id{0};

  // Everything that is looked up once for a query.
  struct Sight {
    std::string_view name, zone, parent;
    std::size_t zone_labels = 0, parent_labels = 0;
    bool arpa = false, known = false, exempt = false,
         has_parent = false;  // has_parent: a parent ledger is charged
    bool spelled =
        true;  // false: every reader can be told by an index, so the letters are not even looked at
    std::optional<NameTable::Id> name_id, zone_id, parent_id;
    bool recent = false;
    std::uint32_t recent_slot = 0;
    // The recent name that shares the most labels: all of its own but the first. Nobody: none shares as much
    // as the zone.
    NameTable::Id sibling = nobody;
    std::uint32_t sibling_slot = 0;
    std::size_t sibling_labels = 0;
    // The recent name that this one is with another number, told most cheaply; nobody: none.
    NameTable::Id numbered = nobody;
    std::uint32_t numbered_slot = 0;
    Numbered number;
    Millibits number_price = 0;  // without the selector
    TypeContext types = TypeContext::fresh;
    Type last_type = 0;
  };
  struct Said {
    Millibits price;
    Component part;
  };

  Sight look(const Ask& ask) const;
  void find_sibling(Sight& sight, std::size_t labels) const;
  void find_numbered(Sight& sight, std::size_t labels) const;
  Said price_view(const Sight& sight, const Ask& ask, const LabelPrices& labels, View view,
                  Codeword* said) const;
  Charge price_all(const Sight& sight, const Ask& ask) const;
  Charge price_refresh(const Sight& sight, const Ask& ask, std::uint32_t count) const;
  Seen seen(const Sight& sight, View view) const;
  Admission settle(const Sight& sight, const Charge& charge, OuterLedgers outer, bool may_refuse);
  void note(const Sight& sight, const Ask& ask);
  Ledger opened(std::uint64_t budget) const;
  Granted granted_to(std::string_view wire) const;
  ZoneEntry new_zone(std::string_view wire) const;
  ParentEntry new_parent(const Sight& sight) const;
  std::uint64_t zone_budget(std::string_view zone) const;

  Budgets budgets_;
  std::shared_ptr<const NameCode> code_;
  std::shared_ptr<const KnownNames> known_;
  Ledger session_, answers_;
  NameTable names_, zones_, parents_;
  std::vector<NameEntry> name_entries_;
  std::vector<ZoneEntry> zone_entries_;
  std::vector<ParentEntry> parent_entries_;
  std::array<NameTable::Id, recent_names> recent_;
  std::uint32_t next_recent_ = 0;
  std::unordered_map<std::uint64_t, std::uint32_t> refreshed_;  // name id and type -> times in a row
  std::map<std::string, Granted, std::less<>> granted_;         // by wire octets, at most max_granted
};

}  // namespace postern

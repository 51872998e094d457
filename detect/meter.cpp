// The leak meter: pricing a query for each ledger, and settling it.
#include "detect/meter.h"

#include <algorithm>
#include <bit>
#include <limits>

namespace postern {
namespace {

constexpr std::string_view arpa_zone("\4arpa\0", 6);

std::uint64_t refresh_key(NameTable::Id name, Type type) {
  return static_cast<std::uint64_t>(name) << 16 | type;
}

// The offset of the rightmost `count` labels, and how many labels there are.
std::string_view tail(std::string_view wire, std::size_t count, std::size_t labels) {
  std::size_t at = 0;
  for (std::size_t skip = labels > count ? labels - count : 0; skip > 0; --skip)
    at += static_cast<std::uint8_t>(wire[at]) + 1u;
  return wire.substr(at);
}

}  // namespace

SessionMeter::SessionMeter(const Budgets& budgets, std::shared_ptr<const NameCode> code,
                           std::shared_ptr<const KnownNames> known)
    : budgets_(budgets), code_(std::move(code)), known_(std::move(known)), answers_(budgets.answers) {
  session_ = opened(budgets.session);
  recent_.fill(nobody);
}

// A ledger's sequence is closed once; the symbol that closes it is paid when the ledger is opened.
Ledger SessionMeter::opened(std::uint64_t budget) const {
  Ledger ledger(budget);
  ledger.charge(code_->tables().session[static_cast<std::size_t>(Component::end)]);
  return ledger;
}

std::uint64_t SessionMeter::zone_budget(std::string_view zone) const {
  return zone == arpa_zone ? budgets_.arpa : budgets_.zone;
}

SessionMeter::Sight SessionMeter::look(const Ask& ask) const {
  Sight sight;
  sight.name = NameTable::octets(ask.query->name);
  const std::size_t labels = ask.query->name.labels();
  sight.arpa = labels > 0 && tail(sight.name, 1, labels) == arpa_zone;
  sight.exempt = ask.exempt;
  sight.zone_labels = sight.arpa ? 1 : std::min(ask.registered_labels, labels);
  sight.parent_labels = sight.arpa ? 1 : std::min(ask.icann_labels, sight.zone_labels);
  sight.zone = tail(sight.name, sight.zone_labels, labels);
  sight.known = known_->contains(ask.query->name);
  sight.name_id = names_.find(sight.name);
  sight.zone_id = zones_.find(sight.zone);
  if (!sight.known && !sight.arpa) {
    sight.parent = tail(sight.name, sight.parent_labels, labels);
    sight.parent_id = parents_.find(sight.parent);
    // Where zone and parent are one and nothing else lies below, the zone's ledger is the stricter of two
    // equals.
    sight.has_parent = sight.parent_labels < sight.zone_labels || sight.parent_id.has_value();
  }
  std::uint16_t asked = 0;
  if (sight.name_id) {
    asked = name_entries_[*sight.name_id].asked;
    const auto found = std::find(recent_.begin(), recent_.end(), *sight.name_id);
    sight.recent = found != recent_.end();
    sight.recent_slot = static_cast<std::uint32_t>(found - recent_.begin());
  }
  sight.spelled =
      !sight.known && !(sight.name_id && (!sight.has_parent || name_entries_[*sight.name_id].unlisted));
  if (sight.spelled) find_sibling(sight, labels);
  if (sight.spelled && sight.sibling != nobody) find_numbered(sight, labels);
  const bool zone_asked = sight.zone_id && zone_entries_[*sight.zone_id].unlisted_names > 0;
  if (zone_asked) sight.last_type = zone_entries_[*sight.zone_id].last_type;
  sight.types = NameCode::type_context(asked, sight.arpa, zone_asked);
  return sight;
}

// Sixteen comparisons of a suffix, most of which fail on the length.
void SessionMeter::find_sibling(Sight& sight, std::size_t labels) const {
  std::size_t longest = sight.zone.size() - 1;  // in octets
  for (std::uint32_t slot = 0; slot < recent_names; ++slot) {
    if (recent_[slot] == nobody) continue;
    const std::string_view other = names_.at(recent_[slot]);
    const std::size_t first = static_cast<std::uint8_t>(other[0]) + 1u;
    if (first == 1 || other.size() - first <= longest || other.size() - first > sight.name.size()) continue;
    const std::string_view shared = other.substr(first);
    if (!sight.name.ends_with(shared)) continue;
    // Equal octets may still begin inside a label: walk.
    std::size_t at = 0, skipped = 0;
    while (at + shared.size() < sight.name.size())
      at += static_cast<std::uint8_t>(sight.name[at]) + 1u, ++skipped;
    if (at + shared.size() != sight.name.size()) continue;
    if (zones_.find(other)) continue;  // a zone of its own: this zone's reader has not seen it
    longest = shared.size();
    sight.sibling = recent_[slot];
    sight.sibling_slot = slot;
    sight.sibling_labels = labels - skipped;
  }
}

// A name of one of the recent ones' form is a sibling of theirs, and a name with digits: most are neither.
void SessionMeter::find_numbered(Sight& sight, std::size_t labels) const {
  const CodeTables& tables = code_->tables();
  const std::string_view label = sight.name.substr(1, static_cast<std::uint8_t>(sight.name[0]));
  const std::string_view rest = sight.name.substr(1 + label.size());
  if (labels <= sight.zone_labels || label.find_first_of(tables.digits) == label.npos) return;
  for (std::uint32_t slot = 0; slot < recent_names; ++slot) {
    if (recent_[slot] == nobody) continue;
    const std::string_view other = names_.at(recent_[slot]);
    const std::size_t first = static_cast<std::uint8_t>(other[0]) + 1u;
    if (other.size() - std::min(first, other.size()) != rest.size() || !other.ends_with(rest)) continue;
    if (zones_.find(other)) continue;  // as above
    const auto number =
        numbered_like(label, other.substr(1, first - 1), tables.digits, tables.number_length.size() - 1);
    if (!number) continue;
    const std::uint32_t like = recent_[slot] + 1 == names_.size() ? 0 : 1 + slot;
    const Millibits price = tables.number_like[like] + log2_up(number->runs) +
                            tables.number_length[number->same_length ? 0 : number->number.size()] +
                            static_cast<Millibits>(number->number.size()) *
                                log2_up(static_cast<std::uint32_t>(tables.digits.size()));
    if (sight.numbered != nobody && price >= sight.number_price) continue;
    sight.numbered = recent_[slot];
    sight.numbered_slot = slot;
    sight.number = *number;
    sight.number_price = price;
  }
}

SessionMeter::Seen SessionMeter::seen(const Sight& sight, View view) const {
  switch (view) {
    case View::session:
      return {static_cast<std::uint32_t>(names_.size()), static_cast<std::uint32_t>(zones_.size())};
    case View::zone:
      return {sight.zone_id ? zone_entries_[*sight.zone_id].names : 0, 0};
    case View::parent: {
      if (!sight.has_parent) return {};
      const ParentEntry entry = sight.parent_id ? parent_entries_[*sight.parent_id] : new_parent(sight);
      return {entry.names, entry.zones};
    }
  }
  return {};
}

SessionMeter::Seen SessionMeter::seen(const Ask& ask, View view) const {
  return seen(look(ask), view);
}

// The cheapest way to say the query to one ledger's reader, and, if asked for, the codeword.
SessionMeter::Said SessionMeter::price_view(const Sight& sight, const Ask& ask, const LabelPrices& labels,
                                            View view, Codeword* said) const {
  const ComponentPrices& selector = view == View::zone ? code_->tables().zone : code_->tables().session;
  const auto select = [&](Component part) { return selector[static_cast<std::size_t>(part)]; };
  const Seen known_here = seen(sight, view);
  const std::size_t base = view == View::zone     ? sight.zone_labels
                           : view == View::parent ? sight.parent_labels
                                                  : 0;
  // The parent's reader has not seen what went by as a known name.
  const bool name_here = sight.name_id && (view != View::parent || name_entries_[*sight.name_id].unlisted);
  const bool zone_here = view != View::zone && sight.zone_id &&
                         (view == View::session || zone_entries_[*sight.zone_id].unlisted_names > 0);

  const auto types_of = [&](Component part) {
    return part == Component::repeat ? NameCode::past(sight.types) : sight.types;
  };
  Said best{std::numeric_limits<Millibits>::max(), Component::fresh};
  const auto offer = [&](Component part, Millibits price) {
    price += select(part) + code_->type_price(ask.query->type, types_of(part), sight.last_type);
    if (price < best.price) best = {price, part};
  };
  if (sight.spelled) offer(Component::fresh, labels.below(base));
  if (sight.spelled && zone_here)
    offer(Component::old_zone, log2_up(known_here.zones) + labels.below(sight.zone_labels));
  if (sight.spelled && sight.sibling != nobody &&
      (view != View::parent || name_entries_[sight.sibling].unlisted))
    offer(Component::sibling, log2_up(recent_names) + labels.below(sight.sibling_labels));
  if (sight.spelled && sight.numbered != nobody &&
      (view != View::parent || name_entries_[sight.numbered].unlisted))
    offer(Component::numbered, sight.number_price);
  if (name_here) offer(Component::repeat, log2_up(known_here.names));
  if (name_here && sight.recent) offer(Component::recent, log2_up(recent_names));
  if (sight.known && view != View::parent)
    offer(Component::known, log2_up(static_cast<std::uint32_t>(known_->size())));

  if (said != nullptr) {
    using Table = CodedSymbol::Table;
    said->push_back({Table::component, view == View::zone ? 1u : 0u, static_cast<std::uint32_t>(best.part),
                     select(best.part)});
    const auto index = [&](std::uint32_t count, std::uint32_t which) {
      said->push_back({Table::index, count, which, log2_up(count)});
    };
    LabelPrices unused;
    switch (best.part) {
      case Component::fresh:
        code_->price(ask.query->name, unused, said, base);
        break;
      case Component::old_zone:
        index(known_here.zones, *sight.zone_id);
        code_->price(ask.query->name, unused, said, sight.zone_labels);
        break;
      case Component::sibling:
        index(recent_names, sight.sibling_slot);
        code_->price(ask.query->name, unused, said, sight.sibling_labels);
        break;
      case Component::numbered: {
        const CodeTables& tables = code_->tables();
        const std::size_t length = sight.number.same_length ? 0 : sight.number.number.size();
        const std::uint32_t like = sight.numbered + 1 == names_.size() ? 0 : 1 + sight.numbered_slot;
        said->push_back({Table::number_like, 0, like, tables.number_like[like]});
        index(sight.number.runs, sight.number.run);
        said->push_back(
            {Table::number_length, 0, static_cast<std::uint32_t>(length), tables.number_length[length]});
        for (const char digit : sight.number.number)
          index(static_cast<std::uint32_t>(tables.digits.size()),
                static_cast<std::uint32_t>(tables.digits.find(digit)));
        break;
      }
      case Component::repeat:
        index(known_here.names, *sight.name_id);
        break;
      case Component::recent:
        index(recent_names, sight.recent_slot);
        break;
      case Component::known:
        index(static_cast<std::uint32_t>(known_->size()), *known_->find(ask.query->name));
        break;
      default:
        break;
    }
    code_->type_price(ask.query->type, types_of(best.part), sight.last_type, said);
  }
  return best;
}

Charge SessionMeter::price_all(const Sight& sight, const Ask& ask) const {
  LabelPrices labels;
  if (sight.spelled) code_->price(ask.query->name, labels);
  Charge charge;
  const Said whole = price_view(sight, ask, labels, View::session, nullptr);
  charge.part = whole.part;
  charge.session = std::max(least_forward, whole.price);
  charge.zone = std::max(least_forward, price_view(sight, ask, labels, View::zone, nullptr).price);
  if (sight.has_parent)
    charge.parent = std::max(least_forward, price_view(sight, ask, labels, View::parent, nullptr).price);
  return charge;
}

Charge SessionMeter::price(const Ask& ask) const {
  return price_all(look(ask), ask);
}

Codeword SessionMeter::say(const Ask& ask, View view) const {
  Codeword said;
  LabelPrices labels;
  const Sight sight = look(ask);
  if (sight.spelled) code_->price(ask.query->name, labels);
  price_view(sight, ask, labels, view, &said);
  return said;
}

// Decides, and if nothing speaks against it (or nothing may), charges every ledger.
Admission SessionMeter::settle(const Sight& sight, const Charge& charge, OuterLedgers outer,
                               bool may_refuse) {
  Admission admission;
  admission.charge = charge;
  ZoneEntry fresh_zone;
  if (!sight.zone_id) fresh_zone = new_zone(sight.zone);
  ParentEntry fresh_parent;
  if (sight.has_parent && !sight.parent_id) fresh_parent = new_parent(sight);
  ZoneEntry& zone = sight.zone_id ? zone_entries_[*sight.zone_id] : fresh_zone;
  ParentEntry& parent = sight.parent_id ? parent_entries_[*sight.parent_id] : fresh_parent;

  struct Touched {
    LedgerKind kind;
    Ledger* ledger;
    Millibits amount;
  };
  std::array<Touched, 6> touched;
  std::size_t count = 0;
  const auto touch = [&](LedgerKind kind, Ledger* ledger, Millibits amount) {
    touched[count++] = {kind, ledger, amount};
  };
  const LedgerKind zone_kind = sight.arpa ? LedgerKind::arpa : LedgerKind::zone;
  if (!sight.known && !sight.exempt) touch(zone_kind, &zone.unlisted, charge.zone);
  if (!sight.exempt) touch(zone_kind, &zone.all, charge.zone);
  if (sight.has_parent && !sight.exempt) touch(LedgerKind::parent, &parent.ledger, charge.parent);
  touch(LedgerKind::session, &session_, charge.session);
  if (outer.sandbox != nullptr) touch(LedgerKind::sandbox, outer.sandbox, charge.session);
  if (outer.user != nullptr) touch(LedgerKind::user, outer.user, charge.session);

  const auto refuse = [&](LedgerKind kind, double used, double budget) {
    admission.refused_by = kind;
    admission.used_bits = used;
    admission.budget_bits = budget;
    return admission;
  };
  if (may_refuse) {
    if (sight.spelled) {
      if (!sight.exempt && charge.session > budgets_.single_name_bits * one_bit)
        return refuse(LedgerKind::name, charge.bits(), static_cast<double>(budgets_.single_name_bits));
      if (!sight.name_id && names_.size() >= max_names) return refuse(LedgerKind::session, 0, 0);
    }
    for (std::size_t i = 0; i < count; ++i)
      if (const auto& [kind, ledger, amount] = touched[i]; !ledger->bears(amount))
        return refuse(kind, static_cast<double>(ledger->used()) / 1000,
                      static_cast<double>(ledger->limit()) / 1000);
    if (!answers_.bears(1))
      return refuse(LedgerKind::answers, static_cast<double>(answers_.used()) / 1000,
                    static_cast<double>(answers_.limit()) / 1000);
  }

  for (std::size_t i = 0; i < count; ++i) {
    const auto& [kind, ledger, amount] = touched[i];
    const bool roomier_twin = kind == zone_kind && ledger == &zone.all && !sight.known;
    const int percent = roomier_twin ? 0 : ledger->crosses(amount);
    ledger->charge(amount);
    if (percent != 0)
      admission.warnings[admission.warning_count++] = {kind, percent,
                                                       static_cast<double>(ledger->used()) / 1000,
                                                       static_cast<double>(ledger->limit()) / 1000};
  }
  if (!sight.zone_id) {
    zones_.insert(sight.zone);
    zone_entries_.push_back(fresh_zone);
  }
  if (sight.has_parent && !sight.parent_id) {
    parents_.insert(sight.parent);
    parent_entries_.push_back(fresh_parent);
  }
  admission.admitted = true;
  return admission;
}

// The history after a forward: what later queries are priced by.
void SessionMeter::note(const Sight& sight, const Ask& ask) {
  const bool new_name = !sight.name_id;
  const NameTable::Id id = new_name ? names_.insert(sight.name) : *sight.name_id;
  ZoneEntry& zone = zone_entries_[*zones_.find(sight.zone)];
  if (new_name) {
    name_entries_.emplace_back();
    recent_[next_recent_++ % recent_names] = id;
    ++zone.names;
  }
  NameEntry& entry = name_entries_[id];
  entry.asked |= static_cast<std::uint16_t>(1u << NameCode::type_symbol(ask.query->type));
  if (!sight.known) zone.last_type = ask.query->type;
  if (!sight.known && !entry.unlisted) {
    entry.unlisted = true;
    const bool zone_is_new_to_parent = zone.unlisted_names++ == 0;
    if (sight.has_parent) {
      ParentEntry& parent = parent_entries_[*parents_.find(sight.parent)];
      ++parent.names;
      if (zone_is_new_to_parent) ++parent.zones;
    }
  }
  refreshed_.erase(refresh_key(id, ask.query->type));
}

Admission SessionMeter::admit(const Ask& ask, OuterLedgers outer) {
  const Sight sight = look(ask);
  const Charge charge = price_all(sight, ask);
  const Admission admission = settle(sight, charge, outer, true);
  if (admission.admitted) note(sight, ask);
  return admission;
}

void SessionMeter::replay(const Ask& ask, Millibits committed) {
  const Sight sight = look(ask);
  Charge charge = price_all(sight, ask);
  if (committed > charge.session) {
    // The history that made it dearer is gone; what is missing may all have gone to this zone.
    const Millibits missing = committed - charge.session;
    charge.session = committed;
    charge.zone = std::max(charge.zone, std::min(committed, charge.zone + missing));
    if (charge.parent != 0)
      charge.parent = std::max(charge.parent, std::min(committed, charge.parent + missing));
  }
  settle(sight, charge, {}, false);
  note(sight, ask);
}

Charge SessionMeter::price_refresh(const Sight& sight, const Ask& ask, std::uint32_t count) const {
  Charge charge;
  charge.part = Component::refresh;
  if (!std::has_single_bit(count)) return charge;
  const auto priced = [&](View view) {
    if (count > 1) return 2 * one_bit;  // Elias' gamma code of n has 2 floor(log2 n) + 1 bits
    const ComponentPrices& selector = view == View::zone ? code_->tables().zone : code_->tables().session;
    return selector[static_cast<std::size_t>(Component::refresh)] + log2_up(seen(sight, view).names) +
           code_->type_price(ask.query->type, NameCode::past(sight.types), sight.last_type) + one_bit;
  };
  charge.session = priced(View::session);
  charge.zone = priced(View::zone);
  if (sight.has_parent) charge.parent = priced(View::parent);
  return charge;
}

Admission SessionMeter::admit_refresh(const Ask& ask, OuterLedgers outer) {
  const Sight sight = look(ask);
  if (!sight.name_id) {  // never forwarded: there is nothing to refresh
    Admission refused;
    refused.refused_by = LedgerKind::name;
    return refused;
  }
  const auto row = refreshed_.find(refresh_key(*sight.name_id, ask.query->type));
  const std::uint32_t count = row == refreshed_.end() ? 1 : row->second + 1;
  const Admission admission = settle(sight, price_refresh(sight, ask, count), outer, true);
  if (admission.admitted) refreshed_[refresh_key(*sight.name_id, ask.query->type)] = count;
  return admission;
}

void SessionMeter::replay_refresh(const Ask& ask) {
  const Sight sight = look(ask);
  if (!sight.name_id) return replay(ask, 0);  // the forward before it is not on record any more
  const std::uint32_t count = ++refreshed_[refresh_key(*sight.name_id, ask.query->type)];
  settle(sight, price_refresh(sight, ask, count), {}, false);
}

void SessionMeter::set_policy(const Budgets& budgets, std::shared_ptr<const KnownNames> known) {
  budgets_ = budgets;
  known_ = std::move(known);
  session_.set_budget(budgets.session);
  answers_.set_budget(budgets.answers);
  for (NameTable::Id id = 0; id < zone_entries_.size(); ++id) {
    const std::uint64_t budget = zone_budget(zones_.at(id));
    zone_entries_[id].unlisted.set_budget(budget);
    zone_entries_[id].all.set_budget(std::max(budget, budgets.known_zone));
  }
  for (ParentEntry& entry : parent_entries_) entry.ledger.set_budget(budgets.parent);
}

std::optional<Type> SessionMeter::last_type(const Name& zone) const {
  const auto id = zones_.find(NameTable::octets(zone));
  if (!id || zone_entries_[*id].unlisted_names == 0) return std::nullopt;
  return zone_entries_[*id].last_type;
}

std::size_t SessionMeter::memory() const noexcept {
  std::size_t grants = 0;
  for (const auto& [wire, granted] : granted_) grants += 80 + sizeof granted + wire.size();
  return sizeof *this + names_.memory() + zones_.memory() + parents_.memory() +
         name_entries_.capacity() * sizeof(NameEntry) + zone_entries_.capacity() * sizeof(ZoneEntry) +
         parent_entries_.capacity() * sizeof(ParentEntry) + refreshed_.size() * 40 + grants;
}

}  // namespace postern

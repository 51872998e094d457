// The meter's memory on disk: a snapshot of the ledgers and the history, so that a restart refills nothing.
//
// Layout, little-endian: "PMTR" version; session and answers (used, granted); names (size, wire, types,
// listed or not); the recent ring; zones; parents; rows of refreshes; grants by name, since version 2 (before
// it only open ledgers knew theirs, so those are taken over). The file is Postern's own, but it is
// read as if it were not: each count and name is checked.
#include <algorithm>
#include <cstring>

#include "detect/meter.h"

namespace postern {
namespace {

constexpr std::string_view magic("PMTR\2", 5), magic_1("PMTR\1", 5);

class Writer {
 public:
  template <class T>
  void number(T value) {
    for (std::size_t i = 0; i < sizeof value; ++i)
      out_ += static_cast<char>(static_cast<std::uint64_t>(value) >> (8 * i) & 0xff);
  }
  void text(std::string_view octets) { out_ += octets; }
  void name(std::string_view wire) {
    number(static_cast<std::uint8_t>(wire.size()));
    text(wire);
  }
  void ledger(const Ledger& ledger) {
    number(ledger.used());
    number(ledger.granted());
  }
  std::string take() { return std::move(out_); }

 private:
  std::string out_;
};

// Reads past the end give zeros and are remembered.
class Reader {
 public:
  explicit Reader(std::string_view octets) : rest_(octets) {}
  template <class T>
  T number() {
    if (rest_.size() < sizeof(T)) return fail(), T{};
    std::uint64_t value = 0;
    for (std::size_t i = 0; i < sizeof(T); ++i)
      value |= static_cast<std::uint64_t>(static_cast<std::uint8_t>(rest_[i])) << (8 * i);
    rest_.remove_prefix(sizeof(T));
    return static_cast<T>(value);
  }
  std::string_view text(std::size_t size) {
    if (rest_.size() < size) return fail(), std::string_view{};
    const auto found = rest_.substr(0, size);
    rest_.remove_prefix(size);
    return found;
  }
  // A whole, uncompressed, lower-case name in wire form.
  std::string_view name() {
    const auto wire = text(number<std::uint8_t>());
    const auto parsed = Name::from_wire({reinterpret_cast<const std::uint8_t*>(wire.data()), wire.size()});
    if (!parsed || NameTable::octets(*parsed) != wire) return fail(), std::string_view{};
    return wire;
  }
  void ledger(Ledger& ledger) {
    ledger.charge(number<std::uint64_t>());
    ledger.grant(number<std::uint64_t>());
  }
  bool failed() const { return failed_; }
  bool at_end() const { return rest_.empty(); }

 private:
  void fail() {
    failed_ = true;
    rest_ = {};
  }
  std::string_view rest_;
  bool failed_ = false;
};

}  // namespace

std::string SessionMeter::snapshot() const {
  Writer out;
  out.text(magic);
  out.ledger(session_);
  out.ledger(answers_);
  out.number(static_cast<std::uint32_t>(names_.size()));
  for (NameTable::Id id = 0; id < names_.size(); ++id) {
    out.name(names_.at(id));
    out.number(name_entries_[id].asked);
    out.number(static_cast<std::uint8_t>(name_entries_[id].unlisted));
  }
  out.number(next_recent_);
  for (const NameTable::Id id : recent_) out.number(id);
  out.number(static_cast<std::uint32_t>(zones_.size()));
  for (NameTable::Id id = 0; id < zones_.size(); ++id) {
    const ZoneEntry& entry = zone_entries_[id];
    out.name(zones_.at(id));
    out.ledger(entry.unlisted);
    out.ledger(entry.all);
    out.number(entry.names);
    out.number(entry.unlisted_names);
    out.number(entry.last_type);
  }
  out.number(static_cast<std::uint32_t>(parents_.size()));
  for (NameTable::Id id = 0; id < parents_.size(); ++id) {
    out.name(parents_.at(id));
    out.ledger(parent_entries_[id].ledger);
    out.number(parent_entries_[id].names);
    out.number(parent_entries_[id].zones);
  }
  out.number(static_cast<std::uint32_t>(refreshed_.size()));
  for (const auto& [key, count] : refreshed_) {
    out.number(key);
    out.number(count);
  }
  out.number(static_cast<std::uint32_t>(granted_.size()));
  for (const auto& [wire, granted] : granted_) {
    out.name(wire);
    out.number(granted.zone);
    out.number(granted.parent);
  }
  return out.take();
}

Result<void> SessionMeter::restore(std::string_view octets) {
  const auto bad = [&](const char* why) {
    return failure("cannot restore the meter from a snapshot of " + std::to_string(octets.size()) +
                   " octets: " + why);
  };
  if (names_.size() != 0 || zones_.size() != 0) return bad("the meter is in use");
  Reader in(octets);
  const std::string_view version = in.text(magic.size());
  const bool lists_grants = version == magic;
  if (!lists_grants && version != magic_1) return bad("it is not a snapshot of this version");
  SessionMeter next(budgets_, code_, known_);
  next.session_ = Ledger(budgets_.session);
  in.ledger(next.session_);
  in.ledger(next.answers_);

  const auto names = in.number<std::uint32_t>();
  if (names > max_names) return bad("too many names");
  for (std::uint32_t i = 0; i < names && !in.failed(); ++i) {
    const auto wire = in.name();
    if (in.failed() || next.names_.find(wire)) return bad("a name is broken or there twice");
    next.names_.insert(wire);
    const auto asked = in.number<std::uint16_t>();
    next.name_entries_.push_back({asked, in.number<std::uint8_t>() != 0});
  }
  next.next_recent_ = in.number<std::uint32_t>();
  for (NameTable::Id& id : next.recent_) {
    id = in.number<NameTable::Id>();
    if (id != nobody && id >= names) return bad("a recent name is not among the names");
  }
  const auto zones = in.number<std::uint32_t>();
  if (zones > max_names) return bad("too many zones");
  for (std::uint32_t i = 0; i < zones && !in.failed(); ++i) {
    const auto wire = in.name();
    if (in.failed() || next.zones_.find(wire)) return bad("a zone is broken or there twice");
    next.zones_.insert(wire);
    ZoneEntry entry;
    in.ledger(entry.unlisted);
    in.ledger(entry.all);
    entry.names = in.number<std::uint32_t>();
    entry.unlisted_names = in.number<std::uint32_t>();
    entry.last_type = in.number<Type>();
    next.zone_entries_.push_back(entry);
    if (!lists_grants && entry.unlisted.granted() > 0)
      next.granted_[std::string(wire)].zone = entry.unlisted.granted();
  }
  const auto parents = in.number<std::uint32_t>();
  if (parents > max_names) return bad("too many parents");
  for (std::uint32_t i = 0; i < parents && !in.failed(); ++i) {
    const auto wire = in.name();
    if (in.failed() || next.parents_.find(wire)) return bad("a parent is broken or there twice");
    next.parents_.insert(wire);
    ParentEntry entry;
    in.ledger(entry.ledger);
    entry.names = in.number<std::uint32_t>();
    entry.zones = in.number<std::uint32_t>();
    next.parent_entries_.push_back(entry);
    if (!lists_grants && entry.ledger.granted() > 0)
      next.granted_[std::string(wire)].parent = entry.ledger.granted();
  }
  const auto rows = in.number<std::uint32_t>();
  if (rows > max_names) return bad("too many refreshes");
  for (std::uint32_t i = 0; i < rows && !in.failed(); ++i) {
    const auto key = in.number<std::uint64_t>();
    if (key >> 16 >= names) return bad("a refreshed name is not among the names");
    next.refreshed_[key] = in.number<std::uint32_t>();
  }
  const auto grants = lists_grants ? in.number<std::uint32_t>() : 0;
  if (grants > max_granted) return bad("too many grants");
  for (std::uint32_t i = 0; i < grants && !in.failed(); ++i) {
    const auto wire = in.name();
    if (in.failed() || next.granted_.contains(wire)) return bad("a grant's name is broken or there twice");
    Granted& granted = next.granted_[std::string(wire)];
    granted.zone = std::min(in.number<std::uint64_t>(), Budgets::unlimited);
    granted.parent = std::min(in.number<std::uint64_t>(), Budgets::unlimited);
  }
  if (in.failed()) return bad("it is cut off");
  if (!in.at_end()) return bad("something follows it");
  next.set_policy(budgets_, known_);
  *this = std::move(next);
  return {};
}

}  // namespace postern

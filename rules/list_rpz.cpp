// Response policy zones (draft-vixie-dnsop-dns-rpz): QNAME and response-address triggers, and their actions.
#include <algorithm>

#include "rules/list_reading.h"
#include "rules/special.h"
#include "rules/zone_text.h"

namespace postern {
namespace {

// Words of a record: more than this is not one that can be used (a TXT of 255 strings is 64 KiB).
constexpr std::size_t most_record_words = 1024;
// Lines of a record: a parenthesis that nobody closed must not swallow the rest of the file.
constexpr std::uint32_t most_record_lines = 1000;

bool is_word(std::string_view word, std::string_view upper) {
  if (word.size() != upper.size()) return false;
  for (std::size_t i = 0; i < word.size(); ++i)
    if ((word[i] >= 'a' && word[i] <= 'z' ? word[i] - 32 : word[i]) != upper[i]) return false;
  return true;
}

// What a zone has for itself, and what signing puts at each of its names: no local data, and no trigger.
bool is_zone_record(Type type) {
  constexpr std::array<Type, 15> types{type::NS, type::SOA, 24,      // SIG
                                       25,                           // KEY
                                       30,                           // NXT
                                       43,                           // DS
                                       46,       47,        48,      // RRSIG, NSEC, DNSKEY
                                       50,       51,        59, 60,  // NSEC3, NSEC3PARAM, CDS, CDNSKEY
                                       62,       63};                // CSYNC, ZONEMD
  return std::find(types.begin(), types.end(), type) != types.end();
}

std::string_view last_label(const Name& name) {
  const auto wire = name.wire();
  std::size_t at = 0, last = 0;
  for (; wire[at] != 0; at += wire[at] + 1u) last = at;
  return {reinterpret_cast<const char*>(wire.data()) + last + 1, wire[last]};
}

class RpzReader {
 public:
  explicit RpzReader(ListReading& reading) : reading_(reading) {}

  void read() {
    while (next_record()) record();
  }

 private:
  // A record that spans lines is spoken of by its first.
  bool next_record() {
    if (!reading_.next()) return false;
    words_.clear();
    number_ = reading_.number();
    line_ = reading_.line();
    continues_ = !line_.empty() && is_list_space(line_.front());
    int depth = 0;
    good_ = cut_zone_line(line_, words_, depth);
    while (good_ && depth > 0) {
      if (words_.size() > most_record_words || reading_.number() - number_ >= most_record_lines ||
          !reading_.next()) {
        skip(Skip::parenthesis);
        words_.clear();
        handled_ = true;
        return true;
      }
      good_ = cut_zone_line(reading_.line(), words_, depth);
    }
    handled_ = false;
    return true;
  }

  std::uint64_t lines() const { return reading_.number() - number_ + 1; }
  void skip(Skip cause) { reading_.skip(cause, number_, line_, lines()); }
  // Also for headers: they make no list of lines that cannot be read.
  void blank() { reading_.blank(lines()); }
  const Name* origin() const { return has_origin_ ? &origin_ : nullptr; }

  void record() {
    if (handled_) return;
    if (!good_ || words_.size() > most_record_words) return skip(Skip::record_form);
    if (words_.empty()) return blank();
    std::span<const ZoneWord> words(words_);
    if (!continues_ && words[0].text.starts_with('$') && !words[0].quoted) return directive(words);
    if (!continues_) {
      if (words[0].quoted) return skip(Skip::record_form);
      owner_ = words[0].text;
      words = words.subspan(1);
    } else if (owner_.empty()) {
      return skip(Skip::record_form);
    }
    std::uint32_t ttl = ttl_;
    bool has_ttl = false, has_class = false;
    for (; !words.empty(); words = words.subspan(1)) {
      const std::string_view word = words[0].text;
      if (words[0].quoted) return skip(Skip::record_form);
      if (!has_class && is_word(word, "IN")) {
        has_class = true;
      } else if (is_word(word, "CH") || is_word(word, "HS") || is_word(word, "CS")) {
        return skip(Skip::record_class);
      } else if (const auto time = has_ttl ? std::nullopt : zone_time(word)) {
        ttl = *time;
        has_ttl = true;
      } else {
        break;
      }
    }
    if (words.empty()) return skip(Skip::record_form);
    const std::optional<Type> type =
        is_word(words[0].text, "CNAME") ? type::CNAME : type_from_text(words[0].text);
    if (!type) return skip(Skip::record_form);
    trigger(*type, ttl, words.subspan(1));
  }

  void directive(std::span<const ZoneWord> words) {
    const std::string_view what = words[0].text;
    if (is_word(what, "$INCLUDE")) return skip(Skip::include);
    if (is_word(what, "$TTL") && words.size() == 2) {
      const std::optional<std::uint32_t> time = zone_time(words[1].text);
      if (!time) return skip(Skip::directive);
      ttl_ = *time;
      return blank();
    }
    if (is_word(what, "$ORIGIN") && words.size() == 2) {
      const std::optional<Name> name = zone_name(words[1].text, origin());
      if (!name) return skip(Skip::directive);
      origin_ = *name;
      has_origin_ = true;
      return blank();
    }
    skip(Skip::directive);
  }

  // The owner without the zone's name, in the draft. The zone's name is the SOA's owner, or else the origin
  // at the first record; nobody need say it as long as all owners are relative.
  std::optional<Skip> owner(Type type) {
    ListEntry& draft = reading_.draft();
    if (has_apex_ && origin_ == apex_ && owner_ != "@" &&
        !owner_.ends_with('.')) {  // relative, as nearly all are: only its length needs the zone's name
      if (const std::optional<Skip> problem = read_zone_name(owner_, draft.name)) return problem;
      if (draft.name.size() + apex_.size() - 1u > Name::max_octets) return Skip::name_too_long;
      return std::nullopt;
    }
    const bool is_apex = owner_ == "@" && !has_origin_;
    if (has_origin_ || (owner_.ends_with('.') && !is_apex)) {
      const std::optional<Name> whole = zone_name(owner_, origin());
      if (!whole) return owner_problem(draft.name);
      if (!has_apex_) {
        if (type != type::SOA && !has_origin_) return Skip::outside_zone;
        apex_ = type == type::SOA ? *whole : origin_;
        has_apex_ = true;
      }
      if (!whole->at_or_below(apex_)) return Skip::outside_zone;
      std::array<std::uint8_t, Name::max_octets> wire;
      const std::size_t size = whole->size() - apex_.size();
      std::copy_n(whole->wire().begin(), size, wire.begin());
      wire[size] = 0;
      const std::optional<Name> relative = Name::from_wire({wire.data(), size + 1});
      POSTERN_CHECK(relative.has_value());
      draft.name = *relative;
      return std::nullopt;
    }
    if (is_apex) {
      draft.name = Name{};
      return std::nullopt;
    }
    return read_zone_name(owner_, draft.name);
  }
  // Why zone_name said no.
  Skip owner_problem(Name& scratch) const {
    return read_zone_name(owner_, scratch).value_or(has_origin_ ? Skip::name_too_long : Skip::outside_zone);
  }

  void trigger(Type type, std::uint32_t ttl, std::span<const ZoneWord> data) {
    if (const std::optional<Skip> problem = owner(type)) return skip(*problem);
    ListEntry& draft = reading_.draft();
    // The zone's own records. Nothing is triggered by the zone's apex.
    if (draft.name.is_root()) return blank();
    draft.important = false;
    draft.scope = Pattern::Scope::exact;
    const std::string_view last = last_label(draft.name);
    if (last.starts_with("rpz-")) {
      if (last != "rpz-ip") return skip(Skip::trigger);
      return address_trigger(type, ttl, data);
    }
    if (draft.name.first_label() == "*") {
      draft.scope = Pattern::Scope::below;
      draft.name = draft.name.parent();
    }
    if (type != type::CNAME) return local(type, ttl, data);
    const std::optional<Skip> problem = action(data);
    if (problem) return skip_action(*problem);
    if (draft.action == ListAction::local) return local(type, ttl, data);
    reading_.emit_at(number_, line_);
  }

  // What a CNAME says: one of RPZ's words, or local data.
  std::optional<Skip> action(std::span<const ZoneWord> data) {
    ListAction& action = reading_.draft().action;
    if (data.size() != 1 || data[0].quoted) return Skip::record_data;
    const std::string_view word = data[0].text;
    if (word == ".") {
      action = ListAction::block;
      return std::nullopt;
    }
    if (word == "*.") {
      action = ListAction::no_data;
      return std::nullopt;
    }
    const std::optional<Name> target = zone_name(word, origin());
    if (!target) return Skip::record_data;
    const std::string_view first = target->first_label();
    if (target->labels() == 1 && first.starts_with("rpz-")) {
      if (first == "rpz-passthru")
        action = ListAction::allow;
      else if (first == "rpz-drop")
        action = ListAction::drop;
      else
        return first == "rpz-tcp-only" ? Skip::tcp_only : Skip::action;
      return std::nullopt;
    }
    if (first == "*") return Skip::made_target;
    // How PASSTHRU was written before it had a word of its own: the name is an alias of itself.
    const ListEntry& draft = reading_.draft();
    action =
        draft.scope == Pattern::Scope::exact && *target == draft.name ? ListAction::allow : ListAction::local;
    return std::nullopt;
  }

  // A word that is no record of the name's lets the name be; a bad record does not.
  void skip_action(Skip cause, const AddressRange* range = nullptr) {
    if (cause != Skip::made_target && cause != Skip::record_data) return skip(cause);
    reading_.skip_local(cause, number_, line_, lines(), range);
  }

  void local(Type type, std::uint32_t ttl, std::span<const ZoneWord> data,
             const AddressRange* range = nullptr) {
    if (is_zone_record(type)) return skip(Skip::zone_record);
    ZoneData made = zone_data(type, data, origin());
    if (made.problem != ZoneData::Problem::none) {
      const bool bad_type = made.problem == ZoneData::Problem::type;
      return reading_.skip_local(bad_type ? Skip::record_type : Skip::record_data, number_, line_, lines(),
                                 range);
    }
    Record record{Name{}, type, ttl, std::move(made.rdata)};
    if (range != nullptr)
      reading_.add_local(number_, line_, std::move(record), *range);
    else
      reading_.add_local(number_, line_, std::move(record));
  }

  // LENGTH.REVERSED-ADDRESS.rpz-ip: "24.0.2.0.192", "128.1.zz.db8.2001" (zz stands for "::").
  void address_trigger(Type type, std::uint32_t ttl, std::span<const ZoneWord> data) {
    const Name& name = reading_.draft().name;
    std::vector<std::string_view> parts;
    const auto wire = name.wire();
    for (std::size_t at = 0; wire[at] != 0; at += wire[at] + 1u)
      parts.emplace_back(reinterpret_cast<const char*>(wire.data()) + at + 1, wire[at]);
    parts.pop_back();
    constexpr std::size_t most_parts = 9;  // the length and eight groups
    if (parts.size() < 2 || parts.size() > most_parts || parts[0].starts_with('0'))
      return skip(Skip::address_range);
    std::string text;
    bool has_zz = false;
    for (const std::string_view part : parts) has_zz = has_zz || part == "zz";
    const bool v6 = has_zz || parts.size() == 9;
    for (std::size_t i = parts.size() - 1; i > 0; --i) {
      if (parts[i] == "zz") {
        text += text.ends_with(':') ? ":" : "::";
      } else {
        if (!text.empty() && !text.ends_with(':')) text += v6 ? ':' : '.';
        text += parts[i];
      }
    }
    text.append("/").append(parts[0]);
    const Result<AddressRange> range = AddressRange::parse(text);
    if (!range || range->base.v6 != v6) return skip(Skip::address_range);
    if (type == type::CNAME) {
      if (const std::optional<Skip> problem = action(data)) return skip_action(*problem, &*range);
      const ListAction act = reading_.draft().action;
      if (act != ListAction::local) return reading_.emit(ListRange{*range, act, number_});
    }
    local(type, ttl, data, &*range);
  }

  ListReading& reading_;
  std::vector<ZoneWord> words_;
  std::uint32_t number_ = 0;  // of the record's first line
  std::string_view line_;
  bool continues_ = false, good_ = false, handled_ = false;
  std::string_view owner_;
  std::uint32_t ttl_ = local_ttl;  // of $TTL
  Name origin_, apex_;
  bool has_origin_ = false, has_apex_ = false;
};

}  // namespace

void read_rpz(ListReading& reading) {
  RpzReader(reading).read();
}

}  // namespace postern

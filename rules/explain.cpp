// Explanations of one policy: the ladder of everything that has a say about a name.
#include "rules/explain.h"

#include <algorithm>

#include "rules/policy_spec.h"

namespace postern {
namespace {

std::string labels_text(std::size_t count) {
  return std::to_string(count) + (count == 1 ? " label" : " labels");
}

// Something that has a say about a name. `rank` orders them as policy.cpp does: the highest speaks.
struct Claim {
  enum class Kind : std::uint8_t { host, zone, rule, special, single_label, list, fallback };
  Kind kind;
  std::size_t rank;
  std::size_t depth;  // labels of its base
  bool block;
  RuleId id;
  std::string_view text;
};

// Some steps a label: special names stand below the rules at their zone, an exact pattern above a wildcard.
// Lists stand below `*`, which has no label.
constexpr std::size_t special_step = PolicyLists::ranks, wildcard_step = special_step + 1,
                      exact_step = wildcard_step + 1;
constexpr std::size_t rank_of(std::size_t depth, std::size_t step) {
  return depth * (exact_step + 1) + step;
}
constexpr std::size_t single_label_rank = rank_of(1, 0);  // above `*` and `**`, which have no label
constexpr std::size_t fallback_rank = 0;
// A zone that answers comes before every rule that matches; one that does not stands with the special names.
constexpr std::size_t answering_zone_rank = rank_of(Name::max_octets, 0);

// Why `lower` is not what spoke, given that `upper` did.
std::string why_overruled(const Claim& lower, const Claim& upper) {
  using Kind = Claim::Kind;
  if (lower.kind == Kind::fallback) return "holds only where nothing else speaks";
  if (upper.kind == Kind::host) return "a hosts entry for exactly this name comes first";
  if (upper.kind == Kind::zone)
    return lower.kind == Kind::zone ? "a deeper zone answers"
           : lower.block            ? "further up than the zone, which has local data"
                                    : "the zone has local data for it";
  if (lower.kind == Kind::zone)
    return upper.kind == Kind::special ? "a longer special name speaks"
           : upper.block               ? "a rule at its name or below it blocks: a tie blocks"
                                       : "a deeper zone is forwarded";
  if (lower.kind == Kind::host) return "a rule blocks exactly this name: a tie blocks";
  if (upper.kind == Kind::special)
    return lower.kind == Kind::special ? "a longer special name speaks"
           : lower.kind == Kind::single_label
               ? "it is a special name"
               : "further up than the special name; allow it at its zone or below";
  if (upper.kind == Kind::single_label)
    return lower.kind == Kind::list ? "a name of a single label is local"
                                    : "a wildcard for every name does not name a single label";
  if (lower.kind == Kind::list && upper.kind == Kind::list) {
    if (lower.rank == upper.rank) return "another list says the same";
    if (lower.rank <= 2 && upper.rank > 2) return "another list's entry is important";
    return "a list that blocks comes before one that allows";
  }
  if (lower.kind == Kind::list) return "inline rules come before lists";
  if (lower.kind == Kind::special) return "a rule at its zone or below takes over";
  if (lower.kind == Kind::single_label) return "a rule names it";
  if (lower.depth < upper.depth)
    return "less specific: " + labels_text(lower.depth) + ", the rule that spoke has " +
           std::to_string(upper.depth);
  if (lower.rank < upper.rank) return "a wildcard: the exact pattern wins";
  return lower.block == upper.block ? "says the same" : "just as specific: a tie blocks";
}

}  // namespace

Explanation RulePolicy::explain(const Query& query) const {
  Explanation out;
  out.query = query;
  out.verdict = decide(query);
  // An observation is the inner policy's decision, so its ladder is the one to tell.
  const RulePolicy& judge = out.verdict.observed ? *trial_ : *this;
  const Name& name = query.name;
  const std::size_t labels = name.labels();

  std::vector<Claim> claims, observing;
  for (std::size_t i = 0; i < spec_.rules.size(); ++i) {
    const RuleSpec& rule = spec_.rules[i];
    if (!rule.matches(name)) continue;
    const std::size_t depth = rule.pattern.base.labels();
    const std::size_t step = rule.pattern.scope == Pattern::Scope::exact ? exact_step : wildcard_step;
    const RuleId id = first_rule_ + static_cast<RuleId>(i);
    const bool left_out = judge.force_ == Force::as_written && only_observes(rule);
    (left_out ? observing : claims)
        .push_back({Claim::Kind::rule, rank_of(depth, step), depth, rule.block, id, judge.rule_text(id)});
  }
  const bool blocked_exactly = std::any_of(claims.begin(), claims.end(), [&](const Claim& claim) {
    return claim.block && claim.rank == rank_of(labels, exact_step);
  });
  for (std::size_t i = 0; i < spec_.hosts.size(); ++i) {
    if (spec_.hosts[i].name != name) continue;
    const RuleId id = first_host_ + static_cast<RuleId>(i);
    const std::size_t rank = rank_of(labels, exact_step) + (blocked_exactly ? 0 : 1);
    claims.push_back({Claim::Kind::host, rank, labels, false, id, judge.rule_text(id)});
  }
  for (std::size_t i = 0; i < spec_.zones.size(); ++i) {
    if (!name.at_or_below(spec_.zones[i].apex)) continue;
    const RuleId id = first_zone_ + static_cast<RuleId>(i);
    const std::size_t depth = spec_.zones[i].apex.labels();
    // Asked without its observations: those name a rule, but the zone has answered.
    const bool answers = judge.enforced(query).rule == id;
    claims.push_back({Claim::Kind::zone, answers ? answering_zone_rank : rank_of(depth, special_step), depth,
                      false, id, judge.rule_text(id)});
  }
  const std::span<const SpecialName> specials = special_names();
  for (std::size_t i = 0; i < specials.size(); ++i) {
    const Result<Name> zone = Name::parse(specials[i].zone);
    if (!zone || !name.at_or_below(*zone)) continue;
    const std::size_t depth = zone->labels();
    const RuleId id = first_special_ + static_cast<RuleId>(i);
    claims.push_back(
        {Claim::Kind::special, rank_of(depth, special_step), depth, true, id, judge.rule_text(id)});
  }
  if (labels == 1 && spec_.single_labels == SingleLabels::local)
    claims.push_back({Claim::Kind::single_label, single_label_rank, 0, true, single_label_,
                      judge.rule_text(single_label_)});
  std::vector<std::string> list_texts(spec_.lists.size());  // claims point at them
  const auto claim_of_list = [&](const PolicyLists& lists, std::size_t index, std::size_t spec,
                                 std::vector<Claim>& to) {
    const PolicyLists::Voice voice = lists.one(index, query);
    if (!voice.speaks) return;
    list_texts[spec] =
        std::string(judge.rule_text(voice.rule)) + " (line " + std::to_string(voice.line) + ")";
    const bool blocks = voice.action != ListAction::allow;
    to.push_back(
        {Claim::Kind::list, static_cast<std::size_t>(voice.rank), 0, blocks, voice.rule, list_texts[spec]});
  };
  for (std::size_t i = 0; i < judge.lists_.size(); ++i)
    claim_of_list(judge.lists_, i, judge.heard_lists_[i], claims);
  if (trial_ != nullptr && &judge != trial_.get()) {
    const auto heard = [&](std::size_t spec) {
      return std::find(heard_lists_.begin(), heard_lists_.end(), spec) != heard_lists_.end();
    };
    for (std::size_t i = 0; i < trial_->lists_.size(); ++i)
      if (!heard(trial_->heard_lists_[i]))
        claim_of_list(trial_->lists_, i, trial_->heard_lists_[i], observing);
  }
  const std::string open_default = spec_.default_text.empty() || spec_.default_block
                                       ? "policy " + spec_.name + ": default allow"
                                       : spec_.default_text;
  const RuleId fallback = judge.default_block_ ? default_ : 0;
  claims.push_back({Claim::Kind::fallback, fallback_rank, 0, judge.default_block_, fallback,
                    judge.default_block_ ? judge.rule_text(default_) : std::string_view(open_default)});
  std::stable_sort(claims.begin(), claims.end(), [](const Claim& a, const Claim& b) {
    return a.rank != b.rank ? a.rank > b.rank : a.block && !b.block;
  });

  const auto overrule = [&](const Claim& claim, std::string why) {
    if (out.overruled.size() < Explanation::max_overruled)
      out.overruled.push_back({std::string(claim.text), std::move(why)});
    else
      ++out.more_overruled;
  };
  const Claim& first = claims.front();
  const bool form_or_type = out.verdict.reason == Reason::type || out.verdict.reason == Reason::name_form;
  // The ladder is told a second time here, so it must never contradict the one that decides.
  POSTERN_CHECK(form_or_type || first.id == out.verdict.rule);
  out.rule = form_or_type ? rule_text(out.verdict.rule) : first.text;
  for (const Claim& claim : observing) overrule(claim, "it only observes");
  for (const Claim& claim : claims) {
    if (&claim != &first)
      overrule(claim, why_overruled(claim, first));
    else if (form_or_type)
      overrule(claim, out.verdict.reason == Reason::type ? "it permits the name, not this type"
                                                         : "it permits the name, but not its form");
  }
  out.upstream = upstream_group(out.verdict.route);
  for (const AddressException& one : spec_.exceptions)
    if (one.names.matches(name)) out.excepted.push_back(one.range.text());
  return out;
}

bool is_permitted(const Verdict& verdict) noexcept {
  if (verdict.observed) return false;
  if (verdict.action == Action::local) return verdict.local != nullptr && !verdict.local->answer.empty();
  return verdict.action == Action::allow;
}

namespace {

// The strings of a TXT record, each in quotes (RFC 1035 section 5.1).
std::string strings_text(std::span<const std::uint8_t> rdata) {
  std::string out;
  for (std::size_t at = 0; at < rdata.size();) {
    const std::size_t end = std::min(rdata.size(), at + 1 + rdata[at]);
    out += out.empty() ? "\"" : " \"";
    for (++at; at < end; ++at) {
      char octet[4];
      const bool plain = rdata[at] >= ' ' && rdata[at] <= '~' && rdata[at] != '"' && rdata[at] != '\\';
      if (plain)
        out += static_cast<char>(rdata[at]);
      else
        out.append(octet, write_decimal_escape(octet, rdata[at]));
    }
    out += '"';
  }
  return out;
}

}  // namespace

std::string data_text(const Record& record) {
  const std::span<const std::uint8_t> rdata = record.rdata;
  if (record.type == type::A && rdata.size() == 4) return Address::from_v4(rdata.first<4>()).text();
  if (record.type == type::AAAA && rdata.size() == 16) return Address::from_v6(rdata.first<16>()).text();
  const std::size_t numbers = record.type == type::SRV ? 3 : record.type == type::MX ? 1 : 0;
  const bool is_name =
      record.type == type::PTR || record.type == type::CNAME || record.type == type::NS || numbers > 0;
  if (is_name && rdata.size() > numbers * 2) {
    std::string before;
    for (std::size_t i = 0; i < numbers * 2; i += 2)
      before += std::to_string(rdata[i] << 8 | rdata[i + 1]) + " ";
    if (const auto name = Name::from_wire(rdata.subspan(numbers * 2))) return before + name->text();
  }
  if (record.type == type::TXT) return strings_text(rdata);
  constexpr char hex[] = "0123456789abcdef";
  std::string out = "\\# " + std::to_string(rdata.size()) + " ";  // RFC 3597 section 5
  for (const std::uint8_t octet : rdata) {
    out += hex[octet >> 4];
    out += hex[octet & 15];
  }
  return out;
}

std::string verdict_text(const Verdict& verdict) {
  const auto enforced = [&]() -> std::string {
    switch (verdict.action) {
      case Action::allow:
        return "allowed";
      case Action::block_name:
        return "NXDOMAIN";
      case Action::block_data:
        return "empty";
      case Action::refuse:
        return "REFUSED";
      case Action::drop:
        return "no reply";
      case Action::local:
        break;
    }
    if (verdict.local == nullptr) return "local";
    if (verdict.local->rcode != 0) return "local " + rcode_text(verdict.local->rcode);
    if (verdict.local->answer.empty()) return "local, empty";
    std::string out = "local";
    for (const Record& record : verdict.local->answer) out += " " + data_text(record);
    return out;
  };
  return enforced() + (verdict.observed ? " (would block)" : "");
}

}  // namespace postern

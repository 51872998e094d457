// Tunnels and encoders: how much gets out, under the default policy and with the meter alone.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <unordered_set>

#include "bench/detection/data.h"
#include "encoders.h"

namespace postern::bench {
namespace {

constexpr double zone_bytes = 256, session_bytes = 2048;
constexpr std::uint64_t most_forwards = 30;

struct Leak {
  Played played;
  double decoded = 0;           // bytes a decoder gets out of what went up
  std::uint64_t forwarded = 0;  // queries of the tunnel that went up
  std::uint64_t cut_at =
      0;  // first query that the meter's ledger or the score refused, or the first dear name
  std::uint64_t refused = 0;
};

Leak leak_of(const TunnelTrace& tunnel, const ReplayRules& rules, Instant period = {}) {
  Leak leak;
  std::unordered_set<Name, NameHash> seen;
  PlayOptions options;
  options.period = period;
  std::uint64_t at = 0;
  options.each = [&](const Query& query, const SessionReplay::Step& step) {
    ++at;
    const double bits = tunnel.payload_bits(query.name);
    if (step.fate == Fate::cut && leak.cut_at == 0) leak.cut_at = at;
    leak.refused += step.fate == Fate::refused || step.fate == Fate::local;
    if (step.fate != Fate::forwarded || bits == 0) return;
    ++leak.forwarded;
    if (seen.insert(query.name).second) leak.decoded += bits / 8;
  };
  leak.played = play(tunnel.trace, rules, options);
  return leak;
}

// The same names below 64 zones in place of one: zK-ZONE, in turn.
TunnelTrace spread(const TunnelTrace& tunnel) {
  constexpr std::size_t zone_labels = 2;  // of all recorded tunnels that have a zone
  const bool has_zone = !tunnel.apex.is_root();
  TunnelTrace out;
  out.coding = tunnel.coding;
  out.skip_labels = has_zone ? tunnel.apex.labels() : 3;
  out.trace.name = tunnel.trace.name;
  out.trace.clients = tunnel.trace.clients;
  std::uint64_t k = 0;
  for (const Recorded& one : tunnel.trace.queries) {
    if (!one.query.name.at_or_below(tunnel.apex)) continue;
    const std::string text = one.query.name.text(),
                      old_zone = has_zone ? one.query.name.suffix(zone_labels).text() : "",
                      zone = "z" + std::to_string(k++ % 64) + (has_zone ? "-" + old_zone : ".example.com");
    const auto name =
        Name::parse(text.substr(0, text.size() - old_zone.size()) + (has_zone ? "" : ".") + zone);
    if (!name) continue;  // over 255 octets with its longer zone
    out.trace.queries.push_back(one);
    out.trace.queries.back().query.name = *name;
  }
  return out;
}

std::string cut_text(const Leak& leak) {
  return leak.cut_at == 0 ? "-" : number(static_cast<double>(leak.cut_at));
}

}  // namespace

void report_tunnels(const Dataset& data, Bars& bars) {
  std::printf(
      "## Recorded tunnels\n\nBytes; *carried*: what a decoder gets out of all names; *decoded*: out of "
      "those "
      "that went up.\n\n");
  Table table({"trace", "queries", "carried", "meter: forwarded", "charged", "decoded", "cut at",
               "policy: forwarded", "charged", "decoded", "cut at", "refused"});
  bool all_cut = true, charge_held = true, few_forwards = true, policy_no_more = true;
  std::string worst;
  struct Line {
    std::string name;
    Leak fast, slow;
    Leak wide_meter, wide_policy;
  };
  std::vector<Line> lines;
  for (const TunnelTrace& tunnel : data.tunnels) {
    const double carried = tunnel.carried();
    const Leak meter = leak_of(tunnel, rules_for(true, "code"));
    const Leak policy = leak_of(tunnel, rules_for(false, "code"));
    table.row({tunnel.trace.name, number(static_cast<double>(tunnel.trace.queries.size())), number(carried),
               number(static_cast<double>(meter.forwarded)), number(meter.played.largest_zone, 1),
               number(meter.decoded), cut_text(meter), number(static_cast<double>(policy.forwarded)),
               number(policy.played.largest_zone, 1), number(policy.decoded), cut_text(policy),
               number(static_cast<double>(policy.refused))});
    if (carried > zone_bytes && meter.cut_at == 0) all_cut = false, worst += " " + tunnel.trace.name;
    charge_held &= meter.played.largest_zone <= zone_bytes && policy.played.largest_zone <= zone_bytes;
    few_forwards &= meter.forwarded <= most_forwards;
    policy_no_more &= policy.decoded <= meter.decoded + 1e-9;
    const TunnelTrace wide = spread(tunnel);
    lines.push_back({tunnel.trace.name, meter,
                     leak_of(tunnel, rules_for(true, "code"), std::chrono::minutes(1)),
                     leak_of(wide, rules_for(true, "code")), leak_of(wide, rules_for(false, "code"))});
  }
  table.print();
  bars.bar("meter alone: every tunnel trace that carries more than 256 bytes is cut" +
               (worst.empty() ? std::string() : " (not:" + worst + ")"),
           all_cut);
  bars.bar("charge of what is forwarded at most 256 bytes to a zone, in both columns", charge_held);
  bars.bar("meter alone: at most 30 queries of a tunnel forwarded", few_forwards);
  bars.bar("the default policy leaks no more than the meter alone, on every trace", policy_no_more);

  std::printf("\n## The same names at one query a minute, and over 64 zones\n\n");
  Table more({"trace", "charged at full speed", "at one a minute", "decoded at full speed", "at one a minute",
              "64 zones, meter: charged", "decoded", "64 zones, policy: charged", "decoded"});
  bool same_count = true, all_cut_slowly = true, spread_held = true;
  double furthest = 0;
  for (const Line& line : lines) {
    more.row({line.name, number(line.fast.played.largest_zone, 1), number(line.slow.played.largest_zone, 1),
              number(line.fast.decoded), number(line.slow.decoded),
              number(line.wide_meter.played.largest_session, 1), number(line.wide_meter.decoded),
              number(line.wide_policy.played.largest_session, 1), number(line.wide_policy.decoded)});
    furthest = std::max(furthest, std::abs(line.fast.played.largest_zone - line.slow.played.largest_zone));
    all_cut_slowly &= (line.fast.cut_at == 0) == (line.slow.cut_at == 0);
    same_count &= std::abs(line.fast.played.largest_zone - line.slow.played.largest_zone) <= 16;
    for (const Leak* wide : {&line.wide_meter, &line.wide_policy})
      spread_held &= wide->played.largest_session <= session_bytes && wide->decoded <= session_bytes;
  }
  more.print();
  bars.bar("one query a minute is cut where full speed is, and at the same byte count (largest difference " +
               number(furthest, 1) + " bytes, 16 allowed: the last name that did not fit)",
           same_count && all_cut_slowly);
  bars.bar("over 64 zones at most 2 KiB leave in all, charged and decoded, in both columns", spread_held);
}

void report_encoders(Bars& bars) {
  std::printf(
      "\n## Encoders\n\nA patient sender: a query every 301 s, so that no cache and no refresh hides one "
      "from "
      "the receiver; 6,000 of them. Bytes decoded and right.\n\n");
  Table table({"encoder", "held by", "budget", "meter: forwarded", "charged", "decoded", "policy: forwarded",
               "charged", "decoded"});
  bool held = true, right = true;
  std::vector<Name> known;
  const KnownNames list({}, true);
  for (NameTable::Id id = 0; id < list.size(); ++id) {
    const std::string_view wire = list.table().at(id);
    known.push_back(*Name::from_wire({reinterpret_cast<const std::uint8_t*>(wire.data()), wire.size()}));
  }
  for (const encoders::Pointer& encoder : encoders::all(known)) {
    using Held = encoders::Encoder::Held;
    const Budgets budgets = profile("code").value();
    const double budget = static_cast<double>(encoder->held() == Held::zone     ? budgets.zone
                                              : encoder->held() == Held::parent ? budgets.parent
                                                                                : budgets.session);
    std::vector<std::string> row{encoder->title(),
                                 encoder->held() == Held::zone     ? "zone"
                                 : encoder->held() == Held::parent ? "parent"
                                                                   : "session",
                                 number(budget)};
    for (const bool meter_alone : {true, false}) {
      Replay replay(rules_for(meter_alone, "code"));
      encoders::Sender sender(encoder, 2024);
      RecordedQuery query;
      query.client = "sender";
      std::uint64_t forwarded = 0;
      for (int i = 0; i < 6000; ++i) {
        query.time += std::chrono::seconds(301);
        query.query = sender.next();
        if (replay.ask(query)->fate != Fate::forwarded) continue;
        ++forwarded;
        sender.arrived(query.query);
      }
      const ReplayTotals totals = replay_totals(replay);
      double charged =
          encoder->held() == Held::zone ? totals.largest_zone_bits / 8 : totals.largest_session_bits / 8;
      if (encoder->held() == Held::parent) {
        charged = 0;
        for (const auto& use : replay.sessions().begin()->second.meter().zones())
          if (use.is_parent) charged = std::max(charged, use.used_bits / 8);
      }
      row.push_back(number(static_cast<double>(forwarded)));
      row.push_back(number(charged, 1));
      row.push_back(number(static_cast<double>(sender.decoded_bits()) / 8, 1));
      held &= static_cast<double>(sender.decoded_bits()) <= budget * 8;
      right &= sender.wrong() == 0;
    }
    table.row(row);
  }
  table.print();
  bars.bar("every encoder: payload bits decoded at most the budget that holds it, in both columns", held);
  bars.bar("every decoder reads what was sent (or the line above would prove nothing)", right);
}

}  // namespace postern::bench

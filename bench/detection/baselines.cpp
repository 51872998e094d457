// Two published detectors beside Postern, at the thresholds they were published with.
#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <unordered_map>
#include <unordered_set>

#include "bench/detection/data.h"
#include "rules/public_suffix.h"

namespace postern::bench {
namespace {

// The part of a name below its zone, dots apart.
std::string below_zone(const Name& name) {
  std::string text;
  const std::size_t labels = PublicSuffixes::registered_labels(name);
  for (Name rest = name; rest.labels() > labels; rest = rest.parent())
    text += (text.empty() ? "" : ".") + std::string(rest.first_label());
  return text;
}

struct PairKey {
  std::uint32_t client;
  Name zone;
  bool operator==(const PairKey&) const = default;
};
struct PairHash {
  std::size_t operator()(const PairKey& key) const noexcept {
    return key.zone.hash() ^ key.client * 0x9e3779b9u;
  }
};

class Baseline {
 public:
  virtual ~Baseline() = default;
  virtual bool alarms(Instant now, std::uint32_t client, const Name& zone, const Name& name) = 0;
};

// Information-based heavy hitters (Ozery, Nadler, Shabtai, "Information-Based Heavy Hitters for Real-Time DNS
// Data Exfiltration Detection and Prevention", arXiv 2307.02614, NDSS 2024): the octets of the distinct
// subdomains of a registered domain within a window. Here exactly, without their sketch, and per client.
// Windows of 120 s; the threshold is their slowest detected rate, 0.7 bytes a second, over one window: 84
// bytes.
class HeavyHitters final : public Baseline {
 public:
  static constexpr Instant window = std::chrono::seconds(120);
  static constexpr double threshold = 0.7 * 120;

  bool alarms(Instant now, std::uint32_t client, const Name& zone, const Name& name) override {
    Window& state = windows_[{client, zone}];
    const std::int64_t index = now / window;
    if (state.index != index) state = {index, 0, {}};
    if (!state.seen.insert(name).second) return false;
    state.octets += static_cast<double>(below_zone(name).size());
    return state.octets >= threshold;
  }

 private:
  struct Window {
    std::int64_t index = -1;
    double octets = 0;
    std::unordered_set<Name, NameHash> seen;
  };
  std::unordered_map<PairKey, Window, PairHash> windows_;
};

// Entropy and length, as rule sets for log search commonly have it: a query of more than 52 characters
// (Farnham, "Detecting DNS Tunneling", SANS Institute 2013) whose subdomain has more than 3.5 bits of entropy
// a character (the usual figure beside Splunk's URL Toolbox, `ut_shannon`). One such name is an alarm.
class EntropyAndLength final : public Baseline {
 public:
  static constexpr std::size_t longest = 52;
  static constexpr double threshold = 3.5;

  bool alarms(Instant, std::uint32_t, const Name&, const Name& name) override {
    if (name.size() - 2 <= longest) return false;  // as text: without the first length and the root's
    const std::string text = below_zone(name);
    std::array<double, 256> counts{};
    for (const char c : text) counts[static_cast<unsigned char>(c)] += 1;
    double entropy = 0;
    for (const double count : counts)
      if (count > 0)
        entropy -=
            count / static_cast<double>(text.size()) * std::log2(count / static_cast<double>(text.size()));
    return entropy > threshold;
  }
};

using MakeBaseline = std::unique_ptr<Baseline> (*)();

struct Alarm {
  std::uint64_t query = 0;  // 0: never
  double bytes = 0;         // out when it came, or in all
};
Alarm first_alarm(const TunnelTrace& tunnel, Baseline& detector, Instant period) {
  Alarm alarm;
  std::unordered_set<Name, NameHash> seen;
  Instant clock{};
  std::uint64_t at = 0;
  for (const Recorded& one : tunnel.trace.queries) {
    ++at;
    clock += period;
    if (seen.insert(one.query.name).second) alarm.bytes += tunnel.payload_bits(one.query.name) / 8;
    if (!detector.alarms(period.count() != 0 ? clock : one.time, one.client,
                         registered_domain(one.query.name), one.query.name))
      continue;
    alarm.query = at;
    return alarm;
  }
  return alarm;
}

// The same of Postern's score: the first `tunnel`, of the zone or of the session, in the meter's column.
Alarm first_tunnel(const TunnelTrace& tunnel, Instant period) {
  Alarm alarm;
  std::unordered_set<Name, NameHash> seen;
  ReplayRules rules = rules_for(true, "code");
  rules.budgets = unlimited_budgets();
  PlayOptions options;
  options.period = period;
  std::uint64_t at = 0;
  options.each = [&](const Query& query, const SessionReplay::Step& step) {
    ++at;
    if (alarm.query != 0) return;
    if (seen.insert(query.name).second) alarm.bytes += tunnel.payload_bits(query.name) / 8;
    if (step.finding.crossed && step.finding.level == Level::tunnel) alarm.query = at;
  };
  play(tunnel.trace, rules, options);
  return alarm;
}

struct FalseAlarms {
  std::uint64_t pairs = 0, alarmed = 0;
};
// `peacetime`: the zones that alarmed in the first half of the recording are left out of the second, which
// alone counts then.
FalseAlarms false_alarms(const Trace& trace, MakeBaseline make, int half, bool peacetime) {
  const auto detector = make();
  std::unordered_map<PairKey, bool, PairHash> pairs;
  std::unordered_set<Name, NameHash> allowed;
  static const Name arpa = *Name::parse("arpa");
  for (std::size_t i = 0; i < trace.queries.size(); ++i) {
    const Recorded& one = trace.queries[i];
    const Name zone = registered_domain(one.query.name);
    if (one.query.name.at_or_below(arpa) || (half != 0 && half_of(zone) != half)) continue;
    const bool alarm = detector->alarms(one.time, one.client, zone, one.query.name);
    if (peacetime && i < trace.queries.size() / 2) {
      if (alarm) allowed.insert(zone);
      continue;
    }
    pairs[{one.client, zone}] |= alarm && !allowed.contains(zone);
  }
  FalseAlarms out;
  out.pairs = pairs.size();
  for (const auto& [key, alarmed] : pairs) out.alarmed += alarmed;
  return out;
}

std::string alarm_text(const Alarm& alarm) {
  return alarm.query == 0 ? "never (" + number(alarm.bytes) + ")"
                          : number(static_cast<double>(alarm.query)) + " (" + number(alarm.bytes) + ")";
}

}  // namespace

void report_baselines(const Dataset& data, Bars& bars) {
  const MakeBaseline heavy = [] { return std::unique_ptr<Baseline>(std::make_unique<HeavyHitters>()); };
  const MakeBaseline entropy = [] { return std::unique_ptr<Baseline>(std::make_unique<EntropyAndLength>()); };
  std::printf(
      "\n## Beside two published detectors\n\nFirst alarm: at which query, and in brackets the bytes that "
      "are "
      "out by then (never: in all). The meter's last column is all that ever leaves.\n\n");
  Table table({"trace", "heavy hitters", "at one a minute", "entropy + length", "score", "at one a minute",
               "meter: bytes out"});
  bool least = true;
  for (const TunnelTrace& tunnel : data.tunnels) {
    std::vector<std::string> row{tunnel.trace.name};
    const Instant minute = std::chrono::minutes(1);
    const auto with = [&](MakeBaseline make, Instant period) {
      const auto detector = make();
      return first_alarm(tunnel, *detector, period);
    };
    double metered = 0;
    std::unordered_set<Name, NameHash> seen;
    PlayOptions options;
    options.each = [&](const Query& query, const SessionReplay::Step& step) {
      if (step.fate == Fate::forwarded && seen.insert(query.name).second)
        metered += tunnel.payload_bits(query.name) / 8;
    };
    play(tunnel.trace, rules_for(true, "code"), options);
    row.push_back(alarm_text(with(heavy, {})));
    row.push_back(alarm_text(with(heavy, minute)));
    row.push_back(alarm_text(with(entropy, {})));
    row.push_back(alarm_text(first_tunnel(tunnel, {})));
    row.push_back(alarm_text(first_tunnel(tunnel, minute)));
    row.push_back(number(metered));
    least &= metered <= 256;
    table.row(row);
  }
  table.print();
  bars.bar("the meter lets at most 256 bytes of any recorded tunnel out, at any speed", least);

  std::printf("\nFalse alarms: (client, zone) pairs of benign traffic, reverse lookups apart\n\n");
  Table alarms({"detector", "zeek", "of", "crawl", "of", "half 2, both", "of", "per 1,000 there"});
  const auto add = [&](const std::string& what, auto count) {
    std::vector<std::string> row{what};
    FalseAlarms second;
    for (const Trace* trace : {&data.zeek, &data.crawl}) {
      const FalseAlarms all = count(*trace, 0), half = count(*trace, 2);
      row.push_back(number(static_cast<double>(all.alarmed)));
      row.push_back(number(static_cast<double>(all.pairs)));
      second.alarmed += half.alarmed;
      second.pairs += half.pairs;
    }
    row.push_back(number(static_cast<double>(second.alarmed)));
    row.push_back(number(static_cast<double>(second.pairs)));
    row.push_back(
        number(1000.0 * static_cast<double>(second.alarmed) / static_cast<double>(second.pairs), 2));
    alarms.row(row);
  };
  add("heavy hitters", [&](const Trace& trace, int half) { return false_alarms(trace, heavy, half, false); });
  add("heavy hitters, second half of the time, zones of the first allowed",
      [&](const Trace& trace, int half) { return false_alarms(trace, heavy, half, true); });
  add("entropy + length",
      [&](const Trace& trace, int half) { return false_alarms(trace, entropy, half, false); });
  const auto played = [&](const Trace& trace, int half) {
    ReplayRules rules = rules_for(true, "code");
    rules.budgets.session = rules.budgets.arpa = rules.budgets.answers = rules.budgets.queries =
        Budgets::unlimited;
    PlayOptions options;
    options.half = half;
    return play(trace, rules, options);
  };
  add("score: tunnel", [&](const Trace& trace, int half) {
    const Played one = played(trace, half);
    return FalseAlarms{one.pairs, one.pairs_tunnel};
  });
  add("score: suspect", [&](const Trace& trace, int half) {
    const Played one = played(trace, half);
    return FalseAlarms{one.pairs, one.pairs_suspect};
  });
  add("meter, 256 bytes a zone", [&](const Trace& trace, int half) {
    const Played one = played(trace, half);
    return FalseAlarms{one.pairs, one.pairs_cut};
  });
  alarms.print();
}

}  // namespace postern::bench

// The recordings: loading, playing, and the table of what was reached.
#include "bench/detection/data.h"

#include <cmath>
#include <cstdio>
#include <map>
#include <set>
#include <unordered_set>

#include "rules/public_suffix.h"
#include "rules/quote.h"

namespace postern::bench {
namespace {

struct TunnelFile {
  const char* name;
  Coding coding;
  const char* apex;
};
constexpr TunnelFile tunnel_files[] = {
    {"gt-iodine-cname", Coding::iodine, "www.ggy666.tk"},
    {"gt-dnscat2-txt", Coding::hex, "www.ggy666.tk"},
    {"gt-dns2tcp-key", Coding::base64, "www.ggy666.tk"},
    {"nt-dns2tcp-txt", Coding::base64, "hidemyself.org"},
    {"nt-iodine-names", Coding::iodine, "hidemyself.org"},
    {"ndpi-iodine-null", Coding::iodine, "pirate.sea"},
    {"ndpi-dnscat2-a", Coding::hex, "."},
    {"ndpi-dnscat2-b", Coding::hex, "skullseclabs.org"},
    {"ndpi-dnsteal-like", Coding::base64, "test.txt"},
    {"dm-iodine", Coding::iodine, "t1.biillpi.com"},
    {"dm-dnscat2", Coding::hex, "biillpi.com"},
    {"dm-dns2tcp", Coding::base64, "dns2tcp.hsc.fr"},
};

Result<Trace> load_trace(const std::string& file, const std::string& name) {
  auto source = open_octets(file);
  if (!source) return tl::unexpected(source.error());
  Skipped skipped;
  const auto reader = open_recording(std::move(*source), file, skipped);
  if (!reader) return tl::unexpected(reader.error());
  Trace trace;
  trace.name = name;
  std::map<std::string, std::uint32_t, std::less<>> ids;
  RecordedQuery query;
  for (;;) {
    const auto more = (*reader)->next(query);
    if (!more) return tl::unexpected(more.error());
    if (!*more) break;
    auto id = ids.find(query.client);
    if (id == ids.end()) {
      id = ids.emplace(query.client, static_cast<std::uint32_t>(trace.clients.size())).first;
      trace.clients.emplace_back(query.client);
    }
    trace.queries.push_back({query.time, id->second, query.query, query.rcode});
  }
  trace.unreadable = skipped.faults();
  return trace;
}

// Names of one column of a file; `keep` sees the line's columns.
Result<std::vector<Name>> load_names(const std::string& file, std::size_t column,
                                     const std::function<bool(const std::vector<std::string_view>&)>& keep) {
  auto source = open_octets(file);
  if (!source) return tl::unexpected(source.error());
  LineReader lines(**source);
  std::vector<Name> names;
  std::vector<std::string_view> fields;
  for (;;) {
    const auto line = lines.next();
    if (!line) return tl::unexpected(line.error());
    if (line->number == 0) return names;
    if (line->text.empty() || line->text[0] == '#') continue;
    recording::split(line->text, '\t', fields);
    if (fields.size() <= column || !keep(fields)) continue;
    std::string_view text = fields[column];
    if (text.starts_with("*.")) text.remove_prefix(2);  // an allow-list's wildcard: its apex
    if (const auto name = Name::parse(text)) names.push_back(*name);
  }
}

}  // namespace

Result<Dataset> load_dataset(const std::string& folder) {
  Dataset data;
  for (const TunnelFile& one : tunnel_files) {
    auto trace = load_trace(folder + "/tunnel/" + one.name + ".tsv.gz", one.name);
    if (!trace) return tl::unexpected(trace.error());
    data.tunnels.push_back({std::move(*trace), one.coding, *Name::parse(one.apex)});
  }
  auto zeek = load_trace(folder + "/benign/zeek-wrccdc2018.tsv.gz", "zeek-wrccdc2018");
  if (!zeek) return tl::unexpected(zeek.error());
  data.zeek = std::move(*zeek);
  auto crawl = load_trace(folder + "/benign/crawl-top-sites.tsv.gz", "crawl-top-sites");
  if (!crawl) return tl::unexpected(crawl.error());
  data.crawl = std::move(*crawl);
  const auto any = [](const auto&) { return true; };
  auto popular = load_names(folder + "/benign/umbrella-names.tsv.gz", 0, [](const auto& fields) {
    return fields.size() > 3 && std::atoi(std::string(fields[3]).c_str()) >= 3;
  });
  auto hosts = load_names(folder + "/hosts/agent-hosts.tsv", 0, any);
  auto hard = load_names(folder + "/hosts/hard-benign-names.tsv", 1, any);
  for (const auto* one : {&popular, &hosts, &hard})
    if (!*one) return tl::unexpected(one->error());
  data.popular = std::move(*popular);
  data.hosts = std::move(*hosts);
  data.hard = std::move(*hard);
  return data;
}

double TunnelTrace::payload_bits(const Name& name) const {
  if (skip_labels == 0 && !name.at_or_below(apex)) return 0;
  const std::size_t keep = skip_labels != 0 ? skip_labels : apex.labels();
  std::string payload;
  for (Name rest = name; rest.labels() > keep; rest = rest.parent()) {
    const std::string_view label = rest.first_label();
    if (label.starts_with("=") || label == "dnscat") continue;  // words of the protocol
    payload += label;
  }
  const auto octets = static_cast<double>(payload.size());
  constexpr double base64_folded = 5.19;   // 38 signs are left of 64, 26 of them twice as likely
  constexpr double base128_folded = 6.59;  // iodine's, likewise
  switch (coding) {
    case Coding::hex:
      return 4 * octets;
    case Coding::base64:
      return base64_folded * octets;
    case Coding::iodine:  // each packet has its own coding: base32, base64 or base128
      for (const char c : payload)
        if (static_cast<unsigned char>(c) >= 128) return base128_folded * octets;
      return (payload.find_first_of("+-6789") != std::string::npos ? base64_folded : 5.0) * octets;
  }
  return 0;
}

double TunnelTrace::carried() const {
  std::unordered_set<Name, NameHash> seen;
  double bits = 0;
  for (const Recorded& one : trace.queries)
    if (seen.insert(one.query.name).second) bits += payload_bits(one.query.name);
  return bits / 8;
}

int half_of(const Name& zone) {
  std::uint32_t hash = 2166136261u;  // FNV-1a
  for (const std::uint8_t octet : zone.wire()) hash = (hash ^ octet) * 16777619u;
  return (hash >> 16 & 1) != 0 ? 2 : 1;
}

Played play(const Trace& trace, ReplayRules rules, const PlayOptions& options) {
  Replay replay(std::move(rules));
  Instant clock{};
  RecordedQuery query;
  for (const Recorded& one : trace.queries) {
    if (options.half != 0 && half_of(registered_domain(one.query.name)) != options.half) continue;
    clock += options.period;
    query.time = options.period.count() != 0 ? clock : one.time;
    query.client = trace.clients[one.client];
    query.query = one.query;
    query.rcode = one.rcode;
    const auto step = replay.ask(query);
    POSTERN_CHECK(step.has_value());
    if (options.each) options.each(one.query, *step);
  }
  replay.finish();
  Played out;
  const ReplayTotals totals = replay_totals(replay);
  out.queries = totals.queries;
  out.forwarded = totals.forwarded;
  out.cut = totals.cut;
  out.sessions = totals.clients;
  out.exhausted = totals.sessions_exhausted;
  for (const auto& [client, session] : replay.sessions())
    for (const auto& use : session.meter().zones())
      if (!use.is_parent) out.largest_zone = std::max(out.largest_zone, use.used_bits / 8);
  out.largest_session = totals.largest_session_bits / 8;
  static const Name arpa = *Name::parse("arpa");
  for (const ReplayRow& row : replay_rows(replay)) {
    const ZoneReport& report = *row.report;
    const bool cut = report.cut_at_query != 0;
    if (row.zone == arpa) {
      ++out.arpa_pairs;
      out.arpa_cut += cut;
      continue;
    }
    ++out.pairs;
    out.pairs_cut += cut;
    out.pairs_suspect += report.level != Level::quiet;
    out.pairs_tunnel += report.level == Level::tunnel;
    if (cut) out.cut_pairs.push_back(*row.client + " " + row.zone.text() + ": " + report.why());
  }
  return out;
}

ReplayRules rules_for(bool meter_alone, const char* profile_name) {
  static const auto code = NameCode::builtin();
  static const auto known = KnownNames::builtin();
  ReplayRules rules;
  rules.code = code;
  rules.known = known;
  rules.budgets = profile(profile_name).value();
  static const auto open = meter_alone_policy();
  rules.policy = meter_alone ? open : PolicySet::builtin()->find("");
  return rules;
}

Budgets unlimited_budgets() {
  Budgets budgets;
  budgets.zone = budgets.known_zone = budgets.parent = budgets.arpa = budgets.session = budgets.answers =
      Budgets::unlimited;
  budgets.single_name_bits = budgets.queries = unlimited_bits;
  return budgets;
}

void Bars::bar(const std::string& what, bool reached) {
  ++all_;
  if (!reached) {
    ++missed_;
    texts_.push_back(what);
  }
  std::printf("%s  %s\n", reached ? "reached    " : "NOT REACHED", what.c_str());
}

void Table::print() const {
  std::vector<std::size_t> widths(rows_.front().size(), 0);
  for (const auto& row : rows_)
    for (std::size_t i = 0; i < row.size() && i < widths.size(); ++i)
      widths[i] = std::max(widths[i], row[i].size());
  for (std::size_t r = 0; r < rows_.size(); ++r) {
    for (std::size_t i = 0; i < widths.size(); ++i) {
      const std::string& cell = i < rows_[r].size() ? rows_[r][i] : std::string();
      const std::string gap(widths[i] - std::min(widths[i], cell.size()), ' ');
      std::printf("%s%s%s", i == 0 ? "| " : " | ", i == 0 ? cell.c_str() : gap.c_str(),
                  i == 0 ? gap.c_str() : cell.c_str());
    }
    std::printf(" |\n");
    if (r > 0) continue;
    for (std::size_t i = 0; i < widths.size(); ++i)
      std::printf("|%s", i == 0 ? std::string(widths[i] + 2, '-').c_str()
                                : (std::string(widths[i] + 1, '-') + ":").c_str());
    std::printf("|\n");
  }
  std::printf("\n");
}

std::string number(double value, int digits) {
  char text[64];
  if (digits == 0) return with_commas(static_cast<std::uint64_t>(std::llround(value)));
  std::snprintf(text, sizeof text, "%.*f", digits, value);
  return text;
}

}  // namespace postern::bench

// Replays recorded names through the leak meter alone and prints the figures of docs/LEAK-METER.md.
//
//   meter_replay [--zone N] [--parent N] [--session N] [--arpa N] [--single BITS] [--ttl S] [--period S]
//   [--refresh] [--coding C] [--tunnel ZONE]
//                [--zones 64] [--list] < ts-client-qname-qtype.tsv
//
// Budgets in octets; "off" is unlimited. Each client is a session with its own cache. --period gives the
// queries a clock of their own, one every S seconds. --refresh plays Postern's timer, for
// names asked twice within --window seconds. --coding
// hex|base32|base64|iodine counts the octets that a decoder gets out of the names forwarded, left of --tunnel
// ZONE. --zones N spreads the names over N zones. --list prints one line per pair.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <iostream>
#include <map>
#include <set>
#include <sstream>
#include <unordered_map>
#include <unordered_set>

#include "detect/meter.h"
#include "rules/public_suffix.h"

namespace postern {
namespace {

struct Options {
  Budgets budgets;
  double ttl = 300, window = 300, period = 0;
  bool refresh = false, list = false;
  std::string coding;
  Name tunnel;  // what lies left of it is the payload
  std::size_t zones = 0;
};

struct Pair {
  std::size_t queries = 0, forwarded = 0, cut_at = 0, refreshes = 0;
  double charged = 0, decoded = 0;
};

struct Cached {
  double expires = 0;
  double asked = -1e18, asked_before = -1e18;  // the client's last two questions
};

struct Client {
  SessionMeter meter;
  std::unordered_map<std::string, Cached> cache;
  std::map<std::string, Pair> pairs;
  std::unordered_set<std::string> decoded;
  std::size_t refused_names = 0, refused_session = 0, refused_parent = 0;
};

// What one octet of an encoder's output still carries after the name has been folded to lower case
// (docs/LEAK-METER.md).
double bits_of(const std::string& coding, std::string_view text) {
  const auto octets = static_cast<double>(text.size());
  if (coding == "hex") return 4 * octets;
  if (coding == "base32") return 5 * octets;
  if (coding == "base64") return 5.19 * octets;
  if (coding == "iodine") {  // each packet has its own coding: base32, base64 or base128
    for (const char c : text)
      if (static_cast<unsigned char>(c) >= 128) return 6.59 * octets;
    const bool base64 = text.find_first_of("+-6789") != std::string_view::npos;
    return (base64 ? 5.19 : 5.0) * octets;
  }
  return 0;
}

int run(int argc, char** argv) {
  Options options;
  const auto octets = [](const char* text) {
    return std::strcmp(text, "off") == 0 ? Budgets::unlimited : std::stoull(text);
  };
  for (int i = 1; i < argc; ++i) {
    const std::string flag = argv[i];
    const char* value = i + 1 < argc ? argv[i + 1] : "";
    ++i;
    if (flag == "--zone")
      options.budgets.zone = octets(value),
      options.budgets.known_zone = std::max(options.budgets.known_zone, options.budgets.zone);
    else if (flag == "--parent")
      options.budgets.parent = octets(value);
    else if (flag == "--session")
      options.budgets.session = octets(value);
    else if (flag == "--arpa")
      options.budgets.arpa = octets(value);
    else if (flag == "--single")
      options.budgets.single_name_bits = static_cast<std::uint32_t>(std::stoul(value));
    else if (flag == "--ttl")
      options.ttl = std::stod(value);
    else if (flag == "--window")
      options.window = std::stod(value);
    else if (flag == "--period")
      options.period = std::stod(value);
    else if (flag == "--coding")
      options.coding = value;
    else if (flag == "--tunnel")
      options.tunnel = Name::parse(value).value_or(Name{});
    else if (flag == "--zones")
      options.zones = std::stoul(value);
    else if (flag == "--refresh")
      options.refresh = true, --i;
    else if (flag == "--list")
      options.list = true, --i;
    else
      return std::fprintf(stderr, "unknown flag \"%s\"\n", flag.c_str()), 2;
  }
  const auto code = NameCode::builtin();
  const auto known = KnownNames::builtin();
  std::map<std::string, Client> clients;
  std::size_t lines = 0, unreadable = 0, over_single = 0, forwarded = 0;
  std::set<std::string> over_names;
  std::string line;
  while (std::getline(std::cin, line)) {
    if (line.empty() || line[0] == '#') continue;
    std::istringstream in(line);
    std::string ts, who, text, type_name;
    if (!std::getline(in, ts, '\t') || !std::getline(in, who, '\t') || !std::getline(in, text, '\t'))
      continue;
    std::getline(in, type_name, '\t');
    ++lines;
    while (text.size() > 1 && text.back() == '.') text.pop_back();
    if (const auto gap = text.find(".."); gap != std::string::npos) text.erase(gap, 1);  // a lossy recording
    auto name = Name::parse(text);
    if (!name) {
      ++unreadable;
      continue;
    }
    if (options.zones > 0) {
      const Name zone = registered_domain(*name);
      std::string left =
          text.size() > zone.text().size() ? text.substr(0, text.size() - zone.text().size()) : "";
      name = Name::parse(left + "zone" + std::to_string(lines % options.zones) + "-" + zone.text());
      if (!name) {
        ++unreadable;
        continue;
      }
    }
    const double now = options.period > 0 ? static_cast<double>(lines) * options.period : std::stod(ts);
    const Query query{*name, type_from_text(type_name).value_or(type::A)};
    auto found = clients.find(who);
    if (found == clients.end())
      found =
          clients.emplace(who, Client{SessionMeter(options.budgets, code, known), {}, {}, {}, 0, 0, 0}).first;
    Client& client = found->second;
    const Ask ask{&query, PublicSuffixes::registered_labels(query.name),
                  PublicSuffixes::icann_registered_labels(query.name)};
    const Name zone_name = query.name.suffix(ask.registered_labels);
    const bool arpa = query.name.suffix(1) == *Name::parse("arpa");
    Pair& pair = client.pairs[arpa ? "arpa" : zone_name.text()];
    ++pair.queries;

    const std::string key = std::string(NameTable::octets(query.name)) + static_cast<char>(query.type >> 8) +
                            static_cast<char>(query.type & 0xff);
    const auto cached = client.cache.find(key);
    if (cached != client.cache.end()) {
      // In use: asked twice within the window. Then Postern asks again at each expiry, until it is not any
      // more.
      Cached& entry = cached->second;
      const double window = std::max(options.ttl, options.window);
      while (options.refresh && entry.expires <= now && entry.asked_before > entry.expires - window) {
        const Admission admission = client.meter.admit_refresh(ask);
        if (!admission.admitted) break;
        ++pair.refreshes;
        pair.charged += admission.charge.zone / 1000.0;
        entry.expires += options.ttl;
      }
      entry.asked_before = entry.asked;
      entry.asked = now;
      if (now < entry.expires) continue;
    }
    const bool first_of_zone = pair.forwarded == 0;
    const Admission admission = client.meter.admit(ask);
    if (admission.admitted) {
      ++forwarded;
      ++pair.forwarded;
      pair.charged += admission.charge.zone / 1000.0 + (first_of_zone ? 8 : 0);
      Cached& entry = client.cache[key];
      entry.expires = now + options.ttl;
      entry.asked = now;
      if (!options.coding.empty() &&
          client.decoded.insert(std::string(NameTable::octets(query.name))).second) {
        std::string payload;
        const std::size_t keep = query.name.below(options.tunnel)
                                     ? std::max(options.tunnel.labels(), ask.registered_labels)
                                     : ask.registered_labels;
        for (Name rest = query.name; rest.labels() > keep; rest = rest.parent())
          payload += rest.first_label();
        pair.decoded += bits_of(options.coding, payload);
      }
    } else if (admission.refused_by == LedgerKind::name) {
      ++client.refused_names;
      ++over_single;
      over_names.insert(text);
    } else {
      if (admission.refused_by == LedgerKind::session) ++client.refused_session;
      if (admission.refused_by == LedgerKind::parent) ++client.refused_parent;
      if (pair.cut_at == 0) pair.cut_at = pair.queries;
    }
  }

  std::size_t pairs = 0, cut = 0, arpa_pairs = 0, arpa_cut = 0, session_cut = 0;
  double most = 0, session_most = 0, charged = 0, decoded = 0;
  std::vector<double> forward_charges;
  std::vector<double> sessions;
  for (auto& [who, client] : clients) {
    for (auto& [zone, pair] : client.pairs) {
      if (options.list)
        std::printf(
            "%s\t%s\tqueries %zu\tforwarded %zu\trefreshed %zu\tcharged %.0f bits\tdecoded %.0f bits\tcut at "
            "%zu\n",
            who.c_str(), zone.c_str(), pair.queries, pair.forwarded, pair.refreshes, pair.charged,
            pair.decoded, pair.cut_at);
      charged += pair.charged;
      decoded += pair.decoded;
      if (zone == "arpa") {
        ++arpa_pairs;
        arpa_cut += pair.cut_at != 0 ? 1 : 0;
        continue;
      }
      ++pairs;
      cut += pair.cut_at != 0 ? 1 : 0;
      most = std::max(most, pair.charged);
      forward_charges.push_back(pair.charged);
    }
    session_cut += client.refused_session != 0 ? 1 : 0;
    sessions.push_back(static_cast<double>(client.meter.session().used()) / 8000);
    session_most = std::max(session_most, sessions.back());
  }
  std::printf("queries %zu unreadable %zu clients %zu forwarded %zu\n", lines, unreadable, clients.size(),
              forwarded);
  std::printf(
      "pairs %zu cut %zu; arpa pairs %zu cut %zu; sessions exhausted %zu; single names refused %zu (%zu "
      "distinct)\n",
      pairs, cut, arpa_pairs, arpa_cut, session_cut, over_single, over_names.size());
  std::printf(
      "zones' charges %.0f octets, largest %.1f octets; largest session %.0f octets; decoded %.0f octets; "
      "charge/decoded %.2f\n",
      charged / 8, most / 8, session_most, decoded / 8, decoded > 0 ? charged / decoded : 0);
  if (options.budgets.zone == Budgets::unlimited) {
    std::printf("curve:");
    for (const int budget : {16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024})
      std::printf(" %d:%ld", budget,
                  std::count_if(forward_charges.begin(), forward_charges.end(),
                                [&](double bits) { return bits > budget * 8; }));
    std::printf("\n");
  }
  for (const std::string& name : over_names)
    if (options.list) std::printf("over: %s\n", name.c_str());
  return 0;
}

}  // namespace
}  // namespace postern

int main(int argc, char** argv) {
  return postern::run(argc, argv);
}

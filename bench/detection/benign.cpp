// Benign traffic: what is cut although nobody did anything wrong.
#include <cstdio>

#include "bench/detection/data.h"
#include "encoders.h"
#include "rules/public_suffix.h"

namespace postern::bench {
namespace {

// A deterministic row of numbers: the same day everywhere.
class Draws {
 public:
  std::size_t below(std::size_t count) {
    state_ ^= state_ << 13;
    state_ ^= state_ >> 7;
    state_ ^= state_ << 17;
    return static_cast<std::size_t>(state_ % count);
  }

 private:
  std::uint64_t state_ = 88172645463325252ull;
};

Trace hosts_trace(const std::vector<Name>& names) {
  Trace trace;
  trace.clients = {"agent"};
  for (std::size_t i = 0; i < names.size(); ++i)
    for (const Type type : {type::A, type::AAAA})
      trace.queries.push_back({std::chrono::seconds(i), 0, {names[i], type}, -1});
  return trace;
}

std::string per_mille(std::uint64_t cut, std::uint64_t of) {
  return number(of == 0 ? 0 : 1000.0 * static_cast<double>(cut) / static_cast<double>(of), 2);
}

void list(const Played& played) {
  std::size_t shown = 0;
  for (const std::string& one : played.cut_pairs)
    if (shown++ < 5) std::printf("    cut: %s\n", one.c_str());
  if (shown > 5) std::printf("    and %zu more\n", shown - 5);
}

}  // namespace

Trace agent_day(int pages) {
  Trace trace;
  trace.name = "agent's day";
  trace.clients = {"agent"};
  Draws draws;
  const auto ask = [&](Instant at, const std::string& name) {
    for (const Type type : {type::A, type::AAAA})
      trace.queries.push_back({at, 0, {*Name::parse(name), type}, -1});
  };
  const auto word = [&] { return encoders::word_list()[draws.below(2048)]; };
  constexpr Instant day = std::chrono::hours(24);
  // Three hosts that no list knows, polled each minute.
  for (Instant at{}; at < day; at += std::chrono::minutes(1)) {
    ask(at, "status.build-farm.example.net");
    ask(at + std::chrono::seconds(7), "queue-7.eu.example.org");
    ask(at + std::chrono::seconds(21), "telemetry.example.com");
  }
  // An API that is called all the time, and git.
  for (Instant at{}; at < day; at += std::chrono::seconds(25)) ask(at, "api.github.com");
  for (Instant at{}; at < day; at += std::chrono::minutes(12)) {
    ask(at + std::chrono::seconds(3), "github.com");
    ask(at + std::chrono::seconds(4), "codeload.github.com");
  }
  // Installs: a mirror and what it redirects to, of a few that a project uses, and now and then a new one.
  for (int i = 0; i < 40; ++i) {
    const Instant at = std::chrono::minutes(36 * i + 5);
    ask(at, "mirror" + std::to_string(draws.below(3)) + ".packages.debian.org");
    ask(at + std::chrono::seconds(1), "objects.githubusercontent.com");
    ask(at + std::chrono::seconds(2), "cdn" + std::to_string(draws.below(4)) + ".wheels.example.edu");
    if (i % 8 == 0) ask(at + std::chrono::seconds(3), "dl." + word() + word() + ".io");
  }
  // Pages, if any: a site nobody has asked before, with its pictures and what half of the web includes.
  for (int i = 0; i < pages; ++i) {
    const Instant at = std::chrono::minutes(24 * i + 11);
    const std::string site = word() + "-" + word() + (draws.below(2) == 0 ? ".com" : ".org");
    ask(at, "www." + site);
    if (draws.below(2) == 0) ask(at + std::chrono::milliseconds(300), "static." + site);
    ask(at + std::chrono::milliseconds(400), "fonts.gstatic.com");
    ask(at + std::chrono::milliseconds(500), "www.googletagmanager.com");
  }
  std::stable_sort(trace.queries.begin(), trace.queries.end(),
                   [](const Recorded& a, const Recorded& b) { return a.time < b.time; });
  return trace;
}

void report_benign(const Dataset& data, Bars& bars) {
  std::printf("\n## Benign traffic\n\n");
  Table table({"what", "column", "queries", "forward pairs", "cut", "of 1,000", "reverse pairs", "cut",
               "sessions", "exhausted", "largest session, bytes"});
  struct Case {
    const char* what;
    const Trace* trace;
    const char* profile_name;
    bool session_off;
  };
  const Trace hosts = hosts_trace(data.hosts), hard = hosts_trace(data.hard), day = agent_day(0),
              day_with_pages = agent_day(60);
  const Case cases[] = {{"hosts/agent-hosts, code", &hosts, "code", false},
                        {"hosts/hard-benign, code", &hard, "code", false},
                        {"zeek, browse", &data.zeek, "browse", false},
                        {"zeek, code", &data.zeek, "code", false},
                        {"zeek, code without session", &data.zeek, "code", true},
                        {"crawl, code without session", &data.crawl, "code", true}};
  std::vector<Played> results;
  for (const Case& one : cases)
    for (const bool meter_alone : {true, false}) {
      ReplayRules rules = rules_for(meter_alone, one.profile_name);
      if (one.session_off)
        rules.budgets.session = rules.budgets.answers = rules.budgets.queries = Budgets::unlimited;
      const Played played = play(*one.trace, rules);
      table.row({one.what, meter_alone ? "meter" : "policy", number(static_cast<double>(played.queries)),
                 number(static_cast<double>(played.pairs)), number(static_cast<double>(played.pairs_cut)),
                 per_mille(played.pairs_cut, played.pairs), number(static_cast<double>(played.arpa_pairs)),
                 number(static_cast<double>(played.arpa_cut)), number(static_cast<double>(played.sessions)),
                 number(static_cast<double>(played.exhausted)), number(played.largest_session)});
      results.push_back(played);
    }
  table.print();
  const auto within = [](const Played& played) { return played.pairs_cut * 1000 <= played.pairs; };
  const auto both = [&](std::size_t which, const std::string& what, auto good) {
    for (const std::size_t column : {0u, 1u}) {
      const Played& played = results[which * 2 + column];
      bars.bar(what + (column == 0 ? ", meter alone" : ", default policy"), good(played));
      if (!good(played)) list(played);
    }
  };
  both(0, "no zone of hosts/agent-hosts is cut", [](const Played& played) { return played.pairs_cut == 0; });
  both(1, "no zone of hosts/hard-benign-names is cut",
       [](const Played& played) { return played.pairs_cut == 0; });
  both(2, "zeek: at most 1 in 1,000 (client, forward zone) pairs cut, all budgets of `browse` on", within);
  both(2, "zeek: no client exhausts `browse`", [](const Played& played) { return played.exhausted == 0; });
  both(4, "zeek: at most 1 in 1,000 pairs cut, zone and parent of `code` on, session off", within);
  both(5, "crawl: at most 1 in 1,000 pairs cut, zone and parent of `code` on, session off", within);

  std::uint64_t refused = 0;
  double dearest = 0;
  const ReplayRules plain = rules_for(true, "code");
  for (const Name& name : data.popular) {  // each in a session of its own
    SessionMeter meter(plain.budgets, plain.code, plain.known);
    const Query query{name, type::A};
    const Admission admission = meter.admit(ledger_ask(plain, query, plain.suffixes->ledger_cut(query.name)));
    refused += admission.refused_by == LedgerKind::name;
    dearest = std::max(dearest, admission.charge.bits());
  }
  bars.bar("umbrella names in 3 or more lists: " + number(static_cast<double>(refused)) + " of " +
               number(static_cast<double>(data.popular.size())) + " refused singly (dearest " +
               number(dearest) + " bits, limit 600)",
           refused == 0);

  std::printf(
      "\n24 hours of an agent's work: %zu queries; with 60 pages of sites never asked before: %zu\n\n",
      day.queries.size(), day_with_pages.queries.size());
  Table hours({"day", "TTL, s", "refresh timer", "column", "forwarded", "zones", "cut", "session, bytes"});
  bool day_held = true;
  for (const Trace* one : {&day, &day_with_pages})
    for (const int ttl : {300, 60, 5})
      for (const bool refreshes : {true, false})
        for (const bool meter_alone : {true, false}) {
          ReplayRules rules = rules_for(meter_alone, "code");
          rules.ttl = std::chrono::seconds(ttl);
          rules.refreshes = refreshes;
          const Played played = play(*one, rules);
          hours.row({one == &day ? "work" : "work and pages", std::to_string(ttl), refreshes ? "yes" : "no",
                     meter_alone ? "meter" : "policy", number(static_cast<double>(played.forwarded)),
                     number(static_cast<double>(played.pairs)), number(static_cast<double>(played.pairs_cut)),
                     number(played.largest_session)});
          if (refreshes && one == &day) day_held &= played.pairs_cut == 0 && played.cut == 0;
        }
  hours.print();
  bars.bar(
      "an agent's day (installs, git, an API, three unknown hosts polled each minute) is not cut in `code`, "
      "at a TTL of 300, 60 and 5 s, in both columns",
      day_held);
}

}  // namespace postern::bench

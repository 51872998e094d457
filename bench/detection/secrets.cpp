// Secrets on benign traffic: how often an ordinary name is taken for one, by the bits that a run has to be
// worth.
#include <cstdio>
#include <ctime>
#include <map>
#include <random>

#include "bench/detection/data.h"
#include "detect/secret_watch.h"
#include "encoders.h"
#include "rules/public_suffix.h"

namespace postern::bench {
namespace {

// What people keep in environments and files, 64 of it; drawn, not real.
std::vector<SecretValue> usual_secrets() {
  std::mt19937_64 dice(20);
  constexpr std::string_view base62 = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
  const auto drawn = [&](std::string_view digits, std::size_t count) {
    std::string out;
    while (out.size() < count) out += digits[dice() % digits.size()];
    return out;
  };
  const auto hex = [&](std::size_t count) { return drawn("0123456789abcdef", count); };
  const auto word = [&] { return encoders::word_list()[dice() % 2048]; };
  std::vector<SecretValue> all;
  const auto add = [&](const std::string& octets) {
    all.push_back({"S" + std::to_string(all.size()), octets});
  };
  for (int i = 0; i < 8; ++i) {
    add("ghp_" + drawn(base62, 36));
    add(hex(64));
    add(hex(8) + "-" + hex(4) + "-4" + hex(3) + "-a" + hex(3) + "-" + hex(12));
    add("AKIA" + drawn(base62.substr(0, 26), 16));
    add(drawn(base62, 8));
    add(word() + "-" + word() + "-" + word());
    add("postgres://service:" + drawn(base62, 16) + "@db.production.internal.example.com:5432/main");
    std::string octets(32, ' ');
    for (char& c : octets) c = static_cast<char>(dice());
    add(octets);
  }
  return all;
}

struct Counted {
  std::uint64_t names = 0, alone = 0, split = 0;
  std::map<std::string, std::uint64_t> examples;
  double nanoseconds = 0;
};

// Every query of a trace, each client a session; `half` by the registered domain.
Counted count(const Trace& trace, const std::shared_ptr<const SecretSet>& set, int half) {
  Counted counted;
  std::vector<SecretWatch> watches(trace.clients.size(), SecretWatch(set));
  const auto list = SuffixList::builtin();
  timespec from{}, to{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &from);
  for (const Recorded& one : trace.queries) {
    const LedgerCut cut = list->ledger_cut(one.query.name);
    if (half_of(one.query.name.suffix(cut.registered)) != half) continue;
    ++counted.names;
    const auto found =
        watches[one.client].observe(one.query.name, cut.parent == 0 ? cut.registered : cut.parent);
    if (!found) continue;
    ++(found->split ? counted.split : counted.alone);
    ++counted
          .examples[one.query.name.text() + " (" + found->label + ", " +
                    std::string(encoding_text(found->encoding)) + ", " + number(found->bits, 1) + " bits)"];
  }
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &to);
  counted.nanoseconds =
      static_cast<double>(to.tv_sec - from.tv_sec) * 1e9 + static_cast<double>(to.tv_nsec - from.tv_nsec);
  return counted;
}

// Names that a list holds, each asked by the same client.
Trace of_names(const std::string& name, const std::vector<Name>& names) {
  Trace trace;
  trace.name = name;
  trace.clients = {"all"};
  for (const Name& one : names) trace.queries.push_back({Instant{}, 0, {one, type::A}, -1});
  return trace;
}

}  // namespace

void report_secrets(const Dataset& data, Bars& bars) {
  std::printf(
      "\n## Secrets on benign names\n\n64 values: tokens of base62, hex, UUIDs, keys, three words, addresses "
      "of "
      "databases with a password, random octets. A query is wrong when it is taken for one of them, by "
      "itself or "
      "together with those before it.\n\n");
  const Trace popular = of_names("umbrella", data.popular), hosts = of_names("hosts", data.hosts),
              hard = of_names("hard", data.hard);
  const Trace* traces[] = {&data.crawl, &data.zeek, &popular, &hosts, &hard};
  Table table({"bits", "trace", "half", "queries", "wrong, alone", "wrong, together", "ns/query"});
  std::uint64_t wrong = 0, asked = 0;
  std::map<std::string, std::uint64_t> examples;
  const auto model = NameCode::builtin()->tables().model;
  for (const double bits : {24.0, 32.0, 40.0, SecretSet::match_bits}) {
    const auto set = SecretSet::make(usual_secrets(), "key", *model, bits);
    POSTERN_CHECK(set.has_value());
    for (const int half : {1, 2}) {
      if (half == 2 && bits != SecretSet::match_bits) continue;  // chosen on half 1, quoted on half 2
      for (const Trace* trace : traces) {
        const Counted counted = count(*trace, *set, half);
        table.row(
            {number(bits), trace->name, std::to_string(half), number(static_cast<double>(counted.names)),
             number(static_cast<double>(counted.alone)), number(static_cast<double>(counted.split)),
             number(counted.names == 0 ? 0 : counted.nanoseconds / static_cast<double>(counted.names))});
        if (half == 2) {
          wrong += counted.alone + counted.split;
          asked += counted.names;
          examples.insert(counted.examples.begin(), counted.examples.end());
        }
      }
    }
  }
  table.print();
  for (const auto& [text, times] : examples)
    std::printf("    wrong: %s, %llu times\n", text.c_str(), static_cast<unsigned long long>(times));
  bars.bar("secrets: no ordinary name of half 2 is taken for one (" + number(static_cast<double>(wrong)) +
               " of " + number(static_cast<double>(asked)) + " queries)",
           wrong == 0);
}

}  // namespace postern::bench

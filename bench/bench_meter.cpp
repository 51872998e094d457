// How long the leak meter takes: nanoseconds to price and to admit a new name, a repeated one, a known one.
//
//   bench_meter [ROUNDS] < names, one a line      (without stdin's names it makes its own)
#include <algorithm>

#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <iostream>
#include <random>

#include "detect/meter.h"
#include "detect/secret_watch.h"
#include "rules/public_suffix.h"

namespace postern {
namespace {

// CPU time of this thread: the machine may be shared.
double now_ns() {
  timespec time{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) * 1e9 + static_cast<double>(time.tv_nsec);
}

struct Prepared {
  Query query;
  std::size_t registered, icann;
};

Prepared prepared(const std::string& text) {
  const Query query{*Name::parse(text), type::A};
  return {query, PublicSuffixes::registered_labels(query.name),
          PublicSuffixes::icann_registered_labels(query.name)};
}

int run(int argc, char** argv) {
  const int rounds = argc > 1 ? std::atoi(argv[1]) : 5;
  std::vector<Prepared> names;
  double octets = 0;
  for (std::string line; std::getline(std::cin, line);)
    if (const auto name = Name::parse(line))
      names.push_back(prepared(line)), octets += static_cast<double>(line.size());
  if (names.empty()) {
    std::mt19937_64 dice(1);
    for (int i = 0; i < 20000; ++i) {
      std::string label;
      for (int k = 0; k < 12; ++k) label += static_cast<char>('a' + dice() % 26);
      names.push_back(prepared(label + ".host" + std::to_string(dice() % 5000) + ".example.com"));
      octets += static_cast<double>(names.back().query.name.size()) - 2;
    }
  }
  Budgets budgets;
  budgets.zone = budgets.known_zone = budgets.parent = budgets.arpa = budgets.session = budgets.answers =
      Budgets::unlimited;
  budgets.single_name_bits = 4000;
  const auto code = NameCode::builtin();
  const auto known = KnownNames::builtin();
  const auto print = [&](const char* what, const std::vector<double>& ns) {
    auto sorted = ns;
    std::sort(sorted.begin(), sorted.end());
    std::printf("%-28s %6.0f ns median of %d rounds, %6.0f best, %6.0f worst\n", what,
                sorted[sorted.size() / 2], rounds, sorted.front(), sorted.back());
  };
  const auto time = [&](auto&& work) {
    const double from = now_ns();
    work();
    return (now_ns() - from) / static_cast<double>(names.size());
  };
  std::printf("%zu names, %.1f octets on average\n", names.size(),
              octets / static_cast<double>(names.size()));
  std::vector<double> letters, first, again, refused;
  std::uint64_t sink = 0;
  for (int round = 0; round < rounds; ++round) {
    letters.push_back(time([&] {
      LabelPrices prices;
      for (const auto& one : names) code->price(one.query.name, prices), sink += prices.total;
    }));
    // Sessions of 300 names, about what `code` lets one session ask.
    constexpr std::size_t session = 300;
    std::vector<SessionMeter> meters;
    for (std::size_t at = 0; at < names.size(); at += session) meters.emplace_back(budgets, code, known);
    const auto admit_all = [&] {
      for (std::size_t i = 0; i < names.size(); ++i) {
        const auto& one = names[i];
        sink += meters[i / session].admit({&one.query, one.registered, one.icann}).charge.session;
      }
    };
    first.push_back(time(admit_all));
    again.push_back(time(admit_all));
    SessionMeter spent(Budgets{}, code, known);
    const auto refuse_all = [&] {
      for (const auto& one : names)
        sink += spent.admit({&one.query, one.registered, one.icann}).charge.session;
    };
    refuse_all();
    refused.push_back(time(refuse_all));
  }
  print("letters alone", letters);
  print("admit, new name", first);
  print("admit, the same again", again);
  print("refuse, budget spent", refused);
  // Secrets of 40 octets each: what a name costs to be looked at, alone and with those before it.
  for (const std::size_t count : {std::size_t{1}, std::size_t{8}, SecretSet::max_values}) {
    std::mt19937_64 dice(7);
    std::vector<SecretValue> values;
    for (std::size_t i = 0; i < count; ++i) {
      values.push_back({"S" + std::to_string(i), ""});
      for (int k = 0; k < 40; ++k)
        values.back().octets += "abcdefghijklmnopqrstuvwxyz0123456789"[dice() % 36];
    }
    const double from = now_ns();
    const auto set = SecretSet::make(values, "key", *code->tables().model);
    POSTERN_CHECK(set.has_value());
    std::printf("%zu secrets of 40 octets: an index of %zu KiB, made in %.1f ms\n", count,
                (*set)->memory_octets() / 1024, (now_ns() - from) / 1e6);
    std::vector<double> watched;
    for (int round = 0; round < rounds; ++round) {
      SecretWatch watch(*set);
      watched.push_back(time([&] {
        for (const auto& one : names) sink += watch.observe(one.query.name, one.icann).has_value();
      }));
    }
    print("  watch, new name", watched);
  }
  std::printf("(checksum %llu)\n", static_cast<unsigned long long>(sink));
  return 0;
}

}  // namespace
}  // namespace postern

int main(int argc, char** argv) {
  return postern::run(argc, argv);
}

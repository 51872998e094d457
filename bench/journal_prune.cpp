// How long commits wait while retention works: a journal is filled, then written to while it is pruned.
#include "bench/journal_prune.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <ctime>
#include <filesystem>
#include <thread>
#include <vector>

#include "resolver/journal/journal.h"

namespace postern::bench {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::size_t rows_of_batch = 64;
constexpr std::int64_t hour_us = 3'600'000'000;
constexpr auto between =
    std::chrono::milliseconds(2);  // batches, while it is measured: 32,000 queries a second
constexpr auto measured = std::chrono::seconds(40);

struct Waits {
  std::vector<double> ms;
  double at(double share) {
    if (ms.empty()) return 0;
    std::sort(ms.begin(), ms.end());
    return ms[std::min(ms.size() - 1, static_cast<std::size_t>(share * static_cast<double>(ms.size())))];
  }
};

// A batch of queries of `ago_us` ago, each tenth of a name of its own; how long its commit took.
double write_batch(Journal& journal, std::int64_t ago_us) {
  std::vector<Asked> rows(rows_of_batch);
  std::vector<const Asked*> batch;
  RowId id = journal.reserve(rows_of_batch);
  const std::int64_t now_us = std::int64_t{std::time(nullptr)} * 1'000'000;
  for (Asked& row : rows) {
    row.id = id++;
    row.time_us = now_us - ago_us;
    row.sandbox = 1 + row.id % 24;
    const auto number = row.id % 10 == 0 ? row.id : row.id % 5000;
    row.name =
        *Name::parse("host" + std::to_string(number) + ".d" + std::to_string(number % 2000) + ".example");
    row.type = 1;
    row.registered_labels = 2;
    row.action = Action::allow;
    batch.push_back(&row);
  }
  std::atomic<bool> done = false;
  const auto begun = Clock::now();
  if (!journal.submit(std::move(batch), [&](bool) {
        done = true;
        done.notify_one();
      }))
    return 0;
  done.wait(false);
  const std::chrono::duration<double, std::milli> took = Clock::now() - begun;
  for (const Asked& row : rows)
    if (row.id % 2 == 0)
      journal.append({.asked = row.id,
                      .time_us = row.time_us,
                      .rcode = 0,
                      .data = "192.0.2." + std::to_string(row.id % 250)});
  return took.count();
}

}  // namespace

bool measure_pruning(const std::string& path, std::size_t rows) {
  const auto remove_all = [&] {
    for (const char* suffix : {"", "-wal", "-shm", ".lock"}) std::filesystem::remove(path + suffix);
  };
  remove_all();
  Journal::Options options;
  options.path = path;
  {
    auto journal = Journal::open(options);
    if (!journal) return std::fprintf(stderr, "%s\n", journal.error().message.c_str()), false;
    for (std::size_t i = 0; i < rows; i += rows_of_batch) write_batch(**journal, 2 * hour_us);
  }
  std::printf("%zu queries, then 40 s of 64 each 2 ms\n%-14s %9s %9s %9s %12s %14s %12s\n", rows, "",
              "p50 ms", "p99 ms", "max ms", "removed", "longest step", "checkpoint");
  for (const bool pruned : {false, true}) {
    options.keep.queries_us = pruned ? hour_us : 0;
    auto journal = Journal::open(options);
    if (!journal) return std::fprintf(stderr, "%s\n", journal.error().message.c_str()), false;
    Waits waits;
    const auto until = Clock::now() + measured;
    for (auto next = Clock::now(); next < until; next += between) {
      std::this_thread::sleep_until(next);
      waits.ms.push_back(write_batch(**journal, 0));
    }
    const auto stats = (*journal)->stats();
    std::printf("%-14s %9.2f %9.2f %9.2f %12llu %11.2f ms %9.2f ms\n", pruned ? "while pruned" : "kept",
                waits.at(0.5), waits.at(0.99), waits.at(1),
                static_cast<unsigned long long>(stats.pruned_rows),
                static_cast<double>(stats.prune_step_us_max) / 1000,
                static_cast<double>(stats.checkpoint_stall_us_max) / 1000);
  }
  remove_all();
  return true;
}

}  // namespace postern::bench

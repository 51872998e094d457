// How long commits wait while retention works: a journal is filled, then written to while it is pruned.
#include "bench/journal_prune.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <string>
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
// Kept and pruned take turns, so that whatever else the machine does meets both.
constexpr int turns = 3;
constexpr auto turn = std::chrono::seconds(14);

struct Measured {
  std::vector<double> ms;  // that commits waited
  std::uint64_t removed = 0, longest_step_us = 0, longest_checkpoint_us = 0, written_octets = 0;
  double at(double share) {
    if (ms.empty()) return 0;
    std::sort(ms.begin(), ms.end());
    return ms[std::min(ms.size() - 1, static_cast<std::size_t>(share * static_cast<double>(ms.size())))];
  }
};

// By this process, to the log and from there to the file.
std::uint64_t octets_written() {
  std::ifstream io("/proc/self/io");
  for (std::string word; io >> word;)
    if (word == "wchar:" && io >> word) return std::stoull(word);
  return 0;
}

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
  Measured kept, pruned;
  for (int i = 0; i < 2 * turns; ++i) {
    Measured& one = i % 2 == 0 ? kept : pruned;
    options.keep.queries_us = i % 2 == 0 ? 0 : hour_us;
    auto journal = Journal::open(options);
    if (!journal) return std::fprintf(stderr, "%s\n", journal.error().message.c_str()), false;
    const std::uint64_t before = octets_written();
    const auto until = Clock::now() + turn;
    for (auto next = Clock::now(); next < until; next += between) {
      std::this_thread::sleep_until(next);
      one.ms.push_back(write_batch(**journal, 0));
    }
    one.written_octets += octets_written() - before;
    const auto stats = (*journal)->stats();
    one.removed += stats.pruned_rows;
    one.longest_step_us = std::max(one.longest_step_us, static_cast<std::uint64_t>(stats.prune_step_us_max));
    one.longest_checkpoint_us = std::max(one.longest_checkpoint_us, stats.checkpoint_stall_us_max);
  }
  std::printf(
      "%zu queries, then 64 each 2 ms, %d turns of %d s each\n%-14s %9s %9s %9s %12s %14s %12s %12s\n", rows,
      turns, static_cast<int>(turn.count()), "", "p50 ms", "p99 ms", "max ms", "removed", "longest step",
      "checkpoint", "written");
  for (auto* one : {&kept, &pruned})
    std::printf("%-14s %9.2f %9.2f %9.2f %12llu %11.2f ms %9.2f ms %8llu MiB\n",
                one == &kept ? "kept" : "while pruned", one->at(0.5), one->at(0.99), one->at(1),
                static_cast<unsigned long long>(one->removed),
                static_cast<double>(one->longest_step_us) / 1000,
                static_cast<double>(one->longest_checkpoint_us) / 1000,
                static_cast<unsigned long long>(one->written_octets >> 20));
  remove_all();
  return true;
}

}  // namespace postern::bench

// What a row costs on the journal's commit path, beside a bare two-column insert in the same run.
//
// `commit`: CPU time of the journal's thread less what it spends on the catalogue (lister.h). `all`: that and
// catalogue, sums and checkpoints, that is, the process less the thread that submits. Then the cookbook's
// questions on a journal of fifty times as many rows.
// usage: journal_bench [ROWS] [FOLDER] [batches|seals|questions [keep]|traffic [keep]|prune]
// `batches`: only batches of 64, once. `seals`: only what sealing adds. `questions`: only the questions, on
// ROWS rows; `traffic`: what they are asked of, and not the questions; `keep` leaves the file.
// `prune`: how long commits wait while retention works.
#include <sqlite3.h>
#include <unistd.h>

#include <algorithm>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <mutex>
#include <string>
#include <vector>

#include "bench/journal_prune.h"
#include "bench/journal_questions.h"
#include "resolver/journal/journal.h"

namespace {

using namespace postern;

constexpr std::size_t rounds = 3;     // of which the median is shown
constexpr std::size_t in_flight = 4;  // batches submitted before the first answer is waited for, as shards do

double cpu_us(clockid_t clock = CLOCK_PROCESS_CPUTIME_ID) {
  timespec now{};
  ::clock_gettime(clock, &now);
  return static_cast<double>(now.tv_sec) * 1e6 + static_cast<double>(now.tv_nsec) / 1e3;
}

[[noreturn]] void give_up(const std::string& why) {
  std::fprintf(stderr, "journal_bench: %s\n", why.c_str());
  std::exit(1);
}

void remove_all(const std::string& path) {
  for (const char* suffix : {"", "-wal", "-shm", ".lock"}) std::filesystem::remove(path + suffix);
}

// The least that SQLite can do in the same transactions: one thread, a key and a time.
double bare(const std::string& path, std::size_t rows, std::size_t batch) {
  remove_all(path);
  sqlite3* db = nullptr;
  if (sqlite3_open(path.c_str(), &db) != SQLITE_OK) give_up(path);
  const auto exec = [&](const char* sql) {
    if (sqlite3_exec(db, sql, nullptr, nullptr, nullptr) != SQLITE_OK) give_up(sqlite3_errmsg(db));
  };
  exec(
      "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;"
      "CREATE TABLE bare (id INTEGER PRIMARY KEY, time_us INTEGER NOT NULL) STRICT");
  sqlite3_stmt *insert = nullptr, *begin = nullptr, *commit = nullptr;
  sqlite3_prepare_v2(db, "INSERT INTO bare (id, time_us) VALUES (?1, ?2)", -1, &insert, nullptr);
  sqlite3_prepare_v2(db, "BEGIN IMMEDIATE", -1, &begin, nullptr);
  sqlite3_prepare_v2(db, "COMMIT", -1, &commit, nullptr);
  const auto run = [&](sqlite3_stmt* statement) {
    if (sqlite3_step(statement) != SQLITE_DONE) give_up(sqlite3_errmsg(db));
    sqlite3_reset(statement);
  };
  const double start = cpu_us();
  for (std::size_t id = 0; id < rows;) {
    run(begin);
    for (std::size_t i = 0; i < batch; ++i) {
      sqlite3_bind_int64(insert, 1, static_cast<sqlite3_int64>(++id));
      sqlite3_bind_int64(insert, 2, static_cast<sqlite3_int64>(1'700'000'000'000'000 + id));
      run(insert);
    }
    run(commit);
  }
  const double used = cpu_us() - start;
  for (sqlite3_stmt* statement : {insert, begin, commit}) sqlite3_finalize(statement);
  sqlite3_close(db);
  return used / static_cast<double>(rows);
}

struct Cost {
  double commit = 0, us = 0;
  double octets = 0;           // of file, names included
  std::uint64_t stall_us = 0;  // the longest that the writer waited for a checkpoint
};

// Of 5,000 names that come again and again, or each a new one, under one of 100 domains.
enum class Names { few, fresh };

Name name_of(Names names, RowId id) {
  if (names == Names::fresh)
    return *Name::parse("h" + std::to_string(id * 2654435761 % 4294967296) + ".example-" +
                        std::to_string(id % 100) + ".com");
  const auto i = static_cast<std::size_t>(id * 7919) % 5000;
  return *Name::parse("api" + std::to_string(i) + ".service.example-" + std::to_string(i % 100) + ".com");
}

// `outcomes`: every row gets one, too.
Cost journal(const std::string& path, std::size_t rows, std::size_t batch, bool outcomes, bool sealed = true,
             Names names = Names::few) {
  remove_all(path);
  Journal::Options options;
  options.path = path;
  options.sealed = sealed;
  auto opened = Journal::open(options);
  if (!opened) give_up(opened.error().message);
  auto& journal = **opened;
  const std::int64_t rule = journal.intern_rule("policy.yaml:3:5 allow **.example.com");
  std::vector<std::vector<Asked>> slots(in_flight, std::vector<Asked>(batch));
  std::mutex mutex;
  std::condition_variable changed;
  std::vector<bool> busy(in_flight, false);
  bool failed = false;
  const double start = cpu_us(), here = cpu_us(CLOCK_THREAD_CPUTIME_ID);
  std::size_t written = 0;
  for (std::size_t turn = 0; written < rows; ++turn) {
    const std::size_t slot = turn % in_flight;
    {
      std::unique_lock lock(mutex);
      changed.wait(lock, [&] { return !busy[slot]; });
      busy[slot] = true;
      if (failed) give_up(journal.stats().last_error);
    }
    RowId id = journal.reserve(batch);
    std::vector<const Asked*> pointers;
    pointers.reserve(batch);
    for (Asked& row : slots[slot]) {
      row.id = id++;
      row.time_us = 1'700'000'000'000'000 + row.id * 13;
      row.monotonic_us = 86'400'000'000 + row.id * 13;
      row.sandbox = 1 + row.id / 16 % 20;
      row.name = name_of(names, row.id);
      row.type = row.id % 2 ? type::A : type::AAAA;
      row.registered_labels = 2;
      row.action = Action::allow;
      row.rule = rule;
      row.score = 0.1F;
      row.charge_millibits = row.id % 4 == 0 ? 41500 : 0;
      pointers.push_back(&row);
      if (outcomes) {
        Outcome outcome;
        outcome.asked = row.id;
        outcome.time_us = row.time_us + 900;
        outcome.rcode = 0;
        outcome.upstream_us = 900;
        outcome.answers = 1;
        outcome.data = "192.0.2.1";
        journal.append(std::move(outcome));
      }
    }
    written += batch;
    const bool taken = journal.submit(std::move(pointers), [&, slot](bool committed) {
      const std::lock_guard lock(mutex);
      busy[slot] = false;
      failed = failed || !committed;
      changed.notify_one();
    });
    if (!taken) give_up("a batch was refused");
  }
  {
    std::unique_lock lock(mutex);
    changed.wait(lock, [&] { return std::find(busy.begin(), busy.end(), true) == busy.end(); });
  }
  while (journal.stats().waiting_rows > 0 || journal.stats().pending_outcomes > 0) ::usleep(1000);
  const auto stats = journal.stats();
  const double used = cpu_us() - start - (cpu_us(CLOCK_THREAD_CPUTIME_ID) - here);
  const double commit = static_cast<double>(stats.thread_cpu_us - stats.listing_cpu_us);
  const std::uint64_t lost = journal.stats().lost_outcomes;
  const std::uint64_t stall_us = journal.stats().checkpoint_stall_us_max;
  if (lost != 0) std::printf("(%llu outcomes lost)\n", static_cast<unsigned long long>(lost));
  opened->reset();  // folds the log back
  return {commit / static_cast<double>(written), used / static_cast<double>(written),
          static_cast<double>(std::filesystem::file_size(path)) / static_cast<double>(written), stall_us};
}

// Batches of 64 alone, each kind of traffic once: to be run by turns with another build.
void batches(const std::string& path, std::size_t rows) {
  std::printf("batches of 64, CPU us per row: commit path / all, octets per row\n");
  for (const Names names : {Names::few, Names::fresh})
    for (const bool outcomes : {false, true}) {
      const Cost cost = journal(path, rows, 64, outcomes, true, names);
      std::printf("%20s %16s %8.2f / %6.2f %8.1f\n", names == Names::few ? "5,000 names" : "each a new name",
                  outcomes ? "asked + outcome" : "asked", cost.commit, cost.us, cost.octets);
    }
}

template <class Measure>
auto median(Measure measure) {
  std::vector<decltype(measure())> values;
  for (std::size_t i = 0; i < rounds; ++i) values.push_back(measure());
  std::sort(values.begin(), values.end(), [](const auto& a, const auto& b) {
    if constexpr (std::is_same_v<decltype(measure()), double>)
      return a < b;
    else
      return a.commit < b.commit;
  });
  return values[rounds / 2];
}

// What sealing adds: the two kinds of writer take turns, so that whatever else the machine does meets both.
void seals(const std::string& path, std::size_t rows) {
  constexpr std::size_t turns = 7, batch = 64;
  std::printf("what sealing adds, batches of %zu, median of %zu turns (records: rows of asked and outcome)\n",
              batch, turns);
  std::printf("%16s %12s %12s %14s %14s\n", "", "unsealed us", "sealed us", "us per record", "octets/record");
  for (const bool outcomes : {false, true}) {
    std::vector<double> plain, sealed, octets;
    for (std::size_t i = 0; i < turns; ++i) {
      const Cost without = journal(path, rows, batch, outcomes, false);
      const Cost with = journal(path, rows, batch, outcomes, true);
      plain.push_back(without.us);
      sealed.push_back(with.us);
      octets.push_back(with.octets - without.octets);
    }
    for (auto* values : {&plain, &sealed, &octets}) std::sort(values->begin(), values->end());
    const double records = outcomes ? 2 : 1;
    std::printf("%16s %12.2f %12.2f %14.2f %14.1f\n", outcomes ? "asked + outcome" : "asked",
                plain[turns / 2], sealed[turns / 2], (sealed[turns / 2] - plain[turns / 2]) / records,
                octets[turns / 2] / records);
  }
}

}  // namespace

int main(int argc, char** argv) {
  const std::size_t rows = argc > 1 ? std::strtoul(argv[1], nullptr, 10) : 200'000;
  const std::string path = std::string(argc > 2 ? argv[2] : "/tmp") + "/postern-journal-bench.db";
  if (rows < 1000) give_up("give at least 1000 rows");
  std::setvbuf(stdout, nullptr, _IOLBF, 0);  // a line at a time, also into a pipe
  const std::string only = argc > 3 ? argv[3] : "";
  const auto kept = argc > 4 && std::string(argv[4]) == "keep" ? bench::Kept::yes : bench::Kept::no;
  if (only == "questions") return bench::ask_questions(path, rows, kept) ? 0 : 1;
  if (only == "traffic") return bench::ask_questions(path, rows, kept, bench::Asking::nothing) ? 0 : 1;
  if (only == "batches") {
    batches(path, rows);
    remove_all(path);
    return 0;
  }
  if (only == "prune") return bench::measure_pruning(path, rows) ? 0 : 1;
  if (only == "seals") {
    seals(path, rows);
    remove_all(path);
    return 0;
  }
  std::printf("CPU us per row, median of %zu rounds; %zu batches in flight\n", rounds, in_flight);
  std::printf("%6s %12s | %13s %7s %8s | %20s %8s %12s\n", "batch", "bare insert", "asked: commit", "ratio",
              "all", "and outcome: commit", "all", "octets/row");
  std::uint64_t stall_us = 0;
  for (const std::size_t batch : {1u, 64u, 256u}) {
    const std::size_t count = batch == 1 ? rows / 10 : rows;  // enough to tell, and not for ever
    const double reference = median([&] { return bare(path, count, batch); });
    const Cost asked = median([&] { return journal(path, count, batch, false); });
    const Cost both = median([&] { return journal(path, count, batch, true); });
    std::printf("%6zu %12.2f | %13.2f %6.2fx %8.2f | %20.2f %8.2f %6.1f/%.1f\n", batch, reference,
                asked.commit, asked.commit / reference, asked.us, both.commit, both.us, asked.octets,
                both.octets);
    stall_us = std::max({stall_us, asked.stall_us, both.stall_us});
  }
  std::printf("the longest pause of the writer for a checkpoint (of the medians' runs): %.1f ms\n",
              static_cast<double>(stall_us) / 1000);
  seals(path, rows);
  remove_all(path);
  return bench::ask_questions(path, rows * 50) ? 0 : 1;
}

// The cookbook's questions on a large generated journal: made through the journal itself, asked while it
// grows.
#include "bench/journal_questions.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <set>
#include <thread>

#include "resolver/journal/reader.h"
#include "tests/support/journal_story.h"

namespace postern::bench {
namespace {

constexpr std::size_t batch_rows = 64;
constexpr std::size_t rows_together = 16;        // of one sandbox, one after the other
constexpr std::size_t distinct_names = 250'000;  // Zipf's law, exponent 1
constexpr std::size_t names_per_domain = 10;
constexpr int active = 24;                       // sandboxes at work at any time
constexpr std::size_t rows_of_sandbox = 20'000;  // then another takes its place
constexpr std::int64_t gap_us = 17'000;          // between queries: two days for ten million
constexpr std::int64_t start_us = story::ten_oclock_us - 34LL * 3600 * story::second_us;
constexpr int rounds = 3;
constexpr auto pause_while_asking =
    std::chrono::milliseconds(5);  // between batches: some 10,000 rows a second

double cpu_us(clockid_t clock) {
  timespec now{};
  ::clock_gettime(clock, &now);
  return static_cast<double>(now.tv_sec) * 1e6 + static_cast<double>(now.tv_nsec) / 1e3;
}

std::int64_t unix_us() {
  timespec now{};
  ::clock_gettime(CLOCK_REALTIME, &now);
  return now.tv_sec * 1'000'000LL + now.tv_nsec / 1'000;
}

// A tenth of all queries is one session's (`monolith`); ann's agent has 3 in 1000, and evil.example 2 in
// 1000, each under a name of its own. Half are cached, one in twenty is refused, the others have an outcome.
class Traffic {
 public:
  Traffic(Journal& journal, const story::Cast& cast) : journal_(journal), cast_(cast) {
    double sum = 0;
    for (std::size_t i = 0; i < distinct_names; ++i)
      cumulative_.push_back(sum += 1.0 / static_cast<double>(i + 1));
    rule_ = journal.intern_rule("policy.yaml:7:5 block **.ads.example");
    monolith_ = attach("monolith", "monolith", "eve", "1e");
    for (SandboxId& one : working_) one = next_sandbox();
  }

  // Fills and submits one batch, and waits for it.
  bool write_batch() {
    rows_.assign(batch_rows, {});
    std::vector<const Asked*> pointers;
    SandboxId sandbox = 0;
    RowId id = journal_.reserve(batch_rows);
    for (std::size_t i = 0; i < batch_rows; ++i) {
      if (i % rows_together == 0) sandbox = pick_sandbox();
      fill(rows_[i], id++, sandbox);
      pointers.push_back(&rows_[i]);
    }
    if (!story::write_and_wait(journal_, std::move(pointers))) return false;
    for (Outcome& outcome : outcomes_) journal_.append(std::move(outcome));
    outcomes_.clear();
    return true;
  }
  std::size_t written() const { return written_; }
  // From now on queries have the time they are written at: what a reader takes for a writer at work.
  void go_live() { live_ = true; }

 private:
  SandboxId attach(const std::string& name, const std::string& session, const std::string& user,
                   const std::string& code) {
    Sandbox sandbox;
    sandbox.name = name;
    sandbox.session = session;
    sandbox.user = user;
    sandbox.code_sha256 = code;
    const auto id = journal_.attach(sandbox, start_us);
    return id ? *id : 0;
  }
  SandboxId next_sandbox() {
    const std::string number = std::to_string(++sandboxes_);
    return attach("box-" + number, "session-" + number, "user-" + std::to_string(sandboxes_ % 50),
                  "code-" + std::to_string(sandboxes_ % 200));
  }
  SandboxId pick_sandbox() {
    const auto dice = random_() % 1000;
    if (dice < 100) return monolith_;
    if (dice < 103) return cast_.agent;
    if (random_() % (rows_of_sandbox / rows_together) == 0) working_[random_() % active] = next_sandbox();
    return working_[random_() % active];
  }
  Name pick_name(RowId id) {
    if (random_() % 500 == 0) return *Name::parse("d" + std::to_string(id) + ".evil.example");
    const double at = std::uniform_real_distribution<double>(0, cumulative_.back())(random_);
    const auto rank = static_cast<std::size_t>(std::lower_bound(cumulative_.begin(), cumulative_.end(), at) -
                                               cumulative_.begin());
    return *Name::parse("host-" + std::to_string(rank) + ".service.example-" +
                        std::to_string(rank / names_per_domain) + ".com");
  }
  void fill(Asked& row, RowId id, SandboxId sandbox) {
    row.id = id;
    row.time_us = start_us + static_cast<std::int64_t>(written_++) * gap_us;
    row.monotonic_us = row.time_us - start_us;
    if (live_) row.time_us = unix_us();
    row.sandbox = sandbox;
    row.name = pick_name(id);
    row.type = random_() % 2 == 0 ? type::A : type::AAAA;
    row.registered_labels = 2;
    row.action = Action::allow;
    row.score = 0.1F;
    const auto dice = random_() % 100;
    if (dice < 50) {
      row.cached = true;
      row.rcode = 0;
    } else if (dice < 55) {
      row.action = Action::block_name;
      row.reason = Reason::rule;
      row.rule = rule_;
      row.rcode = 3;
      row.ede = 15;
    } else {
      row.charge_millibits = random_() % 4 == 0 ? 41'500 : 0;
      Outcome outcome;
      outcome.asked = id;
      outcome.time_us = row.time_us + 900;
      outcome.rcode = random_() % 20 == 0 ? 3 : 0;
      outcome.upstream_us = 900;
      outcome.answers = 1;
      outcome.octets = 80;
      outcome.data =
          "198.51." + std::to_string(random_() % 100) + "." + std::to_string(row.name.hash() % 200);
      outcomes_.push_back(std::move(outcome));
    }
  }

  Journal& journal_;
  const story::Cast cast_;
  std::vector<double> cumulative_;
  std::mt19937_64 random_{7};
  std::int64_t rule_ = 0;
  SandboxId monolith_ = 0;
  std::array<SandboxId, active> working_{};
  int sandboxes_ = 0;
  std::size_t written_ = 0;
  bool live_ = false;
  std::vector<Asked> rows_;
  std::vector<Outcome> outcomes_;
};

// Octets that this process has read from and written to files (proc(5), "rchar" and "wchar"): log, file and
// index of the log together. Unlike CPU time it is the same on a busy machine.
struct Moved {
  double read = 0, written = 0;
};
Moved moved() {
  std::ifstream file("/proc/self/io");
  Moved all;
  for (std::string key; file >> key;) {
    double value = 0;
    file >> value;
    if (key == "rchar:") all.read = value;
    if (key == "wchar:") all.written = value;
  }
  return all;
}

std::string one(const std::string& path, const std::string& sql) {
  const auto table = run_sql(path, sql, 1, std::chrono::minutes(5));
  return table && !table->rows.empty() ? table->rows[0][0] : "?";
}

// What the file's octets are: by table and index, and how much of their pages is empty. Names, domains and
// addresses apart: they come once for each, not for each query.
void print_size(const std::string& path, std::size_t rows) {
  const auto parts =
      run_sql(path,
              "SELECT name, pgsize, unused, name IN ('name', 'domain', 'resolved')"
              "   OR name LIKE 'name\\_%' ESCAPE '\\' OR name IN ('domain_by_text', 'domain_by_first')"
              " FROM dbstat WHERE aggregate = TRUE ORDER BY pgsize DESC, name",
              1000, std::chrono::minutes(5));
  if (!parts) {
    std::printf("file: %.1f octets per row, names included (%s)\n",
                static_cast<double>(std::filesystem::file_size(path)) / static_cast<double>(rows),
                parts.error().message.c_str());
    return;
  }
  double all = 0, names = 0;
  std::printf("%-28s %12s %8s\n", "octets of the file", "per row", "unused");
  for (const auto& row : parts->rows) {
    const double octets = std::stod(row[1]) / static_cast<double>(rows);
    const bool of_names = row[3] == "1";
    all += octets;
    if (of_names) names += octets;
    if (octets >= 0.05)
      std::printf("%-28s %12.2f %7.0f%%%s\n", row[0].c_str(), octets,
                  100 * std::stod(row[2]) / std::stod(row[1]), of_names ? "  names and addresses" : "");
  }
  // A name that the writer did not know at that moment stands in its row as text, besides its own.
  const std::string sum = one(path, "SELECT coalesce(sum(length(name)), 0) FROM asked");
  const double texts = sum == "?" ? 0 : std::stod(sum) / static_cast<double>(rows);
  std::printf(
      "file: %.1f octets per row; %.1f without names and addresses, %.1f without the texts of names in asked"
      " (bar: 120)\n",
      all, all - names, all - names - texts);
}

// Wide questions, answered from sums: the bar is a second.
bool is_wide(const std::string& sql) {
  const bool narrow = sql.find("WHERE code_sha256") != std::string::npos ||
                      sql.find("WHERE registered_domain") != std::string::npos ||
                      sql.find("WHERE first_seen_us") != std::string::npos;
  const bool sums = sql.find("FROM usage") != std::string::npos ||
                    sql.find("FROM domains") != std::string::npos ||
                    sql.find("FROM sessions") != std::string::npos;
  return sums && !narrow;
}

}  // namespace

bool ask_questions(const std::string& path, std::size_t rows, Kept kept, Asking asking) {
  const auto remove_all = [&] {
    for (const char* suffix : {"", "-wal", "-shm", ".lock"}) std::filesystem::remove(path + suffix);
  };
  remove_all();
  Journal::Options options;
  options.path = path;
  auto opened = Journal::open(options);
  if (!opened) return std::fprintf(stderr, "%s\n", opened.error().message.c_str()), false;
  Journal& journal = **opened;
  story::Writer writer(journal);
  if (!writer.write()) return std::fprintf(stderr, "the story cannot be written\n"), false;
  Traffic traffic(journal, writer.cast());
  const double process = cpu_us(CLOCK_PROCESS_CPUTIME_ID), here = cpu_us(CLOCK_THREAD_CPUTIME_ID);
  const Journal::Stats before = journal.stats();
  const Moved moved_before = moved();
  const auto began = std::chrono::steady_clock::now();
  for (std::size_t tenth = 1; tenth <= 10; ++tenth) {
    while (traffic.written() < rows * tenth / 10)
      if (!traffic.write_batch())
        return std::fprintf(stderr, "%s\n", journal.stats().last_error.c_str()), false;
    const double used = cpu_us(CLOCK_PROCESS_CPUTIME_ID) - process - (cpu_us(CLOCK_THREAD_CPUTIME_ID) - here);
    std::printf("%zu queries written after %.0f s, CPU us per query %.2f, %llu not in the catalogue yet\n",
                traffic.written(),
                std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count(),
                used / static_cast<double>(traffic.written()),
                static_cast<unsigned long long>(journal.stats().waiting_rows));
  }
  while (journal.stats().waiting_rows > 0 || journal.stats().pending_outcomes > 0)
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  const Journal::Stats after = journal.stats();
  const double per = 1.0 / static_cast<double>(rows);
  const double listing = static_cast<double>(after.listing_cpu_us - before.listing_cpu_us) * per;
  const double thread = static_cast<double>(after.thread_cpu_us - before.thread_cpu_us) * per;
  const double all =
      (cpu_us(CLOCK_PROCESS_CPUTIME_ID) - process - (cpu_us(CLOCK_THREAD_CPUTIME_ID) - here)) * per;
  std::printf("\n%zu queries, one batch of 64 at a time, an outcome for 45 in 100; CPU us per query:\n",
              rows);
  std::printf(
      "commit path %.2f (bar: 2.5), catalogue and sums %.2f, checkpoints %.2f, together %.2f (bar: 6)\n",
      thread - listing, listing, all - thread, all);
  const Moved moved_after = moved();
  std::printf("octets per query written to the log and the file %.0f, read %.0f\n",
              (moved_after.written - moved_before.written) * per,
              (moved_after.read - moved_before.read) * per);
  print_size(path, rows);
  std::printf("ann-agent has %s queries, evil.example %s, the largest session %s\n\n",
              one(path, "SELECT sum(queries) FROM usage WHERE session = 'ann-agent'").c_str(),
              one(path, "SELECT sum(queries) FROM usage WHERE registered_domain = 'evil.example'").c_str(),
              one(path, "SELECT sum(queries) FROM usage WHERE session = 'monolith'").c_str());

  if (asking == Asking::nothing) {
    opened->reset();
    if (kept == Kept::no) remove_all();
    return true;
  }
  traffic.go_live();
  std::atomic<bool> stop = false;
  std::thread goes_on([&] {
    while (!stop && traffic.write_batch()) std::this_thread::sleep_for(pause_while_asking);
  });
  std::ifstream file(std::string(POSTERN_SOURCE_DIR) + "/docs/COOKBOOK.md");
  const std::string page{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  bool good = true;
  std::printf("%-62s %7s %9s %7s %7s\n", "question, while some 10,000 queries a second are written", "rows",
              "ms", "cpu ms", "bar");
  for (const auto& [heading, sql] : story::questions(page)) {
    std::vector<std::pair<double, double>> times;
    std::size_t found = 0;
    for (int i = 0; i < rounds; ++i) {
      const auto since = std::chrono::steady_clock::now();
      const double cpu = cpu_us(CLOCK_THREAD_CPUTIME_ID);
      const auto table = run_sql(path, sql, 100'000, std::chrono::minutes(5));
      if (!table) {
        std::printf("%s: %s\n", heading.c_str(), table.error().message.c_str());
        good = false;
        break;
      }
      found = table->rows.size();
      times.push_back(
          {std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - since).count(),
           (cpu_us(CLOCK_THREAD_CPUTIME_ID) - cpu) / 1000});
    }
    if (times.empty()) continue;
    std::sort(times.begin(), times.end());
    const auto [ms, cpu] = times[times.size() / 2];
    const int bar = is_wide(sql) ? 1000 : 100;
    std::printf("%-62s %7zu %9.1f %7.1f %7d%s\n", heading.c_str(), found, ms, cpu, bar,
                ms > bar ? "  over" : "");
  }
  stop = true;
  goes_on.join();
  opened->reset();
  if (kept == Kept::no) remove_all();
  return good;
}

}  // namespace postern::bench

// One list, measured inside one process: `list_bench load LIST CACHE` or `list_bench lookups LIST`; a line of
// JSON each.
#include <malloc.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <random>
#include <string>
#include <vector>

#include "resolver/control/list_file.h"

namespace {

using namespace postern;

double seconds(clockid_t clock) {
  timespec now{};
  clock_gettime(clock, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) / 1e9;
}

long resident_octets() {
  long all = 0, resident = 0;
  FILE* const file = std::fopen("/proc/self/statm", "r");
  if (file == nullptr || std::fscanf(file, "%ld %ld", &all, &resident) != 2) resident = 0;
  if (file != nullptr) std::fclose(file);
  return resident * sysconf(_SC_PAGESIZE);
}

[[noreturn]] void fail(const std::string& why) {
  std::fprintf(stderr, "list_bench: %s\n", why.c_str());
  std::exit(1);
}

// Like dnsmasq's address=/name/: the name and everything below.
ListOptions options_for(const std::string& path) {
  ListOptions options;
  options.file = path;
  options.format = ListFormat::domains;
  options.subdomains = true;
  return options;
}

ListCache::Loaded load(const std::string& path, const ListCache& cache) {
  const Result<Fd> file = open_list_file(path);
  if (!file) fail(file.error().message);
  // As if an hour had passed: the file's times are settled.
  const auto now_ns = static_cast<std::int64_t>((seconds(CLOCK_REALTIME) + 3600) * 1e9);
  auto loaded = cache.load(*file, options_for(path), ListMeaning::as_written, now_ns);
  if (!loaded) fail(loaded.error().message);
  if (!loaded->note.empty()) fail(loaded->note);
  return *loaded;
}

int measure_load(const std::string& path, const std::string& folder) {
  const ListCache cache(folder);
  const long before = resident_octets();
  const double start = seconds(CLOCK_MONOTONIC), cpu = seconds(CLOCK_PROCESS_CPUTIME_ID);
  const ListCache::Loaded loaded = load(path, cache);
  const double took = seconds(CLOCK_MONOTONIC) - start, used = seconds(CLOCK_PROCESS_CPUTIME_ID) - cpu;
  std::printf(
      "{\"from_image\": %s, \"seconds\": %.6f, \"cpu_seconds\": %.6f, \"growth\": %ld, \"list_octets\": %zu, "
      "\"entries\": %llu}\n",
      loaded.from_image ? "true" : "false", took, used, resident_octets() - before, loaded.list->octets(),
      static_cast<unsigned long long>(loaded.list->report().entries));
  std::fflush(stdout);  // ready; whoever waits goes on
  const std::string why = cache.save(loaded, options_for(path), ListMeaning::as_written);
  if (!why.empty()) fail(why);
  return 0;
}

// Nanoseconds of CPU a name. The names are in the processor's cache, as a query that was just parsed is; what
// the list needs is not.
struct Lookups {
  double nanoseconds = 0, blocked = 0;  // a name; the share that the list spoke of
};
Lookups time_lookups(const List& list, const std::vector<Name>& names) {
  constexpr std::size_t batch = 256, rounds = 5;
  std::vector<Query> queries(batch);
  std::vector<double> results;
  Lookups measured;
  for (std::size_t round = 0; round < rounds; ++round) {
    double sum = 0;
    std::size_t count = 0, blocked = 0;
    for (std::size_t i = 0; i + batch <= names.size(); i += batch, count += batch) {
      for (std::size_t k = 0; k < batch; ++k) queries[k].name = names[i + k];
      const double start = seconds(CLOCK_THREAD_CPUTIME_ID);
      for (const Query& query : queries) blocked += list.judge(query).spoke ? 1 : 0;
      sum += seconds(CLOCK_THREAD_CPUTIME_ID) - start;
    }
    if (count == 0) fail("a list of fewer than some hundred names is too short to time");
    results.push_back(1e9 * sum / static_cast<double>(count));
    measured.blocked = static_cast<double>(blocked) / static_cast<double>(count);
  }
  std::sort(results.begin(), results.end());
  measured.nanoseconds = results[rounds / 2];
  return measured;
}

// A chain of dependent reads all over the list's octets: what one step to memory costs on this machine, now.
double nanoseconds_a_read(std::size_t octets) {
  std::vector<std::uint8_t> memory(octets);
  std::mt19937_64 random(1);
  for (std::uint8_t& octet : memory) octet = static_cast<std::uint8_t>(random());
  std::uint64_t state = 1;
  constexpr int reads = 1'000'000;
  const double start = seconds(CLOCK_THREAD_CPUTIME_ID);
  for (int i = 0; i < reads; ++i) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    state += memory[(state >> 24) % octets];
  }
  const double took = seconds(CLOCK_THREAD_CPUTIME_ID) - start;
  if (state == 0) std::puts("");  // so that the reads are not left out
  return 1e9 * took / reads;
}

int measure_lookups(const std::string& path) {
  const Result<Fd> file = open_list_file(path);
  if (!file) fail(file.error().message);
  const Result<ListFile> text = read_list_file(*file, path, std::size_t{1} << 30);
  if (!text) fail(text.error().message);
  std::vector<Name> hits, below, misses;
  constexpr std::size_t wanted = 200'000;
  std::string_view rest = text->text();
  const auto lines = static_cast<std::size_t>(std::count(rest.begin(), rest.end(), '\n'));
  const std::size_t step = lines / wanted + 1;
  for (std::size_t number = 0; !rest.empty(); ++number) {
    const std::string line(rest.substr(0, rest.find('\n')));
    rest.remove_prefix(std::min(line.size() + 1, rest.size()));
    if (number % step != 0) continue;
    // A miss differs from a name of the list in the label before the public suffix, as other people's names
    // do.
    std::string other = line;
    const std::size_t dot = line.rfind('.', line.rfind('.') - 1);
    other.insert(dot == std::string::npos ? 0 : dot + 1, "q7");
    const auto hit = Name::parse(line), under = Name::parse("www." + line),
               miss = Name::parse("www." + other);
    if (!hit || !under || !miss) continue;
    hits.push_back(*hit);
    below.push_back(*under);
    misses.push_back(*miss);
  }
  for (std::vector<Name>* names : {&hits, &below, &misses}) {
    std::mt19937_64 random(2);
    std::shuffle(names->begin(), names->end(), random);
  }
  const ListCache::Loaded loaded = load(path, ListCache(""));
  const Lookups hit = time_lookups(*loaded.list, hits), under = time_lookups(*loaded.list, below),
                miss = time_lookups(*loaded.list, misses);
  std::printf(
      "{\"hit_ns\": %.1f, \"below_ns\": %.1f, \"miss_ns\": %.1f, \"read_ns\": %.1f, \"hit_share\": %.4f, "
      "\"below_share\": %.4f, \"miss_share\": %.4f}\n",
      hit.nanoseconds, under.nanoseconds, miss.nanoseconds, nanoseconds_a_read(loaded.list->octets()),
      hit.blocked, under.blocked, miss.blocked);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  const std::string verb = argc > 1 ? argv[1] : "";
  if (verb == "load" && argc == 4) return measure_load(argv[2], argv[3]);
  if (verb == "lookups" && argc == 3) return measure_lookups(argv[2]);
  std::fprintf(stderr, "usage: list_bench load LIST CACHE | list_bench lookups LIST\n");
  return 2;
}

// Replays recorded queries through the detector with the recording's clock, and says what was flagged when.
//
// Input: `ts client qname qtype [rcode]`, tab separated, `#` begins a comment, plain or gzip, "-" is standard
// input. Each client is a session. A sequence number in place of a time counts as seconds. Nothing is
// blocked, so counts run to the end of the file.
#include <zlib.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "detect/detector.h"
#include "rules/public_suffix.h"

namespace postern {
namespace {

struct Options {
  int half = 0;               // 1, 2: only zones whose hash falls into that half; 0: all
  bool all = false;           // print quiet pairs too
  bool why = false;           // print the parts of each flagged zone's score, as they are at the end
  std::int64_t every_us = 0;  // when not 0: replace the recorded clock, one query each so many microseconds
};

struct Pair {
  std::uint64_t queries = 0, first_suspect = 0, first_tunnel = 0;  // 0: never
  double highest = 0, tunnel_after_s = 0;
  std::int64_t began_us = 0;
  std::vector<Contribution> why;
};

struct Session {
  SessionDetector detector{SessionDetector::Limits{}};
  std::uint64_t queries = 0, wide_suspect = 0, wide_tunnel = 0;
  std::vector<Contribution> why;
};

struct Totals {
  std::uint64_t lines = 0, skipped = 0, pairs = 0, suspect = 0, tunnel = 0, sessions = 0, wide_suspect = 0,
                wide_tunnel = 0;
  std::chrono::nanoseconds spent{};
};

// Half 1 chooses weights and thresholds, half 2 is what is quoted; by zone, so that no zone is in both.
int half_of(std::string_view zone) {
  std::uint32_t hash = 2166136261u;  // FNV-1a: the same on every machine
  for (const char c : zone) hash = (hash ^ static_cast<unsigned char>(c)) * 16777619u;
  return hash >> 16 & 1 ? 2 : 1;
}

std::vector<std::string_view> fields(std::string_view line) {
  std::vector<std::string_view> out;
  for (std::size_t from = 0;;) {
    const std::size_t tab = line.find('\t', from);
    out.push_back(line.substr(from, tab - from));
    if (tab == std::string_view::npos) return out;
    from = tab + 1;
  }
}

void print_why(const std::vector<Contribution>& why) {
  for (const Contribution& part : why)
    if (part.weight >= 0.005) std::printf("    %-14s %8.2f  +%.3f\n", part.feature, part.value, part.weight);
}

// All lines of one file; false if it cannot be read.
class Replay {
 public:
  explicit Replay(const Options& options) : options_(options) {}

  bool file(const char* path) {
    gzFile in = std::string_view(path) == "-" ? gzdopen(0, "rb") : gzopen(path, "rb");
    if (in == nullptr) return std::fprintf(stderr, "detect_replay: cannot open \"%s\"\n", path), false;
    std::vector<char> buffer(1 << 16);  // longer lines are cut; names have at most 1,020 characters
    while (gzgets(in, buffer.data(), static_cast<int>(buffer.size())) != nullptr) {
      std::string_view text(buffer.data());
      while (!text.empty() && (text.back() == '\n' || text.back() == '\r')) text.remove_suffix(1);
      if (!text.empty() && text[0] != '#') line(text);
    }
    int error = Z_OK;
    gzerror(in, &error);
    gzclose(in);
    if (error < 0) std::fprintf(stderr, "detect_replay: cannot read \"%s\" to its end\n", path);
    return error >= 0;
  }

  Totals report(const char* path) {
    Totals& total = totals_;
    std::printf("# %s\n", path);
    for (const auto& [key, pair] : pairs_) {
      ++total.pairs;
      total.suspect += pair.first_suspect != 0;
      total.tunnel += pair.first_tunnel != 0;
      if (!options_.all && pair.first_suspect == 0) continue;
      std::printf("%s\t%s\tqueries %llu\tsuspect at %llu\ttunnel at %llu (%.1f s)\tscore %.3f\n",
                  key.first.c_str(), key.second.c_str(), static_cast<unsigned long long>(pair.queries),
                  static_cast<unsigned long long>(pair.first_suspect),
                  static_cast<unsigned long long>(pair.first_tunnel), pair.tunnel_after_s, pair.highest);
      if (options_.why) print_why(pair.why);
    }
    for (const auto& [client, session] : sessions_) {
      ++total.sessions;
      total.wide_suspect += session.wide_suspect != 0;
      total.wide_tunnel += session.wide_tunnel != 0;
      if (session.wide_suspect == 0) continue;
      std::printf("%s\tthe whole session\tqueries %llu\tsuspect at %llu\ttunnel at %llu\n", client.c_str(),
                  static_cast<unsigned long long>(session.queries),
                  static_cast<unsigned long long>(session.wide_suspect),
                  static_cast<unsigned long long>(session.wide_tunnel));
      if (options_.why) print_why(session.why);
    }
    const auto per_line = static_cast<double>(total.spent.count()) /
                          static_cast<double>(std::max<std::uint64_t>(1, total.lines));
    std::printf(
        "# %llu queries (%llu not read), %llu pairs: %llu suspect, %llu tunnel; %llu sessions: %llu suspect, "
        "%llu tunnel as a whole; %.0f ns a query\n",
        static_cast<unsigned long long>(total.lines), static_cast<unsigned long long>(total.skipped),
        static_cast<unsigned long long>(total.pairs), static_cast<unsigned long long>(total.suspect),
        static_cast<unsigned long long>(total.tunnel), static_cast<unsigned long long>(total.sessions),
        static_cast<unsigned long long>(total.wide_suspect),
        static_cast<unsigned long long>(total.wide_tunnel), per_line);
    return total;
  }

 private:
  void line(std::string_view text) {
    const auto column = fields(text);
    const auto name =
        column.size() >= 4 ? Name::parse(column[2]) : failure("cannot read line: too few columns");
    if (!name) return void(++totals_.skipped);
    const Query query{*name, type_from_text(column[3]).value_or(type::A)};
    const std::size_t labels = PublicSuffixes::registered_labels(*name);
    const std::string zone = name->suffix(labels).text();
    if (options_.half != 0 && half_of(zone) != options_.half) return;
    const double seconds = std::strtod(std::string(column[0]).c_str(), nullptr);
    const std::int64_t now = options_.every_us != 0
                                 ? static_cast<std::int64_t>(totals_.lines) * options_.every_us
                                 : static_cast<std::int64_t>(seconds * 1e6);
    Session& session = sessions_[std::string(column[1])];
    Pair& pair = pairs_[{std::string(column[1]), zone}];
    ++totals_.lines;
    ++session.queries;
    if (++pair.queries == 1) pair.began_us = now;

    const auto began = std::chrono::steady_clock::now();
    const Finding finding =
        session.detector.observe({.now = Instant(now), .query = &query, .registered_labels = labels});
    totals_.spent += std::chrono::steady_clock::now() - began;
    if (column.size() >= 5)
      session.detector.answered(query, labels, column[4] == "NXDOMAIN" ? 3 : 0, 0, Instant(now));

    if (finding.session_wide) {
      session.why = finding.why;
      if (session.wide_suspect == 0) session.wide_suspect = session.queries;
      if (finding.level == Level::tunnel && session.wide_tunnel == 0) session.wide_tunnel = session.queries;
      return;
    }
    if (finding.score >= pair.highest) pair.highest = finding.score;
    if (!finding.crossed) return;
    pair.why = finding.why;
    if (pair.first_suspect == 0) pair.first_suspect = pair.queries;
    if (finding.level == Level::tunnel && pair.first_tunnel == 0) {
      pair.first_tunnel = pair.queries;
      pair.tunnel_after_s = static_cast<double>(now - pair.began_us) / 1e6;
    }
  }

  const Options& options_;
  std::map<std::pair<std::string, std::string>, Pair> pairs_;
  std::map<std::string, Session> sessions_;
  Totals totals_;
};

int usage() {
  std::fputs("usage: detect_replay [--half 1|2] [--all] [--why] [--every SECONDS] FILE...\n", stderr);
  return 2;
}

}  // namespace
}  // namespace postern

int main(int argc, char** argv) {
  postern::Options options;
  std::vector<const char*> files;
  for (int i = 1; i < argc; ++i) {
    const std::string_view argument = argv[i];
    if (argument == "--all")
      options.all = true;
    else if (argument == "--why")
      options.why = true;
    else if (argument == "--half" && i + 1 < argc)
      options.half = std::atoi(argv[++i]);
    else if (argument == "--every" && i + 1 < argc)
      options.every_us = static_cast<std::int64_t>(std::atof(argv[++i]) * 1e6);
    else if (argument.starts_with("--"))
      return postern::usage();
    else
      files.push_back(argv[i]);
  }
  if (files.empty() || options.half < 0 || options.half > 2) return postern::usage();
  bool read_all = true;
  for (const char* path : files) {
    postern::Replay replay(options);
    read_all &= replay.file(path);
    replay.report(path);
  }
  return read_all ? 0 : 1;
}

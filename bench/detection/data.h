// The recordings that detection is measured on, in memory.
#pragma once

#include <string>
#include <vector>

#include "resolver/control/replay_report.h"

namespace postern::bench {

struct Recorded {
  Instant time{};
  std::uint32_t client = 0;  // index into Trace::clients
  Query query;
  int rcode = -1;
};

struct Trace {
  std::string name;
  std::vector<std::string> clients;
  std::vector<Recorded> queries;
  std::uint64_t unreadable = 0;
};

// How a tunnel's names carry its payload.
enum class Coding : std::uint8_t { hex, base64, iodine };
struct TunnelTrace {
  Trace trace;
  Coding coding = Coding::hex;
  Name apex;                    // what lies left of it is payload; the root: the whole name
  std::size_t skip_labels = 0;  // not 0: that many labels from the right are no payload, whatever they are

  // What a decoder gets out of a name at most, after its letters have been folded to lower case.
  double payload_bits(const Name& name) const;
  // Of all distinct names, in bytes.
  double carried() const;
};

struct Dataset {
  std::vector<TunnelTrace> tunnels;
  Trace zeek, crawl;
  std::vector<Name> popular;      // seen in 3 or more weekly lists
  std::vector<Name> hosts, hard;  // of hosts/
};
// Errors quote the file.
Result<Dataset> load_dataset(const std::string& folder);

// 1 or 2, by the zone's name: the same on every machine.
int half_of(const Name& zone);

// A trace under rules, each client a session. `forwarded` is called for each query that a client sent
// upstream.
struct Played {
  std::uint64_t queries = 0, forwarded = 0, cut = 0;
  std::uint64_t pairs = 0, pairs_cut = 0;  // (client, zone) but reverse lookups
  std::uint64_t pairs_suspect = 0, pairs_tunnel = 0;
  std::uint64_t arpa_pairs = 0, arpa_cut = 0;
  std::uint64_t sessions = 0, exhausted = 0;
  double largest_zone = 0, largest_session = 0;  // bytes charged
  std::vector<std::string> cut_pairs;            // "CLIENT ZONE: why"
};
struct PlayOptions {
  int half = 0;      // 1, 2: only zones of that half
  Instant period{};  // not 0: a clock of its own, one query each so long
  std::function<void(const Query&, const SessionReplay::Step&)> each;
};
Played play(const Trace& trace, ReplayRules rules, const PlayOptions& options = {});

// Rules of the two columns: the default policy, and the meter alone.
ReplayRules rules_for(bool meter_alone, const char* profile_name);
// No budget but those named afterwards.
Budgets unlimited_budgets();

// ----
// What was to be reached, and whether it was.

class Bars {
 public:
  void bar(const std::string& what, bool reached);
  int missed() const noexcept { return missed_; }
  int all() const noexcept { return all_; }
  const std::vector<std::string>& missed_texts() const noexcept { return texts_; }

 private:
  int missed_ = 0, all_ = 0;
  std::vector<std::string> texts_;
};

// Rows of text with a header, aligned, as Markdown.
class Table {
 public:
  explicit Table(std::vector<std::string> header) : rows_{std::move(header)} {}
  void row(std::vector<std::string> cells) { rows_.push_back(std::move(cells)); }
  void print() const;

 private:
  std::vector<std::vector<std::string>> rows_;
};
std::string number(double value, int digits = 0);

// ----
// The parts of the report, in order.

void report_tunnels(const Dataset& data, Bars& bars);
void report_encoders(Bars& bars);
void report_benign(const Dataset& data, Bars& bars);
void report_secrets(const Dataset& data, Bars& bars);
void report_baselines(const Dataset& data, Bars& bars);
// `svg`: where to write the plot; empty: nowhere.
Result<void> report_curve(const Dataset& data, const std::string& svg, Bars& bars);

// 24 hours of an agent's work: installs, git, an API, three unknown hosts polled each minute, and so many
// pages of sites it has not asked before.
Trace agent_day(int pages);

}  // namespace postern::bench

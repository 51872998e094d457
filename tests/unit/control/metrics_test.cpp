// Metrics: the text is what Prometheus reads, and a failed reload shows.
#include "resolver/control/metrics.h"

#include <doctest/doctest.h>

#include <set>
#include <sstream>

using namespace postern;

namespace {

bool has_line(const std::string& text, const std::string& line) {
  return ("\n" + text).find("\n" + line + "\n") != std::string::npos;
}

}  // namespace

TEST_CASE("counters of attached and detached sandboxes are added up, labels are escaped") {
  ShardReport shard;
  shard.sandboxes.resize(2);
  shard.sandboxes[0].counters.blocked = 3;
  shard.sandboxes[1].counters.blocked = 4;
  shard.sandboxes[1].quarantined = true;
  SandboxCounters gone;
  gone.blocked = 100;
  PolicyLoads loads;
  loads.succeeded = 2;
  loads.failed = 1;
  loads.last_success = 1700000000;
  loads.error = "policy.yaml:3:1: unknown key";
  Journal::Stats journal;
  journal.writable = false;
  const std::string text = metrics_text({shard}, gone, journal, loads, {{"a \"b\"\\c\n.txt", 1'000'000, 7}});
  CHECK(has_line(text, "postern_sandboxes 2"));
  CHECK(has_line(text, "postern_sandboxes_quarantined 1"));
  CHECK(has_line(text, "postern_sandbox_events_total{event=\"blocked\"} 107"));
  CHECK(has_line(text, "postern_policy_loads_total{result=\"failure\"} 1"));
  CHECK(has_line(text, "postern_policy_last_load_successful 0"));
  CHECK(has_line(text, "postern_policy_last_load_success_timestamp_seconds 1700000000"));
  CHECK(has_line(text, "postern_list_entries{list=\"a \\\"b\\\"\\\\c\\n.txt\"} 1000000"));
  CHECK(has_line(text, "postern_journal_writable 0"));
}

TEST_CASE("every metric has its head once, before its samples, and counters end in _total") {
  const std::string text = metrics_text({}, {}, {}, {}, {{"ads.txt", 1, 0}});
  std::set<std::string> heads;
  std::istringstream lines(text);
  std::string line, current, kind;
  while (std::getline(lines, line)) {
    CAPTURE(line);
    if (line.starts_with("# HELP ")) continue;
    if (line.starts_with("# TYPE ")) {
      current = line.substr(7, line.find(' ', 7) - 7);
      kind = line.substr(8 + current.size());
      CHECK(heads.insert(current).second);
      CHECK((kind == "counter") == current.ends_with("_total"));
      continue;
    }
    const std::string name = line.substr(0, line.find_first_of("{ "));
    CHECK(name == current);
    CHECK(line.find_first_of("0123456789", line.rfind(' ')) != std::string::npos);
  }
  CHECK(heads.size() > 10);
}

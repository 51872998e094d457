// replay: recordings in, what policy, meter and score would have done out. No network.
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <iostream>

#include "resolver/control/commands.h"
#include "resolver/control/config.h"
#include "resolver/control/list_source.h"
#include "resolver/control/policy_report.h"
#include "resolver/control/replay_report.h"
#include "rules/quote.h"

namespace postern {
namespace {

// A bar on stderr, where that is a terminal and the recording is long enough to be waited for.
class ProgressBar {
 public:
  ProgressBar() : shown_(isatty(STDERR_FILENO) != 0) {}
  ~ProgressBar() { clear(); }
  void tell(const std::string& file, double part, std::uint64_t queries) {
    constexpr std::uint64_t every = 20'000;  // queries; some 10 ms of work
    if (!shown_ || queries % every != 0) return;
    constexpr int width = 30;
    std::string bar;
    if (part >= 0)
      for (int i = 0; i < width; ++i) bar += i < part * width ? '#' : '.';
    char percent[16] = "";
    if (part >= 0) std::snprintf(percent, sizeof percent, " %3.0f %%", part * 100);
    std::fprintf(stderr, "\r\033[K[%s]%s  %s  %s queries", bar.c_str(), percent, file.c_str(),
                 with_commas(queries).c_str());
    drawn_ = true;
  }
  void clear() {
    if (drawn_) std::fputs("\r\033[K", stderr);
    drawn_ = false;
  }

 private:
  bool shown_, drawn_ = false;
};

Result<ReplayRules> replay_rules(const ReplayFlags& flags) {
  ReplayRules rules;
  std::shared_ptr<const PolicySet> policies = PolicySet::builtin();
  if (!flags.policy.empty()) {
    const auto text = read_text_file(flags.policy);
    if (!text) return tl::unexpected(text.error());
    auto parsed = PolicySet::parse(*text, flags.policy, lists_beside(flags.policy));
    if (!parsed) {
      std::cerr << excerpt(*text, flags.policy, parsed.error().message);
      return tl::unexpected(parsed.error());
    }
    policies = std::move(*parsed);
  }
  const auto policy = policies->find(flags.name);
  if (policy == nullptr) return failure(std::string("there is no policy ") + quoted(flags.name));
  rules.budgets = policy->budgets();
  if (!flags.profile.empty()) {
    const auto budgets = profile(flags.profile);
    if (!budgets) return tl::unexpected(budgets.error());
    rules.budgets = *budgets;
  }
  auto suffixes = load_suffix_list(flags.public_suffix_list);
  if (!suffixes) return tl::unexpected(suffixes.error());
  rules.suffixes = std::move(*suffixes);
  rules.code = NameCode::builtin();
  rules.known = std::make_shared<const KnownNames>(policy->exact_names());
  rules.ttl = std::chrono::seconds(flags.assume_ttl);
  rules.refreshes = !flags.no_refresh;
  rules.policy = flags.meter_only ? meter_alone_policy() : policy;
  return rules;
}

// Plays one file; an error is the file's.
Result<void> play(const std::string& file, Replay& replay, Skipped& skipped, ProgressBar& bar) {
  auto source = open_octets(file);
  if (!source) return tl::unexpected(source.error());
  const std::string name = file == "-" ? "standard input" : file;
  const auto reader = open_recording(std::move(*source), name, skipped);
  if (!reader) return tl::unexpected(reader.error());
  RecordedQuery query;
  for (;;) {
    const auto more = (*reader)->next(query);
    if (!more) return tl::unexpected(more.error());
    if (!*more) return {};
    if (!replay.ask(query)) skipped.other("clients beyond the first 200,000");
    bar.tell(name, (*reader)->progress(), replay.queries());
  }
}

}  // namespace

int replay_verb(const ReplayFlags& flags) {
  auto rules = replay_rules(flags);
  if (!rules) return complain(rules.error().message);
  Replay replay(std::move(*rules));
  Skipped skipped;
  {
    ProgressBar bar;
    for (const std::string& file : flags.files)
      if (const auto played = play(file, replay, skipped, bar); !played) {
        bar.clear();
        return complain(played.error().message);
      }
  }
  replay.finish();
  const std::vector<ReplayRow> rows = replay_rows(replay);
  const ReplayTotals totals = replay_totals(replay);
  if (flags.json) {
    for (const ReplayRow& row : rows) std::cout << replay_json(row) << '\n';
    std::cout << replay_json(totals, skipped) << std::endl;
    return std::cout ? 0 : complain("cannot write the report to standard output");
  }
  std::vector<std::vector<std::string>> cells;
  for (const ReplayRow& row : rows) {
    if (flags.limit != 0 && cells.size() >= flags.limit) break;
    cells.push_back(replay_cells(row));
  }
  print_table(replay_columns(), cells);
  if (cells.size() < rows.size())
    std::cout << "… and " << with_commas(rows.size() - cells.size()) << " more zones (--limit)\n";
  std::cout << "\n" << replay_summary(totals, skipped);
  if (replay.steps_back() > 0)
    std::cout << "time went back by more than ten minutes " << with_commas(replay.steps_back())
              << " times: it was taken to go on\n";
  return std::cout.flush() ? 0 : complain("cannot write the report to standard output");
}

}  // namespace postern

// journal stats, prune, vacuum, backup: looking after a journal's file.
#include <unistd.h>

#include <cstdio>
#include <iostream>
#include <nlohmann/json.hpp>
#include <utility>

#include "resolver/control/commands.h"
#include "resolver/control/config.h"
#include "resolver/control/log_format.h"
#include "resolver/journal/care.h"
#include "rules/terminal_text.h"

namespace postern {
namespace {

std::string care_file(const std::string& given) {
  return given.empty() ? default_state_folder() + "/journal.db" : given;
}

nlohmann::ordered_json time_or_null(std::int64_t time_us) {
  return time_us == 0 ? nlohmann::ordered_json() : nlohmann::ordered_json(iso_time(time_us));
}

Result<Retention> retention_of(const PruneFlags& flags) {
  Retention keep;
  const auto read = [](const std::string& flag, const std::string& text, auto parse,
                       std::int64_t& to) -> Result<void> {
    if (text.empty()) return {};
    auto value = parse(text);
    if (!value) return failure("cannot use " + flag + ": " + value.error().message);
    to = *value;
    return {};
  };
  if (auto done = read("--older-than", flags.older_than, parse_age, keep.queries_us); !done)
    return tl::unexpected(done.error());
  if (auto done = read("--keep-alerts", flags.keep_alerts, parse_age, keep.alerts_us); !done)
    return tl::unexpected(done.error());
  if (auto done = read("--max-size", flags.max_size, parse_file_size, keep.octets); !done)
    return tl::unexpected(done.error());
  if (keep.keeps_all()) return failure("nothing to prune: give --older-than, --max-size or --keep-alerts");
  if (auto fine = check_retention(keep); !fine) return tl::unexpected(fine.error());
  return keep;
}

}  // namespace

int journal_stats_verb(const std::string& db, bool json) {
  const std::string path = care_file(db);
  auto facts = journal_facts(path);
  if (!facts) return complain(facts.error().message);
  if (json) {
    nlohmann::ordered_json tables = nlohmann::ordered_json::array();
    for (const auto& table : facts->tables)
      tables.push_back(
          {{"table", table.name},
           {"rows", table.rows},
           {"octets", table.octets < 0 ? nlohmann::ordered_json() : nlohmann::ordered_json(table.octets)}});
    const nlohmann::ordered_json all{{"file", path},
                                     {"schema_version", facts->version},
                                     {"file_octets", facts->file_octets},
                                     {"used_octets", facts->used_octets},
                                     {"free_octets", facts->free_octets},
                                     {"log_octets", facts->log_octets},
                                     {"oldest", time_or_null(facts->oldest_us)},
                                     {"newest", time_or_null(facts->newest_us)},
                                     {"tombstones", facts->tombstones},
                                     {"pruned_until", time_or_null(facts->pruned_until_us)},
                                     {"pruned_at", time_or_null(facts->pruned_at_us)},
                                     {"pruned_rows", facts->pruned_rows},
                                     {"keep_queries_us", facts->keep.queries_us},
                                     {"keep_alerts_us", facts->keep.alerts_us},
                                     {"keep_octets", facts->keep.octets},
                                     {"tables", std::move(tables)}};
    std::cout << all.dump(2) << "\n";
    return 0;
  }
  std::cout << path << ": schema version " << facts->version << "\n  file " << size_text(facts->file_octets)
            << ", of it free " << size_text(facts->free_octets) << "; log " << size_text(facts->log_octets)
            << "\n  queries "
            << (facts->oldest_us == 0
                    ? "none"
                    : "from " + iso_time(facts->oldest_us) + " to " + iso_time(facts->newest_us))
            << "\n  "
            << "kept are " << keep_text(facts->keep) << "\n  "
            << (facts->pruned_until_us == 0
                    ? "retention has removed nothing"
                    : "retention has removed " + std::to_string(facts->pruned_rows) + " queries up to " +
                          iso_time(facts->pruned_until_us) + ", the last of them " +
                          (facts->pruned_at_us == 0 ? "at a time unknown" : iso_time(facts->pruned_at_us)))
            << "\n";
  for (const auto& table : facts->tables)
    std::printf("  %-15s %12lld rows %12s\n", escaped(table.name).c_str(), static_cast<long long>(table.rows),
                table.octets < 0 ? "?" : size_text(table.octets).c_str());
  return 0;
}

namespace {

void print_json_or(bool json, const nlohmann::ordered_json& values, const std::string& words) {
  std::cout << (json ? values.dump(2) : words) << "\n";
}

}  // namespace

int journal_prune_verb(const PruneFlags& flags) {
  const std::string path = care_file(flags.db);
  auto keep = retention_of(flags);
  if (!keep) return complain(keep.error().message);
  if (flags.dry_run) {
    auto plan = plan_prune(path, *keep);
    if (!plan) return complain(plan.error().message);
    print_json_or(flags.json,
                  {{"file", path},
                   {"old_queries", plan->old_queries},
                   {"old_alerts", plan->old_alerts},
                   {"octets_over", plan->octets_over}},
                  path + ": " + std::to_string(plan->old_queries) + " queries and " +
                      std::to_string(plan->old_alerts) + " alerts are too old, and it is " +
                      size_text(plan->octets_over) +
                      " too large; what alerts and leak budgets need of them would stay");
    return 0;
  }
  const bool show = isatty(STDERR_FILENO) == 1;
  std::int64_t told_of = -1;
  auto pruned = prune_journal(path, *keep, [&](std::uint64_t removed, std::int64_t reader) {
    if (show) std::fprintf(stderr, "\r%llu removed", static_cast<unsigned long long>(removed));
    if (std::exchange(told_of, reader) == reader || reader < 0) return;
    const std::string who = reader > 0 ? "process " + std::to_string(reader) : "a process elsewhere";
    std::fprintf(stderr,
                 "%swaiting: %s reads an old state of the journal, and its log is full until that ends\n",
                 show ? "\r\033[K" : "", who.c_str());
  });
  if (show) std::fputs("\r\033[K", stderr);
  if (!pruned) return complain(pruned.error().message);
  print_json_or(flags.json,
                {{"file", path},
                 {"queries", pruned->queries},
                 {"alerts", pruned->alerts},
                 {"used_octets", pruned->used_octets}},
                path + ": removed " + std::to_string(pruned->queries) + " queries and " +
                    std::to_string(pruned->alerts) + " alerts; in use are " + size_text(pruned->used_octets));
  return 0;
}

int journal_vacuum_verb(const std::string& db) {
  const std::string path = care_file(db);
  auto vacuumed = vacuum_journal(path);
  if (!vacuumed) return complain(vacuumed.error().message);
  std::cout << path << ": " << size_text(vacuumed->before_octets) << " before, "
            << size_text(vacuumed->octets) << " now\n";
  return 0;
}

int journal_backup_verb(const std::string& db, const std::string& to) {
  const std::string path = care_file(db);
  CareProgress progress;
  const bool show = isatty(STDERR_FILENO) == 1;
  if (show)
    progress = [](std::int64_t done, std::int64_t all) {
      std::fprintf(stderr, "\r%lld of %lld pages", static_cast<long long>(done), static_cast<long long>(all));
    };
  auto done = backup_journal(path, to, progress);
  if (show) std::fputs("\r\033[K", stderr);
  return done ? 0 : complain(done.error().message);
}

}  // namespace postern

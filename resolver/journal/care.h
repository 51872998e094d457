// Looking after a journal's file from the command line: what it holds, a copy, removal, giving pages back.
//
// Thread: the caller's. Every error names the file.
#pragma once

#include <chrono>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "resolver/journal/retention.h"
#include "rules/result.h"

namespace postern {

struct JournalFacts {
  struct Table {
    std::string name;
    std::int64_t rows = 0;
    std::int64_t octets = -1;  // with its indexes; -1: this SQLite cannot tell (no dbstat)
  };
  std::vector<Table> tables;                                       // in order of name
  std::int64_t version = 0;                                        // of the schema
  std::int64_t file_octets = 0, used_octets = 0, free_octets = 0;  // pages of the database
  std::int64_t log_octets = 0;                                     // of the file -wal
  std::int64_t oldest_us = 0, newest_us = 0;                       // of queries, Unix time; 0: there is none
  // What retention has removed, up to which time, and when the last of it. 0: nothing. Not sealed: for
  // people.
  std::int64_t tombstones = 0, pruned_rows = 0, pruned_until_us = 0, pruned_at_us = 0;
  Retention keep;  // in force when a daemon opened it last
};
// Reads only, each table in a transaction of its own; counting reads whole tables.
Result<JournalFacts> journal_facts(const std::string& path);

// Told now and then: pages done, of all.
using CareProgress = std::function<void(std::int64_t done, std::int64_t all)>;

// A copy reads one state of the file while a writer goes on, and the writer's log cannot start over
// meanwhile. When that log grows beyond this, half of what stops the writer (Journal::Options), the copy is
// given up.
inline constexpr std::int64_t backup_log_octets = std::int64_t{512} << 20;
// Copies the journal as it was at one moment to a new file, mode 0640, synced, also while a writer has it.
// The copy is one file, not in WAL mode, so that it can be read on read-only media. It is made as "TO.part"
// and gets its name when it is whole. Errors: the new file exists, no space, the log grew too long; nothing
// is left behind then, nor by SIGINT, SIGTERM and SIGHUP, which are obeyed once the part is removed. A part
// that kill -9 left is removed by the next copy of that name.
Result<void> backup_journal(const std::string& path, const std::string& to, const CareProgress& progress = {},
                            std::int64_t log_limit = backup_log_octets);

struct Pruned {
  std::uint64_t queries = 0, alerts = 0;
  std::int64_t used_octets = 0;  // afterwards
};
// Told some 50 times a second: rows removed so far, and which process is waited for, since it reads an old
// state and the log has no room left (0: one that cannot be seen from here; -1: none).
using PruneProgress = std::function<void(std::uint64_t removed, std::int64_t reader)>;
// Removes what `keep` does not keep, as the daemon would. Errors: a writer has the file; a step of it, or of
// what an older file needs before, failed (tells what went by then, and stays so).
Result<Pruned> prune_journal(const std::string& path, const Retention& keep,
                             const PruneProgress& progress = {});
// How many queries are older than that, and how much too large the file is; reads only.
struct PrunePlan {
  std::int64_t old_queries = 0, old_alerts = 0, octets_over = 0;
};
Result<PrunePlan> plan_prune(const std::string& path, const Retention& keep);

struct Vacuumed {
  std::int64_t before_octets = 0, octets = 0;  // of the file and its log
};
// Writes the file anew without its free pages, and empties its log. Errors: a writer has it; a reader holds
// an old state of it; the folder has no room for another copy of what is used, twice (SQLite's temporary file
// and the log).
Result<Vacuumed> vacuum_journal(const std::string& path);

}  // namespace postern

// The command line's verbs about the record: log, sql, journal.
#include <CLI/CLI.hpp>

#include "resolver/control/command_line.h"

namespace postern {

void CommandLine::add_log(CLI::App& app) {
  CLI::App* log_app =
      app.add_subcommand("log", "Print a journal's queries and alerts, or follow them as they are written");
  log_app->add_option("--db", log.db, "Journal file; default: journal.db in the state folder");
  log_app->add_flag("-f,--follow", log.follow, "Go on with what is written from now on");
  log_app->add_option(
      "--since", log.since,
      "From this time on: 2026-11-22, 2026-11-22T10:00:00Z, seconds since 1970, or 15m, 2h ago; "
      "with -f the default is now");
  log_app->add_option("--until", log.until, "Before this time");
  log_app->add_option("--session", log.session, "Only this session")->type_name("SESSION");
  log_app->add_option("--sandbox", log.sandbox, "Only this sandbox")->type_name("NAME");
  log_app->add_option("--user", log.user, "Only this user")->type_name("USER");
  log_app->add_option("--domain", log.domain, "Only this name and all below it")->type_name("NAME");
  log_app->add_flag("--blocked", log.blocked, "Only what was refused");
  log_app->add_flag("--no-alerts", log.no_alerts, "Queries alone");
  log_app->add_option("--format", log.format, "text, json, ocsf, ecs, zeek")->capture_default_str();
  log_app
      ->add_option(
          "--redact", log.redact,
          "Leave out: none; names (what is below the registered domain, and answers); all (who asked, "
          "too)")
      ->capture_default_str();
  log_app->footer(
      "Examples:\n"
      "  postern log --since 1h --blocked\n"
      "  postern log -f --session nightly-42\n"
      "  postern log --since 2026-11-22 --format ocsf | gzip > activity.jsonl.gz\n"
      "  postern log --format zeek | postern replay -");
  log_app->callback([this] { status = log_verb(log); });
}

void CommandLine::add_sql(CLI::App& app) {
  CLI::App* sql_app = app.add_subcommand(
      "sql",
      "Ask a journal in SQL, read-only (views: queries, alerts, sessions, sandboxes, domains, usage, "
      "resolutions, grants, boots; docs/COOKBOOK.md has statements)");
  sql_app
      ->add_option("--db", sql.dbs,
                   "Journal file; default: journal.db in the state folder. Given several times: each view is "
                   "the union of the files', with a last column `journal`, the file's path")
      ->allow_extra_args(false);
  CLI::Option* json_rows = sql_app->add_flag("--json", sql.json, "Rows as JSON");
  sql_app->add_flag("--csv", sql.csv, "Rows as CSV")->excludes(json_rows);
  sql_app->add_flag(
      "--wait", sql.wait,
      "Wait until all that is on record now is in the views, 5 s at most. Without it an answer comes "
      "at once; where many are asking, it may lack the last moment, which is said. Of a file that no Postern "
      "has, what is not listed is in the view queries alone: that is said, and not waited for");
  constexpr std::int64_t most_rows = 100'000'000;  // all of them are in memory before the first is printed
  sql_app->add_option("--limit", sql.limit, "At most this many rows")
      ->check(CLI::Range(std::int64_t{1}, most_rows))
      ->capture_default_str();
  sql_app->add_option(
      "statement", sql.statement,
      "The statement; without one they are read from standard input, each up to its semicolon");
  sql_app->footer(
      "Examples:\n"
      "  postern sql \"SELECT time, name, rule FROM queries WHERE session = 'nightly-42' AND action = "
      "'blocked'\"\n"
      "  postern sql --db may.db --db june.db --csv < questions.sql\n"
      "  postern sql");
  sql_app->callback([this] { status = sql_verb(sql); });
}

void CommandLine::add_journal(CLI::App& app) {
  CLI::App* journal_app = app.add_subcommand(
      "journal", "Check a journal's seals, copy it, remove what is old, say what it holds");
  journal_app->require_subcommand(1);
  CLI::App* verify_app = journal_app->add_subcommand(
      "verify", "Name the first record that was changed, removed, inserted or cut off (status 1 if any)");
  verify_app->add_option("file", verify.db, "Journal file; default: journal.db in the state folder")
      ->type_name("FILE");
  verify_app->add_option("--key", verify.key, "Public key that heads must be signed by: a file, or in hex")
      ->type_name("PUB");
  verify_app
      ->add_option("--heads", verify.heads,
                   "Signed heads that were kept outside, one a line; a log will do; - is standard input")
      ->type_name("FILE");
  verify_app->add_flag("--copy", verify.copy,
                       "The file is a copy (journal backup): heads that are later than its end do not make it"
                       " altered");
  verify_app->add_flag("--json", verify.json, "As JSON");
  verify_app->footer(
      "consistent: all hangs together. unaltered: and the heads given with --heads say the same.\n\n"
      "Examples:\n"
      "  postern journal verify\n"
      "  postern journal verify copy.db --copy --key seal.pub --heads /mnt/worm/heads.jsonl\n"
      "  journalctl -u postern -o cat | postern journal verify --heads -");
  verify_app->callback([this] { status = journal_verify_verb(verify); });
  CLI::App* key_app =
      journal_app->add_subcommand("key", "Print the public key that signs the journal's heads");
  key_app
      ->add_option("file", key_file,
                   "Its file (seal_key, with or without .pub); default: beside the state folder")
      ->type_name("FILE");
  key_app->callback([this] { status = journal_key_verb(key_file); });

  const char* const db_help = "Journal file; default: journal.db in the state folder";
  CLI::App* stats_app = journal_app->add_subcommand("stats", "Say what a journal holds: rows, octets, times");
  stats_app->add_option("file", stats_db, db_help)->type_name("FILE");
  stats_app->add_flag("--json", stats_json, "As JSON");
  stats_app->callback([this] { status = journal_stats_verb(stats_db, stats_json); });

  CLI::App* prune_app = journal_app->add_subcommand(
      "prune", "Remove the oldest queries of a journal that no Postern has (a daemon's: journal_keep)");
  prune_app->add_option("file", prune.db, db_help)->type_name("FILE");
  prune_app->add_option("--older-than", prune.older_than, "Queries of that age: 12h, 30d, 8w")
      ->type_name("AGE");
  prune_app->add_option("--max-size", prune.max_size, "Until it takes no more: 500MiB, 10GiB")
      ->type_name("SIZE");
  prune_app->add_option("--keep-alerts", prune.keep_alerts, "Alerts, and sums, of that age; default: none")
      ->type_name("AGE");
  prune_app->add_flag("--dry-run", prune.dry_run, "Only say what is too old or too much");
  prune_app->add_flag("--json", prune.json, "As JSON");
  prune_app->callback([this] { status = journal_prune_verb(prune); });

  CLI::App* vacuum_app =
      journal_app->add_subcommand("vacuum", "Give a journal's free pages back; no Postern may have it");
  vacuum_app->add_option("file", vacuum_db, db_help)->type_name("FILE");
  vacuum_app->callback([this] { status = journal_vacuum_verb(vacuum_db); });

  CLI::App* backup_app = journal_app->add_subcommand(
      "backup", "Copy a journal as it is at this moment, also while a Postern writes to it");
  backup_app->add_option("to", backup_to, "The copy; must not exist")->type_name("FILE")->required();
  backup_app->add_option("--db", backup_db, db_help)->type_name("FILE");
  backup_app->callback([this] { status = journal_backup_verb(backup_db, backup_to); });
}

}  // namespace postern

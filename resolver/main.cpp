// postern: flags to verbs. Everything is constructed in the verbs' functions (control/verb_*.cpp), from here
// downwards.
#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>

#include <CLI/CLI.hpp>

#include "resolver/control/commands.h"

namespace {

// The first word that stands where a subcommand must, and is none; empty: there is no such.
std::string unknown_subcommand(const CLI::App& app, int argc, char** argv) {
  const CLI::App* level = &app;
  for (int i = 1; i < argc; ++i) {
    const std::string word = argv[i];
    if (word.starts_with("-")) return "";
    const auto below = level->get_subcommands([&](const CLI::App* one) { return one->get_name() == word; });
    if (below.empty()) return level->get_require_subcommand_min() > 0 ? word : "";
    level = below.front();
  }
  return "";
}

}  // namespace

int main(int argc, char** argv) {
  using namespace postern;
  spdlog::set_default_logger(spdlog::stderr_color_mt("postern"));
  spdlog::set_pattern("%Y-%m-%dT%H:%M:%S.%eZ %^%l%$ %v", spdlog::pattern_time_type::utc);

  CLI::App app{
      "Postern: the DNS resolver for sandboxes. It knows who asks, decides, meters what leaves, cuts "
      "tunnels, and\n"
      "keeps a record."};
  app.require_subcommand(1);
  app.set_version_flag("--version", "postern " POSTERN_VERSION);
  int status = 0;

  RunFlags run;
  CLI::App* run_app =
      app.add_subcommand("run", "Run a command in a sandbox whose only nameserver is Postern");
  run_app->add_option("--policy", run.policy,
                      "Policy file (YAML); without one: all but internal names and addresses is allowed");
  run_app
      ->add_option("--policy-name", run.overlay.base,
                   "Named policy of the file, or one that is built in: default, strict, browse, deny-all")
      ->type_name("POLICY");
  run_app
      ->add_option("--include", run.overlay.include,
                   "Take the rules of a preset in: python, git, ... (`postern policy presets`)")
      ->type_name("PRESET")
      ->expected(1)
      ->take_all();
  run_app
      ->add_option("--allow", run.overlay.allow,
                   "Allow a pattern: example.com, *.example.com (below), **.example.com (both)")
      ->type_name("PATTERN")
      ->expected(1)
      ->take_all();
  run_app->add_option("--block", run.overlay.block, "Block a pattern")
      ->type_name("PATTERN")
      ->expected(1)
      ->take_all();
  run_app
      ->add_option("--default", run.overlay.default_action,
                   "What happens to a name no rule speaks of: allow or block")
      ->check(CLI::IsMember({"allow", "block"}));
  run_app
      ->add_option("--upstream", run.upstream,
                   "Server to forward to, ADDR[:PORT], repeatable; default: the host's resolv.conf")
      ->type_name("ADDR[:PORT]")
      ->expected(1)
      ->take_all();
  run_app
      ->add_option("--upstream-for", run.upstream_for,
                   "Server of a group that the policy forwards zones to, repeatable")
      ->type_name("GROUP=ADDR[:PORT]")
      ->expected(1)
      ->take_all();
  run_app->add_option("--session", run.session,
                      "Session the command belongs to; budgets and blocks are kept for it");
  run_app->add_option("--user", run.user, "User it is for; default: the caller");
  run_app->add_option("--name", run.name, "Name of the sandbox; default: run- and a random number");
  run_app->add_option("--label", run.labels, "Label to record with it, repeatable")
      ->type_name("K=V")
      ->expected(1)
      ->take_all();
  run_app->add_option("--db", run.db,
                      "Journal file; default: a running daemon's, else one in the state folder");
  run_app
      ->add_option("--public-suffix-list", run.public_suffix_list,
                   "Public suffix list (text form), newer than the system's")
      ->type_name("FILE");
  run_app
      ->add_option("--alert-webhook-secret", run.alert_webhook_secret,
                   "File with the secret that signs what is posted")
      ->type_name("FILE");
  run_app->add_option("--alert-webhook-ca", run.alert_webhook_ca, "File with certificates to trust (PEM)")
      ->type_name("FILE");
  run_app
      ->add_option("--alert-webhook", run.alert_webhook,
                   "Address to post alerts to (needs --alert-webhook-secret)")
      ->type_name("URL");
  run_app
      ->add_option("--alert-exec", run.alert_exec,
                   "Program to start on an alert; gets one JSON object on stdin")
      ->type_name("PROG");
  const auto secret_options = [](CLI::App* verb, std::vector<std::string>& env,
                                 std::vector<std::string>& file) {
    verb->add_option("--secret-env", env,
                     "Environment variable whose value must not appear in any name, repeatable")
        ->type_name("NAME")
        ->expected(1)
        ->take_all();
    verb->add_option("--secret-file", file,
                     "File whose text, without line ends behind it, must not appear in any name, repeatable")
        ->type_name("FILE")
        ->expected(1)
        ->take_all();
  };
  secret_options(run_app, run.secret_env, run.secret_file);
  run_app
      ->add_option("--audit", run.audit,
                   "When the journal cannot be written: strict refuses queries, relaxed answers them and\n"
                   "counts what is not on record")
      ->check(CLI::IsMember({"strict", "relaxed"}))
      ->capture_default_str();
  run_app->add_option("--control", run.control, "Control socket of the daemon")->capture_default_str();
  run_app->add_flag("--quiet", run.quiet, "No summary and no notes on stderr");
  run_app->add_flag("--json", run.json, "The summary as one line of JSON");
  run_app->add_option("command", run.command, "The command and its arguments, after --")->required();
  run_app->positionals_at_end();
  run_app->callback([&] { status = run_verb(run); });

  ServeFlags serve;
  CLI::App* serve_app =
      app.add_subcommand("serve", "Serve sandboxes that are attached through the control socket");
  serve_app->add_option("--config", serve.config, "Configuration file (YAML)")->required();
  serve_app->add_flag("--check-config", serve.check, "Check the configuration and its policy, and exit");
  serve_app->callback([&] { status = serve_verb(serve); });

  const auto control_option = [](CLI::App* verb, std::string& to) {
    verb->add_option("--control", to, "Control socket of the daemon")->capture_default_str();
  };
  AttachFlags attach;
  CLI::App* attach_app =
      app.add_subcommand("attach", "Make Postern the nameserver of an existing network namespace");
  control_option(attach_app, attach.control);
  CLI::Option* netns =
      attach_app->add_option("--netns", attach.netns, "The namespace's path, such as /run/netns/NAME");
  CLI::Option* pid =
      attach_app->add_option("--pid", attach.pid, "A process in the namespace")->check(CLI::PositiveNumber);
  netns->excludes(pid);
  attach_app->add_option("--name", attach.name, "Name of the sandbox")->required();
  attach_app->add_option("--session", attach.session, "Session it belongs to");
  attach_app->add_option("--user", attach.user, "User it is for");
  attach_app->add_option("--code-hash", attach.code_hash, "SHA-256 of the code that runs in it, in hex");
  attach_app->add_option("--label", attach.labels, "Label to record with it, repeatable")
      ->type_name("K=V")
      ->expected(1)
      ->take_all();
  attach_app->add_option("--policy", attach.policy, "Named policy of the daemon's policy file");
  secret_options(attach_app, attach.secret_env, attach.secret_file);
  attach_app->callback([&] {
    if (attach.netns.empty() && attach.pid == 0) throw CLI::RequiredError("--netns or --pid");
    status = attach_verb(attach);
  });

  std::string control = default_control, name;
  CLI::App* detach_app = app.add_subcommand("detach", "Stop serving a sandbox; its record stays");
  control_option(detach_app, control);
  detach_app->add_option("--name,name", name, "Name of the sandbox")->required();
  detach_app->callback([&] { status = detach_verb(control, name); });

  CLI::App* thaw_app =
      app.add_subcommand("thaw", "Let a sandbox that policy froze go on, and its session ask again");
  control_option(thaw_app, control);
  thaw_app->add_option("--name,name", name, "Name of the sandbox")->required();
  thaw_app->callback([&] { status = thaw_verb(control, name); });

  bool json = false;
  CLI::App* ls_app = app.add_subcommand("ls", "List the attached sandboxes");
  control_option(ls_app, control);
  ls_app->add_flag("--json", json, "As JSON");
  ls_app->callback([&] { status = ls_verb(control, json); });

  CLI::App* status_app =
      app.add_subcommand("status", "Show the daemon's counters, journal and policy, as JSON");
  control_option(status_app, control);
  status_app->callback([&] { status = status_verb(control); });

  CLI::App* reload_app =
      app.add_subcommand("reload", "Load the policy file anew, as SIGHUP does, and say whether it was good");
  control_option(reload_app, control);
  reload_app->callback([&] { status = reload_verb(control); });

  LeakFlags leak;
  CLI::App* leak_app =
      app.add_subcommand("leak", "Show what sessions have used of their leak budgets, by ledger and zone");
  control_option(leak_app, leak.control);
  leak_app->add_option("SESSION", leak.session, "Only this session, with all its zones")->type_name("");
  leak_app->add_flag("--json", leak.json, "As JSON");
  leak_app->callback([&] { status = leak_verb(leak); });

  GrantFlags grant;
  CLI::App* grant_app =
      app.add_subcommand("grant", "Let a session tell more, for good; it goes on record (view grants)");
  control_option(grant_app, grant.control);
  grant_app->add_option("SESSION", grant.session, "The session")->type_name("")->required();
  grant_app->add_option("AMOUNT", grant.amount, "Octets, or with a unit: 256, 1KiB")
      ->type_name("")
      ->required();
  grant_app->add_option("--zone", grant.zone, "For this zone (and parent) of it, not for the whole")
      ->type_name("NAME");
  grant_app->add_option("--user", grant.user, "Whose session, where several have one of that name");
  grant_app->callback([&] { status = grant_verb(grant); });

  const auto overlay_options = [](CLI::App* verb, PolicySet::Overlay& to) {
    verb->add_option("--include", to.include, "Take the rules of a preset in")
        ->type_name("PRESET")
        ->expected(1)
        ->take_all();
    verb->add_option("--allow", to.allow, "Put an allow rule on top")
        ->type_name("PATTERN")
        ->expected(1)
        ->take_all();
    verb->add_option("--block", to.block, "Put a block rule on top")
        ->type_name("PATTERN")
        ->expected(1)
        ->take_all();
    verb->add_option("--default", to.default_action, "Replace the policy's default: allow or block")
        ->check(CLI::IsMember({"allow", "block"}));
  };
  ExplainFlags explain;
  CLI::App* explain_app = app.add_subcommand(
      "explain", "Say what would become of a query, which rule speaks, and what it overrules");
  explain_app->add_option("NAME", explain.name, "The name")->type_name("")->required();
  explain_app->add_option("--type", explain.type, "The type, such as AAAA or TYPE65280")
      ->capture_default_str();
  explain_app
      ->add_option("--policy", explain.policy, "Policy file (YAML); without one: the built-in policies")
      ->type_name("FILE");
  explain_app->add_option("--name", explain.overlay.base, "Named policy; default: default")
      ->type_name("POLICY");
  overlay_options(explain_app, explain.overlay);
  explain_app->add_flag("--json", explain.json, "As JSON");
  explain_app->callback([&] { status = explain_verb(explain); });

  CLI::App* policy_app = app.add_subcommand("policy", "Check, test and compare policy files");
  policy_app->require_subcommand(1);
  std::string policy_file, policy_config;
  CLI::App* check_app = policy_app->add_subcommand(
      "check", "Read a policy file and say what is in it, or what is wrong with it (status 1)");
  check_app->add_option("file", policy_file, "Policy file (YAML)")->type_name("FILE")->required();
  check_app
      ->add_option("--config", policy_config,
                   "Configuration of the daemon: are there the upstream groups that zones are forwarded to?")
      ->type_name("FILE");
  check_app->callback([&] { status = policy_check_verb(policy_file, policy_config); });
  std::string preset_name;
  CLI::App* presets_app = policy_app->add_subcommand(
      "presets", "List the presets that a policy may include or extend, or print one");
  presets_app->add_option("name", preset_name, "Print this one")->type_name("NAME");
  presets_app->callback([&] { status = policy_presets_verb(preset_name); });
  CLI::App* test_app = policy_app->add_subcommand(
      "test", "Hold a policy file against its own `expect:`; status 1 if one fails");
  test_app->add_option("file", policy_file, "Policy file (YAML)")->type_name("FILE")->required();
  test_app->callback([&] { status = policy_test_verb(policy_file); });
  PolicyDiffFlags diff;
  CLI::App* diff_app = policy_app->add_subcommand(
      "diff", "Show the names whose verdict differs between two policy files (status 1 if any)");
  diff_app->add_option("before", diff.before, "Policy file (YAML)")->type_name("FILE")->required();
  diff_app->add_option("after", diff.after, "Policy file (YAML)")->type_name("FILE")->required();
  diff_app->add_option("--name", diff.policy, "Compare only this named policy")->type_name("POLICY");
  diff_app->add_option("--names", diff.names, "Ask for these names too: a file with one a line")
      ->type_name("FILE");
  diff_app->add_option("--type", diff.types, "Type to ask for, repeatable; default: A")
      ->type_name("TYPE")
      ->expected(1)
      ->take_all();
  diff_app->add_flag("--all", diff.all, "Show each name, not only the first 100 of a policy");
  diff_app->add_flag("--json", diff.json, "Each change as a line of JSON, then the counts of each policy");
  diff_app->footer(
      "Asked for is what either file mentions, and every name of their lists. A name that another list\n"
      "blocks now is no difference: what counts is what a client would get.\n\n"
      "Examples:\n"
      "  postern policy diff /etc/postern/policy.yaml new/policy.yaml\n"
      "  postern policy diff old.yaml new.yaml --json | jq -r 'select(.after == \"allowed\") | .name'");
  diff_app->callback([&] { status = policy_diff_verb(diff); });

  ReplayFlags replay;
  CLI::App* replay_app = app.add_subcommand(
      "replay",
      "Play recorded queries through policy, meter and score, and show what would have become of them");
  replay_app->add_option("file", replay.files, "Recordings, plain or gzip; - is standard input")
      ->type_name("FILE...")
      ->required();
  replay_app->add_option("--policy", replay.policy, "Policy file (YAML); without one: the built-in policies")
      ->type_name("FILE");
  replay_app->add_option("--name", replay.name, "Named policy; default: default")->type_name("POLICY");
  replay_app->add_option("--profile", replay.profile,
                         "Leak budgets: code, browse, strict; default: the policy's");
  replay_app->add_flag("--meter-only", replay.meter_only,
                       "The leak meter alone: any name, any type, no rules, and the score only watches");
  replay_app->add_option("--assume-ttl", replay.assume_ttl, "Seconds that an answer is kept in the cache")
      ->check(CLI::Range(0u, 86400u))
      ->capture_default_str();
  replay_app->add_flag("--no-refresh", replay.no_refresh, "Without the timer that refreshes names in use");
  replay_app->add_option("--limit", replay.limit, "At most this many rows of the table; 0: all")
      ->capture_default_str();
  replay_app->add_flag("--json", replay.json, "A line of JSON for each client and zone, then the total");
  replay_app->footer(
      "Formats, seen by content: pcap, pcapng; Zeek's dns.log, tab-separated or JSON; lines of ts, client,\n"
      "qname, qtype separated by tabs. Each client is a session of its own.\n\n"
      "Examples:\n"
      "  postern replay capture.pcap\n"
      "  postern replay --policy policy.yaml --name agents /var/log/zeek/dns.*.log.gz\n"
      "  postern replay --meter-only --json queries.tsv | jq 'select(.cut_at_query)'\n"
      "  tcpdump -w - port 53 | postern replay -");
  replay_app->callback([&] { status = replay_verb(replay); });

  LogFlags log;
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
  log_app->callback([&] { status = log_verb(log); });

  SqlFlags sql;
  CLI::App* sql_app = app.add_subcommand(
      "sql",
      "Run one SQL statement on a journal, read-only (views: queries, alerts, sessions, sandboxes, domains, "
      "usage, resolutions, grants, boots; docs/COOKBOOK.md has statements)");
  sql_app
      ->add_option("--db", sql.dbs,
                   "Journal file; default: journal.db in the state folder. Given several times: each view is "
                   "the union of the files', with a last column `journal`, the file's path")
      ->allow_extra_args(false);
  sql_app->add_flag("--json", sql.json, "Rows as JSON");
  sql_app->add_flag("--csv", sql.csv, "Rows as CSV");
  constexpr std::int64_t most_rows = 100'000'000;  // all of them are in memory before the first is printed
  sql_app->add_option("--limit", sql.limit, "At most this many rows")
      ->check(CLI::Range(std::int64_t{1}, most_rows))
      ->capture_default_str();
  sql_app->add_option("statement", sql.statement, "The statement")->required();
  sql_app->callback([&] { status = sql_verb(sql); });

  CLI::App* journal_app = app.add_subcommand(
      "journal", "Check a journal's seals, copy it, remove what is old, say what it holds");
  journal_app->require_subcommand(1);
  VerifyFlags verify;
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
  verify_app->add_flag("--json", verify.json, "As JSON");
  verify_app->footer(
      "consistent: all hangs together. unaltered: and the heads given with --heads say the same.\n\n"
      "Examples:\n"
      "  postern journal verify\n"
      "  postern journal verify copy.db --key seal.pub --heads /mnt/worm/heads.jsonl\n"
      "  journalctl -u postern -o cat | postern journal verify --heads -");
  verify_app->callback([&] { status = journal_verify_verb(verify); });
  std::string key_file;
  CLI::App* key_app =
      journal_app->add_subcommand("key", "Print the public key that signs the journal's heads");
  key_app
      ->add_option("file", key_file,
                   "Its file (seal_key, with or without .pub); default: beside the state folder")
      ->type_name("FILE");
  key_app->callback([&] { status = journal_key_verb(key_file); });

  const char* const db_help = "Journal file; default: journal.db in the state folder";
  std::string stats_db;
  bool stats_json = false;
  CLI::App* stats_app = journal_app->add_subcommand("stats", "Say what a journal holds: rows, octets, times");
  stats_app->add_option("file", stats_db, db_help)->type_name("FILE");
  stats_app->add_flag("--json", stats_json, "As JSON");
  stats_app->callback([&] { status = journal_stats_verb(stats_db, stats_json); });

  PruneFlags prune;
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
  prune_app->callback([&] { status = journal_prune_verb(prune); });

  std::string vacuum_db;
  CLI::App* vacuum_app =
      journal_app->add_subcommand("vacuum", "Give a journal's free pages back; no Postern may have it");
  vacuum_app->add_option("file", vacuum_db, db_help)->type_name("FILE");
  vacuum_app->callback([&] { status = journal_vacuum_verb(vacuum_db); });

  std::string backup_db, backup_to;
  CLI::App* backup_app = journal_app->add_subcommand(
      "backup", "Copy a journal as it is at this moment, also while a Postern writes to it");
  backup_app->add_option("to", backup_to, "The copy; must not exist")->type_name("FILE")->required();
  backup_app->add_option("--db", backup_db, db_help)->type_name("FILE");
  backup_app->callback([&] { status = journal_backup_verb(backup_db, backup_to); });

  try {
    app.parse(argc, argv);
  } catch (const CLI::RequiredError& error) {
    if (const std::string strange = unknown_subcommand(app, argc, argv); !strange.empty())
      return complain("there is no subcommand \"" + strange + "\"; --help lists them");
    return app.exit(error) == 0 ? 0 : status_failed;
  } catch (const CLI::ParseError& error) {
    const int code = app.exit(error);
    return code == 0 ? 0 : status_failed;
  } catch (const std::exception& error) {
    return complain(error.what());  // out of memory, and what a library throws against its word
  }
  return status;
}

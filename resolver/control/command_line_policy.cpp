// The command line's verbs about policy: explain, policy, replay.
#include <CLI/CLI.hpp>

#include "resolver/control/command_line.h"

namespace postern {
namespace {

void overlay_options(CLI::App* verb, PolicySet::Overlay& to) {
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
}

}  // namespace

void CommandLine::add_explain(CLI::App& app) {
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
  explain_app->callback([this] { status = explain_verb(explain); });
}

void CommandLine::add_policy(CLI::App& app) {
  CLI::App* policy_app = app.add_subcommand("policy", "Check, test and compare policy files");
  policy_app->require_subcommand(1);
  CLI::App* check_app = policy_app->add_subcommand(
      "check", "Read a policy file and say what is in it, or what is wrong with it (status 1)");
  check_app->add_option("file", policy_file, "Policy file (YAML)")->type_name("FILE")->required();
  check_app
      ->add_option("--config", policy_config,
                   "Configuration of the daemon: are there the upstream groups that zones are forwarded to?")
      ->type_name("FILE");
  check_app->callback([this] { status = policy_check_verb(policy_file, policy_config); });
  CLI::App* presets_app = policy_app->add_subcommand(
      "presets", "List the presets that a policy may include or extend, or print one");
  presets_app->add_option("name", preset_name, "Print this one")->type_name("NAME");
  presets_app->callback([this] { status = policy_presets_verb(preset_name); });
  CLI::App* test_app = policy_app->add_subcommand(
      "test", "Hold a policy file against its own `expect:`; status 1 if one fails");
  test_app->add_option("file", policy_file, "Policy file (YAML)")->type_name("FILE")->required();
  test_app->callback([this] { status = policy_test_verb(policy_file); });
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
  diff_app->callback([this] { status = policy_diff_verb(diff); });
}

void CommandLine::add_replay(CLI::App& app) {
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
  replay_app->add_flag(
      "--meter-only", replay.meter_only,
      "The leak meter alone: any name, any type, no rules; score and cap of queries only watch");
  replay_app
      ->add_option("--public-suffix-list", replay.public_suffix_list,
                   "Public suffix list (text form), as the daemon's public_suffix_list")
      ->type_name("FILE");
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
  replay_app->callback([this] { status = replay_verb(replay); });
}

}  // namespace postern

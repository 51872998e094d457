// The command line's verbs about sandboxes: run, serve, attach and what is asked of a daemon.
#include <CLI/CLI.hpp>

#include "resolver/control/command_line.h"

namespace postern {
namespace {

void secret_options(CLI::App* verb, std::vector<std::string>& env, std::vector<std::string>& file) {
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
}

void control_option(CLI::App* verb, std::string& to) {
  verb->add_option("--control", to, "Control socket of the daemon")->capture_default_str();
}

}  // namespace

void CommandLine::add_run(CLI::App& app) {
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
  run_app
      ->add_option("--alert-redact", run.alert_redact,
                   "What the program and the address are not told: names, all")
      ->type_name("LEVEL");
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
  run_app->callback([this] { status = run_verb(run); });
}

void CommandLine::add_serve(CLI::App& app) {
  CLI::App* serve_app =
      app.add_subcommand("serve", "Serve sandboxes that are attached through the control socket");
  serve_app->add_option("--config", serve.config, "Configuration file (YAML)")->required();
  serve_app->add_flag("--check-config", serve.check, "Check the configuration and its policy, and exit");
  serve_app->callback([this] { status = serve_verb(serve); });
}

void CommandLine::add_attach(CLI::App& app) {
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
  attach_app->callback([this] {
    if (attach.netns.empty() && attach.pid == 0) throw CLI::RequiredError("--netns or --pid");
    status = attach_verb(attach);
  });
}

void CommandLine::add_sandboxes(CLI::App& app) {
  CLI::App* detach_app = app.add_subcommand("detach", "Stop serving a sandbox; its record stays");
  control_option(detach_app, control);
  detach_app->add_option("--name,name", name, "Name of the sandbox")->required();
  detach_app->callback([this] { status = detach_verb(control, name); });

  CLI::App* thaw_app =
      app.add_subcommand("thaw", "Let a sandbox that policy froze go on, and its session ask again");
  control_option(thaw_app, control);
  thaw_app->add_option("--name,name", name, "Name of the sandbox")->required();
  thaw_app->callback([this] { status = thaw_verb(control, name); });

  CLI::App* ls_app = app.add_subcommand("ls", "List the attached sandboxes");
  control_option(ls_app, control);
  ls_app->add_flag("--json", json, "As JSON");
  ls_app->callback([this] { status = ls_verb(control, json); });

  CLI::App* status_app =
      app.add_subcommand("status", "Show the daemon's counters, journal and policy, as JSON");
  control_option(status_app, control);
  status_app->callback([this] { status = status_verb(control); });

  CLI::App* reload_app =
      app.add_subcommand("reload", "Load the policy file anew, as SIGHUP does, and say whether it was good");
  control_option(reload_app, control);
  reload_app->callback([this] { status = reload_verb(control); });
}

void CommandLine::add_budgets(CLI::App& app) {
  CLI::App* leak_app =
      app.add_subcommand("leak", "Show what sessions have used of their leak budgets, by ledger and zone");
  control_option(leak_app, leak.control);
  leak_app->add_option("SESSION", leak.session, "Only this session, with all its zones")->type_name("");
  leak_app->add_flag("--json", leak.json, "As JSON");
  leak_app->callback([this] { status = leak_verb(leak); });

  CLI::App* grant_app =
      app.add_subcommand("grant", "Let a session tell more, for good; it goes on record (view grants)");
  control_option(grant_app, grant.control);
  grant_app->add_option("SESSION", grant.session, "The session")->type_name("")->required();
  grant_app->add_option("AMOUNT", grant.amount, "Octets, or with a unit: 256, 1KiB")
      ->type_name("")
      ->required();
  auto* zone_option =
      grant_app->add_option("--zone", grant.zone, "For this zone (and parent) of it, not for the whole")
          ->type_name("NAME");
  grant_app->add_flag("--answers", grant.answers, "For what comes down in answers, not for what names tell")
      ->excludes(zone_option);
  grant_app->add_option("--user", grant.user, "Whose session, where several have one of that name");
  grant_app->callback([this] { status = grant_verb(grant); });
}

}  // namespace postern

// The command line: each verb's flags and help, and what they call.
//
// Thread: the main one. The flags live here, so this must outlive the parsing.
#pragma once

#include <string>
#include <vector>

#include "resolver/control/commands.h"

namespace CLI {
class App;
}

namespace postern {

struct CommandLine {
  explicit CommandLine(CLI::App& app) {
    add_run(app);
    add_serve(app);
    add_attach(app);
    add_sandboxes(app);
    add_budgets(app);
    add_explain(app);
    add_policy(app);
    add_replay(app);
    add_log(app);
    add_sql(app);
    add_journal(app);
  }
  // Each adds its verbs to `app`, and what they are told goes into the flags below.
  void add_run(CLI::App& app);
  void add_serve(CLI::App& app);
  void add_attach(CLI::App& app);
  void add_sandboxes(CLI::App& app);
  void add_budgets(CLI::App& app);
  void add_explain(CLI::App& app);
  void add_policy(CLI::App& app);
  void add_replay(CLI::App& app);
  void add_log(CLI::App& app);
  void add_sql(CLI::App& app);
  void add_journal(CLI::App& app);

  int status = 0;  // what the verb that was called says the process should exit with
  RunFlags run;
  ServeFlags serve;
  AttachFlags attach;
  std::string control = default_control, name;
  bool json = false;
  LeakFlags leak;
  GrantFlags grant;
  ExplainFlags explain;
  std::string policy_file, policy_config, preset_name;
  PolicyDiffFlags diff;
  ReplayFlags replay;
  LogFlags log;
  SqlFlags sql;
  VerifyFlags verify;
  PruneFlags prune;
  std::string key_file, stats_db, vacuum_db, backup_db, backup_to;
  bool stats_json = false;
};

}  // namespace postern

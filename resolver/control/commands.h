// The command line's verbs, each a function from its flags to an exit status. The front door of control/.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "rules/policy.h"

namespace postern {

inline constexpr int status_failed =
    125;  // Postern itself failed; below it, the command's own statuses (as env and timeout do)
inline constexpr const char* default_control = "/run/postern/control.sock";

struct RunFlags {
  std::vector<std::string> command;
  std::string policy;          // file
  PolicySet::Overlay overlay;  // --allow, --block, --default
  std::vector<std::string> upstream, upstream_for;
  std::string session, user, name;
  std::vector<std::string> labels;  // K=V
  std::string db;
  std::string alert_exec;
  std::string alert_webhook, alert_webhook_secret, alert_webhook_ca;  // address, files
  std::string alert_redact = "none";                                  // of what either hook is told
  std::string public_suffix_list;                                     // file
  std::vector<std::string> secret_env, secret_file;
  std::string control = default_control;
  std::string audit = "strict";  // or "relaxed"
  bool quiet = false, json = false;
};
int run_verb(const RunFlags& flags);

struct ServeFlags {
  std::string config;
  bool check = false;
};
int serve_verb(const ServeFlags& flags);

struct AttachFlags {
  std::string control = default_control;
  std::string name, session, user, code_hash, policy, netns;
  int pid = 0;
  std::vector<std::string> labels;
  std::vector<std::string> secret_env, secret_file;
};
int attach_verb(const AttachFlags& flags);
int detach_verb(const std::string& control, const std::string& name);
int thaw_verb(const std::string& control, const std::string& name);
int ls_verb(const std::string& control, bool json);
int status_verb(const std::string& control);
int reload_verb(const std::string& control);

struct LeakFlags {
  std::string control = default_control;
  std::string session;  // only this one, with all its zones; empty: all, with the fullest
  bool json = false;
};
int leak_verb(const LeakFlags& flags);
struct GrantFlags {
  std::string control = default_control;
  std::string session, user, zone, amount;
  bool answers = false;
};
int grant_verb(const GrantFlags& flags);
// What ended a session's questions, and the commands that let it ask again.
std::string quarantine_note(const std::string& session, const std::string& why, const std::string& sandbox);

// Asks the daemon, and reads its answer. Errors: its own, or on the way to it.
Result<std::string> ask_json(const std::string& control, const std::string& method, const std::string& target,
                             const std::string& body = {});

// Verbs about policy files: they need no daemon. Status 1 says that the file is bad, an expectation fails, or
// the files differ.
struct ExplainFlags {
  std::string name, type = "A";
  std::string policy;          // file; empty: the built-in policies
  PolicySet::Overlay overlay;  // --allow, --block, --default; `base` is the policy that is asked
  bool json = false;
};
int explain_verb(const ExplainFlags& flags);
// `config`: the daemon's configuration, which knows the upstream groups; empty: they are not checked.
int policy_check_verb(const std::string& file, const std::string& config);
int policy_presets_verb(const std::string& name);  // empty: a line for each
int policy_test_verb(const std::string& file);

struct PolicyDiffFlags {
  std::string before, after;  // files
  std::string policy;         // only this one; empty: all
  std::string names;          // file with one name a line
  std::vector<std::string> types;
  bool all = false, json = false;  // each change; the same, a line of JSON each
};
int policy_diff_verb(const PolicyDiffFlags& flags);

// Plays recorded queries through policy, score and meter; needs no daemon.
struct ReplayFlags {
  std::vector<std::string> files;  // "-": standard input
  std::string policy;              // file; empty: the built-in policies
  std::string name;                // of the policy; empty: "default"
  std::string profile;             // budgets instead of the policy's
  bool meter_only = false;         // types and names any, no rules; the score and the cap only watch
  std::string public_suffix_list;  // file; empty: the system's or libpsl's own, whichever is newer
  unsigned assume_ttl = 300;       // seconds that an answer is kept
  bool no_refresh = false;         // without Postern's own timer
  std::size_t limit = 40;          // rows of the table; 0: all
  bool json = false;
};
int replay_verb(const ReplayFlags& flags);

// Streams a journal's queries and alerts.
struct LogFlags {
  std::string db;
  std::string format = "text", redact = "none";
  std::optional<std::string> since, until, sandbox, session, user, domain;  // an empty one is an error
  bool blocked = false;
  bool follow = false;
  bool no_alerts = false;
};
int log_verb(const LogFlags& flags);

struct SqlFlags {
  std::vector<std::string> dbs;
  std::optional<std::string> statement;  // none: they come from standard input
  bool json = false, csv = false, wait = false;
  std::int64_t limit = 1000;
};
int sql_verb(const SqlFlags& flags);

// Is the journal what was written? Status 0: consistent or unaltered, 1: altered, 125: it cannot be said.
struct VerifyFlags {
  std::string db;     // empty: journal.db in the state folder
  std::string key;    // public key: a file or hex; empty: by whom the heads say they are signed
  std::string heads;  // file of signed heads, as seal_heads or a log has them; -: standard input; empty: none
  bool copy = false;  // heads later than the file's last block say nothing of it
  bool json = false;
};
int journal_verify_verb(const VerifyFlags& flags);
// Looking after the file (journal/care.h). `db` empty: journal.db in the state folder.
struct PruneFlags {
  std::string db, older_than, max_size, keep_alerts;
  bool dry_run = false, json = false;
};
int journal_prune_verb(const PruneFlags& flags);
int journal_stats_verb(const std::string& db, bool json);
int journal_vacuum_verb(const std::string& db);
int journal_backup_verb(const std::string& db, const std::string& to);
// Prints the public half of the key that signs the journal's heads.
int journal_key_verb(const std::string& file);

// Where state is kept: /var/lib/postern for root, else $XDG_STATE_HOME/postern or ~/.local/state/postern.
std::string default_state_folder();
// Beside it: the key that signs the journal's heads, which the resolver process must not reach.
std::string default_seal_folder();

// "K=V" texts as a map; errors quote the one that is not.
Result<std::map<std::string, std::string>> parse_labels(const std::vector<std::string>& texts);

// Writes "postern: MESSAGE" to stderr and returns status_failed.
int complain(const std::string& message);

// A table with a header line, aligned columns and, on a terminal, the header underlined. Cells over 60
// columns are cut.
void print_table(const std::vector<std::string>& columns, const std::vector<std::vector<std::string>>& rows);

}  // namespace postern

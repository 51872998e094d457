// The resolver process: the front door of resolver/, where everything touches the world.
//
// The story. `main` reads flags and configuration and forks. The parent becomes the broker
// (sandbox/broker.h), the privileged half that never sees a DNS packet. The child enters its cell
// (sandbox/cell.h) and becomes this `Resolver`: it opens the journal, starts its shards and serves what is
// attached. A sandbox's queries arrive on its listener (path/listener.h) and walk the pipeline
// (path/pipeline.h: read that next), are recorded by the journal (journal/journal.h) and asked of the
// upstreams (path/forwarder.h). The control socket (control/http_server.h) and the broker's events end here.
//
// Thread: `Resolver` belongs to the control thread (the process's first). Shards and the journal have their
// own.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "resolver/control/dispatcher.h"
#include "resolver/control/metrics.h"
#include "resolver/courier/courier.h"
#include "resolver/journal/journal.h"
#include "resolver/path/shard.h"
#include "resolver/sandbox/broker.h"
#include "rules/policy.h"

namespace postern {

struct ResolverOptions {
  Journal::Options journal;  // the path as seen from inside the cell
  Audit audit = Audit::strict;
  unsigned workers = 1;  // shards, 1..64
  std::vector<Server> servers;
  std::vector<UpstreamGroup> groups;  // that policies may forward zones to
  std::string
      policy_file;  // its name, for messages; empty: built-in policy, else index 0 of the broker's files
  std::vector<std::string> list_folders;  // as the broker has them; the policy's own first
  std::string list_cache;                 // folder for compiled lists, as seen from inside the cell
  PolicySet::Overlay overlay;             // from the command line; put on top at every load
  std::vector<Webhook> webhooks;          // told of alerts by the courier, which has them in this order
  bool sign_heads = false;                // the broker has a key for the journal
  std::string alert_exec;                 // the broker's hook 0, told of alerts; empty: none
  Redaction alert_exec_redact = Redaction::none;
  std::shared_ptr<const SuffixList> suffixes = SuffixList::builtin();  // public suffixes
};

// What a client asks to be attached. Exactly one of `pid` and `netns_path`.
struct AttachRequest {
  Sandbox who;
  pid_t pid = 0;
  std::string netns_path;
  std::string policy_yaml;  // a policy of its own; empty: the named policy of the daemon's file
  std::string policy_name;  // what messages call it
  std::optional<PolicySet::Overlay> overlay;
  std::vector<SecretValue> secrets;  // of its session, on top of those that it has
};

class Resolver {
 public:
  static Result<std::unique_ptr<Resolver>> start(ResolverOptions options,
                                                 std::unique_ptr<BrokerClient> broker);
  ~Resolver();  // stops the shards, drains the journal

  // The listener is open when this returns. Errors: name taken, unknown policy, a namespace that is the
  // host's or attached already.
  Result<void> attach(AttachRequest request);
  Result<void> attach(Sandbox who, Listeners listeners,
                      std::vector<SecretValue> secrets = {});  // `run`: its init opened them
  Result<SandboxReport> detach(const std::string& name);
  // Lets a frozen sandbox go on, and its session ask again.
  Result<void> thaw(const std::string& name);
  void namespace_gone(std::uint64_t token);

  // Loads the policy file anew. A bad one, or one that lacks a policy in use, leaves the old in force; the
  // error is also in status().
  Result<void> reload();
  void set_servers(std::vector<Server> servers);

  std::vector<SandboxReport> sandboxes();
  // The budgets of the sessions that are remembered, sorted by session and user.
  std::vector<Pipeline::SessionLeak> leaks();
  // On record first, then in force. `user` empty: the only one who has had such a session. Errors: there is
  // none or more than one, no name, nothing to grant.
  Result<LeakGrant> grant(LeakGrant wanted);
  std::string status_json();
  std::string metrics();  // Prometheus text format
  // Counters from the start on, of all sandboxes that are detached by now.
  std::string summary_json();

  // The hooks that are told of alerts, for the control loop's dispatcher; control thread.
  // `courier`: its channel.
  std::vector<Dispatcher::Hook> alert_hooks(int courier);
  Journal& journal() { return *journal_; }
  // The end: every sandbox is detached and recorded as such, and the broker gets the summary.
  void end();
  void stop_shards();  // no query is taken after this; the rest of the object still answers

 private:
  struct Place {
    std::size_t shard = 0;
    std::uint64_t token = 0;  // 0: not known to the broker
    std::string policy;
    bool own_policy = false;  // a whole one, given when it was attached: reloads leave it alone
    std::optional<PolicySet::Overlay> overlay;  // rules given then, put on top again at every reload
  };
  Resolver() = default;
  Result<void> place(Sandbox who, Listeners listeners, std::shared_ptr<const Policy> policy, Place place,
                     std::shared_ptr<const SecretSet> secrets);
  Result<std::shared_ptr<const SecretSet>> secrets_for(const Sandbox& who, std::vector<SecretValue> more);
  Result<std::shared_ptr<const PolicySet>> load_policies();
  Result<void> check_groups(const PolicySet& policies) const;
  std::size_t shard_of(const Sandbox& who) const;
  Result<SessionPast> past_of(const Sandbox& who, const Policy& policy);
  void take_policies(std::shared_ptr<const PolicySet> policies);

  ResolverOptions options_;
  std::unique_ptr<BrokerClient> broker_;
  std::unique_ptr<class ListsToKeep> to_keep_;  // compiled lists that are still to be written
  std::shared_ptr<const PolicySet> policies_;
  PolicyLoads policy_loads_;
  std::vector<ListMetrics> lists_;  // of policies_
  std::unique_ptr<Journal> journal_;
  MeterParts parts_;
  struct Threads;
  std::unique_ptr<Threads> threads_;
  std::vector<std::unique_ptr<Shard>> shards_;
  std::unordered_map<std::string, Place> places_;
  std::uint64_t next_token_ = 1;
  // Random; fingerprints of secrets, and marks in what hooks are told, compare while this process lives.
  std::string fingerprint_key_;
  SandboxCounters gone_;  // of detached sandboxes
};

}  // namespace postern

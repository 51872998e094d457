// A shard: one I/O thread with its sandboxes and all their state, so that the path takes no lock.
//
// Thread: `run` is the shard's thread. Every other public function may be called from any thread; those with
// a result wait for the shard (control plane only). All sandboxes of a user are on one shard, because their
// ledgers nest.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "resolver/path/listener_counters.h"
#include "resolver/path/pipeline.h"
#include "resolver/path/transport_cares.h"
#include "resolver/sandbox/broker.h"

namespace postern {

// A sandbox as `ls`, the summary and the metrics show it.
struct SandboxReport {
  Sandbox who;
  SandboxCounters counters;
  std::size_t in_flight = 0, cache_entries = 0, cache_octets = 0;
  std::size_t blocked_zones = 0;
  bool quarantined = false;
  std::string quarantine;  // what for
  std::string acted;       // "killed (tunnel: evil.example)"; empty: its processes were let be
  double leak_bits = 0, leak_budget_bits = 0;  // of its session's ledger
};

struct ShardReport {
  std::vector<SandboxReport> sandboxes;
  Pipeline::Counters pipeline;
  Forwarder::Counters forwarder;
  ListenerCounters listener;
  bool journal_stalled = false;
};

class Shard {
 public:
  // `broker` is this shard's own channel; `alert` is called on the shard's thread.
  static Result<std::unique_ptr<Shard>> make(Journal& journal, std::unique_ptr<BrokerClient> broker,
                                             std::vector<Server> servers, std::vector<UpstreamGroup> groups,
                                             std::function<void(const Alert&)> alert, MeterParts parts,
                                             Audit audit = Audit::strict);
  ~Shard();

  void run();  // until stop
  void stop();

  // `past`: what its session has spent; may be empty for one that the shard remembers. `secrets`: all of the
  // session's; null: as they are. `token`: what the broker knows it by.
  void attach(Sandbox who, SandboxId row, std::shared_ptr<const Policy> policy, bool own_policy,
              Listeners listeners, const SessionPast& past, std::shared_ptr<const SecretSet> secrets,
              std::uint64_t token);
  std::shared_ptr<const SecretSet> secrets_of(const Sandbox& who);
  bool remembers(const Sandbox& who);
  Result<void> grant(const LeakGrant& grant);
  Result<void> may_grant(const LeakGrant& grant);
  bool lift_quarantine(const std::string& name);  // of that sandbox's session; false: it is not here
  bool is_frozen(const std::string& name);        // its processes, by policy
  std::vector<Pipeline::SessionLeak> leaks();
  // What the sandbox had done, and its row; nothing if no sandbox of that name is here.
  std::optional<std::pair<SandboxReport, SandboxId>> detach(const std::string& name);
  void set_policies(std::shared_ptr<const PolicySet> policies, const Pipeline::OverlaidPolicies& overlaid);
  void set_servers(std::vector<Server> servers);
  ShardReport report();

 private:
  struct State;
  explicit Shard(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace postern

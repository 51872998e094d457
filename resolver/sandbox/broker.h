// The broker: the privileged half of Postern. The front door of sandbox/. It opens sockets and starts hooks,
// and never sees a DNS packet.
//
// The story: main forks. The parent becomes the broker: one thread, a poll loop, SOCK_SEQPACKET channels to
// the resolver process, fixed-size requests, descriptors passed back. The child enters its cell (cell.h:
// chroot into the state folder, no capabilities, no_new_privs, seccomp) and from then on can only ask the
// broker. What the broker grants is fixed by its configuration: listening sockets inside a namespace it was
// asked to attach, sockets already connected to a *configured* upstream, policy files, folders of lists and
// hooks that it was started with. The resolver cannot name a program or an address
// (docs/decisions/0003-cell.md says what a resolver that was taken over can still do).
//
// Read next: broker_wire.h (what goes over the channels), broker_requests.cpp (what is granted), broker.cpp
// (the loop), netns_watch.h (when a sandbox is gone), hook.h, servers_watch.h, and cell.h for the other half.
#pragma once

#include <sys/types.h>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "rules/result.h"
#include "rules/signed_head.h"

namespace postern {

// A descriptor with one owner.
class Fd {
 public:
  Fd() = default;
  explicit Fd(int fd) : fd_(fd) {}
  Fd(Fd&& other) noexcept : fd_(other.release()) {}
  Fd& operator=(Fd&& other) noexcept;
  ~Fd() { reset(); }
  int get() const { return fd_; }
  explicit operator bool() const { return fd_ >= 0; }
  int release() {
    int fd = fd_;
    fd_ = -1;
    return fd;
  }
  void reset();

 private:
  int fd_ = -1;
};

// An upstream server: numeric address and port.
struct Server {
  std::string address;  // "192.0.2.1" or "2001:db8::1"; a zone index ("%eth0") is allowed
  std::uint16_t port = 53;
  std::string text() const;  // "192.0.2.1:53", "[2001:db8::1]:53"
};
// Servers that zones are forwarded to by a policy that names the group.
struct UpstreamGroup {
  std::string name;
  std::vector<Server> servers;  // 1 to max_group_servers
};
inline constexpr std::size_t max_group_servers = 8;     // more only lengthen the time until SERVFAIL
inline constexpr std::size_t max_upstream_groups = 64;  // each has channels in each shard once it is used
Result<Server> parse_server(std::string_view text);     // ADDR, ADDR:PORT, [ADDR]:PORT; errors quote
std::vector<Server> parse_resolv_conf(std::string_view text);  // its nameserver lines, at most 8

// What listens inside a sandbox: both on port 53 (or `port` in tests), dual-stack where IPv6 exists.
struct Listeners {
  Fd udp, tcp;
  bool ipv6 = false;  // dual-stack AF_INET6 sockets; else AF_INET
  std::uint64_t netns_dev = 0, netns_ino = 0;
};
// Opens them in the *current* network namespace; nonblocking, never SO_REUSEADDR on UDP. Used by the broker
// after setns, by `run`'s init and by tests.
Result<Listeners> open_listeners(std::uint16_t port = 53);

// What can be done to all processes of a sandbox at once.
enum class TreeAction : std::uint32_t { freeze = 1, thaw, kill };

// The resolver's end of a channel. Thread: one at a time per client; each shard has its own client, so that
// nobody waits for a lock. Calls block, at most `timeout` (2 s); errors are returned.
class BrokerClient {
 public:
  explicit BrokerClient(Fd channel);
  // A nonblocking socket connected (TCP: connecting) to a configured server, from a fresh source port: server
  // `index` of the usual ones, or, from max_group_servers on, as many to each group in BrokerOptions::groups.
  Result<Fd> upstream_socket(std::size_t server_index, bool tcp);
  // Listeners in the namespace of a process or at a path; refuses the host's own namespace and one that is
  // attached already. `token` names the attachment for `detach` and in `namespace_gone` events.
  Result<Listeners> attach_pid(std::uint64_t token, pid_t pid);
  Result<Listeners> attach_path(std::uint64_t token, const std::string& path);
  Result<void> detach(std::uint64_t token);
  // The text of the configured policy file (index 0) at this moment.
  Result<std::string> read_policy(std::size_t index);
  // A list, open for reading: a plain file at `path` below configured folder `folder`, which neither `..` nor
  // a symbolic link may leave. Errors quote the path.
  Result<Fd> open_list(std::size_t folder, const std::string& path);
  // Starts alert program `index` with `json` on its stdin, environment cleaned, time limit; does not wait.
  // `token` names it in the `hook_exited` event.
  Result<void> start_hook(std::size_t index, const std::string& json, std::uint64_t token = 0);
  // Freezes, lets go on or kills all processes of an attachment (process_tree.h), in `run` of token 0, its
  // command. `why` is for people. Errors: there is nothing that can be acted on, and why.
  Result<void> act(std::uint64_t token, TreeAction action, const std::string& why);
  // A further channel, for another thread.
  Result<std::unique_ptr<BrokerClient>> another();
  // The broker's signature of a block's head. Where it has signed that number with another head, or a later
  // one: the last that it has signed, and nothing new. Errors: there is no key, or too many heads.
  Result<SignedHead> sign_head(const HeadToSign& head);
  // `run` only: what the summary should say (JSON), sent once at the end.
  Result<void> report(const std::string& json);

 private:
  Fd channel_;
  std::uint32_t sequence_ = 0;  // tells a late reply from the one that is waited for
};

// What the broker tells unasked, on its own channel (Fd given to the resolver at start): one message each.
struct BrokerEvent {
  enum class Kind : std::uint32_t { namespace_gone, servers_changed, reload, stop, hook_exited } kind;
  std::uint64_t token =
      0;  // namespace_gone: detached already; a `detach` that crosses it is told "not attached"
  std::vector<Server> servers;  // servers_changed
  int status = 0;               // hook_exited: wait status, -1: it could not be started
};
// Reads one event, waiting for it (also where the descriptor is nonblocking: ask only when it is readable);
// nothing at the end of the stream (the broker is gone: stop).
std::optional<BrokerEvent> read_broker_event(int fd);

// Signed heads of the journal (broker_seal.h). Absolute paths.
struct SealOptions {
  std::string key;    // made at the first start; empty: nothing is signed
  std::string heads;  // each head is appended to it; empty: none
  std::string exec;   // program that gets each head on stdin; empty: none
  bool log = true;    // each head is a line of the log
};

struct BrokerOptions {
  std::vector<Server> servers;
  std::vector<UpstreamGroup> groups;  // at most max_upstream_groups
  std::string resolv_conf;            // follow this file for servers; empty: fixed servers
  std::vector<std::string> policy_files;
  std::vector<std::string> list_folders;  // whatever lies below may be read as a list; absolute paths
  std::vector<std::string> hooks;         // programs, absolute paths
  // `run`: acts on its command, for token 0.
  std::function<Result<void>(TreeAction, const std::string& why)> own_act = {};
  // The courier (courier/courier.h): a further process, started with the resolver and again when it ends.
  // Called in it, with all descriptors closed but the standard ones and its end of the channel; what it
  // returns is its exit status.
  std::function<int(Fd channel)> courier = {};
  std::shared_ptr<Fd> courier_channel = {};  // its end; kept, so that the next one finds what waits
  SealOptions seal = {};
  bool may_attach = true;  // false in `run`: its one sandbox is handed over, no other can be asked for
  std::uint16_t listen_port = 53;  // other ports: tests
};

class Broker {
 public:
  explicit Broker(BrokerOptions options);
  ~Broker();
  // Before fork: creates the resolver's ends of the two channels.
  struct Ends {
    Fd requests, events;
  };
  Result<Ends> make_channels();
  // Serves until the resolver is gone and the hooks it started are done (at most 10 s more); its end is
  // logged. `resolver` must be a child of the caller; 0 (tests): until the channels are closed. One thread,
  // the one that calls; single-threaded process: it changes namespaces and forks. Once asked to stop, the
  // resolver has 30 s, or 5 s after the first request when it is asked again; then it is killed. SIGHUP
  // becomes a `reload` event, SIGTERM and SIGINT a `stop` event, unless `handle_signals` is false. The
  // caller's poll set can join in: `extra` descriptors are polled too and `on_extra` is called with the index
  // of a readable one.
  struct Loop {
    bool handle_signals = true;
    std::vector<int> extra;
    std::function<bool(std::size_t)> on_extra;  // false: stop polling this one
  };
  void serve(pid_t resolver, Loop loop);
  void ask_stop();  // sends `stop` to the resolver; from `on_extra` or before serve
  std::optional<int> resolver_status() const;  // its wait status, after serve
  const std::string& last_report() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace postern

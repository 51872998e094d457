// What the broker remembers between two turns of its loop. Read by broker.cpp and broker_requests.cpp only.
#pragma once

#include <chrono>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "resolver/sandbox/broker_loop.h"
#include "resolver/sandbox/broker_seal.h"
#include "resolver/sandbox/broker_wire.h"
#include "resolver/sandbox/hook.h"
#include "resolver/sandbox/netns_watch.h"
#include "resolver/sandbox/servers_watch.h"

namespace postern {

// Thread: one. Time: steady_clock. Memory: bounded by the limits below and those of its parts.
// Invariant: whatever a request asks for is either in `options` or an attachment in `netns`.
struct Broker::State {
  using Clock = std::chrono::steady_clock;

  // Channels to one resolver: each shard and the control plane has one.
  static constexpr std::size_t most_channels = 256;
  // Events that the resolver has not read. Honest ones are bounded by attachments and hooks; beyond, they are
  // dropped and logged.
  static constexpr std::size_t most_events = 2 * NetnsWatch::most;
  // Of the program that is told of signed heads: the resolver is not told of its end.
  static constexpr std::uint64_t seal_hook_token = ~std::uint64_t{0};
  // How long a resolver that was asked to stop may write its journal out; and once it was asked again,
  // counted from the first time.
  static constexpr std::chrono::seconds stop_limit{30}, impatient_stop_limit{5};
  // How long the broker outlives the resolver for the sake of hooks that still run: as long as one hook may.
  static constexpr std::chrono::seconds hooks_outlive = HookRunner::time_limit;

  // A courier that ended is started again after the first of these, then twice as long, up to the second; one
  // that lived for the second begins anew.
  static constexpr std::chrono::seconds courier_pause{1}, longest_courier_pause{60};

  explicit State(BrokerOptions given);
  static std::vector<std::string> programs_of(const BrokerOptions& options);

  BrokerOptions options;
  std::vector<Server> servers;  // options.servers, or what resolv_conf says by now
  Fd events;                    // our end
  std::map<int, Fd> channels;   // our ends
  std::optional<BrokerLoop> loop;
  std::optional<Netns> home;
  NetnsWatch netns;
  std::optional<ServersWatch> servers_watch;
  HookRunner hooks;  // options.hooks, then the one of the seals
  Fd heads_file;
  std::optional<HeadSigner> signer;  // from `run` on: the resolver process was forked before there was a key
  std::deque<wire::Event> pending;   // events not yet sent
  std::uint64_t dropped_events = 0;
  std::string report;
  std::vector<std::byte> buffer;  // one request

  Fd resolver;  // pidfd
  pid_t resolver_pid = 0;
  std::optional<int> resolver_status;
  std::optional<Clock::time_point> first_stop, kill_at, next_tick;

  Fd courier;  // pidfd
  pid_t courier_pid = 0;
  unsigned courier_ends = 0;  // in a row, each soon after its start
  std::optional<Clock::time_point> courier_began, courier_due;

  // broker_courier.cpp
  void start_courier();
  void courier_ended();
  void end_courier();

  // broker.cpp
  void send_event(const BrokerEvent& event);
  void flush_events();
  void ask_stop();
  void add_channel(Fd end);
  void watch_hook(int pidfd);
  void hook_ended(int pidfd);
  void watch_attachment(std::uint64_t token);
  void forget_attachment(std::uint64_t token);
  void tick();
  void signalled(int signal_fd);
  void take_resolver_status();
  void run(pid_t resolver, Loop joined);
  std::optional<Clock::time_point> next_deadline() const;
  void act_on_time();

  // broker_requests.cpp: one message of one channel; false when there was none, or the channel is closed now.
  bool serve_channel(int fd);
  struct Grant {
    std::vector<Fd> fds;
    wire::ReplyHead head;
    std::string text = {};  // at most wire::max_error octets
  };
  Result<Grant> grant(const wire::RequestHead& request, std::string_view text);
  Result<Grant> grant_attach(const wire::RequestHead& request, std::string_view text);
  Result<Grant> grant_policy(const wire::RequestHead& request);
  Result<Grant> grant_list(const wire::RequestHead& request, std::string_view text);
  Result<Grant> grant_hook(const wire::RequestHead& request, std::string_view text);
  Result<Grant> grant_act(const wire::RequestHead& request, std::string_view text);
  Result<Grant> grant_channel();
  Result<Grant> grant_head(std::string_view text);  // broker_seal.cpp
  void open_signer();
  static const char* what_is_wrong_with_head(const wire::RequestHead& request, std::string_view text);
  const char* what_is_wrong(const wire::RequestHead& request, std::string_view text) const;
  void close_channel(int fd);
};

}  // namespace postern

// A shard: wires listeners, pipeline, forwarder and c-ares to one io_context.
#include "resolver/path/shard.h"

#include <spdlog/spdlog.h>
#include <time.h>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <future>

#include "resolver/path/listener.h"

namespace postern {

namespace asio = boost::asio;

namespace {

constexpr std::chrono::milliseconds tick_time{
    100};  // c-ares time-outs and the journal's patience; ten idle wake-ups a second
constexpr std::chrono::seconds stall_told_every{10};  // a slow disk stalls again and again
constexpr int ticks_a_sweep = 10;                     // idle TCP connections: every second

// Suspend must not reorder a story, so the monotonic clock is CLOCK_BOOTTIME.
std::int64_t clock_us(clockid_t clock) {
  timespec now{};
  clock_gettime(clock, &now);
  return static_cast<std::int64_t>(now.tv_sec) * 1'000'000 + now.tv_nsec / 1000;
}

}  // namespace

struct Shard::State {
  asio::io_context io{1};
  asio::executor_work_guard<asio::io_context::executor_type> work{io.get_executor()};
  std::unique_ptr<BrokerClient> broker;
  std::unique_ptr<CaresTransport> transport;
  std::unique_ptr<Random> random = system_random();
  std::unique_ptr<Forwarder> forwarder;
  std::unique_ptr<Pipeline> pipeline;
  std::unique_ptr<DatagramBatch, DatagramBatchFree> batch = make_datagram_batch();
  ListenerCounters counters;
  std::unordered_map<std::string, std::pair<std::shared_ptr<Listener>, SandboxState*>> attached;
  std::unique_ptr<asio::posix::stream_descriptor> upstream_watch;
  std::unique_ptr<asio::steady_timer> timer;
  int ticks = 0;
  Instant now{}, stall_told{};
  bool stall_is_told = false;

  Instant turn() {
    now = Instant(clock_us(CLOCK_BOOTTIME));
    pipeline->set_time(now, clock_us(CLOCK_REALTIME));
    return now;
  }
  void deliver(std::span<Exchange* const> exchanges);
  void watch_upstream();
  void arm_timer();
  void tick();
  void tell_of_stall();

  // Runs on the shard's thread and waits for the result.
  template <class Work>
  auto call(Work work_to_do) -> decltype(work_to_do()) {
    using Value = decltype(work_to_do());
    std::packaged_task<Value()> task(std::move(work_to_do));
    auto result = task.get_future();
    asio::post(io, std::move(task));
    return result.get();
  }
};

void Shard::State::deliver(std::span<Exchange* const> exchanges) {
  // Runs of one sandbox's datagrams go out together; a batch that was read together is usually one run.
  for (std::size_t from = 0; from < exchanges.size();) {
    Exchange& first = *exchanges[from];
    auto* listener = static_cast<Listener*>(first.sandbox->listener);
    if (first.reply.empty() || listener == nullptr) {
      ++from;
      continue;
    }
    if (first.peer.stream) {
      first.peer.stream->reply(first.reply);
      ++from;
      continue;
    }
    std::size_t to = from + 1;
    while (to < exchanges.size() && exchanges[to]->sandbox == first.sandbox && !exchanges[to]->peer.stream &&
           !exchanges[to]->reply.empty())
      ++to;
    listener->send_datagrams(exchanges.subspan(from, to - from));
    from = to;
  }
}

void Shard::State::watch_upstream() {
  upstream_watch->async_wait(asio::posix::descriptor_base::wait_read,
                             [this](const boost::system::error_code& error) {
                               if (error) return;
                               turn();
                               transport->process();
                               pipeline->flush();
                               watch_upstream();
                             });
}

void Shard::State::arm_timer() {
  timer->expires_after(tick_time);
  timer->async_wait([this](const boost::system::error_code& error) {
    if (error) return;
    tick();
    arm_timer();
  });
}

void Shard::State::tick() {
  turn();
  transport->expire(now);
  pipeline->tick();
  pipeline->flush();  // nothing should be left; what is must not wait
  tell_of_stall();
  if (++ticks % ticks_a_sweep == 0)
    for (auto& [name, one] : attached) one.first->tick(now);
}

// The journal's thread cannot: it waits for the disk.
void Shard::State::tell_of_stall() {
  const bool stalled = pipeline->journal_stalled();
  if (stalled == stall_is_told) return;
  if (stalled && stall_told != Instant{} && now - stall_told < stall_told_every) return;
  stall_is_told = stalled;
  if (!stalled) return spdlog::warn("the journal's disk answers again");
  stall_told = now;
  spdlog::error("the journal's disk has not answered for {} s: from now on queries are {}",
                Pipeline::journal_patience.count(),
                pipeline->audit() == Audit::strict ? "answered SERVFAIL" : "answered without a record");
}

Shard::Shard(std::unique_ptr<State> state) : state_(std::move(state)) {}

Result<std::unique_ptr<Shard>> Shard::make(Journal& journal, std::unique_ptr<BrokerClient> broker,
                                           std::vector<Server> servers, std::vector<UpstreamGroup> groups,
                                           std::function<void(const Alert&)> alert, MeterParts parts,
                                           Audit audit) {
  auto state = std::make_unique<State>();
  State& s = *state;
  s.broker = std::move(broker);
  std::vector<std::string> group_names;
  for (const UpstreamGroup& group : groups) group_names.push_back(group.name);
  auto transport = CaresTransport::make(
      std::move(servers), std::move(groups),
      [&s](std::size_t index, bool tcp) { return s.broker->upstream_socket(index, tcp); });
  if (!transport) return tl::unexpected(transport.error());
  s.transport = std::move(*transport);
  s.forwarder = std::make_unique<Forwarder>(*s.transport, *s.random);
  std::uint64_t seed = 0;
  s.random->fill({reinterpret_cast<std::uint8_t*>(&seed), sizeof seed});
  s.pipeline = std::make_unique<Pipeline>(
      Pipeline::Ports{*s.forwarder, journal,
                      [&s](std::function<void()> work) {
                        asio::post(s.io, [&s, work = std::move(work)] {
                          s.turn();
                          work();
                        });
                      },
                      [&s](std::span<Exchange* const> exchanges) { s.deliver(exchanges); }, std::move(alert),
                      std::move(group_names), seed, std::move(parts),
                      [&s](const SandboxState& box, Response wanted, const std::string& why) {
                        const bool freeze = wanted == Response::freeze;
                        return s.broker->act(box.token, freeze ? TreeAction::freeze : TreeAction::kill, why);
                      }});
  s.pipeline->set_audit(audit);
  s.upstream_watch = std::make_unique<asio::posix::stream_descriptor>(s.io, s.transport->poll_descriptor());
  s.timer = std::make_unique<asio::steady_timer>(s.io);
  s.turn();
  s.watch_upstream();
  s.arm_timer();
  return std::unique_ptr<Shard>(new Shard(std::move(state)));
}

Shard::~Shard() {
  if (!state_) return;
  for (auto& [name, one] : state_->attached) one.first->close();
  state_->attached.clear();
  state_->upstream_watch->release();  // the transport closes it
}

void Shard::run() {
  state_->io.run();
}

void Shard::stop() {
  state_->io.stop();
}

void Shard::attach(Sandbox who, SandboxId row, std::shared_ptr<const Policy> policy, bool own_policy,
                   Listeners listeners, const SessionPast& past, std::shared_ptr<const SecretSet> secrets,
                   std::uint64_t token) {
  auto sockets = std::make_shared<Listeners>(std::move(listeners));
  state_->call([&] {
    State& s = *state_;
    s.turn();
    const std::string name = who.name;
    SandboxState& sandbox =
        s.pipeline->attach(std::move(who), row, std::move(policy), own_policy, past, std::move(secrets));
    sandbox.token = token;
    auto listener = std::make_shared<Listener>(s.io, *s.pipeline, sandbox, std::move(*sockets), *s.batch,
                                               s.counters, [&s] { return s.turn(); });
    sandbox.listener = listener.get();
    listener->start();
    s.attached[name] = {std::move(listener), &sandbox};
  });
}

namespace {

SandboxReport report_of(const SandboxState& sandbox) {
  SandboxReport report;
  report.who = sandbox.who;
  report.counters = sandbox.counters;
  report.in_flight = sandbox.exchanges;
  report.cache_entries = sandbox.cache.size();
  report.cache_octets = sandbox.cache.octets();
  report.blocked_zones = sandbox.session->blocked_zones.size();
  report.quarantined = sandbox.session->quarantined;
  report.quarantine = sandbox.session->quarantine;
  report.acted = sandbox.acted;
  report.leak_bits = static_cast<double>(sandbox.session->meter.session().used()) / 1000;
  report.leak_budget_bits = static_cast<double>(sandbox.session->meter.session().limit()) / 1000;
  return report;
}

}  // namespace

std::optional<std::pair<SandboxReport, SandboxId>> Shard::detach(const std::string& name) {
  return state_->call([&]() -> std::optional<std::pair<SandboxReport, SandboxId>> {
    State& s = *state_;
    const auto at = s.attached.find(name);
    if (at == s.attached.end()) return std::nullopt;
    s.turn();
    auto [listener, sandbox] = at->second;
    s.attached.erase(at);
    std::pair<SandboxReport, SandboxId> result{report_of(*sandbox), sandbox->row};
    listener->close();
    s.pipeline->detach(*sandbox);
    return result;
  });
}

void Shard::set_policies(std::shared_ptr<const PolicySet> policies,
                         const Pipeline::OverlaidPolicies& overlaid) {
  state_->call([&] { state_->pipeline->set_policies(*policies, overlaid); });
}

bool Shard::remembers(const Sandbox& who) {
  return state_->call([&] { return state_->pipeline->remembers(who); });
}

std::shared_ptr<const SecretSet> Shard::secrets_of(const Sandbox& who) {
  return state_->call([&] { return state_->pipeline->secrets_of(who); });
}

Result<void> Shard::grant(const LeakGrant& grant) {
  return state_->call([&] { return state_->pipeline->grant(grant); });
}

Result<void> Shard::may_grant(const LeakGrant& grant) {
  return state_->call([&] { return state_->pipeline->may_grant(grant); });
}

bool Shard::lift_quarantine(const std::string& name) {
  return state_->call([&] {
    const auto at = state_->attached.find(name);
    if (at == state_->attached.end()) return false;
    state_->pipeline->lift_quarantine(*at->second.second);
    return true;
  });
}

bool Shard::is_frozen(const std::string& name) {
  return state_->call([&] {
    const auto at = state_->attached.find(name);
    return at != state_->attached.end() && at->second.second->acted.starts_with("frozen");
  });
}

std::vector<Pipeline::SessionLeak> Shard::leaks() {
  return state_->call([&] { return state_->pipeline->leaks(); });
}

void Shard::set_servers(std::vector<Server> servers) {
  state_->call([&] {
    state_->transport->set_servers(std::move(servers));
    state_->forwarder->servers_changed();
  });
}

ShardReport Shard::report() {
  return state_->call([&] {
    ShardReport report;
    for (const auto& sandbox : state_->pipeline->sandboxes())
      if (!sandbox->closed) report.sandboxes.push_back(report_of(*sandbox));
    report.pipeline = state_->pipeline->counters();
    report.forwarder = state_->forwarder->counters();
    report.listener = state_->counters;
    report.journal_stalled = state_->pipeline->journal_stalled();
    return report;
  });
}

}  // namespace postern

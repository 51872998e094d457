// The broker: its loop, its events to the resolver, signals, and how it ends.
#include "resolver/sandbox/broker.h"

#include <poll.h>
#include <signal.h>
#include <spdlog/spdlog.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "resolver/sandbox/broker_state.h"

namespace postern {

std::vector<std::string> Broker::State::programs_of(const BrokerOptions& options) {
  std::vector<std::string> programs = options.hooks;
  if (!options.seal.exec.empty()) programs.push_back(options.seal.exec);
  return programs;
}

Broker::State::State(BrokerOptions given)
    : options(std::move(given)),
      servers(options.servers),
      hooks(programs_of(options)),
      buffer(sizeof(wire::RequestHead) + wire::max_text) {
  if (servers.empty() && !options.resolv_conf.empty()) servers = ServersWatch::read(options.resolv_conf);
  if (servers.size() > wire::max_servers) servers.resize(wire::max_servers);
}

Broker::Broker(BrokerOptions options) : state_(std::make_unique<State>(std::move(options))) {}
Broker::~Broker() = default;
void Broker::serve(pid_t resolver, Loop loop) {
  state_->run(resolver, std::move(loop));
}
void Broker::ask_stop() {
  state_->ask_stop();
}
const std::string& Broker::last_report() const {
  return state_->report;
}
std::optional<int> Broker::resolver_status() const {
  return state_->resolver_status;
}

Result<Broker::Ends> Broker::make_channels() {
  Ends ends;
  for (const bool for_events : {false, true}) {
    std::array<int, 2> pair{};
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair.data()) != 0) {
      return failure(std::string("cannot make the broker's channels: ") + std::strerror(errno));
    }
    if (for_events) {
      state_->events = Fd(pair[0]);
      ends.events = Fd(pair[1]);
    } else {
      state_->channels.emplace(pair[0], Fd(pair[0]));
      ends.requests = Fd(pair[1]);
    }
  }
  return ends;
}

void Broker::State::send_event(const BrokerEvent& event) {
  if (!events) return;
  if (event.kind == BrokerEvent::Kind::reload || event.kind == BrokerEvent::Kind::servers_changed) {
    // One that waits already says the same, or something that is out of date.
    const auto same = [&](const wire::Event& e) { return e.kind == static_cast<std::uint32_t>(event.kind); };
    pending.erase(std::remove_if(pending.begin(), pending.end(), same), pending.end());
  }
  if (pending.size() >= most_events) {
    if (dropped_events++ == 0)
      spdlog::error("the resolver process does not read its events: they are dropped");
    return;
  }
  pending.push_back(wire::to_wire(event));
  flush_events();
}

void Broker::State::flush_events() {
  while (!pending.empty()) {
    const int number =
        wire::send_message(events.get(), std::as_bytes(std::span(&pending.front(), 1)), {}, {});
    if (number == EAGAIN) {
      if (loop && !loop->watches(events.get())) {
        loop->add(
            events.get(), [this] { flush_events(); }, BrokerLoop::Want::write);
      }
      return;
    }
    if (number != 0) pending.clear();  // the other end is gone
    if (!pending.empty()) pending.pop_front();
  }
  if (loop) loop->remove(events.get());
}

void Broker::State::ask_stop() {
  const auto now = Clock::now();
  if (!first_stop) {
    first_stop = now;
    kill_at = now + stop_limit;
    send_event({BrokerEvent::Kind::stop, 0, {}, 0});
  } else if (kill_at) {
    kill_at = std::min(*kill_at, *first_stop + impatient_stop_limit);
  }
}

void Broker::State::add_channel(Fd end) {
  const int fd = end.get();
  channels.emplace(fd, std::move(end));
  POSTERN_CHECK(loop->add(fd, [this, fd] { serve_channel(fd); }));
}

void Broker::State::watch_hook(int pidfd) {
  POSTERN_CHECK(loop->add(pidfd, [this, pidfd] { hook_ended(pidfd); }));
}

void Broker::State::hook_ended(int pidfd) {
  loop->remove(pidfd);  // before it is closed
  const std::optional<HookRunner::Ended> ended = hooks.ended(pidfd, Clock::now());
  if (!ended) return watch_hook(pidfd);
  const auto tell = [&](std::uint64_t token, int status) {
    if (token != seal_hook_token) return send_event({BrokerEvent::Kind::hook_exited, token, {}, status});
    if (status != 0)
      spdlog::error("\"{}\" did not take a signed head: wait status {}", options.seal.exec, status);
  };
  tell(ended->token, ended->status);
  for (const std::uint64_t token : ended->not_started) tell(token, -1);
  if (ended->next) watch_hook(ended->next->pidfd);
}

void Broker::State::watch_attachment(std::uint64_t token) {
  const int pidfd = netns.pidfd(token);
  POSTERN_CHECK(pidfd >= 0 && loop->add(pidfd, [this, token, pidfd] {
    loop->remove(pidfd);
    netns.process_ended(token);
  }));
}

void Broker::State::forget_attachment(std::uint64_t token) {
  if (const int pidfd = netns.pidfd(token); pidfd >= 0) loop->remove(pidfd);  // before it is closed
  netns.remove(token);
}

void Broker::State::tick() {
  const auto now = Clock::now();
  if (servers_watch) servers_watch->tick(now);
  NetnsWatch::Changes changes = netns.tick();
  for (const std::uint64_t token : changes.held) watch_attachment(token);
  for (const std::uint64_t token : changes.gone)
    send_event({BrokerEvent::Kind::namespace_gone, token, {}, 0});
}

void Broker::State::signalled(int signal_fd) {
  signalfd_siginfo info{};
  while (read(signal_fd, &info, sizeof info) == static_cast<ssize_t>(sizeof info)) {
    if (info.ssi_signo == SIGHUP) {
      send_event({BrokerEvent::Kind::reload, 0, {}, 0});
    } else {
      ask_stop();
    }
  }
}

void Broker::State::take_resolver_status() {
  int status = 0;
  const pid_t pid = waitpid(resolver_pid, &status, WNOHANG);  // this child and no other: `run` has one more
  if (pid == 0) return;
  loop->remove(resolver.get());
  resolver.reset();
  kill_at.reset();
  if (pid < 0) {
    spdlog::error("the resolver process is gone; its exit status is not to be had: {}", std::strerror(errno));
    return;
  }
  resolver_status = status;
  if (WIFSIGNALED(status)) {
    spdlog::error("the resolver process was ended by signal {} ({})", WTERMSIG(status),
                  strsignal(WTERMSIG(status)));
  } else if (WEXITSTATUS(status) != 0) {
    spdlog::error("the resolver process ended with exit status {}", WEXITSTATUS(status));
  } else {
    spdlog::debug("the resolver process has ended");
  }
}

std::optional<Broker::State::Clock::time_point> Broker::State::next_deadline() const {
  std::optional<Clock::time_point> next;
  const auto sooner = [&](std::optional<Clock::time_point> at) {
    if (at && (!next || *at < *next)) next = at;
  };
  sooner(hooks.next_deadline());
  sooner(kill_at);
  sooner(courier_due);
  if (servers_watch) sooner(servers_watch->due());
  if (servers_watch || netns.needs_tick()) sooner(next_tick);
  return next;
}

void Broker::State::act_on_time() {
  const auto now = Clock::now();
  hooks.enforce(now);
  if (courier_due && *courier_due <= now) start_courier();
  if (kill_at && *kill_at <= now && resolver) {
    spdlog::error("the resolver process does not stop: it is killed");
    syscall(SYS_pidfd_send_signal, resolver.get(), SIGKILL, nullptr, 0);
    kill_at.reset();
  }
  if (servers_watch) {
    if (std::optional<std::vector<Server>> changed = servers_watch->reread(now)) {
      servers = std::move(*changed);
      spdlog::info("\"{}\" names other servers now: the first of {} is {}", options.resolv_conf,
                   servers.size(), servers.front().text());
      send_event({BrokerEvent::Kind::servers_changed, 0, servers, 0});
    }
  }
  if (next_tick && *next_tick <= now) {
    next_tick = now + NetnsWatch::tick_every;
    tick();
  }
}

void Broker::State::run(pid_t resolver_process, Loop joined) {
  loop.emplace();
  // Hooks and the resolver are waited for by name; with SIGCHLD ignored the kernel would throw their status
  // away.
  struct sigaction child {};
  if (sigaction(SIGCHLD, nullptr, &child) == 0 && child.sa_handler == SIG_IGN) signal(SIGCHLD, SIG_DFL);
  sigset_t handled, before;
  sigemptyset(&handled);
  Fd signals;
  if (joined.handle_signals) {
    for (const int number : {SIGHUP, SIGTERM, SIGINT}) sigaddset(&handled, number);
    sigprocmask(SIG_BLOCK, &handled, &before);
    signals = Fd(signalfd(-1, &handled, SFD_NONBLOCK | SFD_CLOEXEC));
    POSTERN_CHECK(signals && loop->add(signals.get(), [this, fd = signals.get()] { signalled(fd); }));
  }
  open_signer();
  if (Result<Netns> own = current_netns()) {
    home = std::move(*own);
  } else {
    spdlog::warn("{}: no namespace can be attached", own.error().message);
  }
  if (resolver_process > 0) {
    resolver_pid = resolver_process;
    resolver = Fd(static_cast<int>(syscall(SYS_pidfd_open, resolver_process, 0)));
    // Not ours to reap, or no pidfds: then there is nothing to supervise, and the caller is wrong.
    POSTERN_CHECK(resolver && loop->add(resolver.get(), [this] { take_resolver_status(); }));
  }
  for (const auto& [fd, end] : channels)
    POSTERN_CHECK(loop->add(fd, [this, number = fd] { serve_channel(number); }));
  if (!options.resolv_conf.empty()) {
    servers_watch.emplace(options.resolv_conf, servers);
    if (servers_watch->fd() >= 0) {
      POSTERN_CHECK(loop->add(servers_watch->fd(), [this] { servers_watch->noticed(Clock::now()); }));
    }
  }
  for (std::size_t i = 0; i < joined.extra.size(); ++i) {
    const int fd = joined.extra[i];
    POSTERN_CHECK(loop->add(fd, [this, &joined, fd, i] {
      if (!joined.on_extra(i)) loop->remove(fd);
    }));
  }
  start_courier();
  flush_events();  // a stop that was asked for before
  next_tick = Clock::now() + NetnsWatch::tick_every;

  const auto resolver_is_there = [&] {
    return resolver_process > 0 ? static_cast<bool>(resolver) : !channels.empty();
  };
  while (resolver_is_there()) {
    loop->run_once(next_deadline());
    act_on_time();
  }
  // What it sent before it ended still counts: its summary, and an alert.
  while (!channels.empty()) {
    const int fd = channels.begin()->first;
    while (serve_channel(fd)) {
    }
    close_channel(fd);
  }
  pending.clear();
  const auto last_moment = Clock::now() + hooks_outlive;
  while (!hooks.idle() && Clock::now() < last_moment) {
    loop->run_once(std::min(last_moment, next_deadline().value_or(last_moment)));
    act_on_time();
  }
  if (!hooks.idle()) spdlog::error("alert programs were not done when Postern ended: they are killed");
  hooks.kill_all();
  end_courier();
  events.reset();
  servers_watch.reset();
  loop.reset();
  if (joined.handle_signals) sigprocmask(SIG_SETMASK, &before, nullptr);
}

}  // namespace postern

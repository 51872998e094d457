// SandboxedCommand: the supervisor's side of a sandbox.
#include "resolver/sandbox/run.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <poll.h>
#include <sched.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <csignal>
#include <cstring>

#include "resolver/sandbox/command_files.h"
#include "resolver/sandbox/command_init.h"
#include "resolver/sandbox/command_lookup.h"
#include "resolver/sandbox/command_message.h"
#include "resolver/sandbox/idmap.h"
#include "resolver/sandbox/process_tree.h"

namespace postern {
namespace {

// Making a sandbox takes some milliseconds; a dead network file system below one of the mounts can hold it up
// for ever.
constexpr int setup_limit_ms = 30'000;

// Which system setting, if any, forbids user namespaces: the message names what to change.
std::string explain_refusal(int error) {
  std::string why = std::strerror(error);
  const auto zero = [](const std::string& value) { return value == "0"; };
  if (zero(sysctl_value("/proc/sys/user/max_user_namespaces"))) {
    return why + ": the host allows none (sysctl user.max_user_namespaces is 0)";
  }
  if (error == ENOSPC || error == EUSERS) {
    return why +
           ": too many namespaces exist, or are nested (sysctls user.max_user_namespaces, "
           "user.max_net_namespaces and their kin)";
  }
  if (error == EPERM && zero(sysctl_value("/proc/sys/kernel/unprivileged_userns_clone")) && geteuid() != 0) {
    return why +
           ": the host reserves user namespaces for root (sysctl kernel.unprivileged_userns_clone is 0)";
  }
  if (error == EPERM) {
    why +=
        ": not allowed here: in a chroot, or by a container's system call filter (Docker: --security-opt "
        "seccomp=unconfined)";
  }
  return why;
}

// Ubuntu 23.10 and later let the namespace be made but take its capabilities away.
std::string explain_apparmor(const std::string& message) {
  if (geteuid() == 0 || sysctl_value("/proc/sys/kernel/apparmor_restrict_unprivileged_userns") != "1")
    return message;
  return message +
         " (AppArmor restricts user namespaces here: sysctl kernel.apparmor_restrict_unprivileged_userns is "
         "1; it needs"
         " a profile for postern, or 0)";
}

std::string working_folder() {
  char path[PATH_MAX];
  return getcwd(path, sizeof path) != nullptr && path[0] == '/' ? path : std::string();
}

// A closed standard descriptor would be the next socket's number, and the command would inherit it as its
// stdin.
void open_standard_descriptors() {
  for (int fd = 0; fd <= STDERR_FILENO; ++fd) {
    if (fcntl(fd, F_GETFD) >= 0 || errno != EBADF) continue;
    [[maybe_unused]] const int null = open("/dev/null", O_RDWR);  // takes the lowest free number: fd
  }
}

// Scripts write to /dev/stderr, which opens the pipe anew, and a pipe's mode is 0600 for its maker: the
// command is somebody else. Opening it up gives nothing away: its only path leads through /proc/PID/fd of a
// process that already holds it. (A terminal or a file of the caller's stays as it is; there /dev/stderr is
// refused, as it is under su.)
void open_up_pipes() {
  for (int fd = 0; fd <= STDERR_FILENO; ++fd) {
    struct statfs kind {};
    if (fstatfs(fd, &kind) == 0 && kind.f_type == PIPEFS_MAGIC) fchmod(fd, 0666);
  }
}

sigset_t passed_signals() {
  sigset_t set;
  sigemptyset(&set);
  for (const int number : {SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGCONT})
    sigaddset(&set, number);
  return set;
}

}  // namespace

struct SandboxedCommand::State {
  IdPlan plan;
  std::string program;
  Listeners listeners;
  Fd socket;         // to the init
  Fd init, command;  // pidfds
  Fd signals, terminal;
  pid_t init_pid = -1;
  sigset_t mask_before{};
  bool released = false;
  bool had_terminal = false;
  bool maps_refused = false;
  bool frozen = false;
  std::optional<CommandGroup> group;  // where there is cgroup v2, and for us
  int status = -1;                    // as a shell gives it, once ended

  Result<void> start(InitOrders orders);
  void reap();
  void restore();
  ~State();
};

SandboxedCommand::State::~State() {
  if (init && status < 0) {
    syscall(SYS_pidfd_send_signal, init.get(), SIGKILL, nullptr, 0);
    reap();
  }
  restore();
}

// Blocks until the init is gone. __WALL: it was cloned without an exit signal, so that nobody's SIGCHLD
// handling, nor a waitpid(-1) elsewhere in this process, sees it.
void SandboxedCommand::State::reap() {
  siginfo_t info{};
  while (waitid(P_PIDFD, static_cast<id_t>(init.get()), &info, WEXITED | __WALL) != 0) {
    if (errno == EINTR) continue;
    POSTERN_CHECK(errno == ECHILD);  // a descriptor of ours, a child of ours
    status = 255;
    return;
  }
  status = info.si_code == CLD_EXITED ? info.si_status : 128 + info.si_status;
}

void SandboxedCommand::State::restore() {
  if (!signals) return;
  signals.reset();
  if (had_terminal && terminal) {
    // An interactive shell makes itself the foreground group and dies so; from the background, tcsetpgrp asks
    // for SIGTTOU.
    sigset_t output, before;
    sigemptyset(&output);
    sigaddset(&output, SIGTTOU);
    sigprocmask(SIG_BLOCK, &output, &before);
    if (tcgetpgrp(terminal.get()) != getpgrp()) tcsetpgrp(terminal.get(), getpgrp());
    sigprocmask(SIG_SETMASK, &before, nullptr);
  }
  sigprocmask(SIG_SETMASK, &mask_before, nullptr);
}

Result<void> SandboxedCommand::State::start(InitOrders orders) {
  Fd theirs;
  if (Result<void> pair = make_pair(socket, theirs); !pair) return pair;
  orders.exec.environment = command_environment(environ, plan);

  constexpr unsigned long spaces =
      CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS;
  int pidfd = -1;
  // The old call, not clone3, which containers' filters refuse as a whole. No stack: the child goes on with a
  // copy of ours, as after fork; no exit signal: see reap.
  const long pid = syscall(SYS_clone, spaces | CLONE_PIDFD, nullptr, &pidfd, nullptr, nullptr);
  if (pid == 0) run_init(orders, plan, theirs.get());
  if (pid < 0) return failure("cannot create the sandbox's namespaces: " + explain_refusal(errno));
  init = Fd(pidfd);
  init_pid = static_cast<pid_t>(pid);
  theirs.reset();
  group = CommandGroup::make(init_pid);  // before it has children

  if (Result<Message> hello = receive_message(socket.get(), Step::hello, setup_limit_ms); !hello)
    return tl::unexpected(hello.error());
  if (Result<void> mapped = write_maps(plan, init_pid); !mapped) {
    maps_refused = true;
    return mapped;
  }
  if (Result<void> sent = send_message(socket.get(), Step::mapped); !sent) return sent;
  Result<Message> listening = receive_message(socket.get(), Step::listening, setup_limit_ms);
  if (!listening) return failure(explain_apparmor(listening.error().message));
  Result<Message> ready = receive_message(socket.get(), Step::ready, setup_limit_ms);
  if (!ready) return failure(explain_apparmor(ready.error().message));
  ReadyText text;
  if (listening->fds.size() != 2 || ready->fds.size() != 1 || ready->text.size() < sizeof text)
    return failure("cannot set the sandbox up: its init sent garbage");
  std::memcpy(&text, ready->text.data(), sizeof text);
  program = ready->text.substr(sizeof text);
  listeners.udp = std::move(listening->fds[0]);
  listeners.tcp = std::move(listening->fds[1]);
  command = std::move(ready->fds[0]);
  listeners.ipv6 = text.ipv6;
  listeners.netns_dev = text.netns_dev;
  listeners.netns_ino = text.netns_ino;
  return {};
}

SandboxedCommand::SandboxedCommand() : state_(std::make_unique<State>()) {}
SandboxedCommand::~SandboxedCommand() = default;

Result<std::unique_ptr<SandboxedCommand>> SandboxedCommand::prepare(const CommandSpec& spec) {
  if (spec.argv.empty() || spec.argv[0].empty()) return failure("cannot run a command: none is given");
  open_standard_descriptors();
  open_up_pipes();
  InitOrders orders;
  orders.exec.argv = spec.argv;
  orders.exec.folder = working_folder();
  orders.exec.quiet = spec.quiet;
  orders.hide = spec.hide;
  orders.listen_port = spec.listen_port;
  const char* path = std::getenv("PATH");
  orders.exec.program_of_caller =
      find_program(spec.argv[0], path != nullptr ? path : default_search_path).path;

  Result<IdPlan> plan = plan_ids();
  if (!plan) return tl::unexpected(plan.error());
  std::unique_ptr<SandboxedCommand> sandbox(new SandboxedCommand());
  sandbox->state_->plan = std::move(*plan);
  Result<void> started = sandbox->state_->start(orders);
  if (!started && sandbox->state_->maps_refused && sandbox->state_->plan.way == IdPlan::Way::helpers) {
    // newuidmap may be missing, or without its rights: run all the same, and say what that costs. A
    // half-written map cannot be corrected, hence a new namespace.
    Result<IdPlan> single = plan_single(started.error().message);
    if (!single) return tl::unexpected(single.error());
    sandbox->state_ = std::make_unique<State>();
    sandbox->state_->plan = std::move(*single);
    started = sandbox->state_->start(orders);
  }
  if (!started) return tl::unexpected(started.error());
  return sandbox;
}

Listeners SandboxedCommand::take_listeners() {
  return std::move(state_->listeners);
}
bool SandboxedCommand::record_protected() const {
  return state_->plan.record_protected;
}
const std::string& SandboxedCommand::protection() const {
  return state_->plan.why;
}
uid_t SandboxedCommand::command_uid() const {
  return state_->plan.command_uid;
}
const std::string& SandboxedCommand::program() const {
  return state_->program;
}
pid_t SandboxedCommand::init_pid() const {
  return state_->init_pid;
}
int SandboxedCommand::pidfd() const {
  return state_->init.get();
}
int SandboxedCommand::signal_fd() const {
  return state_->signals.get();
}

Result<void> SandboxedCommand::release() {
  POSTERN_CHECK(!state_->released);
  const sigset_t passed = passed_signals();
  sigprocmask(SIG_BLOCK, &passed, &state_->mask_before);  // first: a signal from now on is the command's
  state_->signals = Fd(signalfd(-1, &passed, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!state_->signals) {
    const int error = errno;
    sigprocmask(SIG_SETMASK, &state_->mask_before, nullptr);
    return failure(std::string("cannot release the command: cannot watch signals: ") + std::strerror(error));
  }
  state_->terminal = Fd(open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY));
  state_->had_terminal = state_->terminal && tcgetpgrp(state_->terminal.get()) == getpgrp();
  if (Result<void> sent = send_message(state_->socket.get(), Step::go); !sent) {
    return failure("cannot release the command: its sandbox has ended: " + sent.error().message);
  }
  state_->released = true;
  return {};
}

void SandboxedCommand::pass_signals() {
  signalfd_siginfo seen;
  while (state_->signals && read(state_->signals.get(), &seen, sizeof seen) == sizeof seen) {
    const auto number = static_cast<int>(seen.ssi_signo);
    if (number == SIGCONT) {
      if (state_->frozen) [[maybe_unused]]
        const auto thawed = act(TreeAction::thaw);
      continue;  // a shell's `fg` sends it too, to the command as well
    }
    if (state_->frozen && number != SIGUSR1 && number != SIGUSR2) {
      [[maybe_unused]] const auto killed = act(TreeAction::kill);
      continue;
    }
    // SI_KERNEL: the terminal's own, sent to the whole foreground group.
    if (seen.ssi_code != SI_KERNEL) signal(number);
  }
}

void SandboxedCommand::signal(int number) {
  // ESRCH: it has just ended.
  if (state_->command) syscall(SYS_pidfd_send_signal, state_->command.get(), number, nullptr, 0);
}

Result<void> SandboxedCommand::act(TreeAction action) {
  Result<void> done = act_on_tree(state_->init.get(), action);
  if (done) state_->frozen = action == TreeAction::freeze;
  return done;
}
bool SandboxedCommand::is_frozen() const {
  return state_->frozen;
}

int SandboxedCommand::wait() {
  POSTERN_CHECK(state_->released);
  while (state_->status < 0) {
    pollfd waiting[2] = {{state_->init.get(), POLLIN, 0}, {state_->signals.get(), POLLIN, 0}};
    if (poll(waiting, 2, -1) < 0) continue;
    if (waiting[1].revents != 0) pass_signals();
    if (waiting[0].revents != 0) state_->reap();
  }
  state_->restore();
  return state_->status;
}

}  // namespace postern

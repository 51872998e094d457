// The broker's third process, the courier: started, watched, started again.
#include <signal.h>
#include <spdlog/spdlog.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "resolver/sandbox/broker_state.h"

namespace postern {
namespace {

// In the child: as the process was before anybody handled signals, and without a descriptor of the broker's.
void become_courier_process(pid_t broker, int channel) {
  struct sigaction normal {};
  normal.sa_handler = SIG_DFL;
  for (int number = 1; number < NSIG; ++number) sigaction(number, &normal, nullptr);
  for (const int number : {SIGINT, SIGQUIT, SIGHUP, SIGPIPE, SIGTSTP}) signal(number, SIG_IGN);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  setsid();
  prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);  // until it changes its user; then the channel's end tells it
  if (getppid() != broker) _exit(1);
  constexpr int kept = STDERR_FILENO + 1;
  if (channel != kept && dup2(channel, kept) < 0) _exit(1);
  syscall(SYS_close_range, kept + 1, ~0U, 0);
}

}  // namespace

void Broker::State::start_courier() {
  courier_due.reset();
  if (!options.courier || !options.courier_channel || courier || first_stop) return;
  const pid_t broker = getpid(), pid = fork();
  if (pid == 0) {
    become_courier_process(broker, options.courier_channel->get());
    const int status = options.courier(Fd(STDERR_FILENO + 1));
    spdlog::default_logger()->flush();
    _exit(status);  // not exit(): what the broker has registered is the broker's
  }
  if (pid > 0) courier = Fd(static_cast<int>(syscall(SYS_pidfd_open, pid, 0)));
  if (!courier) {
    spdlog::error("cannot start the courier: {}", std::strerror(errno));
    if (pid > 0) {
      kill(pid, SIGKILL);
      waitpid(pid, nullptr, 0);
    }
    courier_due = Clock::now() + longest_courier_pause;
    return;
  }
  courier_pid = pid;
  courier_began = Clock::now();
  POSTERN_CHECK(loop->add(courier.get(), [this] { courier_ended(); }));
}

void Broker::State::courier_ended() {
  int status = 0;
  if (waitpid(courier_pid, &status, WNOHANG) == 0) return;
  loop->remove(courier.get());
  courier.reset();
  const auto now = Clock::now();
  if (first_stop) return;
  if (now - *courier_began >= longest_courier_pause) courier_ends = 0;
  constexpr unsigned most_doublings = 6;
  const auto pause =
      std::min(courier_pause * (1U << std::min(courier_ends, most_doublings)), longest_courier_pause);
  ++courier_ends;
  courier_due = now + pause;
  if (WIFSIGNALED(status)) {
    spdlog::error("the courier was ended by signal {} ({}); it is started again in {} s", WTERMSIG(status),
                  strsignal(WTERMSIG(status)), pause.count());
  } else if (WEXITSTATUS(status) != 0) {
    spdlog::error("the courier ended with exit status {}; it is started again in {} s", WEXITSTATUS(status),
                  pause.count());
  } else {
    spdlog::info("the courier asks to be started again, with a fresh resolv.conf");
  }
}

// Last of all: what it was doing is in the outbox.
void Broker::State::end_courier() {
  courier_due.reset();
  if (!courier) return;
  loop->remove(courier.get());
  syscall(SYS_pidfd_send_signal, courier.get(), SIGKILL, nullptr, 0);
  waitpid(courier_pid, nullptr, 0);
  courier.reset();
}

}  // namespace postern

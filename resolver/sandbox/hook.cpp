// Hooks: starting, limiting and reaping the operator's alert programs.
#include "resolver/sandbox/hook.h"

#include <fcntl.h>
#include <signal.h>
#include <spdlog/spdlog.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace postern {
namespace {

constexpr const char* default_path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
constexpr int exit_cannot_execute = 127;  // as a shell says it

std::vector<std::string> cleaned_environment() {
  std::vector<std::string> kept;
  bool has_path = false, has_lang = false;
  for (char** at = environ; at != nullptr && *at != nullptr; ++at) {
    const std::string_view variable = *at;
    const bool path = variable.starts_with("PATH="), lang = variable.starts_with("LANG=");
    has_path = has_path || path;
    has_lang = has_lang || lang;
    if (path || lang || variable.starts_with("POSTERN_")) kept.emplace_back(variable);
  }
  if (!has_path) kept.emplace_back(default_path);
  if (!has_lang) kept.emplace_back("LANG=C.UTF-8");
  return kept;
}

// The JSON as a file in memory: a hook that does not read cannot block us, as a pipe would.
Result<Fd> as_file(const std::string& json) {
  const auto bad = [] { return failure(std::string("cannot hand over the alert: ") + std::strerror(errno)); };
  Fd file(memfd_create("postern-alert", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!file) return bad();
  std::size_t written = 0;
  while (written < json.size()) {
    const ssize_t octets = write(file.get(), json.data() + written, json.size() - written);
    if (octets < 0 && errno == EINTR) continue;
    if (octets < 0) return bad();
    written += static_cast<std::size_t>(octets);
  }
  if (lseek(file.get(), 0, SEEK_SET) != 0) return bad();
  if (fcntl(file.get(), F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL) != 0)
    return bad();
  return file;
}

// After fork: only what is safe between fork and exec.
[[noreturn]] void become(const char* program, char* const* argv, char* const* environment, int input) {
  struct sigaction normal {};
  normal.sa_handler = SIG_DFL;
  for (int number = 1; number < NSIG; ++number)
    sigaction(number, &normal, nullptr);  // fails for SIGKILL, SIGSTOP
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  setsid();
  bool fine = chdir("/") == 0;
  fine = fine && dup2(input, STDIN_FILENO) >= 0 && dup2(STDERR_FILENO, STDOUT_FILENO) >= 0;
  fine = fine && syscall(SYS_close_range, STDERR_FILENO + 1, ~0U, 0) == 0;
  if (fine) execve(program, argv, environment);
  _exit(exit_cannot_execute);
}

}  // namespace

HookRunner::HookRunner(std::vector<std::string> programs, Clock::duration limit)
    : programs_(std::move(programs)), limit_(limit) {}

HookRunner::~HookRunner() {
  kill_all();
  for (Running& hook : running_) {
    siginfo_t ignored{};
    waitid(P_PIDFD, static_cast<id_t>(hook.pidfd.get()), &ignored, WEXITED);  // it was sent SIGKILL
  }
}

Result<std::optional<HookRunner::Started>> HookRunner::start(std::size_t program, std::string json,
                                                             Clock::time_point now, std::uint64_t token) {
  POSTERN_CHECK(program < programs_.size());
  if (running_.size() < most_running) {
    Result<Started> started = launch({program, std::move(json), token}, now);
    if (!started) return tl::unexpected(started.error());
    return std::optional<Started>(*started);
  }
  if (waiting_.size() >= most_waiting) {
    return failure("cannot start alert program \"" + programs_[program] +
                   "\": " + std::to_string(most_running) + " run and " + std::to_string(most_waiting) +
                   " wait already");
  }
  waiting_.push_back({program, std::move(json), token});
  return std::optional<Started>();
}

Result<HookRunner::Started> HookRunner::launch(const Waiting& hook, Clock::time_point now) {
  const std::string& path = programs_[hook.program];
  const auto bad = [&](const std::string& why) {
    return failure("cannot start alert program \"" + path + "\": " + why);
  };
  Result<Fd> input = as_file(hook.json);
  if (!input) return bad(input.error().message);
  std::vector<std::string> variables = cleaned_environment();
  std::vector<char*> environment, argv{const_cast<char*>(path.c_str()), nullptr};
  for (std::string& variable : variables) environment.push_back(variable.data());
  environment.push_back(nullptr);
  const pid_t pid = fork();
  if (pid < 0) return bad(std::strerror(errno));
  if (pid == 0) become(path.c_str(), argv.data(), environment.data(), input->get());
  // Not reaped before we say so, hence the number is still this child's.
  Fd pidfd(static_cast<int>(syscall(SYS_pidfd_open, pid, 0)));
  if (!pidfd) {
    const int number = errno;
    kill(pid, SIGKILL);
    waitpid(pid, nullptr, 0);
    return bad(std::strerror(number));
  }
  running_.push_back({hook.program, pid, std::move(pidfd), now + limit_, false, hook.token});
  return Started{running_.back().pidfd.get()};
}

std::optional<HookRunner::Ended> HookRunner::ended(int pidfd, Clock::time_point now) {
  const auto hook = std::find_if(running_.begin(), running_.end(),
                                 [&](const Running& r) { return r.pidfd.get() == pidfd; });
  if (hook == running_.end()) return std::nullopt;
  int status = 0;
  const pid_t pid =
      waitpid(hook->pid, &status, WNOHANG);  // this child and no other: the broker has more of them
  if (pid == 0) return std::nullopt;
  if (pid < 0) status = 0xff00;  // cannot be: nobody else reaps our children
  Ended result{hook->program, status, pidfd, std::nullopt, hook->token, {}};
  if (hook->killed) {
    spdlog::warn("alert program \"{}\" was killed: it was not done in time", programs_[hook->program]);
  } else if (status != 0) {
    spdlog::warn("alert program \"{}\" failed: {} {}", programs_[hook->program],
                 WIFSIGNALED(status) ? "signal" : "exit status",
                 WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
  }
  running_.erase(hook);  // closes the pidfd
  while (!waiting_.empty() && !result.next) {
    const Waiting next = std::move(waiting_.front());
    waiting_.pop_front();
    if (Result<Started> started = launch(next, now)) {
      result.next = *started;
    } else {
      spdlog::error("{}", started.error().message);
      result.not_started.push_back(next.token);
    }
  }
  return result;
}

void HookRunner::kill_group(Running& hook) {
  kill(-hook.pid, SIGKILL);  // its group bears its number since setsid
  kill(hook.pid, SIGKILL);   // and itself, should it not have come that far
  hook.killed = true;
}

void HookRunner::enforce(Clock::time_point now) {
  for (Running& hook : running_) {
    if (!hook.killed && hook.deadline <= now) kill_group(hook);
  }
}

std::optional<HookRunner::Clock::time_point> HookRunner::next_deadline() const {
  std::optional<Clock::time_point> next;
  for (const Running& hook : running_) {
    if (!hook.killed && (!next || hook.deadline < *next)) next = hook.deadline;
  }
  return next;
}

void HookRunner::kill_all() {
  for (Running& hook : running_) kill_group(hook);
  waiting_.clear();
}

}  // namespace postern

// Hooks: the operator's alert programs, started with one JSON object on stdin.
//
// A hook runs with the broker's rights, in a session of its own, in "/", with a short environment (PATH, LANG
// and what begins with POSTERN_), no descriptors but stdin, stdout and stderr (both the broker's stderr), and
// has 10 s. Its input holds names that a sandbox chose: it comes as JSON on stdin and never as an argument or
// a variable.
//
// Thread: one; the process should be single-threaded (fork). Time: `now` is an argument. Memory: at most
// `most_running` processes and `most_waiting` alerts.
#pragma once

#include <sys/types.h>
#include <chrono>
#include <deque>
#include <list>
#include <optional>
#include <string>
#include <vector>

#include "resolver/sandbox/broker.h"
#include "rules/result.h"

namespace postern {

class HookRunner {
 public:
  using Clock = std::chrono::steady_clock;
  // Hooks at the same time. Each is a process that talks to somewhere else; more would not be faster.
  static constexpr std::size_t most_running = 8;
  // Alerts that wait for a place. A sandbox can cause alerts; then the later ones are refused, counted and
  // logged (they are in the journal all the same).
  static constexpr std::size_t most_waiting = 64;
  // A hook that hangs must not hold its place for ever.
  static constexpr std::chrono::seconds time_limit{10};

  explicit HookRunner(std::vector<std::string> programs, Clock::duration limit = time_limit);
  ~HookRunner();  // kills what still runs

  struct Started {
    int pidfd;
  };  // for the caller's poll set; owned here
  // Starts `program` or lets it wait; `token` names it in `Ended`. Errors: too many wait, or the process
  // cannot be made.
  Result<std::optional<Started>> start(std::size_t program, std::string json, Clock::time_point now,
                                       std::uint64_t token = 0);

  struct Ended {
    std::size_t program;
    int status;
    int pidfd;
    std::optional<Started> next;
    std::uint64_t token = 0;
    std::vector<std::uint64_t> not_started;  // that waited, and could not be started now
  };
  // To be called when `pidfd` is readable: takes the exit status and starts one that waits.
  std::optional<Ended> ended(int pidfd, Clock::time_point now);

  // Kills (SIGKILL, the whole process group) what is over its time; call at `next_deadline`.
  void enforce(Clock::time_point now);
  std::optional<Clock::time_point> next_deadline() const;
  void kill_all();  // and forgets those that wait
  bool idle() const { return running_.empty() && waiting_.empty(); }

 private:
  struct Running {
    std::size_t program;
    pid_t pid;
    Fd pidfd;
    Clock::time_point deadline;
    bool killed;
    std::uint64_t token;
  };
  struct Waiting {
    std::size_t program;
    std::string json;
    std::uint64_t token;
  };
  Result<Started> launch(const Waiting& hook, Clock::time_point now);
  void kill_group(Running& hook);

  std::vector<std::string> programs_;
  Clock::duration limit_;
  std::list<Running> running_;
  std::deque<Waiting> waiting_;
};

}  // namespace postern

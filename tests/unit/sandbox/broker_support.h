// What the sandbox tests share: work in a forked child, a broker in a process of its own, skipping that is
// not silent.
#pragma once

#include <doctest/doctest.h>
#include <fcntl.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <optional>
#include <string>

#include "resolver/sandbox/broker.h"

namespace sandbox_test {

// How long a test waits for something that is sure to come, before it calls it missing. Never a measure of
// speed.
inline constexpr int patience_ms = 20'000;

// True when the test can run; else it says why not, and fails where everything must work.
inline bool possible(bool condition, const char* why) {
  if (condition) return true;
  std::printf("SKIPPED: %s\n", why);
  const char* must = std::getenv("POSTERN_MUST_WORK");
  if (must != nullptr && std::string(must) == "1")
    FAIL_CHECK("POSTERN_MUST_WORK=1, but: " << std::string(why));
  return false;
}

inline bool is_root() {
  return geteuid() == 0;
}

// Runs `work` in a forked child and returns what it returned; the child's end, if it was not an orderly one.
inline std::string in_child(const std::function<std::string()>& work) {
  std::array<int, 2> ends{};
  REQUIRE(pipe2(ends.data(), O_CLOEXEC) == 0);
  std::fflush(nullptr);
  const pid_t pid = fork();
  REQUIRE(pid >= 0);
  if (pid == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);  // no test leaves a process behind
    close(ends[0]);
    for (const int number : {SIGABRT, SIGSEGV, SIGTERM, SIGINT})
      signal(number, SIG_DFL);  // not doctest's handlers
    const std::string said = work();
    std::size_t sent = 0;
    while (sent < said.size()) {
      const ssize_t octets = write(ends[1], said.data() + sent, said.size() - sent);
      if (octets <= 0) _exit(9);
      sent += static_cast<std::size_t>(octets);
    }
    _exit(0);
  }
  close(ends[1]);
  std::string said;
  std::array<char, 4096> part{};
  for (;;) {
    const ssize_t octets = read(ends[0], part.data(), part.size());
    if (octets < 0 && errno == EINTR) continue;
    if (octets <= 0) break;
    said.append(part.data(), static_cast<std::size_t>(octets));
  }
  close(ends[0]);
  int status = 0;
  REQUIRE(waitpid(pid, &status, 0) == pid);
  if (WIFSIGNALED(status)) said += " [signal " + std::to_string(WTERMSIG(status)) + "]";
  if (WIFEXITED(status) && WEXITSTATUS(status) != 0)
    said += " [exit " + std::to_string(WEXITSTATUS(status)) + "]";
  return said;
}

inline bool loopback_up() {
  const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  ifreq request{};
  std::strcpy(request.ifr_name, "lo");
  request.ifr_flags = IFF_UP | IFF_RUNNING;
  const bool up = fd >= 0 && ioctl(fd, SIOCSIFFLAGS, &request) == 0;
  close(fd);
  return up;
}

// For a child: a network namespace of its own with loopback up; without root inside a user namespace.
inline bool own_network() {
  return unshare(CLONE_NEWNET | (is_root() ? 0 : CLONE_NEWUSER)) == 0 && loopback_up();
}

inline bool own_network_possible() {
  static const bool works = in_child([] { return std::string(own_network() ? "yes" : "no"); }) == "yes";
  return works;
}

inline bool readable(int fd, int wait_ms = patience_ms) {
  pollfd one{fd, POLLIN, 0};
  return poll(&one, 1, wait_ms) == 1;
}

// A folder that is gone with the test.
class Folder {
 public:
  Folder() {
    std::string pattern = (std::filesystem::temp_directory_path() / "postern-test-XXXXXX").string();
    REQUIRE(mkdtemp(pattern.data()) != nullptr);
    path_ = pattern;
    chmod(pattern.c_str(), 0755);
  }
  ~Folder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  Folder(const Folder&) = delete;
  std::string path(const std::string& name = "") const { return name.empty() ? path_ : path_ + "/" + name; }
  std::string write(const std::string& name, const std::string& text, mode_t mode = 0644) const {
    std::ofstream(path(name)) << text;
    chmod(path(name).c_str(), mode);
    return path(name);
  }
  std::string read(const std::string& name) const {
    std::ifstream file(path(name));
    return {std::istreambuf_iterator<char>(file), {}};
  }

 private:
  std::string path_;
};

// A broker that serves in a process of its own until its channels are closed; the test is the resolver.
class BrokerProcess {
 public:
  explicit BrokerProcess(postern::BrokerOptions options, bool handle_signals = false) {
    postern::Broker broker(std::move(options));
    postern::Result<postern::Broker::Ends> ends = broker.make_channels();
    REQUIRE(ends);
    std::fflush(nullptr);
    pid_ = fork();
    REQUIRE(pid_ >= 0);
    if (pid_ == 0) {
      prctl(PR_SET_PDEATHSIG, SIGKILL);
      for (const int number : {SIGABRT, SIGSEGV, SIGTERM, SIGINT}) signal(number, SIG_DFL);
      ends->requests.reset();
      ends->events.reset();
      postern::Broker::Loop loop;
      loop.handle_signals = handle_signals;
      broker.serve(0, std::move(loop));
      _exit(0);
    }
    raw = ends->requests.get();
    client.emplace(std::move(ends->requests));
    events = std::move(ends->events);
  }
  // Closes the first channel and waits until the broker has ended; its wait status.
  int end() {
    client.reset();
    int status = -1;
    if (pid_ > 0) waitpid(pid_, &status, 0);
    pid_ = -1;
    return status;
  }
  ~BrokerProcess() {
    if (pid_ > 0) {
      kill(pid_, SIGKILL);
      end();
    }
  }
  BrokerProcess(const BrokerProcess&) = delete;
  pid_t pid() const { return pid_; }
  std::optional<postern::BrokerEvent> event(int wait_ms = patience_ms) {
    if (!readable(events.get(), wait_ms)) return std::nullopt;
    return postern::read_broker_event(events.get());
  }

  std::optional<postern::BrokerClient> client;
  postern::Fd events;
  int raw = -1;  // the first channel's number, for malformed messages

 private:
  pid_t pid_ = -1;
};

// A process that lives in a network namespace of its own until it is told to go.
class Inhabitant {
 public:
  Inhabitant() {
    std::array<int, 2> up{}, down{};
    REQUIRE(pipe2(up.data(), O_CLOEXEC) == 0);
    REQUIRE(pipe2(down.data(), O_CLOEXEC) == 0);
    std::fflush(nullptr);
    pid_ = fork();
    REQUIRE(pid_ >= 0);
    if (pid_ == 0) {
      prctl(PR_SET_PDEATHSIG, SIGKILL);
      close(down[1]);
      char octet = own_network() ? 'y' : 'n';
      if (write(up[1], &octet, 1) != 1) _exit(1);
      while (read(down[0], &octet, 1) > 0 && octet != 'q') {
        if (octet == 'f') {  // leave a child behind in the namespace
          const pid_t heir = fork();
          if (heir == 0) {
            close(1);  // should a test leave it behind: nobody waits for its output
            pause();
            _exit(0);
          }
          if (write(up[1], &heir, sizeof heir) != sizeof heir) _exit(1);
        }
      }
      _exit(0);
    }
    close(up[1]);
    close(down[0]);
    from_ = postern::Fd(up[0]);
    to_ = postern::Fd(down[1]);
    char octet = 0;
    REQUIRE(read(from_.get(), &octet, 1) == 1);
    alone = octet == 'y';
  }
  pid_t leave_heir() {
    pid_t heir = -1;
    REQUIRE(write(to_.get(), "f", 1) == 1);
    REQUIRE(read(from_.get(), &heir, sizeof heir) == sizeof heir);
    heir_ = heir;
    return heir;
  }
  void end() {
    if (pid_ <= 0) return;
    // Not by closing the pipe: processes that were forked meanwhile have it too.
    if (write(to_.get(), "q", 1) != 1) kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
    pid_ = -1;
  }
  ~Inhabitant() {
    end();
    if (heir_ > 0) kill(heir_, SIGKILL);
  }
  Inhabitant(const Inhabitant&) = delete;
  pid_t pid() const { return pid_; }
  bool alone = false;

 private:
  pid_t pid_ = -1, heir_ = -1;
  postern::Fd from_, to_;
};

}  // namespace sandbox_test

// Another process of a test's, as an analyst's is. It is forked at once and begins when it is told to: a
// child that is forked beside threads can find a lock held for ever, so it is made before what has threads.
#pragma once

#include <doctest/doctest.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <utility>

namespace postern::test {

// One end of the line between the two: each `say` answers one `hear`.
class Line {
 public:
  explicit Line(int fd) : fd_(fd) {}
  Line(const Line&) = delete;
  Line& operator=(const Line&) = delete;
  ~Line() { ::close(fd_); }

  void say(bool word) const { (void)!::send(fd_, &word, 1, MSG_NOSIGNAL); }
  // False also when the other end is gone.
  bool hear() const {
    bool word = false;
    return ::read(fd_, &word, 1) == 1 && word;
  }

 private:
  const int fd_;
};

class OtherProcess {
 public:
  // `work(const Line& line)` runs in the child once `line().say(true)` was called; what it returns is the
  // status.
  template <class Work>
  explicit OtherProcess(Work work) : OtherProcess(std::move(work), ends()) {}
  OtherProcess(const OtherProcess&) = delete;
  OtherProcess& operator=(const OtherProcess&) = delete;
  ~OtherProcess() { (void)join(); }

  const Line& line() const { return line_; }
  pid_t pid() const { return pid_; }

  // Waits for its end; its exit status, or -1 if it did not exit by itself.
  int join() {
    if (pid_ <= 0) return -1;
    line_.say(false);  // a child that was never begun ends
    int status = 0;
    const pid_t ended = ::waitpid(std::exchange(pid_, -1), &status, 0);
    return ended > 0 && WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  }

 private:
  static std::pair<int, int> ends() {
    int fds[2];
    REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) == 0);
    return {fds[0], fds[1]};
  }
  template <class Work>
  OtherProcess(Work work, std::pair<int, int> fds) : line_(fds.first), pid_(::fork()) {
    REQUIRE(pid_ >= 0);
    if (pid_ == 0) {
      ::close(fds.first);
      const Line line(fds.second);
      ::_exit(line.hear() ? work(line) : 0);
    }
    ::close(fds.second);
  }

  Line line_;
  pid_t pid_;
};

}  // namespace postern::test

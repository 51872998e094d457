// What a sandboxed command gets from its caller and gives back: status, streams, signals, folder,
// environment, rights.
#include <doctest/doctest.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <pty.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>

#include "resolver/sandbox/command_exec.h"
#include "resolver/sandbox/command_lookup.h"
#include "run_fixture.h"

using namespace postern;
using namespace postern::test;

namespace {

// A supervisor of its own process, with stdout and stderr of the command on a pipe; `body` runs in it after
// the sandbox is prepared.
struct Supervisor {
  pid_t pid = -1;
  Fd output;  // at its end when nobody in the sandbox lives
};

Supervisor supervise(const std::string& script, const std::function<int(SandboxedCommand&)>& body) {
  int ends[2];
  POSTERN_CHECK(pipe2(ends, O_CLOEXEC) == 0);
  Supervisor supervisor;
  supervisor.pid = fork();
  if (supervisor.pid == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    dup2(ends[1], 1);
    dup2(ends[1], 2);
    CommandSpec spec;
    spec.argv = {"/bin/bash", "-c", script};
    spec.quiet = true;
    auto sandbox = SandboxedCommand::prepare(spec);
    if (!sandbox) dprintf(2, "%s\n", sandbox.error().message.c_str());  // shows where the output was expected
    close(ends[1]);
    const Fd null(open("/dev/null", O_RDWR));
    dup2(null.get(), 1);  // from here on the sandbox alone holds the pipe
    dup2(null.get(), 2);
    if (!sandbox) _exit(99);
    _exit(body(**sandbox));
  }
  close(ends[1]);
  supervisor.output = Fd(ends[0]);
  return supervisor;
}

// For a session's leader: its end hangs the terminal up, and what the other side has not read by then may be
// lost.
[[noreturn]] void leave_terminal(int status) {
  signal(SIGTTOU, SIG_IGN);
  tcsetpgrp(0, getpgrp());
  dprintf(1, "finished\n");
  char newline;
  [[maybe_unused]] const ssize_t size = read(0, &newline, 1);
  _exit(status);
}

std::string read_line(const Fd& fd) {
  std::string line;
  for (char one; read(fd.get(), &one, 1) == 1 && one != '\n';) line += one;
  return line;
}

// All that came up to leave_terminal's word; then lets the leader go.
std::string read_terminal(const Fd& master) {
  std::string seen;
  for (char one; !holds(seen, "finished") && read(master.get(), &one, 1) == 1;) seen += one;
  [[maybe_unused]] const ssize_t size = write(master.get(), "\n", 1);
  return seen;
}

int status_of(pid_t pid) {
  int status = 0;
  waitpid(pid, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + status;
}

int release_and_wait(SandboxedCommand& sandbox) {
  if (!sandbox.release()) return 98;
  return sandbox.wait();
}

}  // namespace

TEST_CASE("the exit status is the command's, as a shell gives it") {
  if (!can_sandbox()) return;
  const OpenFolder folder;
  folder.file("plain-script", "exit 9\n", 0755);
  folder.file("bad-interpreter", "#!/nonexistent/interpreter\n", 0755);
  folder.file("not-executable", "#!/bin/sh\n", 0644);
  folder.file("no-program",
              std::string("\x7f"
                          "ELF garbage",
                          12),
              0755);
  struct Row {
    std::vector<std::string> argv;
    int status;
    std::string error;
  };
  const Row rows[] = {
      {{"/bin/true"}, 0, ""},
      {{"true"}, 0, ""},
      {{"/bin/sh", "-c", "exit 7"}, 7, ""},
      {{"/bin/sh", "-c", "exit 255"}, 255, ""},
      {{"/bin/sh", "-c", "kill -TERM $$"}, 143, ""},
      {{"/bin/sh", "-c", "kill -KILL $$"}, 137, ""},
      {{folder.path() + "/plain-script"}, 9, ""},
      {{"no-such-command-here"}, 127, "command not found"},
      {{"/no/such/file"}, 127, "no such file"},
      {{folder.path() + "/bad-interpreter"}, 126, "interpreter does not exist"},
      {{folder.path() + "/not-executable"}, 126, "Permission denied"},
      {{folder.path()}, 126, "Permission denied"},
  };
  for (const Row& row : rows) {
    const Ran ran = run(row.argv);
    INFO(row.argv[0] << ": " << ran.error << ran.err);
    CHECK(ran.status == row.status);
    if (!row.error.empty()) {
      CHECK(holds(ran.err, row.error));
      CHECK(holds(ran.err, "\"" + row.argv[0] + "\""));
    }
  }
  CHECK(!SandboxedCommand::prepare({}));
}

TEST_CASE("stdin, arguments and both outputs pass through unchanged") {
  if (!can_sandbox()) return;
  const Ran ran = run({"/bin/sh", "-c", "cat; printf '<%s>' \"$@\"; echo oops >&2", "sh", "a b", "", "*"},
                      {.input = "line\nlast", .hide = {}, .before_release = {}, .after_release = {}});
  CHECK(ran.out == "line\nlast<a b><><*>");
  CHECK(ran.err == "oops\n");
}

TEST_CASE("a script may open /dev/stdout anew when it is a pipe") {
  if (!can_sandbox()) return;
  Supervisor supervisor = supervise("echo through >/dev/stdout", release_and_wait);
  CHECK(read_all(supervisor.output.get()) == "through\n");
  CHECK(status_of(supervisor.pid) == 0);
}

TEST_CASE(
    "the command has no capabilities, no groups, no way to new privileges, a filter and three descriptors") {
  if (!can_sandbox()) return;
  const Fd leaked(open("/etc/passwd", O_RDONLY));  // not close-on-exec, on purpose
  const Ran ran = shell(
      "grep -E '^(Cap|NoNewPrivs|Seccomp:|Groups|SigBlk|SigIgn|Uid)' /proc/self/status; ls /proc/$$/fd; id "
      "-u; id -G");
  INFO(ran.out);
  for (const char* set : {"CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb", "SigBlk", "SigIgn"}) {
    CHECK(holds(ran.out, std::string(set) + ":\t0000000000000000\n"));
  }
  CHECK(holds(ran.out, "NoNewPrivs:\t1\n"));
  CHECK(holds(ran.out, "Seccomp:\t2\n"));
  CHECK(holds(ran.out, "Uid:\t65534\t65534\t65534\t65534\n"));
  CHECK((holds(ran.out, "Groups:\t\n") || holds(ran.out, "Groups:\t \n")));
  CHECK(ran.out.ends_with("0\n1\n2\n65534\n65534\n"));
}

TEST_CASE("the caller's supplementary groups are given up") {
  if (!can_sandbox()) return;
  const std::string seen = in_private_mounts([] {
    const gid_t groups[] = {0, 1, 54321};
    if (setgroups(3, groups) != 0) return std::string("cannot set groups");
    return shell("id -G; grep Groups /proc/self/status | tr -d '\\t '").out;
  });
  CHECK(seen == "65534\nGroups:\n");
}

TEST_CASE("what the caller ignored stays ignored, what Postern ignores does not") {
  if (!can_sandbox()) return;
  Supervisor supervisor = supervise("grep SigIgn /proc/self/status",
                                    [](SandboxedCommand& sandbox) { return release_and_wait(sandbox); });
  CHECK(read_all(supervisor.output.get()) == "SigIgn:\t0000000000000000\n");
  status_of(supervisor.pid);
  signal(SIGHUP, SIG_IGN);
  signal(SIGPIPE, SIG_IGN);
  signal(SIGUSR1, SIG_IGN);
  const Ran ran = shell("grep SigIgn /proc/self/status");
  for (const int number : {SIGHUP, SIGPIPE, SIGUSR1}) signal(number, SIG_DFL);
  CHECK(ran.out == "SigIgn:\t0000000000000001\n");  // SIGHUP is 1
}

TEST_CASE("the working folder is kept where the command may enter it, else it is / and a note says so") {
  if (!can_sandbox()) return;
  const OpenFolder folder;
  const std::string closed = folder.path() + "/closed";
  REQUIRE(mkdir(closed.c_str(), 0700) == 0);
  const int before = open(".", O_RDONLY | O_CLOEXEC | O_DIRECTORY);
  REQUIRE(chdir(folder.path().c_str()) == 0);
  const Ran kept =
      shell("pwd -P", {.input = {}, .hide = {}, .quiet = false, .before_release = {}, .after_release = {}});
  REQUIRE(chdir(closed.c_str()) == 0);
  const Ran moved =
      shell("pwd -P", {.input = {}, .hide = {}, .quiet = false, .before_release = {}, .after_release = {}});
  const Ran quiet = shell("pwd -P");
  // Hidden folders are left too, although the descriptor of the working folder would still work.
  REQUIRE(chdir(folder.path().c_str()) == 0);
  const Ran hidden = shell("ls -A . ; ls -A \"" + folder.path() + "\"",
                           {.input = {}, .hide = {folder.path()}, .before_release = {}, .after_release = {}});
  REQUIRE(fchdir(before) == 0);
  close(before);
  CHECK(kept.out == folder.path() + "\n");
  CHECK(!holds(kept.err, "working folder"));
  CHECK(moved.out == "/\n");
  CHECK(holds(moved.err, "\"" + closed + "\""));
  CHECK(quiet.err.empty());
  CHECK(hidden.out.empty());
}

TEST_CASE("HOME that the command may not use becomes a folder of its own, not shared with other sandboxes") {
  if (!can_sandbox()) return;
  const OpenFolder folder;
  const std::string mine = folder.path() + "/mine";
  REQUIRE(mkdir(mine.c_str(), 0777) == 0);
  REQUIRE(chmod(mine.c_str(), 0777) == 0);
  const std::string before = getenv("HOME") != nullptr ? getenv("HOME") : "/";
  setenv("HOME", "/root", 1);
  const Ran moved =
      shell("echo $HOME; echo x > $HOME/.rc && cat $HOME/.rc",
            {.input = {}, .hide = {}, .quiet = false, .before_release = {}, .after_release = {}});
  const Ran again = shell("ls -A $HOME");
  setenv("HOME", mine.c_str(), 1);
  const Ran kept = shell(
      "echo $HOME", {.input = {}, .hide = {}, .quiet = false, .before_release = {}, .after_release = {}});
  setenv("HOME", before.c_str(), 1);
  CHECK(moved.out == "/run/home\nx\n");
  CHECK(holds(moved.err, "HOME=/root"));
  CHECK(again.out.empty());
  CHECK(kept.out == mine + "\n");
}

TEST_CASE("variables that lead lookups elsewhere, or at hidden sockets, do not get in") {
  const char* const environment[] = {"PATH=/bin",
                                     "RES_OPTIONS=ndots:5",
                                     "LOCALDOMAIN=example.com",
                                     "HOSTALIASES=/tmp/x",
                                     "XDG_RUNTIME_DIR=/run/user/0",
                                     "DBUS_SESSION_BUS_ADDRESS=unix:path=/x",
                                     "SSH_AUTH_SOCK=/tmp/y",
                                     "DBUS_SYSTEM_BUS_ADDRESS=unix:path=/y",
                                     "RES_OPTIONS_MORE=kept",
                                     "EMPTY=",
                                     "HOME=/root",
                                     nullptr};
  const IdPlan plan;
  CHECK(command_environment(environment, plan) ==
        std::vector<std::string>{"PATH=/bin", "RES_OPTIONS_MORE=kept", "EMPTY=", "HOME=/root"});
}

TEST_CASE("the program is found as the command's user finds it, and a closed folder is explained") {
  if (!can_sandbox()) return;
  const OpenFolder folder;
  const std::string closed = folder.path() + "/closed";
  folder.file("closed/tool", "#!/bin/sh\necho closed\n", 0755);
  const std::string tool = folder.file("open/tool", "#!/bin/sh\necho open\n", 0755);
  folder.file("closed/only", "#!/bin/sh\n", 0755);
  REQUIRE(chmod(closed.c_str(), 0700) == 0);
  const std::string before = getenv("PATH");
  setenv("PATH", (closed + ":" + folder.path() + "/open:/usr/bin:/bin").c_str(), 1);
  const Ran passed_over = run({"tool"});
  const Ran only_there = run({"only"});
  const Ran by_name = run({closed + "/tool"});
  setenv("PATH", before.c_str(), 1);
  CHECK(passed_over.out == "open\n");
  CHECK(passed_over.program == tool);
  for (const Ran& ran : {only_there, by_name}) {
    INFO(ran.err);
    CHECK(ran.status == 126);
    CHECK(ran.program.empty());
    CHECK(holds(ran.err, "runs as another user than you"));
    CHECK(holds(ran.err, "may not use \"" + closed + "\""));
  }
}

TEST_CASE(
    "lookup: PATH order, an empty part is the working folder, folders and plain files are no programs") {
  const OpenFolder folder;
  folder.file("a/tool", "", 0644);
  folder.file("b/tool", "", 0755);
  folder.file("a/only", "", 0644);
  folder.file("c/tool/file", "", 0755);
  const std::string search =
      folder.path() + "/a:" + folder.path() + "/none:" + folder.path() + "/c:" + folder.path() + "/b";
  CHECK(find_program("tool", search).path == folder.path() + "/b/tool");
  CHECK(find_program("only", search).error == EACCES);
  CHECK(find_program("only", search).seen == folder.path() + "/a/only");
  CHECK(find_program("none", search).error == ENOENT);
  CHECK(find_program("", search).error == ENOENT);
  CHECK(find_program(folder.path() + "/b/tool", "").path == folder.path() + "/b/tool");
  CHECK(find_program("/etc/passwd/x", "").error == ENOENT);
}

TEST_CASE("orphans die with the command") {
  if (!can_sandbox()) return;
  // The orphan holds the pipe; if it lived, reading to the end would last until the test's time limit.
  Supervisor supervisor =
      supervise("setsid sleep 1000 & disown; (setsid sleep 1000 &) ; exit 3", release_and_wait);
  CHECK(read_all(supervisor.output.get()).empty());
  CHECK(status_of(supervisor.pid) == 3);
}

TEST_CASE("kill -9 of the supervisor ends everything in the sandbox") {
  if (!can_sandbox()) return;
  Supervisor supervisor = supervise("setsid sleep 1000 & echo started; exec sleep 1000", release_and_wait);
  CHECK(read_line(supervisor.output) == "started");
  kill(supervisor.pid, SIGKILL);
  CHECK(read_all(supervisor.output.get()).empty());
  CHECK(status_of(supervisor.pid) == 1000 + SIGKILL);
}

TEST_CASE("a command that was never released is killed with its object and leaves nothing") {
  if (!can_sandbox()) return;
  Supervisor supervisor = supervise("echo must not run",
                                    [](SandboxedCommand& sandbox) { return sandbox.init_pid() > 1 ? 0 : 1; });
  CHECK(read_all(supervisor.output.get()).empty());
  CHECK(status_of(supervisor.pid) == 0);
}

TEST_CASE("the pidfd becomes readable when all is over, and not before") {
  if (!can_sandbox()) return;
  const auto readable = [](int fd) {
    pollfd one{fd, POLLIN, 0};
    return poll(&one, 1, 0) == 1;
  };
  bool before = true, after = false;
  const Ran ran = shell(
      "exit 4", {.input = {},
                 .hide = {},
                 .before_release = [&](SandboxedCommand& sandbox) { before = readable(sandbox.pidfd()); },
                 .after_release =
                     [&](SandboxedCommand& sandbox) {
                       pollfd one{sandbox.pidfd(), POLLIN, 0};
                       after = poll(&one, 1, 60'000) == 1;
                     }});
  CHECK(!before);
  CHECK(after);
  CHECK(ran.status == 4);
}

TEST_CASE("a signal sent to the supervisor reaches the command, which decides") {
  if (!can_sandbox()) return;
  struct Row {
    const char* name;
    int number;
  };
  for (const Row& row : {Row{"TERM", SIGTERM}, Row{"HUP", SIGHUP}, Row{"INT", SIGINT}, Row{"QUIT", SIGQUIT},
                         Row{"USR1", SIGUSR1}}) {
    Supervisor supervisor = supervise(std::string("trap 'echo got; exit 5' ") + row.name +
                                          "; echo started; while :; do sleep 0.05 & wait; done",
                                      release_and_wait);
    CHECK(read_line(supervisor.output) == "started");
    kill(supervisor.pid, row.number);
    CHECK(read_line(supervisor.output) == "got");
    CHECK_MESSAGE(status_of(supervisor.pid) == 5, row.name);
  }
}

TEST_CASE("Ctrl-C reaches the command once, and the supervisor lives to tell the status") {
  if (!can_sandbox()) return;
  const OpenFolder folder;
  REQUIRE(chmod(folder.path().c_str(), 0777) == 0);
  const std::string seen_file = folder.path() + "/seen", passed_file = folder.path() + "/passed";
  int terminal = -1;
  const pid_t pid = forkpty(&terminal, nullptr, nullptr, nullptr);
  if (pid == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    CommandSpec spec;
    // The trap counts. The supervisor's turn to pass signals on comes only after the first has been counted,
    // since two of a kind that wait together are one.
    spec.argv = {"/bin/bash", "-c",
                 "n=0; trap 'n=$((n+1))' INT; echo started; while [ $n = 0 ]; do sleep 0.02; done; touch " +
                     seen_file + "; while [ ! -e " + passed_file +
                     " ]; do sleep 0.02; done; echo count $n; exit 6"};
    spec.quiet = true;
    auto sandbox = SandboxedCommand::prepare(spec);
    if (!sandbox || !(*sandbox)->release()) leave_terminal(99);
    pollfd arrived{(*sandbox)->signal_fd(), POLLIN, 0};
    poll(&arrived, 1, -1);
    while (access(seen_file.c_str(), F_OK) != 0) sched_yield();
    (*sandbox)->pass_signals();
    close(open(passed_file.c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0644));
    leave_terminal((*sandbox)->wait());
  }
  const Fd master(terminal);
  std::string seen;
  while (!holds(seen, "started") && !holds(seen, "finished")) seen += read_line(master) + "\n";
  CHECK(write(master.get(), "\x03", 1) == 1);
  seen += read_terminal(master);
  INFO(seen);
  CHECK(holds(seen, "count 1"));
  CHECK(status_of(pid) == 6);
}

TEST_CASE("Ctrl-Z stops command and supervisor, and both go on") {
  if (!can_sandbox()) return;
  int terminal = -1;
  const pid_t pid = forkpty(&terminal, nullptr, nullptr, nullptr);
  if (pid == 0) {
    // A child of the session's leader, as under a shell: a leader's own group would be orphaned, and then
    // Ctrl-Z is ignored.
    const pid_t child = fork();
    if (child == 0) {
      setpgid(0, 0);
      signal(SIGTTOU, SIG_IGN);
      tcsetpgrp(0, getpid());
      signal(SIGTTOU, SIG_DFL);
      CommandSpec spec;
      spec.argv = {"/bin/sh", "-c", "echo started; read line; echo read $line; exit 8"};
      spec.quiet = true;
      auto sandbox = SandboxedCommand::prepare(spec);
      _exit(sandbox ? release_and_wait(**sandbox) : 99);
    }
    int status = 0;
    waitpid(child, &status, WUNTRACED);
    if (!WIFSTOPPED(status)) leave_terminal(97);
    dprintf(1, "stopped\n");
    kill(-child, SIGCONT);
    waitpid(child, &status, 0);
    leave_terminal(WEXITSTATUS(status));
  }
  const Fd master(terminal);
  std::string seen;
  while (!holds(seen, "started") && !holds(seen, "finished")) seen += read_line(master) + "\n";
  CHECK(write(master.get(), "\x1a", 1) == 1);
  while (!holds(seen, "stopped")) seen += read_line(master) + "\n";
  CHECK(write(master.get(), "on\n", 3) == 3);
  seen += read_terminal(master);
  INFO(seen);
  CHECK(holds(seen, "read on"));
  CHECK(status_of(pid) == 8);
}

TEST_CASE("the terminal comes back to the caller after an interactive shell") {
  if (!can_sandbox()) return;
  int terminal = -1;
  const pid_t pid = forkpty(&terminal, nullptr, nullptr, nullptr);
  if (pid == 0) {
    CommandSpec spec;
    spec.argv = {"/bin/bash", "--norc", "-ic", "/bin/true; ps -o tpgid= -p $$; exit 2"};
    spec.quiet = true;
    auto sandbox = SandboxedCommand::prepare(spec);
    if (!sandbox || release_and_wait(**sandbox) != 2) leave_terminal(99);
    leave_terminal(tcgetpgrp(0) == getpgrp() ? 0 : 1);
  }
  const Fd master(terminal);
  const std::string seen = read_terminal(master);
  INFO(seen);
  CHECK(status_of(pid) == 0);
}

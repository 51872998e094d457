// A sandboxed command attacks Postern, its record and the host: each attempt fails, and works for root
// outside.
#include <doctest/doctest.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <sstream>

#include "run_fixture.h"

using namespace postern;
using namespace postern::test;

namespace {

enum class As { root, user_with_subids, user_alone, sudo };

Fd listen_at(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strcpy(address.sun_path, path.c_str());
  Fd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  unlink(path.c_str());
  POSTERN_CHECK(bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
  POSTERN_CHECK(listen(fd.get(), 8) == 0 && chmod(path.c_str(), 0666) == 0);
  return fd;
}

// A process that stands for the resolver: it only waits.
pid_t bystander() {
  const pid_t pid = fork();
  if (pid == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    for (;;) pause();
  }
  return pid;
}

std::string first_block_device() {
  for (const auto& entry : std::filesystem::directory_iterator("/dev")) {
    if (entry.is_block_file()) {
      const Fd fd(open(entry.path().c_str(), O_RDONLY | O_CLOEXEC));
      if (fd) return entry.path();
    }
  }
  return {};
}

// Name -> outcome. Run in a private mount namespace; `outside`: not in a sandbox but by root itself.
std::string attack(As as, bool outside) {
  const OpenFolder folder;  // removed by this process, which does not have the child's mounts in it
  return in_private_mounts([&]() -> std::string {
    const std::string hidden = folder.path() + "/hidden";
    const std::string journal = folder.file("hidden/journal.db", "record", 0640);
    const std::string open_journal = folder.file("open-journal.db", "record", 0640);
    const std::string secret_socket = hidden + "/control.sock",
                      run_socket = "/run/postern-test-name-service.sock";
    if (mount("tmpfs", "/run", "tmpfs", 0, nullptr) != 0) return "cannot mount /run";
    const Fd control = listen_at(secret_socket), service = listen_at(run_socket);
    const std::string proc = folder.path() + "/proc", netns = folder.file("netns", "");
    mkdir(proc.c_str(), 0755);
    if (mount("/proc", proc.c_str(), nullptr, MS_BIND, nullptr) != 0) return "cannot bind /proc";
    if (mount("/proc/self/ns/net", netns.c_str(), nullptr, MS_BIND, nullptr) != 0)
      return "cannot bind the network namespace";
    // Outside there is nothing to uncover: a mount of the attacker's own stands for it.
    if (outside && mount("tmpfs", hidden.c_str(), "tmpfs", 0, nullptr) != 0) return "cannot mount";
    if (outside) {
      folder.file("hidden/journal.db", "record", 0640);
      unlink(secret_socket.c_str());
    }
    const Fd control_again = outside ? listen_at(secret_socket) : Fd();
    const std::string device = first_block_device();
    const std::string script = read_text(POSTERN_SOURCE_DIR "/tests/support/sandbox_attack.py");

    if (as == As::user_with_subids || as == As::user_alone) {
      // newuidmap wants to know its caller's name.
      replace_file("/etc/passwd", read_text("/etc/passwd") + "postern-test:x:" + std::to_string(ordinary) +
                                      ":54321::/:/bin/sh\n");
      replace_file("/etc/subuid", as == As::user_with_subids ? "postern-test:3000000:1000\n" : "");
      replace_file("/etc/subgid", as == As::user_with_subids ? "postern-test:4000000:1000\n" : "");
      for (const std::string& mine : {folder.path(), hidden, journal, open_journal}) {
        if (chown(mine.c_str(), ordinary, ordinary) != 0) return "cannot chown " + mine;
      }
      become_user(ordinary);
    }
    if (as == As::sudo) {
      setenv("SUDO_UID", std::to_string(ordinary).c_str(), 1);
      setenv("SUDO_GID", std::to_string(ordinary).c_str(), 1);
    }
    const pid_t resolver = bystander();
    const int rt_signal = SIGRTMIN + 3;
    sigset_t group_signal;
    sigemptyset(&group_signal);
    sigaddset(&group_signal, rt_signal);
    sigprocmask(SIG_BLOCK, &group_signal, nullptr);
    setpgid(0, 0);  // signals to the group stay in this test

    std::ostringstream json;
    json << "{\"init\":" << (outside ? getpid() : 1) << ",\"supervisor\":" << getpid()
         << ",\"resolver\":" << resolver << ",\"journal\":\"" << journal << "\",\"open_journal\":\""
         << open_journal << "\",\"hidden\":\"" << hidden << "\",\"socket\":\"" << secret_socket
         << "\",\"run_socket\":\"" << run_socket << "\",\"host_proc\":\"" << proc << "\",\"netns_file\":\""
         << netns << "\",\"block_device\":\"" << device << "\",\"rt_signal\":" << rt_signal
         << ",\"control\":" << (outside ? "true" : "false") << "}";
    std::string result;
    if (outside) {
      int ends[2];
      POSTERN_CHECK(pipe(ends) == 0);
      const pid_t child = fork();
      if (child == 0) {
        dup2(ends[1], 1);
        close(ends[0]);
        close(ends[1]);
        execl("/usr/bin/python3", "python3", "-c", script.c_str(), json.str().c_str(), nullptr);
        _exit(127);
      }
      close(ends[1]);
      result = read_all(ends[0]);
      waitpid(child, nullptr, 0);
    } else {
      const Ran ran = run({"/usr/bin/python3", "-c", script, json.str()}, {{}, {hidden}, true, {}, {}});
      result = ran.out + "status " + std::to_string(ran.status) + "\n" + ran.error + ran.err;
      result += std::string("protected ") + (ran.record_protected ? "yes" : "no") + "\n";
    }
    sigset_t pending;
    sigpending(&pending);
    result += std::string("group-signal-arrived ") + (sigismember(&pending, rt_signal) ? "yes" : "no") + "\n";
    result += "resolver-alive " +
              std::string(kill(resolver, 0) == 0 && waitpid(resolver, nullptr, WNOHANG) == 0 ? "yes" : "no") +
              "\n";
    result += "open-journal " + read_text(open_journal) + "\n";
    kill(resolver, SIGKILL);
    waitpid(resolver, nullptr, 0);
    return result;
  });
}

std::map<std::string, std::string> outcomes(const std::string& text) {
  std::map<std::string, std::string> out;
  std::istringstream lines(text);
  for (std::string name, outcome; lines >> name >> outcome;) out[name] = outcome;
  return out;
}

constexpr std::size_t attacks = 37;

// Everything refused but `allowed`.
void check_refused(const std::string& text, const std::vector<std::string>& allowed) {
  INFO(text);
  std::size_t seen = 0;
  for (const auto& [name, outcome] : outcomes(text)) {
    if (name == "status" || name == "protected" || name == "group-signal-arrived" ||
        name == "resolver-alive" || name == "open-journal")
      continue;
    ++seen;
    if (name == "signal-group")
      continue;  // it signals itself too, so it is "done": what counts is what arrived
    const bool may = std::find(allowed.begin(), allowed.end(), name) != allowed.end();
    CHECK_MESSAGE((outcome == "done") == may, name << " " << outcome);
    CHECK_MESSAGE(outcome != "ENOTRECOVERABLE",
                  name << ": the attacker's own namespace gave it no rights, so this shows nothing");
  }
  CHECK(seen == attacks);
  CHECK(outcomes(text)["status"] == "0");
  CHECK(outcomes(text)["resolver-alive"] == "yes");
}

}  // namespace

TEST_CASE("outside a sandbox, root can do everything that the attack program tries") {
  if (!can_sandbox()) return;
  const std::string text = attack(As::root, true);
  INFO(text);
  std::size_t seen = 0;
  for (const auto& [name, outcome] : outcomes(text)) {
    if (name == "group-signal-arrived" || name == "resolver-alive" || name == "open-journal") continue;
    ++seen;
    if (outcome == "absent") MESSAGE("this kernel has no " << name << ": that attack proves nothing here");
    // Nor may root uncover, from a user namespace of its own, what its mounts hide: those are the kernel's
    // locks themselves.
    const bool locked = name.ends_with("-in-own-namespace") || name.ends_with("-under-hidden");
    if (!locked) CHECK_MESSAGE((outcome == "done" || outcome == "absent"), name << " " << outcome);
  }
  CHECK(seen == attacks);
  CHECK(outcomes(text)["group-signal-arrived"] == "yes");
  CHECK(outcomes(text)["open-journal"] == "recordforged");
}

TEST_CASE("a command started by root can do none of it") {
  if (!can_sandbox()) return;
  const std::string text = attack(As::root, false);
  check_refused(text, {});
  CHECK(outcomes(text)["protected"] == "yes");
  CHECK(outcomes(text)["group-signal-arrived"] == "no");
  CHECK(outcomes(text)["open-journal"] == "record");
}

TEST_CASE("a command started through sudo can do none of it") {
  if (!can_sandbox()) return;
  const std::string text = attack(As::sudo, false);
  check_refused(text, {});
  CHECK(outcomes(text)["protected"] == "yes");
  CHECK(outcomes(text)["group-signal-arrived"] == "no");
  CHECK(outcomes(text)["open-journal"] == "record");
}

TEST_CASE("a command started by an ordinary user with subordinate ids can do none of it") {
  if (!can_sandbox()) return;
  const std::string text = attack(As::user_with_subids, false);
  check_refused(text, {});
  CHECK(outcomes(text)["protected"] == "yes");
  CHECK(outcomes(text)["group-signal-arrived"] == "no");
  CHECK(outcomes(text)["open-journal"] == "record");
}

// This is what "the record is not protected" means, and all that it means.
TEST_CASE(
    "a command with the caller's own uid reaches the caller's unhidden files and process group, nothing "
    "else") {
  if (!can_sandbox()) return;
  const std::string text = attack(As::user_alone, false);
  check_refused(text, {"write-open-journal"});
  CHECK(outcomes(text)["protected"] == "no");
  CHECK(outcomes(text)["group-signal-arrived"] == "yes");
}

// Runs commands in sandboxes for tests: captured output, private file systems, other users.
#include "run_fixture.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>

namespace postern::test {
namespace {

// The caller's three standard descriptors put aside for as long as the sandbox is made.
class Redirected {
 public:
  Redirected(int in, int out, int err) {
    const int others[3] = {in, out, err};
    for (int fd = 0; fd < 3; ++fd) {
      saved_[fd] = fcntl(fd, F_DUPFD_CLOEXEC, 100);
      dup2(others[fd], fd);
    }
  }
  ~Redirected() {
    for (int fd = 0; fd < 3; ++fd) {
      dup2(saved_[fd], fd);
      close(saved_[fd]);
    }
  }
  Redirected(const Redirected&) = delete;

 private:
  int saved_[3];
};

Fd scratch(const std::string& text = {}) {
  Fd fd(open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600));
  POSTERN_CHECK(fd && write(fd.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size()));
  lseek(fd.get(), 0, SEEK_SET);
  return fd;
}

std::string contents(const Fd& fd) {
  lseek(fd.get(), 0, SEEK_SET);
  return read_all(fd.get());
}

}  // namespace

std::string read_all(int fd) {
  std::string text;
  char block[4096];
  for (ssize_t size; (size = read(fd, block, sizeof block)) > 0;)
    text.append(block, static_cast<std::size_t>(size));
  return text;
}

std::string read_text(const std::string& path) {
  const Fd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  return fd ? read_all(fd.get()) : std::string();
}

bool can_sandbox() {
#ifdef __SANITIZE_THREAD__
  // Not a lack of this machine's: its own background thread may hold a lock while the init is cloned, which
  // then hangs; and its fork starts a thread in the child, which then may not make a user namespace. There
  // are no threads here to check.
  MESSAGE("SKIPPED: ThreadSanitizer's background thread does not survive clone(CLONE_NEWUSER)");
  return false;
#endif
  std::string why;
  if (geteuid() != 0) {
    why = "these tests make users and mounts, which needs root";
  } else {
    const Ran ran = shell("true");
    if (ran.prepared) return true;
    why = ran.error;
  }
  MESSAGE("SKIPPED: " << why);
  const char* must = std::getenv("POSTERN_MUST_WORK");
  CHECK_MESSAGE((must == nullptr || std::string(must) != "1"), "POSTERN_MUST_WORK=1");
  return false;
}

Ran run(const std::vector<std::string>& argv, const Given& given) {
  const Fd in = scratch(given.input), out = scratch(), err = scratch();
  Ran ran;
  CommandSpec spec;
  spec.argv = argv;
  spec.hide = given.hide;
  spec.quiet = given.quiet;
  Result<std::unique_ptr<SandboxedCommand>> made = [&] {
    const Redirected redirected(in.get(), out.get(), err.get());
    return SandboxedCommand::prepare(spec);
  }();
  if (!made) {
    ran.error = made.error().message;
    return ran;
  }
  SandboxedCommand& sandbox = **made;
  ran.prepared = true;
  ran.program = sandbox.program();
  ran.protection = sandbox.protection();
  ran.record_protected = sandbox.record_protected();
  ran.command_uid = sandbox.command_uid();
  if (given.before_release) given.before_release(sandbox);
  if (const Result<void> released = sandbox.release(); !released) {
    ran.error = released.error().message;
    return ran;
  }
  if (given.after_release) given.after_release(sandbox);
  ran.status = sandbox.wait();
  ran.out = contents(out);
  ran.err = contents(err);
  return ran;
}

Ran shell(const std::string& script, const Given& given) {
  return run({"/bin/sh", "-c", script}, given);
}

std::string in_private_mounts(const std::function<std::string()>& body) {
  int ends[2];
  POSTERN_CHECK(pipe2(ends, O_CLOEXEC) == 0);
  const Fd read_end(ends[0]);
  Fd write_end(ends[1]);
  const pid_t child = fork();
  POSTERN_CHECK(child >= 0);
  if (child == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    if (unshare(CLONE_NEWNS) != 0 || mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0)
      _exit(1);
    const std::string text = body();
    std::size_t done = 0;
    while (done < text.size()) {
      const ssize_t size = write(write_end.get(), text.data() + done, text.size() - done);
      if (size <= 0) break;
      done += static_cast<std::size_t>(size);
    }
    _exit(0);
  }
  write_end.reset();
  std::string text = read_all(read_end.get());
  int status = 0;
  waitpid(child, &status, 0);
  if (status != 0) text += "\n[the child ended with wait status " + std::to_string(status) + "]";
  return text;
}

void become_user(uid_t uid) {
  POSTERN_CHECK(setgroups(0, nullptr) == 0 && setresgid(uid, uid, uid) == 0 && setresuid(uid, uid, uid) == 0);
  prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);  // as after exec; newuidmap looks at the owner of /proc/PID
  unsetenv("SUDO_UID");
}

void replace_file(const std::string& path, const std::string& text) {
  char name[] = "/tmp/postern-test-file-XXXXXX";
  const Fd fd(mkstemp(name));
  POSTERN_CHECK(fd && fchmod(fd.get(), 0644) == 0);
  POSTERN_CHECK(write(fd.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size()));
  if (access(path.c_str(), F_OK) !=
      0) {  // subuid files are not everywhere; an empty one says the same as none
    const Fd made(open(path.c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0644));
    POSTERN_CHECK(made);
  }
  POSTERN_CHECK(mount(name, path.c_str(), nullptr, MS_BIND, nullptr) == 0);
  unlink(name);
}

OpenFolder::OpenFolder() {
  char name[] = "/tmp/postern-test-XXXXXX";
  POSTERN_CHECK(mkdtemp(name) != nullptr && chmod(name, 0755) == 0);
  path_ = name;
}

OpenFolder::~OpenFolder() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

std::string OpenFolder::file(const std::string& name, const std::string& text, mode_t mode) const {
  const std::string path = path_ + "/" + name;
  std::filesystem::create_directories(std::filesystem::path(path).parent_path());
  std::ofstream(path) << text;
  POSTERN_CHECK(chmod(path.c_str(), mode) == 0);
  return path;
}

}  // namespace postern::test

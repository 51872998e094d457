// The last steps before the command: a process gives up its ids, its rights and its descriptors.
#include "resolver/sandbox/command_exec.h"

#include <asm/termbits.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>

#include <asm/ioctls.h>

#include "resolver/sandbox/command_lookup.h"
#include "resolver/sandbox/command_message.h"
#include "resolver/sandbox/mounts.h"

namespace postern {
namespace {

// As a shell says it (POSIX XCU 2.8.2).
constexpr int status_not_executable = 126, status_not_found = 127;

// The last capability that a header may not know yet: the kernel answers EINVAL past its own last one.
constexpr int capability_numbers = 64;

tl::unexpected<Error> refused(const char* attempt) {
  return failure(std::string("cannot ") + attempt + " for the command: " + std::strerror(errno));
}

void say(const std::string& text) {
  const std::string line = "postern run: " + text + "\n";
  [[maybe_unused]] const ssize_t written =
      write(STDERR_FILENO, line.data(), line.size());  // nobody else to tell
}

Result<void> drop_rights(const IdPlan& plan) {
  // In the new user namespace this process has every capability: first what needs them.
  for (int capability = 0; capability < capability_numbers; ++capability) {
    if (prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) != 0 && errno != EINVAL)
      return refused("empty the capability bounding set");
  }
  if (syscall(SYS_setresgid, plan.shown_gid, plan.shown_gid, plan.shown_gid) != 0)
    return refused("set the group id");
  if (syscall(SYS_setresuid, plan.shown_uid, plan.shown_uid, plan.shown_uid) != 0)
    return refused("set the user id");
  if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) != 0)
    return refused("clear the ambient capabilities");
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  std::array<__user_cap_data_struct, _LINUX_CAPABILITY_U32S_3> none{};
  if (syscall(SYS_capset, &header, none.data()) != 0) return refused("clear the capabilities");
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return refused("set no_new_privs");
  return {};
}

// What namespaces and ids leave open, and no more: a long list breaks programs and is not what keeps the
// command in.
//
//   ioctl TIOCSTI, TIOCLINUX
//       the command shares the caller's terminal; these type into it, for the caller's shell to run
//   add_key, request_key, keyctl
//       keyrings are inherited, and possession passes for permission
//   socket() of other families than unix, inet, inet6, netlink
//       AF_VSOCK and its like belong to no network namespace: a way out
//   io_uring
//       makes sockets without socket()
//
// 32-bit system calls would pass by all this, so they are not served: such a program ends with SIGSYS.
Result<void> install_filter() {
  scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
  if (filter == nullptr) return failure("cannot create the command's system call filter: out of memory");
  struct Release {
    scmp_filter_ctx filter;
    ~Release() { seccomp_release(filter); }
  } release{filter};

  int error = seccomp_attr_set(filter, SCMP_FLTATR_CTL_NNP, 0);  // set already
  if (error == 0) error = seccomp_attr_set(filter, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
  // The kernel looks at the low 32 bits of an ioctl request only; so must the filter (CVE-2019-10063).
  constexpr std::uint64_t low_half = 0xffffffff;
  for (const std::uint64_t request : {std::uint64_t{TIOCSTI}, std::uint64_t{TIOCLINUX}}) {
    if (error == 0) {
      error = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(ioctl), 1,
                               SCMP_A1(SCMP_CMP_MASKED_EQ, low_half, request));
    }
  }
  for (const int number :
       {SCMP_SYS(add_key), SCMP_SYS(request_key), SCMP_SYS(keyctl), SCMP_SYS(io_uring_setup)}) {
    if (error == 0)
      error = seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), number, 0);  // as a kernel without them
  }
  for (unsigned family = 3; family < AF_NETLINK; ++family) {  // 1 is AF_UNIX, 2 AF_INET
    if (family == AF_INET6 || error != 0) continue;
    error = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EAFNOSUPPORT), SCMP_SYS(socket), 1,
                             SCMP_A0(SCMP_CMP_EQ, family));
  }
  // 64 bits are compared here, so that a family with anything in its upper half is refused as well.
  if (error == 0) {
    error = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EAFNOSUPPORT), SCMP_SYS(socket), 1,
                             SCMP_A0(SCMP_CMP_GT, static_cast<scmp_datum_t>(AF_NETLINK)));
  }
  if (error == 0) error = seccomp_load(filter);
  if (error != 0)
    return failure(std::string("cannot install the command's system call filter: ") + std::strerror(-error));
  return {};
}

// Handlers become defaults at exec; what is *ignored* stays so, and only for these is that the caller's wish
// (nohup, a shell's background job): Postern itself ignores SIGPIPE, for one.
void restore_signals() {
  for (int number = 1; number <= SIGRTMAX; ++number) {
    struct sigaction now {};
    if (sigaction(number, nullptr, &now) != 0 || now.sa_handler == SIG_DFL) continue;
    const bool callers = number == SIGHUP || number == SIGINT || number == SIGQUIT || number == SIGTSTP ||
                         number == SIGTTIN || number == SIGTTOU;
    if (callers && now.sa_handler == SIG_IGN) continue;
    struct sigaction standard {};
    standard.sa_handler = SIG_DFL;
    sigaction(number, &standard, nullptr);
  }
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
}

std::string* find_variable(std::vector<std::string>& environment, std::string_view name) {
  for (std::string& entry : environment) {
    if (entry.size() > name.size() && entry[name.size()] == '=' && entry.starts_with(name)) return &entry;
  }
  return nullptr;
}

std::string value_of(std::vector<std::string>& environment, std::string_view name,
                     std::string_view otherwise) {
  const std::string* entry = find_variable(environment, name);
  return entry != nullptr ? entry->substr(name.size() + 1) : std::string(otherwise);
}

// The working folder and HOME as the command may use them; returns what was changed.
std::vector<std::string> settle_in(const ExecOrders& orders, std::vector<std::string>& environment) {
  std::vector<std::string> notes;
  // By name, even if nothing changes: the folder held so far may lie below a cover.
  if (orders.folder.empty() || chdir(orders.folder.c_str()) != 0) {
    notes.push_back("the working folder \"" + orders.folder + "\" cannot be used by the command (" +
                    std::strerror(errno) + "); it starts in /");
    if (chdir("/") != 0) notes.push_back(std::string("nor can /: ") + std::strerror(errno));
    if (std::string* pwd = find_variable(environment, "PWD")) *pwd = "PWD=/";
  }
  if (std::string* home = find_variable(environment, "HOME")) {
    const std::string path = home->substr(5);
    if (faccessat(AT_FDCWD, path.c_str(), R_OK | W_OK | X_OK, AT_EACCESS) != 0) {
      notes.push_back("HOME=" + path + " cannot be used by the command; it gets HOME=" + private_home +
                      ", which is empty and vanishes with it");
      *home = std::string("HOME=") + private_home;
    }
  }
  return notes;
}

// Why the command cannot be executed, and the status that a shell would give.
int explain_failure(const ExecOrders& orders, const IdPlan& plan, const FoundProgram& found) {
  const std::string& name = orders.argv[0];
  const std::string& wanted = orders.program_of_caller;
  // The caller could have executed it, the command cannot: the other user id is the reason, or something is
  // hidden.
  if (!wanted.empty()) {
    const std::string barrier = first_barrier(wanted);
    if (!barrier.empty()) {
      std::string line = "cannot execute \"" + wanted + "\": Permission denied: ";
      if (plan.record_protected) {
        line += "the command runs as another user than you (id " + std::to_string(plan.command_uid) +
                (plan.sudo ? ", who called sudo), and that user"
                           : "), so that the record is out of its reach, and that user");
      } else {
        line += "the command has none of your other groups and capabilities, and so";
      }
      say(line + " may not use \"" + barrier + "\"");
      return status_not_executable;
    }
    if (access(wanted.c_str(), F_OK) != 0 && (errno == ENOENT || errno == ENOTDIR)) {
      say("cannot execute \"" + wanted +
          "\": it lies in a folder that is hidden from sandboxes (as /run is)");
      return status_not_found;
    }
  }
  if (found.error == EACCES) {
    say("cannot execute \"" + (found.seen.empty() ? name : found.seen) + "\": Permission denied");
    return status_not_executable;
  }
  say("cannot execute \"" + name +
      "\": " + (name.find('/') == std::string::npos ? "command not found" : "no such file"));
  return status_not_found;
}

std::vector<char*> pointers(std::vector<std::string>& strings) {
  std::vector<char*> out;
  for (std::string& text : strings) out.push_back(text.data());
  out.push_back(nullptr);
  return out;
}

[[noreturn]] void execute(std::vector<std::string> argv, std::vector<std::string> environment,
                          const std::string& program) {
  execve(program.c_str(), pointers(argv).data(), pointers(environment).data());
  int error = errno;
  if (error == ENOEXEC) {  // a script without "#!": the shell's, as execvp has it
    std::vector<std::string> shell = {"/bin/sh", program};
    shell.insert(shell.end(), argv.begin() + 1, argv.end());
    execve("/bin/sh", pointers(shell).data(), pointers(environment).data());
    error = errno;
  }
  // The file was there a moment ago, so ENOENT speaks of its interpreter.
  say("cannot execute \"" + program +
      "\": " + (error == ENOENT ? "its interpreter does not exist" : std::strerror(error)));
  _exit(status_not_executable);
}

struct Settled {
  std::vector<std::string> environment;
  std::vector<std::string> notes;
  FoundProgram found;
};

Result<Settled> become_user(const ExecOrders& orders, const IdPlan& plan, int socket) {
  // The caller's groups, if they can be given up at all (see write_maps).
  if (plan.way != IdPlan::Way::single && setgroups(0, nullptr) != 0)
    return refused("clear the supplementary groups");
  // While still root of the init's namespace: systems that deny user namespaces to the unprivileged (Ubuntu)
  // allow this one.
  if (unshare(CLONE_NEWUSER) != 0) return refused("create the inner user namespace");
  if (Result<void> sent = send_message(socket, Step::unshared); !sent) return tl::unexpected(sent.error());
  if (Result<Message> mapped = receive_message(socket, Step::mapped); !mapped)
    return tl::unexpected(mapped.error());
  if (Result<void> dropped = drop_rights(plan); !dropped) return tl::unexpected(dropped.error());

  Settled settled;
  settled.environment = orders.environment;
  settled.notes = settle_in(orders, settled.environment);
  settled.found = find_program(orders.argv[0], value_of(settled.environment, "PATH", default_search_path));
  restore_signals();
  if (Result<void> filtered = install_filter(); !filtered) return tl::unexpected(filtered.error());
  return settled;
}

}  // namespace

std::vector<std::string> command_environment(const char* const* environment, const IdPlan& plan) {
  static constexpr std::string_view removed[] = {"LOCALDOMAIN",
                                                 "RES_OPTIONS",
                                                 "HOSTALIASES",
                                                 "XDG_RUNTIME_DIR",
                                                 "DBUS_SESSION_BUS_ADDRESS",
                                                 "DBUS_SYSTEM_BUS_ADDRESS",
                                                 "SSH_AUTH_SOCK"};
  std::vector<std::string> out;
  for (; *environment != nullptr; ++environment) {
    const std::string_view entry = *environment;
    const std::string_view name = entry.substr(0, entry.find('='));
    bool keep = true;
    for (const std::string_view other : removed) keep = keep && name != other;
    if (keep) out.emplace_back(entry);
  }
  const passwd* user = plan.sudo ? getpwuid(plan.command_uid) : nullptr;
  if (user != nullptr) {
    const std::pair<const char*, const char*> own[] = {
        {"HOME", user->pw_dir}, {"USER", user->pw_name}, {"LOGNAME", user->pw_name}};
    for (const auto& [name, value] : own) {
      if (std::string* entry = find_variable(out, name)) *entry = std::string(name) + "=" + value;
    }
  }
  return out;
}

void become_command(const ExecOrders& orders, const IdPlan& plan, int socket) {
  // Everything but the three standard descriptors and, until exec, the way to the init.
  constexpr int kept = 3;
  if (socket != kept && dup3(socket, kept, O_CLOEXEC) < 0) _exit(status_not_executable);
  if (close_range(kept + 1, ~0U, 0) != 0) _exit(status_not_executable);

  Result<Settled> settled = become_user(orders, plan, kept);
  if (!settled) {
    [[maybe_unused]] const auto sent = send_message(kept, Step::error, settled.error().message);
    _exit(status_not_executable);
  }
  if (!send_message(kept, Step::prepared, settled->found.path)) _exit(status_not_executable);
  if (!receive_message(kept, Step::go)) _exit(status_not_executable);
  if (!orders.quiet) {
    for (const std::string& note : settled->notes) say(note);
  }
  if (settled->found.path.empty()) _exit(explain_failure(orders, plan, settled->found));
  execute(orders.argv, std::move(settled->environment), settled->found.path);
}

}  // namespace postern

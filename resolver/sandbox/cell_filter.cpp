// The cell's system call filter (seccomp): what the resolver process may still ask of the kernel.
//
// A list of what is allowed rather than of what is forbidden: the kernel gets new calls each year (io_uring
// came that way), and a list of bad ones is out of date on the day it is written. What a server with threads,
// epoll, SQLite and C++ needs on descriptors that it was given is allowed; everything else is EPERM, but for
// two kinds that are ENOSYS, because a C library that tries a newer call first goes back to the older one on
// ENOSYS only: clone3 (its flags are behind a pointer, where no filter can look), and calls that are younger
// than this list. Numbers of another architecture or ABI (i386, x32) kill the process: nothing here makes
// them.
#include <fcntl.h>
#include <linux/sched.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <seccomp.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <termios.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <initializer_list>
#include <memory>

#include "resolver/sandbox/cell_parts.h"

namespace postern {
namespace {

// By name: a name that this architecture, or this libseccomp, does not have is passed over, which leaves it
// forbidden.
constexpr const char* allowed[] = {
    // descriptors that we hold
    "read",
    "write",
    "readv",
    "writev",
    "pread64",
    "pwrite64",
    "preadv",
    "pwritev",
    "preadv2",
    "pwritev2",
    "close",
    "close_range",
    "dup",
    "dup2",
    "dup3",
    "lseek",
    "_llseek",
    "fstat",
    "fstat64",
    "poll",
    "ppoll",
    "select",
    "pselect6",
    "epoll_create1",
    "epoll_ctl",
    "epoll_wait",
    "epoll_pwait",
    "epoll_pwait2",
    "eventfd2",
    "timerfd_create",
    "timerfd_settime",
    "timerfd_gettime",
    "pipe",
    "pipe2",
    "ftruncate",
    "ftruncate64",
    "fallocate",
    "fsync",
    "fdatasync",
    "fadvise64",
    "flock",
    "fchmod",
    "fchown",
    "getdents64",
    // files below the state folder, which is all that there is
    "open",
    "openat",
    "stat",
    "stat64",
    "lstat",
    "lstat64",
    "newfstatat",
    "fstatat64",
    "statx",
    "access",
    "faccessat",
    "faccessat2",
    "unlink",
    "unlinkat",
    "rename",
    "renameat",
    "renameat2",
    "mkdir",
    "mkdirat",
    "rmdir",
    "readlink",
    "readlinkat",
    "getcwd",
    "statfs",
    "statfs64",
    "fstatfs",
    "fstatfs64",
    "utimensat",
    "umask",
    // sockets that we were given: no new ones, no new ends
    "accept",
    "accept4",
    "recvfrom",
    "recvmsg",
    "recvmmsg",
    "sendmsg",
    "sendmmsg",
    "send",
    "recv",
    "getsockname",
    "getpeername",
    "getsockopt",
    "shutdown",
    // memory (mmap and mprotect: below)
    "brk",
    "munmap",
    "mremap",
    "madvise",
    "msync",
    "mincore",
    "mlock",
    "munlock",
    "membarrier",
    // threads and time (clone: below)
    "futex",
    "futex_waitv",
    "set_robust_list",
    "get_robust_list",
    "rseq",
    "set_tid_address",
    "arch_prctl",
    "sched_yield",
    "sched_getaffinity",
    "gettid",
    "getpid",
    "getppid",
    "exit",
    "exit_group",
    "restart_syscall",
    "nanosleep",
    "clock_nanosleep",
    "clock_gettime",
    "clock_getres",
    "gettimeofday",
    "time",
    "times",
    "getcpu",
    // signals to ourselves (tgkill: below)
    "rt_sigaction",
    "rt_sigprocmask",
    "rt_sigreturn",
    "rt_sigtimedwait",
    "rt_sigpending",
    "rt_sigsuspend",
    "sigaltstack",
    // who we are, what there is
    "getuid",
    "geteuid",
    "getgid",
    "getegid",
    "getresuid",
    "getresgid",
    "getgroups",
    "uname",
    "sysinfo",
    "getrusage",
    "getrlimit",
    "getrandom",
};

// Calls younger than this list: Linux 6.0 ended at 450, on all architectures alike, and some five are added a
// year.
constexpr int first_unknown = 451, last_unknown = 700;

struct Option {
  int level, name;
};
// What a connection may be tuned by. SO_REUSEADDR and SO_REUSEPORT are not here (listeners.cpp says why), nor
// is whatever takes a program (SO_ATTACH_*) or opens another part of the kernel (TCP_ULP, TCP_REPAIR,
// netfilter).
constexpr Option socket_options[] = {
    {SOL_SOCKET, SO_RCVBUF},      {SOL_SOCKET, SO_SNDBUF},          {SOL_SOCKET, SO_KEEPALIVE},
    {SOL_SOCKET, SO_LINGER},      {SOL_SOCKET, SO_RCVTIMEO},        {SOL_SOCKET, SO_SNDTIMEO},
    {SOL_SOCKET, SO_TIMESTAMP},   {SOL_SOCKET, SO_TIMESTAMPNS},     {SOL_SOCKET, SO_PASSCRED},
    {SOL_SOCKET, SO_RCVLOWAT},    {SOL_SOCKET, SO_BUSY_POLL},       {IPPROTO_TCP, TCP_NODELAY},
    {IPPROTO_TCP, TCP_QUICKACK},  {IPPROTO_TCP, TCP_CORK},          {IPPROTO_TCP, TCP_KEEPIDLE},
    {IPPROTO_TCP, TCP_KEEPINTVL}, {IPPROTO_TCP, TCP_KEEPCNT},       {IPPROTO_TCP, TCP_USER_TIMEOUT},
    {IPPROTO_IP, IP_PKTINFO},     {IPPROTO_IPV6, IPV6_RECVPKTINFO},
};

// Locks (SQLite), flags, copies. Not F_SETOWN and F_SETSIG, which send signals to whoever they name.
constexpr int file_controls[] = {F_DUPFD,     F_DUPFD_CLOEXEC, F_GETFD,    F_SETFD,  F_GETFL,
                                 F_SETFL,     F_GETLK,         F_SETLK,    F_SETLKW, F_OFD_GETLK,
                                 F_OFD_SETLK, F_OFD_SETLKW,    F_GET_SEALS};

// How much is there to read, nonblocking on or off, is it a terminal. Not TIOCSTI, which types for the user.
constexpr unsigned long device_controls[] = {FIONBIO, FIONREAD, TCGETS, TIOCGWINSZ, TIOCOUTQ};

constexpr int process_controls[] = {
    PR_SET_NAME,         PR_GET_NAME,     PR_GET_DUMPABLE, PR_GET_SECCOMP,
    PR_GET_NO_NEW_PRIVS, PR_CAPBSET_READ, 0x53564d41 /* PR_SET_VMA: names for anonymous memory */};

class Rules {
 public:
  explicit Rules(scmp_filter_ctx filter) : filter_(filter) {}

  void allow(const char* name, std::initializer_list<scmp_arg_cmp> arguments = {}) {
    const int number = seccomp_syscall_resolve_name(name);
    if (number == __NR_SCMP_ERROR) return;  // younger than this libseccomp: stays forbidden
    add(SCMP_ACT_ALLOW, number, arguments);
  }
  void unknown(int number) { add(SCMP_ACT_ERRNO(ENOSYS), number, {}); }
  int first_error() const { return first_error_; }

 private:
  void add(std::uint32_t action, int number, std::initializer_list<scmp_arg_cmp> arguments) {
    const auto count = static_cast<unsigned>(arguments.size());
    const int result = seccomp_rule_add_array(filter_, action, number, count, arguments.begin());
    if (result < 0 && result != -EDOM && first_error_ == 0)
      first_error_ = -result;  // EDOM: not of this architecture
  }

  scmp_filter_ctx filter_;
  int first_error_ = 0;
};

// Arguments are compared as 64 bits, but where the kernel takes an int the upper half is not looked at by it:
// the comparison therefore masks it away, or an attacker sets a bit there and the comparison fails open or
// closed at will.
scmp_arg_cmp int_is(unsigned argument, std::uint64_t value) {
  return {argument, SCMP_CMP_MASKED_EQ, 0xffffffffU, value & 0xffffffffU};
}

// Streams and datagrams of the internet, nothing raw, nothing local, no netlink: and no listening.
void add_courier_rules(Rules& rules) {
  constexpr std::uint64_t kind_mask = 0xf;  // SOCK_CLOEXEC and SOCK_NONBLOCK are above it
  for (const int family : {AF_INET, AF_INET6}) {
    for (const int kind : {SOCK_STREAM, SOCK_DGRAM})
      rules.allow("socket", {int_is(0, static_cast<std::uint64_t>(family)),
                             {1, SCMP_CMP_MASKED_EQ, kind_mask, static_cast<std::uint64_t>(kind)}});
  }
  rules.allow("connect");
  // The C library's resolver asks to hear that a nameserver is not there.
  rules.allow("setsockopt", {int_is(1, IPPROTO_IP), int_is(2, IP_RECVERR)});
  rules.allow("setsockopt", {int_is(1, IPPROTO_IPV6), int_is(2, IPV6_RECVERR)});
}

void add_rules(Rules& rules) {
  for (const char* name : allowed) rules.allow(name);
  rules.unknown(SCMP_SYS(clone3));
  for (int number = first_unknown; number <= last_unknown; ++number) rules.unknown(number);

  // A new thread of this process: with CLONE_THREAD, without namespaces. The first argument holds the flags
  // on every architecture that Debian 12 releases but s390x, where this leaves threads forbidden, loudly.
  constexpr std::uint64_t namespaces = CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC |
                                       CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET;
  constexpr std::uint64_t thread = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD;
  rules.allow("clone", {{0, SCMP_CMP_MASKED_EQ, namespaces | thread, thread}});

  // No memory that is both ours to write and executable, nor becomes so: injected code stays data.
  for (const char* name : {"mmap", "mmap2", "mprotect"})
    rules.allow(name, {{2, SCMP_CMP_MASKED_EQ, PROT_EXEC, 0}});

  const auto self = static_cast<std::uint64_t>(getpid());
  rules.allow("tgkill", {int_is(0, self)});  // abort() and raise()
  // What are my limits: own process, and no new values.
  rules.allow("prlimit64", {int_is(0, 0), {2, SCMP_CMP_EQ, 0, 0}});
  rules.allow("prlimit64", {int_is(0, self), {2, SCMP_CMP_EQ, 0, 0}});
  // send(): to where the socket is connected. A destination can still be given to sendmsg, behind a pointer
  // (docs/THREATS.md).
  rules.allow("sendto", {{4, SCMP_CMP_EQ, 0, 0}});

  for (const Option& option : socket_options) {
    rules.allow("setsockopt", {int_is(1, static_cast<std::uint64_t>(option.level)),
                               int_is(2, static_cast<std::uint64_t>(option.name))});
  }
  for (const char* name : {"fcntl", "fcntl64"}) {
    for (const int control : file_controls)
      rules.allow(name, {int_is(1, static_cast<std::uint64_t>(control))});
  }
  for (const unsigned long control : device_controls) rules.allow("ioctl", {int_is(1, control)});
  for (const int control : process_controls)
    rules.allow("prctl", {int_is(0, static_cast<std::uint64_t>(control))});
}

}  // namespace

Result<void> filter_system_calls(Inmate who) {
  const auto bad = [](const std::string& what, int number) {
    return failure("cannot enter the cell: " + what + ": " + std::strerror(number));
  };
  const std::unique_ptr<void, void (*)(void*)> filter(seccomp_init(SCMP_ACT_ERRNO(EPERM)),
                                                      [](void* f) { seccomp_release(f); });
  if (!filter) return bad("create a system call filter", ENOMEM);
  if (const int error = seccomp_attr_set(filter.get(), SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
      error < 0) {
    return bad("forbid foreign system calls", -error);
  }
  // One tree over the call's number instead of a list of some 150 comparisons in front of every recvmmsg.
  if (const int error = seccomp_attr_set(filter.get(), SCMP_FLTATR_CTL_OPTIMIZE, 2); error < 0) {
    return bad("arrange the system call filter", -error);
  }
  // All threads: sanitizers start one of their own before main.
  if (const int error = seccomp_attr_set(filter.get(), SCMP_FLTATR_CTL_TSYNC, 1); error < 0) {
    return bad("put the filter on all threads", -error);
  }
  Rules rules(filter.get());
  add_rules(rules);
  if (who == Inmate::courier) add_courier_rules(rules);
  if (rules.first_error() != 0) return bad("write the system call filter", rules.first_error());
  if (const int error = seccomp_load(filter.get()); error < 0)
    return bad("load the system call filter", -error);
  return {};
}

}  // namespace postern

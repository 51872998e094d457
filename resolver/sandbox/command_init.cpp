// Pid 1 of a sandbox: sets it up, starts the command in it, reaps, and ends as the command ends.
#include "resolver/sandbox/command_init.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <csignal>
#include <cstring>

#include "resolver/sandbox/command_message.h"
#include "resolver/sandbox/mounts.h"

namespace postern {
namespace {

constexpr int status_failed = 125;  // of the init itself; the supervisor has been told why

// When a vanished cover on resolv.conf is looked at again after a change of mounts. rename(2) detaches the
// cover first and moves the new file there afterwards, so that the first look may come too early: the old
// file is still there, and is no place to mount upon. After a failure the pause doubles, up to the longest.
constexpr int first_look_again_ms = 10, longest_look_again_ms = 1000;

tl::unexpected<Error> refused(const char* attempt) {
  return failure(std::string("cannot ") + attempt + ": " + std::strerror(errno));
}

Result<void> raise_loopback() {
  const Fd any(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!any) return refused("open a socket to bring loopback up");
  ifreq request{};
  std::strcpy(request.ifr_name, "lo");
  if (ioctl(any.get(), SIOCGIFFLAGS, &request) != 0) return refused("read the flags of \"lo\"");
  request.ifr_flags = static_cast<short>(request.ifr_flags | IFF_UP);
  if (ioctl(any.get(), SIOCSIFFLAGS, &request) != 0) return refused("bring \"lo\" up");
  return {};
}

// in6_ifreq of linux/ipv6.h, which does not go together with netinet/in.h.
struct Ipv6Request {
  in6_addr address{};
  std::uint32_t prefix_length = 128;
  int interface = 0;
};

// With loopback addresses alone, getaddrinfo finds nothing for programs that ask for one family and say
// AI_ADDRCONFIG. So `lo` bears an address of each that is nobody's: the IPv4 dummy address (RFC 7600) and one
// of the discard-only prefix (RFC 6666). Nothing can be reached from them.
Result<void> add_dummy_addresses() {
  const Fd any(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!any) return refused("open a socket to add an address");
  ifreq request{};
  std::strcpy(request.ifr_name, "lo:0");
  sockaddr_in four{};
  four.sin_family = AF_INET;
  four.sin_addr.s_addr = htonl(0xc0000008);  // 192.0.0.8
  std::memcpy(&request.ifr_addr, &four, sizeof four);
  if (ioctl(any.get(), SIOCSIFADDR, &request) != 0) return refused("add 192.0.0.8 to \"lo\"");
  const Fd six(socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!six) return {};  // a kernel without IPv6
  Ipv6Request address;
  address.address.s6_addr[0] = 0x01;  // 100::8
  address.address.s6_addr[15] = 0x08;
  std::strcpy(request.ifr_name, "lo");
  if (ioctl(six.get(), SIOCGIFINDEX, &request) != 0) return refused("find \"lo\"");
  address.interface = request.ifr_ifindex;
  // EACCES, EADDRNOTAVAIL: IPv6 is switched off here; a program that asks for it alone has none.
  if (ioctl(six.get(), SIOCSIFADDR, &address) != 0 && errno != EACCES && errno != EADDRNOTAVAIL)
    return refused("add 100::8 to \"lo\"");
  return {};
}

// Without a `search` line, glibc searches the host name's own domain (resolv.conf(5)): leave it none.
Result<void> shorten_host_name() {
  char name[HOST_NAME_MAX + 1] = {};
  if (gethostname(name, sizeof name - 1) != 0) return refused("read the host name");
  const char* dot = std::strchr(name, '.');
  if (dot == nullptr) return {};
  if (sethostname(name, static_cast<std::size_t>(dot - name)) != 0) return refused("shorten the host name");
  return {};
}

// As pid 1, what is at its default is ignored; a handler of the supervisor's would be a way to disturb us.
void reset_handlers() {
  for (int number = 1; number <= SIGRTMAX; ++number) {
    struct sigaction now {};
    if (sigaction(number, nullptr, &now) != 0 || now.sa_handler == SIG_DFL) continue;
    if (now.sa_handler == SIG_IGN && number != SIGCHLD) continue;  // the command may inherit it
    struct sigaction standard {};
    standard.sa_handler = SIG_DFL;
    sigaction(number, &standard, nullptr);
  }
}

// CAP_SYS_ADMIN stays, for the cover on resolv.conf.
Result<void> drop_other_rights() {
  constexpr int capability_numbers = 64;  // the kernel answers EINVAL past its own last one
  for (int capability = 0; capability < capability_numbers; ++capability) {
    if (prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) != 0 && errno != EINVAL)
      return refused("empty init's bounding set");
  }
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  std::array<__user_cap_data_struct, _LINUX_CAPABILITY_U32S_3> keep{};
  keep[0].effective = keep[0].permitted = 1U << CAP_SYS_ADMIN;
  if (syscall(SYS_capset, &header, keep.data()) != 0) return refused("drop init's capabilities");
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return refused("set init's no_new_privs");
  if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0) return refused("make init not dumpable");
  return {};
}

struct Started {
  pid_t command = -1;
  Fd socket;  // to the command
};

Result<Started> set_up(const InitOrders& orders, const IdPlan& plan, int supervisor) {
  if (Result<void> up = raise_loopback(); !up) return tl::unexpected(up.error());
  if (Result<void> added = add_dummy_addresses(); !added) return tl::unexpected(added.error());
  Result<Listeners> listeners = open_listeners(orders.listen_port);
  if (!listeners) return tl::unexpected(listeners.error());
  if (Result<void> named = shorten_host_name(); !named) return tl::unexpected(named.error());
  const MountPlan mounts{orders.hide, plan.inner_uid(), plan.inner_gid()};
  if (Result<void> arranged = arrange_mounts(mounts); !arranged) return tl::unexpected(arranged.error());

  Fd ours, theirs;
  if (Result<void> pair = make_pair(ours, theirs); !pair) return tl::unexpected(pair.error());
  const pid_t command = fork();
  if (command < 0) return refused("start the command's process");
  if (command == 0) become_command(orders.exec, plan, theirs.get());
  theirs.reset();
  if (Result<Message> unshared = receive_message(ours.get(), Step::unshared); !unshared)
    return tl::unexpected(unshared.error());
  if (Result<void> mapped = write_inner_maps(plan, command); !mapped) return tl::unexpected(mapped.error());
  if (Result<void> sent = send_message(ours.get(), Step::mapped); !sent) return tl::unexpected(sent.error());
  const Result<Message> prepared = receive_message(ours.get(), Step::prepared);
  if (!prepared) return tl::unexpected(prepared.error());

  // By number: glibc 2.36 declares pidfd_open without extern "C".
  const Fd pidfd(static_cast<int>(syscall(SYS_pidfd_open, command, 0)));
  if (!pidfd) return refused("open a descriptor of the command's process");
  const ReadyText ready{listeners->netns_dev, listeners->netns_ino, listeners->ipv6};
  const std::string text = std::string(reinterpret_cast<const char*>(&ready), sizeof ready) + prepared->text;
  if (Result<void> sent =
          send_message(supervisor, Step::listening, {}, {listeners->udp.get(), listeners->tcp.get()});
      !sent)
    return tl::unexpected(sent.error());
  // Before `ready`: a daemon that is handed the namespace binds the same port.
  listeners->udp.reset();
  listeners->tcp.reset();
  if (Result<void> sent = send_message(supervisor, Step::ready, text, {pidfd.get()}); !sent)
    return tl::unexpected(sent.error());
  return Started{command, std::move(ours)};
}

// Reaps until the command has ended; then the kernel kills what is left.
[[noreturn]] void reap(pid_t command, const Fd& children, const Fd& mounts) {
  int pause_ms = first_look_again_ms;  // the host may have replaced its file before `mounts` was opened
  for (;;) {
    int status;
    pid_t pid;
    while ((pid = waitpid(-1, &status, WNOHANG | __WALL)) > 0) {
      if (pid != command) continue;
      _exit(WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status));
    }
    if (pid < 0 && errno == ECHILD) _exit(status_failed);  // cannot be: the command ends before it is gone
    pollfd waiting[2] = {{children.get(), POLLIN, 0}, {mounts.get(), POLLPRI, 0}};
    const int events = poll(waiting, 2, pause_ms);
    if (events < 0) continue;
    if ((waiting[0].revents & POLLIN) != 0) {
      signalfd_siginfo seen;
      [[maybe_unused]] const ssize_t size = read(children.get(), &seen, sizeof seen);
    }
    // If the host's new file cannot be covered, lookups go to an address that this namespace cannot reach.
    if ((waiting[1].revents & POLLPRI) != 0) {
      [[maybe_unused]] const auto early = cover_resolv_conf();
      pause_ms = first_look_again_ms;
    } else if (events == 0) {
      pause_ms = cover_resolv_conf() ? -1 : std::min(pause_ms * 2, longest_look_again_ms);
    }
  }
}

}  // namespace

void run_init(const InitOrders& orders, const IdPlan& plan, int socket) {
  // First of all: no descriptor of the supervisor's may get any closer to the command.
  constexpr int kept = 3;
  if (socket != kept && dup3(socket, kept, O_CLOEXEC) < 0) _exit(status_failed);
  if (close_range(kept + 1, ~0U, 0) != 0) _exit(status_failed);
  Fd supervisor(kept);
  prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0,
        0);                            // before the first receive: a supervisor that died earlier shows there
  prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);  // else /proc/PID/uid_map would not be the caller's to write
  prctl(PR_SET_NAME, "postern-init", 0, 0, 0);
  reset_handlers();
  sigset_t wanted;
  sigemptyset(&wanted);
  sigaddset(&wanted, SIGCHLD);
  sigprocmask(SIG_SETMASK, &wanted, nullptr);

  if (!send_message(supervisor.get(), Step::hello)) _exit(status_failed);
  if (!receive_message(supervisor.get(), Step::mapped)) _exit(status_failed);
  Result<Started> started = set_up(orders, plan, supervisor.get());
  Result<void> ready;
  const Fd children(signalfd(-1, &wanted, SFD_CLOEXEC | SFD_NONBLOCK));
  const Fd mounts(open("/proc/self/mountinfo", O_RDONLY | O_CLOEXEC));
  if (started) ready = drop_other_rights();
  if (!started || !ready || !children || !mounts) {
    const std::string why = !started ? started.error().message
                            : !ready ? ready.error().message
                                     : "cannot watch children and mounts";
    [[maybe_unused]] const auto sent = send_message(supervisor.get(), Step::error, why);
    _exit(status_failed);
  }
  // A reader or writer less on the caller's pipes: the command alone decides when they close in here.
  for (int fd = 0; fd < kept; ++fd) {
    const Fd null(open("/dev/null", O_RDWR | O_CLOEXEC));
    if (null) dup2(null.get(), fd);
  }
  if (!receive_message(supervisor.get(), Step::go)) _exit(status_failed);
  if (!send_message(started->socket.get(), Step::go)) {
    // The command's process has ended already (killed while it waited): reap tells how.
  }
  started->socket.reset();
  supervisor.reset();
  reap(started->command, children, mounts);
}

}  // namespace postern

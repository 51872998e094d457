// Network namespaces: opening, checking, entering and searching them.
#include "resolver/sandbox/netns.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <linux/nsfs.h>
#include <poll.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstring>
#include <map>
#include <memory>

#include "resolver/sandbox/broker_wire.h"

namespace postern {
namespace {

Fd open_pidfd(pid_t pid) {
  return Fd(static_cast<int>(syscall(SYS_pidfd_open, pid, 0)));
}

bool has_ended(const Fd& pidfd) {
  pollfd one{pidfd.get(), POLLIN, 0};
  return poll(&one, 1, 0) != 0;
}

NetnsId id_of(const struct stat& file) {
  return {file.st_dev, file.st_ino};
}

std::string process_path(pid_t pid) {
  return "/proc/" + std::to_string(pid) + "/ns/net";
}

}  // namespace

Result<Netns> current_netns() {
  Netns ns;
  ns.fd = Fd(open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC));
  struct stat file {};
  if (!ns.fd || fstat(ns.fd.get(), &file) != 0) {
    return failure(std::string("cannot open the own network namespace: ") + std::strerror(errno));
  }
  ns.id = id_of(file);
  return ns;
}

std::vector<NetnsId> host_netns() {
  std::vector<NetnsId> ids;
  for (const char* path : {"/proc/thread-self/ns/net", "/proc/1/ns/net"}) {
    struct stat file {};
    if (stat(path, &file) == 0) ids.push_back(id_of(file));
  }
  return ids;
}

Result<ProcessNetns> netns_of_process(pid_t pid) {
  const auto bad = [&](const std::string& why) {
    return failure("cannot attach to process " + std::to_string(pid) + ": " + why);
  };
  if (pid <= 0) return bad("a process id is greater than 0");
  ProcessNetns result;
  result.pidfd = open_pidfd(pid);
  if (!result.pidfd)
    return bad(errno == ESRCH || errno == EINVAL ? "there is no such process" : std::strerror(errno));
  result.ns.fd = Fd(open(process_path(pid).c_str(), O_RDONLY | O_CLOEXEC));
  struct stat file {};
  if (!result.ns.fd || fstat(result.ns.fd.get(), &file) != 0) {
    const int number = errno;
    if (number == EACCES || number == EPERM)
      return bad("its namespaces may not be looked at: Postern must run as root");
    return bad(std::string("cannot open its network namespace: ") + std::strerror(number));
  }
  // Had the process ended before the open, the number could already be another's.
  if (has_ended(result.pidfd)) return bad("it has ended");
  result.ns.id = id_of(file);
  return result;
}

Result<Netns> netns_at_path(const std::string& path, std::string& why) {
  const auto bad = [&](const std::string& reason) {
    why = reason;
    return failure("cannot attach to \"" + wire::printable(path) +
                   "\": there is no network namespace at that path");
  };
  const Fd found(open(path.c_str(), O_PATH | O_CLOEXEC));
  if (!found) return bad(std::strerror(errno));
  struct statfs system {};
  if (fstatfs(found.get(), &system) != 0) return bad(std::strerror(errno));
  if (system.f_type != NSFS_MAGIC) return bad("not on nsfs");
  Netns ns;
  ns.fd = Fd(open(("/proc/self/fd/" + std::to_string(found.get())).c_str(), O_RDONLY | O_CLOEXEC));
  struct stat file {};
  if (!ns.fd || fstat(ns.fd.get(), &file) != 0) return bad(std::strerror(errno));
  if (ioctl(ns.fd.get(), NS_GET_NSTYPE) != CLONE_NEWNET) return bad("a namespace of another type");
  ns.id = id_of(file);
  return ns;
}

std::optional<NetnsId> netns_id_at_path(const std::string& path) {
  struct stat file {};
  if (stat(path.c_str(), &file) != 0) return std::nullopt;
  return id_of(file);
}

Result<Listeners> listen_in(const Netns& target, const Netns& home, std::uint16_t port) {
  if (setns(target.fd.get(), CLONE_NEWNET) != 0) {
    if (errno == EPERM)
      return failure("cannot enter the network namespace: not permitted: Postern must run as root");
    return failure(std::string("cannot enter the network namespace: ") + std::strerror(errno));
  }
  Result<Listeners> listeners = open_listeners(port);
  // A broker that stayed in a sandbox would connect upstream sockets from there: rather none at all.
  POSTERN_CHECK(setns(home.fd.get(), CLONE_NEWNET) == 0);
  if (listeners) POSTERN_CHECK((NetnsId{listeners->netns_dev, listeners->netns_ino} == target.id));
  return listeners;
}

std::vector<Fd> processes_in(const std::vector<NetnsId>& wanted) {
  std::vector<Fd> found(wanted.size());
  std::multimap<NetnsId, std::size_t> missing;
  for (std::size_t i = 0; i < wanted.size(); ++i) missing.emplace(wanted[i], i);
  const std::unique_ptr<DIR, int (*)(DIR*)> proc(opendir("/proc"), closedir);
  while (proc && !missing.empty()) {
    const dirent* entry = readdir(proc.get());
    if (entry == nullptr) break;
    const std::string_view name = entry->d_name;
    pid_t pid = 0;
    const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), pid);
    if (error != std::errc{} || end != name.data() + name.size()) continue;
    const std::string path = process_path(pid);
    std::optional<NetnsId> id = netns_id_at_path(path);
    if (!id || !missing.contains(*id)) continue;
    Fd pidfd = open_pidfd(pid);
    if (!pidfd) continue;
    id = netns_id_at_path(path);  // again: now the pidfd holds whoever has the number
    if (!id || has_ended(pidfd)) continue;
    const auto at = missing.find(*id);
    if (at == missing.end()) continue;
    found[at->second] = std::move(pidfd);
    missing.erase(at);
  }
  return found;
}

}  // namespace postern

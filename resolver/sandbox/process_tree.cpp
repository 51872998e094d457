// Freezing and killing a pid namespace, by control group or by signals.
#include "resolver/sandbox/process_tree.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/nsfs.h>
#include <sys/ioctl.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <csignal>
#include <cstring>
#include <ctime>
#include <fstream>
#include <memory>
#include <set>
#include <sstream>

namespace postern {
namespace {

// Of the groups that `run` makes: only such a one is frozen or killed as a whole; any other may hold whoever.
constexpr std::string_view group_prefix = "postern-run-";
// Walks over /proc until no further process is found. A process that is being forked during one walk is seen
// by the next; more than a few mean that something makes processes faster than they can be stopped.
constexpr int most_walks = 64;
constexpr int most_pid_namespaces = 32;  // nested: the kernel's own limit

std::string proc_path(pid_t pid, const char* file) {
  return "/proc/" + std::to_string(pid) + "/" + file;
}

bool put_text(const std::string& path, std::string_view text) {
  const Fd file(open(path.c_str(), O_WRONLY | O_CLOEXEC));
  return file && write(file.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size());
}

// The value of a line "KEY:\tVALUE" of a file of /proc; empty: there is none.
std::string proc_line(const std::string& path, std::string_view key) {
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    if (!line.starts_with(key)) continue;
    const std::size_t value = line.find_first_not_of(" \t", key.size());
    return value == std::string::npos ? "" : line.substr(value);
  }
  return {};
}

pid_t pid_of(int pidfd) {
  const std::string text = proc_line("/proc/self/fdinfo/" + std::to_string(pidfd), "Pid:");
  pid_t pid = -1;
  std::from_chars(text.data(), text.data() + text.size(), pid);
  return pid;  // -1: it has ended, or is not of our pid namespace
}

// "1" in a namespace of its own, and some other number in ours.
bool is_first_of_its_namespace(pid_t pid) {
  std::istringstream numbers(proc_line(proc_path(pid, "status"), "NSpid:"));
  int count = 0, last = 0;
  for (int number = 0; numbers >> number; ++count) last = number;
  return count >= 2 && last == 1;
}

// Where the hierarchy of cgroup v2 can be seen, and which part of it.
struct GroupMount {
  std::string root, at;
};
std::optional<GroupMount> group_mount() {
  std::ifstream mounts("/proc/self/mountinfo");
  for (std::string line; std::getline(mounts, line);) {
    const std::size_t dash = line.find(" - ");
    if (dash == std::string::npos || line.compare(dash + 3, 8, "cgroup2 ") != 0) continue;
    std::istringstream fields(line);
    std::string skip, root, at;
    if (fields >> skip >> skip >> skip >> root >> at) return GroupMount{root, at};
  }
  return std::nullopt;
}

// The folder of a process's group; empty: there is none, or it cannot be seen.
std::string group_folder(const std::string& pid) {
  const auto mount = group_mount();
  if (!mount) return {};
  std::string path = proc_line("/proc/" + pid + "/cgroup", "0::");
  if (path.empty() || path.find("/..") != std::string::npos) return {};
  if (mount->root != "/") {
    if (!path.starts_with(mount->root)) return {};
    path.erase(0, mount->root.size());
  }
  return mount->at + (path == "/" ? "" : path);
}

bool is_command_group(const std::string& folder) {
  const std::size_t slash = folder.rfind('/');
  return slash != std::string::npos && std::string_view(folder).substr(slash + 1).starts_with(group_prefix);
}

struct NamespaceId {
  dev_t device = 0;
  ino_t inode = 0;
  bool operator==(const NamespaceId&) const = default;
};
std::optional<NamespaceId> id_of(int fd) {
  struct stat about {};
  if (fstat(fd, &about) != 0) return std::nullopt;
  return NamespaceId{about.st_dev, about.st_ino};
}

// Whether a process lives in the namespace, or in one below it.
bool lives_in(pid_t pid, const NamespaceId& wanted) {
  Fd space(open(proc_path(pid, "ns/pid").c_str(), O_RDONLY | O_CLOEXEC));
  for (int level = 0; space && level < most_pid_namespaces; ++level) {
    const auto id = id_of(space.get());
    if (!id || *id == wanted) return id.has_value();
    space = Fd(ioctl(space.get(), NS_GET_PARENT));
  }
  return false;
}

// To each process once, those that appear meanwhile included.
Result<void> signal_all(pid_t init, int number) {
  const Fd space(open(proc_path(init, "ns/pid").c_str(), O_RDONLY | O_CLOEXEC));
  const auto wanted = space ? id_of(space.get()) : std::nullopt;
  if (!wanted) return failure(std::string("its pid namespace cannot be looked at: ") + std::strerror(errno));
  std::set<pid_t> done;
  for (int walk = 0; walk < most_walks; ++walk) {
    const std::unique_ptr<DIR, int (*)(DIR*)> folder(opendir("/proc"), closedir);
    if (!folder) return failure(std::string("cannot walk /proc: ") + std::strerror(errno));
    bool found = false;
    while (const dirent* entry = readdir(folder.get())) {
      pid_t pid = 0;
      const char* end = entry->d_name + std::strlen(entry->d_name);
      if (const auto read = std::from_chars(entry->d_name, end, pid); read.ptr != end || pid <= 0) continue;
      if (done.contains(pid) || !lives_in(pid, *wanted)) continue;
      const Fd process(static_cast<int>(syscall(SYS_pidfd_open, pid, 0)));
      if (!process || !lives_in(pid, *wanted)) continue;  // ended; the number may be another's by now
      if (syscall(SYS_pidfd_send_signal, process.get(), number, nullptr, 0) != 0 && errno != ESRCH)
        return failure("process " + std::to_string(pid) + " cannot be signalled: " + std::strerror(errno));
      done.insert(pid);
      found = true;
    }
    if (!found) return {};
  }
  return failure("it makes processes faster than they can be stopped");
}

// Groups that a killed `run` has left behind, of which nobody is left. A young one may belong to a `run` that
// is about to move its command in; one with processes the kernel keeps.
void remove_left_groups(const std::string& folder) {
  constexpr std::time_t young_s = 60;
  const std::unique_ptr<DIR, int (*)(DIR*)> listing(opendir(folder.c_str()), closedir);
  if (!listing) return;
  while (const dirent* const entry = readdir(listing.get())) {
    if (!std::string_view(entry->d_name).starts_with(group_prefix)) continue;
    struct stat info;
    const int dir = dirfd(listing.get());
    if (fstatat(dir, entry->d_name, &info, AT_SYMLINK_NOFOLLOW) == 0 &&
        std::time(nullptr) - info.st_mtime > young_s)
      unlinkat(dir, entry->d_name, AT_REMOVEDIR);
  }
}

}  // namespace

Result<void> act_on_tree(int init, TreeAction action) {
  const pid_t pid = init >= 0 ? pid_of(init) : -1;
  if (pid <= 0) return failure("no process of it is known");
  if (!is_first_of_its_namespace(pid))
    return failure("it has no pid namespace of its own, so that others' processes may be among its own");
  const std::string folder = group_folder(std::to_string(pid));
  const bool by_group = is_command_group(folder);
  switch (action) {
    case TreeAction::kill:
      if (by_group) put_text(folder + "/cgroup.kill", "1");  // Linux 5.14; what is missed, the next line ends
      if (syscall(SYS_pidfd_send_signal, init, SIGKILL, nullptr, 0) != 0)
        return failure(std::string("it cannot be killed: ") + std::strerror(errno));
      return {};
    case TreeAction::freeze:
      if (by_group && put_text(folder + "/cgroup.freeze", "1")) return {};
      return signal_all(pid, SIGSTOP);
    case TreeAction::thaw:
      if (by_group && put_text(folder + "/cgroup.freeze", "0")) return {};
      return signal_all(pid, SIGCONT);
  }
  return failure("there is no such action");
}

std::optional<CommandGroup> CommandGroup::make(pid_t process) {
  const std::string own = group_folder("self");
  if (own.empty()) return std::nullopt;
  remove_left_groups(own);
  std::uint32_t number = 0;
  if (getrandom(&number, sizeof number, 0) != sizeof number) return std::nullopt;
  char name[16];
  std::snprintf(name, sizeof name, "%08x", number);
  const std::string path = own + "/" + std::string(group_prefix) + name;
  if (mkdir(path.c_str(), 0755) != 0) return std::nullopt;
  CommandGroup group(path);
  if (!put_text(path + "/cgroup.procs", std::to_string(process))) return std::nullopt;
  return group;
}

CommandGroup::CommandGroup(CommandGroup&& other) noexcept : path_(std::move(other.path_)) {
  other.path_.clear();
}
CommandGroup& CommandGroup::operator=(CommandGroup&& other) noexcept {
  std::swap(path_, other.path_);
  return *this;
}
CommandGroup::~CommandGroup() {
  if (!path_.empty()) rmdir(path_.c_str());
}

}  // namespace postern

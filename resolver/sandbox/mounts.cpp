// What the command sees of the file system: the host's, less every way around Postern.
#include "resolver/sandbox/mounts.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <cstring>
#include <deque>
#include <set>

#include "resolver/sandbox/broker.h"
#include "resolver/sandbox/command_files.h"

namespace postern {
namespace {

// Where daemons that resolve names for others have their sockets. glibc's modules reach nscd,
// systemd-resolved (varlink), avahi, D-Bus, nslcd, sssd and winbind through these; whoever answers there asks
// from the host's network.
constexpr const char* name_service_folders[] = {
    "/run",                // nearly all: nscd, systemd/resolve, dbus, avahi-daemon, nslcd, samba, docker
    "/var/run",            // a link to /run today, a folder of its own on old systems
    "/var/lib/sss/pipes",  // sssd
    "/var/lib/samba/winbindd_privileged",  // winbind
    "/var/db/nscd",                        // nscd's shared tables (older and other layouts)
    "/tmp/.winbindd",                      // winbind before Samba 4
};

// What the sandbox may keep on its own /run, HOME included; it is memory.
constexpr const char* run_options = "mode=0755,size=1g";
constexpr const char* empty_options = "mode=0555,size=4k";

// Postern's own files inside: what is bound over others. Not /run/postern, which is the daemon's and may be
// in `hide`.
constexpr const char* own_folder = "/run/.postern-sandbox";
constexpr const char* own_resolv_conf = "/run/.postern-sandbox/resolv.conf";
constexpr const char* own_nsswitch = "/run/.postern-sandbox/nsswitch.conf";
constexpr const char* own_empty = "/run/.postern-sandbox/empty";

constexpr int max_links = 40;  // as in the kernel (path_resolution(7))

tl::unexpected<Error> refused(const std::string& attempt) {
  return failure("cannot " + attempt + ": " + std::strerror(errno));
}

bool is_folder(const std::string& path) {
  struct stat status {};
  return lstat(path.c_str(), &status) == 0 && S_ISDIR(status.st_mode);
}

bool below(const std::string& path, const std::string& folder) {
  return path.starts_with(folder + "/");
}

Result<void> bind_read_only(const std::string& source, const std::string& target) {
  if (mount(source.c_str(), target.c_str(), nullptr, MS_BIND, nullptr) != 0)
    return refused("cover \"" + target + "\"");
  constexpr unsigned long flags = MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC;
  if (mount(nullptr, target.c_str(), nullptr, flags, nullptr) != 0)
    return refused("make \"" + target + "\" read-only");
  return {};
}

struct Link {
  std::string path, target;
};

// NixOS keeps the whole system behind /run/current-system; other links (/run/shm) cost nothing to keep. A
// link is no socket, and one that leads back below /run leads nowhere.
std::vector<Link> links_leading_out(const std::string& folder) {
  std::vector<Link> links;
  DIR* entries = opendir(folder.c_str());
  if (entries == nullptr) return links;
  constexpr std::size_t max_kept = 64;  // a system has a handful
  while (const dirent* entry = readdir(entries)) {
    if (links.size() == max_kept) break;
    if (entry->d_type != DT_LNK) continue;
    const std::string path = folder + "/" + entry->d_name;
    const std::string target = follow_links(path);
    if (below(target, folder) || !is_folder(target)) continue;
    links.push_back({path, target});
  }
  closedir(entries);
  return links;
}

Result<void> fill_run(const MountPlan& plan) {
  if (mkdir(own_folder, 0755) != 0 || chmod(own_folder, 0755) != 0)
    return refused(std::string("create \"") + own_folder + "\"");
  if (Result<void> made = create_file(own_resolv_conf, sandbox_resolv_conf, 0444); !made) return made;
  if (Result<void> made = create_file(own_empty, "", 0444); !made) return made;
  if (mkdir("/run/lock", 01777) != 0 || chmod("/run/lock", 01777) != 0)
    return refused("create \"/run/lock\"");
  if (mkdir(private_home, 0700) != 0 || chown(private_home, plan.command_uid, plan.command_gid) != 0) {
    return refused(std::string("create \"") + private_home + "\"");
  }
  return {};
}

Result<void> mask_name_services(const MountPlan& plan) {
  if (!is_folder(follow_links("/run"))) {
    return failure("cannot hide the host's name services: \"/run\" is not a folder here; create it");
  }
  std::set<std::string> done;
  for (const char* name : name_service_folders) {
    const std::string folder = follow_links(name);
    if (!is_folder(folder) || !done.insert(folder).second) continue;
    const std::vector<Link> links = links_leading_out(folder);
    const bool is_run = done.size() == 1;
    if (mount("tmpfs", folder.c_str(), "tmpfs", MS_NOSUID | MS_NODEV, is_run ? run_options : empty_options) !=
        0) {
      return refused("hide \"" + folder + "\"");
    }
    if (!is_run) continue;
    for (const Link& link : links) {
      if (symlink(link.target.c_str(), link.path.c_str()) != 0)
        return refused("keep the link \"" + link.path + "\"");
    }
    if (Result<void> filled = fill_run(plan); !filled) return filled;
  }
  return {};
}

Result<void> make_folders_for(const std::string& path) {
  for (std::size_t at = path.find('/', 1); at != std::string::npos; at = path.find('/', at + 1)) {
    const std::string folder = path.substr(0, at);
    if (mkdir(folder.c_str(), 0755) == 0) {
      chmod(folder.c_str(), 0755);
    } else if (errno != EEXIST) {
      return refused("create \"" + folder + "\"");
    }
  }
  return {};
}

Result<void> cover_nsswitch() {
  const Result<std::string> host = read_small_file("/etc/nsswitch.conf");
  if (!host)
    return {};  // none, or not readable for the command either: glibc's default is "dns files" or "files dns"
  const std::optional<std::string> inside = nsswitch_for_sandbox(*host);
  if (!inside) return {};
  if (Result<void> made = create_file(own_nsswitch, *inside, 0444); !made) return made;
  return bind_read_only(own_nsswitch, follow_links("/etc/nsswitch.conf"));
}

Result<void> hide(const std::string& path) {
  if (path.empty() || path[0] != '/')
    return failure("cannot hide \"" + path + "\": the path is not absolute");
  const std::string target = follow_links(path);
  if (target == "/") return failure("cannot hide \"" + path + "\": it is the root folder");
  struct stat status {};
  if (lstat(target.c_str(), &status) != 0) {
    if (errno == ENOENT || errno == ENOTDIR) return {};  // not there, or hidden with /run already
    return refused("hide \"" + target + "\"");
  }
  if (!S_ISDIR(status.st_mode)) return bind_read_only(own_empty, target);
  if (mount("tmpfs", target.c_str(), "tmpfs", MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC, empty_options) !=
      0) {
    return refused("hide \"" + target + "\"");
  }
  return {};
}

// Nice to have: /sys/class/net of *this* namespace. A container that masks parts of its /sys may not mount a
// fresh one; the host's stays then, which tells about the host's devices and changes nothing for an ordinary
// user. The limits in /sys/fs/cgroup are kept for runtimes that size their heaps by them, read-only: a
// command must not move itself out.
void fresh_sysfs() {
  const Fd cgroups(open_tree(AT_FDCWD, "/sys/fs/cgroup", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE));
  if (mount("sysfs", "/sys", "sysfs", MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC, nullptr) != 0) return;
  if (!cgroups) return;
  mount_attr attributes{};
  attributes.attr_set = MOUNT_ATTR_RDONLY;
  if (mount_setattr(cgroups.get(), "", AT_EMPTY_PATH | AT_RECURSIVE, &attributes, sizeof attributes) != 0)
    return;
  // Without it the command sees no limits: a matter of comfort.
  [[maybe_unused]] const int moved =
      move_mount(cgroups.get(), "", AT_FDCWD, "/sys/fs/cgroup", MOVE_MOUNT_F_EMPTY_PATH);
}

Result<void> fresh_proc() {
  if (mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, nullptr) == 0) return {};
  const int error = errno;
  std::string why = std::strerror(error);
  if (error == EPERM) {
    why +=
        ": the kernel allows it only where the whole of /proc is visible, and here parts of it are covered, "
        "as"
        " containers do; start the container with them uncovered (Docker: --security-opt "
        "systempaths=unconfined)";
  }
  return failure("cannot mount a fresh /proc: " + why);
}

}  // namespace

std::string follow_links(const std::string& path) {
  std::deque<std::string> todo;
  const auto split = [](const std::string& text) {
    std::deque<std::string> parts;
    for (std::size_t at = 0; at <= text.size();) {
      const std::size_t end = std::min(text.find('/', at), text.size());
      if (end > at) parts.push_back(text.substr(at, end - at));
      at = end + 1;
    }
    return parts;
  };
  todo = split(path);
  std::string done;  // "" is the root
  int links = 0;
  while (!todo.empty()) {
    const std::string part = todo.front();
    todo.pop_front();
    if (part == ".") continue;
    if (part == "..") {
      done.erase(std::min(done.rfind('/'), done.size()));
      continue;
    }
    const std::string here = done + "/" + part;
    char target[PATH_MAX];
    const ssize_t size = links < max_links ? readlink(here.c_str(), target, sizeof target) : -1;
    if (size <= 0) {  // not a link, or not there
      done = here;
      continue;
    }
    ++links;
    const std::string text(target, static_cast<std::size_t>(size));
    if (text[0] == '/') done.clear();
    std::deque<std::string> parts = split(text);
    todo.insert(todo.begin(), parts.begin(), parts.end());
  }
  return done.empty() ? "/" : done;
}

std::optional<std::string> nsswitch_for_sandbox(std::string_view host) {
  constexpr std::string_view spaces = " \t\r";
  std::string out;
  bool changed = false;
  while (!host.empty()) {
    const std::size_t end = std::min(host.find('\n'), host.size());
    const std::string_view line = host.substr(0, end);
    host.remove_prefix(std::min(end + 1, host.size()));
    std::string_view rest = line.substr(0, line.find('#'));
    rest.remove_prefix(std::min(rest.find_first_not_of(spaces), rest.size()));
    bool replace = rest.starts_with("hosts") &&
                   rest.substr(5).find_first_not_of(spaces) != std::string_view::npos &&
                   rest[5 + rest.substr(5).find_first_not_of(spaces)] == ':';
    if (replace) {
      rest.remove_prefix(rest.find(':') + 1);
      while (!rest.empty()) {
        const std::size_t begin = std::min(rest.find_first_not_of(spaces), rest.size());
        rest.remove_prefix(begin);
        const std::size_t stop = std::min(rest.find_first_of(" \t\r["), rest.size());
        if (rest.substr(0, stop) == "dns") replace = false;
        rest.remove_prefix(std::min(stop + 1, rest.size()));
      }
    }
    out += replace ? std::string("hosts: files dns") : std::string(line);
    out += '\n';
    changed = changed || replace;
  }
  return changed ? std::optional(out) : std::nullopt;
}

// Where there is no /etc/resolv.conf, or a link that leads nowhere, nothing needs covering: glibc, musl,
// c-ares and Go ask 127.0.0.1 then. (A link into /run always leads nowhere at first, because /run is ours; it
// is given a file all the same, for programs that read the file themselves.)
Result<void> cover_resolv_conf() {
  struct stat ours {
  }, now{};
  if (stat(own_resolv_conf, &ours) != 0) return refused(std::string("find \"") + own_resolv_conf + "\"");
  const std::string target = follow_links("/etc/resolv.conf");
  if (lstat(target.c_str(), &now) != 0) {
    if (errno != ENOENT && errno != ENOTDIR) return refused("look at \"" + target + "\"");
    if (!below(target, follow_links("/run"))) return {};
    if (Result<void> made = make_folders_for(target); !made) return made;
    if (link(own_resolv_conf, target.c_str()) != 0) return refused("create \"" + target + "\"");
    return {};
  }
  if (now.st_dev == ours.st_dev && now.st_ino == ours.st_ino) return {};
  if (!S_ISREG(now.st_mode))
    return failure("cannot cover \"" + target + "\" (/etc/resolv.conf): it is not a regular file");
  return bind_read_only(own_resolv_conf, target);
}

Result<void> arrange_mounts(const MountPlan& plan) {
  if (mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0)
    return refused("make the mounts private");
  if (Result<void> masked = mask_name_services(plan); !masked) return masked;
  if (Result<void> covered = cover_resolv_conf(); !covered) return covered;
  if (Result<void> covered = cover_nsswitch(); !covered) return covered;
  for (const std::string& path : plan.hide) {
    if (Result<void> hidden = hide(path); !hidden) return hidden;
  }
  fresh_sysfs();
  return fresh_proc();
}

}  // namespace postern

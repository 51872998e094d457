// The courier's cell: a process that may speak to the network and see next to nothing of this host.
#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <iterator>

#include "resolver/sandbox/cell_parts.h"

namespace postern {
namespace {

// What name resolution reads. Copied when the courier starts: it is started anew when it cannot find an
// address, and sees a changed file then.
constexpr const char* copied_files[] = {"/etc/resolv.conf", "/etc/hosts", "/etc/gai.conf"};
constexpr std::size_t max_copied = 1 << 20;  // octets of each: a hosts file may be long
// glibc's resolver waits 5 s for each of two rounds otherwise; a later line takes the place of an earlier
// one.
constexpr const char* hasty_lookups = "\noptions timeout:2 attempts:2\n";
// Modules would have to be loaded from files that are not there, and code is not mapped in a cell.
constexpr const char* lookup_order = "hosts: files dns\n";
constexpr const char* place =
    "/tmp";  // where the empty file system is mounted, in a mount namespace of our own

Result<void> courier_failure(const std::string& step, int number = errno) {
  return failure("cannot enter the courier's cell: " + step + ": " + std::strerror(number));
}

std::string contents_of(const char* path) {
  std::ifstream file(path, std::ios::binary);
  std::string text{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  if (text.size() > max_copied) text.clear();
  return text;
}

bool write_new(const std::string& path, const std::string& text) {
  const Fd file(open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644));
  return file && write(file.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size()) &&
         fchmod(file.get(), 0644) == 0;
}

Result<void> move_into_empty_folder() {
  std::string texts[std::size(copied_files)];
  for (std::size_t i = 0; i < std::size(copied_files); ++i) texts[i] = contents_of(copied_files[i]);
  texts[0] += hasty_lookups;
  if (mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0)
    return courier_failure("make mounts private");
  constexpr unsigned long flags = MS_NOSUID | MS_NODEV | MS_NOEXEC;
  if (mount("tmpfs", place, "tmpfs", flags, "size=4m,mode=0755") != 0)
    return courier_failure(std::string("mount an empty file system on ") + place);
  const std::string root = place;
  if (mkdir((root + "/etc").c_str(), 0755) != 0 || chmod((root + "/etc").c_str(), 0755) != 0)
    return courier_failure("make a folder in it");
  for (std::size_t i = 0; i < std::size(copied_files); ++i)
    if (!write_new(root + copied_files[i], texts[i]))
      return courier_failure(std::string("copy ") + copied_files[i]);
  if (!write_new(root + "/etc/nsswitch.conf", lookup_order)) return courier_failure("write nsswitch.conf");
  if (chdir(place) != 0 || chroot(".") != 0 || chdir("/") != 0) return courier_failure("move into it");
  if (mount(nullptr, "/", nullptr, MS_REMOUNT | MS_RDONLY | flags, nullptr) != 0)
    return courier_failure("make it read-only");
  return {};
}

}  // namespace

Result<void> enter_courier_cell(const CourierCellOptions& options) {
  const bool root = geteuid() == 0;
  if (root && (options.uid == 0 || options.gid == 0))
    return failure("cannot enter the courier's cell: the service user must not be root (user " +
                   std::to_string(options.uid) + ", group " + std::to_string(options.gid) + ")");
  umask(0077);
  if (!root) {
    if (Result<void> done = enter_own_user_namespace(); !done) return done;
  } else if (unshare(CLONE_NEWNS) != 0) {
    return courier_failure("create a mount namespace");
  }
  if (Result<void> done = move_into_empty_folder(); !done) return done;
  if (Result<void> done = drop_bounding_set(); !done) return done;
  if (root) {
    if (Result<void> done = become_user(options.uid, options.gid); !done) return done;
  }
  if (Result<void> done = drop_capabilities(); !done) return done;
  if (Result<void> done = give_up_the_rest(); !done) return done;
  return filter_system_calls(Inmate::courier);
}

}  // namespace postern

// Entering the cell: the order of the steps is the point of this file.
#include "resolver/sandbox/cell.h"

#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <sched.h>
#include <sys/capability.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <ctime>
#include <memory>

#include "resolver/sandbox/cell_parts.h"

#if defined(__SANITIZE_ADDRESS__)
// The leak checker forks and traces when the process ends, which is just what the cell forbids; it would
// fail, and the process with it. A process that is not dumpable is one in its cell.
extern "C" int __lsan_is_turned_off();
extern "C" int __lsan_is_turned_off() {
  return prctl(PR_GET_DUMPABLE) == 0 ? 1 : 0;
}
#endif

namespace postern {
namespace {

// Where no user `postern` exists. 60578 to 61183 is the range that neither systemd nor Debian's policy gives
// to anybody, and it is below 65536, so that it exists in the user namespaces of common containers.
constexpr uid_t unallocated_id = 60953;

constexpr mode_t cell_umask =
    0027;  // what SQLite creates is readable for the audit group and for nobody else

Result<void> bad(const std::string& step, int number = errno) {
  return failure("cannot enter the cell: " + step + ": " + std::strerror(number));
}

// For writes to /proc/self/*_map, which are one write(2) each.
bool put(const char* path, const std::string& text) {
  const Fd file(open(path, O_WRONLY | O_CLOEXEC));
  return file && write(file.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size());
}

}  // namespace

Result<void> enter_own_user_namespace() {
  const uid_t uid = getuid();
  const gid_t gid = getgid();
  if (unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0) {
    if (errno == EINVAL)
      return failure("cannot enter the cell: a user namespace needs a process with one thread");
    return bad("create a user namespace (does this system allow them without root?)");
  }
  if (!put("/proc/self/setgroups", "deny")) return bad("write /proc/self/setgroups");
  const std::string u = std::to_string(uid), g = std::to_string(gid);
  if (!put("/proc/self/uid_map", u + " " + u + " 1\n")) return bad("write /proc/self/uid_map");
  if (!put("/proc/self/gid_map", g + " " + g + " 1\n")) return bad("write /proc/self/gid_map");
  return {};
}

// Bounding and ambient first: that needs CAP_SETPCAP.
Result<void> drop_bounding_set() {
  for (cap_value_t cap = 0; cap_get_bound(cap) >= 0; ++cap) {
    if (cap_get_bound(cap) == 1 && cap_drop_bound(cap) != 0)
      return bad("drop capability " + std::to_string(cap));
  }
  if (cap_reset_ambient() != 0) return bad("clear the ambient capabilities");
  return {};
}

Result<void> drop_capabilities() {
  const std::unique_ptr<std::remove_pointer_t<cap_t>, int (*)(void*)> none(cap_init(), cap_free);
  if (!none || cap_set_proc(none.get()) != 0) return bad("drop all capabilities");
  return {};
}

Result<void> become_user(uid_t uid, gid_t gid) {
  if (setgroups(0, nullptr) != 0) return bad("drop the supplementary groups");
  if (setresgid(gid, gid, gid) != 0) return bad("become group " + std::to_string(gid));
  if (setresuid(uid, uid, uid) != 0) return bad("become user " + std::to_string(uid));
  return {};
}

Result<void> give_up_the_rest() {
  const rlimit none{0, 0};
  if (setrlimit(RLIMIT_CORE, &none) != 0)
    return bad("switch core dumps off");  // they would hold names, and secrets in them
  if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0) return bad("become untraceable");
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return bad("give up new privileges");
  return {};
}

namespace {

// A journal that cannot be opened is told now, with its reason, and not by the first query.
Result<void> check_journal(const CellOptions& options, const std::string& name) {
  const Fd file(open(("/" + name).c_str(), O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0640));
  if (file) return {};
  const int number = errno;
  std::string hint;
  if (number == EACCES) hint = " (the folder must be searchable for user " + std::to_string(geteuid()) + ")";
  return failure("cannot enter the cell: journal \"" + options.state_folder + "/" + name +
                 "\": " + std::strerror(number) + hint);
}

}  // namespace

void service_ids(uid_t& uid, gid_t& gid) {
  uid = unallocated_id;
  gid = unallocated_id;
  if (const passwd* user = getpwnam("postern"); user != nullptr && user->pw_uid != 0) {
    uid = user->pw_uid;
    gid = user->pw_gid;
  }
}

Result<std::string> journal_in_cell(const CellOptions& options) {
  Result<std::string> name = journal_name(options);
  if (!name) return name;
  return "/" + *name;
}

Result<void> enter_cell(const CellOptions& options) {
  const bool root = geteuid() == 0;
  if (root && (options.uid == 0 || options.gid == 0)) {
    return failure("cannot enter the cell: the service user must not be root (user " +
                   std::to_string(options.uid) + ", group " + std::to_string(options.gid) + ")");
  }
  Result<std::string> journal = journal_name(options);
  if (!journal) return tl::unexpected(journal.error());
  tzset();  // log lines keep the host's time zone; its file is out of reach soon
  umask(cell_umask);
  {
    const Fd folder(open(options.state_folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!folder) return bad("open folder \"" + options.state_folder + "\"");
    if (root) {
      if (Result<void> done = hand_over_journal(folder, options, *journal); !done) return done;
    } else if (Result<void> done = enter_own_user_namespace(); !done) {
      return done;
    }
    // By descriptor: the folder that was looked at is the one that becomes the root. The descriptor must not
    // outlive this block: with it a process in a chroot walks out of it.
    if (fchdir(folder.get()) != 0 || chroot(".") != 0 || chdir("/") != 0) {
      return bad("make \"" + options.state_folder + "\" the root folder");
    }
  }
  if (Result<void> done = drop_bounding_set(); !done) return done;
  if (root) {
    if (Result<void> done = become_user(options.uid, options.gid); !done) return done;
  }
  if (Result<void> done = drop_capabilities(); !done) return done;
  if (Result<void> done = check_journal(options, *journal); !done) return done;
  if (Result<void> done = give_up_the_rest(); !done) return done;
  return filter_system_calls(Inmate::resolver);
}

}  // namespace postern

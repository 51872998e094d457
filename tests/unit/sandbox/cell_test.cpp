// The cell from inside: what the resolver process cannot do any more, and what it still can.
#include <arpa/inet.h>
#include <linux/netlink.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sys/capability.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/un.h>

#include <filesystem>
#include <fstream>
#include <latch>
#include <thread>

#include "broker_support.h"
#include "resolver/sandbox/cell.h"

using namespace sandbox_test;
using postern::CellOptions;
using postern::enter_cell;
using postern::Fd;

namespace {

// Which user the cell is entered by: root hands over to the service user; others make a user namespace.
enum class By { root, user };
constexpr uid_t somebody = 60'999;  // nobody's id, for the case without root

CellOptions options_for(const Folder& folder) {
  CellOptions options;
  options.state_folder = folder.path("state");
  options.journal_file = "journal.db";
  postern::service_ids(options.uid, options.gid);
  options.own_folder = true;
  return options;
}

// A child in its cell, in which `work` then runs. The folder "state" is made anew.
std::string in_cell(By by, const Folder& folder, const std::function<std::string()>& work) {
  std::filesystem::remove_all(folder.path("state"));
  std::filesystem::create_directory(folder.path("state"));
  if (by == By::user && is_root()) REQUIRE(chown(folder.path("state").c_str(), somebody, somebody) == 0);
  return in_child([&]() -> std::string {
    if (by == By::user && is_root() &&
        (setresgid(somebody, somebody, somebody) != 0 || setresuid(somebody, somebody, somebody) != 0)) {
      return "cannot become somebody";
    }
    if (by == By::user)
      prctl(PR_SET_DUMPABLE, 1);  // as a process that was started by that user: its /proc files are its own
    if (const auto entered = enter_cell(options_for(folder)); !entered) return entered.error().message;
    return work();
  });
}

std::vector<By> ways() {
  std::vector<By> result;
  if (possible(is_root(), "the cell as root needs root")) result.push_back(By::root);
#if defined(__SANITIZE_THREAD__)
  // Its background thread is there before main, and a user namespace needs a process with one thread. Not a
  // failure even where everything must work: the other builds test it.
  std::printf("SKIPPED: no user namespace can be made under ThreadSanitizer\n");
  return result;
#endif
  const bool userns = in_child([] {
                        if (is_root() && (setresgid(somebody, somebody, somebody) != 0 ||
                                          setresuid(somebody, somebody, somebody) != 0))
                          return std::string("no");
                        return std::string(unshare(CLONE_NEWUSER | CLONE_NEWNS) == 0 ? "yes" : "no");
                      }) == "yes";
  if (possible(userns, "user namespaces are not to be had without root")) result.push_back(By::user);
  return result;
}

// "" when the call failed with this error; else what happened.
std::string must_fail(const char* what, long result, int expected) {
  const int number = errno;
  if (result < 0 && number == expected) return "";
  return std::string(what) + (result >= 0 ? " succeeds" : ": " + std::string(std::strerror(number))) + "; ";
}

constexpr const char* names[] = {"as root", "without root"};

}  // namespace

TEST_CASE("in the cell nothing can be executed, connected, opened, signalled or traced") {
  Folder folder;
  for (const By by : ways()) {
    CAPTURE(names[static_cast<int>(by)]);
    const pid_t parent = getpid();
    const Fd udp(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)),
        unix_one(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    CHECK(in_cell(by, folder, [&] {
            std::string wrong;
            const auto fails = [&](const char* what, long result, int expected = EPERM) {
              wrong += must_fail(what, result, expected);
            };
            char program[] = "/bin/true";
            char* argv[] = {program, nullptr};
            fails("execve", execve(program, argv, nullptr));
            fails("execveat", syscall(SYS_execveat, -1, program, argv, nullptr, 0));
            fails("fork", fork());
            fails("vfork", syscall(SYS_vfork));
            fails("clone", syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0));
            fails("clone in a namespace",
                  syscall(SYS_clone,
                          CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_NEWNET, 0,
                          0, 0, 0));
            std::array<std::uint64_t, 11> clone3{};
            clone3[4] = SIGCHLD;
            fails("clone3", syscall(SYS_clone3, clone3.data(), sizeof clone3), ENOSYS);
            fails("a call younger than the list", syscall(600), ENOSYS);
            for (const int family : {AF_INET, AF_INET6, AF_UNIX, AF_NETLINK, AF_PACKET, AF_VSOCK, AF_ALG}) {
              fails("socket", socket(family, SOCK_DGRAM, 0));
              fails("socket", socket(family, SOCK_RAW, 0));
            }
            int pair[2];
            fails("socketpair", socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
            sockaddr_in to{};
            to.sin_family = AF_INET;
            to.sin_port = htons(9);
            to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
            const auto* target = reinterpret_cast<const sockaddr*>(&to);
            fails("connect", connect(udp.get(), target, sizeof to));
            fails("bind", bind(udp.get(), target, sizeof to));
            fails("listen", listen(unix_one.get(), 1));
            fails("sendto an address", sendto(udp.get(), "x", 1, 0, target, sizeof to));
            const int on = 1;
            fails("SO_REUSEADDR", setsockopt(udp.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on));
            fails("SO_REUSEPORT", setsockopt(udp.get(), SOL_SOCKET, SO_REUSEPORT, &on, sizeof on));
            fails("SO_ATTACH_FILTER", setsockopt(udp.get(), SOL_SOCKET, SO_ATTACH_FILTER, &on, sizeof on));
            for (const char* path : {"/etc/shadow", "/etc/passwd", "/proc/self/status", "/proc", "/bin",
                                     "/dev/null", "../../../etc/passwd", "/../etc/passwd"}) {
              fails(path, open(path, O_RDONLY), ENOENT);
            }
            fails("kill", kill(parent, 0));
            fails("kill oneself", kill(getpid(), 0));
            fails("tgkill", syscall(SYS_tgkill, parent, parent, 0));
            fails("rt_sigqueueinfo", syscall(SYS_rt_sigqueueinfo, parent, SIGTERM, nullptr));
            fails("pidfd_open", syscall(SYS_pidfd_open, parent, 0));
            fails("ptrace", ptrace(PTRACE_ATTACH, parent, nullptr, nullptr));
            fails("process_vm_readv", syscall(SYS_process_vm_readv, parent, nullptr, 0, nullptr, 0, 0));
            fails("prlimit of another", syscall(SYS_prlimit64, parent, RLIMIT_NOFILE, nullptr, pair));
            const rlimit limit{1, 1};
            fails("setrlimit", setrlimit(RLIMIT_NOFILE, &limit));
            fails("mount", mount("none", "/", "tmpfs", 0, nullptr));
            fails("chroot", chroot("/"));
            fails("chdir", chdir("/"));
            fails("fchdir", fchdir(0));
            fails("unshare", unshare(CLONE_NEWUSER));
            fails("setns", setns(0, 0));
            fails("setuid", setuid(0));
            fails("setresuid", setresuid(0, 0, 0));
            fails("setgroups", syscall(SYS_setgroups, 0, nullptr));
            fails("bpf", syscall(SYS_bpf, 0, nullptr, 0));
            fails("io_uring_setup", syscall(SYS_io_uring_setup, 1, nullptr));
            fails("keyctl", syscall(SYS_keyctl, 0, 0));
            fails("perf_event_open", syscall(SYS_perf_event_open, nullptr, 0, -1, -1, 0));
            fails("userfaultfd", syscall(SYS_userfaultfd, 0));
            fails("open_by_handle_at", syscall(SYS_open_by_handle_at, 0, nullptr, 0));
            fails("memfd_create", syscall(SYS_memfd_create, "x", 0));
            fails("seccomp", syscall(SYS_seccomp, 0, 0, nullptr));
            fails("dumpable again", prctl(PR_SET_DUMPABLE, 1));
            fails("a link", link("/journal.db", "/other"));
            fails("a symlink", symlink("/etc/passwd", "/other"));
            fails("a device", mknod("/device", S_IFCHR | 0600, 0));
            void* page = mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
            if (page == MAP_FAILED) wrong += "mmap; ";
            fails("mprotect exec", mprotect(page, 4096, PROT_READ | PROT_EXEC));
            fails("mmap exec", reinterpret_cast<long>(mmap(nullptr, 4096, PROT_READ | PROT_EXEC,
                                                           MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)));
            fails("TIOCSTI", ioctl(0, TIOCSTI, "x"));
            // The kernel looks at the lower half of an int only; so does the filter.
            fails("TIOCSTI with a bit above", syscall(SYS_ioctl, 0, TIOCSTI | (1UL << 40), "x"));
            fails("F_SETOWN", fcntl(0, F_SETOWN, parent));
            return wrong;
          }) == "");
  }
}

TEST_CASE("a call of a foreign architecture kills the process") {
#if defined(__x86_64__)
  Folder folder;
  for (const By by : ways()) {
    CAPTURE(names[static_cast<int>(by)]);
    CHECK(in_cell(by, folder, [] {
            syscall(0x40000000 + SYS_getpid);  // x32
            return std::string("alive");
          }) == " [signal " + std::to_string(SIGSYS) + "]");
  }
#endif
}

TEST_CASE("in the cell there are no capabilities, no new privileges, no dumps, and another user than root") {
  Folder folder;
  for (const By by : ways()) {
    CAPTURE(names[static_cast<int>(by)]);
    CHECK(in_cell(by, folder, [&] {
            std::string wrong;
            for (cap_value_t cap = 0; cap <= CAP_LAST_CAP; ++cap) {
              if (cap_get_bound(cap) == 1) wrong += "bounding " + std::to_string(cap) + "; ";
            }
            if (prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1) wrong += "new privileges; ";
            if (prctl(PR_GET_DUMPABLE) != 0) wrong += "dumpable; ";
            rlimit core{};
            if (getrlimit(RLIMIT_CORE, &core) != 0 || core.rlim_max != 0) wrong += "core; ";
            uid_t uid[3];
            gid_t gid[3];
            getresuid(&uid[0], &uid[1], &uid[2]);
            getresgid(&gid[0], &gid[1], &gid[2]);
            for (int i = 0; i < 3; ++i) {
              if (uid[i] == 0 || gid[i] == 0 || uid[i] != uid[0] || gid[i] != gid[0]) wrong += "ids; ";
            }
            if (by == By::root && getgroups(0, nullptr) != 0) wrong += "groups; ";
            return wrong;
          }) == "");
  }
}

TEST_CASE("the parent sees a process in its cell without capabilities in any set, under a filter") {
  Folder folder;
  for (const By by : ways()) {
    CAPTURE(names[static_cast<int>(by)]);
    std::array<int, 2> up{}, down{};
    REQUIRE(pipe2(up.data(), O_CLOEXEC) == 0);
    REQUIRE(pipe2(down.data(), O_CLOEXEC) == 0);
    std::string status;
    std::latch waits(1);  // what it holds while it starts would be held for ever in a forked process
    std::thread reader([&] {
      pid_t pid = 0;
      waits.count_down();
      if (read(up[0], &pid, sizeof pid) == sizeof pid) {
        std::ifstream file("/proc/" + std::to_string(pid) + "/status");
        status.assign(std::istreambuf_iterator<char>(file), {});
      }
      if (write(down[1], "x", 1) != 1) status = "cannot tell";
    });
    waits.wait();
    CHECK(in_cell(by, folder, [&] {
            const pid_t pid = getpid();
            char octet = 0;
            if (write(up[1], &pid, sizeof pid) != sizeof pid || read(down[0], &octet, 1) != 1)
              return std::string("no word");
            return std::string();
          }) == "");
    close(up[1]);
    reader.join();
    for (const char* set : {"CapInh:", "CapPrm:", "CapEff:", "CapBnd:", "CapAmb:"}) {
      CHECK(status.find(std::string(set) + "\t0000000000000000") != std::string::npos);
    }
    CHECK(status.find("NoNewPrivs:\t1") != std::string::npos);
    CHECK(status.find("Seccomp:\t2") != std::string::npos);
    for (const int fd : {up[0], down[0], down[1]}) close(fd);
  }
}

TEST_CASE(
    "in the cell a server still works: threads, files, epoll, descriptors from the broker, connections, "
    "abort") {
  Folder folder;
  folder.write("policy.yaml", "default: allow\n", 0600);
  const Fd server(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  sockaddr_in local{};
  local.sin_family = AF_INET;
  local.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof local;
  REQUIRE(bind(server.get(), reinterpret_cast<sockaddr*>(&local), size) == 0);
  REQUIRE(getsockname(server.get(), reinterpret_cast<sockaddr*>(&local), &size) == 0);
  const Fd tcp(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)),
      caller(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in any = local;
  any.sin_port = 0;
  REQUIRE(bind(tcp.get(), reinterpret_cast<sockaddr*>(&any), size) == 0);
  REQUIRE(listen(tcp.get(), 4) == 0);
  REQUIRE(getsockname(tcp.get(), reinterpret_cast<sockaddr*>(&any), &size) == 0);
  for (const By by : ways()) {
    CAPTURE(names[static_cast<int>(by)]);
    const Fd connection(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    REQUIRE(connect(connection.get(), reinterpret_cast<sockaddr*>(&any), size) == 0);
    postern::BrokerOptions options;
    options.servers = {{"127.0.0.1", ntohs(local.sin_port)}};
    options.policy_files = {folder.path("policy.yaml")};
    options.list_folders = {folder.path()};
    options.hooks = {"/bin/true"};
    BrokerProcess broker(options);
    CHECK(in_cell(by, folder, [&] {
            std::string wrong;
            const auto works = [&](const char* what, bool fine) {
              if (!fine) wrong += std::string(what) + ": " + std::strerror(errno) + "; ";
            };
            std::string from_thread;
            std::thread([&] {
              std::thread([&] { from_thread = "both ran"; }).join();
              pthread_setname_np(pthread_self(), "shard 1");
            }).join();
            works("threads", from_thread == "both ran");
            works("a thread that ends itself", [] {
              pthread_t thread{};
              return pthread_create(
                         &thread, nullptr, [](void*) -> void* { pthread_exit(nullptr); }, nullptr) == 0 &&
                     pthread_join(thread, nullptr) == 0;
            }());
            try {
              throw std::runtime_error("an exception");
            } catch (const std::exception&) {
            }
            // As SQLite does it: file, log, shared memory, locks, sync, removal, in the folder and below.
            const Fd file(open("/journal.db", O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0644));
            works("open", static_cast<bool>(file));
            struct flock lock {};
            lock.l_type = F_WRLCK;
            lock.l_len = 1;
            works("lock", fcntl(file.get(), F_SETLK, &lock) == 0);
            works("pwrite", pwrite(file.get(), "x", 1, 4096) == 1);
            works("fsync", fsync(file.get()) == 0 && fdatasync(file.get()) == 0);
            works("ftruncate", ftruncate(file.get(), 32768) == 0);
            works("mmap shared",
                  mmap(nullptr, 32768, PROT_READ | PROT_WRITE, MAP_SHARED, file.get(), 0) != MAP_FAILED);
            const Fd log(open("/journal.db-other", O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0644));
            works("create", static_cast<bool>(log));
            struct stat made {};
            works("umask", stat("/journal.db-other", &made) == 0 && (made.st_mode & 0777) == 0640);
            works("rename", rename("/journal.db-other", "/aside") == 0);
            works("unlink", unlink("/aside") == 0);
            works("mkdir", mkdir("/folder", 0750) == 0 && rmdir("/folder") == 0);
            works("access", access("/journal.db", F_OK) == 0);
            char place[64];
            works("getcwd", getcwd(place, sizeof place) != nullptr && std::string(place) == "/");
            // As Asio does it.
            const Fd epoll(epoll_create1(EPOLL_CLOEXEC)), event(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)),
                timer(timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC));
            works("epoll", epoll && event && timer);
            epoll_event one{};
            one.events = EPOLLIN;
            works("epoll_ctl", epoll_ctl(epoll.get(), EPOLL_CTL_ADD, event.get(), &one) == 0);
            works("eventfd", eventfd_write(event.get(), 1) == 0 && epoll_wait(epoll.get(), &one, 1, -1) == 1);
            int on = 1;
            const Fd accepted(accept4(tcp.get(), nullptr, nullptr, SOCK_CLOEXEC));
            works("accept4", static_cast<bool>(accepted));
            works("FIONBIO", ioctl(accepted.get(), FIONBIO, &on) == 0);
            works("TCP_NODELAY", setsockopt(accepted.get(), IPPROTO_TCP, 1, &on, sizeof on) == 0);
            works("send", send(accepted.get(), "x", 1, MSG_NOSIGNAL) == 1);
            works("shutdown", shutdown(accepted.get(), SHUT_RDWR) == 0);
            unsigned char random[16];
            works("getrandom", getentropy(random, sizeof random) == 0);
            rlimit limit{};
            works("getrlimit", getrlimit(RLIMIT_NOFILE, &limit) == 0);
            works("cores", std::thread::hardware_concurrency() > 0);
            // As the path does it.
            auto& client = *broker.client;
            auto upstream = client.upstream_socket(0, false);
            works("upstream socket", upstream && send(upstream->get(), "ask", 3, 0) == 3);
            works("policy", client.read_policy(0).value_or("") == "default: allow\n");
            works("list", client.open_list(0, "policy.yaml").has_value());
            works("hook", client.start_hook(0, "{}").has_value());
            auto other = client.another();
            works("another channel", other && (*other)->upstream_socket(0, true));
            const auto told = postern::read_broker_event(broker.events.get());
            works("event",
                  told && told->kind == postern::BrokerEvent::Kind::hook_exited && told->status == 0);
            return wrong;
          }) == "");
    CHECK(in_cell(by, folder, []() -> std::string { abort(); }) ==
          " [signal " + std::to_string(SIGABRT) + "]");
  }
}

TEST_CASE(
    "the journal's files are the service user's and closed to others, also in a folder that is not its own") {
  if (!possible(is_root(), "handing files over needs root")) return;
  Folder folder;
  std::filesystem::create_directory(folder.path("state"));
  CellOptions options = options_for(folder);
  options.own_folder = false;
  options.journal_file = folder.path("state/journal.db");
  CHECK(postern::journal_in_cell(options).value_or("") == "/journal.db");
  CHECK(in_child([&]() -> std::string {
          if (const auto entered = enter_cell(options); !entered) return entered.error().message;
          std::string wrong;
          for (const char* name : {"/journal.db", "/journal.db-wal", "/journal.db-shm", "/journal.db.lock"}) {
            struct stat file {};
            if (stat(name, &file) != 0 || file.st_uid != options.uid || file.st_gid != options.gid ||
                (file.st_mode & 07777) != 0640) {
              wrong += std::string(name) + "; ";
            }
            if (!Fd(open(name, O_RDWR))) wrong += std::string("cannot open ") + name;
          }
          wrong += must_fail("a new file in root's folder", open("/new", O_RDWR | O_CREAT, 0600), EACCES);
          return wrong;
        }) == "");
  struct stat kept {};
  REQUIRE(stat(folder.path("state").c_str(), &kept) == 0);
  CHECK(kept.st_uid == 0);
}

TEST_CASE("root is not led to give away a file") {
  if (!possible(is_root(), "handing files over needs root")) return;
  Folder folder;
  const std::string victim = folder.write("victim", "secret", 0600);
  std::filesystem::create_directory(folder.path("state"));
  const std::string journal = folder.path("state/journal.db"), wal = journal + "-wal";
  const auto error = [&] {
    return in_child([&]() -> std::string {
      const auto entered = enter_cell(options_for(folder));
      return entered ? "entered" : entered.error().message;
    });
  };
  const std::string start = "cannot hand \"" + folder.path("state") + "/journal.db";
  REQUIRE(symlink(victim.c_str(), journal.c_str()) == 0);
  CHECK(error() == start + "\" to the service user: it is a symlink");
  unlink(journal.c_str());
  REQUIRE(symlink(victim.c_str(), wal.c_str()) == 0);
  CHECK(error() == start + "-wal\" to the service user: it is a symlink");
  unlink(wal.c_str());
  REQUIRE(link(victim.c_str(), wal.c_str()) == 0);
  CHECK(error() == start + "-wal\" to the service user: it has 2 names (hard links)");
  unlink(wal.c_str());
  REQUIRE(mkfifo(wal.c_str(), 0600) == 0);
  CHECK(error() == start + "-wal\" to the service user: it is not a plain file");
  unlink(wal.c_str());
  REQUIRE(mkdir(wal.c_str(), 0700) == 0);
  CHECK(error() == start + "-wal\" to the service user: it is not a plain file");
  rmdir(wal.c_str());
  folder.write("state/journal.db-wal", "");
  REQUIRE(chown(wal.c_str(), somebody, somebody) == 0);
  CHECK(error().find("it belongs to user 60999, who is neither root nor the service user") !=
        std::string::npos);
  unlink(wal.c_str());
  struct stat file {};
  REQUIRE(stat(victim.c_str(), &file) == 0);
  CHECK(file.st_uid == 0);
  CHECK((file.st_mode & 0777) == 0600);
  CHECK(error() == "entered");  // without any of these it works
}

TEST_CASE("a cell that cannot be entered says which step failed") {
  Folder folder;
  std::filesystem::create_directory(folder.path("state"));
  const auto error = [&](const std::function<void(CellOptions&)>& change) {
    CellOptions options = options_for(folder);
    change(options);
    return in_child([&]() -> std::string {
      const auto entered = enter_cell(options);
      return entered ? "entered" : entered.error().message;
    });
  };
  CHECK(error([&](CellOptions& o) { o.state_folder = "/nonexistent"; }) ==
        "cannot enter the cell: open folder \"/nonexistent\": No such file or directory");
  CHECK(error([&](CellOptions& o) { o.state_folder = folder.write("plain", ""); }).find("Not a directory") !=
        std::string::npos);
  for (const std::string& name : {std::string("../journal.db"), std::string("/etc/journal.db"),
                                  std::string("a/b"), std::string(".."), std::string(".")}) {
    CHECK(error([&](CellOptions& o) { o.journal_file = name; }).find("cannot use journal \"" + name + "\"") ==
          0);
  }
  if (!possible(is_root(), "the cell as root needs root")) return;
  CHECK(error([&](CellOptions& o) { o.uid = 0; }).find("the service user must not be root") !=
        std::string::npos);
  CHECK(error([&](CellOptions& o) { o.gid = 0; }).find("the service user must not be root") !=
        std::string::npos);
  chmod(folder.path("state").c_str(), 0700);
  CHECK(error([&](CellOptions& o) { o.own_folder = false; }).find("the folder must be searchable for user") !=
        std::string::npos);
}

TEST_CASE("the service user is never root") {
  uid_t uid = 0;
  gid_t gid = 0;
  postern::service_ids(uid, gid);
  CHECK(uid != 0);
  CHECK(gid != 0);
}

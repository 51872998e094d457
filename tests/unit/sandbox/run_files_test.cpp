// What a sandboxed command sees of the file system: resolv.conf in every shape, hidden sockets, hidden
// folders.
#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <filesystem>

#include "resolver/sandbox/mounts.h"
#include "run_fixture.h"

using namespace postern;
using namespace postern::test;

namespace {

const std::string ours(sandbox_resolv_conf);

// A private /etc with little in it and /run as a tmpfs; then `arrange` makes the case, and the command's view
// is returned.
std::string seen_with(const std::function<void()>& arrange,
                      const std::string& script = "cat /etc/resolv.conf 2>&1", const Given& given = {}) {
  const OpenFolder folder;
  return in_private_mounts([&] {
    folder.file("etc/passwd", read_text("/etc/passwd"));
    folder.file("etc/hosts", "127.0.0.1 localhost\n192.0.2.7 from-hosts\n");
    folder.file("etc/ld.so.cache", read_text("/etc/ld.so.cache"));
    const std::string etc = folder.path() + "/etc";
    chmod(etc.c_str(), 0755);
    if (mount(etc.c_str(), "/etc", nullptr, MS_BIND, nullptr) != 0) return std::string("cannot bind /etc");
    if (mount("tmpfs", "/run", "tmpfs", 0, "mode=0755") != 0) return std::string("cannot mount /run");
    arrange();
    const Ran ran = shell(script, given);
    return ran.error + ran.err + ran.out;
  });
}

void put(const std::string& path, const std::string& text) {
  std::filesystem::create_directories(std::filesystem::path(path).parent_path());
  const Fd fd(open(path.c_str(), O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0644));
  POSTERN_CHECK(fd && write(fd.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size()));
}

void link_to(const std::string& target, const std::string& path) {
  POSTERN_CHECK(symlink(target.c_str(), path.c_str()) == 0);
}

}  // namespace

TEST_CASE("resolv.conf is Postern's, whatever the host's is") {
  if (!can_sandbox()) return;
  CHECK(seen_with([] { put("/etc/resolv.conf", "nameserver 192.0.2.1\nsearch corp.example\n"); }) == ours);
  CHECK(seen_with([] {  // systemd-resolved
          put("/run/systemd/resolve/stub-resolv.conf", "nameserver 127.0.0.53\n");
          link_to("../run/systemd/resolve/stub-resolv.conf", "/etc/resolv.conf");
        }) == ours);
  CHECK(seen_with([] {  // the daemon is not there yet
          link_to("/run/resolvconf/resolv.conf", "/etc/resolv.conf");
        }) == ours);
  CHECK(seen_with(
            [] {  // a chain outside /run
              put("/etc/net/real.conf", "nameserver 192.0.2.1\n");
              link_to("real.conf", "/etc/net/link");
              link_to("net/link", "/etc/resolv.conf");
            },
            "cat /etc/resolv.conf /etc/net/real.conf") == ours + ours);
}

TEST_CASE("without a resolv.conf, or with a link to nowhere, nothing is made up") {
  if (!can_sandbox()) return;
  CHECK(seen_with([] {}).find("No such file") != std::string::npos);
  CHECK(seen_with([] { link_to("/nowhere/resolv.conf", "/etc/resolv.conf"); }).find("No such file") !=
        std::string::npos);
  CHECK(seen_with([] { link_to("resolv.conf", "/etc/resolv.conf"); }).find("resolv.conf") !=
        std::string::npos);  // a loop
  CHECK(seen_with([] { mkdir("/etc/resolv.conf", 0755); }).find("it is not a regular file") !=
        std::string::npos);
}

TEST_CASE("resolv.conf stays Postern's when the host replaces its own by rename") {
  if (!can_sandbox()) return;
  const Given given{.input = {}, .hide = {}, .before_release = {}, .after_release = [](SandboxedCommand&) {
                      put("/etc/resolv.conf.new", "nameserver 192.0.2.99\n");
                      POSTERN_CHECK(rename("/etc/resolv.conf.new", "/etc/resolv.conf") == 0);
                      put("/etc/replaced", "");
                    }};
  // Waits for the rename, then for the cover: a cover that never comes back is the test's time limit.
  CHECK(seen_with([] { put("/etc/resolv.conf", "nameserver 192.0.2.1\n"); },
                  "while [ ! -e /etc/replaced ]; do sleep 0.01; done; while grep -q 192.0.2 "
                  "/etc/resolv.conf; do sleep 0.01; done; cat /etc/resolv.conf",
                  given) == ours);
}

TEST_CASE("resolv.conf cannot be written, and /etc/hosts stays") {
  if (!can_sandbox()) return;
  CHECK(seen_with(
            [] {
              put("/etc/resolv.conf", "nameserver 192.0.2.1\n");
              chmod("/etc/resolv.conf", 0666);
            },
            "echo x 2>/dev/null >>/etc/resolv.conf || echo refused; grep -c from-hosts /etc/hosts") ==
        "refused\n1\n");
}

TEST_CASE("/run is empty but for the sandbox's own, so that no daemon can be asked") {
  if (!can_sandbox()) return;
  const std::string seen = seen_with(
      [] {
        put("/run/nscd/socket", "");
        put("/run/systemd/resolve/io.systemd.Resolve", "");
        put("/run/dbus/system_bus_socket", "");
        link_to("/usr", "/run/current-system");  // as on NixOS: a link out of /run is kept
        link_to("/run/dbus", "/run/inside");
      },
      "ls -A /run");
  CHECK(seen == ".postern-sandbox\ncurrent-system\nhome\nlock\n");
}

TEST_CASE(
    "hidden folders are empty, hidden files and sockets are empty files, and what is missing is no error") {
  if (!can_sandbox()) return;
  const OpenFolder folder;
  folder.file("state/journal.db", "secret");
  const std::string single = folder.file("single", "secret");
  link_to(folder.path() + "/state", folder.path() + "/link");
  const std::string control = folder.path() + "/control.sock";
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  control.copy(address.sun_path, sizeof address.sun_path - 1);
  const Fd listener(socket(AF_UNIX, SOCK_STREAM, 0));
  REQUIRE(bind(listener.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
  const std::string look =
      "cd " + folder.path() + "; ls -A state; cat single; stat -c %F control.sock; ls -A";
  const Ran shown = shell(look);
  CHECK(shown.out == "journal.db\nsecretsocket\ncontrol.sock\nlink\nsingle\nstate\n");
  const Ran hidden =
      shell(look, {.input = {},
                   .hide = {folder.path() + "/link", single, control, folder.path() + "/missing"},
                   .before_release = {},
                   .after_release = {}});
  CHECK(hidden.out == "regular empty file\ncontrol.sock\nlink\nsingle\nstate\n");
  const Ran root = shell("true", {.input = {}, .hide = {"/"}, .before_release = {}, .after_release = {}});
  CHECK(root.error == "cannot hide \"/\": it is the root folder");
  const Ran relative =
      shell("true", {.input = {}, .hide = {"state"}, .before_release = {}, .after_release = {}});
  CHECK(relative.error == "cannot hide \"state\": the path is not absolute");
}

TEST_CASE("a masked /proc is an error that says what to do") {
  if (!can_sandbox()) return;
  const std::string error = in_private_mounts([] {
    // As containers do; locked, because the next namespace belongs to another user namespace.
    if (mount("tmpfs", "/proc/scsi", "tmpfs", 0, nullptr) != 0 &&
        mount("tmpfs", "/proc/irq", "tmpfs", 0, nullptr) != 0 &&
        mount("tmpfs", "/proc/sys", "tmpfs", MS_RDONLY, nullptr) != 0) {
      return std::string("cannot mask /proc");
    }
    return shell("true").error;
  });
  CHECK(error.find("cannot mount a fresh /proc") != std::string::npos);
  CHECK(error.find("systempaths=unconfined") != std::string::npos);
}

TEST_CASE("the process table holds the sandbox alone") {
  if (!can_sandbox()) return;
  const Ran ran = shell("cd /proc; echo [0-9]*; cat 1/comm");
  CHECK(ran.out == "1 2\npostern-init\n");
}

TEST_CASE("nsswitch.conf is replaced only where its hosts line has no dns") {
  CHECK(!nsswitch_for_sandbox("hosts: files dns\n"));
  CHECK(!nsswitch_for_sandbox("hosts:files mdns4_minimal [NOTFOUND=return] dns\n"));
  CHECK(!nsswitch_for_sandbox("hosts: mymachines resolve [!UNAVAIL=return] files myhostname dns"));
  CHECK(!nsswitch_for_sandbox("passwd: files\n# hosts: files\n"));
  CHECK(!nsswitch_for_sandbox("hostsx: files\n"));
  CHECK(!nsswitch_for_sandbox(""));
  CHECK(nsswitch_for_sandbox("passwd: files\nhosts: files resolve\nnetworks: files\n") ==
        "passwd: files\nhosts: files dns\nnetworks: files\n");
  CHECK(nsswitch_for_sandbox("  hosts : files mdns\n") == "hosts: files dns\n");
  CHECK(nsswitch_for_sandbox("hosts: files # dns\n") == "hosts: files dns\n");
  CHECK(nsswitch_for_sandbox("hosts: files dnssec") == "hosts: files dns\n");
}

TEST_CASE("an nsswitch.conf without dns is replaced inside") {
  if (!can_sandbox()) return;
  CHECK(seen_with([] { put("/etc/nsswitch.conf", "hosts: files resolve\n"); }, "cat /etc/nsswitch.conf") ==
        "hosts: files dns\n");
  CHECK(seen_with([] { put("/etc/nsswitch.conf", "hosts: files dns # mine\n"); }, "cat /etc/nsswitch.conf") ==
        "hosts: files dns # mine\n");
}

TEST_CASE("links are followed as the kernel follows them, also to where nothing is") {
  const OpenFolder folder;
  const std::string& at = folder.path();
  folder.file("real/file", "");
  link_to("real", at + "/relative");
  link_to(at + "/relative/file", at + "/absolute");
  link_to("../../" + at.substr(1) + "/real/none/deeper", at + "/dangling");
  link_to("loop", at + "/loop");
  CHECK(follow_links(at + "/relative/file") == at + "/real/file");
  CHECK(follow_links(at + "/absolute") == at + "/real/file");
  CHECK(follow_links(at + "/dangling") == at + "/real/none/deeper");
  CHECK(follow_links(at + "//real/./../real/file") == at + "/real/file");
  CHECK(follow_links(at + "/loop") == at + "/loop");
  CHECK(follow_links("/") == "/");
  CHECK(follow_links("/../..") == "/");
}

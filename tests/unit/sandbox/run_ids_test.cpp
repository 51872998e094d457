// As whom a sandboxed command runs: root's draw, subordinate ids, sudo, and what happens without them.
#include <doctest/doctest.h>
#include <sched.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>

#include "resolver/sandbox/command_files.h"
#include "resolver/sandbox/idmap.h"
#include "run_fixture.h"

using namespace postern;
using namespace postern::test;

namespace {

// What an ordinary user's command tells of itself, with these subordinate ids.
std::string ordinary_run(const std::string& subids, const std::string& script, const std::string& path = {}) {
  return in_private_mounts([&] {
    replace_file("/etc/passwd", read_text("/etc/passwd") + "postern-test:x:54321:54321::/:/bin/sh\n");
    replace_file("/etc/subuid", subids);
    replace_file("/etc/subgid", subids);
    become_user(ordinary);
    if (!path.empty()) setenv("PATH", path.c_str(), 1);
    const Ran ran = shell(script);
    return ran.error + ran.err + ran.out + (ran.record_protected ? "protected" : "unprotected") + "\n" +
           ran.protection;
  });
}

}  // namespace

TEST_CASE("subuid(5): the first range of the user, by name or number, that can be used") {
  const std::string text = "other:1000:10\n# comment\nme:100000:65536\nme:300000:5\n";
  CHECK(subordinate_range(text, "me", 1000) == IdRange{100000, 65536});
  CHECK(subordinate_range("1000:5:6", "me", 1000) == IdRange{5, 6});
  CHECK(subordinate_range("me:7:1\n", "me", 1000) == IdRange{7, 1});
  CHECK(!subordinate_range(text, "nobody", 1001));
  CHECK(!subordinate_range(text, "", 1001));
  CHECK(!subordinate_range(":1:1\n", "", 1001));
  CHECK(!subordinate_range("", "me", 1000));
  CHECK(!subordinate_range("me:0:10\n", "me", 1000));  // root is nobody's subordinate
  CHECK(!subordinate_range("me:100:0\n", "me", 1000));
  CHECK(!subordinate_range("me:-1:10\nme:1\nme:1:x\nme\n", "me", 1000));
  CHECK(!subordinate_range("me:4294967290:6\n", "me", 1000));  // would hold 4294967295, which is no uid
  CHECK(subordinate_range("me:4294967290:5\n", "me", 1000));
  CHECK(!subordinate_range("me:4294967296:5\n", "me", 1000));
}

TEST_CASE("id maps are read as /proc prints them") {
  const auto map = parse_id_map("         0       1000          1\n         1     100000      65536\n");
  REQUIRE(map.size() == 2);
  CHECK(map[1].inside == 1);
  CHECK(map[1].outside == 100000);
  CHECK(map[1].count == 65536);
  CHECK(parse_id_map("0 0 4294967295\n").size() == 1);
  CHECK(parse_id_map("garbage\n1 2\n").empty());
}

TEST_CASE(
    "root's draw: subordinate range, else the unused range, else a container's upper half, else nothing") {
  const std::vector<IdMapLine> whole = {{0, 0, 4294967295}};
  const IdRange unused{0x70000000, 0x0fffffff};
  CHECK(range_for_root(whole, IdRange{100000, 65536}) == IdRange{100000, 65536});
  CHECK(range_for_root(whole, std::nullopt) == unused);
  CHECK(range_for_root(whole, IdRange{0, 10}) == unused);  // holds root
  CHECK(unused.holds(0x7ffffffe));
  CHECK(!unused.holds(0x7fffffff));
  const std::vector<IdMapLine> container = {{0, 1000, 1}, {1, 100000, 65536}};
  CHECK(range_for_root(container, std::nullopt) == IdRange{32769, 32768});
  CHECK(range_for_root(container, IdRange{65000, 1000}) == IdRange{32769, 32768});  // reaches past the map
  CHECK(range_for_root({{0, 100000, 65536}}, std::nullopt) == IdRange{1 + 32767, 32768});
  CHECK(!range_for_root({{0, 1000, 1}}, std::nullopt));
  CHECK(!range_for_root({}, std::nullopt));
}

TEST_CASE("draws stay below their bound") {
  for (int i = 0; i < 1000; ++i) {
    CHECK(draw_below(1) == 0);
    CHECK(draw_below(3) < 3);
  }
}

TEST_CASE("root's commands are users of nobody else, and two at once are two users") {
  if (!can_sandbox()) return;
  // The smallest of ranges, so that without the claim they would meet; its place differs between runs of this
  // test.
  const std::uint32_t first = 3'000'000 + static_cast<std::uint32_t>(getpid()) * 4;
  const std::string text = in_private_mounts([first] {
    replace_file("/etc/subuid", "root:" + std::to_string(first) + ":2\n");
    replace_file("/etc/subgid", "root:4000000:1\n");
    CommandSpec spec;
    spec.argv = {"/bin/true"};
    auto one = SandboxedCommand::prepare(spec), two = SandboxedCommand::prepare(spec),
         three = SandboxedCommand::prepare(spec);
    if (!one || !two) return std::string("cannot prepare");
    if (three) return std::string("a third has the id of one of them");
    if ((*one)->command_uid() == (*two)->command_uid()) return std::string("the same");
    return std::to_string((*one)->command_uid() + (*two)->command_uid() - 2 * first) + " " +
           three.error().message;
  });
  CHECK(text == "1 cannot find a free user id for the command among 2 from " + std::to_string(first) +
                    ": other sandboxes hold them");
}

TEST_CASE("what root's command writes belongs to the drawn id") {
  if (!can_sandbox()) return;
  const OpenFolder folder;
  REQUIRE(chmod(folder.path().c_str(), 0777) == 0);
  const Ran ran = shell("echo x > " + folder.path() + "/made; id -u; id -g");
  struct stat status {};
  REQUIRE(stat((folder.path() + "/made").c_str(), &status) == 0);
  CHECK(status.st_uid == ran.command_uid);
  CHECK(ran.command_uid >= 1000);
  CHECK(status.st_gid != 0);
  CHECK(ran.out == "65534\n65534\n");
  CHECK(ran.record_protected);
}

TEST_CASE("under sudo the command is the user who called it, with that user's name and home") {
  if (!can_sandbox()) return;
  const std::string seen = in_private_mounts([] {
    replace_file("/etc/passwd", read_text("/etc/passwd") + "postern-test:x:54321:54321::/usr:/bin/sh\n");
    setenv("SUDO_UID", "54321", 1);
    setenv("SUDO_GID", "54321", 1);
    setenv("USER", "root", 1);
    setenv("LOGNAME", "root", 1);
    const Ran ran = shell("id -u; id -g; echo $USER $LOGNAME; grep Groups /proc/self/status | tr -d '\\t '");
    return std::to_string(ran.command_uid) + "\n" + ran.out +
           (ran.record_protected ? "protected" : "unprotected");
  });
  CHECK(seen == "54321\n54321\n54321\npostern-test postern-test\nGroups:\nprotected");
}

TEST_CASE("SUDO_UID of root, of garbage, or without its group is no sudo") {
  if (!can_sandbox()) return;
  for (const char* uid : {"0", "x", "", "-1", "4294967295"}) {
    const std::string seen = in_private_mounts([&] {
      setenv("SUDO_UID", uid, 1);
      setenv("SUDO_GID", "54321", 1);
      return shell("id -u").out;
    });
    CHECK_MESSAGE(seen == "65534\n", uid);
  }
}

TEST_CASE("an ordinary user's command is a subordinate id, shown as the user's own") {
  if (!can_sandbox()) return;
  const std::string seen = ordinary_run(
      "postern-test:3000000:1000\n", "id -u; id -g; cat /etc/hostname >/dev/null && cat /proc/self/gid_map");
  CHECK(holds(seen, "54321\n54321\n"));
  CHECK(holds(seen, "protected\nthe command runs as user id 300"));
  CHECK(holds(seen, "a subordinate id of postern-test"));
}

TEST_CASE("without a subordinate id, or without newuidmap, it runs all the same and says what that costs") {
  if (!can_sandbox()) return;
  const std::string none = ordinary_run("someone-else:3000000:1000\n", "id -u; id -g");
  CHECK(holds(none, "54321\n54321\nunprotected\n"));
  CHECK(holds(none, "/etc/subuid has no range for postern-test"));
  const std::string helpless = ordinary_run("postern-test:3000000:1000\n", "/usr/bin/id -u", "/nonexistent");
  CHECK(holds(helpless, "54321\nunprotected\n"));
  CHECK(holds(helpless, "newuidmap: No such file or directory"));
}

TEST_CASE("root of a namespace that maps nobody else shares its id, and is never shown as root") {
  if (!can_sandbox()) return;
  const std::string seen = in_private_mounts([] {
    become_user(ordinary);
    if (unshare(CLONE_NEWUSER) != 0) return std::string("cannot unshare");
    if (!write_small_file("/proc/self/setgroups", "deny") ||
        !write_small_file("/proc/self/gid_map", "0 54321 1") ||
        !write_small_file("/proc/self/uid_map", "0 54321 1")) {
      return std::string("cannot map");
    }
    const Ran ran = shell("id -u; grep CapEff /proc/self/status");
    return ran.error + ran.err + ran.out + (ran.record_protected ? "protected" : "unprotected");
  });
  CHECK(seen == "65534\nCapEff:\t0000000000000000\nunprotected");
}

TEST_CASE("a refusal of user namespaces names the setting") {
  if (!can_sandbox()) return;
  const std::string error = in_private_mounts([] {
    // A namespace of its own has its own limit; lowering it there touches nobody.
    become_user(ordinary);
    if (unshare(CLONE_NEWUSER) != 0) return std::string("cannot unshare");
    if (!write_small_file("/proc/self/setgroups", "deny") ||
        !write_small_file("/proc/self/gid_map", "0 54321 1") ||
        !write_small_file("/proc/self/uid_map", "0 54321 1") ||
        !write_small_file("/proc/sys/user/max_user_namespaces", "0")) {
      return std::string("cannot lower the limit");
    }
    return shell("true").error;
  });
  CHECK(holds(error, "cannot create the sandbox's namespaces"));
  CHECK(holds(error, "user.max_user_namespaces is 0"));
}

// Which user and group a sandboxed command is for the kernel, and the id maps that make it so.
#include "resolver/sandbox/idmap.h"

#include <fcntl.h>
#include <pwd.h>
#include <spawn.h>
#include <sys/capability.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstddef>
#include <cstdlib>
#include <cstring>

#include "resolver/sandbox/command_files.h"

namespace postern {
namespace {

// How often an id that another sandbox holds is drawn again. With the smallest usual range (65,536) and a
// thousand sandboxes, 64 draws that all hit are not going to happen.
constexpr int max_draws = 64;

std::optional<std::uint32_t> number(std::string_view text) {
  std::uint32_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || text.empty()) return std::nullopt;
  return value;
}

std::string_view take_line(std::string_view& text) {
  const std::size_t end = text.find('\n');
  const std::string_view line = text.substr(0, end);
  text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
  return line;
}

bool maps(const std::vector<IdMapLine>& map, IdRange range) {
  return std::any_of(map.begin(), map.end(), [&](const IdMapLine& line) {
    return IdRange{line.inside, line.count}.holds(range.first) &&
           IdRange{line.inside, line.count}.holds(range.first + (range.count - 1));
  });
}

std::string file_or_nothing(const char* path) {
  return read_small_file(path).value_or(std::string());
}

std::string user_name(uid_t uid) {
  const passwd* entry = getpwuid(uid);
  return entry != nullptr ? entry->pw_name : "";
}

bool can_set_ids() {
  const cap_t caps = cap_get_proc();
  if (caps == nullptr) return false;
  cap_flag_value_t uid = CAP_CLEAR, gid = CAP_CLEAR;
  cap_get_flag(caps, CAP_SETUID, CAP_EFFECTIVE, &uid);
  cap_get_flag(caps, CAP_SETGID, CAP_EFFECTIVE, &gid);
  cap_free(caps);
  return uid == CAP_SET && gid == CAP_SET;
}

// A name in the abstract namespace is a lock that the kernel drops with its holder. Only EADDRINUSE means
// "taken": where sockets fail for another reason, two sandboxes sharing a uid are still two pid and mount
// namespaces.
enum class Claim { held, taken };
Claim claim_uid(uid_t uid, Fd& out) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::string name = "postern-command-uid-" + std::to_string(uid);
  std::memcpy(address.sun_path + 1, name.data(), name.size());  // the leading NUL makes it abstract
  Fd fd(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + name.size());
  if (fd && bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), size) != 0 && errno == EADDRINUSE)
    return Claim::taken;
  out = std::move(fd);
  return Claim::held;
}

// Draws an offset below `count` such that first + offset is nobody else's.
Result<std::uint32_t> claim_offset(std::uint32_t first, std::uint32_t count, Fd& claim) {
  for (int i = 0; i < max_draws; ++i) {
    const std::uint32_t offset = draw_below(count);
    if (first + offset == nobody_id && count > 1) continue;
    if (claim_uid(first + offset, claim) == Claim::held) return offset;
  }
  return failure("cannot find a free user id for the command among " + std::to_string(count) + " from " +
                 std::to_string(first) + ": other sandboxes hold them");
}

IdPlan plan_of_caller() {
  IdPlan plan;
  plan.caller_uid = plan.command_uid = geteuid();
  plan.caller_gid = plan.command_gid = getegid();
  if (plan.caller_uid != 0) {
    plan.shown_uid = plan.caller_uid;
    plan.shown_gid = plan.caller_gid;
  }
  return plan;
}

Result<IdPlan> plan_sudo(IdPlan plan, uid_t uid, gid_t gid) {
  plan.way = IdPlan::Way::direct;
  plan.sudo = plan.record_protected = true;
  plan.command_uid = plan.shown_uid = uid;
  plan.command_gid = plan.shown_gid = gid;
  plan.why = "the command runs as user id " + std::to_string(uid) + ", who called sudo";
  return plan;
}

Result<IdPlan> plan_root(IdPlan plan) {
  if (!can_set_ids()) return plan_single("root lacks CAP_SETUID or CAP_SETGID here");
  const std::vector<IdMapLine> uids = parse_id_map(file_or_nothing("/proc/self/uid_map"));
  const std::vector<IdMapLine> gids = parse_id_map(file_or_nothing("/proc/self/gid_map"));

  const char* sudo_uid = std::getenv("SUDO_UID");
  const char* sudo_gid = std::getenv("SUDO_GID");
  if (sudo_uid != nullptr && sudo_gid != nullptr) {
    const std::optional<std::uint32_t> uid = number(sudo_uid), gid = number(sudo_gid);
    // Root that calls sudo is still root; an id that is not mapped here cannot be the one that called.
    if (uid && gid && *uid != 0 && *gid != plan.caller_gid && maps(uids, {*uid, 1}) &&
        maps(gids, {*gid, 1})) {
      return plan_sudo(std::move(plan), *uid, *gid);
    }
  }

  const std::optional<IdRange> uid_range =
      range_for_root(uids, subordinate_range(file_or_nothing("/etc/subuid"), "root", 0));
  const std::optional<IdRange> gid_range =
      range_for_root(gids, subordinate_range(file_or_nothing("/etc/subgid"), "root", 0));
  if (!uid_range || !gid_range) return plan_single("this user namespace maps no second id");
  const Result<std::uint32_t> offset = claim_offset(uid_range->first, uid_range->count, plan.claim);
  if (!offset) return tl::unexpected(offset.error());
  plan.way = IdPlan::Way::direct;
  plan.record_protected = true;
  plan.command_uid = uid_range->first + *offset;
  plan.command_gid = gid_range->first + *offset % gid_range->count;
  plan.why = "the command runs as user id " + std::to_string(plan.command_uid) + ", which is nobody else's";
  return plan;
}

// Runs a helper and waits. Its exit status is not asked for: whoever ignores SIGCHLD could not learn it, and
// the map itself tells whether it worked. Returns what it wrote to stderr.
std::string run_helper(const char* helper, pid_t pid, std::uint32_t caller, std::uint32_t command) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return std::strerror(errno);
  const Fd read_end(ends[0]);
  Fd write_end(ends[1]);
  const std::string words[] = {helper, std::to_string(pid),     "0", std::to_string(caller), "1",
                               "1",    std::to_string(command), "1"};
  std::vector<char*> argv;
  for (const std::string& word : words) argv.push_back(const_cast<char*>(word.c_str()));
  argv.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, write_end.get(), STDERR_FILENO);
  pid_t child = -1;
  const int error = posix_spawnp(&child, helper, &actions, nullptr, argv.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  write_end.reset();
  if (error != 0) return std::strerror(error);
  std::string said;
  char block[512];
  for (ssize_t size; (size = read(read_end.get(), block, sizeof block)) > 0;)
    said.append(block, static_cast<std::size_t>(size));
  while (waitpid(child, nullptr, 0) < 0 && errno == EINTR) {
  }
  while (!said.empty() && said.back() == '\n') said.pop_back();
  return said;
}

Result<void> map_with_helper(const char* helper, const std::string& file, pid_t pid, std::uint32_t caller,
                             std::uint32_t command) {
  const std::string said = run_helper(helper, pid, caller, command);
  const std::vector<IdMapLine> map = parse_id_map(file_or_nothing(file.c_str()));
  if (maps(map, {0, 1}) && maps(map, {1, 1})) return {};
  return failure("cannot map id " + std::to_string(command) + " with " + helper + ": " +
                 (said.empty() ? "it did nothing" : said));
}

}  // namespace

std::optional<IdRange> subordinate_range(std::string_view text, const std::string& user, std::uint32_t id) {
  while (!text.empty()) {
    const std::string_view line = take_line(text);
    const std::size_t one = line.find(':');
    if (one == std::string_view::npos) continue;
    const std::size_t two = line.find(':', one + 1);
    if (two == std::string_view::npos) continue;
    const std::string_view owner = line.substr(0, one);
    if (owner != std::to_string(id) && (user.empty() || owner != user)) continue;
    const std::optional<std::uint32_t> first = number(line.substr(one + 1, two - one - 1)),
                                       count = number(line.substr(two + 1));
    if (!first || !count || *first == 0 || *count == 0) continue;  // never root
    if (*first > UINT32_MAX - *count) continue;                    // runs over the end (uid -1 is no uid)
    return IdRange{*first, *count};
  }
  return std::nullopt;
}

std::vector<IdMapLine> parse_id_map(std::string_view text) {
  std::vector<IdMapLine> lines;
  while (!text.empty()) {
    std::string_view line = take_line(text);
    std::uint32_t values[3];
    std::size_t have = 0;
    while (have < 3) {
      const std::size_t begin = line.find_first_not_of(' ');
      if (begin == std::string_view::npos) break;
      line.remove_prefix(begin);
      const std::size_t end = std::min(line.find(' '), line.size());
      const std::optional<std::uint32_t> value = number(line.substr(0, end));
      if (!value) break;
      values[have++] = *value;
      line.remove_prefix(end);
    }
    if (have == 3) lines.push_back({values[0], values[1], values[2]});
  }
  return lines;
}

std::uint32_t draw_below(std::uint32_t count) {
  POSTERN_CHECK(count > 0);
  std::uint32_t value = 0;
  // The bias of the modulus is at most 2^-4 here and harms nobody: the id must differ, not be secret.
  POSTERN_CHECK(getrandom(&value, sizeof value, 0) == sizeof value);
  return value % count;
}

std::optional<IdRange> range_for_root(const std::vector<IdMapLine>& map, std::optional<IdRange> subordinate) {
  if (subordinate && !subordinate->holds(0) && maps(map, *subordinate)) return subordinate;
  const IdRange unused{unused_first, unused_last - unused_first + 1};
  if (maps(map, unused)) return unused;
  std::optional<IdRange> best;
  for (const IdMapLine& line : map) {
    IdRange range{line.inside, line.count};
    if (range.holds(0)) range = {1, range.count - 1};
    // The lower half is where a container's own accounts live.
    if (range.count > 1) range = {range.first + range.count / 2, range.count - range.count / 2};
    if (range.count > 0 && (!best || range.count > best->count)) best = range;
  }
  return best;
}

Result<IdPlan> plan_single(const std::string& reason) {
  IdPlan plan = plan_of_caller();
  if (plan.caller_uid == 0) {
    const std::vector<IdMapLine> uids = parse_id_map(file_or_nothing("/proc/self/uid_map"));
    for (const IdMapLine& line : uids) {
      if (line.inside == 0 && line.outside == 0) {
        return failure("cannot give the command a user id of its own: " + reason +
                       "; and a command must not run as root, who owns device nodes and /proc/sys without "
                       "any capability");
      }
    }
    if (uids.empty()) return failure("cannot read \"/proc/self/uid_map\": who root is here is not known");
  }
  plan.why = "the command has the caller's own user id: " + reason;
  return plan;
}

Result<IdPlan> plan_ids() {
  IdPlan plan = plan_of_caller();
  if (plan.caller_uid == 0) return plan_root(std::move(plan));

  const std::string user = user_name(plan.caller_uid);
  const std::string who = user.empty() ? std::to_string(plan.caller_uid) : user;
  const std::optional<IdRange> uids =
      subordinate_range(file_or_nothing("/etc/subuid"), user, plan.caller_uid);
  if (!uids) return plan_single("/etc/subuid has no range for " + who);
  const std::optional<IdRange> gids =
      subordinate_range(file_or_nothing("/etc/subgid"), user, plan.caller_uid);
  if (!gids) return plan_single("/etc/subgid has no range for " + who);
  const Result<std::uint32_t> offset =
      claim_offset(uids->first, std::min(uids->count, gids->count), plan.claim);
  if (!offset) return tl::unexpected(offset.error());
  plan.way = IdPlan::Way::helpers;
  plan.record_protected = true;
  plan.command_uid = uids->first + *offset;
  plan.command_gid = gids->first + *offset;
  plan.why =
      "the command runs as user id " + std::to_string(plan.command_uid) + ", a subordinate id of " + who;
  return plan;
}

Result<void> write_maps(const IdPlan& plan, pid_t pid) {
  const std::string folder = "/proc/" + std::to_string(pid) + "/";
  if (plan.way == IdPlan::Way::helpers) {
    const Result<void> uids =
        map_with_helper("newuidmap", folder + "uid_map", pid, plan.caller_uid, plan.command_uid);
    if (!uids) return uids;
    return map_with_helper("newgidmap", folder + "gid_map", pid, plan.caller_gid, plan.command_gid);
  }
  const auto map = [](std::uint32_t caller, std::uint32_t command, bool both) {
    std::string text = "0 " + std::to_string(caller) + " 1\n";
    if (both) text += "1 " + std::to_string(command) + " 1\n";
    return text;
  };
  const bool both = plan.way == IdPlan::Way::direct;
  if (!both) {
    // Without rights in the parent namespace a group may be mapped only by who gives up setgroups
    // (user_namespaces(7)).
    if (Result<void> groups = write_small_file(folder + "setgroups", "deny"); !groups) return groups;
  }
  if (Result<void> gids = write_small_file(folder + "gid_map", map(plan.caller_gid, plan.command_gid, both));
      !gids)
    return gids;
  return write_small_file(folder + "uid_map", map(plan.caller_uid, plan.command_uid, both));
}

Result<void> write_inner_maps(const IdPlan& plan, pid_t pid) {
  const std::string folder = "/proc/" + std::to_string(pid) + "/";
  const auto map = [](std::uint32_t shown, std::uint32_t inner) {
    return std::to_string(shown) + " " + std::to_string(inner) + " 1\n";
  };
  if (Result<void> gids = write_small_file(folder + "gid_map", map(plan.shown_gid, plan.inner_gid())); !gids)
    return gids;
  return write_small_file(folder + "uid_map", map(plan.shown_uid, plan.inner_uid()));
}

}  // namespace postern

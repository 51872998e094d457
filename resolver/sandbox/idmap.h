// Which user and group a sandboxed command is for the kernel, and the id maps that make it so.
//
// Two user namespaces, one in the other. The outer is the init's: 0 is the caller, 1 the command. The inner
// is the command's: a single id, shown as a number that programs expect. In the outer one the caller is root,
// but with no right beyond the sandbox; the command is never kernel uid 0, because uid 0 owns device nodes
// and /proc/sys even without capabilities.
#pragma once

#include <sys/types.h>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "resolver/sandbox/broker.h"
#include "rules/result.h"

namespace postern {

// Ids that no distribution, systemd or container runtime hands out: "unused" in systemd's table of uids
// (systemd.io/UIDS-GIDS). Drawn from at random by root without a subordinate range: two sandboxes differ.
inline constexpr std::uint32_t unused_first = 0x70000000, unused_last = 0x7ffffffe;

// The id shown to a command that root started: "nobody" (and never the overflow of a *real* nobody's rights:
// it is a label).
inline constexpr std::uint32_t nobody_id = 65534;

struct IdRange {
  std::uint32_t first = 0, count = 0;
  bool holds(std::uint32_t id) const { return id >= first && id - first < count; }
  friend bool operator==(const IdRange&, const IdRange&) = default;
};

// A line of /proc/PID/uid_map.
struct IdMapLine {
  std::uint32_t inside = 0, outside = 0, count = 0;
};

// The first range that `text` (/etc/subuid, subuid(5)) gives to `user`, by name or number; lines that cannot
// be read are passed over, as newuidmap passes over them.
std::optional<IdRange> subordinate_range(std::string_view text, const std::string& user, std::uint32_t id);
std::vector<IdMapLine> parse_id_map(std::string_view text);

// A number in [0, count), count > 0; from getrandom.
std::uint32_t draw_below(std::uint32_t count);

// The ids from which root draws the command's, `map` being root's own map: `subordinate` if it is mapped as a
// whole, else the unused range, else the upper half of the largest range mapped that is not 0 (root of a
// container). Nothing: only 0 is mapped.
std::optional<IdRange> range_for_root(const std::vector<IdMapLine>& map, std::optional<IdRange> subordinate);

struct IdPlan {
  enum class Way {
    direct,   // root writes the maps
    helpers,  // newuidmap and newgidmap write them
    single,   // only the caller's own id can be mapped: the command shares it
  } way = Way::single;
  uid_t caller_uid = 0, command_uid = 0;  // as seen by the caller
  gid_t caller_gid = 0, command_gid = 0;
  uid_t shown_uid = nobody_id;  // what `id -u` prints inside
  gid_t shown_gid = nobody_id;
  bool record_protected = false;
  std::string why;  // one sentence
  Fd claim;         // holds the uid against other sandboxes for as long as it is open
  bool sudo = false;

  uid_t inner_uid() const { return way == Way::single ? 0 : 1; }  // the command's id in the init's namespace
  gid_t inner_gid() const { return way == Way::single ? 0 : 1; }
};

// The best plan for this process; errors only where the command would be root.
Result<IdPlan> plan_ids();
// The plan for when the helpers fail: `reason` is told.
Result<IdPlan> plan_single(const std::string& reason);

// Writes the maps of `pid`, which has just been cloned into a user namespace.
Result<void> write_maps(const IdPlan& plan, pid_t pid);
// Writes the single-id maps of the command's own namespace; called by the init, with its /proc.
Result<void> write_inner_maps(const IdPlan& plan, pid_t pid);

}  // namespace postern

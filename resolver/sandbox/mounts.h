// What the command sees of the file system: the host's, less every way around Postern.
#pragma once

#include <sys/types.h>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "rules/result.h"

namespace postern {

// The resolv.conf of every sandbox: no search list; `ndots:1` is the default, said because hosts override it.
inline constexpr std::string_view sandbox_resolv_conf = "nameserver 127.0.0.1\noptions ndots:1\n";

// The command's HOME where it may not use the caller's: on the sandbox's own tmpfs. Not /tmp, which is the
// host's: there one sandbox could leave dot files for the next.
inline constexpr const char* private_home = "/run/home";

struct MountPlan {
  std::vector<std::string> hide;
  uid_t command_uid = 0;  // in the current user namespace: owns private_home
  gid_t command_gid = 0;
};

// Rearranges the current mount namespace, which must be a fresh one whose pid, network and user namespaces
// are fresh too, by its root. In order: no propagation; tmpfs over the folders of name services' sockets
// (/run first); resolv.conf and, if need be, nsswitch.conf; `hide`; a read-only /sys of this network
// namespace, where allowed; a fresh /proc. Errors name the step.
Result<void> arrange_mounts(const MountPlan& plan);

// resolv.conf alone, again: a host that replaces its /etc/resolv.conf by rename(2) takes our cover away with
// it (rename over a file that is a mount point elsewhere detaches that mount). Does nothing while the cover
// is in place.
Result<void> cover_resolv_conf();

// Where `path` leads when every symbolic link is followed, also where the end (or more) does not exist.
// Absolute paths only. A chain of more than 40 links (as in the kernel) ends where it stands.
std::string follow_links(const std::string& path);

// An nsswitch.conf for inside, if the host's needs one: modules that ask a daemon (resolve, mdns, sss, wins)
// find its socket gone, report that, and glibc goes on to `dns`; so only a `hosts:` line *without* dns has to
// be replaced, by "files dns".
std::optional<std::string> nsswitch_for_sandbox(std::string_view host);

}  // namespace postern

// The cell: what the resolver process locks itself into before it reads a byte from a sandbox.
#pragma once

#include <sys/types.h>
#include <optional>
#include <string>

#include "rules/result.h"

namespace postern {

struct CellOptions {
  std::string state_folder;  // becomes the root of the file system the process sees
  std::string journal_file;  // inside it: its files are handed to the service user beforehand
  uid_t uid = 0;             // as root: the service user; otherwise ignored
  gid_t gid = 0;             // as root: its group
  // As root: who may read the journal besides the service user; without one the service user's own group.
  std::optional<gid_t> audit_gid;
  // As root: the folder was just created by us or is the default one; a folder of root's is then given to the
  // service user (SQLite also makes temporary files there). Any other folder keeps its owner.
  bool own_folder = false;
};

// The user `postern` where it exists, else a fixed unallocated id (docs/ARCHITECTURE.md).
void service_ids(uid_t& uid, gid_t& gid);

// Where the journal's file is once the process is in its cell: "/" and its name. Errors: it does not lie in
// the state folder.
Result<std::string> journal_in_cell(const CellOptions& options);

// The courier's cell (courier/courier.h): as below, but its file system is empty but for a copy of what name
// resolution reads, and it may make internet sockets, connect them, and start threads. Call single-threaded,
// with everything read that must be read. Errors say which step.
struct CourierCellOptions {
  uid_t uid = 0;  // as root: the service user; otherwise ignored
  gid_t gid = 0;
};
Result<void> enter_courier_cell(const CourierCellOptions& options);

// Call single-threaded, before the first untrusted byte. As root: chroot, setgroups, setresgid/uid; without
// root: a user and mount namespace of its own, then chroot. In both: no capabilities in any set,
// no_new_privs, not dumpable, and a seccomp filter under which execve, fork, ptrace, mount, socket() of every
// family, bpf, io_uring and their kin fail with EPERM. Errors say which step.
Result<void> enter_cell(const CellOptions& options);

}  // namespace postern

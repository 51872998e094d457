// The cell: what the resolver process locks itself into before it reads a byte from a sandbox.
#pragma once

#include <string>
#include <sys/types.h>

#include "rules/result.h"

namespace postern {

struct CellOptions {
  std::string state_folder;   // becomes the root of the file system the process sees
  std::string journal_file;   // inside it: its files are handed to the service user beforehand
  uid_t uid = 0;              // as root: the service user; otherwise ignored
  gid_t gid = 0;              // as root: the group, also of the journal (the audit group)
};

// The user `postern` where it exists, else a fixed unallocated id (docs/ARCHITECTURE.md).
void service_ids(uid_t& uid, gid_t& gid);

// Call single-threaded, before the first untrusted byte. As root: chroot, setgroups, setresgid/uid; without root: a user and
// mount namespace of its own, then chroot. In both: no capabilities in any set, no_new_privs, not dumpable, and a seccomp filter
// under which execve, fork, ptrace, mount, socket() of every family, bpf, io_uring and their kin fail with EPERM. Errors say which step.
Result<void> enter_cell(const CellOptions& options);

}  // namespace postern

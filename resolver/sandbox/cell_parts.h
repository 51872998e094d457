// The two larger steps into the cell: handing over the journal's files, and the system call filter. Used by
// cell.cpp.
#pragma once

#include "resolver/sandbox/broker.h"
#include "resolver/sandbox/cell.h"

namespace postern {

// The name of the journal's file inside the state folder, from either spelling; errors quote what is wrong
// with it.
Result<std::string> journal_name(const CellOptions& options);

// As root, before chroot: makes the journal's files the service user's, through `folder`, so that SQLite can
// open them in a folder that the service user may not write to. Never through a symlink; only a plain file
// with one name that belongs to root or already to the service user: with anything else somebody tries to
// have root give away a file.
Result<void> hand_over_journal(const Fd& folder, const CellOptions& options, const std::string& name);

// The last step: from here on the thread, and those that it starts, make only the system calls of the list in
// cell_filter.cpp. The courier may besides make internet sockets, connect them, and look names up.
enum class Inmate { resolver, courier };
Result<void> filter_system_calls(Inmate who);

// Steps that both cells take, in this order. Errors say which.
Result<void> enter_own_user_namespace();  // and a mount namespace; without root
Result<void> drop_bounding_set();         // and the ambient set
Result<void> become_user(uid_t uid, gid_t gid);
Result<void> drop_capabilities();
Result<void> give_up_the_rest();  // core dumps, being traced, new privileges

}  // namespace postern

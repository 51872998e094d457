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
// cell_filter.cpp.
Result<void> filter_system_calls();

}  // namespace postern

// Writing the log in one piece: SQLite's file system, but for the frames of one transaction.
//
// SQLite writes each page of a transaction to the write-ahead log with two calls, 24 octets of frame header
// and the page. Half of what a commit of 64 rows costs the kernel is those calls, and since frames begin in
// the middle of the system's pages each page is touched three times. Here frames that follow one another are
// gathered, and written with one call when the frame comes that commits (its header says so:
// https://www.sqlite.org/fileformat2.html#the_write_ahead_log). That call's result is what SQLite is told, so
// a commit that is not in the file is not taken for one. Nobody misses a frame before that: others read the
// log only up to the last commit, and the writer's own reads, syncs and cuts find everything written.
//
// Thread: a connection's. Memory: `max_gathered_octets` for each connection that writes.
#pragma once

#include <cstddef>

namespace postern {

// The name of that file system, for Connection::open. It lies over whatever is SQLite's default when a file
// is opened.
const char* log_gathering_vfs();

// Of frames that wait; with the next they are written all the same. A commit of 64 rows has some 10 frames of
// 4 KiB. SQLite's own calls for Unix take at most 131,071 octets at a time (seekAndWriteFd in os_unix.c).
inline constexpr std::size_t max_gathered_octets = std::size_t{31} * (4096 + 24);

}  // namespace postern

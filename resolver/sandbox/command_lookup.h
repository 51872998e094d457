// Looking for a program the way a shell does.
#pragma once

#include <string>
#include <string_view>

namespace postern {

struct FoundProgram {
  std::string path;  // empty: not found, or not executable
  int error = 0;     // errno: ENOENT (a shell's 127) or EACCES (126)
  std::string seen;  // with EACCES: the file or folder that was in the way
};

// Where no PATH is set: what glibc's execvp does.
inline constexpr std::string_view default_search_path = "/bin:/usr/bin";

// `name` with a slash stands for itself; else the folders of `search_path` are tried, an empty one being the
// working folder. Executable means: a regular file that the *effective* ids of this process may execute.
// Folders that may not be entered are passed over, as execvp passes over them.
FoundProgram find_program(const std::string& name, std::string_view search_path);

// The first folder on the way to `path`, or `path` itself, that this process may not enter or execute; empty
// if none.
std::string first_barrier(const std::string& path);

}  // namespace postern

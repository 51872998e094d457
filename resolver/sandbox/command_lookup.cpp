// Looking for a program the way a shell does.
#include "resolver/sandbox/command_lookup.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

namespace postern {
namespace {

// 0, or the errno that speaks against executing `path`.
int executable(const std::string& path) {
  struct stat status {};
  if (stat(path.c_str(), &status) != 0) return errno;
  if (!S_ISREG(status.st_mode)) return EACCES;
  return faccessat(AT_FDCWD, path.c_str(), X_OK, AT_EACCESS) == 0 ? 0 : errno;
}

}  // namespace

FoundProgram find_program(const std::string& name, std::string_view search_path) {
  FoundProgram found;
  if (name.empty()) {
    found.error = ENOENT;
    return found;
  }
  if (name.find('/') != std::string::npos) {
    found.error = executable(name);
    if (found.error == 0) found.path = name;
    if (found.error == EACCES) found.seen = name;
    if (found.error != 0 && found.error != EACCES) found.error = ENOENT;
    return found;
  }
  for (;;) {
    const std::size_t end = search_path.find(':');
    const std::string folder(search_path.substr(0, end));
    const std::string path = folder.empty() ? "./" + name : folder + "/" + name;
    const int error = executable(path);
    if (error == 0) return {path, 0, {}};
    if (error == EACCES && found.seen.empty()) found.seen = path;
    if (end == std::string_view::npos) break;
    search_path.remove_prefix(end + 1);
  }
  // A folder that may not be entered may or may not hold the program: only a file that was seen counts as
  // "not executable".
  struct stat status {};
  if (!found.seen.empty() && stat(found.seen.c_str(), &status) == 0) {
    found.error = EACCES;
  } else {
    found.error = ENOENT;
    found.seen.clear();
  }
  return found;
}

std::string first_barrier(const std::string& path) {
  for (std::size_t at = path.find('/', 1); at != std::string::npos; at = path.find('/', at + 1)) {
    const std::string folder = path.substr(0, at);
    if (faccessat(AT_FDCWD, folder.c_str(), X_OK, AT_EACCESS) != 0 && errno == EACCES) return folder;
  }
  if (faccessat(AT_FDCWD, path.c_str(), X_OK, AT_EACCESS) != 0 && errno == EACCES) return path;
  return {};
}

}  // namespace postern

// Small files read and written whole: /proc entries, /etc tables.
#include "resolver/sandbox/command_files.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "resolver/sandbox/broker.h"

namespace postern {
namespace {

tl::unexpected<Error> refused(const char* what, const std::string& path) {
  return failure("cannot " + std::string(what) + " \"" + path + "\": " + std::strerror(errno));
}

Result<void> write_to(const Fd& fd, const std::string& path, std::string_view text) {
  const ssize_t written = write(fd.get(), text.data(), text.size());
  if (written < 0) return refused("write", path);
  if (static_cast<std::size_t>(written) != text.size()) {
    return failure("cannot write \"" + path + "\": it took only a part of " + std::to_string(text.size()) +
                   " octets");
  }
  return {};
}

}  // namespace

Result<std::string> read_small_file(const std::string& path) {
  const Fd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY));
  if (!fd) return refused("open", path);
  std::string text;
  char block[4096];
  for (;;) {
    const ssize_t size = read(fd.get(), block, sizeof block);
    if (size < 0 && errno == EINTR) continue;
    if (size < 0) return refused("read", path);
    if (size == 0) return text;
    text.append(block, static_cast<std::size_t>(size));
    if (text.size() > max_small_file) return failure("cannot read \"" + path + "\": it is larger than 1 MiB");
  }
}

Result<void> write_small_file(const std::string& path, std::string_view text) {
  const Fd fd(open(path.c_str(), O_WRONLY | O_CLOEXEC | O_NOCTTY));
  if (!fd) return refused("open", path);
  return write_to(fd, path, text);
}

Result<void> create_file(const std::string& path, std::string_view text, unsigned mode) {
  const Fd fd(open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!fd) return refused("create", path);
  if (fchmod(fd.get(), mode) != 0) return refused("set the mode of", path);  // the umask has no say
  if (text.empty()) return {};
  return write_to(fd, path, text);
}

std::string sysctl_value(const std::string& path) {
  const Result<std::string> text = read_small_file(path);
  return text ? text->substr(0, text->find('\n')) : std::string();
}

}  // namespace postern

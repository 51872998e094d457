// Opening a list below its folder: the kernel keeps the path inside.
#include "resolver/sandbox/folder_file.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "resolver/sandbox/broker_wire.h"

namespace postern {

Result<Fd> open_list_below(const std::string& root, const std::string& path) {
  const auto bad = [&](const std::string& why) {
    return failure("cannot read list \"" + wire::printable(path) + "\" in \"" + root + "\": " + why);
  };
  const Fd folder(open(root.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!folder) return bad(std::strerror(errno));
  open_how how{};
  how.flags = O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY;
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS;
  Fd file(static_cast<int>(syscall(SYS_openat2, folder.get(), path.c_str(), &how, sizeof how)));
  if (!file && errno == EXDEV) return bad("it leads out of the folder; list_folders names further ones");
  struct stat kind {};
  if (!file || fstat(file.get(), &kind) != 0) return bad(std::strerror(errno));
  if (!S_ISREG(kind.st_mode)) return bad("it is not a plain file");
  if (kind.st_size > static_cast<off_t>(wire::max_list))
    return bad("it has " + std::to_string(kind.st_size) + " octets; 1 GiB is the limit");
  return file;
}

}  // namespace postern

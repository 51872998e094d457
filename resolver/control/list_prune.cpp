// Removing images of lists that nobody uses.
#include "resolver/control/list_prune.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>

#include "resolver/sandbox/broker.h"
#include "rules/quote.h"

namespace postern {
namespace {

// Entries of the folder that are looked at: 32 lists a policy do not make more in a month.
constexpr std::size_t most_entries = 10'000;

bool is_image_name(std::string_view name) {
  if (name.ends_with(unfinished_suffix)) name.remove_suffix(unfinished_suffix.size());
  if (!name.ends_with(image_suffix)) return false;
  name.remove_suffix(image_suffix.size());
  return name.size() == 2 * image_name_octets && std::all_of(name.begin(), name.end(), [](char c) {
           return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
         });
}

bool is_one_file(const struct stat& a, const struct stat& b) {
  return a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

// Whether this plain file of ours has had its time.
bool is_over(const struct stat& status, std::int64_t now_s) {
  return S_ISREG(status.st_mode) && status.st_uid == ::geteuid() &&
         now_s - std::int64_t{status.st_mtim.tv_sec} >= image_life_s;
}

// 0: removed, or to be left alone (`removed` says which); else the error's number.
int prune_one(int folder, const char* name, std::int64_t now_s, bool& removed) {
  struct stat status {};
  if (::fstatat(folder, name, &status, AT_SYMLINK_NOFOLLOW) != 0) return errno == ENOENT ? 0 : errno;
  if (!is_over(status, now_s)) return 0;
  const Fd file(::openat(folder, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC | O_NOCTTY));
  if (!file) return errno == ENOENT ? 0 : errno;
  if (::flock(file.get(), LOCK_EX | LOCK_NB) != 0) return errno == EWOULDBLOCK ? 0 : errno;
  // Somebody may have put a new one in its place meanwhile, or loaded it and let go of it again.
  struct stat opened {};
  if (::fstat(file.get(), &opened) != 0) return errno;
  if (::fstatat(folder, name, &status, AT_SYMLINK_NOFOLLOW) != 0) return errno == ENOENT ? 0 : errno;
  if (!is_one_file(opened, status) || !is_over(opened, now_s)) return 0;
  if (::unlinkat(folder, name, 0) != 0) return errno == ENOENT ? 0 : errno;
  removed = true;
  return 0;
}

}  // namespace

PrunedImages prune_images(const std::string& folder, std::int64_t now_s) {
  PrunedImages pruned;
  Fd opened(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  const auto told = [&](int number) {
    pruned.note = "folder " + postern::quoted(folder) + ": " + std::strerror(number);
    return pruned;
  };
  if (!opened) return errno == ENOENT ? pruned : told(errno);
  const std::unique_ptr<DIR, int (*)(DIR*)> entries(::fdopendir(opened.get()), ::closedir);
  if (entries == nullptr) return told(errno);
  (void)opened.release();  // the folder's now
  for (std::size_t seen = 0; seen < most_entries; ++seen) {
    errno = 0;
    const dirent* const entry = ::readdir(entries.get());
    if (entry == nullptr) return errno == 0 ? pruned : told(errno);
    if (!is_image_name(entry->d_name)) continue;
    bool removed = false;
    const int number = prune_one(::dirfd(entries.get()), entry->d_name, now_s, removed);
    if (number != 0)
      pruned.note = "image " + postern::quoted(folder + "/" + entry->d_name) + ": " + std::strerror(number);
    if (removed) ++pruned.removed;
  }
  return pruned;
}

}  // namespace postern

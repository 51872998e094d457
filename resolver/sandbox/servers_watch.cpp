// Follows a resolv.conf by inotify and by a look at the file once per tick.
#include "resolver/sandbox/servers_watch.h"

#include <fcntl.h>
#include <spdlog/spdlog.h>
#include <sys/inotify.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <cstring>
#include <string_view>

namespace postern {
namespace {

std::string folder_of(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

bool same_list(const std::vector<Server>& a, const std::vector<Server>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](const Server& x, const Server& y) {
    return x.address == y.address && x.port == y.port;
  });
}

bool same_file(const struct stat& a, const struct stat& b) {
  return a.st_dev == b.st_dev && a.st_ino == b.st_ino && a.st_size == b.st_size &&
         a.st_mtim.tv_sec == b.st_mtim.tv_sec && a.st_mtim.tv_nsec == b.st_mtim.tv_nsec &&
         a.st_ctim.tv_sec == b.st_ctim.tv_sec && a.st_ctim.tv_nsec == b.st_ctim.tv_nsec;
}

}  // namespace

ServersWatch::ServersWatch(std::string file, std::vector<Server> current)
    : file_(std::move(file)),
      current_(std::move(current)),
      inotify_(inotify_init1(IN_NONBLOCK | IN_CLOEXEC)) {
  if (!inotify_) {
    spdlog::warn("cannot watch \"{}\" by inotify: {}; it is looked at once a second", file_,
                 std::strerror(errno));
  }
  watch();
}

// The links on the way to the file, each with its folder. A watch that cannot be set (the file is away at the
// moment) is left out: its folder's watch tells when it comes back.
void ServersWatch::watch() {
  for (const int old : watches_) inotify_rm_watch(inotify_.get(), old);
  watches_.clear();
  names_.clear();
  seen_ = {};
  stat(file_.c_str(), &seen_);
  if (!inotify_) return;
  const auto add = [&](const std::string& path, std::uint32_t what) {
    const int descriptor = inotify_add_watch(inotify_.get(), path.c_str(), what);
    if (descriptor >= 0) watches_.push_back(descriptor);
  };
  std::string path = file_;
  for (std::size_t link = 0; link < most_links; ++link) {
    names_.push_back(path.substr(path.rfind('/') + 1));  // npos + 1 is 0
    add(folder_of(path),
        IN_CREATE | IN_MOVED_TO | IN_DELETE | IN_CLOSE_WRITE | IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR);
    std::array<char, PATH_MAX> target{};
    const ssize_t length = readlink(path.c_str(), target.data(), target.size());
    if (length <= 0 || static_cast<std::size_t>(length) == target.size()) break;
    const std::string next(target.data(), static_cast<std::size_t>(length));
    path = next.front() == '/' ? next : folder_of(path) + "/" + next;
  }
  add(path, IN_MODIFY | IN_CLOSE_WRITE | IN_ATTRIB | IN_DELETE_SELF | IN_MOVE_SELF);
}

void ServersWatch::noticed(Clock::time_point now) {
  alignas(inotify_event) std::array<char, 4096> events;
  for (;;) {
    const ssize_t octets = ::read(inotify_.get(), events.data(), events.size());
    if (octets < 0 && errno == EINTR) continue;
    if (octets <= 0) return;
    for (std::size_t at = 0; at + sizeof(inotify_event) <= static_cast<std::size_t>(octets);) {
      inotify_event event{};
      std::memcpy(&event, events.data() + at, sizeof event);
      const std::string_view padded(events.data() + at + sizeof event, event.len);
      const std::string_view name = padded.substr(0, padded.find('\0'));
      at += sizeof event + event.len;
      // IN_IGNORED is the echo of our own removal of a watch; a name is that of a file in a watched folder.
      if ((event.mask & IN_IGNORED) != 0) continue;
      if (!name.empty() && std::find(names_.begin(), names_.end(), name) == names_.end()) continue;
      if (!due_) due_ = now + settle;
    }
  }
}

void ServersWatch::tick(Clock::time_point now) {
  struct stat file {};
  stat(file_.c_str(), &file);
  if (!same_file(file, seen_) && !due_) due_ = now + settle;
}

std::optional<std::vector<Server>> ServersWatch::reread(Clock::time_point now) {
  if (!due_ || *due_ > now) return std::nullopt;
  due_.reset();
  watch();  // before reading: a change from here on is an event again
  std::vector<Server> servers = read(file_);
  if (servers.empty() || same_list(servers, current_))
    return std::nullopt;  // no server at all: a file being replaced
  current_ = servers;
  return servers;
}

std::vector<Server> ServersWatch::read(const std::string& file) {
  const Fd fd(open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  struct stat kind {};
  if (!fd || fstat(fd.get(), &kind) != 0 || !S_ISREG(kind.st_mode)) return {};
  std::string text(most_octets, '\0');
  std::size_t have = 0;
  while (have < text.size()) {
    const ssize_t octets = ::read(fd.get(), text.data() + have, text.size() - have);
    if (octets < 0 && errno == EINTR) continue;
    if (octets <= 0) break;
    have += static_cast<std::size_t>(octets);
  }
  text.resize(have);
  return parse_resolv_conf(text);
}

}  // namespace postern

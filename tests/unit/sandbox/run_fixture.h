// Runs commands in sandboxes for tests: captured output, private file systems, other users.
#pragma once

#include <sys/types.h>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "resolver/sandbox/run.h"

namespace postern::test {

// True if sandboxes can be made here by root; else prints "SKIPPED: why", and fails the case under
// POSTERN_MUST_WORK=1.
bool can_sandbox();

struct Ran {
  bool prepared = false;
  std::string error;  // of prepare or release
  int status = -1;
  std::string out, err;
  std::string program, protection;
  bool record_protected = false;
  uid_t command_uid = 0;
};

struct Given {
  std::string input;
  std::vector<std::string> hide;
  bool quiet = true;
  std::function<void(SandboxedCommand&)> before_release, after_release;
};

// Stdin is a file with `input`, stdout and stderr are files.
Ran run(const std::vector<std::string>& argv, const Given& given = {});
Ran shell(const std::string& script, const Given& given = {});

// Runs `body` in a forked child that has a mount namespace of its own; what it returns comes back. `body`
// must use no test macros.
std::string in_private_mounts(const std::function<std::string()>& body);
inline constexpr uid_t ordinary = 54321;  // a user's id that nobody has
// In the child: becomes an ordinary user, without groups.
void become_user(uid_t uid);
// In the child: bind-mounts a file with this text over `path`.
void replace_file(const std::string& path, const std::string& text);

// A folder below /tmp that everybody may enter; removed with what is in it.
class OpenFolder {
 public:
  OpenFolder();
  ~OpenFolder();
  OpenFolder(const OpenFolder&) = delete;
  const std::string& path() const { return path_; }
  std::string file(const std::string& name, const std::string& text, mode_t mode = 0644) const;

 private:
  std::string path_;
};

inline bool holds(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}
std::string read_all(int fd);  // to the end
std::string read_text(const std::string& path);

}  // namespace postern::test

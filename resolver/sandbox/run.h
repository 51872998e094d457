// `run`'s sandbox: a command in namespaces of its own, with Postern as its only nameserver.
//
// The story: P, the supervisor (the caller's user), clones I, which is pid 1 of a new pid namespace and root
// of a new user namespace. P writes I's id maps (idmap.h). I brings loopback up, opens the listeners, hands
// them to P, and covers what leads around Postern (mounts.h). I's child C becomes the command's user, gives
// up every right (command_exec.h) and waits; on `release` it becomes the command. I stays as a small init
// (command_init.h) and ends as C ends; whatever is left in the pid namespace then dies, and it all dies at
// once if P does.
//
// Who the command is, for the kernel: as root a subordinate id or a random unused one, so that it is neither
// root nor any user; under sudo the user who called sudo; without root a subordinate id of the caller, where
// newuidmap and /etc/subuid give one. In these cases it cannot signal or trace Postern nor touch its files.
// Without a subordinate id it has the caller's own uid and only the namespaces stand between
// (`record_protected()` is false then). Under sudo the caller's own files stay within the command's reach, as
// they would be without a sandbox.
#pragma once

#include <sys/types.h>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "resolver/sandbox/broker.h"
#include "rules/result.h"

namespace postern {

struct CommandSpec {
  std::vector<std::string> argv;
  // Folders, files and sockets that the command must not see: state folder, control socket's folder. One that
  // does not exist at `prepare` is not hidden later either: create it first.
  std::vector<std::string> hide;
  bool quiet = false;              // no notes on stderr about a changed HOME or working folder
  std::uint16_t listen_port = 53;  // tests
};

// A started but not yet released command: namespaces made, loopback up, listeners open, name-service sockets
// masked, resolv.conf in place; it waits for `release`. The destructor kills what has not ended.
//
// Thread: one, and it must outlive the object (the kernel kills the sandbox when the thread that made it
// ends). `prepare` copies the process as fork does: call it before other threads exist. Descriptors: 4 while
// it lives.
class SandboxedCommand {
 public:
  static Result<std::unique_ptr<SandboxedCommand>> prepare(const CommandSpec& spec);
  ~SandboxedCommand();
  Listeners take_listeners();     // opened inside; hand them to the resolver
  bool record_protected() const;  // false: the command shares the caller's uid
  // One sentence for people: as whom the command runs, and why not better.
  const std::string& protection() const;
  uid_t command_uid() const;  // as seen from here
  // The file that will be executed, found as the command's own user finds it: the one to hash. Empty when
  // there is none; `release` then ends in 127 or 126.
  const std::string& program() const;
  pid_t init_pid() const;  // pid 1 of its pid namespace, seen from here (for `attach --pid`)
  int pidfd() const;       // readable when all is over
  // CMD is executed now. From here to the end of `wait`, HUP, INT, QUIT, TERM, USR1 and USR2 are blocked in
  // this thread and arrive at `signal_fd`. A process forked in between inherits that mask: fork the resolver
  // before `release`.
  Result<void> release();
  int signal_fd() const;  // -1 before `release`; poll it, then call pass_signals
  // Passes on what arrived, except what the terminal sent (Ctrl-C, Ctrl-\, hang-up): CMD is in the same
  // process group and has got that already. Ctrl-Z needs nobody: it stops both.
  void pass_signals();
  void signal(int number);  // passed on to CMD
  // Freezes, lets go on or kills all that was started (process_tree.h). While it is frozen, what asks for its
  // end (HUP, INT, QUIT, TERM; Ctrl-C too) kills it, since it could not hear; CONT lets it go on.
  Result<void> act(TreeAction action);
  bool is_frozen() const;
  // Waits, passing signals on, and gives the terminal back to the caller's process group if CMD took it.
  int wait();  // exit status as a shell gives it: 0..255, 128+signal; 127 and 126 as a shell does

 private:
  struct State;
  std::unique_ptr<State> state_;
  SandboxedCommand();
};

// What identifies the code that a command runs. Told apart by argv and by the program file's first octets;
// `env`, with its options and assignments, is looked through first:
//
//   a binary                              sha256 is the program's
//   a file that begins with "#!"          script is the file itself, program its interpreter
//   python, node, sh, ... FILE            script is FILE
//   python, sh, ... -c TEXT (-e, -r)      script is "-c", script_sha256 that of TEXT
//
// Modules (`python -m`), stdin and other wrappers (timeout, nice, npx) are not looked into: the program's own
// hash then.
struct CodeHash {
  std::string sha256;  // what identifies the code: the script's hash if there is one, else the program's
  std::string program, program_sha256, script, script_sha256;
};
// `program`: the file that stands for argv[0] if it is known (SandboxedCommand::program), else it is looked
// for in PATH. Errors quote the file: not found, not a regular file, not readable, larger than 1 GiB.
Result<CodeHash> code_hash(const std::vector<std::string>& argv, const std::string& program = {});

}  // namespace postern

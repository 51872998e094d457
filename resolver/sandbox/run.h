// `run`'s sandbox: a command in namespaces of its own, with Postern as its only nameserver.
#pragma once

#include <functional>
#include <string>
#include <vector>
#include <sys/types.h>

#include "resolver/sandbox/broker.h"
#include "rules/result.h"

namespace postern {

struct CommandSpec {
  std::vector<std::string> argv;
  std::vector<std::string> hide;   // folders and files that the command must not see: state folder, control socket's folder
};

// A started but not yet released command: namespaces made, loopback up, listeners open, name-service sockets masked, resolv.conf in
// place; it waits for `release`. Thread: one. The destructor kills what was not released.
class SandboxedCommand {
 public:
  static Result<std::unique_ptr<SandboxedCommand>> prepare(const CommandSpec& spec);
  ~SandboxedCommand();
  Listeners take_listeners();         // opened inside; hand them to the resolver
  bool record_protected() const;      // false: the command shares the caller's uid
  pid_t init_pid() const;             // pid 1 of its pid namespace, seen from here (for `attach --pid`)
  int pidfd() const;                  // readable when all is over
  Result<void> release();             // CMD is executed now
  void signal(int number);            // passed on to CMD
  int wait();                         // exit status as a shell gives it: 0..255, 128+signal; 127 and 126 as a shell does

 private:
  struct State;
  std::unique_ptr<State> state_;
  SandboxedCommand();
};

// SHA-256 in hex of the program that argv[0] names (found through PATH); with an interpreter and a script argument, of
// "program-hash script-hash" put together as documented in docs/ARCHITECTURE.md. Empty and an error text when it cannot be read.
struct CodeHash {
  std::string sha256;      // what identifies the code: the script's hash if there is one, else the program's
  std::string program, program_sha256, script, script_sha256;
};
Result<CodeHash> code_hash(const std::vector<std::string>& argv);

}  // namespace postern

// Messages between the supervisor, the sandbox's init and the command-to-be: a text and a few descriptors.
#pragma once

#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

#include "resolver/sandbox/broker.h"
#include "rules/result.h"

namespace postern {

// The first octet of `text` says what it is. One SOCK_SEQPACKET message each.
enum class Step : char {
  hello = 'H',      // init -> supervisor: it runs and may be mapped
  mapped = 'M',     // supervisor -> init, init -> command: the id maps are written
  unshared = 'U',   // command -> init: it has its own user namespace
  prepared = 'P',   // command -> init: all but exec is done; the rest is the program's path
  listening = 'L',  // init -> supervisor: the listeners come along
  ready = 'R',      // init -> supervisor: the command's pidfd comes along; init has no listeners any more
  go = 'G',         // supervisor -> init -> command: execute
  error = 'E',      // either way up: the rest is a sentence
};

struct Message {
  Step step = Step::error;
  std::string text;
  std::vector<Fd> fds;
};

// Both ends blocking and close-on-exec.
Result<void> make_pair(Fd& one, Fd& other);

// Longest text of a message; longer ones are cut.
inline constexpr std::size_t max_message_text = 8192;
// Most descriptors in a message.
inline constexpr std::size_t max_message_fds = 4;

Result<void> send_message(int socket, Step step, std::string_view text = {},
                          std::initializer_list<int> fds = {});

// Waits for a message of kind `expected`; a message of kind `error` becomes the error. `timeout_ms` < 0: for
// ever.
Result<Message> receive_message(int socket, Step expected, int timeout_ms = -1);

}  // namespace postern

// Messages between the supervisor, the sandbox's init and the command-to-be.
#include "resolver/sandbox/command_message.h"

#include <poll.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>

namespace postern {

Result<void> make_pair(Fd& one, Fd& other) {
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) {
    return failure(std::string("cannot create a socket pair: ") + std::strerror(errno));
  }
  one = Fd(ends[0]);
  other = Fd(ends[1]);
  return {};
}

Result<void> send_message(int socket, Step step, std::string_view text, std::initializer_list<int> fds) {
  POSTERN_CHECK(fds.size() <= max_message_fds);
  char kind = static_cast<char>(step);
  text = text.substr(0, max_message_text);
  iovec parts[2] = {{&kind, 1}, {const_cast<char*>(text.data()), text.size()}};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int) * max_message_fds)] = {};
  msghdr message{};
  message.msg_iov = parts;
  message.msg_iovlen = 2;
  if (fds.size() > 0) {
    message.msg_control = control;
    message.msg_controllen = CMSG_SPACE(sizeof(int) * fds.size());
    cmsghdr* header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int) * fds.size());
    std::memcpy(CMSG_DATA(header), fds.begin(), sizeof(int) * fds.size());
  }
  while (sendmsg(socket, &message, MSG_NOSIGNAL) < 0) {
    if (errno == EINTR) continue;
    return failure(std::string("cannot send '") + kind + "' within the sandbox: " + std::strerror(errno));
  }
  return {};
}

Result<Message> receive_message(int socket, Step expected, int timeout_ms) {
  const std::string attempt =
      std::string("cannot receive '") + static_cast<char>(expected) + "' within the sandbox: ";
  pollfd waiting{socket, POLLIN, 0};
  int ready;
  while ((ready = poll(&waiting, 1, timeout_ms)) < 0 && errno == EINTR) {
  }
  if (ready == 0) return failure(attempt + "nothing came within " + std::to_string(timeout_ms) + " ms");

  char text[1 + max_message_text];
  iovec part{text, sizeof text};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int) * max_message_fds)];
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  ssize_t size;
  while ((size = recvmsg(socket, &message, MSG_CMSG_CLOEXEC)) < 0 && errno == EINTR) {
  }
  if (size < 0) return failure(attempt + std::strerror(errno));

  Message out;
  for (cmsghdr* header = CMSG_FIRSTHDR(&message); header != nullptr; header = CMSG_NXTHDR(&message, header)) {
    if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) continue;
    const std::size_t count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (std::size_t i = 0; i < count; ++i) {
      int fd;
      std::memcpy(&fd, CMSG_DATA(header) + i * sizeof(int), sizeof fd);
      out.fds.emplace_back(fd);
    }
  }
  if (size == 0) return failure(attempt + "the other process has ended");
  out.step = static_cast<Step>(text[0]);
  out.text.assign(text + 1, static_cast<std::size_t>(size) - 1);
  if (out.step == Step::error) return failure(out.text);
  if (out.step != expected) return failure(attempt + "'" + text[0] + "' came instead");
  return out;
}

}  // namespace postern

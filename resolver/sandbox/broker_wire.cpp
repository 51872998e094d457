// The broker's wire: messages with descriptors over a SEQPACKET socket.
#include "resolver/sandbox/broker_wire.h"

#include <sys/socket.h>
#include <sys/uio.h>

#include <algorithm>
#include <cerrno>

namespace postern::wire {

Event to_wire(const BrokerEvent& event) {
  Event out;
  out.kind = static_cast<std::uint32_t>(event.kind);
  out.status = event.status;
  out.token = event.token;
  out.servers = static_cast<std::uint32_t>(std::min(event.servers.size(), max_servers));
  for (std::size_t i = 0; i < out.servers; ++i) {
    const Server& server = event.servers[i];
    POSTERN_CHECK(server.address.size() < out.list[i].address.size());
    std::copy(server.address.begin(), server.address.end(), out.list[i].address.begin());
    out.list[i].port = server.port;
  }
  return out;
}

std::string head_octets(const HeadToSign& head) {
  std::string out(head.journal.begin(), head.journal.end());
  for (const std::int64_t value : {head.block, head.records})
    for (unsigned i = 0; i < 8; ++i) out += static_cast<char>(static_cast<std::uint64_t>(value) >> (8 * i));
  out.append(head.head.begin(), head.head.end());
  return out;
}

bool read_head(std::string_view octets, HeadToSign& head) {
  constexpr std::size_t numbers_at = sizeof head.journal, head_at = numbers_at + 16;
  if (octets.size() != head_at + sizeof head.head) return false;
  const auto number = [&](std::size_t at) {
    std::uint64_t value = 0;
    for (unsigned i = 0; i < 8; ++i)
      value |= std::uint64_t{static_cast<std::uint8_t>(octets[at + i])} << (8 * i);
    return static_cast<std::int64_t>(value);
  };
  std::copy_n(octets.begin(), numbers_at, head.journal.begin());
  head.block = number(numbers_at);
  head.records = number(numbers_at + 8);
  std::copy_n(octets.begin() + head_at, sizeof head.head, head.head.begin());
  return head.block > 0 && head.records >= 0;
}

int send_message(int fd, std::span<const std::byte> head, std::string_view text, std::span<const int> fds) {
  POSTERN_CHECK(fds.size() <= max_fds);
  std::array<iovec, 2> parts{
      {{const_cast<std::byte*>(head.data()), head.size()}, {const_cast<char*>(text.data()), text.size()}}};
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int) * max_fds)> control{};
  msghdr message{};
  message.msg_iov = parts.data();
  message.msg_iovlen = parts.size();
  if (!fds.empty()) {
    message.msg_control = control.data();
    message.msg_controllen = CMSG_SPACE(fds.size_bytes());
    cmsghdr* part = CMSG_FIRSTHDR(&message);
    part->cmsg_level = SOL_SOCKET;
    part->cmsg_type = SCM_RIGHTS;
    part->cmsg_len = CMSG_LEN(fds.size_bytes());
    std::memcpy(CMSG_DATA(part), fds.data(), fds.size_bytes());
  }
  for (;;) {
    if (sendmsg(fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0) return 0;
    if (errno != EINTR) return errno;
  }
}

Received receive_message(int fd, std::span<std::byte> buffer, std::size_t most_fds) {
  POSTERN_CHECK(most_fds <= max_fds);
  iovec part{buffer.data(), buffer.size()};
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int) * max_fds)> control{};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  if (most_fds > 0) {
    message.msg_control = control.data();
    message.msg_controllen = CMSG_SPACE(sizeof(int) * most_fds);
  }
  Received received;
  do {
    received.octets = recvmsg(fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  } while (received.octets < 0 && errno == EINTR);
  if (received.octets < 0) {
    received.number = errno;
    return received;
  }
  received.cut = (message.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0;
  if (message.msg_controllen == 0) return received;
  for (cmsghdr* at = CMSG_FIRSTHDR(&message); at != nullptr; at = CMSG_NXTHDR(&message, at)) {
    if (at->cmsg_level != SOL_SOCKET || at->cmsg_type != SCM_RIGHTS) continue;
    for (std::size_t i = 0; CMSG_LEN((i + 1) * sizeof(int)) <= at->cmsg_len; ++i) {
      int number = -1;
      std::memcpy(&number, CMSG_DATA(at) + i * sizeof(int), sizeof number);
      received.fds.emplace_back(number);
    }
  }
  return received;
}

std::string printable(std::string_view text, std::size_t most) {
  std::string result(text.substr(0, most));
  for (char& c : result) {
    if (c < ' ' || c > '~') c = '?';
  }
  if (text.size() > most) result += "...";
  return result;
}

}  // namespace postern::wire

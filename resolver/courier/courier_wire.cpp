// The courier's wire: packing, sending, receiving, checking.
#include "resolver/courier/courier_wire.h"

#include <sys/socket.h>
#include <sys/uio.h>

#include <array>
#include <cerrno>
#include <cstring>

namespace postern {
namespace {

// Sends parts as one message: 0, or errno.
template <std::size_t count>
int send_parts(int channel, std::array<iovec, count> parts) {
  msghdr message{};
  message.msg_iov = parts.data();
  message.msg_iovlen = parts.size();
  for (;;) {
    if (sendmsg(channel, &message, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0) return 0;
    if (errno != EINTR) return errno;
  }
}

iovec part_of(const std::string& text) {
  return {const_cast<char*>(text.data()), text.size()};
}

// One message into `buffer`, resized to it.
Receipt receive_parts(int channel, std::string& buffer, std::size_t head, std::size_t most) {
  buffer.resize(head + most + 1);  // one more, so that a message that is too long shows
  for (;;) {
    const ssize_t octets = recv(channel, buffer.data(), buffer.size(), MSG_DONTWAIT);
    if (octets < 0 && errno == EINTR) continue;
    if (octets < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return Receipt::nothing_yet;
    const auto size = static_cast<std::size_t>(octets < 0 ? 0 : octets);
    if (size < head || size > head + most) return Receipt::closed;
    buffer.resize(size);
    return Receipt::got;
  }
}

}  // namespace

Result<CourierChannel> make_courier_channel() {
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) != 0)
    return failure(std::string("cannot make the courier's channel: ") + std::strerror(errno));
  return CourierChannel{Fd(ends[0]), Fd(ends[1])};
}

Result<void> send_order(int channel, std::int64_t delivery, std::size_t webhook, const std::string& id,
                        const std::string& body) {
  if (id.size() > max_courier_id || body.size() > max_courier_body)
    return failure("cannot send alert \"" + id.substr(0, max_courier_id) + "\": it is longer than 64 KiB");
  CourierOrder head;
  head.delivery = delivery;
  head.webhook = static_cast<std::uint32_t>(webhook);
  head.id_octets = static_cast<std::uint32_t>(id.size());
  head.body_octets = static_cast<std::uint32_t>(body.size());
  const int number = send_parts<3>(channel, {iovec{&head, sizeof head}, part_of(id), part_of(body)});
  if (number == 0) return {};
  return failure(number == EAGAIN ? "the courier is busy, or is being started again"
                                  : std::string("the courier is gone: ") + std::strerror(number));
}

Receipt receive_order(int channel, ReceivedOrder& order) {
  std::string buffer;
  CourierOrder head;
  const Receipt receipt = receive_parts(channel, buffer, sizeof head, max_courier_id + max_courier_body);
  if (receipt != Receipt::got) return receipt;
  std::memcpy(&head, buffer.data(), sizeof head);
  if (head.id_octets > max_courier_id ||
      buffer.size() != sizeof head + head.id_octets + std::size_t{head.body_octets})
    return Receipt::closed;
  order.delivery = head.delivery;
  order.webhook = head.webhook;
  order.id = buffer.substr(sizeof head, head.id_octets);
  order.body = buffer.substr(sizeof head + head.id_octets);
  return Receipt::got;
}

Receipt receive_answer(int channel, ReceivedAnswer& answer) {
  std::string buffer;
  const Receipt receipt = receive_parts(channel, buffer, sizeof answer.head, max_courier_error);
  if (receipt != Receipt::got) return receipt;
  std::memcpy(&answer.head, buffer.data(), sizeof answer.head);
  if (buffer.size() != sizeof answer.head + std::size_t{answer.head.error_octets}) return Receipt::closed;
  answer.error = buffer.substr(sizeof answer.head);
  return Receipt::got;
}

bool send_answer(int channel, CourierAnswer head, const std::string& error) {
  const std::string cut = error.substr(0, max_courier_error);
  head.error_octets = static_cast<std::uint32_t>(cut.size());
  return send_parts<2>(channel, {iovec{&head, sizeof head}, part_of(cut)}) == 0;
}

}  // namespace postern

// A bare UDP echo that turns every DNS query into one fixed answer: the floor under every figure of
// bench/path.
//
// One thread, one socket, recvmmsg and sendmmsg: what the kernel charges for a datagram in and a datagram
// out, and nothing else. It trusts its input (only dnsperf talks to it) as far as lengths allow. The answer
// is the question, one A record 192.0.2.1 and no EDNS.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

namespace {

constexpr unsigned batch_size = 64;          // messages a system call; dnsperf keeps about 100 in flight
constexpr std::size_t buffer_octets = 2048;  // a query of dnsperf's has under 300
constexpr std::size_t header_octets = 12;
// Owner: a pointer to the question; type A, class IN, TTL 300, 4 octets: 192.0.2.1 (RFC 5737).
constexpr std::array<std::uint8_t, 16> fixed_record{0xc0, header_octets, 0, 1, 0, 1, 0, 0, 1, 44, 0,
                                                    4,    192,           0, 2, 1};

using Buffer = std::array<std::uint8_t, buffer_octets>;

// Turns the query in place into its answer; the answer's length, 0 for what is no query with one question.
std::size_t answer(Buffer& message, std::size_t received) {
  if (received < header_octets || (message[2] & 0x80) != 0 || message[4] != 0 || message[5] != 1) return 0;
  std::size_t end = header_octets;
  while (end < received && message[end] != 0) end += message[end] + 1u;
  end += 5;  // the root, type and class
  if (end > received || end + fixed_record.size() > message.size()) return 0;
  message[2] |= 0x80;              // QR
  message[3] = 0x80;               // RA, NOERROR
  message[6] = 0, message[7] = 1;  // one answer
  std::memset(&message[8], 0, 4);  // nothing else
  std::memcpy(&message[end], fixed_record.data(), fixed_record.size());
  return end + fixed_record.size();
}

[[noreturn]] void fail(const char* what) {
  std::fprintf(stderr, "udp_echo: %s: %s\n", what, std::strerror(errno));
  std::exit(1);
}

void serve(int socket) {
  std::vector<Buffer> buffers(batch_size);
  std::vector<sockaddr_in> clients(batch_size);
  std::vector<iovec> vectors(batch_size);
  std::vector<mmsghdr> messages(batch_size);
  for (;;) {
    for (unsigned i = 0; i < batch_size; ++i) {
      vectors[i] = {buffers[i].data(), buffers[i].size()};
      messages[i] = {};
      messages[i].msg_hdr.msg_name = &clients[i];
      messages[i].msg_hdr.msg_namelen = sizeof clients[i];
      messages[i].msg_hdr.msg_iov = &vectors[i];
      messages[i].msg_hdr.msg_iovlen = 1;
    }
    const int received = recvmmsg(socket, messages.data(), batch_size, MSG_WAITFORONE, nullptr);
    if (received < 0 && errno != EINTR) fail("recvmmsg");
    unsigned ready = 0;
    for (int i = 0; i < received; ++i) {
      const std::size_t length = answer(buffers[i], messages[i].msg_len);
      if (length == 0) continue;
      vectors[i].iov_len = length;
      messages[ready++].msg_hdr = messages[i].msg_hdr;
    }
    for (unsigned sent = 0; sent < ready;) {
      const int count = sendmmsg(socket, &messages[sent], ready - sent, 0);
      if (count < 0 && errno != EINTR && errno != ECONNREFUSED) fail("sendmmsg");
      sent += count < 0 ? (errno == ECONNREFUSED ? 1 : 0) : static_cast<unsigned>(count);
    }
  }
}

}  // namespace

int main(int argc, char** argv) {
  const long port = argc == 2 ? std::strtol(argv[1], nullptr, 10) : 0;
  if (port < 1 || port > 65535) {
    std::fprintf(stderr, "usage: %s PORT (listens on 127.0.0.1)\n", argv[0]);
    return 2;
  }
  const int socket = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (socket < 0) fail("socket");
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<std::uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (bind(socket, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) fail("bind");
  serve(socket);
}

// The broker's wire: what goes over its SEQPACKET channels, both ways. Read by the two ends only.
//
// A request is one RequestHead and exactly `length` octets of text after it, in one message; a reply
// likewise, with at most two descriptors. Everything is checked by the broker before it is used: a resolver
// that has been taken over must gain nothing by sending something else. Both ends are the same program
// (fork), so there is no version.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "resolver/sandbox/broker.h"
#include "rules/result.h"
#include "rules/signed_head.h"

namespace postern::wire {

enum class Op : std::uint32_t {
  upstream_udp = 1,
  upstream_tcp,
  attach_pid,
  attach_path,
  detach,
  read_policy,
  start_hook,
  another_channel,
  report,
  open_list,
  act,
  sign_head = 64,  // apart: its text is head_octets()
};

// Octets of text in a request. An alert with its evidence takes some kilobytes; a socket buffer holds 200
// KiB.
inline constexpr std::size_t max_text = 64 * 1024;
// Octets of a path in attach_path and open_list: PATH_MAX without the zero.
inline constexpr std::size_t max_path = 4095;
// Octets of the reason given with `act`: a kind, a zone, a few words.
inline constexpr std::size_t max_why = 512;
// Octets of an error's text in a reply: it is read by people.
inline constexpr std::size_t max_error = 1024;
// Octets of a policy file. Inline rules take a hundred octets each; a file this large is a mistake.
inline constexpr std::size_t max_policy = 16 * 1024 * 1024;
// Octets of a list: 30 million names. What is built from it fits in memory, too.
inline constexpr std::size_t max_list = 1024 * 1024 * 1024;
// Servers that an event can carry; parse_resolv_conf gives no more, and an index above it is never honest.
inline constexpr std::size_t max_servers = max_group_servers;
// Descriptors in one reply: two listeners.
inline constexpr std::size_t max_fds = 2;

struct RequestHead {
  Op op{};
  std::uint32_t sequence = 0;  // echoed: a reply that came after its time limit is told from the next one
  std::uint32_t index = 0;     // server, policy file, hook, folder of lists, TreeAction; else 0
  std::int32_t pid = 0;        // attach_pid; else 0
  std::uint64_t token = 0;     // attach_*, detach, start_hook, act; else 0
  std::uint32_t length = 0;    // octets of text that follow
  std::uint32_t zero = 0;
};

struct ReplyHead {
  std::uint32_t sequence = 0;
  std::uint32_t ok = 0;
  std::uint32_t fds = 0;
  std::uint32_t ipv6 = 0;
  std::uint64_t netns_dev = 0, netns_ino = 0;
  std::uint32_t length = 0;  // octets of text that follow: the error's, or sign_head's line
  std::uint32_t zero = 0;
};

struct EventServer {
  std::array<char, 70> address{};  // INET6_ADDRSTRLEN, '%', IFNAMSIZ; zero-terminated
  std::uint16_t port = 0;
};

struct Event {
  std::uint32_t kind = 0;  // BrokerEvent::Kind
  std::int32_t status = 0;
  std::uint64_t token = 0;
  std::uint32_t servers = 0;
  std::uint32_t zero = 0;
  std::array<EventServer, max_servers> list{};
};
static_assert(std::is_trivially_copyable_v<RequestHead> && std::is_trivially_copyable_v<ReplyHead> &&
              std::is_trivially_copyable_v<Event>);

Event to_wire(const BrokerEvent& event);

// sign_head's text: the fields, least octet first.
std::string head_octets(const HeadToSign& head);
bool read_head(std::string_view octets, HeadToSign& head);  // false: not a head

// One message with descriptors; never waits, never raises SIGPIPE. Errors: errno.
int send_message(int fd, std::span<const std::byte> head, std::string_view text, std::span<const int> fds);

struct Received {
  std::ptrdiff_t octets = -1;  // 0: the other end is closed; -1: see `number`
  int number = 0;              // errno
  bool cut = false;            // longer than the buffer, or descriptors that nobody asked for
  std::vector<Fd> fds;
};
// One message; descriptors beyond `most_fds` are closed by the kernel. Never waits.
Received receive_message(int fd, std::span<std::byte> buffer, std::size_t most_fds);

// What is fit for a log line or an error: control characters and octets outside ASCII become '?', cut at
// `most`.
std::string printable(std::string_view text, std::size_t most = 200);

}  // namespace postern::wire

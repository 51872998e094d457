// The resolver's end of the broker's channels. Needs sendmsg, recvmsg, poll and pread only: it works inside
// the cell.
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>

#include "resolver/sandbox/broker_wire.h"

namespace postern {
namespace {

using Clock = std::chrono::steady_clock;

// How long a call waits for the broker. Everything it does for us takes well under a millisecond each.
constexpr std::chrono::milliseconds timeout{2000};

template <class T>
std::span<const std::byte> octets_of(const T& value) {
  return std::as_bytes(std::span<const T, 1>(&value, 1));
}

// True when the descriptor is ready before the deadline.
bool wait_for(int fd, short events, Clock::time_point deadline) {
  for (;;) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now()).count();
    if (left <= 0) return false;
    pollfd one{fd, events, 0};
    const int ready = poll(&one, 1, static_cast<int>(left));
    if (ready > 0) return true;
    if (ready < 0 && errno != EINTR) return false;
  }
}

struct Reply {
  wire::ReplyHead head;
  std::vector<Fd> fds;
  std::string text;
};

// One request, one reply. `what` begins every error.
Result<Reply> call(const Fd& channel, wire::RequestHead request, std::string_view text, std::size_t fds,
                   const std::string& what) {
  const auto bad = [&](const std::string& why) { return failure("cannot " + what + ": " + why); };
  if (!channel) return bad("there is no channel to the broker");
  const auto deadline = Clock::now() + timeout;
  request.length = static_cast<std::uint32_t>(text.size());
  for (;;) {
    const int number = wire::send_message(channel.get(), octets_of(request), text, {});
    if (number == 0) break;
    if (number != EAGAIN) return bad(std::string("the broker does not listen: ") + std::strerror(number));
    if (!wait_for(channel.get(), POLLOUT, deadline)) return bad("the broker is busy");
  }
  std::array<std::byte, sizeof(wire::ReplyHead) + wire::max_error> buffer{};
  for (;;) {
    wire::Received got = wire::receive_message(channel.get(), buffer, wire::max_fds);
    if (got.octets < 0 && got.number == EAGAIN) {
      if (!wait_for(channel.get(), POLLIN, deadline)) return bad("the broker did not answer in 2 s");
      continue;
    }
    if (got.octets < 0) return bad(std::strerror(got.number));
    if (got.octets == 0) return bad("the broker has closed the channel");
    const auto size = static_cast<std::size_t>(got.octets);
    Reply reply;
    if (got.cut || size < sizeof reply.head) return bad("the broker's answer cannot be read");
    std::memcpy(&reply.head, buffer.data(), sizeof reply.head);
    if (size != sizeof reply.head + reply.head.length) return bad("the broker's answer has a wrong length");
    if (reply.head.sequence != request.sequence) continue;  // late, to a call that has given up
    if (reply.head.ok == 0) {
      return failure(
          std::string(reinterpret_cast<const char*>(buffer.data()) + sizeof reply.head, reply.head.length));
    }
    if (got.fds.size() != fds)
      return bad("descriptors are missing in the broker's answer (is the limit reached?)");
    reply.fds = std::move(got.fds);
    reply.text.assign(reinterpret_cast<const char*>(buffer.data()) + sizeof reply.head, reply.head.length);
    return reply;
  }
}

Result<Listeners> listeners_of(Result<Reply> reply) {
  if (!reply) return tl::unexpected(reply.error());
  Listeners listeners;
  listeners.udp = std::move(reply->fds[0]);
  listeners.tcp = std::move(reply->fds[1]);
  listeners.ipv6 = reply->head.ipv6 != 0;
  listeners.netns_dev = reply->head.netns_dev;
  listeners.netns_ino = reply->head.netns_ino;
  return listeners;
}

Result<void> nothing_of(const Result<Reply>& reply) {
  if (!reply) return tl::unexpected(reply.error());
  return {};
}

}  // namespace

BrokerClient::BrokerClient(Fd channel) : channel_(std::move(channel)) {}

Result<Fd> BrokerClient::upstream_socket(std::size_t server_index, bool tcp) {
  wire::RequestHead request;
  request.op = tcp ? wire::Op::upstream_tcp : wire::Op::upstream_udp;
  request.sequence = ++sequence_;
  request.index = static_cast<std::uint32_t>(server_index);
  Result<Reply> reply =
      call(channel_, request, {}, 1, "get a socket to upstream server " + std::to_string(server_index));
  if (!reply) return tl::unexpected(reply.error());
  return std::move(reply->fds[0]);
}

Result<Listeners> BrokerClient::attach_pid(std::uint64_t token, pid_t pid) {
  wire::RequestHead request;
  request.op = wire::Op::attach_pid;
  request.sequence = ++sequence_;
  request.token = token;
  request.pid = pid;
  return listeners_of(call(channel_, request, {}, 2, "attach to process " + std::to_string(pid)));
}

Result<Listeners> BrokerClient::attach_path(std::uint64_t token, const std::string& path) {
  const std::string what = "attach to \"" + wire::printable(path) + "\"";
  if (path.empty() || path.front() != '/')
    return failure("cannot " + what + ": the path must begin with a slash");
  if (path.size() > wire::max_path)
    return failure("cannot " + what + ": the path is longer than 4095 octets");
  if (path.find('\0') != std::string::npos)
    return failure("cannot " + what + ": the path has a zero octet in it");
  wire::RequestHead request;
  request.op = wire::Op::attach_path;
  request.sequence = ++sequence_;
  request.token = token;
  return listeners_of(call(channel_, request, path, 2, what));
}

Result<void> BrokerClient::detach(std::uint64_t token) {
  wire::RequestHead request;
  request.op = wire::Op::detach;
  request.sequence = ++sequence_;
  request.token = token;
  return nothing_of(call(channel_, request, {}, 0, "detach"));
}

Result<std::string> BrokerClient::read_policy(std::size_t index) {
  const std::string what = "read policy file " + std::to_string(index);
  wire::RequestHead request;
  request.op = wire::Op::read_policy;
  request.sequence = ++sequence_;
  request.index = static_cast<std::uint32_t>(index);
  Result<Reply> reply = call(channel_, request, {}, 1, what);
  if (!reply) return tl::unexpected(reply.error());
  std::string text;
  std::array<char, 64 * 1024> part;
  for (;;) {
    const ssize_t octets =
        pread(reply->fds[0].get(), part.data(), part.size(), static_cast<off_t>(text.size()));
    if (octets < 0 && errno == EINTR) continue;
    if (octets < 0) return failure("cannot " + what + ": " + std::strerror(errno));
    if (octets == 0) return text;
    text.append(part.data(), static_cast<std::size_t>(octets));
    if (text.size() > wire::max_policy)
      return failure("cannot " + what + ": it is longer than 16 MiB");  // it grew
  }
}

Result<Fd> BrokerClient::open_list(std::size_t folder, const std::string& path) {
  const std::string what = "read list \"" + wire::printable(path) + "\"";
  if (path.empty() || path.size() > wire::max_path || path.find('\0') != std::string::npos)
    return failure("cannot " + what + ": a path has 1 to 4095 octets and no zero");
  wire::RequestHead request;
  request.op = wire::Op::open_list;
  request.sequence = ++sequence_;
  request.index = static_cast<std::uint32_t>(folder);
  Result<Reply> reply = call(channel_, request, path, 1, what);
  if (!reply) return tl::unexpected(reply.error());
  return std::move(reply->fds[0]);
}

Result<void> BrokerClient::start_hook(std::size_t index, const std::string& json, std::uint64_t token) {
  const std::string what = "start alert program " + std::to_string(index);
  if (json.size() > wire::max_text) return failure("cannot " + what + ": the alert is longer than 64 KiB");
  wire::RequestHead request;
  request.op = wire::Op::start_hook;
  request.sequence = ++sequence_;
  request.index = static_cast<std::uint32_t>(index);
  request.token = token;
  return nothing_of(call(channel_, request, json, 0, what));
}

Result<void> BrokerClient::act(std::uint64_t token, TreeAction action, const std::string& why) {
  wire::RequestHead request;
  request.op = wire::Op::act;
  request.sequence = ++sequence_;
  request.index = static_cast<std::uint32_t>(action);
  request.token = token;
  return nothing_of(call(channel_, request, why.substr(0, wire::max_why), 0, "act on a sandbox"));
}

Result<std::unique_ptr<BrokerClient>> BrokerClient::another() {
  wire::RequestHead request;
  request.op = wire::Op::another_channel;
  request.sequence = ++sequence_;
  Result<Reply> reply = call(channel_, request, {}, 1, "get a further channel to the broker");
  if (!reply) return tl::unexpected(reply.error());
  return std::make_unique<BrokerClient>(std::move(reply->fds[0]));
}

Result<void> BrokerClient::report(const std::string& json) {
  if (json.size() > wire::max_text) return failure("cannot send the summary: it is longer than 64 KiB");
  wire::RequestHead request;
  request.op = wire::Op::report;
  request.sequence = ++sequence_;
  return nothing_of(call(channel_, request, json, 0, "send the summary"));
}

Result<SignedHead> BrokerClient::sign_head(const HeadToSign& head) {
  wire::RequestHead request;
  request.op = wire::Op::sign_head;
  request.sequence = ++sequence_;
  Result<Reply> reply = call(channel_, request, wire::head_octets(head), 0,
                             "get a signature for block " + std::to_string(head.block));
  if (!reply) return tl::unexpected(reply.error());
  return read_signed_head(reply->text);
}

std::optional<BrokerEvent> read_broker_event(int fd) {
  for (;;) {
    wire::Event event;
    const wire::Received got = wire::receive_message(fd, std::as_writable_bytes(std::span(&event, 1)), 0);
    if (got.octets < 0 && got.number == EAGAIN) {
      pollfd one{fd, POLLIN, 0};
      if (poll(&one, 1, -1) < 0 && errno != EINTR) return std::nullopt;
      continue;
    }
    if (got.octets != static_cast<std::ptrdiff_t>(sizeof event) || event.servers > wire::max_servers)
      return std::nullopt;
    BrokerEvent out;
    out.kind = static_cast<BrokerEvent::Kind>(event.kind);
    out.token = event.token;
    out.status = event.status;
    for (std::size_t i = 0; i < event.servers; ++i) {
      out.servers.push_back({event.list[i].address.data(), event.list[i].port});
    }
    return out;
  }
}

}  // namespace postern

// A resolver that was taken over: what it can send to the broker by hand, and that it gains nothing.
#include "broker_support.h"
#include "resolver/sandbox/broker_wire.h"

using namespace sandbox_test;
using postern::BrokerOptions;
using postern::Fd;
namespace wire = postern::wire;

namespace {

std::string message(const wire::RequestHead& head, const std::string& text = "") {
  return std::string(reinterpret_cast<const char*>(&head), sizeof head) + text;
}

wire::RequestHead head(wire::Op op) {
  wire::RequestHead request;
  request.op = op;
  return request;
}

// What becomes of a channel after this message: "answered", "closed" or "silence".
std::string fate(int channel, const std::string& octets) {
  if (send(channel, octets.data(), octets.size(), MSG_NOSIGNAL) != static_cast<ssize_t>(octets.size()))
    return "not sent";
  if (!readable(channel)) return "silence";
  std::array<std::byte, 4096> buffer{};
  const wire::Received got = wire::receive_message(channel, buffer, wire::max_fds);
  if (got.octets == 0 || (got.octets < 0 && got.number == ECONNRESET)) return "closed";
  return "answered";
}

struct Rogue {
  Rogue() : broker(options()) {}
  static BrokerOptions options() {
    BrokerOptions result;
    result.policy_files = {"/etc/hostname"};
    result.list_folders = {"/usr/share/doc"};
    result.hooks = {"/bin/true"};
    result.servers = {{"127.0.0.1", 53}};
    return result;
  }
  // A channel of its own, so that each violation costs only that one.
  std::string fate_of(const std::string& octets) {
    wire::RequestHead request = head(wire::Op::another_channel);
    REQUIRE(send(broker.raw, &request, sizeof request, 0) == sizeof request);
    REQUIRE(readable(broker.raw));
    std::array<std::byte, 4096> buffer{};
    wire::Received got = wire::receive_message(broker.raw, buffer, wire::max_fds);
    REQUIRE(got.fds.size() == 1);
    return fate(got.fds[0].get(), octets);
  }
  BrokerProcess broker;
};

}  // namespace

TEST_CASE("a message that our client never sends closes its channel, and only its own") {
  Rogue rogue;
  struct Row {
    const char* what;
    std::string octets;
    const char* fate;
  };
  const auto with = [](wire::Op op, auto change) {
    wire::RequestHead request = head(op);
    change(request);
    return request;
  };
  using R = wire::RequestHead&;
  wire::RequestHead text_said = head(wire::Op::report);
  text_said.length = 3;
  wire::RequestHead path = head(wire::Op::attach_path);
  path.length = 8;
  wire::RequestHead list_said = head(wire::Op::open_list);
  list_said.length = 8;
  wire::RequestHead longest = head(wire::Op::report), too_long = longest;
  longest.length = wire::max_text;
  too_long.length = wire::max_text + 1;
  postern::HeadToSign block;
  block.block = 1;
  wire::RequestHead sign = head(wire::Op::sign_head);
  sign.length = static_cast<std::uint32_t>(wire::head_octets(block).size());
  wire::RequestHead sign_more = sign;
  ++sign_more.length;
  const std::vector<Row> rows = {
      {"a block's head", message(sign, wire::head_octets(block)), "answered"},
      {"block 0", message(sign, wire::head_octets({})), "closed"},
      {"a head with an octet more", message(sign_more, wire::head_octets(block) + "x"), "closed"},
      {"a head without octets", message(head(wire::Op::sign_head)), "closed"},
      {"a head with an index",
       message(with(wire::Op::sign_head, [&](R r) { r.index = 1, r.length = sign.length; }),
               wire::head_octets(block)),
       "closed"},
      {"operation 65, beyond the last", message(head(static_cast<wire::Op>(65))), "closed"},
      {"operation 63, in the gap", message(head(static_cast<wire::Op>(63))), "closed"},
      {"an honest one", message(head(wire::Op::read_policy)), "answered"},
      {"one octet", "x", "closed"},
      {"a head cut short", message(head(wire::Op::read_policy)).substr(1), "closed"},
      {"one octet too many", message(head(wire::Op::read_policy)) + "x", "closed"},
      {"operation 0", message(head(static_cast<wire::Op>(0))), "closed"},
      {"operation 12, just outside", message(head(static_cast<wire::Op>(12))), "closed"},
      {"operation 10, just inside", message(list_said, "none.txt"), "answered"},
      {"folder of lists 1 of 1",
       message(with(wire::Op::open_list, [](R r) { r.index = 1, r.length = 8; }), "none.txt"), "closed"},
      {"a list without a path", message(head(wire::Op::open_list)), "closed"},
      {"a list's path with a zero octet", message(list_said, std::string("ads\0.txt", 8)), "closed"},
      {"operation 4294967295", message(head(static_cast<wire::Op>(0xffffffffU))), "closed"},
      {"server 7, just inside", message(with(wire::Op::upstream_udp, [](R r) { r.index = 7; })), "answered"},
      {"server 8, just outside", message(with(wire::Op::upstream_udp, [](R r) { r.index = 8; })), "closed"},
      {"policy file 1 of 1", message(with(wire::Op::read_policy, [](R r) { r.index = 1; })), "closed"},
      {"policy file -1", message(with(wire::Op::read_policy, [](R r) { r.index = 0xffffffffU; })), "closed"},
      {"hook 1 of 1", message(with(wire::Op::start_hook, [](R r) { r.index = 1; })), "closed"},
      {"hook 0", message(head(wire::Op::start_hook)), "answered"},
      {"action 0, just outside", message(head(wire::Op::act)), "closed"},
      {"action 1, on what is not attached", message(with(wire::Op::act, [](R r) { r.index = 1; })),
       "answered"},
      {"action 3, just inside", message(with(wire::Op::act, [](R r) { r.index = 3; })), "answered"},
      {"action 4, just outside", message(with(wire::Op::act, [](R r) { r.index = 4; })), "closed"},
      {"an index that is not used", message(with(wire::Op::detach, [](R r) { r.index = 1; })), "closed"},
      {"a token that is not used", message(with(wire::Op::read_policy, [](R r) { r.token = 1; })), "closed"},
      {"a pid that is not used", message(with(wire::Op::attach_path, [](R r) { r.pid = 1; })), "closed"},
      {"a reserved field", message(with(wire::Op::read_policy, [](R r) { r.zero = 1; })), "closed"},
      {"a length that is too large", message(text_said, "ab"), "closed"},
      {"a length that is too small", message(text_said, "abcd"), "closed"},
      {"a length that is right", message(text_said, "abc"), "answered"},
      {"text where there is none", message(with(wire::Op::read_policy, [](R r) { r.length = 1; }), "x"),
       "closed"},
      {"the longest text", message(longest, std::string(wire::max_text, 'x')), "answered"},
      {"one octet longer", message(too_long, std::string(wire::max_text + 1, 'x')), "closed"},
      {"an empty path", message(head(wire::Op::attach_path)), "closed"},
      {"a relative path", message(path, "relative"), "closed"},
      {"a path with a zero octet", message(path, std::string("/etc\0/sh", 8)), "closed"},
      {"a path that leads nowhere", message(path, "/nowhere"), "answered"},
  };
  for (const Row& row : rows) {
    CAPTURE(row.what);
    CHECK(rogue.fate_of(row.octets) == row.fate);
  }
  CHECK(rogue.broker.client->upstream_socket(0, false));
}

TEST_CASE("descriptors sent to the broker close the channel and are not kept") {
  Rogue rogue;
  std::array<int, 2> pipe_ends{};
  REQUIRE(pipe2(pipe_ends.data(), O_CLOEXEC) == 0);
  wire::RequestHead request = head(wire::Op::read_policy);
  REQUIRE(wire::send_message(rogue.broker.raw, std::as_bytes(std::span(&request, 1)), {},
                             std::span(&pipe_ends[1], 1)) == 0);
  REQUIRE(readable(rogue.broker.raw));
  char octet = 0;
  CHECK(recv(rogue.broker.raw, &octet, 1, 0) <= 0);
  close(pipe_ends[1]);
  REQUIRE(readable(pipe_ends[0]));
  CHECK(read(pipe_ends[0], &octet, 1) == 0);  // nobody else has the other end
  close(pipe_ends[0]);
}

TEST_CASE("who asks without reading the answers is heard no more, and the others are still served") {
  Rogue rogue;
  auto other = rogue.broker.client->another();
  REQUIRE(other);
  const wire::RequestHead request = head(wire::Op::detach);
  int sent = 0;
  pollfd writable{rogue.broker.raw, POLLOUT, 0};
  while (poll(&writable, 1, patience_ms) == 1 && (writable.revents & POLLHUP) == 0) {
    if (send(rogue.broker.raw, &request, sizeof request, MSG_NOSIGNAL | MSG_DONTWAIT) < 0 && errno != EAGAIN)
      break;
    REQUIRE(++sent < 1'000'000);
  }
  CHECK((*other)->upstream_socket(0, false));
}

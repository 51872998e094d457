// c-ares: channels with one server each, on sockets from the broker, watched through one epoll descriptor.
#include "resolver/path/transport_cares.h"

#include <ares.h>
#include <arpa/inet.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <list>

namespace postern {
namespace {

// One ares_init per process, before threads; c-ares wants it.
Result<void> library() {
  static const int status = ares_library_init(ARES_LIB_INIT_ALL);
  if (status != ARES_SUCCESS) return failure(std::string("cannot start c-ares: ") + ares_strerror(status));
  return {};
}

// A socket that could not be had: c-ares sees this errno and reports the question as failed.
constexpr int no_socket_errno = ECONNREFUSED;

}  // namespace

struct CaresTransport::State {
  struct Channel {
    State* state = nullptr;
    ares_channel ares = nullptr;
    std::size_t server = 0;
    std::uint64_t generation = 0;
    bool tcp = false;
    bool retired = false;
    std::size_t asked = 0, waiting = 0;
    int held = 0;  // c-ares is at work in it: callbacks may ask anew and sweep, but not this one
    Instant born{};
  };
  struct Hold {
    explicit Hold(Channel& channel) : channel_(channel) { ++channel_.held; }
    ~Hold() { --channel_.held; }
    Hold(const Hold&) = delete;
    Channel& channel_;
  };
  struct Asked {
    Channel* channel;
    Done done;
  };

  std::vector<std::vector<Server>> groups;  // 0: the usual one
  Connect connect;
  Fd poll;
  std::list<Channel> channels;                  // all; addresses are stable
  std::vector<std::vector<Channel*>> udp, tcp;  // current ones by the server's number
  std::size_t turn = 0;
  std::size_t waiting = 0;
  std::uint64_t generation = 0;
  Instant now{};

  ~State() {
    for (Channel& channel : channels)
      ares_destroy(channel.ares);  // calls back with ARES_EDESTRUCTION: `answered` ignores it
  }

  static ares_socket_t on_socket(int, int kind, int, void* self) {
    Channel& channel = *static_cast<Channel*>(self);
    if (channel.generation !=
        channel.state->generation) {  // its server is no longer configured under this index
      errno = no_socket_errno;
      return -1;
    }
    auto socket = channel.state->connect(channel.server, kind == SOCK_STREAM);
    if (!socket) {
      errno = no_socket_errno;
      return -1;
    }
    return socket->release();
  }
  static int on_connect(ares_socket_t, const sockaddr*, ares_socklen_t, void*) {
    return 0;
  }                                                                           // it came connected
  static int on_close(ares_socket_t socket, void*) { return close(socket); }  // the watch ended in on_state
  static ares_ssize_t on_receive(ares_socket_t socket, void* to, size_t size, int flags, sockaddr* from,
                                 ares_socklen_t* length, void*) {
    return recvfrom(socket, to, size, flags, from, length);
  }
  static ares_ssize_t on_send(ares_socket_t socket, const iovec* parts, int count, void*) {
    msghdr message{};
    message.msg_iov = const_cast<iovec*>(parts);
    message.msg_iovlen = static_cast<std::size_t>(count);
    return sendmsg(socket, &message, MSG_NOSIGNAL);
  }
  // Called before c-ares closes a descriptor, too, with neither: the watch must end then, while the number is
  // still this socket's.
  static void on_state(void* self, ares_socket_t socket, int readable, int writable) {
    State& state = *static_cast<Channel*>(self)->state;
    epoll_event event{};
    event.data.u64 = 0;
    event.data.ptr = self;
    event.events = (readable ? EPOLLIN : 0u) | (writable ? EPOLLOUT : 0u);
    watched(state, socket, event);
  }
  static void watched(State& state, int socket, epoll_event& event);

  // epoll's data holds one word, and both the channel and the descriptor are needed.
  struct Watch {
    Channel* channel;
    int socket;
    std::uint32_t events;
  };
  std::vector<Watch> watches;

  Channel* make(std::size_t server, bool over_tcp);
  Channel* pick(std::size_t server, bool over_tcp);
  void sweep();

  static void answered(void* self, int status, int, unsigned char* message, int size) {
    std::unique_ptr<Asked> asked(static_cast<Asked*>(self));
    Channel& channel = *asked->channel;
    --channel.waiting;
    --channel.state->waiting;
    if (status == ARES_EDESTRUCTION) return;
    const bool has_reply = message != nullptr && size > 0;
    // With NOCHECKRESP a reply of any rcode is a success; c-ares still calls some rcodes errors while handing
    // the message over.
    if (has_reply) return asked->done(Status::reply, {message, static_cast<std::size_t>(size)});
    asked->done(status == ARES_ETIMEOUT ? Status::timeout : Status::error, {});
  }
};

void CaresTransport::State::watched(State& state, int socket, epoll_event& event) {
  Channel* channel = static_cast<Channel*>(event.data.ptr);
  const auto at = std::find_if(state.watches.begin(), state.watches.end(),
                               [&](const Watch& w) { return w.socket == socket; });
  event.data.ptr = nullptr;
  event.data.fd = socket;
  if (event.events == 0) {
    if (at == state.watches.end()) return;
    epoll_ctl(state.poll.get(), EPOLL_CTL_DEL, socket, nullptr);
    *at = state.watches.back();
    state.watches.pop_back();
    return;
  }
  if (at == state.watches.end()) {
    state.watches.push_back({channel, socket, event.events});
    epoll_ctl(state.poll.get(), EPOLL_CTL_ADD, socket, &event);
  } else if (at->events != event.events) {
    at->events = event.events;
    epoll_ctl(state.poll.get(), EPOLL_CTL_MOD, socket, &event);
  }
}

CaresTransport::State::Channel* CaresTransport::State::make(std::size_t server, bool over_tcp) {
  Channel& channel = channels.emplace_back();
  channel.state = this;
  channel.server = server;
  channel.generation = generation;
  channel.tcp = over_tcp;
  channel.born = now;

  ares_options options{};
  // IGNTC: truncated replies come to us. NOCHECKRESP: so do SERVFAIL, NOTIMP and REFUSED. EDNS with its size:
  // else a UDP reply is cut at 512 octets. NOALIASES and the empty lookups keep c-ares away from files.
  options.flags = ARES_FLAG_IGNTC | ARES_FLAG_NOCHECKRESP | ARES_FLAG_NOALIASES | ARES_FLAG_NOSEARCH |
                  ARES_FLAG_EDNS | (over_tcp ? ARES_FLAG_USEVC : 0);
  options.timeout = static_cast<int>(Transport::timeout.count());
  options.tries = 1;
  options.ednspsz = wire::udp_octets;
  options.ndots = 1;
  char lookups[] = "b";
  options.lookups = lookups;
  options.sock_state_cb = on_state;
  options.sock_state_cb_data = &channel;
  const int mask = ARES_OPT_FLAGS | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_EDNSPSZ | ARES_OPT_NDOTS |
                   ARES_OPT_LOOKUPS | ARES_OPT_SOCK_STATE_CB;
  if (ares_init_options(&channel.ares, &options, mask) != ARES_SUCCESS) {
    channels.pop_back();
    return nullptr;
  }
  static const ares_socket_functions functions{on_socket, on_close, on_connect, on_receive, on_send};
  ares_set_socket_functions(channel.ares, &functions, &channel);
  // The address only labels the channel and lets c-ares compare a reply's sender: the broker's socket is
  // connected to it.
  const Server& to = groups[server / group_width][server % group_width];
  ares_addr_port_node node{};
  node.udp_port = node.tcp_port = to.port;
  const std::string address = to.address.substr(0, to.address.find('%'));
  node.family = address.find(':') == std::string::npos ? AF_INET : AF_INET6;
  void* where =
      node.family == AF_INET ? static_cast<void*>(&node.addr.addr4) : static_cast<void*>(&node.addr.addr6);
  if (inet_pton(node.family, address.c_str(), where) != 1 ||
      ares_set_servers_ports(channel.ares, &node) != ARES_SUCCESS) {
    ares_destroy(channel.ares);
    channels.pop_back();
    return nullptr;
  }
  return &channel;
}

CaresTransport::State::Channel* CaresTransport::State::pick(std::size_t server, bool over_tcp) {
  auto& current = over_tcp ? tcp[server] : udp[server];
  const std::size_t slot = over_tcp ? 0 : turn++ % udp_channels;
  if (current.size() <= slot) current.resize(slot + 1, nullptr);
  Channel*& channel = current[slot];
  if (channel != nullptr && (channel->asked >= questions_per_channel || now - channel->born > channel_age)) {
    channel->retired = true;
    channel = nullptr;
  }
  if (channel == nullptr) {
    sweep();
    channel = make(server, over_tcp);
  }
  return channel;
}

// Frees retired channels that nobody waits for.
void CaresTransport::State::sweep() {
  for (auto at = channels.begin(); at != channels.end();) {
    if (at->retired && at->waiting == 0 && at->held == 0) {
      ares_destroy(at->ares);
      at = channels.erase(at);
    } else {
      ++at;
    }
  }
}

CaresTransport::CaresTransport(std::unique_ptr<State> state) : state_(std::move(state)) {}
CaresTransport::~CaresTransport() = default;

Result<std::unique_ptr<CaresTransport>> CaresTransport::make(std::vector<Server> servers,
                                                             std::vector<UpstreamGroup> groups,
                                                             Connect connect) {
  if (auto ready = library(); !ready) return tl::unexpected(ready.error());
  auto state = std::make_unique<State>();
  state->poll = Fd(epoll_create1(EPOLL_CLOEXEC));
  if (!state->poll) return failure("cannot make an epoll descriptor");
  state->connect = std::move(connect);
  state->groups.resize(1);
  for (UpstreamGroup& group : groups) {
    POSTERN_CHECK(group.servers.size() <= group_width);
    state->groups.push_back(std::move(group.servers));
  }
  std::unique_ptr<CaresTransport> transport(new CaresTransport(std::move(state)));
  transport->set_servers(std::move(servers));
  return transport;
}

std::size_t CaresTransport::servers(std::size_t group) const {
  return group < state_->groups.size() ? std::min(state_->groups[group].size(), group_width) : 0;
}

void CaresTransport::set_servers(std::vector<Server> servers) {
  for (auto* lists : {&state_->udp, &state_->tcp})
    for (auto& list : *lists)
      for (State::Channel* channel : list)
        if (channel != nullptr) channel->retired = true;
  ++state_->generation;
  state_->groups[0] = std::move(servers);
  state_->udp.assign(state_->groups.size() * group_width, {});
  state_->tcp.assign(state_->groups.size() * group_width, {});
}

void CaresTransport::send(std::size_t server, bool tcp, std::vector<std::uint8_t> message, Done done) {
  if (server % group_width >= servers(server / group_width))
    return done(Status::error, {});  // the list became shorter meanwhile
  State::Channel* channel = state_->pick(server, tcp);
  if (channel == nullptr) return done(Status::error, {});
  ++channel->asked;
  ++channel->waiting;
  ++state_->waiting;
  const State::Hold hold(*channel);
  auto* asked =
      new State::Asked{channel, std::move(done)};  // freed by `answered`, which c-ares calls exactly once
  ares_send(channel->ares, message.data(), static_cast<int>(message.size()), State::answered, asked);
}

int CaresTransport::poll_descriptor() const {
  return state_->poll.get();
}

void CaresTransport::process() {
  constexpr int at_once = 64;
  std::array<epoll_event, at_once> events;
  const int count = epoll_wait(state_->poll.get(), events.data(), at_once, 0);
  for (int i = 0; i < count; ++i) {
    const int socket = events[static_cast<std::size_t>(i)].data.fd;
    const std::uint32_t what = events[static_cast<std::size_t>(i)].events;
    // An earlier callback of this round may have closed the socket, or even reused its number: the list
    // knows.
    const auto at = std::find_if(state_->watches.begin(), state_->watches.end(),
                                 [&](const auto& w) { return w.socket == socket; });
    if (at == state_->watches.end()) continue;
    const bool in = what & (EPOLLIN | EPOLLERR | EPOLLHUP), out = what & (EPOLLOUT | EPOLLERR);
    State::Channel* channel = at->channel;
    const State::Hold hold(*channel);
    ares_process_fd(channel->ares, in ? socket : ARES_SOCKET_BAD, out ? socket : ARES_SOCKET_BAD);
  }
}

void CaresTransport::expire(Instant now) {
  state_->now = now;
  // A callback may add channels at the end and sweep others; the one in hand is held, so its place in the
  // list stays good.
  for (auto at = state_->channels.begin(); at != state_->channels.end(); ++at) {
    const State::Hold hold(*at);
    if (at->waiting > 0) ares_process_fd(at->ares, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
  }
}

bool CaresTransport::busy() const {
  return state_->waiting > 0;
}

}  // namespace postern

// The listener: datagrams by recvmmsg and sendmmsg, streams with length prefixes (RFC 7766).
#include "resolver/path/listener.h"

#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <boost/asio/buffer.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/write.hpp>
#include <cerrno>
#include <cstring>

namespace postern {

namespace asio = boost::asio;

namespace {

constexpr unsigned batch_messages = 64;
constexpr int rounds_a_turn = 4;  // then the other sandboxes of the shard have their turn
constexpr int accepts_a_turn = 16;
// Who is in the sandbox sends from a loopback address, or from the very address that it sends to. Anything
// else came over a network that the namespace has, and would be on the sandbox's record (promise 1). The
// kernel takes neither kind of source from outside.
bool is_loopback(const sockaddr_in6& address) {
  const std::uint8_t* octets = address.sin6_addr.s6_addr;
  if (address.sin6_family == AF_INET)
    return ntohl(reinterpret_cast<const sockaddr_in&>(address).sin_addr.s_addr) >> 24 == 127;
  return IN6_IS_ADDR_LOOPBACK(&address.sin6_addr) ||
         (IN6_IS_ADDR_V4MAPPED(&address.sin6_addr) && octets[12] == 127);
}

bool is_local(int connection) {
  sockaddr_in6 peer{}, own{};
  socklen_t peer_size = sizeof peer, own_size = sizeof own;
  if (getpeername(connection, reinterpret_cast<sockaddr*>(&peer), &peer_size) != 0 ||
      getsockname(connection, reinterpret_cast<sockaddr*>(&own), &own_size) != 0)
    return false;
  if (is_loopback(peer)) return true;
  if (peer.sin6_family == AF_INET)
    return reinterpret_cast<const sockaddr_in&>(peer).sin_addr.s_addr ==
           reinterpret_cast<const sockaddr_in&>(own).sin_addr.s_addr;
  return std::memcmp(&peer.sin6_addr, &own.sin6_addr, sizeof peer.sin6_addr) == 0;
}

constexpr std::size_t control_octets = CMSG_SPACE(sizeof(in6_pktinfo)) + CMSG_SPACE(sizeof(in_pktinfo));

}  // namespace

struct DatagramBatch {
  std::array<std::array<std::uint8_t, wire::max_query_octets>, batch_messages> data;
  std::array<std::array<std::uint8_t, control_octets>, batch_messages> control;
  std::array<sockaddr_in6, batch_messages> address;
  std::array<iovec, batch_messages> part;
  std::array<mmsghdr, batch_messages> message;
};
void DatagramBatchFree::operator()(DatagramBatch* batch) const {
  delete batch;
}
std::unique_ptr<DatagramBatch, DatagramBatchFree> make_datagram_batch() {
  return std::unique_ptr<DatagramBatch, DatagramBatchFree>(new DatagramBatch);
}

// One TCP connection. Exchanges hold it through their Peer, so it may outlive its listener; then replies are
// dropped.
class Listener::Connection : public std::enable_shared_from_this<Listener::Connection> {
 public:
  // One question's place in the connection; its end, with a reply or without, makes room for the next.
  class Turn : public StreamPeer {
   public:
    explicit Turn(std::shared_ptr<Connection> connection) : connection_(std::move(connection)) {
      ++connection_->outstanding_;
    }
    ~Turn() override {
      --connection_->outstanding_;
      connection_->go_on();
    }
    void reply(wire::Octets message) override { connection_->reply(message); }

   private:
    std::shared_ptr<Connection> connection_;
  };

  Connection(Listener& listener, int fd)
      : listener_(&listener), socket_(listener.io_), last_used_(listener.now_) {
    socket_.assign(asio::generic::stream_protocol(listener.ipv6_ ? AF_INET6 : AF_INET, IPPROTO_TCP), fd);
  }

  void read() {
    if (reading_ || listener_ == nullptr || full()) return;
    reading_ = true;
    if (input_.size() < filled_ + read_octets) input_.resize(filled_ + read_octets);
    socket_.async_read_some(
        asio::buffer(input_.data() + filled_, read_octets),
        [self = shared_from_this()](const boost::system::error_code& error, std::size_t size) {
          self->reading_ = false;
          if (self->listener_ == nullptr) return;
          if (error) return self->end_of_input();
          self->filled_ += size;
          self->messages();
        });
  }

  void reply(wire::Octets message) {
    if (listener_ == nullptr || message.size() > 0xffff) return;
    std::vector<std::uint8_t> framed;
    framed.reserve(message.size() + 2);
    framed.push_back(static_cast<std::uint8_t>(message.size() >> 8));
    framed.push_back(static_cast<std::uint8_t>(message.size()));
    framed.insert(framed.end(), message.begin(), message.end());
    unsent_ += framed.size();
    output_.push_back(std::move(framed));
    last_used_ = listener_->now_;
    write();
  }

  void close() {
    listener_ = nullptr;
    boost::system::error_code ignored;
    socket_.close(ignored);
  }
  Instant last_used() const { return last_used_; }

 private:
  static constexpr std::size_t read_octets = 2048;

  bool full() const { return outstanding_ >= max_outstanding || unsent_ > max_unsent_octets; }
  // There was no room for more questions; there may be now. Later, since this is called from inside the
  // pipeline too.
  void go_on() {
    if (listener_ == nullptr || !blocked_ || full()) return;
    blocked_ = false;
    asio::post(listener_->io_, [self = shared_from_this()] {
      if (self->listener_ != nullptr) self->messages();
    });
  }

  // The client may close its half after its last question and still read answers (RFC 7766 section 6.2.4):
  // the connection then lives until its idle time is over.
  void end_of_input() {
    input_over_ = true;
    if (output_.empty()) last_used_ = std::min(last_used_, listener_->now_ - connection_idle / 2);
  }

  void messages() {
    std::size_t at = 0;
    const auto self = shared_from_this();
    listener_->now_ = listener_->on_turn_();
    while (listener_ != nullptr && filled_ - at >= 2 && !full()) {
      const std::size_t size = static_cast<std::size_t>(input_[at]) << 8 | input_[at + 1];
      if (size > wire::max_query_octets) {  // no stub sends it, and it is not buffered
        ++listener_->counters_.oversized;
        Listener& listener = *listener_;
        listener.pipeline_.flush();  // what came before it is answered into the void, but on record
        return listener.drop(self);
      }
      if (filled_ - at - 2 < size) break;
      last_used_ = listener_->now_;
      Peer peer;
      peer.stream = std::make_shared<Turn>(self);
      listener_->pipeline_.receive(listener_->sandbox_, std::move(peer), {input_.data() + at + 2, size});
      at += 2 + size;
    }
    if (listener_ == nullptr) return;
    const bool stopped = full();  // with messages left, perhaps
    listener_->pipeline_.flush();
    if (listener_ == nullptr) return;
    std::memmove(input_.data(), input_.data() + at, filled_ - at);
    filled_ -= at;
    blocked_ = stopped || full();
    if (blocked_) return go_on();
    if (!input_over_) read();
  }

  void write() {
    if (writing_ || output_.empty()) return;
    writing_ = true;
    asio::async_write(socket_, asio::buffer(output_.front()),
                      [self = shared_from_this()](const boost::system::error_code& error, std::size_t) {
                        self->writing_ = false;
                        if (self->listener_ == nullptr) return;
                        if (error) return self->listener_->drop(self);
                        self->unsent_ -= self->output_.front().size();
                        self->output_.pop_front();
                        self->last_used_ = self->listener_->now_;
                        self->write();
                        self->go_on();
                      });
  }

  friend class Listener;
  Listener* listener_;
  asio::generic::stream_protocol::socket socket_;
  std::vector<std::uint8_t> input_;
  std::size_t filled_ = 0;
  std::deque<std::vector<std::uint8_t>> output_;
  std::size_t unsent_ = 0, outstanding_ = 0;
  bool reading_ = false, writing_ = false, input_over_ = false;
  bool blocked_ = false;  // messages were left in `input_`, or reading stopped, for lack of room
  Instant last_used_;
};

Listener::Listener(asio::io_context& io, Pipeline& pipeline, SandboxState& sandbox, Listeners sockets,
                   DatagramBatch& batch, ListenerCounters& counters, std::function<Instant()> on_turn)
    : io_(io),
      pipeline_(pipeline),
      sandbox_(sandbox),
      udp_(io, sockets.udp.release()),
      tcp_(io, sockets.tcp.release()),
      ipv6_(sockets.ipv6),
      batch_(batch),
      counters_(counters),
      on_turn_(std::move(on_turn)) {
  sockaddr_in6 own{};
  socklen_t size = sizeof own;
  if (getsockname(udp_.native_handle(), reinterpret_cast<sockaddr*>(&own), &size) == 0) port_ = own.sin6_port;
}

Listener::~Listener() {
  close();
}

void Listener::start() {
  wait_datagrams();
  wait_connections();
}

void Listener::close() {
  if (closed_) return;
  closed_ = true;
  boost::system::error_code ignored;
  udp_.close(ignored);
  tcp_.close(ignored);
  for (const auto& connection : connections_) connection->close();
  connections_.clear();
}

void Listener::drop(const std::shared_ptr<Connection>& connection) {
  connection->close();
  connections_.remove(connection);
}

void Listener::drop_idlest() {
  auto idlest = connections_.begin();
  for (auto at = connections_.begin(); at != connections_.end(); ++at)
    if ((*at)->last_used() < (*idlest)->last_used()) idlest = at;
  drop(std::shared_ptr<Connection>(*idlest));
}

void Listener::tick(Instant now) {
  now_ = now;
  if (accept_later_) {
    accept_later_ = false;
    wait_connections();
  }
  for (auto at = connections_.begin(); at != connections_.end();) {
    if (now - (*at)->last_used() > connection_idle) {
      ++counters_.connections_closed_idle;
      (*at)->close();
      at = connections_.erase(at);
    } else {
      ++at;
    }
  }
}

// ---- UDP

void Listener::wait_datagrams() {
  udp_.async_wait(asio::posix::descriptor_base::wait_read,
                  [self = shared_from_this()](const boost::system::error_code& error) {
                    if (error || self->closed_) return;
                    self->read_datagrams();
                    if (!self->closed_) self->wait_datagrams();
                  });
}

void Listener::read_datagrams() {
  for (int round = 0; round < rounds_a_turn && !closed_; ++round) {
    for (unsigned i = 0; i < batch_messages; ++i) {
      batch_.part[i] = {batch_.data[i].data(), batch_.data[i].size()};
      msghdr& header = batch_.message[i].msg_hdr;
      header = {};
      header.msg_name = &batch_.address[i];
      header.msg_namelen = sizeof batch_.address[i];
      header.msg_iov = &batch_.part[i];
      header.msg_iovlen = 1;
      header.msg_control = batch_.control[i].data();
      header.msg_controllen = control_octets;
    }
    const int count =
        recvmmsg(udp_.native_handle(), batch_.message.data(), batch_messages, MSG_DONTWAIT, nullptr);
    if (count <= 0) return;  // drained; an ICMP error that was queued has been taken off, too
    now_ = on_turn_();
    for (unsigned i = 0; i < static_cast<unsigned>(count); ++i) {
      const msghdr& header = batch_.message[i].msg_hdr;
      Peer peer;
      std::memcpy(&peer.address, &batch_.address[i], sizeof peer.address);
      in_addr local4{};
      for (cmsghdr* c = CMSG_FIRSTHDR(&header); c != nullptr;
           c = CMSG_NXTHDR(const_cast<msghdr*>(&header), c)) {
        if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO) {
          std::memcpy(&peer.local, CMSG_DATA(c), sizeof peer.local);
        } else if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO) {
          in_pktinfo info{};
          std::memcpy(&info, CMSG_DATA(c), sizeof info);
          local4 = info.ipi_addr;
        }
      }
      if (!ipv6_) std::memcpy(&peer.local.ipi6_addr, &local4, sizeof local4);
      // Nobody answers port 0; and whoever forges our own address and port wants us to talk to ourselves.
      const auto* from4 = reinterpret_cast<const sockaddr_in*>(&peer.address);
      const bool own_address = ipv6_ ? std::memcmp(&peer.address.sin6_addr, &peer.local.ipi6_addr, 16) == 0
                                     : std::memcmp(&from4->sin_addr, &local4, 4) == 0;
      if (!own_address && !is_loopback(peer.address)) {
        ++counters_.foreign;
        continue;
      }
      if (peer.address.sin6_port == 0 || (peer.address.sin6_port == port_ && own_address)) {
        ++counters_.looped;
        continue;
      }
      std::size_t size = batch_.message[i].msg_len;
      if (header.msg_flags & MSG_TRUNC) {
        ++counters_.oversized;
        size = wire::header_octets;  // enough for a FORMERR
      }
      pipeline_.receive(sandbox_, std::move(peer), {batch_.data[i].data(), size});
    }
    pipeline_.flush();
    if (static_cast<unsigned>(count) < batch_messages) return;
  }
}

void Listener::send_datagrams(std::span<Exchange* const> exchanges) {
  while (!exchanges.empty() && !closed_) {
    const unsigned count = static_cast<unsigned>(std::min<std::size_t>(exchanges.size(), batch_messages));
    for (unsigned i = 0; i < count; ++i) {
      Exchange& x = *exchanges[i];
      batch_.part[i] = {x.reply.data(), x.reply.size()};
      msghdr& header = batch_.message[i].msg_hdr;
      header = {};
      header.msg_name = &x.peer.address;
      header.msg_namelen = ipv6_ ? sizeof(sockaddr_in6) : sizeof(sockaddr_in);
      header.msg_iov = &batch_.part[i];
      header.msg_iovlen = 1;
      header.msg_control = batch_.control[i].data();
      // From the address that was asked. The interface matters for link-local addresses only.
      if (ipv6_) {
        header.msg_controllen = CMSG_SPACE(sizeof(in6_pktinfo));
        std::memset(header.msg_control, 0, header.msg_controllen);
        cmsghdr* c = CMSG_FIRSTHDR(&header);
        c->cmsg_level = IPPROTO_IPV6;
        c->cmsg_type = IPV6_PKTINFO;
        c->cmsg_len = CMSG_LEN(sizeof(in6_pktinfo));
        in6_pktinfo info = x.peer.local;
        if (!IN6_IS_ADDR_LINKLOCAL(&info.ipi6_addr)) info.ipi6_ifindex = 0;
        std::memcpy(CMSG_DATA(c), &info, sizeof info);
      } else {
        header.msg_controllen = CMSG_SPACE(sizeof(in_pktinfo));
        std::memset(header.msg_control, 0, header.msg_controllen);
        cmsghdr* c = CMSG_FIRSTHDR(&header);
        c->cmsg_level = IPPROTO_IP;
        c->cmsg_type = IP_PKTINFO;
        c->cmsg_len = CMSG_LEN(sizeof(in_pktinfo));
        in_pktinfo info{};
        std::memcpy(&info.ipi_spec_dst, &x.peer.local.ipi6_addr, sizeof info.ipi_spec_dst);
        std::memcpy(CMSG_DATA(c), &info, sizeof info);
      }
    }
    const int sent =
        sendmmsg(udp_.native_handle(), batch_.message.data(), count, MSG_DONTWAIT | MSG_NOSIGNAL);
    // What the socket will not take is lost, as datagrams are; the client asks again. One bad address must
    // not hold up the rest.
    const std::size_t done = sent > 0 ? static_cast<std::size_t>(sent) : 1;
    if (sent <= 0) ++counters_.unsent;
    exchanges = exchanges.subspan(done);
  }
}

// ---- TCP

void Listener::wait_connections() {
  tcp_.async_wait(asio::posix::descriptor_base::wait_read,
                  [self = shared_from_this()](const boost::system::error_code& error) {
                    if (error || self->closed_) return;
                    self->accept_connections();
                    if (!self->closed_ && !self->accept_later_) self->wait_connections();
                  });
}

void Listener::accept_connections() {
  now_ = on_turn_();
  for (int i = 0; i < accepts_a_turn; ++i) {
    const int fd = accept4(tcp_.native_handle(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) {
      if (errno != EMFILE && errno != ENFILE) return;
      // No descriptor left: the longest idle connection makes room, or the backlog waits for the next second.
      ++counters_.connections_closed_full;
      if (connections_.empty()) {
        accept_later_ = true;
        return;
      }
      drop_idlest();
      continue;
    }
    if (!is_local(fd)) {
      ++counters_.foreign;
      ::close(fd);
      continue;
    }
    if (connections_.size() >= max_connections) {
      ++counters_.connections_closed_full;
      drop_idlest();
    }
    ++counters_.connections;
    auto connection = std::make_shared<Connection>(*this, fd);
    connections_.push_back(connection);
    connection->read();
  }
}

}  // namespace postern

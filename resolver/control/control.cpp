// The control loop: Asio for events, Beast for HTTP.
#include "resolver/control/control.h"

#include <spdlog/spdlog.h>

#include <sys/random.h>

#include <algorithm>
#include <boost/asio/io_context.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/beast/core/basic_stream.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http.hpp>
#include <chrono>

#include "resolver/control/api.h"
#include "resolver/courier/courier_wire.h"

namespace postern {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = boost::beast::http;
using Local = asio::local::stream_protocol;

constexpr std::uint64_t max_body_octets = 5 << 20;   // an inline policy may have 4 MiB
constexpr std::size_t max_clients = 64;              // then the next waits in the backlog
constexpr std::chrono::seconds client_patience{10};  // for a whole request

constexpr std::chrono::milliseconds drain_step{20};  // between two looks at whether all is told

std::int64_t unix_us() {
  return std::chrono::duration_cast<std::chrono::microseconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

double chance() {
  std::uint32_t number = 0;
  if (getrandom(&number, sizeof number, 0) != sizeof number) return 0.5;
  return number / 4294967296.0;
}

class Control;

class Client : public std::enable_shared_from_this<Client> {
 public:
  Client(Control& control, Local::socket socket) : control_(control), stream_(std::move(socket)) {}
  ~Client();
  void read();

 private:
  void answer();
  Control& control_;
  beast::basic_stream<Local> stream_;
  beast::flat_buffer buffer_;
  std::optional<http::request_parser<http::string_body>> parser_;
  http::response<http::string_body> response_;
};

class Control {
 public:
  Control(Resolver& resolver, ControlOptions options)
      : resolver_(resolver),
        drain_(options.drain),
        dispatcher_({resolver.journal(), unix_us, chance}, resolver.alert_hooks(options.courier.get())),
        events_(io_, options.events.release()) {
    if (options.courier) courier_.emplace(io_, options.courier.release());
    if (options.listener) acceptor_.emplace(io_, Local(), options.listener.release());
    // On the journal's thread: only handed over.
    resolver_.journal().on_outbox([this](std::vector<std::int64_t> settled) {
      asio::post(io_, [this, settled = std::move(settled)] {
        dispatcher_.settled(settled);
        pump();
      });
    });
  }

  void run() {
    wait_event();
    wait_courier();
    accept();
    pump();  // what an earlier Postern left
    io_.run();
    ended_ = true;  // clients that are still there are not answered any more
    boost::system::error_code ignored;
    if (acceptor_) acceptor_->close(ignored);
    resolver_.end();
    drain();
    events_.close(ignored);
    resolver_.journal().on_outbox({});
  }

  void client_gone() {
    --clients_;
    if (paused_ && !ended_) {
      paused_ = false;
      accept();
    }
  }
  Resolver& resolver() { return resolver_; }
  bool ended() const { return ended_; }

 private:
  // Alerts raised by the last queries still reach the hooks, and what hooks say of them the journal. What
  // takes longer waits in the outbox for the next Postern on this journal.
  void drain() {
    const auto last_moment = std::chrono::steady_clock::now() + drain_;
    io_.restart();
    pump();
    while (!broker_gone_ && std::chrono::steady_clock::now() < last_moment) {
      const bool nothing_on_its_way = resolver_.journal().stats().waiting_alerts == 0;
      if (nothing_on_its_way && io_.poll() == 0 && dispatcher_.is_idle()) break;
      io_.run_one_for(drain_step);
    }
  }

  void pump() {
    timer_.cancel();
    const auto next = dispatcher_.pump();
    if (!next) return;
    timer_.expires_after(std::chrono::microseconds(std::max<std::int64_t>(0, *next - unix_us())));
    timer_.async_wait([this](const boost::system::error_code& error) {
      if (!error) pump();
    });
  }

  void wait_event() {
    events_.async_wait(
        asio::posix::descriptor_base::wait_read, [this](const boost::system::error_code& error) {
          const auto event = error ? std::nullopt : read_broker_event(events_.native_handle());
          if (!event) {
            broker_gone_ = true;
            return io_.stop();
          }
          switch (event->kind) {
            case BrokerEvent::Kind::namespace_gone:
              resolver_.namespace_gone(event->token);
              break;
            case BrokerEvent::Kind::servers_changed: {
              std::string list;
              for (const Server& server : event->servers) list += " " + server.text();
              spdlog::info("upstreams changed:{}", list);
              resolver_.set_servers(event->servers);
              break;
            }
            case BrokerEvent::Kind::reload:
              (void)resolver_.reload();
              break;  // logged there
            case BrokerEvent::Kind::stop:
              if (!ended_) io_.stop();
              break;
            case BrokerEvent::Kind::hook_exited:
              dispatcher_.ended(static_cast<std::int64_t>(event->token), exec_attempt(event->status));
              pump();
              break;
          }
          wait_event();
        });
  }

  void wait_courier() {
    if (!courier_) return;
    courier_->async_wait(asio::posix::descriptor_base::wait_read,
                         [this](const boost::system::error_code& error) {
                           if (error) return;
                           for (ReceivedAnswer answer;;) {
                             const Receipt receipt = receive_answer(courier_->native_handle(), answer);
                             // The broker keeps the other end open, so that closed means garbage.
                             if (receipt == Receipt::closed)
                               return spdlog::error("the courier is not understood");
                             if (receipt == Receipt::nothing_yet) break;
                             take(answer);
                           }
                           pump();
                           wait_courier();
                         });
  }

  void take(const ReceivedAnswer& answer) {
    if (answer.head.kind == CourierAnswer::Kind::began) {
      dispatcher_.lost("webhook ", "the courier was started again");
    } else if (answer.head.status < 0) {
      dispatcher_.ended(answer.head.delivery, {Attempt::End::again, -1, answer.error, 0});
    } else {
      constexpr std::int64_t us_in_s = 1'000'000;
      dispatcher_.ended(answer.head.delivery,
                        http_attempt(answer.head.status, std::int64_t{answer.head.wait_s} * us_in_s));
    }
  }

  void accept() {
    if (!acceptor_ || ended_) return;
    if (clients_ >= max_clients) {
      paused_ = true;
      return;
    }
    acceptor_->async_accept([this](const boost::system::error_code& error, Local::socket socket) {
      if (ended_ || error == asio::error::operation_aborted) return;
      if (!error) {
        ++clients_;
        std::make_shared<Client>(*this, std::move(socket))->read();
      }
      accept();
    });
  }

  Resolver& resolver_;
  std::size_t clients_ = 0;  // before io_, whose end destroys the last of them
  bool paused_ = false, ended_ = false;
  bool broker_gone_ = false;
  std::chrono::seconds drain_;
  Dispatcher dispatcher_;
  asio::io_context io_{1};
  asio::steady_timer timer_{io_};
  asio::posix::stream_descriptor events_;
  std::optional<asio::posix::stream_descriptor> courier_;
  std::optional<Local::acceptor> acceptor_;
};

Client::~Client() {
  control_.client_gone();
}

void Client::read() {
  parser_.emplace();
  parser_->body_limit(max_body_octets);
  stream_.expires_after(client_patience);
  http::async_read(stream_, buffer_, *parser_,
                   [self = shared_from_this()](const boost::system::error_code& error, std::size_t) {
                     if (self->control_.ended()) return;
                     if (!error) return self->answer();
                     if (error != http::error::body_limit) return;  // closed, or not HTTP
                     self->response_ = {http::status::payload_too_large, 11};
                     self->response_.keep_alive(false);
                     self->response_.body() = "{\"error\": \"the body is larger than 5 MiB\"}\n";
                     self->response_.prepare_payload();
                     http::async_write(self->stream_, self->response_,
                                       [self](const boost::system::error_code&, std::size_t) {});
                   });
}

void Client::answer() {
  const auto& request = parser_->get();
  const std::string method(request.method_string().data(), request.method_string().size());
  const std::string target(request.target().data(), request.target().size());
  ApiReply reply = answer_api(control_.resolver(), method, target, request.body());
  response_ = {static_cast<http::status>(reply.status), request.version()};
  response_.set(http::field::content_type, reply.content_type);
  response_.set(http::field::server, "postern/" POSTERN_VERSION);
  response_.keep_alive(request.keep_alive());
  response_.body() = std::move(reply.body);
  response_.prepare_payload();
  stream_.expires_after(client_patience);
  http::async_write(stream_, response_,
                    [self = shared_from_this()](const boost::system::error_code& error, std::size_t) {
                      if (!error && self->response_.keep_alive()) self->read();
                    });
}

}  // namespace

void control_loop(Resolver& resolver, ControlOptions options) {
  Control(resolver, std::move(options)).run();
}

}  // namespace postern

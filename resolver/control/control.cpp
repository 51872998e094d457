// The control loop: Asio for events, Beast for HTTP.
#include "resolver/control/control.h"

#include <spdlog/spdlog.h>

#include <atomic>
#include <boost/asio/io_context.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/post.hpp>
#include <boost/beast/core/basic_stream.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http.hpp>

#include "resolver/control/api.h"

namespace postern {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = boost::beast::http;
using Local = asio::local::stream_protocol;

constexpr std::uint64_t max_body_octets = 5 << 20;   // an inline policy may have 4 MiB
constexpr std::size_t max_clients = 64;              // then the next waits in the backlog
constexpr std::chrono::seconds client_patience{10};  // for a whole request
constexpr std::size_t max_waiting_alerts = 1024;  // for the hook; more are counted, the journal has them all

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
      : resolver_(resolver), events_(io_, options.events.release()) {
    if (options.listener) acceptor_.emplace(io_, Local(), options.listener.release());
    resolver_.on_alert([this](std::string json) {
      if (waiting_alerts_.fetch_add(1) >= max_waiting_alerts) {
        --waiting_alerts_;
        ++lost_alerts_;
        return;
      }
      asio::post(io_, [this, json = std::move(json)] {
        --waiting_alerts_;
        resolver_.start_hook(json);
      });
    });
  }

  void run() {
    wait_event();
    accept();
    io_.run();
    ended_ = true;  // clients that are still there are not answered any more
    boost::system::error_code ignored;
    if (acceptor_) acceptor_->close(ignored);
    events_.close(ignored);
    resolver_.end();
    io_.restart();
    io_.poll();  // alerts raised by the last queries still reach the hook
    if (lost_alerts_ > 0)
      spdlog::warn("{} alerts did not reach the hook; the journal has them", lost_alerts_.load());
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
  void wait_event() {
    events_.async_wait(asio::posix::descriptor_base::wait_read,
                       [this](const boost::system::error_code& error) {
                         if (error) return io_.stop();
                         const auto event = read_broker_event(events_.native_handle());
                         if (!event) return io_.stop();
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
                             return io_.stop();
                           case BrokerEvent::Kind::hook_exited:
                             if (event->status != 0)
                               spdlog::warn("the alert hook ended with wait status {}", event->status);
                             break;
                         }
                         wait_event();
                       });
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
  std::atomic<std::size_t> waiting_alerts_{0}, lost_alerts_{0};
  asio::io_context io_{1};
  asio::posix::stream_descriptor events_;
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

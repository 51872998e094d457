// The poster: Beast for HTTP, OpenSSL for TLS.
#include "resolver/courier/poster.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <unistd.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <boost/beast/http.hpp>
#include <charconv>
#include <chrono>
#include <optional>

#include "resolver/courier/courier_wire.h"
#include "resolver/courier/signature.h"

namespace postern {
namespace {

namespace asio = boost::asio;
namespace ssl = boost::asio::ssl;
namespace beast = boost::beast;
namespace http = boost::beast::http;
using Tcp = asio::ip::tcp;
using Failure = boost::system::error_code;

constexpr std::chrono::seconds connect_limit{5};   // to one address of the name after the other, in all
constexpr std::uint32_t max_reply_head = 8 << 10;  // octets; a status line and some fields
constexpr unsigned http_version = 11;
// A courier that can look nothing up is started anew for a fresh resolv.conf, but not more often than this.
constexpr std::chrono::seconds shortest_life{30};

struct Target {
  PostTarget given;
  std::optional<ssl::context> context;  // https
};

// Where the system keeps its certificates: Debian, then others.
constexpr const char* system_bundles[] = {"/etc/ssl/certs/ca-certificates.crt",
                                          "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem"};

Result<void> load_certificates(ssl::context& context, const std::string& file) {
  Failure error;
  if (!file.empty()) {
    context.load_verify_file(file, error);
    if (error) return failure("cannot use the certificates in \"" + file + "\": " + error.message());
    return {};
  }
  for (const char* bundle : system_bundles) {
    if (access(bundle, R_OK) != 0) continue;
    context.load_verify_file(bundle, error);
    if (!error) return {};
  }
  return failure("cannot find the system's certificates (Debian: package ca-certificates); name a ca_file");
}

}  // namespace

struct Poster::State {
  // Before io: posts that it ends with look at these.
  std::vector<std::unique_ptr<Target>> targets;
  std::size_t under_way = 0;
  bool fresh_start = false;
  std::chrono::steady_clock::time_point began = std::chrono::steady_clock::now();
  asio::io_context io{1};
  asio::posix::stream_descriptor channel{io};

  void wait();
  void take(ReceivedOrder order);
  void answer(std::int64_t delivery, int status, const std::string& error, std::uint32_t wait_s = 0) {
    CourierAnswer head;
    head.delivery = delivery;
    head.status = status;
    head.wait_s = wait_s;
    send_answer(channel.native_handle(), head, error);  // an answer that finds no room: it is tried again
  }
};

namespace {

// One attempt. Lives as long as something is under way for it.
class Post : public std::enable_shared_from_this<Post> {
 public:
  Post(Poster::State& owner, Target& target, ReceivedOrder order);
  ~Post() { --owner_.under_way; }
  void start();

 private:
  beast::tcp_stream& lowest() { return tls_ ? tls_->next_layer() : *plain_; }
  void connect(const Tcp::resolver::results_type& found);
  void shake_hands();
  void write();
  void read();
  void finish(int status, const std::string& error, std::uint32_t wait_s = 0);
  bool stopped(const char* what, const Failure& error);

  Poster::State& owner_;
  Target& target_;
  ReceivedOrder order_;
  Tcp::resolver resolver_;
  asio::steady_timer limit_;
  std::optional<beast::tcp_stream> plain_;
  std::optional<ssl::stream<beast::tcp_stream>> tls_;
  beast::flat_buffer buffer_{max_reply_head};
  http::request<http::string_body> request_;
  http::response_parser<http::empty_body> reply_;
  bool finished_ = false;
};

Post::Post(Poster::State& owner, Target& target, ReceivedOrder order)
    : owner_(owner), target_(target), order_(std::move(order)), resolver_(owner.io), limit_(owner.io) {
  ++owner_.under_way;
  if (target_.context)
    tls_.emplace(beast::tcp_stream(owner.io), *target_.context);
  else
    plain_.emplace(owner.io);
}

// Whether a step has nothing to go on with: it failed, which is told here, or the attempt is over.
bool Post::stopped(const char* what, const Failure& error) {
  if (finished_ || !error) return finished_;
  std::string why = error.message();
  if (tls_) {
    const long verified = SSL_get_verify_result(tls_->native_handle());
    if (verified != X509_V_OK) why += std::string(": ") + X509_verify_cert_error_string(verified);
  }
  finish(-1, std::string("cannot ") + what + ": " + why);
  return true;
}

void Post::start() {
  const Url& url = target_.given.webhook.url;
  limit_.expires_after(target_.given.webhook.timeout);
  limit_.async_wait([self = shared_from_this()](const Failure& error) {
    if (!error && !self->finished_)
      self->finish(-1,
                   "no answer within " + std::to_string(self->target_.given.webhook.timeout.count()) + " s");
  });
  resolver_.async_resolve(
      url.host, url.port,
      [self = shared_from_this()](const Failure& error, const Tcp::resolver::results_type& found) {
        if (self->finished_) return;
        if (!error) return self->connect(found);
        const auto age = std::chrono::steady_clock::now() - self->owner_.began;
        if (age >= shortest_life) self->owner_.fresh_start = true;
        self->finish(-1,
                     "cannot look up \"" + self->target_.given.webhook.url.host + "\": " + error.message());
      });
}

void Post::connect(const Tcp::resolver::results_type& found) {
  lowest().expires_after(connect_limit);
  lowest().async_connect(found, [self = shared_from_this()](const Failure& error, const Tcp::endpoint&) {
    if (self->stopped("connect", error)) return;
    self->lowest().expires_never();
    if (self->tls_)
      self->shake_hands();
    else
      self->write();
  });
}

void Post::shake_hands() {
  const Url& url = target_.given.webhook.url;
  SSL* session = tls_->native_handle();
  X509_VERIFY_PARAM* wanted = SSL_get0_param(session);
  bool fine = true;
  if (url.is_address) {
    fine = X509_VERIFY_PARAM_set1_ip_asc(wanted, url.host.c_str()) == 1;
  } else {
    X509_VERIFY_PARAM_set_hostflags(wanted, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    fine = X509_VERIFY_PARAM_set1_host(wanted, url.host.c_str(), url.host.size()) == 1 &&
           SSL_set_tlsext_host_name(session, url.host.c_str()) == 1;
  }
  if (!fine) return finish(-1, "cannot ask for a certificate of \"" + url.host + "\"");
  tls_->async_handshake(ssl::stream_base::client, [self = shared_from_this()](const Failure& error) {
    if (!self->stopped("agree on TLS", error)) self->write();
  });
}

void Post::write() {
  const Url& url = target_.given.webhook.url;
  const std::int64_t now =
      std::chrono::duration_cast<std::chrono::seconds>(std::chrono::system_clock::now().time_since_epoch())
          .count();
  request_ = {http::verb::post, url.target, http_version};
  request_.set(http::field::host, url.authority());
  request_.set(http::field::user_agent, "postern/" POSTERN_VERSION);
  request_.set(http::field::content_type, "application/json");
  request_.set(http::field::connection, "close");
  request_.set("webhook-id", order_.id);
  request_.set("webhook-timestamp", std::to_string(now));
  request_.set("webhook-signature", webhook_signature(target_.given.key, order_.id, now, order_.body));
  request_.set("Idempotency-Key", order_.id);
  request_.body() = std::move(order_.body);
  request_.prepare_payload();
  const auto next = [self = shared_from_this()](const Failure& error, std::size_t) {
    if (!self->stopped("send the alert", error)) self->read();
  };
  if (tls_)
    http::async_write(*tls_, request_, next);
  else
    http::async_write(*plain_, request_, next);
}

void Post::read() {
  reply_.header_limit(max_reply_head);
  const auto next = [self = shared_from_this()](const Failure& error, std::size_t) {
    if (self->stopped("read the reply", error)) return;
    const auto& reply = self->reply_.get();
    const auto field = reply[http::field::retry_after];
    std::uint32_t wait_s = 0;  // a date instead of seconds is passed over
    std::from_chars(field.data(), field.data() + field.size(), wait_s);
    self->finish(static_cast<int>(reply.result_int()), {}, wait_s);
  };
  if (tls_)
    http::async_read_header(*tls_, buffer_, reply_, next);
  else
    http::async_read_header(*plain_, buffer_, reply_, next);
}

void Post::finish(int status, const std::string& error, std::uint32_t wait_s) {
  finished_ = true;
  owner_.answer(order_.delivery, status, error, wait_s);
  limit_.cancel();
  resolver_.cancel();
  Failure ignored;
  lowest().socket().close(ignored);
}

}  // namespace

void Poster::State::take(ReceivedOrder order) {
  if (order.webhook >= targets.size()) return answer(order.delivery, -1, "an address that is not configured");
  if (under_way >= most_at_once) return answer(order.delivery, -1, "the courier has enough to do");
  std::make_shared<Post>(*this, *targets[order.webhook], std::move(order))->start();
}

void Poster::State::wait() {
  channel.async_wait(asio::posix::descriptor_base::wait_read, [this](const Failure& error) {
    if (error) return io.stop();
    for (;;) {
      ReceivedOrder order;
      const Receipt receipt = receive_order(channel.native_handle(), order);
      if (receipt == Receipt::closed) return io.stop();
      if (receipt == Receipt::nothing_yet) break;
      take(std::move(order));
    }
    wait();
  });
}

Poster::Poster(std::unique_ptr<State> state) : state_(std::move(state)) {}
Poster::~Poster() = default;

Result<std::unique_ptr<Poster>> Poster::make(std::vector<PostTarget> targets) {
  auto state = std::make_unique<State>();
  for (PostTarget& given : targets) {
    auto target = std::make_unique<Target>();
    target->given = std::move(given);
    if (target->given.webhook.url.tls) {
      ssl::context& context = target->context.emplace(ssl::context::tls_client);
      SSL_CTX_set_min_proto_version(context.native_handle(), TLS1_2_VERSION);
      context.set_verify_mode(ssl::verify_peer);
      if (auto loaded = load_certificates(context, target->given.webhook.ca_file); !loaded)
        return tl::unexpected(loaded.error());
    }
    state->targets.push_back(std::move(target));
  }
  return std::unique_ptr<Poster>(new Poster(std::move(state)));
}

bool Poster::serve(Fd channel) {
  State& state = *state_;
  state.channel.assign(channel.release());
  CourierAnswer hello;
  hello.kind = CourierAnswer::Kind::began;
  send_answer(state.channel.native_handle(), hello, {});
  state.wait();
  while (!state.io.stopped()) {
    state.io.run_one();
    if (state.fresh_start && state.under_way == 0) return false;
  }
  return true;
}

}  // namespace postern

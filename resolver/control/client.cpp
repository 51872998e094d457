// The control socket's client, with Beast.
#include "resolver/control/client.h"

#include <boost/asio/io_context.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/beast/core/basic_stream.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http.hpp>

namespace postern {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = boost::beast::http;
using Local = asio::local::stream_protocol;

constexpr std::chrono::seconds patience{15};

}  // namespace

Result<HttpReply> ask_daemon(const std::string& socket, const std::string& method, const std::string& target,
                             const std::string& body) {
  const auto bad = [&](const std::string& why) {
    return failure("cannot ask the daemon at \"" + socket + "\": " + why);
  };
  if (socket.size() >= 108) return bad("the path is longer than 107 octets");
  asio::io_context io;
  beast::basic_stream<Local> stream(io);
  boost::system::error_code error;
  stream.socket().connect(Local::endpoint(socket), error);
  if (error) return bad(error.message());
  http::request<http::string_body> request;
  request.method_string(method);
  request.target(target);
  request.version(11);
  request.set(http::field::host, "postern");
  request.keep_alive(false);
  request.body() = body;
  request.prepare_payload();
  beast::flat_buffer buffer;
  http::response_parser<http::string_body> response;
  response.body_limit(256 << 20);
  stream.expires_after(patience);
  http::async_write(stream, request, [&](const boost::system::error_code& wrote, std::size_t) {
    error = wrote;
    if (!wrote)
      http::async_read(stream, buffer, response,
                       [&](const boost::system::error_code& read, std::size_t) { error = read; });
  });
  io.run();
  if (error) return bad(error.message());
  return HttpReply{response.get().result_int(), response.get().body()};
}

bool daemon_answers(const std::string& socket) {
  const auto reply = ask_daemon(socket, "GET", "/v1/status");
  return reply && reply->status == 200;
}

}  // namespace postern

// Web addresses: what is read, what is refused, what is shown.
#include "resolver/courier/url.h"

#include <doctest/doctest.h>

using namespace postern;

TEST_CASE("an address is read into scheme, host, port and target") {
  struct Row {
    const char* text;
    bool tls;
    const char *host, *port, *target, *authority, *shown;
  };
  for (const Row& row : {
           Row{"https://hooks.example.org", true, "hooks.example.org", "443", "/", "hooks.example.org",
               "https://hooks.example.org/"},
           Row{"http://127.0.0.1:8080/a/b?token=s3cret", false, "127.0.0.1", "8080", "/a/b?token=s3cret",
               "127.0.0.1:8080", "http://127.0.0.1:8080/a/b"},
           Row{"https://[2001:db8::1]:65535/", true, "2001:db8::1", "65535", "/", "[2001:db8::1]:65535",
               "https://[2001:db8::1]:65535/"},
           Row{"https://[::1]", true, "::1", "443", "/", "[::1]", "https://[::1]/"},
           Row{"http://h:443?x=%20", false, "h", "443", "/?x=%20", "h:443", "http://h:443/"},
           Row{"http://h:80/", false, "h", "80", "/", "h", "http://h/"},
       }) {
    INFO(row.text);
    const auto url = parse_url(row.text);
    REQUIRE_MESSAGE(url.has_value(), (url ? "" : url.error().message));
    CHECK(url->tls == row.tls);
    CHECK(url->host == row.host);
    CHECK(url->port == row.port);
    CHECK(url->target == row.target);
    CHECK(url->authority() == row.authority);
    CHECK(url->text() == row.shown);
  }
  CHECK(parse_url("https://[::1]/")->is_address);
  CHECK(parse_url("https://192.0.2.1/")->is_address);
  CHECK_FALSE(parse_url("https://192.0.2.example/")->is_address);
}

TEST_CASE("what is not plain is refused, and its query is not quoted") {
  for (const char* text : {"",
                           "hooks.example.org",
                           "ftp://h/",
                           "HTTPS://h/",
                           "https:/h",
                           "https://",
                           "https:///x",
                           "https://h:0/",
                           "https://h:65536/",
                           "https://h:/",
                           "https://h:8o/",
                           "https://u:p@h/",
                           "https://h/#part",
                           "https://h/a b",
                           "https://h/\r\nX: y",
                           "https://h\r\n/",
                           "https://[::1",
                           "https://[::1]x/",
                           "https://[127.0.0.1]/",
                           "https://.h/",
                           "https://h/\"",
                           "https://a_%2e/"}) {
    INFO(text);
    const auto url = parse_url(text);
    REQUIRE_FALSE(url.has_value());
    CHECK(url.error().message.starts_with("cannot use the address \""));
  }
  CHECK(parse_url("gopher://h/?token=s3cret").error().message.find("s3cret") == std::string::npos);
  CHECK(parse_url("https://" + std::string(253, 'h')).has_value());
  CHECK_FALSE(parse_url("https://" + std::string(254, 'h')).has_value());
  CHECK_FALSE(parse_url("https://h/" + std::string(Url::max_octets, 'x')).has_value());
}

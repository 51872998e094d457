// The courier's wire, and its cell from inside.
#include "resolver/courier/courier.h"

#include <arpa/inet.h>
#include <doctest/doctest.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <functional>

#include "resolver/courier/courier_wire.h"
#include "resolver/sandbox/cell.h"

using namespace postern;

TEST_CASE("an order and an answer cross the channel as they were, and too long ones do not") {
  auto channel = make_courier_channel();
  REQUIRE(channel.has_value());
  const int ours = channel->resolver.get(), theirs = channel->courier.get();
  ReceivedOrder order;
  CHECK(receive_order(theirs, order) == Receipt::nothing_yet);
  const std::string body(max_courier_body, 'x'), id(max_courier_id, 'i');
  REQUIRE(send_order(ours, 7, 3, id, body).has_value());
  REQUIRE(receive_order(theirs, order) == Receipt::got);
  CHECK(order.delivery == 7);
  CHECK(order.webhook == 3);
  CHECK(order.id == id);
  CHECK(order.body == body);
  CHECK_FALSE(send_order(ours, 7, 3, id, body + "x").has_value());
  CHECK_FALSE(send_order(ours, 7, 3, id + "i", body).has_value());
  REQUIRE(send_order(ours, 8, 0, "", "").has_value());
  REQUIRE(receive_order(theirs, order) == Receipt::got);
  CHECK(order.id.empty());

  CourierAnswer head;
  head.delivery = 7;
  head.status = 503;
  head.wait_s = 9;
  REQUIRE(send_answer(theirs, head, std::string(max_courier_error + 9, 'e')));
  ReceivedAnswer answer;
  REQUIRE(receive_answer(ours, answer) == Receipt::got);
  CHECK(answer.head.status == 503);
  CHECK(answer.head.wait_s == 9);
  CHECK(answer.error == std::string(max_courier_error, 'e'));
}

TEST_CASE("garbage and the other end's end close the channel") {
  for (const std::string& garbage : {std::string("x"), std::string(sizeof(CourierOrder) + 1, '\xff'),
                                     std::string(sizeof(CourierOrder) + max_courier_body + 100, '\0')}) {
    auto channel = make_courier_channel();
    REQUIRE(send(channel->resolver.get(), garbage.data(), garbage.size(), 0) > 0);
    ReceivedOrder order;
    CHECK(receive_order(channel->courier.get(), order) == Receipt::closed);
  }
  auto channel = make_courier_channel();
  channel->resolver.reset();
  ReceivedOrder order;
  CHECK(receive_order(channel->courier.get(), order) == Receipt::closed);
  CHECK_FALSE(send_order(channel->courier.get(), 1, 0, "i", "b").has_value());
}

TEST_CASE("a channel that nobody reads is full some time, and says so") {
  auto channel = make_courier_channel();
  const std::string body(max_courier_body, 'x');
  Result<void> sent;
  for (int i = 0; i < 100 && sent; ++i) sent = send_order(channel->resolver.get(), i, 0, "i", body);
  REQUIRE_FALSE(sent.has_value());
  CHECK(sent.error().message.find("busy") != std::string::npos);
}

namespace {

// Runs `inside` in the courier's cell, in a child. What it returns (empty: all is well) comes back.
std::string in_courier_cell(const std::function<std::string()>& inside) {
  int ends[2];
  REQUIRE(pipe(ends) == 0);
  const pid_t child = fork();
  if (child == 0) {
    uid_t uid = 0;
    gid_t gid = 0;
    service_ids(uid, gid);
    const auto entered = enter_courier_cell({uid, gid});
    const std::string said = entered ? inside() : entered.error().message;
    [[maybe_unused]] const ssize_t written = write(ends[1], said.data(), said.size());
    _exit(0);
  }
  close(ends[1]);
  std::string said;
  char part[512];
  for (ssize_t got = 0; (got = read(ends[0], part, sizeof part)) > 0;)
    said.append(part, static_cast<std::size_t>(got));
  close(ends[0]);
  int status = 0;
  waitpid(child, &status, 0);
  CHECK(status == 0);
  return said;
}

}  // namespace

TEST_CASE("in its cell the courier has no rights, no programs, no files but those for name lookups") {
  const std::string said = in_courier_cell([] {
    std::string wrong;
    const auto must = [&](bool fine, const char* what) {
      if (!fine) wrong += std::string(what) + "; ";
    };
    must(geteuid() != 0 || getuid() != 0, "it is root");
    must(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1, "new privileges");
    must(prctl(PR_GET_DUMPABLE) == 0, "it can be traced");
    must(prctl(PR_CAPBSET_READ, 21) == 0, "a bounding set");
    must(access("/etc/resolv.conf", R_OK) == 0, "no resolv.conf");
    must(access("/etc/nsswitch.conf", R_OK) == 0, "no nsswitch.conf");
    for (const char* path : {"/etc/passwd", "/usr", "/proc", "/var/lib/postern", "/bin/sh", "/etc/ssl"})
      must(access(path, F_OK) != 0, path);
    must(open("/etc/new", O_CREAT | O_WRONLY, 0600) < 0, "a new file");
    must(open("/etc/hosts", O_WRONLY) < 0, "writing a file");
    char* const none[] = {nullptr};
    must(execve("/bin/true", none, none) != 0 && errno == EPERM, "execve");
    must(fork() < 0 && errno == EPERM, "fork");
    must(ptrace(PTRACE_TRACEME, 0, nullptr, nullptr) < 0 && errno == EPERM, "ptrace");
    must(kill(getppid(), 0) < 0 && errno == EPERM, "kill");
    for (const int family : {AF_UNIX, AF_NETLINK, AF_PACKET})
      must(socket(family, SOCK_DGRAM, 0) < 0 && errno == EPERM, "a socket that is none of the internet");
    must(socket(AF_INET, SOCK_RAW, IPPROTO_ICMP) < 0 && errno == EPERM, "a raw socket");
    const int stream = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    must(stream >= 0, "no stream socket");
    must(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0) >= 0, "no datagram socket");
    sockaddr_in address{};
    address.sin_family = AF_INET;
    must(bind(stream, reinterpret_cast<sockaddr*>(&address), sizeof address) < 0 && errno == EPERM, "bind");
    must(listen(stream, 1) < 0 && errno == EPERM, "listen");
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(1);
    must(connect(stream, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0 || errno != EPERM,
         "no connect");
    rlimit core{};
    must(getrlimit(RLIMIT_CORE, &core) == 0 && core.rlim_cur == 0, "core dumps");
    return wrong;
  });
  if (said.find("create a user namespace") != std::string::npos ||
      said.find("create a mount namespace") != std::string::npos) {
    const char* required = std::getenv("POSTERN_MUST_WORK");
    MESSAGE("SKIPPED: " << said);
    CHECK((required == nullptr || std::string(required) != "1"));
    return;
  }
  CHECK(said == "");
}

TEST_CASE("the service user of the courier's cell must not be root") {
  if (geteuid() != 0) return;
  const auto entered = enter_courier_cell({0, 0});
  REQUIRE_FALSE(entered.has_value());
  CHECK(entered.error().message.find("must not be root") != std::string::npos);
}

TEST_CASE("a secret that anybody may read is refused, with the file's name and without what is in it") {
  char path[] = "/tmp/postern-secret-XXXXXX";
  const int file = mkstemp(path);
  REQUIRE(file >= 0);
  const std::string secret = "hunter2hunter2hunter2hunter2";
  REQUIRE(write(file, secret.data(), secret.size()) == static_cast<ssize_t>(secret.size()));
  Webhook webhook;
  webhook.url = *parse_url("http://h/");
  webhook.secret_file = path;
  const auto error = [&] {
    const auto checked = check_webhooks({webhook});
    return checked ? std::string() : checked.error().message;
  };
  fchmod(file, 0644);
  CHECK(error() == "cannot use the webhook secret in \"" + std::string(path) +
                       "\": everybody may read or write it (chmod o-rw makes it a secret)");
  fchmod(file, 0640);
  CHECK(error() == "");
  REQUIRE(ftruncate(file, 10) == 0);
  CHECK(error().find("the key has 10 octets") != std::string::npos);
  CHECK(error().find("hunter") == std::string::npos);
  webhook.secret_file = "/nonexistent/secret";
  CHECK(error().find("/nonexistent/secret") != std::string::npos);
  close(file);
  unlink(path);
}

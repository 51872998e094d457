// The broker as the resolver sees it: what it grants, what it refuses, what it tells.
#include <arpa/inet.h>
#include <netinet/in.h>

#include <filesystem>
#include <set>

#include "broker_support.h"

using namespace sandbox_test;
using postern::BrokerClient;
using postern::BrokerEvent;
using postern::BrokerOptions;
using postern::Fd;
using postern::Server;

namespace {

// A server of our own on loopback; its address for the options.
struct LocalServer {
  explicit LocalServer(int type) : fd(socket(AF_INET, type | SOCK_CLOEXEC, 0)) {
    sockaddr_in any{};
    any.sin_family = AF_INET;
    any.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof any;
    REQUIRE(bind(fd.get(), reinterpret_cast<sockaddr*>(&any), size) == 0);
    if (type == SOCK_STREAM) REQUIRE(listen(fd.get(), 8) == 0);
    REQUIRE(getsockname(fd.get(), reinterpret_cast<sockaddr*>(&any), &size) == 0);
    server = {"127.0.0.1", ntohs(any.sin_port)};
  }
  Fd fd;
  Server server;
};

std::string script(const Folder& folder, const std::string& name, const std::string& body) {
  return folder.write(name, "#!/bin/sh\n" + body, 0755);
}

bool attach_possible() {
  return is_root() && own_network_possible();
}
constexpr const char* needs_root = "attaching to a namespace needs root";

// Process 1 is the host's, but a container's supervisor may be hidden even from its root; then the other
// error is right.
std::string host_or(const std::string& hidden) {
  struct stat ns {};
  return stat("/proc/1/ns/net", &ns) == 0 ? "that is the host's own network namespace" : hidden;
}

// Waits for hook_exited and nothing else.
std::optional<int> hook_status(BrokerProcess& broker) {
  const auto event = broker.event();
  if (!event || event->kind != BrokerEvent::Kind::hook_exited) return std::nullopt;
  return event->status;
}

}  // namespace

TEST_CASE("an upstream socket is connected to the configured server, each from a fresh port") {
  LocalServer udp(SOCK_DGRAM), tcp(SOCK_STREAM);
  BrokerOptions options;
  options.servers = {udp.server, tcp.server};
  BrokerProcess broker(options);
  std::set<std::uint16_t> ports;
  std::vector<Fd> held;
  for (int i = 0; i < 8; ++i) {
    auto socket = broker.client->upstream_socket(0, false);
    REQUIRE(socket);
    CHECK((fcntl(socket->get(), F_GETFL) & O_NONBLOCK) != 0);
    CHECK((fcntl(socket->get(), F_GETFD) & FD_CLOEXEC) != 0);
    REQUIRE(send(socket->get(), "ask", 3, 0) == 3);
    sockaddr_in from{};
    socklen_t size = sizeof from;
    std::array<char, 8> data{};
    REQUIRE(recvfrom(udp.fd.get(), data.data(), data.size(), 0, reinterpret_cast<sockaddr*>(&from), &size) ==
            3);
    ports.insert(from.sin_port);
    held.push_back(std::move(*socket));
  }
  CHECK(ports.size() == 8);
  auto stream = broker.client->upstream_socket(1, true);
  REQUIRE(stream);
  const Fd accepted(accept(tcp.fd.get(), nullptr, nullptr));
  CHECK(accepted);
  const auto missing =
      broker.client->upstream_socket(2, false);  // the list may just have become shorter: no violation
  REQUIRE_FALSE(missing);
  CHECK(missing.error().message == "cannot reach upstream server 2: there are 2");
  CHECK(broker.client->upstream_socket(0, false));
  CHECK(broker.end() == 0);
}

TEST_CASE("the servers of a group are numbered after eight of each group before it") {
  LocalServer usual(SOCK_DGRAM), corp(SOCK_DGRAM), lab(SOCK_DGRAM);
  BrokerOptions options;
  options.servers = {usual.server};
  options.groups = {{"corp", {corp.server}}, {"lab", {usual.server, lab.server}}};
  BrokerProcess broker(options);
  const auto reaches = [&](std::size_t index, const LocalServer& server) {
    const auto socket = broker.client->upstream_socket(index, false);
    if (!socket || send(socket->get(), "ask", 3, 0) != 3) return false;
    std::array<char, 8> data{};
    return recv(server.fd.get(), data.data(), data.size(), MSG_DONTWAIT) == 3;
  };
  CHECK(reaches(0, usual));
  CHECK(reaches(8, corp));
  CHECK(reaches(16, usual));
  CHECK(reaches(17, lab));
  for (const std::size_t missing : {1, 7, 9, 15, 18, 23})
    CHECK_FALSE(broker.client->upstream_socket(missing, false));
  CHECK(broker.client->upstream_socket(0, false));  // none of them was a violation
  CHECK_FALSE(broker.client->upstream_socket(24, false));
  CHECK_FALSE(broker.client->upstream_socket(0, false));  // that one was: the channel is closed
}

TEST_CASE("a policy file is read at this moment, and nothing but a plain file of bounded size is") {
  Folder folder;
  const std::string plain = folder.write("policy.yaml", "default: allow\n");
  const std::string fifo = folder.path("fifo"), large = folder.path("large"), limit = folder.path("limit");
  REQUIRE(mkfifo(fifo.c_str(), 0600) == 0);
  folder.write("large", "");
  folder.write("limit", "");
  REQUIRE(truncate(large.c_str(), 16 * 1024 * 1024 + 1) == 0);
  REQUIRE(truncate(limit.c_str(), 16 * 1024 * 1024) == 0);
  BrokerOptions options;
  options.policy_files = {plain, fifo, folder.path(), large, folder.path("missing"), "/dev/zero", limit};
  BrokerProcess broker(options);
  CHECK(broker.client->read_policy(0).value_or("") == "default: allow\n");
  folder.write("policy.yaml", "default: block\n");
  CHECK(broker.client->read_policy(0).value_or("") == "default: block\n");
  const auto error = [&](std::size_t index) {
    const auto text = broker.client->read_policy(index);
    return text ? "read" : text.error().message;
  };
  CHECK(error(1) == "cannot read policy file \"" + fifo + "\": it is not a plain file");
  CHECK(error(2) == "cannot read policy file \"" + folder.path() + "\": it is not a plain file");
  CHECK(error(3) ==
        "cannot read policy file \"" + large + "\": it has 16777217 octets; 16 MiB are the limit");
  CHECK(error(4) == "cannot read policy file \"" + folder.path("missing") + "\": No such file or directory");
  CHECK(error(5) == "cannot read policy file \"/dev/zero\": it is not a plain file");
  CHECK(broker.client->read_policy(6).value_or("").size() == 16 * 1024 * 1024);
}

TEST_CASE("a list is opened below a configured folder, and nothing that leads out of it is") {
  Folder folder;
  folder.write("ads.txt", "example.com\n");
  folder.write("secret", "not a list of this folder\n");
  REQUIRE(mkdir(folder.path("lists").c_str(), 0700) == 0);
  REQUIRE(mkdir(folder.path("lists/more").c_str(), 0700) == 0);
  folder.write("lists/more/own.txt", "own\n");
  REQUIRE(symlink("more/own.txt", folder.path("lists/inside").c_str()) == 0);
  REQUIRE(symlink("../secret", folder.path("lists/outside").c_str()) == 0);
  REQUIRE(symlink("/etc/hostname", folder.path("lists/absolute").c_str()) == 0);
  REQUIRE(mkfifo(folder.path("lists/fifo").c_str(), 0600) == 0);
  BrokerOptions options;
  options.list_folders = {folder.path("lists"), folder.path("missing")};
  BrokerProcess broker(options);
  const auto told = [&](std::size_t index, const std::string& path) -> std::string {
    auto list = broker.client->open_list(index, path);
    if (!list) return list.error().message;
    std::array<char, 16> text{};
    return std::string(text.data(), static_cast<std::size_t>(read(list->get(), text.data(), text.size())));
  };
  const auto error = [&](const std::string& path, const std::string& why) {
    return "cannot read list \"" + path + "\" in \"" + folder.path("lists") + "\": " + why;
  };
  const std::string out = "it leads out of the folder; list_folders names further ones";
  CHECK(told(0, "more/own.txt") == "own\n");
  CHECK(told(0, "more/../more/./own.txt") == "own\n");
  CHECK(told(0, "inside") == "own\n");
  CHECK(told(0, "outside") == error("outside", out));
  CHECK(told(0, "absolute") == error("absolute", out));
  CHECK(told(0, "../secret") == error("../secret", out));
  CHECK(told(0, folder.path("lists/more/own.txt")) == error(folder.path("lists/more/own.txt"), out));
  CHECK(told(0, "more") == error("more", "it is not a plain file"));
  CHECK(told(0, "fifo") == error("fifo", "it is not a plain file"));
  CHECK(told(0, "none.txt") == error("none.txt", "No such file or directory"));
  CHECK(told(1, "ads.txt").ends_with("missing\": No such file or directory"));
}

TEST_CASE("further channels work by themselves, and their number is bounded") {
  Folder folder;
  BrokerOptions options;
  options.policy_files = {folder.write("policy.yaml", "x")};
  BrokerProcess broker(options);
  std::vector<std::unique_ptr<BrokerClient>> clients;
  for (;;) {
    auto more = broker.client->another();
    if (!more) {
      CHECK(more.error().message == "cannot make a further channel: there are 256 already");
      break;
    }
    clients.push_back(std::move(*more));
    REQUIRE(clients.size() < 1000);
  }
  CHECK(clients.size() == 255);
  for (auto& client : clients) CHECK(client->read_policy(0).value_or("") == "x");
  clients.pop_back();
  clients.front()->read_policy(0);
  CHECK(clients.front()->another());
}

TEST_CASE("a call to a broker that is gone is an error and not a wait") {
  BrokerProcess broker({});
  kill(broker.pid(), SIGKILL);
  CHECK(readable(broker.events.get()));
  CHECK_FALSE(broker.client->upstream_socket(0, false));
  CHECK_FALSE(postern::read_broker_event(broker.events.get()));
}

TEST_CASE("a hook gets its JSON on stdin, a short environment and nothing else of ours") {
  Folder folder;
  BrokerOptions options;
  setenv("POSTERN_COLOUR", "green", 1);
  setenv("SECRET_TOKEN", "red", 1);
  const std::string out = folder.path("out");
  options.hooks = {script(folder, "hook",
                          "{ cat; echo; env | sort; pwd; ls -1 /proc/$$/fd | tr '\\n' ' '; echo; "
                          "cut -d' ' -f5,6 /proc/$$/stat; echo $$; } > " +
                              out +
                              ".new 2>&1\n"
                              "mv " +
                              out + ".new " + out + "\nexit 3\n")};
  BrokerProcess broker(options);
  unsetenv("POSTERN_COLOUR");
  unsetenv("SECRET_TOKEN");
  const std::string json = "{\"name\":\"" + std::string(60'000, 'a') + "\"}";
  REQUIRE(broker.client->start_hook(0, json));
  const auto status = hook_status(broker);
  REQUIRE(status);
  CHECK(WIFEXITED(*status));
  CHECK(WEXITSTATUS(*status) == 3);
  const std::string text = folder.read("out");
  CHECK(text.substr(0, json.size()) == json);
  const std::string rest = text.substr(std::min(json.size(), text.size()));
  CHECK(rest.find("POSTERN_COLOUR=green") != std::string::npos);
  CHECK(rest.find("PATH=") != std::string::npos);
  CHECK(rest.find("LANG=") != std::string::npos);
  CHECK(rest.find("SECRET_TOKEN") == std::string::npos);
  CHECK(rest.find("HOME=") == std::string::npos);
  CHECK(rest.find("\n/\n0 1 ") !=
        std::string::npos);  // its folder, and its descriptors (sh keeps the script as 10)
  // Its own session and process group: both numbers are its own.
  const std::string pid =
      rest.substr(rest.rfind('\n', rest.size() - 2) + 1, rest.size() - rest.rfind('\n', rest.size() - 2) - 2);
  CHECK(rest.find("\n" + pid + " " + pid + "\n") != std::string::npos);
}

TEST_CASE("a hook that cannot be executed ends with 127, and an alert that is too long is refused") {
  BrokerOptions options;
  options.hooks = {"/nonexistent/hook"};
  BrokerProcess broker(options);
  CHECK(broker.client->start_hook(0, std::string(64 * 1024, 'x')));
  const auto status = hook_status(broker);
  REQUIRE(status);
  CHECK(WEXITSTATUS(*status) == 127);
  CHECK_FALSE(broker.client->start_hook(0, std::string(64 * 1024 + 1, 'x')));
  CHECK(broker.client->start_hook(0, "{}"));  // the channel is still there
}

TEST_CASE("hooks wait for a place, and are refused when too many wait; all that were taken are run") {
  Folder folder;
  const std::string gate = folder.path("gate");
  REQUIRE(mkfifo(gate.c_str(), 0600) == 0);
  BrokerOptions options;
  options.hooks = {script(folder, "hook", "read line < " + gate + "\nexit 0\n")};
  BrokerProcess broker(options);
  int taken = 0;
  for (;;) {
    const auto started = broker.client->start_hook(0, "{}");
    if (!started) {
      CHECK(started.error().message.find("8 run and 64 wait already") != std::string::npos);
      break;
    }
    REQUIRE(++taken < 1000);
  }
  CHECK(taken == 72);
  // Held open for reading too, so that lines are not lost between two readers.
  const Fd open_gate(open(gate.c_str(), O_RDWR | O_CLOEXEC));
  for (int i = 0; i < taken; ++i) {
    REQUIRE(write(open_gate.get(), "go\n", 3) == 3);
    CHECK(hook_status(broker) == 0);
  }
}

TEST_CASE("servers are followed when resolv.conf is replaced, by whatever means") {
  Folder folder;
  std::filesystem::create_directory(folder.path("etc"));
  std::filesystem::create_directory(folder.path("run"));
  folder.write("run/resolv.conf", "nameserver 192.0.2.1\n");
  std::filesystem::create_symlink("../run/resolv.conf", folder.path("etc/resolv.conf"));
  BrokerOptions options;
  options.resolv_conf = folder.path("etc/resolv.conf");
  LocalServer udp(SOCK_DGRAM);
  BrokerProcess broker(options);
  CHECK(broker.client->upstream_socket(0, false)
            .has_value());  // read at the start; and the broker serves by now
  const auto expect = [&](const std::string& server) {
    const auto event = broker.event();
    REQUIRE(event);
    CHECK(event->kind == BrokerEvent::Kind::servers_changed);
    REQUIRE(event->servers.size() == 1);
    CHECK(event->servers[0].text() == server);
  };
  folder.write("run/resolv.conf", "nameserver 192.0.2.2\n");  // written in place, behind a symlink
  expect("192.0.2.2:53");
  folder.write("run/new", "nameserver 192.0.2.3\n");  // renamed over
  std::filesystem::rename(folder.path("run/new"), folder.path("run/resolv.conf"));
  expect("192.0.2.3:53");
  folder.write("run/other.conf", "nameserver " + udp.server.text() + "\n");  // the symlink replaced
  std::filesystem::create_symlink("../run/other.conf", folder.path("etc/new"));
  std::filesystem::rename(folder.path("etc/new"), folder.path("etc/resolv.conf"));
  expect(udp.server.text());
  auto socket = broker.client->upstream_socket(0, false);  // used from now on
  REQUIRE(socket);
  REQUIRE(send(socket->get(), "x", 1, 0) == 1);
  CHECK(readable(udp.fd.get()));
  // Empty, gone, unchanged: the old list stays. Had any of these been told, it would come before the last
  // one.
  folder.write("run/other.conf", "# nothing\n");
  CHECK(broker.client->upstream_socket(0, false));
  std::filesystem::remove(folder.path("run/other.conf"));
  std::filesystem::remove_all(folder.path("etc"));
  std::filesystem::create_directory(folder.path("etc"));
  folder.write("etc/resolv.conf", "options ndots:1\nnameserver " + udp.server.text() + "\n");
  folder.write("etc/resolv.conf", "nameserver 192.0.2.4\n");
  expect("192.0.2.4:53");
}

TEST_CASE("signals become events: HUP a reload, TERM and INT a stop, told once") {
  BrokerProcess broker({}, true);
  CHECK_FALSE(broker.client->upstream_socket(0, false));  // it serves by now
  const auto expect = [&](BrokerEvent::Kind kind) {
    const auto event = broker.event();
    REQUIRE(event);
    CHECK(event->kind == kind);
  };
  kill(broker.pid(), SIGHUP);
  expect(BrokerEvent::Kind::reload);
  kill(broker.pid(), SIGHUP);
  expect(BrokerEvent::Kind::reload);
  kill(broker.pid(), SIGTERM);
  expect(BrokerEvent::Kind::stop);
  kill(broker.pid(), SIGINT);
  kill(broker.pid(), SIGHUP);
  expect(BrokerEvent::Kind::reload);  // the second request to stop is not told again
  CHECK(broker.end() == 0);
}

TEST_CASE("a namespace is attached by process, once, and told gone when nobody lives in it") {
  if (!possible(attach_possible(), needs_root)) return;
  BrokerProcess broker({});
  Inhabitant sandbox, other;
  REQUIRE(sandbox.alone);
  REQUIRE(other.alone);
  auto listeners = broker.client->attach_pid(7, sandbox.pid());
  REQUIRE_MESSAGE(listeners, (listeners ? "" : listeners.error().message));
  struct stat ns {};
  REQUIRE(stat(("/proc/" + std::to_string(sandbox.pid()) + "/ns/net").c_str(), &ns) == 0);
  CHECK(listeners->netns_dev == ns.st_dev);
  CHECK(listeners->netns_ino == ns.st_ino);
  CHECK(listeners->udp);
  CHECK(listeners->tcp);
  const auto refusal = [&](std::uint64_t token, pid_t pid) {
    const auto again = broker.client->attach_pid(token, pid);
    return again ? "attached" : again.error().message;
  };
  const std::string who = "cannot attach to process " + std::to_string(sandbox.pid()) + ": ";
  CHECK(refusal(8, sandbox.pid()) == who + "its network namespace is attached already, as another sandbox");
  CHECK(refusal(7, other.pid()).find("token 7 is in use") != std::string::npos);
  CHECK(refusal(9, getpid()).find("that is the host's own network namespace") != std::string::npos);
  CHECK(refusal(9, 1).find(host_or("its namespaces may not be looked at")) != std::string::npos);
  CHECK(refusal(9, 0).find("a process id is greater than 0") != std::string::npos);
  CHECK(refusal(9, -1).find("a process id is greater than 0") != std::string::npos);
  CHECK(refusal(9, 2147483647).find("there is no such process") != std::string::npos);
  CHECK(broker.client->attach_pid(9, other.pid()));  // the neighbour is fine
  // The process ends, but has left another one there: the sandbox lives on.
  const pid_t heir = sandbox.leave_heir();
  sandbox.end();
  other.end();
  const auto event = broker.event();
  REQUIRE(event);
  CHECK(event->kind == BrokerEvent::Kind::namespace_gone);
  CHECK(event->token == 9);
  kill(heir, SIGKILL);
  const auto last = broker.event();
  REQUIRE(last);
  CHECK(last->token == 7);
  CHECK_FALSE(broker.client->detach(7));
}

TEST_CASE("a namespace that was detached can be attached again once its sockets are closed") {
  if (!possible(attach_possible(), needs_root)) return;
  BrokerProcess broker({});
  Inhabitant sandbox;
  {
    const auto first = broker.client->attach_pid(1, sandbox.pid());
    REQUIRE(first);
    REQUIRE(broker.client->detach(1));
    CHECK_FALSE(broker.client->detach(1));
    const auto second = broker.client->attach_pid(2, sandbox.pid());
    REQUIRE_FALSE(second);
    CHECK(second.error().message.find("the port is taken") != std::string::npos);
  }
  CHECK(broker.client->attach_pid(2, sandbox.pid()));
}

TEST_CASE("a namespace is attached by path and told gone when the path and all its processes are") {
  if (!possible(attach_possible(), needs_root)) return;
  const std::string name = "postern-test-" + std::to_string(getpid());
  const std::string path = "/run/netns/" + name;
  if (!possible(std::system(("ip netns add " + name).c_str()) == 0, "ip netns add does not work")) return;
  BrokerProcess broker({});
  CHECK(broker.client->attach_path(1, path));
  const auto refusal = [&](const std::string& wrong) {
    const auto attached = broker.client->attach_path(2, wrong);
    return attached ? "attached" : attached.error().message;
  };
  CHECK(refusal(path).find("its network namespace is attached already") != std::string::npos);
  CHECK(refusal("/proc/self/ns/net").find("that is the host's own network namespace") != std::string::npos);
  CHECK(refusal("/proc/1/ns/net").find(host_or("there is no network namespace at that path")) !=
        std::string::npos);
  // One answer for all that is no network namespace: which files exist is not the resolver's business.
  Folder folder;
  REQUIRE(mkfifo(folder.path("fifo").c_str(), 0600) == 0);
  for (const std::string& wrong :
       {std::string("/proc/self/ns/mnt"), std::string("/etc/shadow"), std::string("/nonexistent"),
        folder.path(), folder.path("fifo"), std::string("/dev/null")}) {
    CHECK(refusal(wrong) == "cannot attach to \"" + wrong + "\": there is no network namespace at that path");
  }
  CHECK(refusal("relative").find("must begin with a slash") != std::string::npos);
  CHECK(refusal("/" + std::string(4095, 'x')).find("longer than 4095 octets") != std::string::npos);
  CHECK(refusal("/" + std::string(4094, 'x')).find("there is no network namespace") != std::string::npos);
  CHECK(refusal(std::string("/a\0b", 4)).find("a zero octet") != std::string::npos);
  REQUIRE(std::system(("ip netns del " + name).c_str()) == 0);
  const auto event = broker.event();
  REQUIRE(event);
  CHECK(event->kind == BrokerEvent::Kind::namespace_gone);
  CHECK(event->token == 1);
}

TEST_CASE("a namespace whose path is removed lives on as long as a process does") {
  if (!possible(attach_possible(), needs_root)) return;
  const std::string name = "postern-test2-" + std::to_string(getpid());
  if (!possible(std::system(("ip netns add " + name).c_str()) == 0, "ip netns add does not work")) return;
  BrokerProcess broker({});
  REQUIRE(broker.client->attach_path(1, "/run/netns/" + name));
  std::array<int, 2> ready{};
  REQUIRE(pipe2(ready.data(), O_CLOEXEC) == 0);
  const pid_t tenant = fork();
  if (tenant == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    const Fd ns(open(("/run/netns/" + name).c_str(), O_RDONLY));
    const bool inside = setns(ns.get(), CLONE_NEWNET) == 0;
    if (write(ready[1], inside ? "y" : "n", 1) == 1) pause();
    _exit(0);
  }
  char octet = 0;
  REQUIRE(read(ready[0], &octet, 1) == 1);
  CHECK(octet == 'y');
  REQUIRE(std::system(("ip netns del " + name).c_str()) == 0);
  Inhabitant witness;  // told gone while the first is not: the walks that found this one gone saw the tenant
  REQUIRE(broker.client->attach_pid(2, witness.pid()));
  witness.end();
  auto event = broker.event();
  REQUIRE(event);
  CHECK(event->token == 2);
  kill(tenant, SIGKILL);
  waitpid(tenant, nullptr, 0);
  event = broker.event();
  REQUIRE(event);
  CHECK(event->token == 1);
  close(ready[0]);
  close(ready[1]);
}

TEST_CASE("a broker that may not attach says so") {
  BrokerOptions options;
  options.may_attach = false;
  BrokerProcess broker(options);
  const auto attached = broker.client->attach_pid(1, getpid());
  REQUIRE_FALSE(attached);
  CHECK(attached.error().message.find("serves the one sandbox that it has started") != std::string::npos);
}

TEST_CASE(
    "serve returns when the resolver ends; its summary and its last alert still count, others' children are "
    "left alone") {
  Folder folder;
  const std::string out = folder.path("out");
  const std::string hook = script(folder, "hook", "cat > " + out + "\n");
  CHECK(in_child([&]() -> std::string {
          const pid_t stranger = fork();  // `run`'s init: not to be reaped by the broker
          if (stranger == 0) _exit(42);
          BrokerOptions options;
          options.hooks = {hook};
          postern::Broker broker(options);
          auto ends = broker.make_channels();
          if (!ends) return "no channels";
          std::array<int, 2> extra{};
          if (pipe2(extra.data(), O_CLOEXEC) != 0) return "no pipe";
          const pid_t resolver = fork();
          if (resolver == 0) {
            BrokerClient client(std::move(ends->requests));
            const auto event = postern::read_broker_event(ends->events.get());
            const bool stop = event && event->kind == BrokerEvent::Kind::stop;
            if (!client.report("{\"queries\":3}") || !client.start_hook(0, "last")) _exit(2);
            _exit(stop ? 5 : 6);
          }
          ends->requests.reset();
          ends->events.reset();
          int told = 0;
          postern::Broker::Loop loop;
          loop.extra = {extra[0]};
          loop.on_extra = [&](std::size_t index) {
            told += index == 0 ? 1 : 100;
            broker.ask_stop();
            return false;
          };
          if (write(extra[1], "x", 1) != 1) return "no write";
          broker.serve(resolver, std::move(loop));
          std::string wrong;
          if (told != 1) wrong += "extra told " + std::to_string(told) + " times; ";
          if (broker.last_report() != "{\"queries\":3}") wrong += "report: " + broker.last_report() + "; ";
          const auto status = broker.resolver_status();
          if (!status || !WIFEXITED(*status) || WEXITSTATUS(*status) != 5) wrong += "status; ";
          if (folder.read("out") != "last") wrong += "the last alert is missing; ";
          int other = 0;
          if (waitpid(stranger, &other, 0) != stranger || WEXITSTATUS(other) != 42)
            wrong += "the stranger was reaped; ";
          sigset_t mask;
          sigprocmask(SIG_BLOCK, nullptr, &mask);
          if (sigismember(&mask, SIGTERM) != 0) wrong += "signals stay blocked; ";
          return wrong;
        }) == "");
}

TEST_CASE("a resolver that does not stop is killed after a second request, five seconds after the first") {
  CHECK(in_child([]() -> std::string {
          postern::Broker broker({});
          auto ends = broker.make_channels();
          if (!ends) return "no channels";
          const pid_t resolver = fork();
          if (resolver == 0) {
            for (;;) pause();
          }
          ends->requests.reset();
          ends->events.reset();
          broker.ask_stop();
          broker.ask_stop();
          postern::Broker::Loop loop;
          broker.serve(resolver, std::move(loop));
          const auto status = broker.resolver_status();
          return status && WIFSIGNALED(*status) && WTERMSIG(*status) == SIGKILL ? "" : "not killed";
        }) == "");
}

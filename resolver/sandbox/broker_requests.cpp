// What the broker grants: every request of the resolver is checked and answered here.
#include <fcntl.h>
#include <spdlog/spdlog.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "resolver/sandbox/broker_state.h"
#include "resolver/sandbox/broker_upstream.h"
#include "resolver/sandbox/folder_file.h"
#include "resolver/sandbox/process_tree.h"

namespace postern {

// A request that our own client never sends. Its sender has been taken over, or we are wrong: in both cases
// it is heard no more.
const char* Broker::State::what_is_wrong(const wire::RequestHead& request, std::string_view text) const {
  using wire::Op;
  const Op op = request.op;
  if (op == Op::sign_head) return what_is_wrong_with_head(request, text);
  if (op < Op::upstream_udp || op > Op::act) return "an unknown operation";
  const bool has_text = op == Op::attach_path || op == Op::start_hook || op == Op::report ||
                        op == Op::open_list || op == Op::act;
  if (!has_text && !text.empty()) return "text that the operation does not take";
  if (op != Op::attach_pid && request.pid != 0) return "a process id that the operation does not take";
  const bool has_token = op == Op::attach_pid || op == Op::attach_path || op == Op::detach ||
                         op == Op::start_hook || op == Op::act;
  if (!has_token && request.token != 0) return "a token that the operation does not take";
  if (request.zero != 0) return "a reserved field that is not zero";
  switch (op) {
    case Op::upstream_udp:
    case Op::upstream_tcp:
      // The list may just have become shorter (servers_changed); that is an error, not a violation.
      return request.index < wire::max_servers * (1 + options.groups.size())
                 ? nullptr
                 : "a server index that cannot be";
    case Op::read_policy:
      return request.index < options.policy_files.size() ? nullptr : "a policy file that is not configured";
    case Op::start_hook:
      return request.index < options.hooks.size() ? nullptr : "an alert program that is not configured";
    case Op::act:
      if (request.index < static_cast<std::uint32_t>(TreeAction::freeze) ||
          request.index > static_cast<std::uint32_t>(TreeAction::kill))
        return "an action that there is not";
      return text.size() <= wire::max_why ? nullptr : "a reason that is too long";
    case Op::open_list:
      if (request.index >= options.list_folders.size()) return "a folder of lists that is not configured";
      if (text.empty() || text.size() > wire::max_path) return "a list's path that is empty or too long";
      return text.find('\0') == std::string_view::npos ? nullptr : "a path with a zero octet in it";
    default:
      break;
  }
  if (request.index != 0) return "an index that the operation does not take";
  if (op == Op::attach_path) {
    if (text.empty() || text.front() != '/' || text.size() > wire::max_path)
      return "a path that is not absolute or too long";
    if (text.find('\0') != std::string_view::npos) return "a path with a zero octet in it";
  }
  return nullptr;
}

void Broker::State::close_channel(int fd) {
  if (loop) loop->remove(fd);
  channels.erase(fd);
}

bool Broker::State::serve_channel(int fd) {
  const auto violation = [&](const char* what) {
    spdlog::error("the resolver process sent {}: it may have been taken over; this channel to it is closed",
                  what);
    close_channel(fd);
    return false;
  };
  wire::Received got = wire::receive_message(fd, buffer, 0);
  if (got.octets < 0 && got.number == EAGAIN) return false;
  if (got.octets <= 0) {
    close_channel(fd);
    return false;
  }
  const auto size = static_cast<std::size_t>(got.octets);
  wire::RequestHead request;
  if (got.cut || !got.fds.empty()) return violation("a message that is too long or carries descriptors");
  if (size < sizeof request) return violation("a message that is too short");
  std::memcpy(&request, buffer.data(), sizeof request);
  if (request.length != size - sizeof request) return violation("a message of a wrong length");
  const std::string_view text(reinterpret_cast<const char*>(buffer.data()) + sizeof request, request.length);
  if (const char* wrong = what_is_wrong(request, text)) return violation(wrong);

  Result<Grant> granted = grant(request, text);
  wire::ReplyHead head;
  std::vector<int> fds;
  std::string why;
  if (granted) {
    head = granted->head;
    why = granted->text;
    head.ok = 1;
    for (const Fd& one : granted->fds) fds.push_back(one.get());
  } else {
    why = granted.error().message.substr(0, wire::max_error);
  }
  for (;;) {
    head.sequence = request.sequence;
    head.fds = static_cast<std::uint32_t>(fds.size());
    head.length = static_cast<std::uint32_t>(why.size());
    const int number = wire::send_message(fd, std::as_bytes(std::span(&head, 1)), why, fds);
    if (number == 0) return true;
    if (number == EAGAIN) return violation("requests without reading the answers");
    if (number == ETOOMANYREFS &&
        !fds.empty()) {  // too many descriptors are on their way to it: it does not take them
      fds.clear();
      head = {};
      why = "cannot hand over a descriptor: too many are in flight";
      if (request.op == wire::Op::attach_pid || request.op == wire::Op::attach_path)
        forget_attachment(request.token);
      continue;
    }
    close_channel(fd);  // the other end is gone
    return false;
  }
}

Result<Broker::State::Grant> Broker::State::grant(const wire::RequestHead& request, std::string_view text) {
  using wire::Op;
  switch (request.op) {
    case Op::upstream_udp:
    case Op::upstream_tcp: {
      const std::size_t group = request.index / wire::max_servers, place = request.index % wire::max_servers;
      const std::vector<Server>& list = group == 0 ? servers : options.groups[group - 1].servers;
      if (place >= list.size()) {
        return failure("cannot reach upstream server " + std::to_string(request.index) + ": there are " +
                       std::to_string(list.size()));
      }
      Result<Fd> socket = connect_upstream(list[place], request.op == Op::upstream_tcp);
      if (!socket) return tl::unexpected(socket.error());
      Grant granted;
      granted.fds.push_back(std::move(*socket));
      return granted;
    }
    case Op::attach_pid:
    case Op::attach_path:
      return grant_attach(request, text);
    case Op::detach:
      if (!netns.has_token(request.token)) {
        return failure("cannot detach " + std::to_string(request.token) + ": it is not attached");
      }
      forget_attachment(request.token);
      return Grant{};
    case Op::read_policy:
      return grant_policy(request);
    case Op::start_hook:
      return grant_hook(request, text);
    case Op::another_channel:
      return grant_channel();
    case Op::report:
      report = text;
      return Grant{};
    case Op::open_list:
      return grant_list(request, text);
    case Op::act:
      return grant_act(request, text);
    case Op::sign_head:
      return grant_head(text);
  }
  POSTERN_CHECK(false);  // what_is_wrong knows the operations
  return Grant{};
}

Result<Broker::State::Grant> Broker::State::grant_attach(const wire::RequestHead& request,
                                                         std::string_view text) {
  const bool by_path = request.op == wire::Op::attach_path;
  const std::string path(text);
  const std::string what =
      by_path ? "\"" + wire::printable(path) + "\"" : "process " + std::to_string(request.pid);
  const auto bad = [&](const std::string& why) { return failure("cannot attach to " + what + ": " + why); };
  if (!options.may_attach) return bad("this Postern serves the one sandbox that it has started");
  if (!home) return bad("the own network namespace cannot be told from others");
  if (netns.has_token(request.token)) return bad("token " + std::to_string(request.token) + " is in use");
  if (netns.full()) return bad("more than " + std::to_string(NetnsWatch::most) + " namespaces are attached");
  Netns target;
  Fd pidfd;
  if (by_path) {
    std::string reason;
    Result<Netns> found = netns_at_path(path, reason);
    if (!found) {
      spdlog::warn("{} ({})", found.error().message, reason);
      return tl::unexpected(found.error());
    }
    target = std::move(*found);
  } else {
    Result<ProcessNetns> found = netns_of_process(request.pid);
    if (!found) return tl::unexpected(found.error());
    target = std::move(found->ns);
    pidfd = std::move(found->pidfd);
  }
  std::vector<NetnsId> hosts = host_netns();
  hosts.push_back(home->id);
  if (std::find(hosts.begin(), hosts.end(), target.id) != hosts.end()) {
    return bad("that is the host's own network namespace; Postern only listens in sandboxes");
  }
  if (netns.is_attached(target.id))
    return bad("its network namespace is attached already, as another sandbox");
  Result<Listeners> listeners = listen_in(target, *home, options.listen_port);
  if (!listeners) return bad(listeners.error().message);
  if (by_path) {
    netns.add_path(request.token, target.id, path);
  } else {
    netns.add_process(request.token, target.id, std::move(pidfd));
    watch_attachment(request.token);
  }
  Grant granted;
  granted.fds.push_back(std::move(listeners->udp));
  granted.fds.push_back(std::move(listeners->tcp));
  granted.head.ipv6 = listeners->ipv6 ? 1 : 0;
  granted.head.netns_dev = listeners->netns_dev;
  granted.head.netns_ino = listeners->netns_ino;
  return granted;
}

Result<Broker::State::Grant> Broker::State::grant_policy(const wire::RequestHead& request) {
  const std::string& path = options.policy_files[request.index];
  const auto bad = [&](const std::string& why) {
    return failure("cannot read policy file \"" + path + "\": " + why);
  };
  // O_NONBLOCK: opening a FIFO would wait for its writer, and everybody for us.
  Fd file(open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY));
  struct stat kind {};
  if (!file || fstat(file.get(), &kind) != 0) return bad(std::strerror(errno));
  if (!S_ISREG(kind.st_mode)) return bad("it is not a plain file");
  if (kind.st_size > static_cast<off_t>(wire::max_policy)) {
    return bad("it has " + std::to_string(kind.st_size) + " octets; 16 MiB are the limit");
  }
  Grant granted;
  granted.fds.push_back(std::move(file));
  return granted;
}

Result<Broker::State::Grant> Broker::State::grant_list(const wire::RequestHead& request,
                                                       std::string_view text) {
  Result<Fd> file = open_list_below(options.list_folders[request.index], std::string(text));
  if (!file) return tl::unexpected(file.error());
  Grant granted;
  granted.fds.push_back(std::move(*file));
  return granted;
}

Result<Broker::State::Grant> Broker::State::grant_hook(const wire::RequestHead& request,
                                                       std::string_view text) {
  const auto started = hooks.start(request.index, std::string(text), Clock::now(), request.token);
  if (!started) {
    spdlog::error("{}", started.error().message);
    return tl::unexpected(started.error());
  }
  if (*started) watch_hook((*started)->pidfd);
  return Grant{};
}

// Only what was attached, or what `run` itself started: the resolver cannot name a process.
Result<Broker::State::Grant> Broker::State::grant_act(const wire::RequestHead& request,
                                                      std::string_view text) {
  const auto action = static_cast<TreeAction>(request.index);
  const std::string why = wire::printable(text, wire::max_why);
  Result<void> done;
  if (request.token == 0 && options.own_act) {
    done = options.own_act(action, why);
  } else if (netns.has_token(request.token)) {
    done = act_on_tree(netns.pidfd(request.token), action);
  } else {
    done = failure("it is not attached");
  }
  if (!done) return tl::unexpected(done.error());
  return Grant{};
}

Result<Broker::State::Grant> Broker::State::grant_channel() {
  if (channels.size() >= most_channels) {
    return failure("cannot make a further channel: there are " + std::to_string(channels.size()) +
                   " already");
  }
  std::array<int, 2> ends{};
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends.data()) != 0) {
    return failure(std::string("cannot make a further channel: ") + std::strerror(errno));
  }
  add_channel(Fd(ends[0]));
  Grant granted;
  granted.fds.emplace_back(ends[1]);
  return granted;
}

}  // namespace postern

// Which namespaces are attached, and whether they are still somebody's.
#include "resolver/sandbox/netns_watch.h"

namespace postern {

void NetnsWatch::insert(std::uint64_t token, Attached attached) {
  POSTERN_CHECK(!has_token(token) && !is_attached(attached.id));
  ids_.insert(attached.id);
  if (watched(attached)) ++watched_;
  attached_.emplace(token, std::move(attached));
}

void NetnsWatch::add_path(std::uint64_t token, const NetnsId& id, std::string path) {
  insert(token, {id, std::move(path), Fd(), 0});
}

void NetnsWatch::add_process(std::uint64_t token, const NetnsId& id, Fd pidfd) {
  insert(token, {id, {}, std::move(pidfd), 0});
}

int NetnsWatch::pidfd(std::uint64_t token) const {
  const auto at = attached_.find(token);
  return at == attached_.end() ? -1 : at->second.pidfd.get();
}

void NetnsWatch::remove(std::uint64_t token) {
  const auto at = attached_.find(token);
  if (at == attached_.end()) return;
  if (watched(at->second)) --watched_;
  ids_.erase(at->second.id);
  attached_.erase(at);
}

void NetnsWatch::process_ended(std::uint64_t token) {
  const auto at = attached_.find(token);
  if (at == attached_.end() || !at->second.pidfd) return;
  at->second.pidfd.reset();
  at->second.empty_walks = 0;
  ++watched_;
}

NetnsWatch::Changes NetnsWatch::tick() {
  Changes changes;
  std::vector<std::uint64_t> tokens;
  std::vector<NetnsId> wanted;
  for (auto& [token, attached] : attached_) {
    if (!watched(attached)) continue;
    if (!attached.path.empty()) {
      if (netns_id_at_path(attached.path) == attached.id) continue;
      attached.path.clear();  // whatever stands there later is another namespace
    }
    tokens.push_back(token);
    wanted.push_back(attached.id);
  }
  if (tokens.empty()) return changes;
  std::vector<Fd> found = processes_in(wanted);
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    Attached& attached = attached_.at(tokens[i]);
    if (found[i]) {
      attached.pidfd = std::move(found[i]);
      --watched_;
      changes.held.push_back(tokens[i]);
    } else if (++attached.empty_walks >= walks_before_gone) {
      remove(tokens[i]);
      changes.gone.push_back(tokens[i]);
    }
  }
  return changes;
}

}  // namespace postern

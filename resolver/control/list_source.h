// Where a policy's lists come from: files below known folders, compiled once and kept.
//
// A list is named by a path. A relative one is taken from the policy's own folder; an absolute one must lie
// below one of the folders that the operator named. The resolver process gets each file from the broker;
// `explain`, `policy` and the like open it themselves.
#pragma once

#include <sys/types.h>

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "resolver/control/list_file.h"
#include "resolver/sandbox/broker.h"
#include "rules/policy.h"

namespace postern {

// A file below a folder, as the broker wants it told.
struct ListPlace {
  std::size_t folder = 0;  // index
  std::string path;        // from there on, relative
};
// Errors quote the path.
Result<ListPlace> place_list(const std::string& file, const std::vector<std::string>& folders);

// Lists by what they were made of, so that files that hold the same, read the same way, are compiled once and
// are one object. What they skipped is told with the first file's name. Memory: the lists.
class ListsByContent {
 public:
  Result<std::shared_ptr<const List>> load(const Fd& file, const ListOptions& options, ListMeaning meaning);

 private:
  std::map<std::pair<Digest, Digest>, std::shared_ptr<const List>> known_;  // by SHA-256 and recipe
};

// For a program that may open files by itself: relative paths from the folder of `policy_file`. With `known`,
// which must outlive the source, lists are taken from there and kept there.
ListSource lists_beside(const std::string& policy_file, ListsByContent* known = nullptr);
// As the daemon whose broker has these folders would find them (lists_from_broker), the policy's own first:
// neither `..` nor a symlink leads out. For whoever checks a policy for it.
ListSource lists_below(std::vector<std::string> folders);
// As lists_beside, without reading them: every list is empty. To check a policy's text before somebody else
// reads it; the folders of absolute paths are added to `folders`.
ListSource lists_unread(std::vector<std::string>& folders);
// Compiled lists on their way to the cache: written once their policy is in force, so that nobody waits for
// it; then images that nobody uses are removed. Those of the policy in force are held. Thread: the one that
// loads policies.
class ListsToKeep {
 public:
  explicit ListsToKeep(std::string cache = {}) : cache_(std::move(cache)) {}
  const ListCache& cache() const noexcept { return cache_; }
  void add(const ListRequest& request, ListCache::Loaded loaded);
  void write();  // what cannot be written is logged; a start then takes longer
  void drop() noexcept {
    waiting_.clear();
    coming_.clear();
  }

 private:
  ListCache cache_;
  std::vector<std::pair<ListRequest, ListCache::Loaded>> waiting_;
  std::vector<std::shared_ptr<const Fd>> held_, coming_;  // images of the policy in force, and of the next
};
// From inside the cell. `folders` as the broker has them. All must outlive the source.
ListSource lists_from_broker(BrokerClient& broker, const std::vector<std::string>& folders,
                             ListsToKeep& to_keep);

// The folder for compiled lists in a state folder that is Postern's own; made and handed to the service user
// if it is not there. "" if that cannot be, which is logged: a start then takes longer.
std::string make_list_cache(const std::string& folder, uid_t uid, gid_t gid);

// The folder of a file, absolute. Errors quote the path.
Result<std::string> folder_of(const std::string& file);

}  // namespace postern

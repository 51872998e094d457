// Where a policy's lists come from: files below known folders, compiled once and kept.
//
// A list is named by a path. A relative one is taken from the policy's own folder; an absolute one must lie
// below one of the folders that the operator named. The resolver process gets each file from the broker;
// `explain`, `policy` and the like open it themselves.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

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

// For a program that may open files by itself: relative paths from the folder of `policy_file`.
ListSource lists_beside(const std::string& policy_file);
// The same without reading them: every list is empty. To check a policy's text before somebody else reads it;
// the folders of absolute paths are added to `folders`.
ListSource lists_unread(std::vector<std::string>& folders);
// From inside the cell. `folders` as the broker has them, `cache` as the cell sees it, "" for none. `broker`
// and `folders` must outlive the source.
ListSource lists_from_broker(BrokerClient& broker, const std::vector<std::string>& folders,
                             const std::string& cache);

// The folder for compiled lists in a state folder that is Postern's own; made and handed to the service user
// if it is not there. "" if that cannot be, which is logged: a start then takes longer.
std::string make_list_cache(const std::string& folder, uid_t uid, gid_t gid);

// The folder of a file, absolute. Errors quote the path.
Result<std::string> folder_of(const std::string& file);

}  // namespace postern

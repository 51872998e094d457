// Files of lists: reading one, and the cache of what it compiles to.
//
// What is read may be anything and may change meanwhile, so: only plain files, opened without waiting, with a
// limit on their size, read into memory and not mapped (whoever truncates a mapped file kills its reader). A
// file that changes while it is read is read again.
//
// A cached image is used if it is ours or root's and nobody else may write it, and if it was made of this
// file: with the same size and times, which the kernel vouches for, or else with the same SHA-256. It is
// written beside its place and renamed, with mode 0600.
//
// Images that nothing uses go when a policy has been put in force (list_prune.h). Whoever has a list from an
// image, or has made one, holds the image's descriptor with a shared lock (flock) for as long: so one daemon
// never removes what another, or a `run`, has loaded. An image's mtime says when it was last loaded, to a
// day.
//
// Thread: any, one per cache. Memory: the file, until its list is made; what that needed is given back to the
// system.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

#include "resolver/sandbox/broker.h"
#include "rules/list.h"
#include "rules/list_image.h"
#include "rules/list_text.h"

namespace postern {

struct ListFile {
  SharedOctets octets;
  SourceStamp stamp;

  std::string_view text() const noexcept {
    return {reinterpret_cast<const char*>(octets.data.get()), octets.size};
  }
};

// For whoever may open paths; the resolver gets its descriptors from the broker. Errors quote the path: not
// there, no permission, a folder, a FIFO, a device.
Result<Fd> open_list_file(const std::string& path);

// The whole file from its beginning, whatever kind of descriptor somebody hands over. `path` is only quoted.
// Errors: not a plain file, more than `most_octets`, changing all the time.
Result<ListFile> read_list_file(const Fd& file, const std::string& path, std::size_t most_octets);

class ListCache {
 public:
  // A folder that exists; "" for no cache. Nothing is opened yet.
  explicit ListCache(std::string folder) : folder_(std::move(folder)) {}

  struct Loaded {
    std::shared_ptr<const List> list;
    bool from_image = false;
    bool wants_saving = false;        // there is no image of it, or one with older times
    std::string note;                 // why an image that is there was not used; for the log
    ImageHeader header;               // for save()
    std::shared_ptr<const Fd> image;  // the image that it is from; while this lives, nobody removes that
  };
  // The list of an open file. `options.file` names it, in errors and in the cache. Errors are about the file
  // alone: without a cache a start only takes longer.
  Result<Loaded> load(const Fd& file, const ListOptions& options, ListMeaning meaning,
                      std::int64_t now_ns) const;
  // Writes the image where load said that it wants saving: once the list is in use, since nobody waits for
  // it. The same options as for load. Says why it could not; nothing if it could, or need not. The new image
  // goes to `held`, as Loaded::image.
  std::string save(const Loaded& loaded, const ListOptions& options, ListMeaning meaning,
                   std::shared_ptr<const Fd>* held = nullptr) const;

  const std::string& folder() const noexcept { return folder_; }

 private:
  std::string folder_;
};

}  // namespace postern

// Lists for policies: from the command line's own files, or from the broker.
#include "resolver/control/list_source.h"

#include <spdlog/spdlog.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <utility>

#include "resolver/control/list_file.h"
#include "resolver/control/list_prune.h"
#include "resolver/sandbox/folder_file.h"
#include "rules/list.h"
#include "rules/quote.h"

namespace postern {
namespace {

ListOptions options_of(const ListRequest& request) {
  ListOptions options;
  options.file = request.file;
  options.format = request.format;
  options.subdomains = request.subdomains;
  options.allow_public_suffix = request.allow_public_suffix;
  return options;
}

ListMeaning meaning_of(const ListRequest& request) {
  return request.allows ? ListMeaning::allows : ListMeaning::as_written;
}

Result<ListCache::Loaded> load(const Fd& file, const ListRequest& request, const ListCache& cache) {
  const std::int64_t now = std::chrono::duration_cast<std::chrono::nanoseconds>(
                               std::chrono::system_clock::now().time_since_epoch())
                               .count();
  auto loaded = cache.load(file, options_of(request), meaning_of(request), now);
  if (loaded && !loaded->note.empty()) spdlog::warn("list {}: {}", request.file, loaded->note);
  return loaded;
}

}  // namespace

Result<std::string> folder_of(const std::string& file) {
  std::error_code error;
  const auto absolute = std::filesystem::absolute(file, error);
  if (error)
    return failure("cannot find " + postern::quoted(file) + " from the working folder: " + error.message());
  return absolute.lexically_normal().parent_path().string();
}

std::string make_list_cache(const std::string& folder, uid_t uid, gid_t gid) {
  const std::string path = folder + "/lists";
  struct stat about {};
  const bool made = mkdir(path.c_str(), 0700) == 0;
  if (!made && (lstat(path.c_str(), &about) != 0 || !S_ISDIR(about.st_mode))) {
    spdlog::warn("compiled lists are not kept: \"{}\" is not a folder: {}", path, std::strerror(errno));
    return {};
  }
  if (made && geteuid() == 0 && lchown(path.c_str(), uid, gid) != 0) {
    spdlog::warn("compiled lists are not kept: cannot hand \"{}\" to the service user: {}", path,
                 std::strerror(errno));
    return {};
  }
  return path;
}

Result<ListPlace> place_list(const std::string& file, const std::vector<std::string>& folders) {
  const std::filesystem::path path = std::filesystem::path(file).lexically_normal();
  if (path.is_relative()) return ListPlace{0, path.string()};
  for (std::size_t i = 0; i < folders.size(); ++i) {
    const std::filesystem::path rest = path.lexically_relative(folders[i]);
    if (!rest.empty() && *rest.begin() != "..") return ListPlace{i, rest.string()};
  }
  return failure("cannot read list " + postern::quoted(file) +
                 ": it is neither beside the policy file nor in one of the list_folders");
}

Result<std::shared_ptr<const List>> ListsByContent::load(const Fd& file, const ListOptions& options,
                                                         ListMeaning meaning) {
  const Result<ListFile> text = read_list_file(file, options.file, options.most_octets);
  if (!text) return tl::unexpected(text.error());
  ListOptions unnamed = options;
  unnamed.file.clear();
  const std::pair key(sha256(text->octets.all()), recipe_of(unnamed, meaning));
  if (const auto known = known_.find(key); known != known_.end()) return known->second;
  auto made = List::build(text->text(), options, meaning);
  if (made) known_.emplace(key, *made);
  return made;
}

ListSource lists_beside(const std::string& policy_file, ListsByContent* known) {
  return [policy_file, known](const ListRequest& request) -> Result<std::shared_ptr<const List>> {
    const auto folder = folder_of(policy_file);
    if (!folder) return tl::unexpected(folder.error());
    auto file = open_list_file((std::filesystem::path(*folder) / request.file).string());
    if (!file) return tl::unexpected(file.error());
    if (known != nullptr) return known->load(*file, options_of(request), meaning_of(request));
    auto loaded = load(*file, request, ListCache(""));
    if (!loaded) return tl::unexpected(loaded.error());
    return std::move(loaded->list);
  };
}

ListSource lists_below(std::vector<std::string> folders) {
  return [folders = std::move(folders)](const ListRequest& request) -> Result<std::shared_ptr<const List>> {
    const auto place = place_list(request.file, folders);
    if (!place) return tl::unexpected(place.error());
    auto file = open_list_below(folders[place->folder], place->path);
    if (!file) return tl::unexpected(file.error());
    auto loaded = load(*file, request, ListCache(""));
    if (!loaded) return tl::unexpected(loaded.error());
    return std::move(loaded->list);
  };
}

ListSource lists_unread(std::vector<std::string>& folders) {
  return [&folders](const ListRequest& request) -> Result<std::shared_ptr<const List>> {
    const std::filesystem::path path = std::filesystem::path(request.file).lexically_normal();
    if (path.is_absolute()) folders.push_back(path.parent_path().string());
    return ListBuilder().finish({});
  };
}

void ListsToKeep::add(const ListRequest& request, ListCache::Loaded loaded) {
  if (loaded.image != nullptr) coming_.push_back(loaded.image);
  if (loaded.wants_saving) waiting_.emplace_back(request, std::move(loaded));
}

void ListsToKeep::write() {
  for (const auto& [request, loaded] : waiting_) {
    std::shared_ptr<const Fd> image;
    const std::string why = cache_.save(loaded, options_of(request), meaning_of(request), &image);
    if (!why.empty()) spdlog::warn("list {} is not kept compiled: {}", request.file, why);
    if (image != nullptr) coming_.push_back(std::move(image));
  }
  waiting_.clear();
  held_ = std::exchange(coming_, {});
  if (cache_.folder().empty()) return;
  const PrunedImages pruned = prune_images(
      cache_.folder(),
      std::chrono::duration_cast<std::chrono::seconds>(std::chrono::system_clock::now().time_since_epoch())
          .count());
  if (pruned.removed > 0)
    spdlog::info("removed {} compiled lists that nobody has used for {} days", pruned.removed,
                 image_life_s / image_day_s);
  if (!pruned.note.empty()) spdlog::warn("unused compiled lists stay: {}", pruned.note);
}

ListSource lists_from_broker(BrokerClient& broker, const std::vector<std::string>& folders,
                             ListsToKeep& to_keep) {
  return [&broker, &folders, &to_keep](const ListRequest& request) -> Result<std::shared_ptr<const List>> {
    const auto place = place_list(request.file, folders);
    if (!place) return tl::unexpected(place.error());
    auto file = broker.open_list(place->folder, place->path);
    if (!file) return tl::unexpected(file.error());
    auto loaded = load(*file, request, to_keep.cache());
    if (!loaded) return tl::unexpected(loaded.error());
    std::shared_ptr<const List> list = loaded->list;
    to_keep.add(request, std::move(*loaded));
    return list;
  };
}

}  // namespace postern

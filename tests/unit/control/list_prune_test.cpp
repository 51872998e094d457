// Images that nobody uses go, and nothing else does.
#include "resolver/control/list_prune.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <fstream>

#include "resolver/control/list_file.h"
#include "resolver/control/list_source.h"

using namespace postern;
namespace fs = std::filesystem;

namespace {

// A folder with a list and a cache in which that list is compiled; times are told from `now`.
struct CacheFolder {
  CacheFolder() {
    std::string made = (fs::temp_directory_path() / "postern-prune-XXXXXX").string();
    REQUIRE(::mkdtemp(made.data()) != nullptr);
    folder = made;
    fs::create_directory(cache());
    fs::permissions(cache(), fs::perms::owner_all);
    std::ofstream(folder / "l.txt") << "ads.example.com\n";
    load();
    REQUIRE(images().size() == 1);
  }
  ~CacheFolder() {
    std::error_code ignored;
    fs::remove_all(folder, ignored);
  }

  fs::path cache() const { return folder / "cache"; }
  std::vector<fs::path> images() const {
    std::vector<fs::path> all;
    for (const auto& entry : fs::directory_iterator(cache())) all.push_back(entry.path());
    return all;
  }
  ListCache::Loaded load() const {
    ListOptions options;
    options.file = folder / "l.txt";
    const Result<Fd> file = open_list_file(options.file);
    REQUIRE(file.has_value());
    const ListCache lists(cache());
    auto loaded = lists.load(*file, options, ListMeaning::as_written, 0);
    REQUIRE(loaded.has_value());
    lists.save(*loaded, options, ListMeaning::as_written, &loaded->image);
    return std::move(*loaded);
  }
  // As if it had last been used so long before `now`.
  void age(const fs::path& file, std::int64_t seconds) const {
    const timespec times[2] = {{now - seconds, 0}, {now - seconds, 0}};
    REQUIRE(::utimensat(AT_FDCWD, file.c_str(), times, AT_SYMLINK_NOFOLLOW) == 0);
  }
  std::size_t prune() const {
    const PrunedImages pruned = prune_images(cache(), now);
    CHECK(pruned.note == "");
    return pruned.removed;
  }

  const std::int64_t now = std::time(nullptr);
  fs::path folder;
};

const std::string a_name(32, 'a');  // as an image's, without the suffix

}  // namespace

TEST_CASE(
    "an image that was not used for thirty days is removed, and one that was used a second later stays") {
  const CacheFolder here;
  const fs::path image = here.images().at(0);
  here.age(image, image_life_s - 1);
  CHECK(here.prune() == 0);
  here.age(image, image_life_s);
  CHECK(here.prune() == 1);
  CHECK(here.images().empty());
  CHECK(here.prune() == 0);
}

TEST_CASE("an image that somebody has loaded stays, however old, until it is let go") {
  const CacheFolder here;
  const fs::path image = here.images().at(0);
  {
    const ListCache::Loaded loaded = here.load();
    REQUIRE(loaded.image != nullptr);
    here.age(image, 10 * image_life_s);
    CHECK(here.prune() == 0);
    const auto copy = loaded.image;
    CHECK(here.prune() == 0);
  }
  CHECK(here.prune() == 1);
  const ListCache::Loaded anew = here.load();  // compiled again, and held again
  CHECK(!anew.from_image);
  REQUIRE(anew.image != nullptr);
  here.age(here.images().at(0), 10 * image_life_s);
  CHECK(here.prune() == 0);
}

TEST_CASE("loading an image is using it, and is written down once a day") {
  const CacheFolder here;
  const fs::path image = here.images().at(0);
  const auto age_after_load = [&] {
    here.load();
    struct stat status {};
    REQUIRE(::stat(image.c_str(), &status) == 0);
    return here.now - status.st_mtim.tv_sec;
  };
  // The list is made to look settled, so that the image is taken as it stands, and not written anew.
  const timespec times[2] = {{1000, 0}, {1000, 0}};
  REQUIRE(::utimensat(AT_FDCWD, (here.folder / "l.txt").c_str(), times, 0) == 0);
  here.load();
  here.age(image, image_life_s);
  CHECK(age_after_load() <= 0);
  CHECK(here.prune() == 0);
}

TEST_CASE("what an image's writer left when it was killed goes, too; what is called otherwise stays") {
  const CacheFolder here;
  here.age(here.images().at(0), 0);
  const auto put = [&](const std::string& name) {
    std::ofstream(here.cache() / name) << "something";
    here.age(here.cache() / name, 2 * image_life_s);
  };
  put(a_name + ".list.new");
  put(a_name + ".list");
  const char* const foreign[] = {".list", "notes.txt", "x.list", "postern.db"};
  for (const char* name : foreign) put(name);
  put(a_name);
  put(a_name + ".list.old");
  put(a_name + "a.list");
  put(a_name.substr(1) + ".list");
  put(std::string(32, 'A') + ".list");
  put(a_name + ".new");
  CHECK(here.prune() == 2);
  CHECK(!fs::exists(here.cache() / (a_name + ".list")));
  CHECK(!fs::exists(here.cache() / (a_name + ".list.new")));
  CHECK(here.images().size() == 1 + 4 + 6);
}

TEST_CASE("a link, a folder and a FIFO with an image's name stay, and so does what a link leads to") {
  const CacheFolder here;
  here.age(here.images().at(0), 0);
  const fs::path target = here.folder / "l.txt";
  here.age(target, 2 * image_life_s);
  const fs::path link = here.cache() / (a_name + ".list"),
                 fifo = here.cache() / (std::string(32, 'b') + ".list"),
                 folder = here.cache() / (std::string(32, 'c') + ".list");
  fs::create_symlink(target, link);
  REQUIRE(::mkfifo(fifo.c_str(), 0600) == 0);
  fs::create_directory(folder);
  for (const fs::path& one : {link, fifo, folder}) here.age(one, 2 * image_life_s);
  CHECK(here.prune() == 0);
  CHECK(fs::is_symlink(link));
  CHECK(fs::exists(target));
  CHECK(here.images().size() == 4);
}

TEST_CASE("another user's image stays") {
  if (::geteuid() != 0) {
    REQUIRE_MESSAGE(std::getenv("POSTERN_MUST_WORK") == nullptr, "needs root");
    MESSAGE("not tested: only root can make a file of another user");
    return;
  }
  const CacheFolder here;
  const fs::path image = here.images().at(0);
  constexpr uid_t somebody = 54321;
  REQUIRE(::chown(image.c_str(), somebody, somebody) == 0);
  here.age(image, 2 * image_life_s);
  CHECK(here.prune() == 0);
  REQUIRE(::chown(image.c_str(), 0, 0) == 0);
  CHECK(here.prune() == 1);
}

TEST_CASE("a folder that is not there has nothing to remove, and one that is none is told of") {
  const CacheFolder here;
  CHECK(prune_images(here.folder / "none", here.now).note == "");
  const std::string file = here.folder / "l.txt";
  CHECK(prune_images(file, here.now).note == "folder \"" + file + "\": Not a directory");
}

TEST_CASE("a policy in force keeps its images; those of the one before it go when they are old") {
  const CacheFolder here;
  const fs::path list = here.folder / "l.txt";
  ListRequest request;
  request.file = list;
  ListsToKeep keep(here.cache());
  const auto take = [&](bool allows) {
    request.allows = allows;
    const Result<Fd> file = open_list_file(list);
    ListOptions options;
    options.file = list;
    auto loaded =
        keep.cache().load(*file, options, allows ? ListMeaning::allows : ListMeaning::as_written, here.now);
    REQUIRE(loaded.has_value());
    keep.add(request, std::move(*loaded));
  };
  take(false);
  keep.write();
  const fs::path first = here.images().at(0);
  here.age(first, 2 * image_life_s);
  keep.write();  // nothing was loaded: a policy without lists is in force
  CHECK(here.images().empty());
  take(false);
  keep.write();
  here.age(first, 2 * image_life_s);
  take(true);
  keep.drop();  // that policy was not taken
  CHECK(here.prune() == 0);
  take(true);
  keep.write();
  CHECK(!fs::exists(first));
  CHECK(here.images().size() == 1);
}

// Files of lists and the cache of their images: what is refused, what is noticed, what is trusted.
#include "resolver/control/list_file.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>

using namespace postern;
namespace fs = std::filesystem;

namespace {

// A folder of its own, with a list in it and a cache beside it.
struct ListFolder {
  ListFolder() {
    std::string made = (fs::temp_directory_path() / "postern-list-XXXXXX").string();
    REQUIRE(::mkdtemp(made.data()) != nullptr);
    folder = made;
    fs::create_directory(folder / "cache");
    fs::permissions(folder / "cache", fs::perms::owner_all);
    write("ads.example.com\n");
  }
  ~ListFolder() {
    std::error_code ignored;
    fs::remove_all(folder, ignored);
  }

  void write(const std::string& text) const { std::ofstream(list()) << text; }
  fs::path list() const { return folder / "l.txt"; }
  fs::path image() const {
    for (const auto& entry : fs::directory_iterator(folder / "cache")) return entry.path();
    return {};
  }
  ListOptions options() const {
    ListOptions made;
    made.file = list();
    made.format = ListFormat::domains;
    return made;
  }
  // As if it were `later` seconds after now.
  ListCache::Loaded load(int later = 0) const {
    const Result<Fd> file = open_list_file(list());
    REQUIRE(file.has_value());
    return load(*file, later);
  }
  ListCache::Loaded load(const Fd& file, int later) const {
    timespec now{};
    ::clock_gettime(CLOCK_REALTIME, &now);
    const ListCache cache(folder / "cache");
    const auto loaded =
        cache.load(file, options(), ListMeaning::as_written, (now.tv_sec + later) * 1'000'000'000);
    REQUIRE_MESSAGE(loaded.has_value(), (loaded ? "" : loaded.error().message));
    cache.save(*loaded, options(), ListMeaning::as_written);
    return *loaded;
  }

  fs::path folder;
};

bool blocks(const ListCache::Loaded& loaded, std::string_view text) {
  return loaded.list->judge({*Name::parse(text), type::A}).spoke;
}

bool mentions(const std::string& text, std::string_view part) {
  return text.find(part) != std::string::npos;
}

std::string open_error(const fs::path& path) {
  const Result<Fd> file = open_list_file(path);
  return file ? "no error" : file.error().message;
}

constexpr int long_ago = 100;  // seconds: a file's times are settled by then

}  // namespace

TEST_CASE("only a plain file is a list; the error names the path and what is there") {
  const ListFolder here;
  CHECK(open_error(here.list()) == "no error");
  CHECK(open_error(here.folder) == "cannot read list \"" + here.folder.string() + "\": it is a folder");
  const fs::path fifo = here.folder / "fifo";
  REQUIRE(::mkfifo(fifo.c_str(), 0600) == 0);
  CHECK(open_error(fifo) == "cannot read list \"" + fifo.string() + "\": it is a FIFO");  // and does not wait
  CHECK(open_error("/dev/null") == "cannot read list \"/dev/null\": it is a device");
  CHECK(open_error(here.folder / "none") ==
        "cannot read list \"" + (here.folder / "none").string() + "\": No such file or directory");
  CHECK(mentions(open_error(std::string("/tmp/a\0b", 8)), "zero octet"));
  // A descriptor of something else is refused as well.
  const Fd folder(::open(here.folder.c_str(), O_RDONLY | O_CLOEXEC));
  const Result<ListFile> read = read_list_file(folder, "handed over", 100);
  REQUIRE(!read.has_value());
  CHECK(read.error().message == "cannot read list \"handed over\": it is a folder");
}

TEST_CASE("a list is read whole, up to the limit and not an octet more") {
  const ListFolder here;
  const Result<Fd> file = open_list_file(here.list());
  REQUIRE(file.has_value());
  const Result<ListFile> whole = read_list_file(*file, "l", 16);
  REQUIRE(whole.has_value());
  CHECK(whole->text() == "ads.example.com\n");
  CHECK(whole->stamp.size == 16);
  const Result<ListFile> over = read_list_file(*file, "l", 15);
  REQUIRE(!over.has_value());
  CHECK(over.error().message == "cannot read list \"l\": it has 16 octets, more than 15");
  here.write("");
  const Result<ListFile> empty = read_list_file(*file, "l", 15);
  REQUIRE(empty.has_value());
  CHECK(empty->text().empty());
}

TEST_CASE("the second start takes the image, which only we may read") {
  const ListFolder here;
  CHECK(here.image().empty());
  const ListCache::Loaded first = here.load();
  CHECK(!first.from_image);
  CHECK(first.note == "");
  CHECK(blocks(first, "ads.example.com"));
  struct stat status {};
  REQUIRE(::stat(here.image().c_str(), &status) == 0);
  CHECK((status.st_mode & 07777) == 0600);
  const ListCache::Loaded second = here.load();
  CHECK(second.from_image);
  CHECK(second.note == "");
  CHECK(blocks(second, "ads.example.com"));
  CHECK(!blocks(second, "x.example.com"));
}

TEST_CASE("a file that has long had its times is not read again; a fresh one is, for its hash") {
  const ListFolder here;
  here.load();
  // A descriptor that cannot be read from: whether the file is read shows.
  const Fd write_only(::open(here.list().c_str(), O_WRONLY | O_CLOEXEC));
  REQUIRE(write_only);
  const auto fresh =
      ListCache(here.folder / "cache").load(write_only, here.options(), ListMeaning::as_written, 0);
  REQUIRE(!fresh.has_value());
  CHECK(mentions(fresh.error().message, "Bad file descriptor"));
  CHECK(here.load(long_ago).from_image);  // by its hash; the image now knows that the times are settled
  CHECK(here.load(write_only, long_ago).from_image);
}

TEST_CASE("a file that was only touched keeps its image, by its hash") {
  const ListFolder here;
  here.load(long_ago);
  const timespec times[2] = {{1000, 0}, {1000, 0}};
  REQUIRE(::utimensat(AT_FDCWD, here.list().c_str(), times, 0) == 0);
  CHECK(here.load(long_ago).from_image);
  const Fd write_only(::open(here.list().c_str(), O_WRONLY | O_CLOEXEC));
  CHECK(here.load(write_only, long_ago).from_image);  // with its new times
}

TEST_CASE("another text is noticed: of another size, of the same size, and with the old times") {
  const ListFolder here;
  here.load(long_ago);
  here.write("ads.example.com\nmore.example.com\n");
  const ListCache::Loaded longer = here.load(long_ago);
  CHECK(!longer.from_image);
  CHECK(blocks(longer, "more.example.com"));

  struct stat status {};
  REQUIRE(::stat(here.list().c_str(), &status) == 0);
  here.write("ads.example.com\nless.example.com\n");
  const timespec times[2] = {status.st_mtim, status.st_mtim};
  REQUIRE(::utimensat(AT_FDCWD, here.list().c_str(), times, 0) == 0);
  const ListCache::Loaded other = here.load(long_ago);
  CHECK(!other.from_image);
  CHECK(!blocks(other, "more.example.com"));
  CHECK(blocks(other, "less.example.com"));
  CHECK(here.load(long_ago).from_image);

  // Another file in its place, as editors and downloads do it.
  std::ofstream(here.folder / "new") << "ads.example.com\nlast.example.com\n";
  REQUIRE(::utimensat(AT_FDCWD, (here.folder / "new").c_str(), times, 0) == 0);
  fs::rename(here.folder / "new", here.list());
  const ListCache::Loaded swapped = here.load(long_ago);
  CHECK(!swapped.from_image);
  CHECK(blocks(swapped, "last.example.com"));
}

TEST_CASE("an image that is cut off or damaged is made anew, and the log hears of it") {
  const ListFolder here;
  here.load();
  const auto whole = fs::file_size(here.image());
  for (const std::uintmax_t size :
       {std::uintmax_t{0}, std::uintmax_t{7}, std::uintmax_t{100}, whole / 2, whole - 1}) {
    CAPTURE(size);
    fs::resize_file(here.image(), size);
    const ListCache::Loaded again = here.load();
    CHECK(!again.from_image);
    CHECK(blocks(again, "ads.example.com"));
    CHECK(mentions(again.note, here.image().string()));
    CHECK(here.load().from_image);
  }
  {
    std::fstream image(here.image(), std::ios::in | std::ios::out | std::ios::binary);
    image.seekp(static_cast<std::streamoff>(whole) / 2);
    image.put('\x55');
  }
  const ListCache::Loaded damaged = here.load();
  CHECK(!damaged.from_image);
  CHECK(mentions(damaged.note, "checksum"));
}

TEST_CASE("an image that others may write is not used") {
  const ListFolder here;
  here.load();
  for (const fs::perms more : {fs::perms::group_write, fs::perms::others_write}) {
    fs::permissions(here.image(), more, fs::perm_options::add);
    const ListCache::Loaded again = here.load();
    CHECK(!again.from_image);
    CHECK(mentions(again.note, "others may write it"));
    CHECK(here.load().from_image);  // a new one took its place
  }
  fs::permissions(here.image(), fs::perms::group_read | fs::perms::others_read, fs::perm_options::add);
  CHECK(here.load().from_image);  // reading it does no harm
}

TEST_CASE("an image that belongs to another user is not used") {
  if (::geteuid() != 0) {
    REQUIRE_MESSAGE(std::getenv("POSTERN_MUST_WORK") == nullptr, "needs root");
    MESSAGE("not tested: only root can make a file of another user");
    return;
  }
  const ListFolder here;
  here.load();
  constexpr uid_t somebody = 54321;
  REQUIRE(::chown(here.image().c_str(), somebody, somebody) == 0);
  const ListCache::Loaded again = here.load();
  CHECK(!again.from_image);
  CHECK(mentions(again.note, "belongs to somebody else"));
  CHECK(blocks(again, "ads.example.com"));
  CHECK(here.load().from_image);
  REQUIRE(::chown((here.folder / "cache").c_str(), somebody, somebody) == 0);
  const ListCache::Loaded in_their_folder = here.load();
  CHECK(!in_their_folder.from_image);
  CHECK(mentions(in_their_folder.note, "belongs to somebody else"));
}

TEST_CASE("a link, a FIFO or another list's image in the image's place is not used") {
  const ListFolder here, other;
  here.load();
  other.write("bad.example.com\n");  // as long as the list here
  other.load();
  REQUIRE(fs::file_size(other.list()) == fs::file_size(here.list()));
  const fs::path place = here.image();

  fs::copy_file(other.image(), place, fs::copy_options::overwrite_existing);
  const ListCache::Loaded copied = here.load();
  CHECK(!copied.from_image);
  CHECK(blocks(copied, "ads.example.com"));
  CHECK(!blocks(copied, "bad.example.com"));

  fs::remove(place);
  fs::create_symlink(other.image(), place);
  const ListCache::Loaded linked = here.load();
  CHECK(!linked.from_image);
  CHECK(!blocks(linked, "bad.example.com"));
  CHECK(!fs::is_symlink(place));
  CHECK(other.load().from_image);  // what the link led to was left alone

  fs::remove(place);
  REQUIRE(::mkfifo(place.c_str(), 0600) == 0);
  CHECK(!here.load().from_image);
  CHECK(here.load().from_image);
}

TEST_CASE(
    "a folder that others may write, or that is not there, is no cache; the list is read all the same") {
  const ListFolder here;
  here.load();
  fs::permissions(here.folder / "cache", fs::perms::others_write, fs::perm_options::add);
  const ListCache::Loaded open = here.load();
  CHECK(!open.from_image);
  CHECK(blocks(open, "ads.example.com"));
  CHECK(mentions(open.note, "others may write it"));
  fs::remove_all(here.folder / "cache");
  const ListCache::Loaded none = here.load();
  CHECK(blocks(none, "ads.example.com"));
  CHECK(mentions(none.note, "No such file or directory"));
  CHECK(mentions(ListCache(here.folder / "cache").save(none, here.options(), ListMeaning::as_written),
                 "No such file or directory"));
  const Result<Fd> file = open_list_file(here.list());
  CHECK(!ListCache("").load(*file, here.options(), ListMeaning::as_written, 0)->wants_saving);
}

TEST_CASE("other options have another image; a list that cannot be read is an error with its file") {
  const ListFolder here;
  here.load();
  const Result<Fd> file = open_list_file(here.list());
  REQUIRE(file.has_value());
  const ListCache cache(here.folder / "cache");
  ListOptions wide = here.options();
  wide.subdomains = true;
  const auto widened = cache.load(*file, wide, ListMeaning::as_written, 0);
  REQUIRE(widened.has_value());
  CHECK(!widened->from_image);
  CHECK(widened->wants_saving);
  CHECK(cache.save(*widened, wide, ListMeaning::as_written) == "");
  CHECK(cache.load(*file, wide, ListMeaning::as_written, 0)->from_image);
  CHECK(blocks(*widened, "x.ads.example.com"));
  CHECK(here.load().from_image);
  CHECK(!blocks(here.load(), "x.ads.example.com"));
  here.write("");
  const auto empty = cache.load(*file, here.options(), ListMeaning::as_written, 0);
  REQUIRE(!empty.has_value());
  CHECK(mentions(empty.error().message, here.list().string()));
}

// Files of lists, and images of them in a folder.
#include "resolver/control/list_file.h"

#include <fcntl.h>
#include <malloc.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "resolver/control/list_prune.h"
#include "rules/large_octets.h"
#include "rules/quote.h"

namespace postern {
namespace {

// Octets of an image: more than any list makes; a limit for a file that is none.
constexpr std::size_t most_image_octets = std::size_t{2} << 30;
// How often a file that changes while it is read is read again.
constexpr int attempts = 3;
// A file that was changed this shortly before it was read may be changed once more without getting another
// time: the kernel's clock for files ticks 100 to 1000 times a second, and network file systems count
// seconds.
constexpr std::int64_t settled_ns = 2'000'000'000;

std::int64_t nanoseconds(const timespec& time) noexcept {
  return static_cast<std::int64_t>(time.tv_sec) * 1'000'000'000 + time.tv_nsec;
}

SourceStamp stamp_of(const struct stat& status) noexcept {
  return {static_cast<std::uint64_t>(status.st_size), nanoseconds(status.st_mtim),
          nanoseconds(status.st_ctim), static_cast<std::uint64_t>(status.st_dev),
          static_cast<std::uint64_t>(status.st_ino)};
}

const char* kind_of(mode_t mode) noexcept {
  if (S_ISDIR(mode)) return "it is a folder";
  if (S_ISFIFO(mode)) return "it is a FIFO";
  if (S_ISSOCK(mode)) return "it is a socket";
  return "it is a device";
}

tl::unexpected<Error> list_file_failure(const std::string& path, const std::string& why) {
  return failure("cannot read list " + postern::quoted(path) + ": " + why);
}

std::string reason(int number) {
  return std::strerror(number);
}

// Up to `size` octets from the beginning; fewer if the file has become shorter. The error's number, or 0.
int read_octets(int fd, std::uint8_t* out, std::size_t& size) {
  std::size_t at = 0;
  while (at < size) {
    const ssize_t got = ::pread(fd, out + at, size - at, static_cast<off_t>(at));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return errno;
    if (got == 0) break;
    at += static_cast<std::size_t>(got);
  }
  size = at;
  return 0;
}

bool write_octets(int fd, const std::vector<std::uint8_t>& octets) {
  for (std::size_t at = 0; at < octets.size();) {
    const ssize_t put = ::write(fd, octets.data() + at, octets.size() - at);
    if (put < 0 && errno == EINTR) continue;
    if (put <= 0) return false;
    at += static_cast<std::size_t>(put);
  }
  return true;
}

// Whether only we, or root, can have written this.
bool is_ours(const struct stat& status) noexcept {
  return (status.st_uid == ::geteuid() || status.st_uid == 0) && (status.st_mode & (S_IWGRP | S_IWOTH)) == 0;
}

// Says on the image that it is in use: for as long as the descriptor is open, and on what day. An image of
// another user's, as root's is to the service, may have to do without the day; it is not ours to remove,
// either.
std::shared_ptr<const Fd> hold_image(Fd file, const struct stat& status) {
  (void)::flock(file.get(), LOCK_SH | LOCK_NB);  // fails while somebody removes it: then it is made anew
  timespec now{};
  ::clock_gettime(CLOCK_REALTIME, &now);
  if (now.tv_sec - status.st_mtim.tv_sec >= image_day_s) (void)::futimens(file.get(), nullptr);
  return std::make_shared<const Fd>(std::move(file));
}

std::string hex(std::span<const std::uint8_t> octets) {
  static constexpr char digits[] = "0123456789abcdef";
  std::string text;
  for (const std::uint8_t octet : octets) {
    text += digits[octet >> 4];
    text += digits[octet & 15];
  }
  return text;
}

// One image's place in the cache's folder, which stays open so that nobody can put another in its place.
class ImagePlace {
 public:
  ImagePlace(const std::string& folder, const ListOptions& options, ListMeaning meaning)
      : folder_name_(folder) {
    if (folder.empty()) return;
    Fd folder_fd(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    struct stat status {};
    if (!folder_fd || ::fstat(folder_fd.get(), &status) != 0) {
      note_ = "cannot open folder " + postern::quoted(folder) + ": " + reason(errno);
      return;
    }
    if (!is_ours(status)) {
      note_ = "folder " + postern::quoted(folder) + " belongs to somebody else, or others may write it";
      return;
    }
    folder_ = std::move(folder_fd);
    // By path and use, so that a new version's image takes the place of an old one's.
    std::string key = options.file;
    key += '\0';
    key += options.format ? static_cast<char>('0' + static_cast<int>(*options.format)) : '-';
    key += options.subdomains ? '1' : '0';
    key += options.allow_public_suffix ? '1' : '0';
    key += meaning == ListMeaning::allows ? '1' : '0';
    const Digest digest = sha256({reinterpret_cast<const std::uint8_t*>(key.data()), key.size()});
    name_ = hex(std::span(digest).first(image_name_octets)) + std::string(image_suffix);
  }

  // The image's octets; none if there is no image, or it is not to be trusted (`note`).
  SharedOctets read() {
    if (!folder_) return {};
    Fd file(
        ::openat(folder_.get(), name_.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC | O_NOCTTY));
    if (!file) {
      if (errno != ENOENT) say("cannot open it: " + reason(errno));
      return {};
    }
    struct stat status {};
    if (::fstat(file.get(), &status) != 0 || !S_ISREG(status.st_mode)) {
      say("it is not a plain file");
      return {};
    }
    if (!is_ours(status)) {
      say("it belongs to somebody else, or others may write it");
      return {};
    }
    std::size_t size = static_cast<std::size_t>(status.st_size);
    if (size > most_image_octets) {
      say("it has " + std::to_string(size) + " octets");
      return {};
    }
    const std::shared_ptr<std::uint8_t[]> room = large_octets(size + 1);
    SharedOctets octets{room, size};
    const int number = read_octets(file.get(), room.get(), octets.size);
    give_back_after(room, octets.size, size + 1);
    if (number != 0) {
      say("cannot read it: " + reason(number));
      return {};
    }
    image_ = hold_image(std::move(file), status);
    return octets;
  }

  void write(const List& list, const ImageHeader& header) {
    if (!folder_) return;
    const std::vector<std::uint8_t> image = ListImage::write(list, header);
    const std::string beside = name_ + std::string(unfinished_suffix);
    ::unlinkat(folder_.get(), beside.c_str(), 0);  // from a start that was killed
    Fd file(
        ::openat(folder_.get(), beside.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
    if (!file) return say("cannot make " + postern::quoted(beside) + ": " + reason(errno));
    if (write_octets(file.get(), image) &&
        ::renameat(folder_.get(), beside.c_str(), folder_.get(), name_.c_str()) == 0) {
      struct stat status {};
      if (::fstat(file.get(), &status) == 0) image_ = hold_image(std::move(file), status);
      return;
    }
    say("cannot write it: " + reason(errno));
    ::unlinkat(folder_.get(), beside.c_str(), 0);
  }

  void say(const std::string& why) {
    note_ +=
        (note_.empty() ? "" : "; ") + ("image " + postern::quoted(folder_name_ + "/" + name_) + ": ") + why;
  }
  std::string note() && { return std::move(note_); }
  std::shared_ptr<const Fd> image() const { return image_; }  // that was read or written; null: none

 private:
  std::string folder_name_, name_, note_;
  Fd folder_;
  std::shared_ptr<const Fd> image_;
};

}  // namespace

Result<Fd> open_list_file(const std::string& path) {
  if (path.find('\0') != std::string::npos) return list_file_failure(path, "the path holds a zero octet");
  Fd file(::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY));
  if (!file) return list_file_failure(path, reason(errno));
  struct stat status {};
  if (::fstat(file.get(), &status) != 0) return list_file_failure(path, reason(errno));
  if (!S_ISREG(status.st_mode)) return list_file_failure(path, kind_of(status.st_mode));
  return file;
}

Result<ListFile> read_list_file(const Fd& file, const std::string& path, std::size_t most_octets) {
  for (int attempt = 0; attempt < attempts; ++attempt) {
    struct stat status {};
    if (::fstat(file.get(), &status) != 0) return list_file_failure(path, reason(errno));
    if (!S_ISREG(status.st_mode)) return list_file_failure(path, kind_of(status.st_mode));
    const SourceStamp stamp = stamp_of(status);
    if (stamp.size > most_octets)
      return list_file_failure(
          path, "it has " + std::to_string(stamp.size) + " octets, more than " + std::to_string(most_octets));
    const std::shared_ptr<std::uint8_t[]> room = large_octets(stamp.size + 1);
    ListFile read{{room, stamp.size}, stamp};
    const int number = read_octets(file.get(), room.get(), read.octets.size);
    if (number != 0) return list_file_failure(path, reason(number));
    if (::fstat(file.get(), &status) != 0) return list_file_failure(path, reason(errno));
    if (read.octets.size == stamp.size && stamp_of(status) == stamp) return read;
  }
  return list_file_failure(path, "it changes while it is read");
}

Result<ListCache::Loaded> ListCache::load(const Fd& file, const ListOptions& options, ListMeaning meaning,
                                          std::int64_t now_ns) const {
  struct stat status {};
  if (::fstat(file.get(), &status) != 0) return list_file_failure(options.file, reason(errno));
  if (!S_ISREG(status.st_mode)) return list_file_failure(options.file, kind_of(status.st_mode));
  const SourceStamp stamp = stamp_of(status);
  Loaded loaded;
  ImageHeader &header = loaded.header, old;
  header.recipe = recipe_of(options, meaning);
  header.made_ns = now_ns;

  ImagePlace place(folder_, options, meaning);
  std::shared_ptr<const List>& list = loaded.list;
  if (const SharedOctets octets = place.read(); octets.data != nullptr) {
    const Result<ImageHeader> head = ListImage::read_header(octets.all());
    if (!head) place.say(head.error().message);
    if (head && head->recipe == header.recipe && head->source.size == stamp.size) {
      old = *head;
      Result<std::shared_ptr<const List>> made = ListImage::read(octets);
      if (!made) place.say(made.error().message);
      if (made) list = std::move(*made);
    }
  }
  const auto from_image = [&] {
    loaded.from_image = true;
    loaded.image = place.image();
    loaded.note = std::move(place).note();
    return std::move(loaded);
  };
  const bool settled = old.made_ns - std::max(stamp.mtime_ns, stamp.ctime_ns) >= settled_ns;
  if (list != nullptr && stamp == old.source && settled) return from_image();

  Result<ListFile> source = read_list_file(file, options.file, options.most_octets);
  if (!source) return tl::unexpected(source.error());
  header.source = source->stamp;
  header.source_digest = sha256(source->octets.all());
  loaded.wants_saving = !folder_.empty();  // also where the file was only touched, for its new times
  if (list != nullptr && old.source_digest == header.source_digest) return from_image();
  Result<std::shared_ptr<const List>> made = List::build(source->text(), options, meaning);
  if (!made) return tl::unexpected(made.error());
  list = std::move(*made);
  loaded.note = std::move(place).note();
  source->octets = {};
  ::malloc_trim(0);  // building takes three times what the list does
  return loaded;
}

std::string ListCache::save(const Loaded& loaded, const ListOptions& options, ListMeaning meaning,
                            std::shared_ptr<const Fd>* held) const {
  if (!loaded.wants_saving) return "";
  ImagePlace place(folder_, options, meaning);
  place.write(*loaded.list, loaded.header);
  if (held != nullptr) *held = place.image();
  return std::move(place).note();
}

}  // namespace postern

// Octets of a recording: descriptors, memory, gzip, and lines.
#include "resolver/control/replay_source.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "rules/gunzip.h"
#include "rules/quote.h"

namespace postern {
namespace {

constexpr std::size_t chunk_octets = 1 << 16;

Error cannot_read(const std::string& name, const std::string& why) {
  return {"cannot read " + quoted(name) + ": " + why};
}

class DescriptorSource final : public OctetSource {
 public:
  DescriptorSource(int fd, std::string name, std::uint64_t size)
      : fd_(fd), name_(std::move(name)), size_(size) {}
  ~DescriptorSource() override {
    if (fd_ != STDIN_FILENO) ::close(fd_);
  }
  Result<std::size_t> read(std::span<char> to) override {
    for (;;) {
      const ssize_t count = ::read(fd_, to.data(), to.size());
      if (count >= 0) {
        done_ += static_cast<std::uint64_t>(count);
        return static_cast<std::size_t>(count);
      }
      if (errno != EINTR) return tl::unexpected(cannot_read(name_, std::strerror(errno)));
    }
  }
  double progress() const override {
    return size_ == 0 ? -1 : std::min(1.0, static_cast<double>(done_) / static_cast<double>(size_));
  }

 private:
  int fd_;
  std::string name_;
  std::uint64_t size_, done_ = 0;  // size 0: not a regular file
};

class MemorySource final : public OctetSource {
 public:
  explicit MemorySource(std::string octets) : octets_(std::move(octets)) {}
  Result<std::size_t> read(std::span<char> to) override {
    const std::size_t count = std::min(to.size(), octets_.size() - at_);
    std::memcpy(to.data(), octets_.data() + at_, count);
    at_ += count;
    return count;
  }

 private:
  std::string octets_;
  std::size_t at_ = 0;
};

class GunzipSource final : public OctetSource {
 public:
  GunzipSource(std::unique_ptr<OctetSource> source, std::string name)
      : source_(std::move(source)), name_(std::move(name)), piece_(chunk_octets, '\0') {}
  Result<std::size_t> read(std::span<char> to) override {
    while (at_ == held_.size()) {
      held_.clear();
      at_ = 0;
      const auto count = source_->read(piece_);
      if (!count) return count;
      const Result<void> done =
          *count == 0 ? gunzip_.finish() : gunzip_.feed(std::string_view(piece_).substr(0, *count), held_);
      if (!done) return tl::unexpected(cannot_read(name_, done.error().message));
      if (*count == 0) return 0;
    }
    const std::size_t count = std::min(to.size(), held_.size() - at_);
    std::memcpy(to.data(), held_.data() + at_, count);
    at_ += count;
    return count;
  }
  double progress() const override { return source_->progress(); }

 private:
  static constexpr std::uint64_t most_octets = std::uint64_t{1} << 50;  // nothing is kept, so nothing grows
  std::unique_ptr<OctetSource> source_;
  std::string name_, piece_, held_;
  std::size_t at_ = 0;
  Gunzip gunzip_{most_octets};
};

Result<std::unique_ptr<OctetSource>> without_gzip(std::unique_ptr<OctetSource> source,
                                                  const std::string& name) {
  auto peeked = std::make_unique<PeekedSource>(std::move(source));
  const auto beginning = peeked->peek(3);
  if (!beginning) return tl::unexpected(beginning.error());
  if (is_gzip(*beginning)) return std::make_unique<GunzipSource>(std::move(peeked), name);
  return peeked;
}

}  // namespace

Result<std::unique_ptr<OctetSource>> open_octets(const std::string& path) {
  const std::string name = path == "-" ? "standard input" : path;
  const int fd = path == "-" ? STDIN_FILENO : ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return tl::unexpected(cannot_read(name, std::strerror(errno)));
  struct stat status {};
  const bool known = fstat(fd, &status) == 0 && S_ISREG(status.st_mode);
  auto source =
      std::make_unique<DescriptorSource>(fd, name, known ? static_cast<std::uint64_t>(status.st_size) : 0);
  return without_gzip(std::move(source), name);
}

Result<std::unique_ptr<OctetSource>> octets_in_memory(std::string octets, const std::string& name) {
  return without_gzip(std::make_unique<MemorySource>(std::move(octets)), name);
}

Result<std::string_view> PeekedSource::peek(std::size_t size) {
  while (held_.size() - at_ < size) {
    const std::size_t had = held_.size();
    held_.resize(at_ + size);
    const auto count = source_->read({held_.data() + had, held_.size() - had});
    held_.resize(had + (count ? *count : 0));
    if (!count) return tl::unexpected(count.error());
    if (*count == 0) break;
  }
  return std::string_view(held_).substr(at_, size);
}

Result<std::size_t> PeekedSource::read(std::span<char> to) {
  if (at_ == held_.size()) return source_->read(to);
  const std::size_t count = std::min(to.size(), held_.size() - at_);
  std::memcpy(to.data(), held_.data() + at_, count);
  at_ += count;
  if (at_ == held_.size()) {
    held_.clear();
    at_ = 0;
  }
  return count;
}

Result<LineReader::Line> LineReader::next() {
  Line line;
  std::size_t searched = begin_;
  for (;;) {
    const char* from = buffer_.data() + searched;
    const void* found = std::memchr(from, '\n', end_ - searched);
    if (found != nullptr || (at_end_ && end_ > begin_)) {
      const std::size_t end = found != nullptr
                                  ? static_cast<std::size_t>(static_cast<const char*>(found) - buffer_.data())
                                  : end_;
      line.number = ++number_;
      if (!line.too_long && end - begin_ > max_line) line.too_long = true;
      line.text = std::string_view(buffer_).substr(begin_, std::min(end - begin_, max_line));
      if (!line.too_long && line.text.ends_with("\r")) line.text.remove_suffix(1);
      begin_ = std::min(end + 1, end_);
      return line;
    }
    if (at_end_) return line;
    std::memmove(buffer_.data(), buffer_.data() + begin_, end_ - begin_);
    end_ -= begin_;
    begin_ = 0;
    if (end_ == buffer_.size()) {  // the buffer is full of one line: keep its beginning, forget the rest
      line.too_long = true;
      end_ = max_line;
    }
    searched = end_;
    const auto count = source_.read({buffer_.data() + end_, buffer_.size() - end_});
    if (!count) return tl::unexpected(count.error());
    end_ += *count;
    at_end_ = *count == 0;
  }
}

}  // namespace postern

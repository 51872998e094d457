// Octets of a recording: from a file, standard input or memory, with gzip taken off.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "rules/result.h"

namespace postern {

// A stream of octets, read once from the beginning to the end. Thread: one.
class OctetSource {
 public:
  virtual ~OctetSource() = default;
  // Fills `to` from the front; fewer than asked for is no end, 0 is. Errors quote the source's name.
  virtual Result<std::size_t> read(std::span<char> to) = 0;
  // How much of it has been read, 0 to 1, in octets as they are stored; below 0 where nobody knows (a pipe).
  virtual double progress() const { return -1; }
};

// The file, or standard input for "-". Whether it is gzip is seen by its first octets; several members behind
// each other are one stream (RFC 1952 section 2.2).
Result<std::unique_ptr<OctetSource>> open_octets(const std::string& path);
// Octets that are in memory already, gzip or not; `name` is for errors.
Result<std::unique_ptr<OctetSource>> octets_in_memory(std::string octets, const std::string& name);

// A source whose first octets can be looked at before they are read. Owns the source.
class PeekedSource final : public OctetSource {
 public:
  explicit PeekedSource(std::unique_ptr<OctetSource> source) : source_(std::move(source)) {}
  // Up to `size` octets from where reading stands; fewer only at the end.
  Result<std::string_view> peek(std::size_t size);
  Result<std::size_t> read(std::span<char> to) override;
  double progress() const override { return source_->progress(); }

 private:
  std::unique_ptr<OctetSource> source_;
  std::string held_;
  std::size_t at_ = 0;
};

// Lines of a source, without their ends ("\n" or "\r\n").
class LineReader {
 public:
  // A longer line is told apart and passed over: a query log's lines are some hundred octets.
  static constexpr std::size_t max_line = 65536;

  explicit LineReader(OctetSource& source) : source_(source), buffer_(4 * max_line, '\0') {}
  struct Line {
    std::string_view text;     // until the next call; the first `max_line` octets of a longer one
    std::uint64_t number = 0;  // from 1; 0: there is no further line
    bool too_long = false;
  };
  Result<Line> next();

 private:
  OctetSource& source_;
  std::string buffer_;
  std::size_t begin_ = 0, end_ = 0;
  std::uint64_t number_ = 0;
  bool at_end_ = false;
};

}  // namespace postern

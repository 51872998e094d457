// Recordings of DNS queries, whatever they are written in, as a stream of queries.
//
// `open_recording` looks at the first octets and chooses a reader: pcap and pcapng (replay_pcap.cpp), Zeek's
// dns.log as tab-separated values (replay_zeek.cpp) or JSON lines (replay_json.cpp), and `ts client qname
// qtype` (replay_lines.cpp). A reader never fails over one bad line: it counts it under its cause, keeps the
// first ones to quote, and goes on.
//
// Thread: one. Memory: one chunk and one line or packet, however long the recording.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "resolver/control/replay_source.h"
#include "rules/vocabulary.h"

namespace postern {

struct RecordedQuery {
  std::chrono::microseconds time{};  // since 1970, or a sequence number taken as seconds
  std::string_view client;  // who asked: an address, as it is written there; until the next query is read
  Query query;
  int rcode = -1;  // what came back, where it is recorded
};

// What was passed over, by cause.
class Skipped {
 public:
  enum class Kind : std::uint8_t {
    fault,  // meant as a query and not understood: people should know
    other,  // not a query that a resolver would have seen: answers, other traffic
  };
  struct Cause {
    std::string text;
    Kind kind = Kind::fault;
    std::uint64_t count = 0;
    std::vector<std::string> first;  // "FILE:LINE: value", at most `quoted`
  };
  static constexpr std::size_t quoted = 3;
  static constexpr std::size_t max_causes = 64;  // further ones are counted together

  // `place`: a line or packet number; `value` is quoted, cut after 100 octets.
  void fault(std::string_view cause, const std::string& file, std::uint64_t place, std::string_view value);
  void other(std::string_view cause);
  const std::vector<Cause>& causes() const noexcept { return causes_; }
  std::uint64_t faults() const noexcept { return faults_; }

 private:
  Cause& cause(std::string_view text, Kind kind);
  std::vector<Cause> causes_;
  std::uint64_t faults_ = 0;
};

class RecordingReader {
 public:
  virtual ~RecordingReader() = default;
  // The next query; false at the end. An error ends the recording: it cannot be read further.
  virtual Result<bool> next(RecordedQuery& query) = 0;
  virtual std::string_view format() const noexcept = 0;  // "pcap", "Zeek", ...
  double progress() const { return source_->progress(); }

 protected:
  RecordingReader(std::unique_ptr<PeekedSource> source, std::string file, Skipped& skipped)
      : source_(std::move(source)), file_(std::move(file)), skipped_(skipped) {}
  std::unique_ptr<PeekedSource> source_;
  std::string file_;
  Skipped& skipped_;
};

// `skipped` outlives the reader. Errors: the file cannot be read, or is none of the formats.
Result<std::unique_ptr<RecordingReader>> open_recording(std::unique_ptr<OctetSource> source,
                                                        const std::string& file, Skipped& skipped);

// ----
// For the readers.

namespace recording {

using Source = std::unique_ptr<PeekedSource>;
using Reader = Result<std::unique_ptr<RecordingReader>>;
Reader open_lines(Source source, const std::string& file, Skipped& skipped);
Reader open_zeek(Source source, const std::string& file, Skipped& skipped);
Reader open_json(Source source, const std::string& file, Skipped& skipped);
Reader open_pcap(Source source, const std::string& file, Skipped& skipped);

// True if a line, or the header's line above it, has the columns of `ts client qname qtype`.
bool looks_like_lines(std::string_view beginning);

// Seconds with a fraction, from 1970 (or a sequence number): not negative, at most the year 9999.
std::optional<std::chrono::microseconds> parse_seconds(std::string_view text);
std::optional<std::chrono::microseconds> from_seconds(double seconds);
// A type by name, number or TYPEnnn; "*" is ANY.
std::optional<Type> parse_recorded_type(std::string_view text);
// Zeek's \xHH as \DDD; the rest as it stands.
std::string unescape_zeek(std::string_view text);
// A response code by name or number; -1: unknown.
int parse_recorded_rcode(std::string_view text);
// Reads a name; on failure counts the fault and says false.
bool read_name(std::string_view text, Name& name, const std::string& file, std::uint64_t place,
               Skipped& skipped);
void split(std::string_view line, char separator, std::vector<std::string_view>& fields);
// Ports of multicast DNS, LLMNR and NetBIOS, which Zeek writes in the same log and no resolver sees.
bool is_other_protocol(std::uint32_t port) noexcept;

}  // namespace recording

}  // namespace postern

// Recordings as pcap or pcapng, read by libpcap (its only owner); queries to port 53 count.
#include <pcap/pcap.h>

#include <cstdio>

#include "resolver/control/replay_packet.h"
#include "resolver/control/replay_reader.h"
#include "rules/quote.h"

namespace postern {
namespace {

struct ClosePcap {
  void operator()(pcap_t* pcap) const { pcap_close(pcap); }  // and its FILE
};

class PcapReader final : public RecordingReader {
 public:
  PcapReader(recording::Source source, const std::string& file, Skipped& skipped)
      : RecordingReader(std::move(source), file, skipped) {}
  std::string_view format() const noexcept override { return "pcap"; }

  // libpcap reads from a FILE; ours reads from the source, which takes gzip off and may be a pipe.
  Result<void> open() {
    cookie_io_functions_t functions{};
    functions.read = [](void* cookie, char* to, std::size_t size) {
      auto& self = *static_cast<PcapReader*>(cookie);
      const auto count = self.source_->read({to, size});
      if (!count) {
        self.read_error_ = count.error().message;
        return ssize_t{-1};
      }
      return static_cast<ssize_t>(*count);
    };
    std::FILE* stream = fopencookie(this, "r", functions);
    if (stream == nullptr) return failure("cannot replay " + quoted(file_) + ": out of memory");
    std::setvbuf(stream, nullptr, _IOFBF, 1 << 18);
    char error[PCAP_ERRBUF_SIZE] = "";
    pcap_.reset(pcap_fopen_offline_with_tstamp_precision(stream, PCAP_TSTAMP_PRECISION_MICRO, error));
    if (!pcap_) {
      std::fclose(stream);
      return failure("cannot replay " + quoted(file_) + ": " + (read_error_.empty() ? error : read_error_));
    }
    link_type_ = pcap_datalink(pcap_.get());
    if (!is_known_link(link_type_)) {
      const char* name = pcap_datalink_val_to_name(link_type_);
      return failure("cannot replay " + quoted(file_) + ": its link layer is " +
                     (name != nullptr ? name : std::to_string(link_type_)) +
                     "; known are Ethernet, Linux cooked, raw IP and BSD loopback");
    }
    return {};
  }

  Result<bool> next(RecordedQuery& query) override {
    for (;;) {
      while (message_ < frame_.messages.size())
        if (read(frame_.messages[message_++], query)) return true;
      pcap_pkthdr* header = nullptr;
      const u_char* octets = nullptr;
      const int status = pcap_next_ex(pcap_.get(), &header, &octets);
      if (status == PCAP_ERROR_BREAK) return false;
      if (status != 1) {
        if (!read_error_.empty()) return failure(read_error_);
        // Captures are often cut off, where tcpdump was killed or a disk was full: what is there counts.
        skipped_.fault("capture: cut off", file_, packet_ + 1, pcap_geterr(pcap_.get()));
        return false;
      }
      ++packet_;
      message_ = 0;
      time_ = std::chrono::seconds(header->ts.tv_sec) + std::chrono::microseconds(header->ts.tv_usec);
      frame_.kind = FrameKind::other;
      read_frame(link_type_, {octets, header->caplen}, header->len, frame_);
      count();
    }
  }

 private:
  void count() {
    switch (frame_.kind) {
      case FrameKind::dns:
        return;
      case FrameKind::other:
      case FrameKind::unknown_link:
        return skipped_.other("packets that are no query to port 53");
      case FrameKind::fragment:
        return skipped_.other("fragments");
      case FrameKind::cut_short:
        return skipped_.fault("packet: not kept whole", file_, packet_, frame_.source);
      case FrameKind::split_tcp:
        return skipped_.fault("packet: a message over several TCP segments", file_, packet_, frame_.source);
      case FrameKind::malformed:
        return skipped_.fault("packet: headers contradict themselves", file_, packet_, frame_.source);
    }
  }

  bool read(wire::Octets message, RecordedQuery& query) {
    const wire::Parsed parsed = message.size() > wire::max_query_octets
                                    ? wire::Parsed::formerr
                                    : wire::parse_query(message, question_);
    if (parsed == wire::Parsed::drop) {
      skipped_.other("answers");
      return false;
    }
    if (parsed != wire::Parsed::ok) {
      skipped_.fault("message: Postern would refuse its form", file_, packet_, frame_.source);
      return false;
    }
    if (question_.query_class != class_in) {
      skipped_.other("class other than IN");
      return false;
    }
    query.time = std::max(time_, std::chrono::microseconds(0));
    query.client = frame_.source;
    query.query = question_.query;
    query.rcode = -1;
    return true;
  }

  std::unique_ptr<pcap_t, ClosePcap> pcap_;
  int link_type_ = 0;
  std::uint64_t packet_ = 0;
  std::chrono::microseconds time_{};
  Frame frame_;
  std::size_t message_ = 0;  // the next one of the frame
  wire::Question question_;
  std::string read_error_;
};

}  // namespace

namespace recording {

Reader open_pcap(Source source, const std::string& file, Skipped& skipped) {
  auto reader = std::make_unique<PcapReader>(std::move(source), file, skipped);
  if (auto opened = reader->open(); !opened) return tl::unexpected(opened.error());
  return reader;
}

}  // namespace recording

}  // namespace postern

// Fuzz: recordings in every format that `postern replay` reads.
#include "resolver/control/replay_reader.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  auto source = postern::octets_in_memory({reinterpret_cast<const char*>(data), size}, "rec");
  if (!source) return 0;
  postern::Skipped skipped;
  const auto reader = postern::open_recording(std::move(*source), "rec", skipped);
  if (!reader) {
    POSTERN_CHECK(!reader.error().message.empty());
    return 0;
  }
  postern::RecordedQuery query;
  constexpr int enough = 10'000;  // gzip makes a thousand octets of one
  for (int i = 0; i < enough; ++i) {
    const auto more = (*reader)->next(query);
    if (!more || !*more) break;
    POSTERN_CHECK(query.time.count() >= 0 && query.query.name.size() >= 1 && query.rcode >= -1);
    POSTERN_CHECK(query.client.size() <= postern::LineReader::max_line);
  }
  std::uint64_t sum = 0;
  for (const auto& cause : skipped.causes()) {
    POSTERN_CHECK(cause.count > 0 && cause.first.size() <= postern::Skipped::quoted);
    sum += cause.kind == postern::Skipped::Kind::fault ? cause.count : 0;
  }
  POSTERN_CHECK(sum == skipped.faults() || skipped.causes().size() == postern::Skipped::max_causes);
  return 0;
}

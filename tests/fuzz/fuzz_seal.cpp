// Fuzz target: what verify reads of a file that somebody may have made up: which records a block covers, and
// lines with signed heads. What is read is spelled again as it was.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "resolver/journal/seal_block.h"
#include "rules/signed_head.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace postern;
  const std::string_view octets(reinterpret_cast<const char*>(data), size);
  if (const auto head = read_signed_head(octets)) {
    if (octets.find(line_of(*head)) == std::string_view::npos) std::abort();
    (void)signature_fits(*head);
  }
  const auto runs = read_cover(octets);
  if (!runs) return 0;
  SealSet set;
  for (const SealRun& run : *runs) {
    if (!set.add(run)) std::abort();  // in order, and apart
    if (!set.has(run.kind, run.first) || !set.has(run.kind, run.last())) std::abort();
  }
  const auto again = read_cover(cover_octets(*runs));
  if (!again || *again != *runs || records_in(*again) != records_in(*runs)) std::abort();
  return 0;
}

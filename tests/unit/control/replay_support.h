// Recordings made by hand, and what the readers make of them.
#pragma once

#include <string>
#include <vector>

#include "resolver/control/replay_reader.h"

namespace postern::recorded {

struct Read {
  std::vector<std::string> queries;  // "TIME CLIENT NAME TYPE [RCODE]", the time in microseconds
  Skipped skipped;
  std::string error;  // empty: read to its end
  std::string format;

  // How often a cause was counted; 0: never.
  std::uint64_t count(const std::string& cause) const {
    for (const auto& one : skipped.causes())
      if (one.text == cause) return one.count;
    return 0;
  }
};

inline Read read(std::string octets) {
  Read out;
  auto source = octets_in_memory(std::move(octets), "rec");
  if (!source) {
    out.error = source.error().message;
    return out;
  }
  auto reader = open_recording(std::move(*source), "rec", out.skipped);
  if (!reader) {
    out.error = reader.error().message;
    return out;
  }
  out.format = (*reader)->format();
  RecordedQuery query;
  for (;;) {
    const auto more = (*reader)->next(query);
    if (!more) out.error = more.error().message;
    if (!more || !*more) return out;
    out.queries.push_back(std::to_string(query.time.count()) + " " + std::string(query.client) + " " +
                          query.query.name.text() + " " + type_text(query.query.type) +
                          (query.rcode < 0 ? "" : " " + rcode_text(query.rcode)));
  }
}

}  // namespace postern::recorded

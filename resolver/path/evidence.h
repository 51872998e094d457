// Evidence: some of what a session asked lately, so that an alert can show names and say since when.
//
// Noted is what was not answered from the cache: each forward, refusal and local answer. Thread: the
// session's shard. Memory: at most `most_names` names (290 octets each) and `most_zones` first times; nothing
// before the first question.
#pragma once

#include <cstdint>
#include <string>
#include <unordered_map>
#include <vector>

#include "rules/vocabulary.h"

namespace postern {

class RecentNames {
 public:
  static constexpr std::size_t most_names = 32;  // of all zones together: the last ones
  static constexpr std::size_t most_zones = 64;  // whose first question's time is kept; later zones have none
  struct Asked {
    Name name;
    Type type = 0;
    std::int64_t time_us = 0;
    std::uint32_t charge_millibits = 0;
  };

  // `zone_labels`: of the name's registered domain.
  void note(const Query& query, std::size_t zone_labels, std::int64_t time_us,
            std::uint32_t charge_millibits);
  // What was asked may be parts of a secret: the names go, the times stay.
  void forget_names();
  // Names that are `zone` or below it, all with a null pointer, oldest first, each once, at most `most`: the
  // last ones.
  std::vector<Asked> in(const Name* zone, std::size_t most) const;
  // When the zone was asked first, as far as it is remembered; else `otherwise`. Null: the session.
  std::int64_t first_us(const Name* zone, std::int64_t otherwise) const;

 private:
  std::vector<Asked> ring_;
  std::size_t next_ = 0;
  std::unordered_map<Name, std::int64_t, NameHash> first_;
  std::int64_t session_first_us_ = 0;
};

}  // namespace postern

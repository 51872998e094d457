// Snapshots that wait to be written: one for each session, the newest, however long the file cannot be.
#pragma once

#include <algorithm>
#include <utility>
#include <vector>

#include "resolver/journal/journal.h"

namespace postern {

inline void put_newer(LeakSnapshot snapshot, std::vector<LeakSnapshot>& to) {
  const auto old = std::find_if(to.begin(), to.end(), [&](const LeakSnapshot& one) {
    return one.user == snapshot.user && one.session == snapshot.session;
  });
  if (old == to.end())
    to.push_back(std::move(snapshot));
  else
    *old = std::move(snapshot);
}

// All of `from`, which is empty afterwards, each in the place of an older one.
inline void take_newer(std::vector<LeakSnapshot>& from, std::vector<LeakSnapshot>& to) {
  for (LeakSnapshot& snapshot : from) put_newer(std::move(snapshot), to);
  from.clear();
}

}  // namespace postern

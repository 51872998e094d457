// What an answer lacks of one file's record, since it is not listed yet (backlog.h).
#pragma once

#include <cstdint>
#include <string>

namespace postern {

struct Lack {
  enum class Why : std::uint8_t {
    many_are_asking,  // the last seconds, which the file's writer lists in a moment
    still_listing,    // older ones, too: the writer is not done with what it found in the file
    nobody_lists,     // the file has no writer: it was killed, or the file is a copy
    not_known,        // whether it has one cannot be told
  };
  std::string path;  // of the file
  Why why = Why::many_are_asking;
  std::int64_t queries = -1;  // how many it lacks; -1: nobody has counted them
  bool sums_only = true;      // `queries` has them; `usage`, `domains`, `sessions` and `resolutions` do not
};

}  // namespace postern

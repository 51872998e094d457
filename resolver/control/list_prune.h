// Images of lists that nobody uses any more, and their end.
//
// An image is removed if it is called as images are, is a plain file of our own, has not been loaded for
// 30 days, and nobody holds it: who has loaded it holds a shared lock (list_file.h), and removing takes an
// exclusive one. What else lies in the folder is left alone; links are not followed. Losing an image costs no
// more than one longer start. The daemon's resolver process does this, or that of a `run` with a state folder
// of its own, whenever a policy has been put in force.
//
// Thread: any. Memory: none to speak of.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace postern {

inline constexpr std::int64_t image_day_s = 86'400;
// Long enough for a policy that is used once a month.
inline constexpr std::int64_t image_life_s = 30 * image_day_s;
// What an image is called: as many octets of a digest in hex, and the suffix; while it is written, both.
inline constexpr std::size_t image_name_octets = 16;  // enough that no two lists meet
inline constexpr std::string_view image_suffix = ".list", unfinished_suffix = ".new";

struct PrunedImages {
  std::size_t removed = 0;
  std::string note;  // why one that should go stays, or the folder could not be read; the last such
};
// `now_s`: Unix time. A folder that is not there has nothing to remove.
PrunedImages prune_images(const std::string& folder, std::int64_t now_s);

}  // namespace postern

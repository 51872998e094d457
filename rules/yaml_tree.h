// YamlTree: a YAML document as a plain tree with positions, read under limits.
//
// Policies are configuration, not programs: anchors, aliases, tags and several documents are refused, so a
// small file cannot become a large tree. yaml-cpp throws;
// nothing escapes from here, and nothing else in rules/ knows it.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "rules/result.h"

namespace postern {

struct YamlNode {
  enum class Kind : std::uint8_t { null, scalar, sequence, map };
  Kind kind = Kind::null;
  int line = 1, column = 1;  // where it begins, from 1
  std::string text;          // of a scalar
  std::vector<YamlNode>
      items;  // of a sequence; of a map: key, value, key, value. Keys are scalars and differ.
};
std::string_view kind_text(YamlNode::Kind kind);  // "a list"

inline constexpr std::size_t yaml_max_octets =
    4 << 20;  // a policy of this size is a list, and lists have a better format
inline constexpr std::size_t yaml_max_depth = 16;  // policies nest 6 deep; deeper is a mistake or an attack

// Errors: one line "FILE:LINE:COLUMN: ...".
Result<YamlNode> read_yaml(std::string_view text, const std::string& file);

// "FILE:LINE:COLUMN: message".
tl::unexpected<Error> failure_at(const std::string& file, int line, int column, const std::string& message);

}  // namespace postern
